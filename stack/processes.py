"""The processes of the application, one line each; every one can be started alone with the same words."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping

from core.messages import ModelName
from core.settings import Settings
from stack.child import Command
from stack.layout import Layout

_CELERY = ("celery", "-q", "-A", "tasks.celery_app")
# Workers need not know of each other: the ledger knows them all. It also saves a second at each start.
_WORKER = (*_CELERY, "worker", "--without-gossip", "--without-mingle")

# Processes of one stage are stopped together; stages are stopped from the last to the first.
STAGES: tuple[Mapping[str, tuple[str, ...]], ...] = (
    {
        "flower": (*_CELERY, "flower"),
        "beat": (*_CELERY, "beat", "-s", "beat-schedule", "--pidfile="),
    },
    {
        "worker-light": (*_WORKER, "-Q", "light", "-n", "light@%h"),
        "worker-codestral": (*_WORKER, "-Q", "codestral", "-n", "codestral@%h"),
        "worker-mathstral": (*_WORKER, "-Q", "mathstral", "-n", "mathstral@%h"),
        "worker-training": (*_WORKER, "-Q", "training", "-n", "training@%h", "-c", "1"),
    },
    {
        "api": ("api",),
    },
)

QUEUES = (*(model.value for model in ModelName), "light", "training")
# A training saves before it ends; what it does is not begun anew.
TRAINING_STOP_S = 75.0


def app_commands(
    settings: Settings, layout: Layout, *, environment: Mapping[str, str], flower_password: str
) -> list[list[Command]]:
    """The stages as commands. Their working directory is `run`, which holds nothing Python could import."""

    def command(name: str, words: tuple[str, ...]) -> Command:
        own = _flower_environment(settings, flower_password) if name == "flower" else {}
        stop_s = 10.0 + (settings.drain_s if name.startswith(("api", "worker")) else 0.0)
        if name == "worker-training":
            stop_s = TRAINING_STOP_S
        return Command(
            name=name,
            argv=(sys.executable, "-m", *words),
            log=layout.log(name),
            cwd=layout.run,
            environment={**environment, **own},
            stop_steps=((signal.SIGTERM, stop_s),),
        )

    return [[command(name, words) for name, words in stage.items()] for stage in STAGES]


def _flower_environment(settings: Settings, password: str) -> dict[str, str]:
    """Flower's options; a password on the command line would be everybody's to read."""
    return {
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(settings.flower_port),
        "FLOWER_BASIC_AUTH": f"mathcode:{password}",
        "FLOWER_READ_ONLY": "true",
    }
