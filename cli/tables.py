"""Tables of what other commands take: nothing in them is cut, however narrow the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDEST = 10_000


def print_table(table: Table) -> None:
    """As wide as its cells; a narrow terminal wraps its lines, an id in them can still be copied."""
    Console(highlight=False, soft_wrap=True, width=WIDEST).print(table)
