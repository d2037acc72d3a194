"""Where everything lies inside one data directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigurationError
from core.settings import SERVICES_FILE
from stack.accounts import Account, server_account
from stack.files import make_directory


@dataclass(frozen=True, slots=True)
class Layout:
    """The names inside a data directory. `create` makes them; nothing else here touches the disk."""

    data_dir: Path

    @property
    def run(self) -> Path:
        return self.data_dir / "run"

    @property
    def postgres(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def redis(self) -> Path:
        return self.data_dir / "redis"

    @property
    def binaries(self) -> Path:
        return self.data_dir / "bin"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def models(self) -> Path:
        return self.data_dir / "models"

    @property
    def secrets(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def services_file(self) -> Path:
        return self.data_dir / SERVICES_FILE

    @property
    def lock_file(self) -> Path:
        return self.run / "stack.lock"

    @property
    def state_file(self) -> Path:
        return self.run / "stack.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make what is missing; directories that exist keep their permissions."""
        passable = 0o711 if os.geteuid() == 0 else 0o700  # root's servers run as another user and must pass
        try:
            for path in reversed([self.data_dir, *self.data_dir.parents]):
                make_directory(path, mode=passable)
            for path in (self.run, self.models):
                make_directory(path, mode=passable)
            for path in (self.logs, self.secrets):
                make_directory(path, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the data directory {self.data_dir} cannot be used ({error.strerror}): {error.filename}; "
                "choose another MATHCODE_DATA_DIR"
            ) from error

    def account(self) -> Account | None:
        """The user the embedded servers run as; None for the user we are."""
        account = server_account(self.postgres)
        if account is not None:
            account.require_reach(self.data_dir)
        return account


@contextmanager
def scratch_data_dir() -> Iterator[Path]:
    """A fresh data directory that the servers of root can reach too; removed at the end."""
    parent = next((path for path in _temporary_directories() if _is_reachable(path)), Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix="mathcode-", dir=parent))
    try:
        if os.geteuid() == 0:
            path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _temporary_directories() -> list[Path]:
    return [path for path in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")) if path.is_dir()]  # noqa: S108


def _is_reachable(path: Path) -> bool:
    account = server_account(path)
    return account is None or account.can_enter(path)
