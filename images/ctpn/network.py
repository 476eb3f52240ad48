"""The network of CTPN as an ONNX graph, built from the arrays of a checkpoint.

Tian, Huang, He, He, Qiao: "Detecting Text in Natural Image with Connectionist Text Proposal Network", ECCV 2016,
section 3 and figure 1. The layers are: the thirteen convolutions of VGG16, one more convolution, a recurrent layer that
reads each row of the feature map in both directions, a fully connected layer of 512, and the two outputs. The paper's
recurrent layer is an LSTM. These weights were trained with a GRU of 128 units in each direction, and without the
paper's side refinement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from arithmetic import Float32, Int8
from graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto

    Array = np.ndarray[Any, Any]
    Arithmetic = Float32 | Int8

#: The values to subtract from red, green and blue. They are ImageNet's means in the order blue, green, red. The weights
#: were most likely trained with that order. With the other order the same lines are found.
_MEAN = (103.939, 116.779, 123.68)
#: The convolutions of the VGG16 part, by their numbers in the checkpoint. Between blocks the picture is halved. Each
#: value is the largest output of the convolution for five photos and four rendered pages, plus 5 %; see `Int8`.
_BLOCKS = (
    {0: 326, 2: 517},
    {5: 440, 7: 482},
    {10: 443, 12: 391, 14: 379},
    {17: 223, 19: 266, 21: 226},
    {24: 234, 26: 180, 28: 121},
)
_LAST_LARGEST = 141
_UNITS = 128
_FLOAT = 1  # the number of the type in ONNX


def build_network(weights: Mapping[str, Array], *, integers: bool) -> ModelProto:
    """Return the graph from `image` uint8 [1, H, W, 3] RGB (H, W multiples of 16) to two outputs for its cells.

    `scores` float32 [10, H/16, W/16] is the confidence that there is text, for each of ten anchor heights.
    `offsets` float32 [10, 2, H/16, W/16] is the proposal's centre and height relative to its anchor's (equation 2).
    With `integers` the convolutions are computed in 8 bits.

    Raises KeyError if an array is missing in `weights`.
    """
    graph = Graph()
    largest = {f"base_layers.{layer}": value for block in _BLOCKS for layer, value in block.items()}
    arithmetic = Int8({**largest, "rpn.conv": _LAST_LARGEST}) if integers else Float32()
    features = _features(graph, arithmetic, weights)
    hidden = _pointwise(graph, _read_rows(graph, features, weights), *_layer(weights, "lstm_fc.conv"), "hidden")
    hidden = graph.add("Relu", [hidden], "hidden.relu")
    _outputs(graph, hidden, weights)
    return graph.model([1, "H", "W", 3], {"scores": [10, "h", "w"], "offsets": [10, 2, "h", "w"]})


def _layer(weights: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _features(graph: Graph, arithmetic: Arithmetic, weights: Mapping[str, Array]) -> str:
    """Add the convolutions, from `image` to [1, 512, h, w]."""
    pixels = graph.add("Cast", ["image"], "pixels", to=_FLOAT)
    centred = graph.add("Sub", [pixels, graph.constant("mean", np.array(_MEAN, np.float32))], "centred")
    source = arithmetic.begin(graph, graph.add("Transpose", [centred], "planes", perm=[0, 3, 1, 2]))
    for number, block in enumerate(_BLOCKS):
        if number:
            source = graph.add("MaxPool", [source], f"half.{number}", kernel_shape=[2, 2], strides=[2, 2])
        for index in block:
            weight, bias = _layer(weights, f"base_layers.{index}")
            if index == 0:
                weight = weight[:, ::-1]  # trained on blue, green, red; the input is red, green, blue
            source = arithmetic.convolve(graph, source, weight, bias, f"base_layers.{index}")
    return arithmetic.end(graph, arithmetic.convolve(graph, source, *_layer(weights, "rpn.conv"), "rpn.conv"))


def _read_rows(graph: Graph, source: str, weights: Mapping[str, Array]) -> str:
    """Add the bidirectional GRU over each row, from [1, 512, h, w] to [1, 256, h, w]."""
    plane = graph.add("Squeeze", [source, graph.constant("first", np.array([0]))], "plane")
    steps = graph.add("Transpose", [plane], "steps", perm=[2, 1, 0])  # [w, h, 512]: rows are the batch
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    both = [np.stack([_gates(weights[f"brnn.{part}_l0{way}"]) for way in ("", "_reverse")]) for part in parts]
    inputs = [
        graph.constant("gru.input", both[0]),
        graph.constant("gru.state", both[1]),
        graph.constant("gru.bias", np.concatenate(both[2:], axis=1)),
    ]
    settings = {"hidden_size": _UNITS, "direction": "bidirectional", "linear_before_reset": 1}
    states = graph.add("GRU", [steps, *inputs], "gru", **settings)
    channels = graph.add("Transpose", [states], "channels", perm=[1, 3, 2, 0])  # from [w, 2, h, 128]
    return graph.add("Reshape", [channels, graph.constant("both_ways", np.array([1, 2 * _UNITS, 0, 0]))], "read")


def _gates(value: Array) -> Array:
    """Reorder the gates of a GRU. torch stacks them as reset, update, new; ONNX as update, reset, new."""
    reset, update, new = np.split(value, 3)
    return np.concatenate([update, reset, new])


def _outputs(graph: Graph, source: str, weights: Mapping[str, Array]) -> None:
    # The score is the softmax of the second of two classes. That is the sigmoid of their difference, with half the
    # channels.
    weight, bias = _layer(weights, "rpn_class.conv")
    margin = _pointwise(graph, source, weight[1::2] - weight[::2], bias[1::2] - bias[::2], "margin")
    graph.add("Sigmoid", [graph.add("Squeeze", [margin, "first"], "margins")], "scores")
    regress = _pointwise(graph, source, *_layer(weights, "rpn_regress.conv"), "regress")
    graph.add("Reshape", [regress, graph.constant("pairs", np.array([10, 2, 0, -1]))], "offsets")


def _pointwise(graph: Graph, source: str, weight: Array, bias: Array, name: str) -> str:
    """Add a 1x1 convolution: the same fully connected layer at every cell."""
    constants = [graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)]
    return graph.add("Conv", [source, *constants], name, kernel_shape=[1, 1])
