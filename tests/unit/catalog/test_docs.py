"""The reference of `model.toml`: it describes every field, and its example is a valid model folder."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gpumodels.catalog import Weights
from gpumodels.catalog.folder import FIELDS, read_folder
from gpumodels.signature import DTYPES, TensorSpec

PAGE = (Path(__file__).parents[3] / "docs" / "model-folders.md").read_text()


def test_every_field_is_described():
    known = {*FIELDS, *(field.name for kind in (Weights, TensorSpec) for field in fields(kind))}
    described = set(re.findall(r"\w+", " ".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))))
    assert known <= described


def test_every_dtype_is_described():
    ranges = {"int16", "int32", "uint16", "uint32"}  # "int8 to int64"
    assert all(f"`{dtype}`" in PAGE for dtype in DTYPES if dtype not in ranges)


def test_the_example_is_a_model_folder(folder):
    example = re.search(r"## An example\n\n```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    spec = read_folder(folder(example))
    assert (spec.name, len(spec.weights), len(spec.signature.outputs)) == ("ctpn", 1, 1)
