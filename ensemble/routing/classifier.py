"""A linear classifier over hashed words, in plain Python: no numpy, no input or output."""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.messages import RouteLabel
from ensemble.routing.features import BUCKETS, SIGN_WEIGHT, bucket, pieces, read
from ensemble.routing.labels import LABELS

REMEMBERED_WORDS = 20_000
MOST_REASONS = 6
LEAST_GAIN = 0.005

Scores = tuple[float, float, float, float]
"""Of each of `LABELS`."""
Spoke = tuple[str, Scores]
"""What spoke, in words, and what it adds to the logits."""


def say(label: RouteLabel, weight: float) -> Scores:
    """What adds `weight` to one label."""
    a, b, c, d = (weight if each is label else 0.0 for each in LABELS)
    return (a, b, c, d)


class BadWeights(ValueError):
    """The bytes are not the weights of this classifier; the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Calibrated probability of each label, and what spoke for it."""

    chances: Mapping[RouteLabel, float]
    spoke: tuple[Spoke, ...]

    def reasons(self, label: RouteLabel) -> tuple[str, ...]:
        """What raised the logit of `label` above the mean of all labels, strongest first."""
        at = LABELS.index(label)
        gains = sorted(((score[at] - sum(score) / len(score), name) for name, score in self.spoke), reverse=True)
        return tuple(f"{name} (+{gain:.2f})" for gain, name in gains[:MOST_REASONS] if gain > LEAST_GAIN)


@dataclass(slots=True)
class Classifier:
    """Weights of `BUCKETS` features for the four `LABELS`; may serve all threads of a process."""

    version: str
    weights: array[float]
    bias: Scores
    temperature: float
    piece_weight: float
    _words: dict[str, Scores] = field(default_factory=dict)

    def judge(self, prompt: str, beside: Sequence[Spoke] = ()) -> Verdict:
        """Probabilities of `prompt`, with what else speaks; costs time linear in the characters that are read."""
        reading = read(prompt)
        spoke = [
            *beside,
            *_scaled("word", reading.words, [self._word(word) for word in reading.words]),
            *_scaled("words", reading.pairs, [self._row(f"p{pair}") for pair in reading.pairs]),
            *_scaled("opening word", reading.opening, [self._row(f"o{word}") for word in reading.opening]),
        ]
        spoke += [(name, _times(self._row(f"s{name}"), value * SIGN_WEIGHT)) for name, value in reading.signs]
        columns = zip(self.bias, *(scores for _, scores in spoke), strict=True)
        logits = [sum(column) for column in columns]
        return Verdict(dict(zip(LABELS, _softmax(logits, self.temperature), strict=True)), tuple(spoke))

    def _row(self, name: str) -> Scores:
        start = bucket(name) * 4
        a, b, c, d = self.weights[start : start + 4]
        return (a, b, c, d)

    def _word(self, word: str) -> Scores:
        """What a word and its pieces say; remembered, since words come again."""
        known = self._words.get(word)
        if known is not None:
            return known
        a, b, c, d = self._row(f"w{word}")
        parts = pieces(word)
        share = self.piece_weight * len(parts) ** -0.5
        weights = self.weights
        for index in parts:
            at = index * 4
            a += share * weights[at]
            b += share * weights[at + 1]
            c += share * weights[at + 2]
            d += share * weights[at + 3]
        if len(self._words) >= REMEMBERED_WORDS:
            self._words.clear()
        self._words[word] = (a, b, c, d)
        return (a, b, c, d)


def parse_weights(content: bytes) -> Classifier:
    """The classifier in a safetensors file. Raises BadWeights."""
    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        said, (start, end) = header["__metadata__"], header["weights"]["data_offsets"]
        weights = array("f", content[8 + length + start : 8 + length + end])
        a, b, c, d = (float(value) for value in said["bias"].split())
        model = Classifier(
            said["version"], weights, (a, b, c, d), float(said["temperature"]), float(said["piece_weight"])
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error) as error:
        raise BadWeights(f"the weights of the router are damaged ({type(error).__name__})") from None
    if len(weights) != BUCKETS * 4 or not math.isfinite(sum(weights) + a + b + c + d) or not model.temperature > 0:
        raise BadWeights("the weights of the router have another shape, or hold what is no number")
    return model


def render_weights(model: Classifier) -> bytes:
    """`model` as a safetensors file."""
    said = {
        "version": model.version,
        "bias": " ".join(map(repr, model.bias)),
        "temperature": repr(model.temperature),
        "piece_weight": repr(model.piece_weight),
    }
    tensor = {"dtype": "F32", "shape": [BUCKETS, 4], "data_offsets": [0, BUCKETS * 16]}
    header = json.dumps({"__metadata__": said, "weights": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + model.weights.tobytes()


def _scaled(kind: str, names: tuple[str, ...], rows: list[Scores]) -> list[tuple[str, Scores]]:
    scale = max(1, len(names)) ** -0.5
    return [(f"{kind} '{name}'", _times(row, scale)) for name, row in zip(names, rows, strict=True)]


def _times(row: Scores, by: float) -> Scores:
    a, b, c, d = row
    return (a * by, b * by, c * by, d * by)


def _softmax(logits: list[float], temperature: float) -> list[float]:
    top = max(logits)
    powers = [math.exp((logit - top) / temperature) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]
