"""Live widgets: the dashboard and the card of a model.

While a widget is on screen, the browser asks the Jupyter server for the state. It asks the kernel only for what the
server cannot do. So a widget stays live while a cell runs, and an idle kernel stays idle. Each widget leaves a picture
in the notebook, as a separate output that the live widget hides.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

import traitlets
from anywidget import AnyWidget
from IPython.core.getipython import get_ipython
from IPython.display import display

from gpumodels import catalog
from gpumodels.instances import models, this_process
from gpumodels.widgets import actions, front, pictures
from gpumodels.widgets.state import recent

if TYPE_CHECKING:
    from gpumodels.model import Model

#: The tag of traits that are sent to the browser.
_SYNCED = {"sync": True}


class Live(AnyWidget):
    """The base class of dashboard and card. `refresh` sends facts to the browser that only this process knows."""

    _esm = front.SCRIPT
    _css = front.STYLE

    #: "dashboard" or "card".
    kind = traitlets.Unicode().tag(**_SYNCED)
    #: The state at the time when the widget was made; see `state.read`.
    state = traitlets.Dict().tag(**_SYNCED)
    #: The id of the picture that this widget has left in the notebook, by which the browser finds it.
    picture_id = traitlets.Unicode().tag(**_SYNCED)
    #: The id of this kernel on the Jupyter server.
    kernel_id = traitlets.Unicode().tag(**_SYNCED)
    pid = traitlets.Int().tag(**_SYNCED)
    #: The sleeping models of this process, each with `instance`, `name` and `text`. The text has the time since which
    #: the model sleeps, and the freed memory.
    asleep: Any = traitlets.List().tag(**_SYNCED)

    def __init__(self, **traits: Any) -> None:
        here = this_process()
        super().__init__(state=recent(), kernel_id=here.kernel_id, pid=os.getpid(), **traits)
        self.picture_id = self.model_id
        self.refresh()
        self.on_msg(_answer)
        _refresh_after_cells(self)

    def refresh(self) -> None:
        """Send the sleeping models of this process to the browser."""
        self.asleep = [
            {"instance": model.record.id, "name": model.name, "text": str(model.freed)}
            for model in models()
            if model.asleep
        ]

    def picture(self) -> dict[str, str]:
        """Return the picture for a saved notebook, as texts by MIME type."""
        asleep = [f"{each['name']} is {each['text']}" for each in self.asleep]
        return pictures.dashboard(self.state, self.picture_id, asleep)

    def show_view(self) -> dict[str, str]:
        """Display the live view if this is a notebook. Return the picture, which IPython shows as a second output."""
        if not hasattr(get_ipython(), "kernel"):
            return self.picture()
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
        return self.picture()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, str]]:
        return self.show_view(), {}


class Dashboard(Live):
    """The GPUs by holder, the models with their activity and buttons, and a form that loads a model."""

    #: The names and summaries of the models that can be loaded.
    catalog: Any = traitlets.List().tag(**_SYNCED)
    engines: Any = traitlets.List().tag(**_SYNCED)

    def __init__(self) -> None:
        named = [{"name": name, "summary": summary} for name, summary in catalog.names()]
        super().__init__(kind="dashboard", catalog=named, engines=["auto", "docker", "process"])


class Card(Live):
    """The card of one model."""

    name = traitlets.Unicode().tag(**_SYNCED)
    #: The ids of the instances of the handle, which change when the model sleeps and wakes.
    instances: Any = traitlets.List().tag(**_SYNCED)
    #: The `repr` of the handle.
    description = traitlets.Unicode().tag(**_SYNCED)

    def __init__(self, model: Model) -> None:
        self._model = weakref.ref(model)  # ipywidgets keeps every widget alive, but that must not keep the handle alive
        super().__init__(kind="card", name=model.name)

    def refresh(self) -> None:
        """Send the facts of every widget, the ids of the handle's instances and the handle's `repr` to the browser."""
        super().refresh()
        model = self._model()
        if model is not None:
            self.instances = [each.record.id for each in model.replicas]
            self.description = repr(model)

    def picture(self) -> dict[str, str]:
        return pictures.card(self.state, self.picture_id, self.instances, self.description)


_cards: weakref.WeakKeyDictionary[Model, Card] = weakref.WeakKeyDictionary()


def card(model: Model) -> Card:
    """Return the card of a handle. Each handle has one card, which is refreshed here."""
    if model not in _cards:
        _cards[model] = Card(model)
    found = _cards[model]
    found.state = recent()
    found.refresh()
    return found


_refreshed: weakref.WeakSet[Live] = weakref.WeakSet()


def _refresh_after_cells(live: Live) -> None:
    """Refresh the widget after each cell from now on.

    Only cells change the facts that `refresh` sends, and after a cell the kernel does not count as idle anyway.
    """
    _refreshed.add(live)
    shell = get_ipython()
    if shell is not None and _refresh not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _refresh)


def _answer(live: Live, request: dict[str, Any], _: object) -> None:
    reply = actions.answer(request, live.send)
    _refresh()
    live.send(reply)


def _refresh(_: object = None) -> None:
    for live in list(_refreshed):
        live.refresh()
