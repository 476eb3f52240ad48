"""The model server, and the functions that authors of models call inside an instance.

`python -m gpumodels.server` serves the author's class, which has the methods `load(device)` and `predict(...)`. The
server runs `load` once. It then runs `predict` for each call, on the same thread, and never twice at the same time.
An array that `predict` receives may lie in shared memory. It is valid, and writable, only until that `predict` has
returned. To keep the values, keep a copy of the array.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cancelled", "memory_limit", "weights_path"]


def weights_path(name: str) -> Path:
    """Return the path of a weights file that `model.toml` lists.

    The directory of the files is `$GPUMODELS_WEIGHTS`, which the engine sets. Without that variable it is `weights`
    in the working directory.

    Parameters
    ----------
    name : str
        The file's name.

    Returns
    -------
    Path
        The path of the file. Inside an instance the file is read-only.

    Raises
    ------
    FileNotFoundError
        If there is no such file. The message lists the files of the directory.

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
    """Return True if the client of the running call has left.

    A client leaves if it is interrupted, or if its timeout has passed. A long `predict` may then return early, because
    nobody reads its result. You may call this function on any thread, not only on the one that runs `predict`.

    Returns
    -------
    bool
        True if the client has left. False while it waits, and if no call runs.

    Examples
    --------
    >>> def predict(self, prompt: str) -> str:
    ...     while not cancelled() and not self.done():
    ...         self.step()

    """
    from gpumodels.server.scheduler import current_call_is_cancelled  # noqa: PLC0415 (keeps `weights_path` light)

    return current_call_is_cancelled()


def memory_limit() -> int | None:
    """Return the number of bytes that the model may allocate on each of its GPUs.

    PyTorch, TensorFlow and JAX keep to the limit by themselves. For onnxruntime, set it as `gpu_mem_limit` of the
    CUDAExecutionProvider.

    Returns
    -------
    int or None
        The limit in bytes. None if the model was loaded without `--memory`.

    Examples
    --------
    >>> class Model:
    ...     def load(self, device):
    ...         limit = memory_limit()
    ...         options = {} if limit is None else {"gpu_mem_limit": limit}
    ...         providers = [("CUDAExecutionProvider", options)]
    ...         self.session = onnxruntime.InferenceSession(weights_path("net.onnx"), providers=providers)

    """
    limit = os.environ.get("GPUMODELS_MEMORY_LIMIT")
    return int(limit) if limit else None
