"""What travels between the parts: frozen, JSON in and out.

*request* (what was asked), *completion* (one model's text), *failure* (one model's expected failure, a value and
not an exception), *answer* (what the caller gets, merged from one or two completions).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_DEADLINE_S = 7 * 24 * 3600.0
MAX_LOGPROBS = 20


class TaskType(StrEnum):
    """What a prompt asks for; decides which models answer."""

    MATH = "math"
    CODE = "code"
    HYBRID = "hybrid"


class ModelName(StrEnum):
    """The two specialists; each is also the name of its queue."""

    MATHSTRAL = "mathstral"
    CODESTRAL = "codestral"


class Strategy(StrEnum):
    """How a hybrid prompt uses both models."""

    PARALLEL = "parallel"  # both at once, answers put side by side
    SEQUENTIAL = "sequential"  # the mathematics first, then handed to the code model


class Priority(StrEnum):
    """Who is served first; among equals, who came first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is served first."""
        return list(Priority).index(self)


class JobState(StrEnum):
    """Where a job stands; `core.jobs` says which steps between states exist."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"  # its workers were lost as often as the attempt cap allows
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # the deadline passed

    @property
    def is_final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class FinishReason(StrEnum):
    """Why a completed text ended."""

    STOP = "stop"  # end-of-sequence token or a stop string
    LENGTH = "length"  # max_tokens or the end of the context


class FailureCode(StrEnum):
    """Expected ways in which one model's completion can fail."""

    PROMPT_TOO_LONG = "prompt_too_long"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ENGINE_FAILED = "engine_failed"
    DEAD = "dead"  # the attempt cap was reached: its worker was lost too often
    VERSION_NOT_SERVED = "version_not_served"  # the worker's engine does not have the weights that were asked for
    TRAINING = "training"  # its model's card is lent to a training, and the other model's text is there


def _storable(text: str) -> str:
    """Refuse what PostgreSQL and UTF-8 cannot carry."""
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not contain lone surrogates") from error
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty or only whitespace")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Prompt = Annotated[Text, AfterValidator(_not_blank)]
StopString = Annotated[Text, Field(min_length=1, max_length=256)]


def _is_none(value: object) -> bool:
    return value is None


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sampling(_Message):
    """How tokens are drawn, in this order; by default greedily and with nothing else.

    1. `repetition_penalty` divides the positive logits of tokens in the prompt or the text so far by itself and
       multiplies the negative ones (CTRL; Keskar et al., 2019). Then `frequency_penalty` times how often a token
       was generated, and `presence_penalty` if it was at all, are subtracted. Greedy text is penalised too.
    2. `temperature` divides; 0 takes the most probable token and ignores what follows.
    3. `top_k` keeps as many of the most probable tokens (exactly as many; the lower id wins a tie), `top_p` the
       fewest of those that reach this share of their probability, `min_p` those at least that many times as
       probable as the most probable one. All three judge the probabilities at the given temperature.
    4. `seed` draws from what is left.

    `logprobs` asks for the log-probability of each token and of as many of the most probable ones, all by the
    model's own distribution: before step 1. `max_tokens` None means the installation's default.
    """

    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    frequency_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Annotated[tuple[StopString, ...], Field(max_length=16)] = ()
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    @property
    def has_penalties(self) -> bool:
        return (self.repetition_penalty, self.frequency_penalty, self.presence_penalty) != (1.0, 0.0, 0.0)


class ChatMessage(_Message):
    """One turn of the conversation a model is shown; `text` is no turn but bare text to be continued."""

    role: Literal["system", "user", "assistant", "text"]
    content: str


def is_bare_text(messages: tuple[ChatMessage, ...]) -> bool:
    """Whether this is no conversation but a text to be continued."""
    return len(messages) == 1 and messages[0].role == "text"


class PromptForm(StrEnum):
    """How a model is shown the prompt."""

    CHAT = "chat"  # as the user's turn
    TEXT = "text"  # as it is: the model continues it


class Turn(ChatMessage):
    """What was said before the prompt."""

    role: Literal["system", "user", "assistant"]
    content: Text


class GenerationRequest(_Message):
    """One question, whichever door it came through.

    `history` are the turns before the prompt, which is the last turn of the user. `version` asks for exact
    weights, as completions name them, and for nothing else where they are not in service.
    """

    prompt: Prompt
    history: tuple[Turn, ...] = ()
    form: PromptForm = PromptForm.CHAT
    version: Text | None = None
    force_task_type: TaskType | None = None
    strategy: Strategy = Strategy.PARALLEL
    priority: Priority = Priority.NORMAL
    sampling: Sampling = Sampling()
    deadline_s: Annotated[float, Field(gt=0.0, le=MAX_DEADLINE_S)] | None = None


class RouteLabel(StrEnum):
    """What a prompt is; `other` is neither mathematics nor code."""

    MATH = "math"
    CODE = "code"
    HYBRID = "hybrid"
    OTHER = "other"


class Route(_Message):
    """The router's decision: where the prompt goes, and why.

    Where the learned router decided, `confidence` in [0, 1] is the calibrated probability of `label`. Where
    keywords did, there is no `label`, and it only ranks decisions. `probabilities` are empty unless a classifier
    was asked; `is_fallback` says that keywords answered in its place.
    """

    task_type: TaskType
    confidence: float
    reasons: tuple[str, ...]
    version: str = "keywords"
    label: RouteLabel | None = None
    probabilities: dict[RouteLabel, float] = {}
    is_fallback: bool = False


class TokenChance(_Message):
    """A token and its log-probability.

    `bytes` are what it adds to a text: one byte where it is part of a character. A control token adds none and
    shows its name (`</s>`) as `token`. Bytes that are no whole character, and NUL, show as U+FFFD there.
    """

    token: str
    bytes: tuple[int, ...]
    logprob: float


class TokenLogprob(TokenChance):
    """A generated token, with as many of the most probable ones as were asked for, itself perhaps among them."""

    top: tuple[TokenChance, ...] = ()


class Completion(_Message):
    """One model's finished text. `version` names the exact weights, so a tiny random model says what it is.

    `logprobs`, there only if asked for, covers the tokens of `text`: neither the token that ended it, nor tokens
    all of whose text a stop string cut away. The first token keeps the space of a word's start, which the text
    drops unless it continues a bare one.
    """

    model: ModelName
    version: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    first_token_s: float | None = None
    seconds: float = 0.0
    logprobs: Annotated[tuple[TokenLogprob, ...] | None, Field(exclude_if=_is_none)] = None


class Failure(_Message):
    """One model's expected failure; `text` keeps what `version` had generated until then."""

    model: ModelName
    code: FailureCode
    message: str
    version: str | None = None
    text: str = ""


Outcome = Completion | Failure


class Answer(_Message):
    """What the caller gets. `degraded` marks an answer that lacks one of the two models it was meant to have."""

    response: str
    model_used: str
    degraded: bool = False
    completions: tuple[Completion, ...] = ()
    failures: tuple[Failure, ...] = ()


class Verdict(_Message):
    """How a job ends: a final state, with the answer where there is one and the reason where there is none.

    A cancelled or expired job may carry both: the text generated until then, and why it ended.
    """

    state: JobState
    answer: Answer | None = None
    error: Failure | None = None
