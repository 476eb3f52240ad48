"""What a browser is told: `widgets.state` by id, loads, sleeping models and events, with the kernels of this server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gpumodels.jupyter.threads import in_thread
from gpumodels.lease import events
from gpumodels.manager.place import runtime_directory
from gpumodels.widgets import state as shown
from gpumodels.widgets.described import renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.jupyter.kernels import Kernels

State = dict[str, Any]

_EVENTS = 20
_OF_EVENT = ("at", "event", "instance", "model", "text")


async def read(kernels: Kernels) -> State:
    """The whole state, as docs/rest.md and openapi.json describe it. Raises RuntimeDirectoryError."""
    seen = await in_thread(_seen)
    notebooks = await kernels.notebooks()
    listed = await kernels.listed(notebooks)
    models = {model["id"]: _model(renamed(model, notebooks), listed) for model in seen["models"]}
    return {
        **seen,
        "devices": {device["uuid"] or device["label"]: with_notebooks(device, notebooks) for device in seen["devices"]},
        "models": models,
        "loads": {load["id"]: renamed(load, notebooks) for load in seen["loads"]},
        "kernels": listed,
    }


def with_notebooks(device: Mapping[str, Any], notebooks: Mapping[str, str]) -> State:
    """A device whose holders' notebooks are named as the Jupyter server knows them."""
    return {**device, "shares": [renamed(share, notebooks) for share in device["shares"]]}


def _seen() -> State:
    """What takes a thread to look at."""
    told = events.told(runtime_directory().path)[-_EVENTS:]
    return {
        **shown.read(),
        "docker": "",
        "loads": [],
        "events": [{key: event.get(key, "") for key in _OF_EVENT} for event in told],
    }


def _model(model: State, kernels: Mapping[str, State]) -> State:
    kernel = kernels.get(model["kernel_id"], {"state": "dead"})
    wakes = model["state"] == "asleep" and (kernel["state"] != "dead" or model["pid"] == os.getpid())
    return {**model, "can_wake": wakes}
