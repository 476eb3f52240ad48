"""Lazy public names of packages: a name is imported at its first use, so that importing a package costs no time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the function to use as `__getattr__` of `package` (PEP 562). It imports public names at their first use.

    `homes` maps each public name to the module of the package that defines it. A public name must not be the name
    of a module of the package, because importing that module would replace the public name.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find
