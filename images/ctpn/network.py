"""The network of CTPN as an ONNX graph, built from the arrays of a checkpoint.

Tian, Huang, He, He, Qiao: "Detecting Text in Natural Image with Connectionist Text Proposal Network", ECCV 2016,
section 3 and figure 1: the thirteen convolutions of VGG16, a 3x3 convolution, a recurrent layer that reads each row of
the feature map in both directions, a fully connected layer of 512, and the two outputs. The paper's recurrent layer is an LSTM; these
weights were trained with a GRU of 128 units each way. They know no side refinement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto, NodeProto

    Array = np.ndarray[Any, Any]

#: Pixels of the network's input to one cell of its output, across and down.
STRIDE = 16

#: The checkpoint's numbers of the convolutions of VGG16; between blocks the picture is halved.
_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
#: Subtracted from the blue, green and red channel. These are ImageNet's means for red, green and blue: the
#: weights were trained with the two orders mixed up, and find less when this is put right.
_MEAN = (123.68, 116.779, 103.939)
_UNITS = 128
_OPSET = 17


class _Graph:
    """Collects nodes and their constants; each method adds one step and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def conv(self, source: str, weight: Array, bias: Array, name: str) -> str:
        edge = weight.shape[-1] // 2
        inputs = (source, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias))
        return self.add("Conv", inputs, name, kernel_shape=weight.shape[2:], pads=[edge] * 4)

    def relu(self, source: str) -> str:
        return self.add("Relu", [source], f"{source}.relu")


def build_network(weights: Mapping[str, Array]) -> ModelProto:
    """The graph from `image` uint8 [1, H, W, 3] RGB (H, W multiples of 16) to two outputs over H/16 x W/16 cells.

    `scores` float32 [10, H/16, W/16]: how sure the network is of text, for each of ten anchor heights.
    `offsets` float32 [10, 2, H/16, W/16]: the proposal's centre and height relative to its anchor's (equation 2).
    Raises KeyError when an array is missing.
    """
    graph = _Graph()
    features = _backbone(graph, _input(graph), weights)
    features = _rows(graph, _conv(graph, features, weights, "rpn.conv"), weights)
    _outputs(graph, _conv(graph, features, weights, "lstm_fc.conv"), weights)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "H", "W", 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [10, "h", "w"])
    offsets = helper.make_tensor_value_info("offsets", TensorProto.FLOAT, [10, 2, "h", "w"])
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    body = helper.make_graph(graph.nodes, "ctpn", [image], [scores, offsets], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def _input(graph: _Graph) -> str:
    pixels = graph.add("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    mean = graph.constant("mean", np.array(_MEAN[::-1], np.float32))
    return graph.add("Transpose", [graph.add("Sub", [pixels, mean], "centred")], "planes", perm=[0, 3, 1, 2])


def _conv(graph: _Graph, source: str, weights: Mapping[str, Array], name: str) -> str:
    return graph.relu(graph.conv(source, weights[f"{name}.weight"], weights[f"{name}.bias"], name))


def _backbone(graph: _Graph, source: str, weights: Mapping[str, Array]) -> str:
    first = "base_layers.0.weight"
    weights = {**weights, first: weights[first][:, ::-1]}  # trained on blue, green, red; we are given red, green, blue
    for number, block in enumerate(_BLOCKS):
        if number:
            source = graph.add("MaxPool", [source], f"half{number}", kernel_shape=[2, 2], strides=[2, 2])
        for layer in block:
            source = _conv(graph, source, weights, f"base_layers.{layer}")
    return source


def _rows(graph: _Graph, source: str, weights: Mapping[str, Array]) -> str:
    """The bidirectional GRU over each row: [1, 512, h, w] to [1, 256, h, w]."""
    plane = graph.add("Squeeze", [source, graph.constant("first", np.array([0]))], "plane")
    steps = graph.add("Transpose", [plane], "steps", perm=[2, 1, 0])  # [w, h, 512]: rows are the batch
    parts = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    both = {p: np.stack([_gates(weights[f"brnn.{p}_l0{way}"]) for way in ("", "_reverse")]) for p in parts}
    bias = np.concatenate([both["bias_ih"], both["bias_hh"]], axis=1)
    inputs = [graph.constant("gru.input", both["weight_ih"]), graph.constant("gru.state", both["weight_hh"])]
    inputs = [steps, *inputs, graph.constant("gru.bias", bias)]
    states = graph.add("GRU", inputs, "gru", hidden_size=_UNITS, direction="bidirectional", linear_before_reset=1)
    channels = graph.add("Transpose", [states], "channels", perm=[1, 3, 2, 0])  # from [w, 2, h, 128]
    shape = graph.constant("both_ways", np.array([1, 2 * _UNITS, 0, 0]))
    return graph.add("Reshape", [channels, shape], "read")


def _gates(value: Array) -> Array:
    """torch stacks a GRU's gates as reset, update, new; ONNX as update, reset, new."""
    reset, update, new = np.split(value, 3)
    return np.concatenate([update, reset, new])


def _outputs(graph: _Graph, source: str, weights: Mapping[str, Array]) -> None:
    # Two classes, of which a softmax wants the second: that is the sigmoid of their difference, at half the channels.
    weight, bias = weights["rpn_class.conv.weight"], weights["rpn_class.conv.bias"]
    margin = graph.conv(source, weight[1::2] - weight[::2], bias[1::2] - bias[::2], "margin")
    graph.add("Sigmoid", [graph.add("Squeeze", [margin, "first"], "margins")], "scores")
    regress = graph.conv(source, weights["rpn_regress.conv.weight"], weights["rpn_regress.conv.bias"], "regress")
    graph.add("Reshape", [regress, graph.constant("pairs", np.array([10, 2, 0, -1]))], "offsets")
