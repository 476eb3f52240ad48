"""`openapi.json`, the description of all routes: it is served to programs, and requests are checked against it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

#: The parsed file. Callers must not change it.
DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_bytes())


@cache
def validator(schema: str) -> Draft202012Validator:
    """Return the validator of a schema of `openapi.json`, by name."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": DOCUMENT["components"]["schemas"]}}
    )


def complaint(schema: str, value: object) -> str:
    """Return the most relevant mismatch of `value` and a schema, as a clause; "" if it matches."""
    found = best_match(validator(schema).iter_errors(value))
    if found is None:
        return ""
    where = ".".join(str(each) for each in found.absolute_path)
    return f"{where}: {found.message}" if where else str(found.message)
