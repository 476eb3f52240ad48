"""CTPN, a model that finds lines of text in photos. A network finds narrow slices of text, which are joined to lines.

Tian et al. 2016: "Detecting Text in Natural Image with Connectionist Text Proposal Network", ECCV 2016.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
from checkpoint import read_checkpoint
from lines import join
from network import build_network
from picture import prepare
from proposals import decode, suppress

from gpumodels.server import memory_limit, weights_path

#: The least score of a slice of text. The paper's 0.7 leaves gaps in small text. Unsure lines are dropped later.
_SCORE = 0.3
#: A slice that overlaps a better one of its column by more than this (intersection over union) is dropped.
_OVERLAP = 0.3


class Model:
    """The network. `load` is called once, `predict` for each picture."""

    def load(self, device: str) -> None:
        """Read the weights and build the network on `device`, "cpu" or "cuda".

        Raises CheckpointError if the weights cannot be read, and RuntimeError if CUDA does not work.
        """
        weights = read_checkpoint(weights_path("CTPN.pth"))["model_state_dict"]
        self._network = _start(build_network(weights, integers=device == "cpu").SerializeToString(), device)

    def predict(self, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Find the lines of text in `image`: uint8 [H, W, 3] RGB, or another format that `picture.prepare` takes.

        Return `boxes` float32 [N, 8] and `scores` float32 [N], from 0 to 1. Boxes are corners x1 y1 ... x4 y4 in pixels
        of the image, clockwise from the line's top left. The lines are in reading order.

        Raises ValueError if `image` is not a picture.
        """
        picture = prepare(image)
        scores, offsets = self._network.run(["scores", "offsets"], {"image": picture.pixels[None]})
        corners, sure = join(suppress(decode(scores, offsets, _SCORE), _OVERLAP))
        corners = np.clip(corners / np.array(picture.scale, np.float32), 0, picture.size)
        return {"boxes": corners.reshape(-1, 8).astype(np.float32), "scores": sure}


def _start(network: bytes, device: str) -> onnxruntime.InferenceSession:
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    settings: dict[str, int | str] = {}
    options = onnxruntime.SessionOptions()
    # By default onnxruntime counts all cores of the machine, but a container may be allowed fewer.
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    if device == "cuda":
        onnxruntime.preload_dlls()  # CUDA and cuDNN are in Python packages, where the system's loader does not look
        # The default, an exhaustive search, would be repeated for every new size of picture.
        settings = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        if (limit := memory_limit()) is not None:
            settings["gpu_mem_limit"] = limit
    session = onnxruntime.InferenceSession(network, options, providers=[(provider, settings)])
    if provider not in session.get_providers():
        raise RuntimeError(
            f"ctpn cannot use the GPU: onnxruntime offers only {', '.join(session.get_providers())}; "
            'check that the driver supports the installed CUDA, or load with gpu="none".'
        )
    return session
