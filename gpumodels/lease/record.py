"""`instance.json`: what an instance is, where it runs and for whom. Everybody reads it; only its maker writes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpumodels.load_line import load_line

#: The format of instance.json; a reader leaves records of another version alone.
VERSION = 2

#: The last three are never written: a reader says so of what somebody is ending, of what only its keeper holds, and of
#: what a handle remembers that sleeps.
State = Literal["loading", "ready", "stopping", "kept", "asleep"]


class UnknownRecordError(ValueError):
    """An instance.json of another version, or none that can be understood."""


@dataclass(frozen=True)
class Owner:
    """The notebook or process that asked for the instance."""

    pid: int
    kernel_id: str = ""
    notebook: str = ""


@dataclass(frozen=True)
class InstanceRecord:
    """One instance, as `instance.json` tells it. `created` is in seconds since the epoch."""

    id: str
    model: str
    engine: str
    owner: Owner
    created: float
    state: State = "loading"
    devices: tuple[dict[str, Any], ...] = ()
    #: What the user wrote to load it: a name or a path.
    asked: str = ""
    #: Where its shared memory lies, "" where there is none.
    shared_memory: str = ""
    #: What the engine needs to find it again: container id, or process id and start time.
    engine_ref: dict[str, Any] = field(default_factory=dict)
    grace: float = 1.0
    #: Bytes of GPU memory that it is expected to need, 0 where nothing is known.
    memory: int = 0
    #: Bytes of GPU memory that it may use; None for no limit.
    limit: int | None = None
    #: Proof, for the leash, that it sees this machine's files.
    nonce: str = ""
    #: What was asked for, but for device and engine, in a form to compare: an instance of the same may be shared.
    fingerprint: str = ""
    #: Seconds without a call after which it gives its memory back; None for never.
    idle: float | None = None
    #: Seconds for which it outlives those who use it, math.inf for ever; None where it does not.
    keep: float | None = None
    #: Since when it is in the state "kept", in seconds since the epoch; never written.
    kept_since: float | None = None
    #: Since when it holds more GPU memory than its limit, in seconds since the epoch; never written.
    over_since: float | None = None
    gpumodels: str = ""
    version: int = VERSION

    @property
    def device(self) -> str:
        """What it runs on, for display: "GPU 0", "GPU 0, 1", "GPU 0 slice 1" or "CPU"."""
        if not self.devices:
            return "CPU"
        return "GPU " + ", ".join(device["label"].removeprefix("GPU ") for device in self.devices)

    @property
    def load_line(self) -> str:
        """What loads it again, in a notebook."""
        return f"`{load_line(self.asked or self.model)}`"

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> InstanceRecord:
        """Read a record; raises UnknownRecordError for anything but a whole record of this version."""
        try:
            fields = json.loads(text)
            if fields["version"] != VERSION:
                raise UnknownRecordError(f"version {fields['version']!r}")
            fields["owner"] = Owner(**fields["owner"])
            fields["devices"] = tuple(fields["devices"])
            return cls(**fields)
        except (ValueError, KeyError, TypeError) as error:
            raise UnknownRecordError(str(error)) from None
