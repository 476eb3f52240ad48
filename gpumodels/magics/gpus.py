"""The GPUs for `%gpus`: a picture in a notebook, text in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import as_json
from gpumodels.attribution.picture import picture
from gpumodels.attribution.text import text

if TYPE_CHECKING:
    from gpumodels.attribution import Usage


class Gpus:
    """What a usage looks like."""

    def __init__(self, usage: Usage) -> None:
        self._told = as_json(usage)

    def __repr__(self) -> str:
        return text(self._told)

    def _repr_html_(self) -> str:
        return picture(self._told)
