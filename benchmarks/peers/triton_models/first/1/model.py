"""first, a model that returns the first element of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # Triton puts it on the import path


class TritonPythonModel:
    """The model, in the form that Triton's python backend requires."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return for each request the first element of `x`, as `y` float32 [1]."""
        return [triton.InferenceResponse([triton.Tensor("y", _first(request))]) for request in requests]


def _first(request: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    x = triton.get_input_tensor_by_name(request, "x").as_numpy()
    return np.array([x.item(0)], np.float32)
