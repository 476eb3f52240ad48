"""Machines with GPUs, described in a file and seen through the real nvidia-ml-py in this very process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from gpumodels.devices import allowlist
from tests.fakes.nvml import Machine, machine, preload

if TYPE_CHECKING:
    from pathlib import Path

Build = Callable[..., Machine]
Administer = Callable[[str | None], None]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """`build(gpu(...), gpu(...))` makes this process see such a machine until the test ends."""
    preload()

    def make(*gpus: dict[str, Any]) -> Machine:
        made = machine(tmp_path / "machine.json", *gpus)
        monkeypatch.setenv("FAKE_NVML_MACHINE", str(made.path))
        return made

    return make


@pytest.fixture(autouse=True)
def administer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Administer:
    """`administer("0,2")` stands for a kernel that was started with that allow-list; at first there is none."""
    environ = tmp_path / "environ"

    def write(listed: str | None) -> None:
        settings = ["HOME=/", *([] if listed is None else [f"CUDA_VISIBLE_DEVICES={listed}"]), "LANG=C"]
        environ.write_bytes("\0".join(settings).encode() + b"\0")

    write(None)
    monkeypatch.setattr(allowlist, "_INITIAL", environ)
    return write
