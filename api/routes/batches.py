"""`/v1/batches`: create, list, show, cancel. The light worker does the rest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from api.callers import caller
from api.formats import batches as formats
from api.formats import openai_schemas as schemas
from api.openapi import Answer, describe
from api.routes.files import TAG
from api.services import services
from api.submitting import REPLAYED, SUBMISSION_HEADERS, read_once
from core.batches import Batch, NewBatch

blueprint = Blueprint("batches", __name__, url_prefix="/v1/batches")


@blueprint.post("")
@describe(
    "Make a batch of a file",
    tag=TAG,
    body=schemas.NewBatchBody,
    answers={200: Answer("The batch, which will end", schemas.BatchView)},
    errors=(404, 409, 413, 429),
    headers={"Idempotency-Key": SUBMISSION_HEADERS["Idempotency-Key"]},
)
def create() -> ResponseReturnValue:
    s = services()
    networks, default = s.settings.webhook_networks, s.settings.default_webhook_url
    new = formats.parse_batch(request.get_data(), key_id=caller().key_id, webhook_networks=networks)
    batch, is_replayed = _create(replace(new, webhook_url=new.webhook_url or default))
    s.doorbell.announce_batches()
    return jsonify(formats.render_batch(batch)), 200, REPLAYED if is_replayed else {}


def _create(new: NewBatch) -> tuple[Batch, bool]:
    """The batch, and whether an earlier request made it."""
    s, once = services(), read_once()
    admit = partial(s.gate.admit_batch, new.key_id)
    if once is not None:
        return s.batches.create_once(new, once, admit=admit)
    admit()
    return s.batches.create(new), False


@blueprint.get("")
@describe(
    "List batches, newest first",
    tag=TAG,
    query=formats.BatchPage,
    answers={200: Answer("One page", schemas.BatchListBody)},
    errors=(404,),
)
def page() -> ResponseReturnValue:
    query = formats.parse_batch_page(request.args)
    batches = services().batches.page(key_id=caller().key_id, after=query.after, limit=query.limit + 1)
    return jsonify(formats.render_batch_page(batches, query.limit))


@blueprint.get("/<batch_id>")
@describe("Read a batch", tag=TAG, answers={200: Answer("The batch", schemas.BatchView)}, errors=(404,))
def show(batch_id: str) -> ResponseReturnValue:
    return jsonify(formats.render_batch(services().batches.get(batch_id, key_id=caller().key_id)))


@blueprint.post("/<batch_id>/cancel")
@describe("Cancel a batch", tag=TAG, answers={200: Answer("The batch", schemas.BatchView)}, errors=(404, 409))
def cancel(batch_id: str) -> ResponseReturnValue:
    s = services()
    batch = s.batches.request_cancel(batch_id, key_id=caller().key_id)
    s.doorbell.announce_batches()
    return jsonify(formats.render_batch(batch))
