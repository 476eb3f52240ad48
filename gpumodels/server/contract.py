"""Checks of the author's class. Each error is one sentence that names the mistake."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from gpumodels.signature import TensorSpec


class ContractError(TypeError):
    """The error for a mistake in the author's code that prevents a load. It is logged without a traceback."""


def find_class(module: ModuleType, name: str) -> Callable[[], Any]:
    """Return the class of that name. If there is none, raise ContractError, which suggests the most similar name."""
    if not hasattr(module, name):
        classes = [cls.__name__ for cls in vars(module).values() if inspect.isclass(cls) and _is_of(cls, module)]
        raise ContractError(f"{_file(module)} has no class {name}{_instead(name, classes)}")
    found: Callable[[], Any] = getattr(module, name)
    return found


def find_method(model: Any, name: str) -> Callable[..., Any]:
    """Return the method of that name. If there is none, raise ContractError, which suggests the most similar name."""
    method = getattr(model, name, None)
    if not callable(method):
        methods = [other for other in dir(type(model)) if not other.startswith("_")]
        raise ContractError(f"the class {type(model).__name__} has no method {name}{_instead(name, methods)}")
    found: Callable[..., Any] = method
    return found


def check_takes(predict: Callable[..., Any], inputs: tuple[TensorSpec, ...]) -> None:
    """Raise ContractError if `predict` cannot take the inputs that `model.toml` declares: every call would fail."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except ValueError:  # compiled code, which may have no signature
        return
    kinds = inspect.Parameter
    named = {each.name: each for each in parameters if each.kind in {kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY}}
    takes = f"predict({', '.join(map(str, parameters))})"
    declared = [spec.name for spec in inputs]
    unknown = [name for name in declared if name not in named]
    if unknown and not any(each.kind is kinds.VAR_KEYWORD for each in parameters):
        raise ContractError(f"model.toml declares the input {_quoted(unknown)}, which {takes} does not take")
    needed = [name for name, each in named.items() if each.default is kinds.empty and name not in declared]
    if needed:
        raise ContractError(
            f"{takes} needs {_quoted(needed)}, which model.toml does not declare: its inputs are {', '.join(declared)}"
        )


def _is_of(cls: type, module: ModuleType) -> bool:
    return cls.__module__ == module.__name__


def _file(module: ModuleType) -> str:
    return f"{module.__name__.replace('.', '/')}.py"


def _instead(name: str, others: list[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1) or others
    return f"; it has {', '.join(near)}" if near else ""


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
