"""The state that browsers show: GPUs by holder, models, loads and events, with the kernels of this Jupyter server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gpumodels.attribution import as_json
from gpumodels.instances import load_json, model_json, read_overview, runtime_directory
from gpumodels.jupyter.kernels import with_present_notebook
from gpumodels.jupyter.threads import in_thread
from gpumodels.lease import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.jupyter.kernels import Kernels

State = dict[str, Any]

_EVENTS = 20
_OF_EVENT = ("at", "event", "instance", "model", "text")


async def read(kernels: Kernels, docker: str) -> State:
    """Return the whole state in the form of the schema State of openapi.json.

    `docker` is the reason why Docker cannot be used, or "" if it can. Raises RuntimeDirectoryError if the runtime
    directory cannot be used.
    """
    seen = await in_thread(_read)
    notebooks = await kernels.notebooks()
    listed = await kernels.listed(notebooks)
    models = _models(seen["models"], notebooks, listed)
    return {
        **seen,
        "server_pid": os.getpid(),
        "docker": docker,
        "devices": {each["uuid"] or each["label"]: _device(each, notebooks, models) for each in seen["devices"]},
        "models": models,
        "loads": {load["id"]: with_present_notebook(load, notebooks) for load in seen["loads"]},
        "kernels": listed,
    }


def _read() -> State:
    """Read everything but the kernels. This blocks, so call it in a thread."""
    overview = read_overview()
    return {
        "place": overview.place,
        **as_json(overview.usage),
        "models": [model_json(view) for view in overview.sleeping + overview.running],
        "loads": [load_json(load) for load in overview.loads],
        "events": [
            {key: event.get(key, "") for key in _OF_EVENT} for event in events.read(runtime_directory().path, _EVENTS)
        ],
    }


def _models(seen: list[State], notebooks: Mapping[str, str], kernels: Mapping[str, State]) -> State:
    """Return the models by id. If a model sleeps in several processes, prefer one in which this server can wake it."""
    found: State = {}
    for model in seen:
        users = [with_present_notebook(each, notebooks) for each in model["holders"]]
        described = {**with_present_notebook(model, notebooks), "holders": users, "can_wake": _can_wake(model, kernels)}
        if not found.get(model["id"], {}).get("can_wake"):
            found[model["id"]] = described
    return found


def _can_wake(model: State, kernels: Mapping[str, State]) -> bool:
    kernel = kernels.get(model["kernel_id"])
    lives = kernel is not None and kernel["state"] != "dead"
    return bool(model["state"] == "asleep" and (lives or model["pid"] == os.getpid()))


def _device(device: State, notebooks: Mapping[str, str], models: State) -> State:
    """Return a device with the current notebook path of each holder. A model has the path of its entry in `models`."""
    shares = [
        with_present_notebook({**share, **_notebook(models.get(share["instance"]))}, notebooks)
        for share in device["shares"]
    ]
    return {**device, "shares": shares}


def _notebook(model: State | None) -> State:
    return {} if model is None else {key: model[key] for key in ("notebook", "kernel_id")}
