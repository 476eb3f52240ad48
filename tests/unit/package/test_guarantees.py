"""docs/guarantees.md: each guarantee has a link to a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "guarantees.md"


def test_every_line_is_linked_to_tests_that_exist():
    lines = [line for line in PAGE.read_text().partition("## Measured")[0].splitlines() if line.startswith("| ")]
    promises = [line for line in lines if not line.endswith("| how | shown by |")]
    assert promises
    for line in promises:
        links = re.findall(r"\[`(\w+)`\]\(([^)]+)\)", line.rpartition(" | ")[2])
        assert links, f"no test: {line}"
        for name, path in links:
            assert f"def {name}(" in (PAGE.parent / path).read_text(), f"{path} has no {name}"
