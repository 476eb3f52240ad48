"""A small builder of ONNX graphs. Each method adds a step and returns the name of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto, NodeProto

    Array = np.ndarray[Any, Any]

_OPSET = 17
_IR_VERSION = 8


class Graph:
    """The nodes and constants of an ONNX model."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, Array] = {}

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name, which is the node's name too."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Add a constant array, and return its name."""
        self._constants[name] = np.asarray(value, order="C")
        return name

    def model(self, image: Sequence[int | str], outputs: Mapping[str, Sequence[int | str]]) -> ModelProto:
        """Return the model, from the input `image` (uint8 of that shape) to float32 `outputs` of these shapes."""
        source = helper.make_tensor_value_info("image", TensorProto.UINT8, image)
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        constants = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        body = helper.make_graph(self._nodes, "network", [source], results, constants)
        return helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
