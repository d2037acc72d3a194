"""What the small pair is trained on is right, the same every time, and apart from what it is measured on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import sympy

from core.messages import ModelName
from ensemble.engine.tokenizer import load_tokenizer, packaged_tokenizer_file
from training.mini import stories
from training.mini.code_wording import ask_for, imperative, paraphrased
from training.mini.encoding import TOKENIZER, Encoder
from training.mini.examples import KINDS, Example, continue_docstring, tasks, topics
from training.mini.families import all_tasks
from training.mini.mixture import MAKERS
from training.mini.problem import Kind, final_answer
from training.mini.quality import grade, problems, reference
from training.mini.sentencepieces import read_pieces, write_pieces
from training.mini.wording import (
    Split,
    drawn,
    form_of,
    further,
    phrasings_of,
    respelled,
    roughened,
    seeded,
    variants,
)


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


STORIES_AND_WEAK = (
    "derivatives", "derivatives by the product rule", "integrals", "definite integrals", "values of polynomials",
    "linear equations with brackets", "systems of equations", "determinants", "eigenvalues", "remainders",
    "powers", "factorials", "medians", *(kind.name for kind in stories.KINDS),
)  # fmt: skip


@pytest.mark.parametrize("name", STORIES_AND_WEAK)
def test_what_is_asked_in_words_has_many_phrasings(name: str) -> None:
    phrasings = next(kind.phrasings for kind in KINDS if kind.name == name)
    assert len(phrasings) >= 20
    assert len(phrasings_of(phrasings, Split.HELD_OUT)) >= 4


def held_out_forms(phrasings: tuple[str, ...]) -> set[str]:
    return {form_of(v) for p in phrasings_of(phrasings, Split.HELD_OUT) for v in variants(p)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_choice_inside_a_trained_phrasing_makes_a_held_out_one(kind: Kind) -> None:
    rng, held_out = random.Random(9), held_out_forms(kind.phrasings)
    for _ in range(400):
        assert form_of(drawn(kind.phrasings, rng, Split.TRAIN)) not in held_out
        assert form_of(drawn(kind.phrasings, rng, Split.HELD_OUT)) in held_out


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_phrasing_can_be_filled_in(kind: Kind) -> None:
    asked = kind.make(random.Random(2)).asked
    for phrasing in kind.phrasings:
        for variant in list(variants(phrasing))[:20]:
            assert "<" not in variant
            assert "{" not in variant.format(**asked)


def test_a_trained_phrasing_gives_way_to_a_held_out_one_that_it_could_become() -> None:
    phrasings = ("<Add|Sum> {e}", "b {e}", "c {e}", "d {e}", "Sum: {e}.")
    rng = random.Random(1)
    texts = {drawn(phrasings, rng, Split.TRAIN) for _ in range(200)}
    assert texts == {"Add {e}", "b {e}", "c {e}", "d {e}"}


def test_a_paraphrase_is_never_the_held_out_description() -> None:
    rng = random.Random(4)
    for task in tasks(held_out=False):
        if len(task.descriptions) > 2:
            for says in task.descriptions[:-1]:
                assert all(paraphrased(task, says, rng) != task.descriptions[-1] for _ in range(5))


def test_descriptions_written_apart_belong_to_a_task_and_keep_the_held_out_one() -> None:
    headings = [
        line.removeprefix("# task: ")
        for line in (TOKENIZER.parent / "phrasings" / "tasks.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("# ")
    ]
    by_name = {task.name: task for task in all_tasks()}
    assert len(set(headings)) == len(headings) > 100
    for name in headings:
        further_ones = further(f"task: {name}")
        assert by_name[name].descriptions[2 : 2 + len(further_ones)] == further_ones
        assert by_name[name].descriptions[-1] not in further_ones
        assert len(set(by_name[name].descriptions)) == len(by_name[name].descriptions)


def test_other_spellings_mean_the_same() -> None:
    rng = random.Random(6)
    seen = {respelled("Solve 2x^2 + 5x - 3 = 0.", rng) for _ in range(2000)}
    assert len(seen) > 5
    assert {text.replace(" ", "").replace("**", "^").replace("*", "").replace("²", "^2") for text in seen} == {
        "Solve2x^2+5x-3=0."
    }


def test_a_factorial_keeps_its_sign() -> None:
    rng = random.Random(8)
    assert all("7!" in roughened("Calculate 7!", rng) for _ in range(300))


def test_an_answer_continues_plain_text_where_it_ended() -> None:
    encoder, rng, seen = Encoder(), random.Random(12), set()
    for task in tasks(held_out=False)[:200]:
        example = continue_docstring(task, rng, Split.TRAIN)
        if example is not None:
            seen.add(example.kind)
            assert encoder.answer(example, encoder.both(example)[1]) == example.written
    assert seen == {"docstrings", "completions"}


def test_a_quarter_of_the_held_out_tasks_belongs_to_no_family() -> None:
    kinds = [example.kind for example in problems(ModelName.CODESTRAL, 8)]
    assert 3 * kinds.count("held-out tasks of none") == kinds.count("held-out tasks of a family") == 30


@pytest.mark.parametrize("model", list(ModelName))
def test_no_prompt_that_is_measured_is_ever_trained(model: ModelName) -> None:
    measured = {form_of(example.shown[-1].content) for example in problems(model, 20)}
    trained = {form_of(example.shown[-1].content) for example in made(model, Split.TRAIN, 4000)}
    assert len(measured) > 300
    assert not trained & measured


def test_a_docstring_is_measured_only_in_words_that_are_never_trained() -> None:
    rng = random.Random(2)
    for task in tasks(held_out=False):
        example = continue_docstring(task, rng, Split.HELD_OUT)
        assert example is None or len(task.descriptions) > 2
        if example is not None:
            says = task.descriptions[-1]
            content = example.shown[-1].content.lower()
            assert says in content or imperative(says).lower() in content or says.lower() in content
