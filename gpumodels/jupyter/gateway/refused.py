"""`Refused`: what a call by HTTP is answered instead of being made."""

from __future__ import annotations

from gpumodels.errors import GpumodelsError


class Refused(GpumodelsError):
    """`status` is HTTP's; `retry_after` the seconds after which it may be worth while to try again, None for never."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
