"""The curve of a run as a picture: loss of every step, held-out loss where it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from core.training_runs import Step
from training.storage import write_whole

WIDTH, HEIGHT, MARGIN = 720, 360, 48
_STYLE = (
    "text{font:12px sans-serif;fill:#444}.loss{stroke:#9bb8d3;fill:none}"
    ".heldout{stroke:#c0392b;fill:none;stroke-width:2}.axis{stroke:#888}"
)


def draw(steps: Sequence[Step], path: Path) -> None:
    """Write the SVG, if there is anything to show. Raises DiskFull."""
    if any(step.loss is not None for step in steps):
        write_whole(path, render(steps))


def render(steps: Sequence[Step]) -> str:
    """An SVG document; the same steps give the same text."""
    loss = [(step.step, step.loss) for step in steps if step.loss is not None]
    heldout = [(step.step, step.heldout_loss) for step in steps if step.heldout_loss is not None]
    values = [value for _, value in [*loss, *heldout]]
    frame = _Frame(last=max(step.step for step in steps), low=min(values), high=max(values))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<title>{escape('loss by step')}</title><style>{_STYLE}</style>",
        f'<path class="axis" d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none"/>',
        _text(MARGIN, MARGIN - 12, f"{frame.high:.3f} loss per token (nats)"),
        _text(MARGIN, HEIGHT - MARGIN + 16, f"{frame.low:.3f}"),
        _text(WIDTH - MARGIN - 60, HEIGHT - MARGIN + 16, f"step {frame.last}"),
        frame.line("loss", loss),
        frame.line("heldout", heldout),
        _text(WIDTH - 220, MARGIN, "blue: trained on, red: held out"),
        "</svg>\n",
    ]
    return "\n".join(parts)


class _Frame:
    """Where a step and a loss lie on the page."""

    def __init__(self, *, last: int, low: float, high: float) -> None:
        self.last, self.low, self.high = last, low, high

    def line(self, kind: str, points: Sequence[tuple[int, float]]) -> str:
        places = " ".join(f"{self._x(step):.1f},{self._y(value):.1f}" for step, value in points)
        return f'<polyline class="{kind}" points="{places}"/>'

    def _x(self, step: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * step / max(1, self.last)

    def _y(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - self.low) / span


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(text)}</text>'
