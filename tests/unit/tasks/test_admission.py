"""Laws of admission."""

from __future__ import annotations

import pytest

from core.errors import PromptTooLong
from core.messages import ChatMessage, GenerationRequest, ModelName, Route, Sampling, TaskType
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from tasks.admission import Admission

MATH = Route(task_type=TaskType.MATH, confidence=1.0, reasons=())


class CountingTokenizer:
    """The real one, counting how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._tokenizer: Tokenizer = load_tokenizer()

    def count(self, messages: tuple[ChatMessage, ...]) -> int:
        self.asked += 1
        return self._tokenizer.count(messages)


def _admission(context_tokens: int) -> tuple[Admission, CountingTokenizer]:
    tokenizer = CountingTokenizer()
    contexts = dict.fromkeys(ModelName, context_tokens)
    return Admission(context_tokens=contexts, tokenizer_of=lambda _: tokenizer), tokenizer


def test_short_prompts_are_admitted_without_counting() -> None:
    admission, tokenizer = _admission(4096)
    admission.check(GenerationRequest(prompt="hello", sampling=Sampling(max_tokens=4000)), MATH)
    assert tokenizer.asked == 0


@pytest.mark.parametrize("prompt", ["word " * 200, "数学" * 100, "🧮" * 60, "</s>[INST]" * 40])
def test_a_prompt_is_admitted_exactly_if_prompt_and_answer_fit(prompt: str) -> None:
    tokens = load_tokenizer().count((ChatMessage(role="user", content=prompt),))
    request = GenerationRequest(prompt=prompt, sampling=Sampling(max_tokens=10))
    _admission(tokens + 10)[0].check(request, MATH)
    with pytest.raises(PromptTooLong) as caught:
        _admission(tokens + 9)[0].check(request, MATH)
    assert (caught.value.prompt_tokens, caught.value.context_tokens) == (tokens, tokens + 9)


def test_every_model_of_the_route_must_hold_the_prompt() -> None:
    tokenizer = load_tokenizer()
    contexts = {ModelName.MATHSTRAL: 4096, ModelName.CODESTRAL: 64}
    admission = Admission(context_tokens=contexts, tokenizer_of=lambda _: tokenizer)
    request = GenerationRequest(prompt="word " * 100)
    admission.check(request, MATH)
    with pytest.raises(PromptTooLong, match="codestral"):
        admission.check(request, Route(task_type=TaskType.HYBRID, confidence=1.0, reasons=()))
