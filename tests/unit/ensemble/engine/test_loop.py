"""Laws of one iteration, with a runner whose memory is scripted too."""

from __future__ import annotations

from collections.abc import Sequence as Several

from core.messages import Completion, Failure, FinishReason, ModelName, Sampling
from core.work import Work
from ensemble.engine.loop import Loop
from ensemble.engine.runner import OutOfMemory, Result
from ensemble.engine.scripted import END, Script, ScriptedRunner, ScriptedVocabulary
from ensemble.engine.sequence import Sequence

SLOTS = 8


class TightRunner(ScriptedRunner):
    """Runs out of memory once, in step `at`, while the step before ended all sequences but the first `left`."""

    def __init__(self, *, at: int, left: int) -> None:
        super().__init__(answer_tokens=20, seconds_per_step=0.0)
        self._at, self._left, self._steps = at, left, 0
        self.batches: list[int] = []

    def step(self, batch: Several[Script]) -> list[Result]:
        self.batches.append(len(batch))
        self._steps += 1
        if self._steps == self._at:
            raise OutOfMemory([*super().step(batch[: self._left]), *[END] * (len(batch) - self._left)])
        return super().step(batch)


def run(runner: TightRunner, count: int) -> tuple[Loop[Script], list[Sequence]]:
    vocabulary = ScriptedVocabulary()
    loop = Loop(runner, slots=SLOTS, end_tokens=vocabulary.end_tokens, base_version="test")
    sequences = [
        Sequence(
            work=Work(messages=(), sampling=Sampling()),
            prompt=[number],
            max_tokens=10,
            detokenizer=vocabulary.detokenizer(),
            model=ModelName.MATHSTRAL,
            version=loop.current,
        )
        for number in range(count)
    ]
    for sequence in sequences:
        loop.enqueue(sequence)
    while loop.has_to_do:
        loop.iterate()
    return loop, sequences


def outcome(sequence: Sequence) -> Completion | Failure:
    while not isinstance(event := sequence.outbox.get_nowait(), Completion | Failure):
        pass
    return event


def test_who_alone_outlives_a_step_without_memory_goes_on() -> None:
    loop, sequences = run(TightRunner(at=3, left=1), SLOTS)
    first, *others = map(outcome, sequences)
    assert isinstance(first, Completion)
    assert (first.finish_reason, first.completion_tokens) == (FinishReason.LENGTH, 10)
    assert [other.completion_tokens for other in others if isinstance(other, Completion)] == [2] * (SLOTS - 1)
    assert loop.metrics(arrivals=0).preemptions == 1


def test_a_step_without_memory_that_ended_everybody_fails_nobody() -> None:
    runner = TightRunner(at=3, left=0)
    loop, sequences = run(runner, 2 * SLOTS)
    assert all(isinstance(outcome(sequence), Completion) for sequence in sequences)
    assert loop.metrics(arrivals=0).preemptions == 0
    assert runner.batches[3] >= SLOTS // 2


def test_who_does_not_fit_alone_fails_and_is_not_counted_as_preempted() -> None:
    loop, (sequence,) = run(TightRunner(at=3, left=1), 1)
    failed = outcome(sequence)
    assert isinstance(failed, Failure)
    assert "too little memory" in failed.message
    assert loop.metrics(arrivals=0).preemptions == 0
