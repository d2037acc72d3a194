"""`/v1/training`: how continuous training stands, and the curve of each run. Nothing is changed from here."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.formats.schemas import RunWithStepsBody, TrainingBody
from api.formats.training import render_run, render_training
from api.openapi import Answer, describe
from api.services import services
from core.manifests import ManifestStore
from core.model_versions import VersionStore
from core.training_runs import RunStore

LISTED = 20

blueprint = Blueprint("training", __name__, url_prefix="/v1/training")


@blueprint.get("")
@describe("Continuous training", tag="Training", answers={200: Answer("How it stands", TrainingBody)})
def overview() -> ResponseReturnValue:
    s = services()
    corpus = ManifestStore(s.database).corpus(min_quality_score=s.settings.min_quality_score)
    serving, runs = VersionStore(s.database).serving(), RunStore(s.database).latest(LISTED)
    view = render_training(corpus=corpus, min_new_files=s.settings.min_new_files, serving=serving, runs=runs)
    return jsonify(view)


@blueprint.get("/runs/<int(max=2147483647):run_id>")
@describe(
    "One training run", tag="Training", answers={200: Answer("With its curve", RunWithStepsBody)}, errors=(404,)
)
def show(run_id: int) -> ResponseReturnValue:
    runs = RunStore(services().database)
    return jsonify(render_run(runs.get(run_id), runs.steps(run_id)))
