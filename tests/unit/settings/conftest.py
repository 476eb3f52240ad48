"""A user and a machine with settings of their own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def none_set(monkeypatch):
    """Without the settings of this machine, which must not affect the tests."""
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
    """A function that writes the user's settings.toml: `user(text)`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return _file(tmp_path / "user")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that writes the settings.toml of the machine, for all users: `machine(text)`."""
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "machine"))
    return _file(tmp_path / "machine")
