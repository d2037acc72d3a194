"""What each model is asked: the prompt itself when it answers alone, its share of the work when both answer."""

from __future__ import annotations

from core.messages import ChatMessage, GenerationRequest, ModelName, PromptForm, Strategy, TaskType

NOTES_CHARACTERS = 12_000
"""Most of the mathematics handed to the code model, about 4,000 tokens; its beginning and its end are kept."""

_MODELS = {
    TaskType.MATH: (ModelName.MATHSTRAL,),
    TaskType.CODE: (ModelName.CODESTRAL,),
    TaskType.HYBRID: (ModelName.MATHSTRAL, ModelName.CODESTRAL),
}
_OPEN, _CLOSE = "[INST]", "[/INST]"
_CUT = "\n\n[... cut ...]\n\n"

_MATHEMATICS_SHARE = (
    "Answer the mathematical part of the request above: define the problem, derive the formulas, and prove what "
    "needs a proof. A colleague writes the program, so full code is not needed."
)
_PROGRAM_SHARE = (
    "Answer the programming part of the request above: write a complete, working implementation and say briefly "
    "how to use it. A colleague writes the derivations and proofs, so they are not needed."
)
_PROGRAM_SHARE_AFTER_NOTES = (
    "A colleague has worked out the mathematics of the request above:\n\n{notes}\n\n"
    "Answer the programming part of the request: write a complete, working implementation that follows this "
    "mathematics, and say briefly how to use it."
)


def models_for(task_type: TaskType) -> tuple[ModelName, ...]:
    """The models that answer a prompt of `task_type`, in the order of their parts in the answer."""
    return _MODELS[task_type]


def compose(
    request: GenerationRequest, *, model: ModelName, task_type: TaskType, notes: str | None = None
) -> tuple[ChatMessage, ...]:
    """The conversation shown to `model`: the turns before, and the prompt with its share of the work.

    `notes` is the finished mathematics; only the code model of a sequential hybrid is shown it.
    """
    if request.form is PromptForm.TEXT:
        return (ChatMessage(role="text", content=request.prompt),)
    question = unwrap(request.prompt)
    share = _share(request, model=model, notes=notes) if task_type is TaskType.HYBRID else None
    content = question if share is None else f"{question}\n\n{share}"
    return (*request.history, ChatMessage(role="user", content=content))


def _share(request: GenerationRequest, *, model: ModelName, notes: str | None) -> str:
    if model is ModelName.MATHSTRAL:
        return _MATHEMATICS_SHARE
    if request.strategy is Strategy.SEQUENTIAL and notes and notes.strip():
        return _PROGRAM_SHARE_AFTER_NOTES.format(notes=_cut(notes.strip()))
    return _PROGRAM_SHARE


def unwrap(prompt: str) -> str:
    """`prompt` without one outer `[INST] ... [/INST]`, which the tokenizer adds itself.

    Anything else, such as several turns or an empty wrapper, stays as it is.
    """
    stripped = prompt.strip()
    if not (stripped.startswith(_OPEN) and stripped.endswith(_CLOSE)):
        return prompt
    inner = stripped[len(_OPEN) : -len(_CLOSE)].strip()
    return prompt if not inner or _OPEN in inner or _CLOSE in inner else inner


def _cut(notes: str) -> str:
    if len(notes) <= NOTES_CHARACTERS:
        return notes
    tail = NOTES_CHARACTERS // 3
    return f"{notes[: NOTES_CHARACTERS - tail - len(_CUT)]}{_CUT}{notes[-tail:]}"
