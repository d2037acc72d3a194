"""Puts an adapter where workers load it from: whole, recorded, and named by a link.

    models/mamba_codestral/run-12/         adapter_config.json, adapter_model.safetensors, version.json
           mamba_codestral_current         link to the directory in service; absent where that is the base model

The registry is the truth, the link follows it for people and scripts. Every step may happen twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.model_versions import NewVersion, Version, VersionStore
from core.version_link import settle_link
from training.storage import says_disk_full, whole_directory

WEIGHTS_FILE = "adapter_model.safetensors"
RECORD_FILE = "version.json"
FOLDER = "mamba_codestral"

logger = logging.getLogger(__name__)


class Publisher:
    """`models` is the directory that all workers of the code model see."""

    def __init__(self, versions: VersionStore, models: Path) -> None:
        self._versions = versions
        self._models = models

    def publish(
        self,
        adapter: Path,
        *,
        run_id: int,
        parent: int | None,
        base_hash: str,
        manifest_hash: str,
        scores: Mapping[str, Any],
    ) -> Version:
        """Copy a whole adapter into its place, record it and put it into service.

        Raises DiskFull, DatabaseUnavailable: then nothing serves that did not before.
        """
        directory = self._models / FOLDER / f"run-{run_id}"
        checksum = sha256_of(adapter / WEIGHTS_FILE)
        record = {"run": run_id, "parent": parent, "base_hash": base_hash, "manifest_hash": manifest_hash}
        with says_disk_full(directory):
            if not _is_published(directory, checksum):
                with whole_directory(directory) as draft:
                    shutil.copytree(adapter, draft, dirs_exist_ok=True)
                    text = json.dumps({**record, "checksum": checksum, "scores": scores}, indent=1)
                    (draft / RECORD_FILE).write_text(text, encoding="utf-8")
        number = self._versions.record(
            NewVersion(
                directory=directory,
                checksum=checksum,
                base_hash=base_hash,
                manifest_hash=manifest_hash,
                parent=parent,
                run_id=run_id,
                scores=scores,
            )
        )
        version = self._versions.promote(number)
        self.settle_link()
        return version

    def settle_link(self) -> None:
        """Have the link name the version in service."""
        settle_link(self._versions, self._models)

    def prune(self, keep: int) -> list[Version]:
        """Remove the files of old versions; the one in service, and what it would be rolled back to, stay."""
        gone = [version for version in self._versions.prunable(keep) if self._versions.mark_pruned(version.number)]
        for version in gone:
            logger.info("%s is pruned: %s", version.name, version.directory)
            shutil.rmtree(version.directory, ignore_errors=True)
        return gone


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_published(directory: Path, checksum: str) -> bool:
    weights = directory / WEIGHTS_FILE
    return (directory / RECORD_FILE).is_file() and weights.is_file() and sha256_of(weights) == checksum
