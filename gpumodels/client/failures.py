"""Errors of model servers, translated into gpumodels' own exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.client.answers import read_message
from gpumodels.errors import CallError, InputError, ModelCallError, ModelGone
from gpumodels.protocol import files, messages

if TYPE_CHECKING:
    import grpc


def from_frame(body: bytes, model: str) -> CallError:
    """Return the error that the model server sent in a frame of kind FAILED, by the body of the frame.

    Raises CallError if the body cannot be read.
    """
    facts = messages.parameters(read_message(messages.ModelInferResponse, body, model))
    return _error(model, str(facts.get("code")), str(facts.get("message", "")), str(facts.get("traceback", "")))


def from_rpc(error: grpc.RpcError, model: str) -> CallError:
    """Return the error to raise for a failed call by gRPC."""
    code, details = error.code().name, error.details() or ""
    metadata: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
    return _error(model, code, details, metadata.get(files.TRACEBACK_KEY, b"").decode(errors="replace"))


def _error(model: str, code: str, message: str, traceback: str) -> CallError:
    if traceback:
        return ModelCallError(f"{model}: {message}", traceback)
    if code == "INVALID_ARGUMENT":
        return InputError(f"{model}: {message}")
    if code == "UNAVAILABLE":
        return ModelGone(f"the model server of {model} does not answer")
    if code == "CANCELLED":
        return ModelGone(f"the connection to {model} was closed during the call")
    return CallError(f"the call on {model} failed ({code}): {message}")
