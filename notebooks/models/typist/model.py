"""typist: yields the words of a text, one after another, as a model that generates text does."""

from __future__ import annotations

import time
from collections.abc import Iterator


class Model:
    """Needs nothing and learns nothing."""

    def load(self, device: str) -> None:
        """There is nothing to load."""

    def predict(self, text: str, pause: float = 0.0) -> Iterator[str]:
        """The words, `pause` seconds before each."""
        for word in text.split():
            time.sleep(pause)
            yield word
