"""Fixtures for loads on machines with simulated GPUs: fake engine and fake NVML, real leash and model server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import gpumodels
from gpumodels.devices import allowlist

if TYPE_CHECKING:
    from pathlib import Path

MODEL = """
import os
class Model:
    def load(self, device):
        self.device = device
    def predict(self) -> dict:
        names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
        return {"device": self.device, **{name: os.environ.get(name) for name in names}}
"""


class Notices:
    """A report that records its notices in `lines`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, text: str, fraction: float | None) -> None:
        pass

    def notice(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def notices() -> Notices:
    return Notices()


@pytest.fixture
def administrator_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that sets the CUDA_VISIBLE_DEVICES with which the kernel was started."""

    def write(listed: str) -> None:
        (tmp_path / "environ").write_bytes(f"CUDA_VISIBLE_DEVICES={listed}".encode() + b"\0")
        monkeypatch.setattr(allowlist, "_INITIAL", tmp_path / "environ")

    return write


@pytest.fixture
def folder(tmp_path: Path):
    """A function `folder(memory="10 GB")` that makes a model folder. The model reports its device and environment."""

    def make(name: str = "teller", memory: str = "0") -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        (path / "model.toml").write_text(
            f'name = "{name}"\nmemory = "{memory} B"\n' if memory == "0" else f'name = "{name}"\nmemory = "{memory}"\n'
        )
        (path / "model.py").write_text(MODEL)
        return path

    return make


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The function `gpumodels.load` with the fake engine, in a runtime directory of its own. Models stop at the end."""
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "runtime"))
    loaded = []

    def make(*arguments, **options):
        loaded.append(gpumodels.load(*arguments, **{"engine": "fake", **options}))
        return loaded[-1]

    yield make
    for model in loaded:
        model.stop()
