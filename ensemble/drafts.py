"""Directories that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(directory: Path) -> Iterator[Path]:
    """A directory to write to, which becomes `directory` when the block ends, readable by all users.

    Of several processes doing this at once, one wins and the others' drafts vanish. An exception leaves nothing.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield draft
        _open_to_readers(draft)
        draft.rename(directory)
    except OSError:
        if not directory.is_dir():  # otherwise another process won
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_readers(draft: Path) -> None:
    """Undo the private modes of temporary directories and weight files: a worker may run as another user."""
    draft.chmod(0o755)
    for file in draft.iterdir():
        file.chmod(0o644)
