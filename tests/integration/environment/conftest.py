"""Fixtures: an empty cache for every test, which keeps only uv's own downloads."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from tests.integration.reports import Recorded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def downloads() -> str:
    """The directory of uv's downloads."""
    return subprocess.run([find_uv_bin(), "cache", "dir"], check=True, text=True, capture_output=True).stdout.strip()


@pytest.fixture(autouse=True)
def environments(tmp_path: Path, downloads: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for environments, in an empty cache."""
    monkeypatch.setenv("UV_CACHE_DIR", downloads)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "cache" / "gpumodels" / "environments"


@pytest.fixture
def report() -> Recorded:
    return Recorded()
