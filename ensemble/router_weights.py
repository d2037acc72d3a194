"""The weights that are shipped, read from beside this file."""

from __future__ import annotations

from pathlib import Path

from ensemble.router_model import BadWeights, Classifier, parse_weights

WEIGHTS = Path(__file__).with_name("router.safetensors")


def load_weights(path: Path = WEIGHTS) -> Classifier | BadWeights:
    """The classifier, or why there is none: a missing or corrupt file is an expected failure."""
    try:
        return parse_weights(path.read_bytes())
    except BadWeights as error:
        return error
    except OSError as error:
        return BadWeights(f"the router's weights cannot be read: {error.strerror}")
