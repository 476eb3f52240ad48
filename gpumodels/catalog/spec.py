"""`ModelSpec`: the description of a model, as its folder gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from gpumodels.signature import Signature

#: The kind of requirements to install: those for the CPU, without CUDA, or those for a GPU, with CUDA.
Flavour = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Weights:
    """One file of weights: its name, its source and its SHA-256.

    `source` is `pypi:NAME==VERSION` (with `member`, the file's path inside the archive), an `https:` address, or a path
    relative to the model folder. `sha256` is the hash of the file, in hexadecimal digits. `archive` is the SHA-256 that
    the archive must have; "" allows any.
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
    """The description of a model in its folder. A spec never changes, so two loads of one spec load the same model."""

    name: str
    folder: Path
    summary: str = ""
    licence: str = ""
    #: `module:Class` of the author's class inside the folder.
    entry: str = "model:Model"
    requirements_cpu: tuple[str, ...] = ()
    requirements_gpu: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()
    #: The declared signature; None if it comes from the type hints of `predict`.
    signature: Signature | None = None
    #: Bytes of GPU memory that the model needs; 0 if that is not declared.
    memory: int = 0
    #: Seconds that the model server has to end before it is killed.
    grace: float = 1.0
    #: Environment settings of the instance.
    env: tuple[tuple[str, str], ...] = field(default=())

    @property
    def dockerfile(self) -> Path | None:
        """The folder's own Dockerfile for the environment, or None for the default environment."""
        path = self.folder / "Dockerfile"
        return path if path.is_file() else None

    def requirements(self, flavour: Flavour) -> tuple[str, ...]:
        """Return the requirements (lines as in PEP 508) to install for `flavour`."""
        return self.requirements_gpu if flavour == "gpu" else self.requirements_cpu
