"""Print the sizes, the imports and the words of the code, with one column for each checkout.

    python benchmarks/structure.py [CHECKOUT...]

There are two tables: the Python package (`gpumodels/`), then the sidebar (`labextension/src/`). How they count:

- A function's length is the number of its lines from `def` to its end, with the docstring and without decorators.
  Nested functions count too. In TypeScript a function has a body in braces; Prettier's indent shows its end.
- Module B imports module A by any `import` in B, also in a function or under TYPE_CHECKING. Names that a package looks
  up lazily count because its `if TYPE_CHECKING` lists them.
- A one-importer module is imported by exactly one other module. Not counted are `__init__`, `__main__`, modules that
  are run (`if __name__ == "__main__"`, or the scripts of pyproject.toml), and the sidebar's `index`.
- An import goes past the face of package A if a module outside `gpumodels.A` imports a module below it
  (`gpumodels.A.b`). Each pair of modules counts once.
- Clause words are `who`, `whose`, `which` and `what`. In TypeScript each `/** ... */` counts as a docstring.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PACKAGE = "gpumodels"
MODULE_LIMITS = {"py": 300, "ts": 150}  # lines
FUNCTION_LIMIT = 40  # lines

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_CLAUSE = re.compile(r"\b(who|whose|which|what)\b", re.IGNORECASE)
_OPENING = re.compile(r"(What|Whether|Who|How)\b")
_RUN = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)

_COMMENT = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
_TS_IMPORT = re.compile(r"(?:from|import\() ?'\./([\w/]+)'")
_TS_FUNCTION = re.compile(
    r"( *)(?!(?:if|for|while|switch|return)\b)"
    r"(?:.*\bfunction\b.*|.*=> \{|(?:\w+ )*\w+\(.*\).* \{|(?:\w+ )*\w+\()"
)


@dataclass
class Module:
    """A source file and its counts. `imports` are the names of other modules."""

    name: str
    lines: int
    functions: list[int]
    docstrings: list[str]
    imports: set[str]
    face: bool
    entry: bool


def python_modules(checkout: Path) -> list[Module]:
    """Read every module of the package."""
    files = {_name(path.relative_to(checkout)): path for path in sorted((checkout / PACKAGE).rglob("*.py"))}
    scripts = _scripts(checkout)
    return [_python_module(name, path, files.keys(), name in scripts) for name, path in files.items()]


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _scripts(checkout: Path) -> set[str]:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    return {target.partition(":")[0] for target in project.get("scripts", {}).values()}


def _python_module(name: str, path: Path, known: Collection[str], script: bool) -> Module:
    text = path.read_text()
    nodes = list(ast.walk(ast.parse(text)))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return Module(
        name=name,
        lines=text.count("\n"),
        functions=[(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions],
        docstrings=[found for node in nodes if isinstance(node, _DOCUMENTED) if (found := ast.get_docstring(node))],
        imports={found for node in nodes for found in _imported(node, known)} - {name},
        face=path.stem == "__init__",
        entry=script or path.stem == "__main__" or _RUN.search(text) is not None,
    )


def _imported(node: ast.AST, known: Collection[str]) -> Iterator[str]:
    """Yield the modules that a statement imports. This package has no relative imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module in known:
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            yield below if below in known else str(node.module)


def typescript_modules(checkout: Path) -> list[Module]:
    """Read every module of the sidebar."""
    source = checkout / "labextension" / "src"
    return [
        _typescript_module(path.relative_to(source).with_suffix("").as_posix(), path.read_text())
        for path in sorted(source.rglob("*.ts*"))
    ]


def _typescript_module(name: str, text: str) -> Module:
    comments = [re.sub(r"^ *\* ?", "", found, flags=re.MULTILINE).strip() for found in _COMMENT.findall(text)]
    return Module(
        name=name,
        lines=text.count("\n"),
        functions=list(_typescript_functions(text.splitlines())),
        docstrings=comments,
        imports=set(_TS_IMPORT.findall(text)) - {name},
        face=False,
        entry=name == "index",
    )


def _typescript_functions(lines: list[str]) -> Iterator[int]:
    """Yield the lengths of functions. Prettier closes each with a brace at the indent of its first line."""
    for start, line in enumerate(lines):
        if not (opening := _TS_FUNCTION.fullmatch(line)):
            continue
        closing = re.compile(opening[1] + r"[})]")
        for end in range(start + 1, len(lines)):
            if closing.match(lines[end]) and not lines[end].endswith("{"):
                if lines[end].lstrip().startswith("}"):
                    yield end - start + 1
                break


def sizes(modules: list[Module], limit: int) -> dict[str, str]:
    """Return the rows about modules and functions."""
    lengths = [module.lines for module in modules]
    functions = [length for module in modules for length in module.functions]
    return {
        "modules / without __init__": f"{len(modules)} / {sum(not module.face for module in modules)}",
        "module lines, median / p90": _spread(lengths),
        f"modules over {limit} lines": str(sum(length > limit for length in lengths)),
        "functions": str(len(functions)),
        "function lines, median / p90": _spread(functions),
        f"functions over {FUNCTION_LIMIT} lines": str(sum(length > FUNCTION_LIMIT for length in functions)),
        "one-importer modules": str(len(one_importer(modules))),
    }


def _spread(lengths: list[int]) -> str:
    return f"{statistics.median(lengths):.0f} / {statistics.quantiles(lengths, n=10, method='inclusive')[-1]:.0f}"


def one_importer(modules: list[Module]) -> list[str]:
    """Return the modules that exactly one other module imports."""
    importers = Counter(name for module in modules for name in module.imports)
    return [module.name for module in modules if not (module.face or module.entry) and importers[module.name] == 1]


def past_faces(modules: list[Module]) -> Counter[str]:
    """Count the imports that go past the face of each package."""
    counts: Counter[str] = Counter()
    for module in modules:
        for name in module.imports:
            package = ".".join(name.split(".")[:2])
            if name != package and not f"{module.name}.".startswith(f"{package}."):
                counts[package] += 1
    return counts


def words(modules: list[Module]) -> dict[str, str]:
    """Return the rows about docstrings."""
    docstrings = [text for module in modules for text in module.docstrings]
    clauses = sum(len(_CLAUSE.findall(text)) for text in docstrings)
    openings = sum(_OPENING.match(text) is not None for text in docstrings)
    return {
        "docstrings": str(len(docstrings)),
        "clause words per docstring": f"{clauses / len(docstrings):.2f}",
        "open with What/Whether/Who/How": f"{openings / len(docstrings):.1%}",
    }


def python_table(checkout: Path) -> dict[str, str]:
    """Return the rows of the package."""
    modules = python_modules(checkout)
    past = past_faces(modules)
    return {
        **sizes(modules, MODULE_LIMITS["py"]),
        "imports past a face": str(past.total()),
        **{f"  of {package}": str(count) for package, count in sorted(past.items())},
        **words(modules),
    }


def typescript_table(checkout: Path) -> dict[str, str]:
    """Return the rows of the sidebar."""
    modules = typescript_modules(checkout)
    return sizes(modules, MODULE_LIMITS["ts"]) | words(modules)


def show(title: str, columns: dict[str, dict[str, str]]) -> None:
    """Print a table with a column for each checkout. The value is 0 if a checkout does not have the row."""
    print(f"{title:34}" + "".join(f"{name:>14}" for name in columns))
    for label in _labels(list(columns.values())):
        print(f"{label:34}" + "".join(f"{rows.get(label, '0'):>14}" for rows in columns.values()))


def _labels(tables: list[dict[str, str]]) -> list[str]:
    """Merge the labels of all tables in their order."""
    merged = list(tables[0])
    for rows in tables[1:]:
        for before, label in pairwise(rows):
            if label not in merged:
                merged.insert(merged.index(before) + 1, label)
    return merged


def main() -> int:
    checkouts = [Path(argument) for argument in sys.argv[1:]] or [Path(__file__).parents[1]]
    show(f"{PACKAGE}/", {checkout.resolve().name: python_table(checkout) for checkout in checkouts})
    print()
    show("labextension/src/", {checkout.resolve().name: typescript_table(checkout) for checkout in checkouts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
