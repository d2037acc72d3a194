"""Runs inside the sandbox, under `python -I -S`, and imports nothing of ours: locks itself in, runs a program.

Standard input: a JSON object with source, proof, memory_bytes, seconds. Once the program ran to its end, `proof`
is written to what was standard output; the program's own output goes nowhere.
"""

import ctypes
import importlib
import json
import os
import resource
import sys

NOBODY = 65_534
NEW_USER, NEW_NET = 0x10000000, 0x40000000
USEFUL = (
    *("bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "fractions", "functools", "heapq"),
    *("itertools", "math", "operator", "random", "re", "statistics", "string", "typing"),
)  # imported first: nobody may be unable to read the standard library
FORBIDDEN = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.system", "os.exec", "ctypes.", "os.kill")


def leave_networks() -> None:
    """Where the system allows it: a network of its own, with nothing in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NET) != 0:
        libc.unshare(NEW_USER | NEW_NET)


def become_nobody() -> None:
    """Root would be above the limit of processes."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def limit(memory_bytes: int, seconds: int) -> None:
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_NPROC, 1),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def refuse(event: str, _arguments: object) -> None:
    """Holds against accidents where networks cannot be left; a determined program gets past an audit hook."""
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"{event} is not for programs under test")


def main() -> None:
    task = json.load(sys.stdin)
    proof = os.dup(1)
    for name in USEFUL:
        importlib.import_module(name)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    leave_networks()
    become_nobody()
    limit(task["memory_bytes"], task["seconds"])
    code = compile(task["source"], "program", "exec")
    sys.addaudithook(refuse)
    exec(code, {"__name__": "program"})  # noqa: S102 - what all of this is for
    os.write(proof, task["proof"].encode())


if __name__ == "__main__":
    main()
