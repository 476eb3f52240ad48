"""What `ps` tells of a running model, for people and as JSON."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpumodels import devices
from gpumodels.attribution.split import held_in_all
from gpumodels.cli.finding import whose
from gpumodels.client import activity
from gpumodels.lease.record import Owner
from gpumodels.manager import keeper
from gpumodels.manager.holders import holders
from gpumodels.manager.place import runtime_directory
from gpumodels.manager.usage import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.client.activity import Activity
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.record import InstanceRecord

HEADINGS = ("id", "model", "notebook", "engine", "device", "memory", "state", "idle for", "held by", "kept")
_ANSWER_WITHIN = 0.5  # seconds that a model server has to say when it was last called
_AT_ONCE = 16
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def described(records: Sequence[InstanceRecord]) -> list[dict[str, Any]]:
    """Each of `records` as plain values; docs/command-line.md says what they mean."""
    runtime = runtime_directory()
    memory = held_in_all(usage().devices)

    def describe(record: InstanceRecord) -> dict[str, Any] | None:
        try:
            return _described(record, runtime.directory(record.id), memory.get(record.id))
        except KeyError:  # it has ended since
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [told for told in pool.map(describe, records) if told is not None]


def _described(record: InstanceRecord, directory: InstanceDirectory, memory: int | None) -> dict[str, Any]:
    loading = record.state == "loading"
    seen = None if loading else activity.read(directory.socket, record.model, _ANSWER_WITHIN)
    return {
        "id": record.id,
        "model": record.model,
        "state": record.state,
        "engine": record.engine,
        "device": record.device,
        "gpus": [{key: device[key] for key in ("uuid", "index", "name")} for device in record.devices],
        "memory": memory,
        "limit": record.limit,
        "over_since": None if record.over_since is None else _moment(record.over_since),
        "idle": None if seen is None else round(seen.idle(record.created), 1),
        "activity": None if seen is None else _activity(seen),
        "since": _moment(record.created),
        "owner": _owner(record.owner),
        "holders": [_owner(holder) for holder in holders(directory) if not _is_keeper(holder.pid)],
        "kept": _kept(record),
    }


def _owner(owner: Owner) -> dict[str, Any]:
    return {"pid": owner.pid, "kernel_id": owner.kernel_id, "notebook": owner.notebook}


def _activity(seen: Activity) -> dict[str, Any]:
    told = asdict(seen)
    del told["last_call"]  # told as "idle"
    return told


def _kept(record: InstanceRecord) -> dict[str, Any] | None:
    if record.keep is None:
        return None
    return {
        "seconds": None if math.isinf(record.keep) else record.keep,
        "since": None if record.kept_since is None else _moment(record.kept_since),
    }


def _is_keeper(pid: int) -> bool:
    try:
        return keeper.__name__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def row(told: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    loading, on_gpu = told["state"] == "loading", bool(told["gpus"])
    return (
        told["id"],
        told["model"],
        whose(Owner(**told["owner"])),
        told["engine"],
        told["device"],
        devices.size(told["memory"]) if on_gpu else "",
        told["state"] + (", over its limit" if told["over_since"] else ""),
        "" if loading else duration(told["idle"]),
        ", ".join(whose(Owner(**holder)) for holder in told["holders"]),
        _kept_for(told["kept"]),
    )


def _kept_for(kept: dict[str, Any] | None) -> str:
    if kept is None:
        return ""
    text = "for ever" if kept["seconds"] is None else f"for {duration(kept['seconds'])}"
    if kept["since"] is None:
        return text
    return f"{text}, since {datetime.fromisoformat(kept['since']).astimezone():%H:%M}"


def duration(seconds: float | None) -> str:
    """For people: "12 s", "5 min", "2.5 h", "3 d"; "?" for None."""
    if seconds is None:
        return "?"
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds:.0f} s"
