"""The link that names the version in service, for people and scripts; the registry is the truth.

models/mamba_codestral_current    leads to the directory in service; absent where that is the base model
"""

from __future__ import annotations

import os
from pathlib import Path

from core.disk import sync
from core.model_versions import VersionStore

LINK = "mamba_codestral_current"


def settle_link(versions: VersionStore, models: Path) -> None:
    """Have the link in `models` name the version in service. Raises DatabaseUnavailable or OSError."""
    serving, link = versions.serving(), models / LINK
    if serving is None:
        link.unlink(missing_ok=True)
        return
    models.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{LINK}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(serving.directory, models))
    draft.replace(link)
    sync(models)
