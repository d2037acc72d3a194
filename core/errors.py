"""Every error this project raises on purpose, in families that say who must act.

MathcodeError
├── InvalidRequest            the caller changes the request
│   ├── PromptTooLong
│   ├── BodyTooLarge
│   ├── IdempotencyConflict
│   ├── JobNotFound
│   ├── ModelNotFound
│   ├── RunNotFound
│   ├── SourceUnusable
│   ├── Unauthorized
│   ├── VersionNotFound
│   └── VersionUnfit
├── Unavailable               the caller tries again later
│   ├── DatabaseUnavailable
│   ├── BrokerUnavailable
│   ├── EngineUnavailable
│   ├── VersionOutOfReach
│   ├── CardBusy
│   ├── FolderBusy
│   ├── QueueFull
│   ├── StreamBroken
│   └── TooManyStreams
├── LimitReached              the caller asks less often
│   ├── DailyTokensSpent
│   ├── KeyQueueFull
│   └── RateLimited
└── ConfigurationError        the operator changes the installation
    ├── AdapterError
    ├── CheckpointError
    ├── KernelsMissing
    ├── ModelAccessError
    ├── StackAlreadyRunning
    └── TrainingFailed
        ├── BaseChanged
        ├── DeviceTooSmall
        ├── DiskFull
        ├── NothingToTrain
        └── TrainingDiverged

`code` is stable and part of the public interface; the message is one sentence that says what to do.
"""

from __future__ import annotations

from pathlib import Path


class MathcodeError(Exception):
    """Root of the tree; never raised itself."""

    code = "error"

    @property
    def message(self) -> str:
        return str(self)


class InvalidRequest(MathcodeError):
    """The request cannot be served as it stands; `param` names the offending field, if one is to blame."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class PromptTooLong(InvalidRequest):
    """Prompt and answer do not fit into the model's context."""

    code = "prompt_too_long"

    def __init__(self, *, model: str, prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"the prompt has {prompt_tokens} tokens for {model} and {max_tokens} more were asked for, "
            f"but its context holds {context_tokens} tokens: shorten the prompt or lower max_tokens",
            param="prompt",
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens


class BodyTooLarge(InvalidRequest):
    """The request body exceeds the configured limit."""

    code = "body_too_large"


class IdempotencyConflict(InvalidRequest):
    """An Idempotency-Key stands for another request; trying again changes nothing."""

    code = "idempotency_conflict"


class Unauthorized(InvalidRequest):
    """No API key, or none that is valid."""

    code = "unauthorized"


class JobNotFound(InvalidRequest):
    """No job has this id, or the id is not an id at all."""

    code = "job_not_found"

    def __init__(self, job_id: str, *, param: str = "id") -> None:
        super().__init__(f"there is no job {job_id[:64]!r}: use an id that POST /v1/jobs returned", param=param)


class ModelNotFound(InvalidRequest):
    """No model has this name, or no living worker serves this version of it."""

    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no model {name[:64]!r}: GET /v1/models lists those there are", param="model")


class RunNotFound(InvalidRequest):
    """No training run has this number."""

    code = "run_not_found"

    def __init__(self, run_id: int) -> None:
        super().__init__(f"there is no training run {run_id}: `mathcode train` lists the latest", param="id")


class VersionNotFound(InvalidRequest):
    """No version has this number."""

    code = "version_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no version {number}: `mathcode versions` lists them", param="number")


class VersionUnfit(InvalidRequest):
    """A version that is broken or pruned cannot be put into service."""

    code = "version_unfit"

    def __init__(self, name: str, state: str, alarm: str | None) -> None:
        because = f" ({alarm})" if alarm else ""
        super().__init__(f"{name} is {state}{because}: promote another version", param="number")


class SourceUnusable(InvalidRequest):
    """What was to be ingested is no directory, file or repository that can be read."""

    code = "source_unusable"

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}", param="source")


class Unavailable(MathcodeError):
    """A service this process needs does not answer."""

    code = "unavailable"
    retry_after_s: float = 1.0


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached."""

    code = "database_unavailable"


class BrokerUnavailable(Unavailable):
    """Redis cannot be reached."""

    code = "broker_unavailable"


class EngineUnavailable(Unavailable):
    """A model's engine cannot do now what was asked of it."""

    code = "engine_unavailable"


class VersionOutOfReach(Unavailable):
    """A version's files are not on this machine."""

    code = "version_out_of_reach"

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(f"{name} is not on this machine: mount or copy {directory} here")


class CardBusy(Unavailable):
    """The card that a training needs is not given back."""

    code = "card_busy"


class FolderBusy(Unavailable):
    """Another process trains in the folder of a run."""

    code = "folder_busy"


class StreamBroken(Unavailable):
    """What was streamed of a text cannot be continued."""

    code = "stream_broken"


class TooManyStreams(Unavailable):
    """As many event streams and waiting calls are served as MATHCODE_STREAMS allows."""

    code = "too_many_streams"


class ConfigurationError(MathcodeError):
    """The installation must be changed before this process can run."""

    code = "configuration_error"


class AdapterError(ConfigurationError):
    """An adapter is damaged, or not one for this model; `path` is the file or directory to blame."""

    code = "adapter_error"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class CheckpointError(ConfigurationError):
    """A model directory is missing, incomplete or damaged; `path` is the file to blame."""

    code = "checkpoint_error"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class KernelsMissing(ConfigurationError):
    """A CUDA worker would run on the silent slow path."""

    code = "kernels_missing"


class ModelAccessError(ConfigurationError):
    """A model hub refuses the download (gated, unknown or unreachable)."""

    code = "model_access"


class StackAlreadyRunning(ConfigurationError):
    """Another stack holds this data directory."""

    code = "stack_already_running"


class TrainingFailed(ConfigurationError):
    """A training cannot go on, or begin, as things stand."""

    code = "training_failed"


class BaseChanged(TrainingFailed):
    """The base model is not the one that the run was planned for."""

    code = "base_changed"


class DeviceTooSmall(TrainingFailed):
    """Not even one row at a time fits into the device's memory."""

    code = "device_too_small"


class DiskFull(TrainingFailed):
    """A checkpoint or a result could not be written; what was whole before still is."""

    code = "disk_full"


class NothingToTrain(TrainingFailed):
    """No file of a run holds anything to train on."""

    code = "nothing_to_train"


class TrainingDiverged(TrainingFailed):
    """The loss is no number any more."""

    code = "training_diverged"
