"""What tests of the corpus share: programs made up, and ingests of real trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.code_files import CodeFileStore
from core.database import Database
from core.training_settings import PERMISSIVE
from training.ingest.assessment import Assessor
from training.ingest.ingestion import Ingestion, Tally
from training.ingest.sources import open_source


def source_of(name: str, *, functions: int = 30) -> str:
    """A program of its own for every name."""
    body = "\n\n".join(
        f'def {name}_{n}(left_{n}, right_{n}):\n    """{name.title()} number {n}."""\n'
        f"    total_{n} = left_{n} * {n} + right_{n}\n    return total_{n} - {name}_offset({n})"
        for n in range(functions)
    )
    offset = f'def {name}_offset(number):\n    """Moves it."""\n    return number'
    return f'"""About {name}."""\n\n\n{offset}\n\n\n{body}\n'


def ingest(database: Database, *sources: Path | str, declared: str | None = None, **options: Any) -> Tally:
    ingestion = Ingestion(CodeFileStore(database), Assessor(PERMISSIVE), declared=declared)
    for source in sources:
        for repository in open_source(str(source), **options):
            ingestion.ingest(repository, lambda _: None)
    return ingestion.tally


def rows(database: Database, where: str = "true") -> list[dict[str, Any]]:
    return [dict(row) for row in database.fetch(f"SELECT * FROM code_files WHERE {where} ORDER BY id")]


def kept(database: Database) -> list[str]:
    return sorted(row["path"] for row in rows(database, "rejection IS NULL"))
