"""Modules of the model folder images/ctpn, imported as its own environment does, leaving no trace of them."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "images" / "ctpn"


@contextmanager
def folder_module(name):
    """The folder's modules have plain names, as an author's have: they are put away again after the test."""
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
