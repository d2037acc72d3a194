"""What each model is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import ChatMessage, GenerationRequest, ModelName, PromptForm, Strategy, TaskType, Turn
from ensemble.prompting import NOTES_CHARACTERS, compose, models_for, unwrap

PROMPT = "Implement Newton's method and prove that it converges"
BARE = st.text(alphabet=st.characters(exclude_characters="[\0", exclude_categories=["Cs"])).filter(str.strip)


def hybrid(model: ModelName, strategy: Strategy = Strategy.PARALLEL, notes: str | None = None) -> str:
    request = GenerationRequest(prompt=PROMPT, strategy=strategy)
    (message,) = compose(request, model=model, task_type=TaskType.HYBRID, notes=notes)
    assert message.role == "user"
    return message.content


def test_each_task_type_names_its_models_mathematics_first() -> None:
    assert models_for(TaskType.MATH) == (ModelName.MATHSTRAL,)
    assert models_for(TaskType.CODE) == (ModelName.CODESTRAL,)
    assert models_for(TaskType.HYBRID) == (ModelName.MATHSTRAL, ModelName.CODESTRAL)


@pytest.mark.parametrize("task_type", [TaskType.MATH, TaskType.CODE])
@given(prompt=BARE)
def test_a_model_alone_is_asked_the_prompt_itself(task_type: TaskType, prompt: str) -> None:
    (model,) = models_for(task_type)
    messages = compose(GenerationRequest(prompt=prompt), model=model, task_type=task_type)
    assert messages == (ChatMessage(role="user", content=prompt),)


@pytest.mark.parametrize("task_type", TaskType)
def test_earlier_turns_stand_before_the_prompt(task_type: TaskType) -> None:
    said = {"system": "Be brief.", "user": "?", "assistant": "!"}
    history = tuple(Turn.model_validate({"role": role, "content": content}) for role, content in said.items())
    for model in models_for(task_type):
        *before, last = compose(
            GenerationRequest(prompt=PROMPT, history=history), model=model, task_type=task_type
        )
        assert tuple(before) == history
        assert last.role == "user"
        assert last.content.startswith(PROMPT)


def test_bare_text_is_shown_as_it_is() -> None:
    request = GenerationRequest(prompt="  def f(", form=PromptForm.TEXT)
    assert compose(request, model=ModelName.CODESTRAL, task_type=TaskType.CODE) == (
        ChatMessage(role="text", content="  def f("),
    )


@given(BARE, st.text(alphabet=" \n\t"))
def test_one_outer_wrapper_is_taken_off(prompt: str, space: str) -> None:
    assert unwrap(f"{space}[INST]{space}{prompt}{space}[/INST]{space}") == prompt.strip()


@pytest.mark.parametrize(
    "prompt",
    [
        "[INST] open only",
        "closed only [/INST]",
        "[INST] one [/INST] two",
        "[INST] one [/INST] answer [INST] two [/INST]",
        "[INST] [/INST]",
        "what does [INST] mean?",
        "  spaces around  ",
        "",
    ],
)
def test_anything_else_keeps_its_text(prompt: str) -> None:
    assert unwrap(prompt) == prompt


@given(st.text())
def test_unwrapping_twice_changes_nothing_more(prompt: str) -> None:
    assert unwrap(unwrap(prompt)) == unwrap(prompt)


def test_in_a_hybrid_each_model_is_asked_for_its_share() -> None:
    mathematics, program = hybrid(ModelName.MATHSTRAL), hybrid(ModelName.CODESTRAL)
    assert mathematics.startswith(PROMPT)
    assert program.startswith(PROMPT)
    assert "prove" in mathematics.removeprefix(PROMPT)
    assert "implementation" in program.removeprefix(PROMPT)


def test_only_the_code_model_of_a_sequential_hybrid_sees_the_notes() -> None:
    notes = "Lemma {7}: x converges."
    assert notes in hybrid(ModelName.CODESTRAL, Strategy.SEQUENTIAL, notes)
    assert notes not in hybrid(ModelName.CODESTRAL, Strategy.PARALLEL, notes)
    assert notes not in hybrid(ModelName.MATHSTRAL, Strategy.SEQUENTIAL, notes)


@pytest.mark.parametrize("notes", [None, "", " \n"])
def test_without_notes_sequential_asks_as_parallel_does(notes: str | None) -> None:
    assert hybrid(ModelName.CODESTRAL, Strategy.SEQUENTIAL, notes) == hybrid(ModelName.CODESTRAL)


@given(st.integers(min_value=0, max_value=4 * NOTES_CHARACTERS))
def test_notes_are_bounded_and_keep_their_two_ends(length: int) -> None:
    content = hybrid(ModelName.CODESTRAL, Strategy.SEQUENTIAL, f"first {'x' * length} last")
    frame = hybrid(ModelName.CODESTRAL, Strategy.SEQUENTIAL, "n")
    assert len(content) <= len(frame) - 1 + NOTES_CHARACTERS
    assert "first " in content
    assert " last" in content
