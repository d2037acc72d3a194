"""What is refused of files and batches."""

from __future__ import annotations

from core.errors import InvalidRequest


class StoredFileNotFound(InvalidRequest):
    """No file has this id, it has expired, or it is another's."""

    code = "file_not_found"

    def __init__(self, file_id: str, *, param: str = "id") -> None:
        super().__init__(f"there is no file {file_id[:64]!r}: use an id that POST /v1/files returned", param=param)


class BatchNotFound(InvalidRequest):
    """No batch has this id, or it is another's."""

    code = "batch_not_found"

    def __init__(self, batch_id: str, *, param: str = "id") -> None:
        super().__init__(
            f"there is no batch {batch_id[:64]!r}: use an id that POST /v1/batches returned", param=param
        )


class Conflict(InvalidRequest):
    """The request is in order, but not as things stand; trying again at once changes nothing."""

    code = "conflict"


class FileInUse(Conflict):
    """An open batch reads the file."""

    code = "file_in_use"

    def __init__(self, file_id: str) -> None:
        super().__init__(
            f"{file_id} is read by a batch: cancel that batch first, or wait until it ends", param="id"
        )


class BatchEnded(Conflict):
    """A batch that has ended cannot be cancelled."""

    code = "batch_ended"

    def __init__(self, batch_id: str, state: str) -> None:
        super().__init__(f"{batch_id} is {state}: there is nothing left to cancel", param="id")
