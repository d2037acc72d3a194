"""Is a model directory whole? Looked at before any weight is loaded, so that the error can name the file."""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import CheckpointError
from core.messages import ModelName
from ensemble.models import ARCHITECTURES, CONFIG_FILE, read_json

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_MODEL_TYPES = {ModelName.MATHSTRAL: "mistral", ModelName.CODESTRAL: "mamba2"}
_HEADER_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


def validate_checkpoint(model: ModelName, directory: Path) -> None:
    """Check that `directory` holds a whole checkpoint of the architecture of `model`, in the hub's layout.

    Raises:
        CheckpointError: naming the file that is missing, wrong or torn.
    """
    if not directory.is_dir():
        raise CheckpointError(directory, "is not a directory: correct the path or download the model")
    _validate_config(model, directory / CONFIG_FILE)
    for shard in _shards(directory):
        _validate_shard(shard)


def _validate_config(model: ModelName, path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(path, "is missing: this is no checkpoint in the layout of the hub")
    config = read_json(path)
    expected = ARCHITECTURES[model]
    named = config.get("architectures") or [config.get("model_type")]
    if not isinstance(named, list) or not {expected, _MODEL_TYPES[model]}.intersection(map(str, named)):
        raise CheckpointError(path, f"names the architecture {named}, but {model} needs {expected}")
    if model is ModelName.MATHSTRAL and config.get("sliding_window", "absent") is not None:
        raise CheckpointError(path, "must say `sliding_window: null`: windowed attention is not supported")


def _shards(directory: Path) -> list[Path]:
    index = directory / INDEX_FILE
    if not index.is_file():
        return [directory / WEIGHTS_FILE]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(index, "has no weight_map: restore the file")
    names = sorted(set(map(str, weight_map.values())))
    if strange := [name for name in names if Path(name).name != name or Path(name).suffix != ".safetensors"]:
        raise CheckpointError(
            index, f"names {strange[0]!r}, which is no safetensors file beside it: restore the file"
        )
    return [directory / name for name in names]


def _validate_shard(path: Path) -> None:
    """Compare what a safetensors file says of itself with its size; reads only the header."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
            raw = file.read(min(header_bytes, _MAX_HEADER_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError(path, "is missing: download the model again") from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    expected = _HEADER_LENGTH_BYTES + header_bytes + _data_bytes(path, raw)
    if size != expected:
        raise CheckpointError(path, f"is torn: {size} bytes instead of {expected}; download the file again")


def _data_bytes(path: Path, header: bytes) -> int:
    try:
        entries = json.loads(header)
        return max(
            (value["data_offsets"][1] for name, value in entries.items() if name != "__metadata__"), default=0
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(path, "is torn or not a safetensors file; download the file again") from error
