"""The small pair's weights as they are shipped: int8 by rows, half the bytes of bf16. Knows no torch.

`weights.safetensors` holds for each matrix NAME an int8 tensor NAME (rows, columns) and NAME.scale (rows,), fp32,
and every other tensor in fp32 as it is. A weight is `NAME[row, column] * NAME.scale[row]`; the scale is the row's
greatest magnitude over 127. Unpacked is what any checkpoint looks like: config.json, model.safetensors in fp32,
the tokenizer.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.errors import CheckpointError
from ensemble.drafts import draft_of

PACKED_FILE = "weights.safetensors"
WEIGHTS_FILE = "model.safetensors"
SCALE = ".scale"
LARGEST = 127


def pack(weights: dict[str, NDArray[np.float32]], directory: Path) -> None:
    """Write `weights` to `directory`."""
    packed: dict[str, NDArray[np.generic]] = {}
    for name, values in weights.items():
        if values.ndim != 2:
            packed[name] = values
            continue
        scale = np.maximum(np.abs(values).max(axis=1), np.finfo(np.float32).tiny) / np.float32(LARGEST)
        packed[name] = np.rint(values / scale[:, None]).astype(np.int8)
        packed[name + SCALE] = scale
    save_file(packed, directory / PACKED_FILE)


def unpack(packed: Path, directory: Path) -> None:
    """Make the checkpoint `directory` of what lies in `packed`, unless something is there already.

    Raises:
        CheckpointError: `packed` is incomplete or damaged.
    """
    if directory.exists():
        return
    weights = _read(packed / PACKED_FILE)
    with draft_of(directory) as draft:
        for file in packed.iterdir():
            if file.name != PACKED_FILE:
                shutil.copyfile(file, draft / file.name)
        save_file(weights, draft / WEIGHTS_FILE, metadata={"format": "pt"})


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        stored = load_file(path)
        return {
            name: values * stored[name + SCALE][:, None] if values.dtype == np.int8 else values
            for name, values in stored.items()
            if not name.endswith(SCALE)
        }
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(path, f"cannot be unpacked ({error}): install mathcode again") from error
