"""Laws of building an engine from settings."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import CheckpointError, ConfigurationError
from core.messages import ChatMessage, Completion, ModelName, Sampling
from core.settings import Settings, child_environment
from core.work import Work
from ensemble.engine.build import build_engine
from ensemble.engine.detokenizer import REPLACEMENT
from ensemble.engine.loading import load_network
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import CONFIG_FILE

ENDS_EARLY = """
from core.messages import ChatMessage, ModelName, Sampling
from core.settings import read_settings
from core.work import Work
from ensemble.engine.build import build_engine
engine = build_engine(ModelName.CODESTRAL, read_settings())
messages = (ChatMessage(role="user", content="x"),)
stream = engine.generate(Work(messages=messages, sampling=Sampling(max_tokens=9000)))
print(type(next(stream)).__name__)
"""
CopyOf = Callable[[ModelName], Path]


def settings(data_dir: Path, **variables: Any) -> Settings:
    return Settings(**{"MATHCODE_DATA_DIR": data_dir, "MATHCODE_PROFILE": "tiny", **variables})


@pytest.mark.parametrize("model", list(ModelName))
def test_an_empty_data_directory_is_enough_for_the_tiny_profile(tmp_path: Path, model: ModelName) -> None:
    engine = build_engine(model, settings(tmp_path))
    *_, outcome = engine.generate(
        Work(messages=(ChatMessage(role="user", content="x"),), sampling=Sampling(max_tokens=2))
    )
    engine.close()
    assert isinstance(outcome, Completion)
    assert outcome.version == f"{model}-tiny-random"
    assert (tmp_path / "models" / "tiny" / model / CONFIG_FILE).is_file()


def test_the_checkpoints_own_context_limit_is_kept(tmp_path: Path, copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    path = directory / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_position_embeddings": 77}))
    engine = build_engine(ModelName.MATHSTRAL, settings(tmp_path, MATHCODE_MATHSTRAL=str(directory)))
    engine.close()
    assert (engine.context_tokens, engine.version) == (77, directory.name)


def test_a_missing_directory_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent"):
        build_engine(ModelName.CODESTRAL, settings(tmp_path, MATHCODE_CODESTRAL=str(tmp_path / "absent")))


def test_four_bits_on_the_cpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nf4"):
        build_engine(ModelName.MATHSTRAL, settings(tmp_path, MATHCODE_WEIGHTS="nf4"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", list(ModelName))
def test_greedy_text_is_that_of_generate_on_the_same_weights(tmp_path: Path, model: ModelName) -> None:
    given = settings(tmp_path)
    engine = build_engine(model, given)
    directory = tmp_path / "models" / "tiny" / model
    network = load_network(model, directory, device=given.device, weights=given.weights)
    tokenizer = load_tokenizer(directory)
    for prompt in ("Solve the equation", "Implement a binary search tree in Python", "word " * 300):
        messages = (ChatMessage(role="user", content=prompt),)
        *_, outcome = engine.generate(Work(messages=messages, sampling=Sampling(max_tokens=48)))
        shown = torch.tensor([tokenizer.encode(messages)])
        generated = network.generate(
            shown, attention_mask=torch.ones_like(shown), max_new_tokens=48, do_sample=False
        )
        assert isinstance(outcome, Completion)
        assert outcome.text == tokenizer.decode(generated[0, shown.shape[1] :].tolist())
    engine.close()


@pytest.mark.parametrize("model", list(ModelName))
def test_bare_text_is_continued_to_the_letter(tmp_path: Path, model: ModelName) -> None:
    """Nothing that the tokens say is missing, not even a space before the first word."""
    engine, openings = build_engine(model, settings(tmp_path)), set()
    for seed in range(12):
        work = Work(
            messages=(ChatMessage(role="text", content="def f(x):"),),
            sampling=Sampling(max_tokens=3, logprobs=0, temperature=1.5, seed=seed),
        )
        *_, outcome = engine.generate(work)
        assert isinstance(outcome, Completion)
        said = b"".join(bytes(token.bytes) for token in outcome.logprobs or ())
        assert outcome.text == said.decode(errors="replace").replace("\0", REPLACEMENT)
        openings.add(outcome.text[:1])
    assert " " in openings
    engine.close()


def test_a_process_may_end_while_its_engine_is_working(tmp_path: Path) -> None:
    environment = child_environment(MATHCODE_DATA_DIR=str(tmp_path), MATHCODE_PROFILE="tiny")
    command = [sys.executable, "-c", ENDS_EARLY]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stdout) == (0, "Delta\n"), finished.stderr


def test_a_device_without_room_is_one_sentence_for_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ensemble.engine.mamba2_network.allocate", lacking)
    with pytest.raises(ConfigurationError, match="MATHCODE_SLOTS"):
        build_engine(ModelName.CODESTRAL, settings(tmp_path))
