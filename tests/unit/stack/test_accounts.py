"""Laws of the user that root's servers run as."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from stack.accounts import Account

STRANGER = Account(name="stranger", uid=54321, gid=54321)


def test_a_closed_parent_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(ConfigurationError, match="MATHCODE_DATA_DIR") as caught:
        STRANGER.require_reach(closed / "data")
    assert "stranger" in str(caught.value)


def test_permissions_are_looked_at_and_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not STRANGER.can_enter(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_the_root_directory_is_open_to_all() -> None:
    assert STRANGER.can_enter(Path("/"))
