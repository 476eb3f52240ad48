"""The progress of a pull, computed from the daemon's events on each layer."""

from __future__ import annotations

from typing import Any


class Layers:
    """The layers of one image. Each layer is downloaded and then extracted, so its bytes count twice."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}  # by layer: the bytes that are done, and all its bytes

    def __str__(self) -> str:
        done = sum(passed == total for passed, total in self._layers.values())
        return f"{done} of {len(self._layers)} layers"

    @property
    def fraction(self) -> float | None:
        """The completed part, from 0 to 1; None while no size is known."""
        total = sum(total for _, total in self._layers.values())
        return sum(passed for passed, _ in self._layers.values()) / total if total else None

    def take(self, event: dict[str, Any]) -> bool:
        """Count an event of the daemon's stream. Return False if the event is not about a layer."""
        layer, status, detail = event.get("id"), event.get("status"), event.get("progressDetail") or {}
        if not layer or "progressDetail" not in event:
            return False
        size = detail.get("total") or self._layers.get(layer, (0, 0))[1] // 2
        passed = {"Download complete": size, "Pull complete": 2 * size}.get(str(status), detail.get("current", 0))
        if status == "Extracting":
            passed += size
        self._layers[layer] = (passed, 2 * size)
        return True
