"""What some settings choose between."""

from __future__ import annotations

from enum import StrEnum


class Profile(StrEnum):
    """Which pair of checkpoints is served."""

    AUTO = "auto"  # full where this machine can, else mini; settings say which of the two it came to
    MINI = "mini"  # a small trained pair of both architectures, which comes with this project
    TINY = "tiny"  # real architectures, random weights: nonsense text, for tests
    FULL = "full"  # the two 7B models of Mistral AI
    SCRIPTED = "scripted"  # no model: echoes of the prompt, for measuring and testing everything around models


class Weights(StrEnum):
    """How weights are held in memory."""

    FP32 = "fp32"
    BF16 = "bf16"
    NF4 = "nf4"  # 4-bit by bitsandbytes, CUDA only


class StateType(StrEnum):
    """How the recurrent state of the Mamba2 model is held."""

    BF16 = "bf16"  # half the memory traffic, which bounds large batches
    FP32 = "fp32"  # as transformers has it


class WhileTraining(StrEnum):
    """What a hybrid job does whose one model has lent its card to a training."""

    WAIT = "wait"  # for both, as long as the training takes
    DEGRADE = "degrade"  # ends with the other model's text


class Device(StrEnum):
    """Where a model runs. There is no silent fallback from one to the other."""

    CPU = "cpu"
    CUDA = "cuda"


class KeyPolicy(StrEnum):
    """Whether requests to the API need a key."""

    AUTO = "auto"  # unless it listens on loopback only
    ALWAYS = "always"
    NEVER = "never"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class RouterKind(StrEnum):
    """What decides which models a prompt needs."""

    LEARNED = "learned"  # a small classifier; keywords where it fails
    KEYWORDS = "keywords"
