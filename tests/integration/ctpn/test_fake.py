"""A notebook that uses ctpn can be tested where the network's packages are not installed."""

from __future__ import annotations

import numpy as np
import pytest

import gpumodels


@pytest.mark.parametrize("shape", [(480, 640, 3), (40, 1000)])
def test_the_fake_finds_two_lines_inside_any_picture(shape):
    with gpumodels.load("ctpn", gpu="none", engine="fake") as model:
        boxes, scores = model(np.zeros(shape, np.uint8))
    assert (boxes.dtype, boxes.shape) == (np.float32, (2, 8))
    assert (scores.dtype, scores.shape) == (np.float32, (2,))
    x, y = boxes[:, ::2], boxes[:, 1::2]
    assert 0 < x.min() < x.max() < shape[1]
    assert 0 < y.min() < y.max() < shape[0]
    assert ((scores > 0.5) & (scores <= 1)).all()
