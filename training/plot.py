"""The curve of a run as SVG, drawn by hand: the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

Points = Sequence[tuple[int, float]]
"""(step, loss), by step."""
_WIDTH, _HEIGHT, _MARGIN = 720, 400, 56


def loss_plot(trained: Points, heldout: Points) -> str:
    """An SVG with both losses over the steps; what is no number is left out."""
    trained, heldout = ([(x, y) for x, y in points if y - y == 0] for points in (trained, heldout))
    every = [*trained, *heldout] or [(0, 0.0)]
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def place(point: tuple[int, float]) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (point[0] - left) / max(1, right - left)
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (point[1] - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    def line(points: Points, colour: str) -> str:
        return f'<polyline fill="none" stroke="{colour}" points="{" ".join(map(place, points))}"/>'

    bottom, end = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="13" stroke-width="1.5">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path fill="none" stroke="#999" d="M{_MARGIN},{_MARGIN}V{bottom}H{end}"/>',
        line(trained, "#4878a8"),
        line(heldout, "#c44e30"),
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="#c44e30"/>' for x, y in (place(p).split(",") for p in heldout)),
        f'<text x="4" y="{_MARGIN}">{high:.3f}</text><text x="4" y="{bottom}">{low:.3f}</text>',
        f'<text x="{_MARGIN}" y="{bottom + 20}">step {left}</text>',
        f'<text x="{end}" y="{bottom + 20}" text-anchor="end">{right}</text>',
        f'<text x="{_MARGIN}" y="24" fill="#4878a8">training loss, nats per token</text>',
        f'<text x="{end}" y="24" fill="#c44e30" text-anchor="end">held-out loss</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
