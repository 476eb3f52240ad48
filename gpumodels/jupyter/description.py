"""`openapi.json`, which describes all routes: given to programs, and what requests are checked by."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

#: The whole file; not to be changed.
DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_bytes())


@cache
def validator(schema: str) -> Draft202012Validator:
    """Of one of its schemas, by name."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": DOCUMENT["components"]["schemas"]}}
    )


def complaint(schema: str, value: object) -> str:
    """What is wrong with `value`, as a clause; "" where it is as the schema says."""
    found = best_match(validator(schema).iter_errors(value))
    if found is None:
        return ""
    where = ".".join(str(each) for each in found.absolute_path)
    return f"{where}: {found.message}" if where else str(found.message)
