"""Views for notebooks, built of ipywidgets and anywidget, given the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from gpumodels.model import Model
    from gpumodels.widgets.live import Dashboard

__all__ = ["gpu_dashboard", "show_models", "show_models_no_more"]

#: By name, so that a kernel imports neither models nor widgets before it has one to show.
_MODEL = ("gpumodels.model.handle", "Model")


def gpu_dashboard() -> Dashboard:
    """The dashboard of GPUs and models, as a widget: the last value of a cell is shown.

    Raises RuntimeDirectoryError.
    """
    from gpumodels.widgets.live import Dashboard  # noqa: PLC0415  widgets are for those who show some

    return Dashboard()


def show_models(shell: InteractiveShell) -> None:
    """From here on a notebook shows a model as a small live card; a terminal shows it as text."""
    if hasattr(shell, "kernel"):
        _formatter(shell).for_type_by_name(*_MODEL, _card)


def show_models_no_more(shell: InteractiveShell) -> None:
    """Models are shown as text again."""
    formatter = _formatter(shell)
    formatter.deferred_printers.pop(_MODEL, None)
    for type_ in [each for each in formatter.type_printers if (each.__module__, each.__name__) == _MODEL]:
        formatter.pop(type_)


def _formatter(shell: InteractiveShell) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.mimebundle_formatter


def _card(model: Model, **_: object) -> dict[str, str]:
    """The picture that stays in the notebook; what lives is a display of its own, beside it."""
    from gpumodels.widgets.live import card  # noqa: PLC0415

    return card(model).show_view()
