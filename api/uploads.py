"""Files that callers send: larger than other bodies, on their one route, and stored as they are parsed.

The server keeps a body beyond some hundred kilobytes on disk until it is whole; from there it goes to the ledger
in pieces. So an upload of any size costs no memory.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from flask import Request
from waitress.parser import HTTPRequestParser
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser

from core.batch_errors import StoredFileNotFound
from core.errors import BodyTooLarge, InvalidRequest
from core.files import FileStore, FileWriter, StoredFile
from core.idempotency import Once
from core.settings import Settings

PATH = "/v1/files"
FORM_BYTES = 524_288
"""What the other fields of the form may take, beside what the parser reads at once."""
MAX_FILENAME = 255


def upload_limit(settings: Settings) -> int:
    """Most bytes of the body that carries a file."""
    return settings.max_file_bytes + FORM_BYTES


def parser_for(limit: int) -> type[HTTPRequestParser]:
    """A parser of requests whose bodies end at `limit` bytes, but for those that carry a file."""

    class Parser(HTTPRequestParser):  # type: ignore[misc]
        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if not (self.command == "POST" and self.path == PATH):
                self.adj: Any = _Narrowed(self.adj, limit)

    return Parser


class _Narrowed:
    """The server's settings with another limit."""

    def __init__(self, settings: Any, max_request_body_size: int) -> None:
        self._settings = settings
        self.max_request_body_size = max_request_body_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the ledger that is not finished yet, and the fields that came with it; `digest` is its SHA-256."""

    fields: MultiDict[str, str]
    filename: str
    writer: FileWriter
    digest: bytes

    @property
    def fingerprint(self) -> bytes:
        """Of what was sent, apart from the boundaries between its parts, which differ each time."""
        told = [self.filename, *(part for item in sorted(self.fields.items(multi=True)) for part in item)]
        return hashlib.sha256(self.digest + json.dumps(told).encode()).digest()


def receive(request: Request, files: FileStore, *, key_id: str | None, most_bytes: int) -> Upload:
    """Store the one file of a multipart body. Raises InvalidRequest, with nothing left behind."""
    if request.mimetype != "multipart/form-data":
        raise InvalidRequest(
            "send the file as multipart/form-data, with the fields file and purpose", param="file"
        )
    request.max_content_length = most_bytes + FORM_BYTES
    writers: list[_Part] = []

    def begin(*_: Any, **__: Any) -> _Part:
        writers.append(_Part(files.create(purpose="batch", key_id=key_id), most_bytes))
        return writers[-1]

    try:
        parser = FormDataParser(
            cast(Any, begin),
            max_content_length=request.max_content_length,
            max_form_memory_size=FORM_BYTES,
            max_form_parts=20,
            silent=False,
        )
        fields, parts = _parse(parser, request)
        return Upload(fields, _filename(parts), writers[0].writer, writers[0].digest)
    except BaseException:
        for part in writers:
            part.writer.discard()
        raise


def finish(upload: Upload, *, lives_s: int | None, once: Once | None) -> StoredFile:
    """Make it a file, or find the one that `once` stands for. Raises InvalidRequest or IdempotencyConflict."""
    if upload.writer.size_bytes == 0:
        raise InvalidRequest("the file is empty: send one with a line for each request", param="file")
    try:
        return upload.writer.finish(filename=upload.filename, lives_s=lives_s, once=once)
    except StoredFileNotFound:
        raise InvalidRequest("the upload took too long and was removed: send it again", param="file") from None


class _Part:
    """Where the parser writes a file's content."""

    def __init__(self, writer: FileWriter, most_bytes: int) -> None:
        self.writer = writer
        self._most_bytes = most_bytes
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def write(self, content: bytes) -> int:
        if self.writer.size_bytes + len(content) > self._most_bytes:
            raise BodyTooLarge(f"the file is larger than {self._most_bytes} bytes: send several smaller ones")
        self._hash.update(content)
        return self.writer.write(content)

    def seek(self, _position: int) -> None:
        """The parser rewinds what it has written; nobody reads from here."""


def _parse(parser: FormDataParser, request: Request) -> tuple[MultiDict[str, str], MultiDict[str, Any]]:
    try:
        _, fields, parts = parser.parse_from_environ(request.environ)
    except ValueError:
        raise InvalidRequest("the body is not valid multipart/form-data: send it again", param="file") from None
    return fields, parts


def _filename(parts: MultiDict[str, Any]) -> str:
    """The last part of its name; exactly one file is sent, in the field `file`."""
    if list(parts) != ["file"] or len(parts.getlist("file")) != 1:
        raise InvalidRequest("send exactly one file, in the field file, with a file name", param="file")
    name = str(parts["file"].filename or "").replace("\\", "/").rpartition("/")[2]
    if not name or len(name) > MAX_FILENAME or not name.isprintable():
        problem = f"the file's name must have 1 to {MAX_FILENAME} printable characters: change it"
        raise InvalidRequest(problem, param="file")
    return name
