"""What a model's author may use inside the instance, and `python -m gpumodels.server`, which serves the author's class.

The author writes one class with `load(device)`, called once, and `predict(...)`, called once per call and never twice
at the same time, on the same thread as `load`. An array that `predict` is given lies in shared memory and is
valid (and writable) during that `predict` only: keep a copy, not the array.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cancelled", "memory_limit", "weights_path"]


def weights_path(name: str) -> Path:
    """The path of a file of weights that `model.toml` lists; raises FileNotFoundError naming those that are there.

    They lie where the setting GPUMODELS_WEIGHTS says, else in `weights` below the working directory.
    """
    folder = Path(os.environ.get("GPUMODELS_WEIGHTS") or "weights")
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(entry.name for entry in folder.glob("*"))) or "nothing"
        raise FileNotFoundError(f"no weights {name!r} in {folder}, which holds {there}: is it listed in model.toml?")
    return path


def cancelled() -> bool:
    """True when nobody waits for the running `predict` any more (stopped, timed out): a long one may then return early.

    May be asked from any thread; False where no call is running.
    """
    from gpumodels.server.calls import current_call_is_cancelled  # noqa: PLC0415 (keeps `weights_path` light)

    return current_call_is_cancelled()


def memory_limit() -> int | None:
    """Bytes that the model may allocate on each of its GPUs, None where it was loaded without `--memory`.

    PyTorch, TensorFlow and JAX keep to it unasked. onnxruntime is told by its author, as `gpu_mem_limit` of the
    CUDAExecutionProvider.
    """
    limit = os.environ.get("GPUMODELS_MEMORY_LIMIT")
    return int(limit) if limit else None
