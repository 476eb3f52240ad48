"""The display of `%gpus`: a picture in a notebook, text in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import as_html, as_json, as_text

if TYPE_CHECKING:
    from gpumodels.attribution import Usage


class Gpus:
    """A display of the GPUs and the holders of their memory."""

    def __init__(self, usage: Usage) -> None:
        self._usage = as_json(usage)

    def __repr__(self) -> str:
        return as_text(self._usage)

    def _repr_html_(self) -> str:
        return as_html(self._usage)
