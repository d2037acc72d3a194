"""What the small pair is trained on is right, the same every time, and apart from what it is measured on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import sympy

from core.messages import ModelName
from ensemble.engine.tokenizer import load_tokenizer, packaged_tokenizer_file
from training.mini.code_wording import ask_for, imperative
from training.mini.encoding import TOKENIZER, Encoder
from training.mini.examples import KINDS, Example, tasks, topics
from training.mini.families import all_tasks
from training.mini.mixture import MAKERS
from training.mini.problem import Kind, final_answer
from training.mini.quality import grade, problems, reference
from training.mini.sentencepieces import read_pieces, write_pieces
from training.mini.wording import Split, phrasings_of, seeded


def made(model: ModelName, split: Split, count: int = 200) -> list[Example]:
    rng = random.Random(11)
    return [MAKERS[model](rng, split) for _ in range(count)]


@pytest.mark.parametrize("model", list(ModelName))
def test_the_same_seed_makes_the_same_examples(model: ModelName) -> None:
    assert made(model, Split.TRAIN) == made(model, Split.TRAIN)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_sympy_agrees_with_every_answer(kind: Kind) -> None:
    rng, names = random.Random(5), dict(vars(sympy))
    names["x"], names["y"] = sympy.symbols("x y")
    for _ in range(4):
        problem = kind.make(rng)
        assert eval(problem.claim, names), problem  # noqa: S307
        assert final_answer(problem.solution) == problem.answer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_phrasing_is_both_trained_and_held_out(kind: Kind) -> None:
    trained, held_out = (set(phrasings_of(kind.phrasings, split)) for split in Split)
    assert trained
    assert held_out
    assert not trained & held_out
    assert len(set(kind.phrasings)) == len(kind.phrasings)


def test_every_reference_solution_passes_its_checks() -> None:
    for task in all_tasks():
        space: dict[str, Any] = {"__name__": "program", "print": lambda *_: None}
        exec(compile(task.program(task.code), task.name, "exec", dont_inherit=True), space)  # noqa: S102
        assert task.checks, task.name


def test_held_out_tasks_are_never_asked_for_in_training() -> None:
    held_out = {task.name for task in tasks(held_out=True)}
    assert len(held_out) > 40
    seen = {example.task.name for example in made(ModelName.CODESTRAL, Split.TRAIN, 3000) if example.task}
    assert not seen & held_out
    assert not {topic.task for topic in topics()} & held_out


def test_a_held_out_wording_differs_from_all_trained_ones() -> None:
    task = next(task for task in tasks(held_out=False) if task.name == "gcd")
    rng = random.Random(3)
    trained = {ask_for(task, rng, Split.TRAIN)[0] for _ in range(3000)}
    held_out = {ask_for(task, rng, Split.HELD_OUT)[0] for _ in range(100)}
    assert not trained & held_out


def test_splits_draw_from_different_seeds() -> None:
    assert seeded(0, Split.TRAIN, "x").random() != seeded(0, Split.HELD_OUT, "x").random()


@pytest.mark.parametrize("model", list(ModelName))
def test_training_shows_exactly_the_tokens_that_serving_shows(model: ModelName) -> None:
    tokenizer, encoder = load_tokenizer(TOKENIZER.parent), Encoder()
    for example in made(model, Split.TRAIN):
        prompt, answer = encoder.both(example)
        assert tokenizer.encode(example.shown) == prompt
        if example.shown[-1].role != "text":
            assert tokenizer.decode(answer) == example.written


def test_every_text_survives_the_trimmed_vocabulary() -> None:
    tokenizer = load_tokenizer(TOKENIZER.parent)
    for text in ("Grüße, 中文, 😀", "\tif x:\n\t\treturn 1", "2x^2 + 5x - 3 = 0"):
        assert tokenizer.decode(tokenizer.encode_text(text)) == text


def test_a_vocabulary_is_written_as_it_was_read() -> None:
    whole = packaged_tokenizer_file().read_bytes()
    assert write_pieces(*read_pieces(whole)) == whole
    assert TOKENIZER.name == packaged_tokenizer_file().name or Path(TOKENIZER).is_file()


def test_a_perfect_model_is_graded_perfect_and_a_silent_one_is_not() -> None:
    asked = [*problems(ModelName.MATHSTRAL, 1), *problems(ModelName.CODESTRAL, 1)[:3]]
    assert all(each.is_right for each in grade(asked, [reference(example) for example in asked]))
    assert not any(each.is_right for each in grade(asked, [""] * len(asked)))


def test_descriptions_become_requests() -> None:
    assert imperative("returns the sum") == "return the sum"
    assert imperative("searches a list") == "search a list"
    assert imperative("multiplies two numbers") == "multiply two numbers"
    assert imperative("is a stack") == "is a stack"
