"""The GPUs for `%gpus`: a picture in a notebook, text in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import as_html, as_json, as_text

if TYPE_CHECKING:
    from gpumodels.attribution import Usage


class Gpus:
    """What a usage looks like."""

    def __init__(self, usage: Usage) -> None:
        self._told = as_json(usage)

    def __repr__(self) -> str:
        return as_text(self._told)

    def _repr_html_(self) -> str:
        return as_html(self._told)
