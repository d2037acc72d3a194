"""The curve of served prompts over calls, as lines of text and as an SVG drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ensemble.routing.measures import Point

WIDTH, HEIGHT, MARGIN = 640, 400, 56
BAR = 40
STEP = 5  # every fifth threshold is printed


def print_curve(points: Sequence[Point], chosen: Point) -> Iterator[str]:
    """Every few thresholds, and the chosen one marked."""
    low = min(point.served for point in points)
    span = (max(point.served for point in points) - low) or 1.0
    yield "threshold  served  calls"
    for index, point in enumerate(points):
        if index % STEP == 0 or point == chosen:
            bar = "#" * max(1, round(BAR * (point.served - low) / span))
            mark = "  <- chosen" if point == chosen else ""
            yield f"{point.threshold:>9.2f}{point.served:>8.3f}{point.calls:>7.2f}  {bar}{mark}"


def draw_curve(points: Sequence[Point], chosen: Point) -> str:
    """An SVG document: mean calls to the right, the part that is served upwards."""
    bottom = min(0.9, *(point.served for point in points))
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(point, bottom) for point in points))
    x, y = _place(chosen, bottom)
    right, floor = WIDTH - MARGIN, HEIGHT - MARGIN
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f'<path d="M{MARGIN},{MARGIN}V{floor}H{right}" fill="none" stroke="black"/>',
            f'<polyline points="{places}" fill="none" stroke="#2060c0" stroke-width="2"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#c02020"/>',
            f'<text x="{MARGIN}" y="{MARGIN - 16}">served {bottom:.2f} to 1; chosen: threshold '
            f"{chosen.threshold:.2f}, served {chosen.served:.3f} at {chosen.calls:.2f} calls</text>",
            f'<text x="{MARGIN}" y="{HEIGHT - 16}">calls for each prompt: 1 to 2</text>',
            "</svg>\n",
        )
    )


def _place(point: Point, bottom: float) -> tuple[float, float]:
    across, up = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    height = (point.served - bottom) / ((1 - bottom) or 1.0)
    return MARGIN + across * (point.calls - 1), HEIGHT - MARGIN - up * height
