"""`/`: the page for people. Its files lie in `api/page`; it speaks to the routes under `/v1` as any client does.

What models write is shown by it, so the policy lets nothing in the page run or load but these files, and makes the
browser refuse to parse any text as HTML.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from api.openapi import Answer, describe
from api.services import services

INDEX = "index.html"
FLOWER_PORT = "FLOWER-PORT"
"""Stands in the index for the port of Flower."""

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_FILE_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked about by ETag: an upgrade is seen at once
    "Content-Security-Policy": "default-src 'none'",  # for who opens a picture by itself
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
_PAGE_HEADERS = {
    **_FILE_HEADERS,
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
}
"""What a browser heeds in a document alone is sent with the document alone: thirty files follow it."""
_TEXT = {"type": "string"}

blueprint = Blueprint("page", __name__)


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page, as it is sent; `zipped` is None where that would be no smaller."""

    content: bytes
    zipped: bytes | None
    media_type: str
    tag: str


@blueprint.get("/")
@describe("The page", tag="Page", answers={200: Answer("The page", media_type="text/html", schema=_TEXT)})
def index() -> ResponseReturnValue:
    return _send(_files(services().settings.flower_port)[INDEX], _PAGE_HEADERS)


@blueprint.get("/page/<path:name>")
@describe(
    "What the page loads",
    tag="Page",
    answers={200: Answer("A script, a style sheet or a font", media_type="text/*", schema=_TEXT)},
    errors=(404,),
)
def file(name: str) -> ResponseReturnValue:
    found = _files(services().settings.flower_port).get(name)
    if found is None or name == INDEX:
        raise NotFound(f"the page has no {name[:64]!r}: open /")
    return _send(found, _FILE_HEADERS)


def _send(file: File, headers: dict[str, str]) -> Response:
    is_zipped = file.zipped is not None and bool(request.accept_encodings["gzip"])
    response = Response(file.zipped if is_zipped else file.content, headers=headers)
    response.headers["Content-Type"] = file.media_type
    response.set_etag(f"{file.tag}-gzip" if is_zipped else file.tag)
    if is_zipped:
        response.headers["Content-Encoding"] = "gzip"
    response.make_conditional(request)
    return response


@cache
def _files(flower_port: int) -> dict[str, File]:
    """All files by their paths in the folder: some hundred kilobytes, read once."""
    folder = files("api").joinpath("page")
    return {name: _read(entry, flower_port) for name, entry in sorted(_walk(folder))}


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((f"{prefix}{entry.name}", entry))
    return found


def _read(entry: Traversable, flower_port: int) -> File:
    content = entry.read_bytes()
    if entry.name == INDEX:
        content = content.replace(FLOWER_PORT.encode(), str(flower_port).encode())
    zipped = gzip.compress(content, mtime=0)
    return File(
        content=content,
        zipped=zipped if len(zipped) < len(content) else None,
        media_type=_TYPES[entry.name.rpartition(".")[2]],
        tag=hashlib.sha256(content).hexdigest()[:32],
    )
