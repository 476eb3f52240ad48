"""typist, a model that yields the words of a text one by one, as a model that generates text does."""

from __future__ import annotations

import time
from collections.abc import Iterator


class Model:
    """The model. It has no weights."""

    def load(self, device: str) -> None:
        """Do nothing."""

    def predict(self, text: str, pause: float = 0.0) -> Iterator[str]:
        """Yield the words, and wait `pause` seconds before each."""
        for word in text.split():
            time.sleep(pause)
            yield word
