"""The rows and the JSON of `ps`: models that run, load or sleep."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from gpumodels.cli.lookup import whose
from gpumodels.instances import read_overview
from gpumodels.lease import Owner
from gpumodels.presentation import clock, duration, moment, size

if TYPE_CHECKING:
    from gpumodels.client import Activity
    from gpumodels.instances import ModelView
    from gpumodels.lease import InstanceRecord

HEADINGS = ("id", "model", "notebook", "engine", "device", "memory", "state", "idle for", "held by", "kept")
_WIDEST = 60  # characters of a load's progress text


def described() -> list[dict[str, Any]]:
    """Return every model of this user as a dictionary. docs/command-line.md describes the keys."""
    return [_json(view) for view in read_overview().models]


def _json(view: ModelView) -> dict[str, Any]:
    record, sleep, load = view.record, view.sleep, view.load
    users = view.users if record.id and sleep is None else (record.owner,)
    return {
        "id": record.id,
        "model": record.model,
        "state": record.state,
        "engine": record.engine,
        "device": record.device if record.engine else "",
        "gpus": [{key: device[key] for key in ("uuid", "index", "name")} for device in record.devices],
        "memory": view.memory,
        "limit": record.limit,
        "over_since": None if record.over_since is None else moment(record.over_since),
        "idle": None if view.idle is None else round(view.idle, 1),
        "activity": None if view.activity is None else _activity(view.activity),
        "since": moment(record.created),
        "owner": asdict(record.owner),
        "holders": [asdict(user) for user in users],
        "kept": _kept(record),
        "asleep": None if sleep is None else {"since": moment(sleep.since), "freed": sleep.freed},
        "progress": None if load is None else {"text": load.text, "fraction": load.fraction},
    }


def _activity(activity: Activity) -> dict[str, Any]:
    values = asdict(activity)
    del values["last_call"]  # "idle" is computed from it
    return values


def _kept(record: InstanceRecord) -> dict[str, Any] | None:
    if record.keep is None:
        return None
    return {
        "seconds": None if math.isinf(record.keep) else record.keep,
        "since": None if record.kept_since is None else moment(record.kept_since),
    }


def row(model: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a model's row in the table of `ps`. `model` is a dictionary from `described`."""
    runs, on_gpu = model["state"] not in ("loading", "asleep"), bool(model["gpus"])
    return (
        model["id"],
        model["model"],
        whose(Owner(**model["owner"])),
        model["engine"],
        model["device"],
        size(model["memory"]) if on_gpu and not model["asleep"] else "",
        _state(model),
        _idle(model["idle"]) if runs else "",
        ", ".join(whose(Owner(**holder)) for holder in model["holders"]),
        _kept_for(model["kept"]),
    )


def _state(model: dict[str, Any]) -> str:
    if (sleep := model["asleep"]) is not None:
        freed = f", {size(sleep['freed'])} freed" if sleep["freed"] else ""
        return f"asleep since {_clock(sleep['since'])}{freed}"
    if (progress := model["progress"]) is not None and progress["text"]:
        done = "" if progress["fraction"] is None else f" ({progress['fraction']:.0%})"
        return f"{shorten(progress['text'], _WIDEST, placeholder='...')}{done}"
    return f"{model['state']}{', over its limit' if model['over_since'] else ''}"


def _idle(seconds: float | None) -> str:
    return "?" if seconds is None else duration(seconds)


def _clock(iso: str) -> str:
    return clock(datetime.fromisoformat(iso).timestamp())


def _kept_for(kept: dict[str, Any] | None) -> str:
    if kept is None:
        return ""
    text = "for ever" if kept["seconds"] is None else f"for {duration(kept['seconds'])}"
    if kept["since"] is None:
        return text
    return f"{text}, since {_clock(kept['since'])}"
