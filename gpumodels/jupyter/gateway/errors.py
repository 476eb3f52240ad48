"""`Refused`: the error for a call by HTTP that the gateway does not make."""

from __future__ import annotations

from gpumodels.errors import GpumodelsError


class Refused(GpumodelsError):
    """The refusal of a call, with its HTTP status.

    `retry_after` are the seconds after which to try again; None if that would not help.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
