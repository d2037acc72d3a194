"""The command `git`, kept from what a repository could make it do: hooks, prompts, protocols, submodules."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.errors import ConfigurationError, SourceUnusable
from core.settings import child_environment

PROTOCOLS = ("https", "ssh", "file")
CLONE_TIMEOUT_S = 900.0
ASK_TIMEOUT_S = 60.0

_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never")
_SSH_PLACE = re.compile(r"(?:[\w.-]+@)?[\w.-]+\.[\w.-]+:(?!//)\S+")  # git@host.example:owner/name


def blob_hash(data: bytes) -> str:
    """The name git gives to a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def is_url(source: str) -> bool:
    """Whether `source` names a repository elsewhere. Raises SourceUnusable for a protocol that is not allowed."""
    scheme, separator, _ = source.partition("://")
    if separator and scheme in PROTOCOLS:
        return True
    if separator or "::" in source:
        raise SourceUnusable(source, f"give a URL of {', '.join(PROTOCOLS)}, or a path")
    return _SSH_PLACE.fullmatch(source) is not None and not Path(source).exists()


def clone(url: str, into: Path, *, timeout_s: float = CLONE_TIMEOUT_S) -> None:
    """Fetch the newest state of a repository, and nothing else of it. Raises SourceUnusable."""
    options = ("--depth=1", "--single-branch", "--no-tags", "--no-recurse-submodules", "--template=", "--quiet")
    if url.startswith("-"):
        raise SourceUnusable(url, "a URL does not begin with a dash")
    status, _, complaint = _run("clone", *options, "--", url, str(into), timeout_s=timeout_s)
    if status is None:
        raise SourceUnusable(url, f"was not cloned within {timeout_s:.0f} s")
    if status != 0:
        raise SourceUnusable(url, f"cannot be cloned: {_first_line(complaint)}")


def root_of(directory: Path) -> Path | None:
    """The repository a directory belongs to, found without asking git."""
    found = (place for place in (directory, *directory.parents) if os.path.lexists(place / ".git"))
    return next(found, None)


def head(root: Path) -> str | None:
    """The commit that is checked out, or None where there is none or git does not trust the directory."""
    return _ask(root, "rev-parse", "--verify", "--quiet", "HEAD")


def tracked(root: Path) -> list[str] | None:
    """Paths of the files under version control, or None where git does not say."""
    answer = _ask(root, "ls-files", "-z", "--cached")
    return None if answer is None else sorted({path for path in answer.split("\0") if path})


def name_of(root: Path) -> str:
    """What a repository is called: where it comes from, else where it lies."""
    origin = _ask(root, "config", "--local", "--get", "remote.origin.url")
    return name_of_url(origin) if origin else str(root)


def name_of_url(url: str) -> str:
    """`host/owner/name`, the same for every protocol and without anything secret; of `file:`, the path."""
    if "://" in url:
        parts = urlsplit(url)
        host, path = parts.hostname or "", unquote(parts.path)
    else:
        before, colon, after = url.partition(":")
        host, path = (before.rpartition("@")[2], "/" + after) if colon else ("", url)
    return (host + path).rstrip("/").removesuffix(".git") or "unnamed"


def _ask(root: Path, *words: str) -> str | None:
    status, answer, _ = _run("-C", str(root), *words, timeout_s=ASK_TIMEOUT_S)
    return os.fsdecode(answer).rstrip("\n") if status == 0 else None


def _run(*words: str, timeout_s: float) -> tuple[int | None, bytes, bytes]:
    """Exit status (None: took too long), output and complaints; children do not outlive this call."""
    try:
        process = subprocess.Popen(
            ["git", *_SAFE, *words],  # noqa: S607 -- whichever git the operator has
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ConfigurationError("git is not installed: install it, or give paths of plain directories") from error
    with process:
        try:
            output, complaint = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None, b"", b""
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output, complaint


def _environment() -> dict[str, str]:
    """Without what an enclosing git left there, such as GIT_DIR."""
    inherited = {name: value for name, value in child_environment().items() if not name.startswith("GIT_")}
    return {
        **inherited,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def _first_line(complaint: bytes) -> str:
    """What went wrong; git's and ssh's further lines are advice."""
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines()]
    reasons = (line for line in lines if line and not line.lower().startswith("warning:"))
    return next(reasons, "no reason was given")
