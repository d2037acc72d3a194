"""What language a file is in, by its name or its first line; only those that programs are written in count."""

from __future__ import annotations

from pathlib import PurePosixPath

from identify.identify import tags_from_filename
from identify.interpreters import INTERPRETERS

# The first that applies is the language: several tags can stand for one extension (`.h` is C and C++).
_LANGUAGES = (
    "python",
    "cython",
    "cuda",
    "c",
    "c++",
    "c#",
    "f#",
    "objective-c",
    "objective-c++",
    "rust",
    "go",
    "java",
    "kotlin",
    "scala",
    "groovy",
    "clojure",
    "clojurescript",
    "ts",
    "tsx",
    "javascript",
    "jsx",
    "coffee",
    "vue",
    "svelte",
    "dart",
    "swift",
    "ruby",
    "crystal",
    "elixir",
    "erlang",
    "gleam",
    "elm",
    "haskell",
    "ocaml",
    "purescript",
    "idris",
    "lean",
    "scheme",
    "perl",
    "php",
    "lua",
    "luau",
    "julia",
    "r",
    "fortran",
    "pascal",
    "nim",
    "zig",
    "vala",
    "solidity",
    "sql",
    "powershell",
    "bash",
    "zsh",
    "fish",
    "csh",
    "shell",
    "asm",
    "verilog",
    "system-verilog",
    "vhdl",
    "metal",
    "hlsl",
    "awk",
    "vim",
    "cmake",
    "makefile",
    "nix",
    "proto",
    "thrift",
)
_NAMES = {
    "c++": "cpp",
    "c#": "csharp",
    "f#": "fsharp",
    "ts": "typescript",
    "tsx": "typescript",
    "jsx": "javascript",
    "bash": "shell",
    "zsh": "shell",
    "csh": "shell",
}
_LONGEST_SHEBANG = 256


def language(path: str, data: bytes) -> str | None:
    """The language, or None where it is no program: data, prose, unknown."""
    tags = tags_from_filename(PurePosixPath(path).name)
    return _language_of(tags) or (None if tags else _by_shebang(data))


def _by_shebang(data: bytes) -> str | None:
    if not data.startswith(b"#!"):
        return None
    first = data[:_LONGEST_SHEBANG].partition(b"\n")[0]
    words = first[2:].decode("utf-8", "replace").split()
    names = [word.rsplit("/", 1)[-1] for word in words if not word.startswith("-")]
    for name in names[1:] if names[:1] == ["env"] else names[:1]:
        if found := _language_of(_interpreter_tags(name)):
            return found
    return None


def _interpreter_tags(name: str) -> set[str]:
    while name not in INTERPRETERS and "." in name:  # python3.11
        name = name.rpartition(".")[0]
    return set(INTERPRETERS.get(name, ()))


def _language_of(tags: set[str]) -> str | None:
    tag = next((tag for tag in _LANGUAGES if tag in tags), None)
    return None if tag is None else _NAMES.get(tag, tag)
