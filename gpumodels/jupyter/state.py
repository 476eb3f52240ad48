"""What a browser is told: `widgets.state` by id, loads, sleeping models and events, with the kernels of this server."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpumodels.instances import list_loads, runtime_directory, sleeping, users_of
from gpumodels.jupyter.threads import in_thread
from gpumodels.lease import events
from gpumodels.widgets import state as shown
from gpumodels.widgets.described import describe_load, describe_sleeper, renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.instances import SleepingModel
    from gpumodels.jupyter.kernels import Kernels
    from gpumodels.lease.record import Owner

State = dict[str, Any]

_EVENTS = 20
_OF_EVENT = ("at", "event", "instance", "model", "text")


async def read(kernels: Kernels, docker: str) -> State:
    """The whole state, as openapi.json describes it; `docker`: why it cannot be used. Raises RuntimeDirectoryError."""
    seen = await in_thread(_seen)
    notebooks = await kernels.notebooks()
    listed = await kernels.listed(notebooks)
    models = _models(seen["models"], notebooks, listed)
    return {
        **seen,
        "server_pid": os.getpid(),
        "docker": docker,
        "devices": {each["uuid"] or each["label"]: _device(each, notebooks, models) for each in seen["devices"]},
        "models": models,
        "loads": {load["id"]: renamed(load, notebooks) for load in seen["loads"]},
        "kernels": listed,
    }


def _seen() -> State:
    """What takes a thread to look at: first what runs, then what sleeps, so that nothing falls between the two."""
    runtime = runtime_directory()
    seen = shown.read()
    users = users_of(runtime.instances())
    awake = [_awake(model, users.get(model["id"], [])) for model in seen["models"]]
    return {
        **seen,
        "models": [*(_asleep(each) for each in sleeping(runtime)), *awake],
        "loads": [describe_load(load) for load in list_loads(runtime.path)],
        "events": [{key: event.get(key, "") for key in _OF_EVENT} for event in events.read(runtime.path, _EVENTS)],
    }


def _asleep(sleeper: SleepingModel) -> State:
    nothing = {"memory": None, "activity": None, "idle_since": None}
    return {**describe_sleeper(sleeper), **nothing, "holders": []}


def _awake(model: State, users: list[Owner]) -> State:
    """With those who use it; where who loaded it does so no more, it is told as of the first of them.

    Seconds that pass are left out: the moment since when does not change.
    """
    told = [asdict(each) for each in users]
    owner = told[0] if told and model["pid"] not in [each.pid for each in users] else {}
    lasting = {key: value for key, value in model.items() if key != "idle"}
    return {**lasting, **owner, "asleep_since": "", "freed": None, "holders": told}


def _models(seen: list[State], notebooks: Mapping[str, str], kernels: Mapping[str, State]) -> State:
    """By id; of several who have it asleep, one who can wake it."""
    found: State = {}
    for model in seen:
        users = [renamed(each, notebooks) for each in model["holders"]]
        told = {**renamed(model, notebooks), "holders": users, "can_wake": _can_wake(model, kernels)}
        if not found.get(model["id"], {}).get("can_wake"):
            found[model["id"]] = told
    return found


def _can_wake(model: State, kernels: Mapping[str, State]) -> bool:
    kernel = kernels.get(model["kernel_id"])
    lives = kernel is not None and kernel["state"] != "dead"
    return bool(model["state"] == "asleep" and (lives or model["pid"] == os.getpid()))


def _device(seen: State, notebooks: Mapping[str, str], models: State) -> State:
    """With the notebooks of its holders as they are now; a model's is the same as in its own entry."""
    shares = [renamed({**share, **_whose(models.get(share["instance"]))}, notebooks) for share in seen["shares"]]
    return {**seen, "shares": shares}


def _whose(model: State | None) -> State:
    return {} if model is None else {key: model[key] for key in ("notebook", "kernel_id")}
