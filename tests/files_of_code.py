"""Rows of code for tests, as somebody without `mathcode ingest` would insert them."""

from __future__ import annotations

from core.database import Database


def insert_files(database: Database, count: int, *, repo: str = "somebody/library", score: float = 90.0) -> None:
    database.execute(
        "INSERT INTO code_files (repo, path, content, quality_score)"
        " SELECT %(repo)s, 'src/file_' || n || '.py', 'def f_' || n || '(x):\n    return x + ' || n, %(score)s"
        " FROM generate_series(1, %(count)s) AS n",
        {"repo": repo, "count": count, "score": score},
    )
