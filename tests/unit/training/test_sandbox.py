"""Laws of the sandbox: a good program passes, a bad one fails, and neither harms anything."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import psutil
import pytest

from training.exercises import EXERCISES, body_of
from training.sandbox import passes

FORK_BOMB = "import os\nwhile True:\n    os.fork()"
UNHOOKED_FORK_BOMB = "import _posixsubprocess, multiprocessing\nimport os\nos.forkpty()"


def test_a_program_that_runs_to_its_end_passes() -> None:
    assert passes("import math\nassert math.gcd(12, 18) == 6")


@pytest.mark.parametrize(
    "source",
    [
        "assert 1 == 2",
        "def f(:",
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "x = bytearray(1 << 31)",
        "open('big', 'wb').write(bytes(1 << 22))",
        FORK_BOMB,
        UNHOOKED_FORK_BOMB,
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nassert set(os.environ) - {'LC_CTYPE'}",
    ],
)
def test_a_program_that_fails_or_reaches_out_does_not_pass(source: str) -> None:
    assert not passes(source)


def test_an_infinite_loop_is_ended_and_leaves_no_process() -> None:
    begun = time.monotonic()
    assert not passes("while True:\n    pass", timeout_s=1.0)
    assert time.monotonic() - begun < 10
    assert not [each for each in psutil.Process().children(recursive=True) if "-I" in each.cmdline()]


def test_huge_output_goes_nowhere() -> None:
    assert passes("for _ in range(200):\n    print('x' * 100_000)")


def test_a_listening_server_hears_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not passes(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that its sandbox cannot write to")
def test_files_of_others_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("as it was", encoding="utf-8")
    passes(f"open({str(file)!r}, 'w').write('changed')")
    assert file.read_text(encoding="utf-8") == "as it was"


def test_each_exercise_has_checks_that_a_missing_body_does_not_pass() -> None:
    assert len({exercise.prompt for exercise in EXERCISES}) == len(EXERCISES) == 20
    assert not any(passes(exercise.program("    return None")) for exercise in EXERCISES[::5])
    assert passes(EXERCISES[0].program("    return a + b\n\nthis is no python"))


def test_a_body_ends_at_the_first_line_that_is_not_indented() -> None:
    assert body_of("    return 1\n\n    # more\nprint(2)\n    x") == "    return 1\n\n    # more"
