"""`/v1/batches`: create, list, show, cancel. The light worker does the rest."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from api.callers import caller
from api.formats import batches as formats
from api.services import services
from api.submitting import REPLAYED, read_once

blueprint = Blueprint("batches", __name__, url_prefix="/v1/batches")


@blueprint.post("")
def create() -> ResponseReturnValue:
    s = services()
    new, once = formats.parse_batch(request.get_data(), key_id=caller().key_id), read_once()
    batch, is_replayed = s.batches.create_once(new, once) if once else (s.batches.create(new), False)
    s.doorbell.announce_batches()
    return jsonify(formats.render_batch(batch)), 200, REPLAYED if is_replayed else {}


@blueprint.get("")
def page() -> ResponseReturnValue:
    query = formats.parse_batch_page(request.args)
    batches = services().batches.page(key_id=caller().key_id, after=query.after, limit=query.limit + 1)
    return jsonify(formats.render_batch_page(batches, query.limit))


@blueprint.get("/<batch_id>")
def show(batch_id: str) -> ResponseReturnValue:
    return jsonify(formats.render_batch(services().batches.get(batch_id, key_id=caller().key_id)))


@blueprint.post("/<batch_id>/cancel")
def cancel(batch_id: str) -> ResponseReturnValue:
    s = services()
    batch = s.batches.request_cancel(batch_id, key_id=caller().key_id)
    s.doorbell.announce_batches()
    return jsonify(formats.render_batch(batch))
