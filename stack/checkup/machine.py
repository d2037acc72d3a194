"""Checks of this machine: versions, memory, disk, ports."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from core.messages import ModelName
from core.options import Profile, Weights
from core.settings import Settings
from stack.checkup.finding import Finding, failed, ok, warning
from stack.layout import Layout
from stack.lock import running_stack

GIB = 2**30
OLDEST_PYTHON = (3, 11)
# A checkpoint of 7B in bf16, and as much again for versions, the ledger and logs; the small pair takes 100 MB.
FULL_DISK_BYTES = {True: 2 * 15 * GIB, False: 10 * GIB}
SMALL_DISK_BYTES = GIB
LEAST_MEMORY_BYTES = {
    Profile.FULL: 16 * GIB,
    Profile.MINI: 4 * GIB,
    Profile.TINY: 4 * GIB,
    Profile.SCRIPTED: 2 * GIB,
}


def check_machine(settings: Settings) -> Iterator[Finding]:
    yield _python()
    yield _packages()
    yield _memory(settings)
    yield _disk(settings)
    yield from _ports(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return failed("python", version, "install Python 3.11 or newer and make the virtual environment anew")
    return ok("python", version)


def _packages() -> Finding:
    """Those that this installation names, by their lower and upper bounds."""
    wrong: list[str] = []
    needed = [Requirement(text) for text in requires("mathcode") or ()]
    for need in [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]:
        try:
            version = distribution(need.name).version
        except PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} {version} is not {need.specifier}")
    if wrong:
        return failed("packages", "; ".join(wrong), "install again: pip install -c constraints.txt -e .")
    return ok("packages", f"{len(needed)} as declared")


def _memory(settings: Settings) -> Finding:
    total = psutil.virtual_memory().total
    words = f"{total / GIB:.1f} GiB, {os.cpu_count()} cores"
    if total < LEAST_MEMORY_BYTES[settings.profile]:
        least = LEAST_MEMORY_BYTES[settings.profile] / GIB
        return warning("memory", words, f"profile {settings.profile} wants {least:.0f} GiB: expect swapping")
    return ok("memory", words)


def _disk(settings: Settings) -> Finding:
    place = _nearest(settings.data_dir)
    if not place.is_dir() or not os.access(place, os.W_OK):
        remedy = "choose another MATHCODE_DATA_DIR, or give this user the right to write there"
        return failed("disk", f"{settings.data_dir} cannot be written", remedy)
    free = shutil.disk_usage(place).free
    wanted = _wanted_disk(settings)
    words = f"{free / GIB:.1f} GiB free for {settings.data_dir}"
    if free < wanted:
        return failed("disk", words, f"{wanted / GIB:.0f} GiB are needed: make room, or move MATHCODE_DATA_DIR")
    return ok("disk", words)


def _wanted_disk(settings: Settings) -> int:
    if settings.profile is not Profile.FULL:
        return SMALL_DISK_BYTES
    return FULL_DISK_BYTES[any(settings.checkpoint(model) is None for model in ModelName)]


def _nearest(path: Path) -> Path:
    """The directory itself, or the first above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _ports(settings: Settings) -> Iterator[Finding]:
    holder = running_stack(Layout(settings.data_dir))
    wanted = [
        ("MATHCODE_PORT", settings.host, settings.port),
        ("MATHCODE_FLOWER_PORT", "127.0.0.1", settings.flower_port),
    ]
    if settings.trainer_port:
        wanted.append(("MATHCODE_TRAINER_PORT", settings.host, settings.trainer_port))
    for variable, host, port in wanted:
        if holder is not None:
            yield ok(f"port {port}", "of the stack that runs here")
        else:
            yield _port(variable, host, port)


def _port(variable: str, host: str, port: int) -> Finding:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return failed(f"port {port}", f"cannot be used on {host}: {reason}", f"set {variable} to a free port")
    return ok(f"port {port}", "free")


def weights_bytes(weights: Weights) -> int:
    """Of one 7B model on its card, with what a worker needs beside it (docs/performance.md)."""
    return {Weights.NF4: 6 * GIB, Weights.BF16: 17 * GIB, Weights.FP32: 31 * GIB}[weights]
