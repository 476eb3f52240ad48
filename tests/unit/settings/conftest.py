"""A user and a machine with settings of their own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def none_set(monkeypatch):
    """What this machine says must not reach the tests."""
    for name in os.environ:
        if name.startswith("GPUMODELS_"):
            monkeypatch.delenv(name)


def _file(base):
    place = base / "gpumodels" / "settings.toml"

    def write(text):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    return write


@pytest.fixture
def user(tmp_path, monkeypatch):
    """`user(text)` writes the user's settings.toml."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return _file(tmp_path / "user")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`machine(text)` writes the whole machine's."""
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "machine"))
    return _file(tmp_path / "machine")
