"""The GPUs that an administrator allows a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gpumodels.devices import allowlist

if TYPE_CHECKING:
    from pathlib import Path

Administer = Callable[[str | None], None]


@pytest.fixture(autouse=True)
def administer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Administer:
    """A function that sets the allow-list that the kernel was started with; at first there is none."""
    environ = tmp_path / "environ"

    def write(listed: str | None) -> None:
        settings = ["HOME=/", *([] if listed is None else [f"CUDA_VISIBLE_DEVICES={listed}"]), "LANG=C"]
        environ.write_bytes("\0".join(settings).encode() + b"\0")

    write(None)
    monkeypatch.setattr(allowlist, "_INITIAL", environ)
    return write
