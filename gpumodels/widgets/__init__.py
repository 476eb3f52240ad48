"""Views for notebooks: a dashboard of GPUs and models, and a card for each model, as ipywidgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from gpumodels.model import Model
    from gpumodels.widgets.live import Dashboard

__all__ = ["gpu_dashboard", "show_models", "show_models_no_more"]

#: The module and the name of the class `Model`. With them a formatter is registered without importing the class.
_MODEL = ("gpumodels.model.handle", "Model")


def gpu_dashboard() -> Dashboard:
    """Return a live dashboard of the GPUs and models of this machine.

    Returns
    -------
    Dashboard
        An ipywidget. A notebook shows it if it is the last value of a cell.

    Raises
    ------
    RuntimeDirectoryError
        If the runtime directory cannot be used.

    Examples
    --------
    >>> import gpumodels
    >>> gpumodels.gpu_dashboard()

    """
    from gpumodels.widgets.live import Dashboard  # noqa: PLC0415  a kernel without widgets does not import them

    return Dashboard()


def show_models(shell: InteractiveShell) -> None:
    """Let a notebook show each model as a small live card. A terminal still shows text."""
    if hasattr(shell, "kernel"):
        _formatter(shell).for_type_by_name(*_MODEL, _card)


def show_models_no_more(shell: InteractiveShell) -> None:
    """Let a notebook show models as text again."""
    formatter = _formatter(shell)
    formatter.deferred_printers.pop(_MODEL, None)
    for type_ in [each for each in formatter.type_printers if (each.__module__, each.__name__) == _MODEL]:
        formatter.pop(type_)


def _formatter(shell: InteractiveShell) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.mimebundle_formatter


def _card(model: Model, **_: object) -> dict[str, str]:
    """Display the live card as a separate output, and return the picture that stays in the notebook."""
    from gpumodels.widgets.live import card  # noqa: PLC0415

    return card(model).show_view()
