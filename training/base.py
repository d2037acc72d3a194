"""Recognises a base checkpoint again: an adapter is worth nothing beside other weights. Knows no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.errors import BaseChanged, CheckpointError
from ensemble.models import CONFIG_FILE

BLOCK_BYTES = 1 << 16
BLOCKS = 256
"""Of every file of weights, 16 MiB are read: all of a small one, evenly spread blocks of a large one."""


def base_hash(directory: Path) -> str:
    """SHA-256 over config.json and, of each safetensors file, name, size, header and `BLOCKS` blocks.

    Training changes every matrix of a model everywhere, so another model, another precision or a torn file is
    seen; a few bytes changed by hand in a large file may not be. Reads at most 16 MiB and a header per file.

    Raises:
        CheckpointError: there is nothing to recognise.
    """
    files = sorted(directory.glob("*.safetensors"))
    digest = hashlib.sha256()
    try:
        digest.update((directory / CONFIG_FILE).read_bytes())
        for file in files:
            _update(digest, file)
    except OSError as error:
        raise CheckpointError(directory, f"cannot be read ({error}): restore it") from error
    if not files:
        raise CheckpointError(directory, "holds no safetensors file: restore it")
    return digest.hexdigest()


def require_same_base(directory: Path, expected: str) -> None:
    """Refuse a base that changed since the run was planned. Raises BaseChanged, CheckpointError."""
    if (found := base_hash(directory)) != expected:
        raise BaseChanged(
            f"the base model in {directory} is not the one this run was planned for (hash {found[:12]}, "
            f"planned {expected[:12]}): restore it, or start a new run"
        )


def _update(digest: hashlib._Hash, file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{file.name}\0{size}\0".encode())
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        stream.seek(0)
        digest.update(stream.read(min(8 + length, size)))
        stride = max(BLOCK_BYTES, size // BLOCKS)
        for offset in range(0, size, stride):
            stream.seek(offset)
            digest.update(stream.read(BLOCK_BYTES))
        stream.seek(max(0, size - BLOCK_BYTES))
        digest.update(stream.read(BLOCK_BYTES))
