"""Lazy public names of packages: a name is imported at its first use, so that importing a package costs no time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the function `__getattr__` of `package` (PEP 562).

    `homes` maps each public name to the module of the package that defines it. A name must not be the name of a module
    of the package, because the module would replace it when it is imported.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find
