"""Fixtures that import modules of the model folder images/ctpn, and remove them from `sys.modules` afterwards."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "images" / "ctpn"


@contextmanager
def folder_module(name):
    """Import a module of the folder. Its modules have top-level names, so they are removed again after the test."""
    own = {path.stem for path in FOLDER.glob("*.py")}
    before = {module: sys.modules.pop(module) for module in own & sys.modules.keys()}
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for module in own & sys.modules.keys():
            del sys.modules[module]
        sys.modules.update(before)


@pytest.fixture
def checkpoint():
    with folder_module("checkpoint") as module:
        yield module


@pytest.fixture
def picture():
    with folder_module("picture") as module:
        yield module


@pytest.fixture
def proposals():
    with folder_module("proposals") as module:
        yield module


@pytest.fixture
def lines():
    with folder_module("lines") as module:
        yield module
