"""Generate two files from the options of a load in `gpumodels/loading/request.py`.

- `gpumodels/jupyter/openapi.json`: only its schema LoadRequest, by which the server checks the bodies of `POST models`.
- `src/options.ts`: the table of options, for the form of the sidebar and the line that the form writes.

With --check, write nothing, and fail if a file is stale. After this, run `generate.mjs`, which generates types from the
schemas.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from gpumodels.loading import OPTIONS, schema
from gpumodels.loading.options import Kind

ROOT = Path(__file__).resolve().parents[1]
OPENAPI = ROOT / "gpumodels/jupyter/openapi.json"
TABLE = ROOT / "labextension/src/options.ts"

WIDTH = 120
TYPESCRIPT = """\
// Generated from gpumodels/loading/request.py by `make generate`. Do not edit.

export type OptionName =
  | {names};

/** An option of a load, as `Option` of gpumodels/loading/options.py describes it. */
export interface IOption {{
  readonly name: OptionName;
  readonly flag: string;
  /** A switch takes no value; settings are NAME=VALUE and may be repeated. */
  readonly kind: {kinds};
  readonly metavar: string;
  readonly help: string;
  readonly examples: readonly string[];
  /** Null if the default is in the user's settings, or if there is none. */
  readonly default: string | number | boolean | null;
}}

/** All options, in their order in `--help`. */
// prettier-ignore
export const OPTIONS: readonly IOption[] = {table};
"""
FACTS = ("name", "flag", "kind", "metavar", "help", "examples", "default")


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return JSON. A list or an object is on one line if it fits there after the first `before` characters."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or before + len(flat) < WIDTH:
        return flat
    inner = " " * (indent + 2)
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    values = value.values() if isinstance(value, dict) else value
    lines = [
        f"{inner}{key}{pretty(each, indent + 2, indent + 2 + len(key))}" for key, each in zip(keys, values, strict=True)
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(lines), " " * indent + closing])


def openapi(text: str) -> str:
    """Return the text of openapi.json with the schema LoadRequest of the present options."""
    start = text.index('"LoadRequest": {') + len('"LoadRequest": ')
    _, end = json.JSONDecoder().raw_decode(text, start)
    indent = text.index('"LoadRequest"') - text.rindex("\n", 0, start) - 1
    return text[:start] + pretty(schema(), indent, WIDTH) + text[end:]


def table() -> str:
    """Return the text of src/options.ts."""
    facts = [{fact: getattr(each, fact) for fact in FACTS} for each in OPTIONS]
    return TYPESCRIPT.format(
        names="\n  | ".join(f"'{each.name}'" for each in OPTIONS),
        kinds=" | ".join(f"'{kind}'" for kind in get_args(Kind)),
        table=pretty(facts),
    )


def generated() -> dict[Path, str]:
    """Return the new text of each generated file, by path."""
    return {OPENAPI: openapi(OPENAPI.read_text(encoding="utf-8")), TABLE: table()}


def main() -> None:
    texts = generated()
    if "--check" not in sys.argv:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if stale:
        names = " and ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"{names}: stale, the options of a load have changed. Run `make generate`.")


if __name__ == "__main__":
    main()
