"""Check the wording of docstrings, comments and docs.

    python -m tests.words [PATH...]

Print a line `path:line: rule: what` for each finding, then a table of the findings by rule. Without paths the whole
tree is read. The rules:

- verb: the docstring of a function begins with a verb of `tests/verbs.txt`. Add the verb that you need, if it is a
  plain one. Properties and fixtures may begin with a noun.
- noun: the docstring of a class begins with a noun.
- opening: no docstring begins with a word of `OPENINGS`, no `/** comment */` with one of `COMMENT_OPENINGS`.
- length: a sentence has at most 25 words in the first paragraph of a docstring, and at most 40 in Markdown.
- clauses: a docstring has at most two clause words, and its first line has no `whoever`, `whatever` or `whose`.
- private: no line of a file has a word of `PRIVATE`. The other rules skip code in backticks, tables and code blocks.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHECKOUT = Path(__file__).parents[1]
ROOTS = (
    "gpumodels", "images", "benchmarks", "notebooks", "tests", "docs", "labextension/src",
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
)  # fmt: skip
BUILT = ("node_modules", "static", "__pycache__", ".ipynb_checkpoints")

OPENINGS = ("What", "Whether", "Who", "Whose", "Which", "How", "Of", "In", "To", "When", "Where", "That", "As")
COMMENT_OPENINGS = ("What", "Whether", "Who", "How", "Of")
SENTENCE, MARKDOWN_SENTENCE = 25, 40  # words
CLAUSES = 2

#: Words that only this project used, and the plain words for them.
PRIVATE = {
    "drowsy": "about to sleep",
    "nap": "freed memory",
    "naps": "freed memory",
    "overseer": "limit watcher",
    "door": "listener",
    "desk": "server context",
    "underway": "in flight",
    "noting": "journal",
    "told_each": "hide_frames",
    "told by": "reported by",
    "told of": "notified of",
}

#: Verbs that a docstring of a function may begin with; verbs that are nouns or adjectives as well have a star.
_LISTED = (CHECKOUT / "tests" / "verbs.txt").read_text().splitlines()
VERBS = frozenset(line.removesuffix(" *") for line in _LISTED)
NOUNS = frozenset(line.removesuffix(" *") for line in _LISTED if line.endswith(" *"))

_CLAUSE = re.compile(r"\b(who|whose|which|what|whoever|whatever)\b", re.IGNORECASE)
_NO_SUMMARY = re.compile(r"\b(whoever|whatever|whose)\b", re.IGNORECASE)
_PARTICIPLE = re.compile(r"(\w+ed|Made|Held|Kept|Read|Told) (by|once|with|between|how|when|from)\b")
_PRIVATE = re.compile(rf"(?<![a-z])({'|'.join(PRIVATE)})(?![a-z])", re.IGNORECASE)
_COMMENT = re.compile(r"/\*\*\s*(?:\* )?([A-Z]\w*)")
_CODE = re.compile(r"(`+)(?:(?!`).)+\1", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_]*[A-Z])")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NOUN_DECORATORS = ("property", "cached_property", "fixture")


@dataclass(frozen=True, order=True)
class Finding:
    """A place in a file that breaks a rule."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


def findings(paths: Iterable[Path]) -> list[Finding]:
    """Return the findings in files, and in all files below folders."""
    found = []
    for path in sorted({file for root in paths for file in _files(root)}):
        text = path.read_text()
        name = path.relative_to(CHECKOUT).as_posix() if path.is_relative_to(CHECKOUT) else path.as_posix()
        found += [Finding(name, line, rule, what) for line, rule, what in _check(path, text)]
    return sorted(found)


def _files(path: Path) -> Iterator[Path]:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.suffix in _CHECKS and not set(BUILT) & set(file.relative_to(path).parts):
            yield file.resolve()


def _check(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    yield from _CHECKS[path.suffix](text)
    if path.name not in ("words.py", "test_words.py"):  # which name the private words
        for number, line in enumerate(text.splitlines(), 1):
            for word in _PRIVATE.findall(line):
                yield number, "private", f'"{word}": write "{PRIVATE[word.lower()]}"'


def python(text: str) -> Iterator[tuple[int, str, str]]:
    """Check the docstrings of a Python file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            for rule, what in (*_opening(node, docstring), *_length(docstring), *_clauses(docstring)):
                yield node.body[0].lineno, rule, what


def _opening(node: ast.AST, docstring: str) -> Iterator[tuple[str, str]]:
    first = docstring.split(maxsplit=1)[0].strip("\"'.,:;()")
    if first in OPENINGS:
        yield "opening", f'begins with "{first}"'
    elif isinstance(node, ast.ClassDef):
        if _is_verb(first) or _PARTICIPLE.match(docstring):
            yield "noun", f'class begins with "{first}", not with a noun'
    elif not isinstance(node, ast.Module) and not _is_noun(node) and first.lower() not in VERBS:
        yield "verb", f'function begins with "{first}", which is not in tests/verbs.txt'


def _is_noun(node: ast.AST) -> bool:
    """Tell whether a function stands for a value: a property or a fixture."""
    return any(ast.unparse(each).partition("(")[0].endswith(_NOUN_DECORATORS) for each in node.decorator_list)


def _is_verb(word: str) -> bool:
    lower = word.lower()
    stems = {lower, lower.removesuffix("s"), lower.removesuffix("es"), lower.removesuffix("ies") + "y"}
    return bool(stems & VERBS) and not stems & NOUNS


def _length(docstring: str) -> Iterator[tuple[str, str]]:
    yield from _long(re.split(r"\n\s*(?:\n|- )", docstring)[0], SENTENCE)


def _long(paragraph: str, limit: int) -> Iterator[tuple[str, str]]:
    for sentence in _SENTENCE_END.split(_CODE.sub("CODE", paragraph)):
        words = [word for word in sentence.split() if re.search(r"\w", word)]
        if len(words) > limit:
            yield "length", f'{len(words)} words in "{" ".join(words[:5])} ..."'


def _clauses(docstring: str) -> Iterator[tuple[str, str]]:
    plain = _CODE.sub("CODE", docstring)
    words = _CLAUSE.findall(plain)
    if len(words) > CLAUSES:
        yield "clauses", f"{len(words)} clause words: {', '.join(words)}"
    for word in _NO_SUMMARY.findall(plain.splitlines()[0]):
        yield "clauses", f'"{word}" in the summary'


def script(text: str) -> Iterator[tuple[int, str, str]]:
    """Check the comments of a TypeScript or JavaScript file."""
    for found in _COMMENT.finditer(text):
        if found[1] in COMMENT_OPENINGS:
            yield text.count("\n", 0, found.start()) + 1, "opening", f'comment begins with "{found[1]}"'


def markdown(text: str) -> Iterator[tuple[int, str, str]]:
    """Check the sentences of a Markdown file, without tables and code."""
    text = re.sub(r"^( *)```.*?^\1```", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(?:\||#| {4}).*", "", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    for found in re.finditer(r"(?:^.*\S.*\n?)(?:^(?! *(?:[-*]|\d+\.) ).*\S.*\n?)*", text, flags=re.MULTILINE):
        for rule, what in _long(found[0], MARKDOWN_SENTENCE):
            yield text.count("\n", 0, found.start()) + 1, rule, what


_CHECKS = {".py": python, ".ts": script, ".tsx": script, ".js": script, ".md": markdown}


def main(arguments: list[str]) -> int:
    paths = [Path(argument).resolve() for argument in arguments] or [CHECKOUT / root for root in ROOTS]
    if missing := [path for path in paths if not path.exists()]:
        print("no such path:", *missing, file=sys.stderr)
        return 2
    found = findings(paths)
    for each in found:
        print(each)
    for rule, count in Counter(each.rule for each in found).most_common():
        print(f"{rule:10}{count:6}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
