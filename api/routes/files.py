"""`/v1/files`: upload, list, show, download, delete."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api import uploads
from api.callers import caller
from api.formats import batches as formats
from api.formats import openai_schemas as schemas
from api.openapi import Answer, describe
from api.server import HELD_BACK
from api.services import services
from api.submitting import REPLAYED, SUBMISSION_HEADERS, read_key
from core.idempotency import Once

TAG = "OpenAI: files and batches"

blueprint = Blueprint("files", __name__, url_prefix="/v1/files")


@blueprint.post("")
@describe(
    "Upload a file",
    tag=TAG,
    content=schemas.upload_content(),
    answers={200: Answer("The file", schemas.FileBody)},
    errors=(409, 413),
    headers={"Idempotency-Key": SUBMISSION_HEADERS["Idempotency-Key"]},
)
def upload() -> ResponseReturnValue:
    s, key, key_id = services(), read_key(), caller().key_id
    received = uploads.receive(request, s.files, key_id=key_id, most_bytes=s.settings.max_file_bytes)
    try:
        fields = formats.parse_file_fields(received.fields)
        once = Once(scope=key_id or "", key=key, fingerprint=received.fingerprint) if key is not None else None
        stored = uploads.finish(received, lives_s=fields.seconds, once=once)
    except BaseException:
        received.writer.discard()
        raise
    is_replayed = stored.id != received.writer.id
    return jsonify(formats.render_file(stored)), 200, REPLAYED if is_replayed else {}


@blueprint.get("")
@describe(
    "List files",
    tag=TAG,
    query=formats.FilePage,
    answers={200: Answer("One page", schemas.FileListBody)},
    errors=(404,),
)
def page() -> ResponseReturnValue:
    query = formats.parse_file_page(request.args)
    files = services().files.page(
        key_id=caller().key_id,
        after=query.after,
        limit=query.limit + 1,
        is_ascending=query.order == "asc",
        purpose=query.purpose,
    )
    return jsonify(formats.render_file_page(files, query.limit))


@blueprint.get("/<file_id>")
@describe("Read about a file", tag=TAG, answers={200: Answer("The file", schemas.FileBody)}, errors=(404,))
def show(file_id: str) -> ResponseReturnValue:
    return jsonify(formats.render_file(services().files.get(file_id, key_id=caller().key_id)))


@blueprint.get("/<file_id>/content")
@describe(
    "Download a file",
    tag=TAG,
    answers={200: Answer("Its bytes", media_type="application/octet-stream", schema=schemas.BINARY)},
    errors=(404,),
)
def content(file_id: str) -> ResponseReturnValue:
    s = services()
    file = s.files.get(file_id, key_id=caller().key_id)
    headers = {"Content-Length": str(file.size_bytes), "X-Content-Type-Options": "nosniff"}
    seat = s.seats.take() if file.size_bytes > HELD_BACK else None  # its thread waits for a slow client
    response = Response(s.files.read(file.id), mimetype="application/octet-stream", headers=headers)
    if seat is not None:
        response.call_on_close(seat.leave)
    return response


@blueprint.delete("/<file_id>")
@describe(
    "Delete a file that no open batch reads",
    tag=TAG,
    answers={200: Answer("It is gone", schemas.DeletedFileBody)},
    errors=(404, 409),
)
def delete(file_id: str) -> ResponseReturnValue:
    services().files.delete(file_id, key_id=caller().key_id)
    return jsonify({"id": file_id, "object": "file", "deleted": True})
