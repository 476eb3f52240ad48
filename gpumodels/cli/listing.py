"""What `ps` tells of a model that runs, loads or sleeps, for people and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from gpumodels.cli.finding import whose
from gpumodels.instances import read_overview
from gpumodels.lease import Owner
from gpumodels.presentation import clock, duration, moment, size

if TYPE_CHECKING:
    from gpumodels.client import Activity
    from gpumodels.instances import ModelView
    from gpumodels.lease import InstanceRecord

HEADINGS = ("id", "model", "notebook", "engine", "device", "memory", "state", "idle for", "held by", "kept")
_WIDEST = 60  # characters of what a load tells of itself


def described() -> list[dict[str, Any]]:
    """Return every model of this user as plain values; docs/command-line.md describes the keys."""
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


def _activity(seen: Activity) -> dict[str, Any]:
    told = asdict(seen)
    del told["last_call"]  # told as "idle"
    return told


def _kept(record: InstanceRecord) -> dict[str, Any] | None:
    if record.keep is None:
        return None
    return {
        "seconds": None if math.isinf(record.keep) else record.keep,
        "since": None if record.kept_since is None else moment(record.kept_since),
    }


def row(told: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    runs, on_gpu = told["state"] not in ("loading", "asleep"), bool(told["gpus"])
    return (
        told["id"],
        told["model"],
        whose(Owner(**told["owner"])),
        told["engine"],
        told["device"],
        size(told["memory"]) if on_gpu and not told["asleep"] else "",
        _state(told),
        _idle(told["idle"]) if runs else "",
        ", ".join(whose(Owner(**holder)) for holder in told["holders"]),
        _kept_for(told["kept"]),
    )


def _state(told: dict[str, Any]) -> str:
    if (nap := told["asleep"]) is not None:
        freed = f", {size(nap['freed'])} freed" if nap["freed"] else ""
        return f"asleep since {_clock(nap['since'])}{freed}"
    if (progress := told["progress"]) is not None and progress["text"]:
        done = "" if progress["fraction"] is None else f" ({progress['fraction']:.0%})"
        return f"{shorten(progress['text'], _WIDEST, placeholder='...')}{done}"
    return f"{told['state']}{', over its limit' if told['over_since'] else ''}"


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
