"""What `ps` tells of a model that runs, loads or sleeps, for people and as JSON."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from gpumodels.attribution.split import held_in_all
from gpumodels.cli.finding import whose
from gpumodels.client import activity
from gpumodels.instances.holders import users
from gpumodels.instances.loads import under_way
from gpumodels.instances.place import runtime_directory
from gpumodels.instances.registry import running
from gpumodels.instances.sleepers import asleep
from gpumodels.instances.usage import usage
from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.presentation import clock, duration, moment, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.client.activity import Activity
    from gpumodels.instances.loads import Load
    from gpumodels.instances.sleepers import Sleeper
    from gpumodels.lease.directory import InstanceDirectory

HEADINGS = ("id", "model", "notebook", "engine", "device", "memory", "state", "idle for", "held by", "kept")
_ANSWER_WITHIN = 0.5  # seconds that a model server has to say when it was last called
_AT_ONCE = 16
_WIDEST = 60  # characters of what a load tells of itself


def described() -> list[dict[str, Any]]:
    """Every model of this user as plain values; docs/command-line.md says what they mean."""
    records, sleepers, loads = running(), asleep(), under_way()  # in this order nothing is missed that changes just now
    ids = {record.id for record in records}
    early = [load for load in loads if not ids.intersection(load.instances)]
    by_instance = {instance: load for load in loads for instance in load.instances}
    told = _running(records, by_instance)
    told += [_asleep(each) for each in sleepers if each.record.id not in by_instance]  # else it is being woken
    return told + [_early(load) for load in early]


def _running(records: Sequence[InstanceRecord], loads: Mapping[str, Load]) -> list[dict[str, Any]]:
    runtime = runtime_directory()
    memory = held_in_all(usage().devices)
    used_by = users(runtime.instances())

    def describe(record: InstanceRecord) -> dict[str, Any] | None:
        try:
            told = _described(record, runtime.directory(record.id))
        except KeyError:  # it has ended since
            return None
        load = loads.get(record.id) if record.state == "loading" else None
        held_by = [asdict(user) for user in used_by.get(record.id, ())]
        return {**told, "memory": memory.get(record.id), "holders": held_by, "progress": _progress(load)}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [told for told in pool.map(describe, records) if told is not None]


def _early(load: Load) -> dict[str, Any]:
    """A load that has no instance yet: an image is built, say, or weights are fetched."""
    owner = Owner(load.pid, load.kernel_id, load.notebook)
    record = InstanceRecord("", load.model, "", owner, load.began)
    return {**_of_record(record), "device": "", "progress": _progress(load)}


def _asleep(sleeper: Sleeper) -> dict[str, Any]:
    told = _of_record(sleeper.record.with_(owner=sleeper.owner, state="asleep", keep=None))
    return {**told, "asleep": {"since": moment(sleeper.since), "freed": sleeper.freed}}


def _progress(load: Load | None) -> dict[str, Any] | None:
    return None if load is None else {"text": load.text, "fraction": load.fraction}


def _described(record: InstanceRecord, directory: InstanceDirectory) -> dict[str, Any]:
    loading = record.state == "loading"
    seen = None if loading else activity.read(directory.socket, record.model, _ANSWER_WITHIN)
    return {
        **_of_record(record),
        "idle": None if seen is None else round(seen.idle(record.created), 1),
        "activity": None if seen is None else _activity(seen),
    }


def _of_record(record: InstanceRecord) -> dict[str, Any]:
    """What is known without looking further."""
    return {
        "id": record.id,
        "model": record.model,
        "state": record.state,
        "engine": record.engine,
        "device": record.device,
        "gpus": [{key: device[key] for key in ("uuid", "index", "name")} for device in record.devices],
        "memory": None,
        "limit": record.limit,
        "over_since": None if record.over_since is None else moment(record.over_since),
        "idle": None,
        "activity": None,
        "since": moment(record.created),
        "owner": asdict(record.owner),
        "holders": [asdict(record.owner)],
        "kept": _kept(record),
        "asleep": None,
        "progress": None,
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
