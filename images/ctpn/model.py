"""CTPN, a detector of lines of text in photos: Tian et al. 2016, "Detecting Text in Natural Image with Connectionist
Text Proposal Network" (ECCV 2016). The picture is scaled, the network marks narrow slices of text, slices join to lines.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
from checkpoint import read_checkpoint
from gpumodels.server import weights_path
from lines import join
from network import build_network
from picture import prepare
from proposals import decode, suppress

#: A slice counts as text from this score on (section 3.1) ...
_SCORE = 0.7
#: ... unless it overlaps a better one of its column by more than this.
_OVERLAP = 0.3


class Model:
    """Finds lines of text; `load` once, then `predict` as often as needed."""

    def load(self, device: str) -> None:
        """Read the weights and build the network on `device`, "cpu" or "cuda"; raises RuntimeError without CUDA there."""
        weights = read_checkpoint(weights_path("CTPN.pth"))["model_state_dict"]
        self._network = _start(build_network(weights).SerializeToString(), device)

    def predict(self, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Lines of text in `image` (uint8 [H, W, 3] RGB; `picture.prepare` says what else is taken).

        `boxes` float32 [N, 8]: corners x1 y1 ... x4 y4 in pixels of the image, clockwise from the line's top left, lines in
        reading order. `scores` float32 [N]: from 0 to 1. Raises ValueError when `image` is no picture.
        """
        picture = prepare(image)
        scores, offsets = self._network.run(["scores", "offsets"], {"image": picture.pixels[None]})
        corners, sure = join(suppress(decode(scores, offsets, _SCORE), _OVERLAP))
        corners = np.clip(corners / np.float32(picture.scale), 0, picture.size)
        return {"boxes": corners.reshape(-1, 8).astype(np.float32), "scores": sure}


def _start(network: bytes, device: str) -> onnxruntime.InferenceSession:
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    options = onnxruntime.SessionOptions()
    # Said outright, because onnxruntime would count the machine's cores where a container may use only some of them.
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    if device == "cuda":
        onnxruntime.preload_dlls()  # CUDA and cuDNN come as Python packages, where the loader does not look
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
    session = onnxruntime.InferenceSession(network, options, providers=[provider])
    if provider not in session.get_providers():
        raise RuntimeError(
            f"ctpn cannot use the GPU: onnxruntime offers only {', '.join(session.get_providers())}; "
            'check that the driver supports the installed CUDA, or load with gpu="none".'
        )
    return session
