"""The author's interface inside an instance, and the model server: `python -m gpumodels.server` serves the class.

The author writes one class with `load(device)` and `predict(...)`. `load` is called once. `predict` is called once per
call on the thread that ran `load`, and never twice at the same time. An array that `predict` is given lies in shared
memory. It is valid (and writable) during that `predict` only: keep a copy, not the array.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cancelled", "memory_limit", "weights_path"]


def weights_path(name: str) -> Path:
    """Return the path of a weights file that `model.toml` lists.

    The files lie in the directory that the setting GPUMODELS_WEIGHTS names, or else in `weights` below the working
    directory.

    Parameters
    ----------
    name : str
        The file's name.

    Returns
    -------
    Path
        Where the file lies, read-only.

    Raises
    ------
    FileNotFoundError
        If there is no such file. The message names those that are there.

    Examples
    --------
    >>> class Model:
    ...     def load(self, device):
    ...         self.net = torch.load(weights_path("net.pt"), map_location=device)

    """
    folder = Path(os.environ.get("GPUMODELS_WEIGHTS") or "weights")
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(entry.name for entry in folder.glob("*"))) or "nothing"
        raise FileNotFoundError(f"no weights {name!r} in {folder}, which holds {there}: is it listed in model.toml?")
    return path


def cancelled() -> bool:
    """Return True if the client of the running call has left: it was stopped, or its timeout has passed.

    A long `predict` may then return early, because nobody reads its result. Any thread may ask, not only the one that
    runs `predict`.

    Returns
    -------
    bool
        False while the client waits, and if no call runs.

    Examples
    --------
    >>> def predict(self, prompt: str) -> str:
    ...     while not cancelled() and not self.done():
    ...         self.step()

    """
    from gpumodels.server.scheduler import current_call_is_cancelled  # noqa: PLC0415 (keeps `weights_path` light)

    return current_call_is_cancelled()


def memory_limit() -> int | None:
    """Return how many bytes the model may allocate on each of its GPUs.

    PyTorch, TensorFlow and JAX keep to the limit by themselves. For onnxruntime, set it as `gpu_mem_limit` of the
    CUDAExecutionProvider.

    Returns
    -------
    int or None
        None if the model was loaded without `--memory`.

    """
    limit = os.environ.get("GPUMODELS_MEMORY_LIMIT")
    return int(limit) if limit else None
