"""Two ways to compute the network's 3x3 convolutions: in float32, and in integers of 8 bits.

A CPU computes in integers, which takes about a third of the time: 0.52 s instead of 1.66 s for a photo of 1280x720 on
two cores with VNNI (medians of five). The quality is the same: on 36 rendered signs and pages the same lines were
found as in float32, and their mean IoU with the known lines differs by 0.001. A GPU computes in float32, because
onnxruntime has no integer convolutions there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph import Graph

    Array = np.ndarray[Any, Any]

#: With a padding of one, a 3x3 convolution keeps the size of the picture.
_SHAPE = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
#: Lowest and highest value of the network's input: a channel of 0 to 255 minus its mean, for any of the three means.
_INPUT = (-124.0, 152.0)
#: The largest weight as an integer. It is 64 and not 127, because CPUs without VNNI add two products of a weight and
#: an unsigned byte in 16 bits. Weights above 64 could overflow there. The quality was the same with both.
_WEIGHT = 64


class Float32:
    """Convolutions in float32, in which the network was trained."""

    def begin(self, _graph: Graph, source: str) -> str:
        """Return the input of the first convolution, for the float32 planes of the picture."""
        return source

    def convolve(self, graph: Graph, source: str, weight: Array, bias: Array, name: str) -> str:
        """Add a convolution and a ReLU."""
        inputs = [source, graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)]
        return graph.add("Relu", [graph.add("Conv", inputs, name, **_SHAPE)], f"{name}.relu")

    def end(self, _graph: Graph, source: str) -> str:
        """Return the output of the last convolution as float32 planes."""
        return source


class Int8:
    """Convolutions in integers: unsigned bytes for values, and signed bytes for weights, with a scale per channel.

    `largest` has the largest output value of each convolution, by name. The byte 255 represents this value.
    """

    def __init__(self, largest: Mapping[str, float]) -> None:
        self._largest = largest
        low, high = _INPUT
        self._scale = np.float32((high - low) / 255)
        self._zero = np.uint8(round(-low / self._scale))

    def begin(self, graph: Graph, source: str) -> str:
        """Convert the float32 planes of the picture to bytes."""
        return graph.add("QuantizeLinear", [source, *self._format(graph, "input")], "input.bytes")

    def convolve(self, graph: Graph, source: str, weight: Array, bias: Array, name: str) -> str:
        """Add a convolution. Negative values become 0, as by a ReLU, because the byte 0 represents 0."""
        source_format = self._format(graph, source)
        scales = np.abs(weight).max(axis=(1, 2, 3)).clip(1e-8) / np.float32(_WEIGHT)
        weights = np.rint(weight / scales[:, None, None, None]).astype(np.int8)
        biases = np.rint(bias / (scales * self._scale)).astype(np.int32)
        self._scale, self._zero = np.float32(self._largest[name] / 255), np.uint8(0)
        inputs = [
            *(source, *source_format),
            graph.constant(f"{name}.weight", weights),
            graph.constant(f"{name}.scales", scales),
            graph.constant(f"{name}.zeros", np.zeros(len(scales), np.int8)),
            *self._format(graph, name),
            graph.constant(f"{name}.bias", biases),
        ]
        return graph.add("QLinearConv", inputs, name, **_SHAPE)

    def end(self, graph: Graph, source: str) -> str:
        """Convert the output of the last convolution to float32 planes."""
        return graph.add("DequantizeLinear", [source, *self._format(graph, source)], "output.floats")

    def _format(self, graph: Graph, name: str) -> list[str]:
        """Return the names of two constants: the scale and the zero point of the values computed last."""
        scale = graph.constant(f"{name}.scale", np.array(self._scale))
        return [scale, graph.constant(f"{name}.zero", np.array(self._zero))]
