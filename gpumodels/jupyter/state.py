"""What a browser is told: `widgets.state` by id, loads, sleeping models and events, with the kernels of this server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gpumodels.jupyter.threads import in_thread
from gpumodels.lease import events
from gpumodels.manager import loads, sleepers
from gpumodels.manager.place import runtime_directory
from gpumodels.widgets import state as shown
from gpumodels.widgets.described import describe_load, describe_sleeper, renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.jupyter.kernels import Kernels
    from gpumodels.manager.sleepers import Sleeper

State = dict[str, Any]

_EVENTS = 20
_OF_EVENT = ("at", "event", "instance", "model", "text")
#: What only a model that sleeps has.
_AWAKE = {"asleep_since": "", "freed": None}


async def read(kernels: Kernels, docker: str) -> State:
    """The whole state, as openapi.json describes it; `docker`: why it cannot be used. Raises RuntimeDirectoryError."""
    seen = await in_thread(_seen)
    notebooks = await kernels.notebooks()
    listed = await kernels.listed(notebooks)
    return {
        **seen,
        "docker": docker,
        "devices": {
            device["uuid"] or device["label"]: _with_notebooks(device, notebooks) for device in seen["devices"]
        },
        "models": _models(seen["models"], notebooks, listed),
        "loads": {load["id"]: renamed(load, notebooks) for load in seen["loads"]},
        "kernels": listed,
    }


def _seen() -> State:
    """What takes a thread to look at."""
    runtime = runtime_directory()
    seen = shown.read()
    told = events.told(runtime.path)[-_EVENTS:]
    return {
        **seen,
        "models": [
            *(_asleep(each) for each in sleepers.asleep(runtime)),
            *({**_AWAKE, **each} for each in seen["models"]),
        ],
        "loads": [describe_load(load) for load in loads.loads(runtime.path)],
        "events": [{key: event.get(key, "") for key in _OF_EVENT} for event in told],
    }


def _asleep(sleeper: Sleeper) -> State:
    return {**describe_sleeper(sleeper), "memory": None, "activity": None, "idle": None, "idle_since": None}


def _models(seen: list[State], notebooks: Mapping[str, str], kernels: Mapping[str, State]) -> State:
    """By id; of several who have it asleep, one who can wake it."""
    found: State = {}
    for model in seen:
        told = {**renamed(model, notebooks), "can_wake": _can_wake(model, kernels)}
        if not found.get(model["id"], {}).get("can_wake"):
            found[model["id"]] = told
    return found


def _can_wake(model: State, kernels: Mapping[str, State]) -> bool:
    kernel = kernels.get(model["kernel_id"])
    lives = kernel is not None and kernel["state"] != "dead"
    return bool(model["state"] == "asleep" and (lives or model["pid"] == os.getpid()))


def _with_notebooks(device: Mapping[str, Any], notebooks: Mapping[str, str]) -> State:
    return {**device, "shares": [renamed(share, notebooks) for share in device["shares"]]}
