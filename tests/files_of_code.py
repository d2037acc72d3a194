"""Rows of code for tests, as somebody without `mathcode ingest` would insert them."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from core.database import Database

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def insert_files(database: Database, count: int, *, repo: str = "somebody/library", score: float = 90.0) -> None:
    database.execute(
        "INSERT INTO code_files (repo, path, content, quality_score)"
        " SELECT %(repo)s, 'src/file_' || n || '.py', 'def f_' || n || '(x):\n    return x + ' || n, %(score)s"
        " FROM generate_series(1, %(count)s) AS n",
        {"repo": repo, "count": count, "score": score},
    )


def insert_packages(database: Database, names: tuple[str, ...], *, score: float = 90.0) -> int:
    """Small files of packages of the standard library, each as a repository of its own; how many files."""
    files = [(name, path) for name in names for path in sorted((STANDARD_LIBRARY / name).rglob("*.py"))]
    texts = [(name, path.name, path.read_text(encoding="utf-8", errors="replace")) for name, path in files]
    kept = [row for row in texts if row[2].strip() and len(row[2]) < 16_000]
    for repo, path, text in kept:
        database.execute(
            "INSERT INTO code_files (repo, path, content, quality_score) VALUES (%(r)s, %(p)s, %(c)s, %(s)s)",
            {"r": repo, "p": path, "c": text, "s": score},
        )
    return len(kept)
