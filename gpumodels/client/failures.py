"""gRPC's errors become ours, here and nowhere else."""

from __future__ import annotations

from typing import Any

import grpc

from gpumodels.errors import CallError, CallTimeout, InputError, ModelCallError, ModelGone
from gpumodels.protocol import files


def translate(error: grpc.RpcError, model: str, timeout: float | None) -> CallError:
    """The error to raise for a call on `model` that failed; `timeout` is what the call was given."""
    code, details = error.code(), error.details() or ""
    metadata: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
    if files.TRACEBACK_KEY in metadata:
        return ModelCallError(f"{model}: {details}", metadata[files.TRACEBACK_KEY].decode(errors="replace"))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout is not None:
        return CallTimeout(f"{model} gave no answer within {timeout:g} s; the call was cancelled")
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InputError(f"{model}: {details}")
    if code is grpc.StatusCode.UNAVAILABLE:
        return ModelGone(f"the model server of {model} does not answer")
    if code is grpc.StatusCode.CANCELLED:
        return ModelGone(f"the connection to {model} was closed during the call")
    return CallError(f"the call on {model} failed ({code.name}): {details}")
