"""Serving the version that the registry says: a comparison, not a broadcast.

A version that is damaged or does not fit is marked broken for everybody, and its parent serves again. What fails
for reasons of this machine alone is tried again, and the version in service here stays.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import AdapterError, CheckpointError, ConfigurationError, Unavailable, VersionOutOfReach
from core.model_versions import Version, VersionStore
from tasks.ports import Engine
from worker.operations import Operations
from worker.presence import Presence

WEIGHTS_FILE = "adapter_model.safetensors"
ALARM = "version"
ALARM_AFTER = 3  # failures: the last answers on an earlier version may take a while, and that is nobody's fault
LONGEST_PAUSE_S = 30.0
_UNKNOWN = -1

logger = logging.getLogger(__name__)


class Adoption:
    """Swaps happen while no other operation runs. `base_hash` is None where the engine has no checkpoint."""

    def __init__(
        self,
        *,
        versions: VersionStore,
        operations: Operations,
        presence: Presence,
        base_hash: Callable[[], str | None],
    ) -> None:
        self._versions = versions
        self._operations = operations
        self._presence = presence
        self._base_hash = base_hash
        self._loaded: int | None = None  # a version's number; None is the base model
        self._failed: tuple[int, float] = (0, 0.0)  # how often in a row, and when it is tried again

    def step(self) -> None:
        """Load what the registry says where it is not what is loaded. Raises DatabaseUnavailable."""
        while self._differs() and self._operations.attempt("swap_adapter", self._adopt):
            if self._failed[0]:
                return

    def pin(self, engine: Engine, version: str | None, directory: Path | None) -> None:
        """Serve what an operator chose, whatever the registry says, until `follow`."""
        engine.swap_adapter(version, directory)
        self._loaded = _UNKNOWN
        self._presence.is_pinned = True
        self._forget_failures()

    def follow(self) -> None:
        """Serve what the registry says again, from the next round on."""
        self._presence.is_pinned = False

    def _differs(self) -> bool:
        if self._presence.is_pinned or time.monotonic() < self._failed[1]:
            return False
        serving = self._versions.serving()
        if _number(serving) == self._loaded:
            self._forget_failures()
            return False
        return True

    def _adopt(self, engine: Engine) -> None:
        serving = self._versions.serving()
        try:
            if serving is None:
                engine.swap_adapter(None, None)
            else:
                self._verify(serving)
                engine.swap_adapter(serving.name, serving.directory)
        except AdapterError as error:
            self._refuse(serving, error)
        except (ConfigurationError, Unavailable, OSError) as error:
            self._put_off(serving, error)
        else:
            self._loaded = _number(serving)
            self._forget_failures()
            logger.info("new requests get %s", engine.version)

    def _verify(self, version: Version) -> None:
        """Raises AdapterError (damaged), or what is to blame on this machine."""
        if not version.directory.is_dir():
            raise VersionOutOfReach(version.name, version.directory)
        weights = version.directory / WEIGHTS_FILE
        if not weights.is_file():
            raise AdapterError(weights, "is missing: restore the file")
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != version.checksum:
            raise AdapterError(weights, f"is not what was published (SHA-256 {found[:12]}): restore the file")
        self._require_base(version)

    def _require_base(self, version: Version) -> None:
        """A changed base is to blame on this installation: on the right one, the version still fits."""
        try:
            base = self._base_hash()
        except CheckpointError as error:
            raise ConfigurationError(f"the base model cannot be recognised: {error}") from error
        if base is not None and base != version.base_hash:
            raise ConfigurationError(
                f"{version.name} was trained on another base model (hash {version.base_hash[:12]}, loaded is "
                f"{base[:12]}): restore the base, or promote a version that was trained on this one"
            )

    def _refuse(self, version: Version | None, error: AdapterError) -> None:
        if version is not None and self._versions.mark_broken(version.number, str(error)):
            logger.error("ALARM: %s is broken, its parent serves again: %s", version.name, error)

    def _put_off(self, version: Version | None, error: Exception) -> None:
        count = self._failed[0] + 1
        pause_s = min(LONGEST_PAUSE_S, 2.0 ** (count - 2))
        self._failed = (count, time.monotonic() + pause_s)
        name = version.name if version is not None else "the base model"
        logger.warning("%s is not loaded yet, tried again in %.1f s: %s", name, pause_s, error)
        if count == ALARM_AFTER:
            self._presence.alarms[ALARM] = f"{self._presence.name} cannot load {name}: {error}"
            logger.error("ALARM: %s", self._presence.alarms[ALARM])

    def _forget_failures(self) -> None:
        self._failed = (0, 0.0)
        self._presence.alarms.pop(ALARM, None)


def _number(version: Version | None) -> int | None:
    return version.number if version is not None else None
