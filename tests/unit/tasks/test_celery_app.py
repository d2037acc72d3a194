"""Laws of a Celery process that is started alone with settings that will not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from tasks.celery_app import Application
from tests.harness import ROOT

CLEAN = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}


@pytest.mark.parametrize("words", [("worker", "-Q", "light"), ("beat",)])
@pytest.mark.parametrize(
    ("variable", "value", "said"), [("MATHCODE_SLOTS", "0", "bad settings"), ("X", "", "REDIS_URL")]
)
def test_it_ends_with_one_sentence_and_78(
    words: tuple[str, ...], variable: str, value: str, said: str, tmp_path: Path
) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks.celery_app", *words],
        cwd=ROOT,
        env={**CLEAN, "MATHCODE_DATA_DIR": str(tmp_path), variable: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 78, finished.stderr
    assert finished.stderr.startswith("Error: ")
    assert said in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_others_get_the_error_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    (tmp_path / "refusing.py").write_text(
        "from core.errors import ConfigurationError\nraise ConfigurationError('bad settings')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match="bad settings"):
        _ = Application("refused", config_source="refusing").conf.broker_url
