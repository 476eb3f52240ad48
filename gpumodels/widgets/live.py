"""Widgets that look for themselves while they are on screen, and ask the kernel only for what only it can do.

The Jupyter server answers them, so they go on while a cell runs, and an idle kernel stays idle. Each leaves a picture
in the notebook, an output of its own, which the living widget hides.
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
from gpumodels.widgets import acting, front, pictures
from gpumodels.widgets.state import BOARD

if TYPE_CHECKING:
    from gpumodels.model import Model

#: What of a widget's state is for the front end.
_SYNCED = {"sync": True}


class Live(AnyWidget):
    """What dashboard and card share. `refresh` tells the front end what only this process knows."""

    _esm = front.SCRIPT
    _css = front.STYLE

    #: Which of the two it is.
    kind = traitlets.Unicode().tag(**_SYNCED)
    #: What was seen when it was made; see `state.read`.
    state = traitlets.Dict().tag(**_SYNCED)
    #: By which mark the picture that it leaves in the notebook is found.
    still = traitlets.Unicode().tag(**_SYNCED)
    #: Whose kernel this is, as the Jupyter server names it.
    kernel_id = traitlets.Unicode().tag(**_SYNCED)
    pid = traitlets.Int().tag(**_SYNCED)
    #: This process's models that sleep: name and what is said of that.
    asleep: Any = traitlets.List().tag(**_SYNCED)

    def __init__(self, **traits: Any) -> None:
        here = this_process()
        super().__init__(state=BOARD.look(), kernel_id=here.kernel_id, pid=os.getpid(), **traits)
        self.still = self.model_id
        self.refresh()
        self.on_msg(_answer)
        _refresh_after_cells(self)

    def refresh(self) -> None:
        """Say which models of this process sleep."""
        self.asleep = [
            {"instance": model.record.id, "name": model.name, "said": str(model.freed)}
            for model in models()
            if model.asleep
        ]

    def picture(self) -> dict[str, str]:
        """What a saved notebook shows, by MIME type."""
        return pictures.dashboard(self.state, self.still, [f"{each['name']} is {each['said']}" for each in self.asleep])

    def show_view(self) -> dict[str, str]:
        """Display the living view, where there is a notebook; returns the picture, to be shown beside it."""
        if not hasattr(get_ipython(), "kernel"):
            return self.picture()
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
        return self.picture()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, str]]:
        return self.show_view(), {}


class Dashboard(Live):
    """GPUs by holder, models with their work and buttons, and a form to load one."""

    #: Names and summaries of what can be loaded, and the engines.
    catalog: Any = traitlets.List().tag(**_SYNCED)
    engines: Any = traitlets.List().tag(**_SYNCED)

    def __init__(self) -> None:
        named = [{"name": name, "summary": summary} for name, summary in catalog.names()]
        super().__init__(kind="dashboard", catalog=named, engines=["auto", "docker", "process"])


class Card(Live):
    """One model. `instances` are the ids that stand behind the handle, which change when it sleeps and wakes."""

    name = traitlets.Unicode().tag(**_SYNCED)
    instances: Any = traitlets.List().tag(**_SYNCED)
    #: What the handle says of itself.
    said = traitlets.Unicode().tag(**_SYNCED)

    def __init__(self, model: Model) -> None:
        self._model = weakref.ref(model)  # widgets live for ever, handles need not
        super().__init__(kind="card", name=model.name)

    def refresh(self) -> None:
        """Say which instances are meant now, and what the handle says of itself."""
        super().refresh()
        model = self._model()
        if model is not None:
            self.instances = [each.record.id for each in model.replicas]
            self.said = repr(model)

    def picture(self) -> dict[str, str]:
        return pictures.card(self.state, self.still, self.instances, self.said)


_cards: weakref.WeakKeyDictionary[Model, Card] = weakref.WeakKeyDictionary()


def card(model: Model) -> Card:
    """The card of a handle; one, however often it is shown."""
    if model not in _cards:
        _cards[model] = Card(model)
    found = _cards[model]
    found.state = BOARD.look()
    found.refresh()
    return found


_refreshed: weakref.WeakSet[Live] = weakref.WeakSet()


def _refresh_after_cells(live: Live) -> None:
    """What only this process knows changes by what its cells do; said while they run, it wakes no idle kernel."""
    _refreshed.add(live)
    shell = get_ipython()
    if shell is not None and _refresh not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _refresh)


def _answer(live: Live, asked: dict[str, Any], _: object) -> None:
    answer = acting.answer(asked, live.send)
    _refresh()
    live.send(answer)


def _refresh(_: object = None) -> None:
    for live in list(_refreshed):
        live.refresh()
