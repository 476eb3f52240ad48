"""`instance.json`: the model, engine, devices and owner of an instance. Processes that load the model write it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpumodels.load_line import load_line

#: The format version of instance.json. Readers ignore records of another version.
VERSION = 2

#: The last three are never written to the file. Readers set them: "stopping" for an instance that is being ended,
#: "kept" for an instance that only its keeper holds, "asleep" for a model that sleeps.
State = Literal["loading", "ready", "stopping", "kept", "asleep"]


class UnknownRecordError(ValueError):
    """The error if an instance.json is missing, broken, or of another version."""


@dataclass(frozen=True)
class Owner:
    """A process that asked for an instance, and the kernel id and path of its notebook; "" for none."""

    pid: int
    kernel_id: str = ""
    notebook: str = ""


@dataclass(frozen=True)
class InstanceRecord:
    """The content of `instance.json`. `created` is in seconds since the epoch."""

    id: str
    model: str
    engine: str
    owner: Owner
    created: float
    state: State = "loading"
    devices: tuple[dict[str, Any], ...] = ()
    #: The name or path of the model, as the user wrote it for the load.
    asked: str = ""
    #: The directory of the instance's shared memory; "" if it has none.
    shared_memory: str = ""
    #: The engine's reference to the instance: container id, or process id and start time.
    engine_ref: dict[str, Any] = field(default_factory=dict)
    #: Seconds that the model server has to end before it is killed.
    grace: float = 1.0
    #: Bytes of GPU memory that the instance is expected to need; 0 if that is not known.
    memory: int = 0
    #: Bytes of GPU memory that the instance may use; None for no limit.
    limit: int | None = None
    #: The content of the lease file, by which the leash verifies that it sees the same file.
    nonce: str = ""
    #: A hash of the model and the options, without device and engine. Loads with equal ones may share an instance.
    fingerprint: str = ""
    #: Seconds without a call after which the model sleeps; None for never.
    idle: float | None = None
    #: Seconds for which the instance outlives its users, math.inf for ever; None if it ends with them.
    keep: float | None = None
    #: The beginning of the state "kept", in seconds since the epoch; never written to the file.
    kept_since: float | None = None
    #: The moment since which the instance exceeds its memory limit, in seconds since the epoch; never written to the
    #: file.
    over_since: float | None = None
    #: The version of gpumodels that made the record.
    gpumodels: str = ""
    version: int = VERSION

    @property
    def device(self) -> str:
        """The devices of the instance, for display: "GPU 0", "GPU 0, 1", "GPU 0 slice 1" or "CPU"."""
        if not self.devices:
            return "CPU"
        return "GPU " + ", ".join(device["label"].removeprefix("GPU ") for device in self.devices)

    @property
    def load_line(self) -> str:
        """The line `%load_model ...` that loads the model again in a notebook, in backticks."""
        return f"`{load_line(self.asked or self.model)}`"

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> InstanceRecord:
        """Read a record. Raises UnknownRecordError if the text is not a complete record of this version."""
        try:
            fields = json.loads(text)
            if fields["version"] != VERSION:
                raise UnknownRecordError(f"version {fields['version']!r}")
            fields["owner"] = Owner(**fields["owner"])
            fields["devices"] = tuple(fields["devices"])
            return cls(**fields)
        except (ValueError, KeyError, TypeError) as error:
            raise UnknownRecordError(str(error)) from None
