"""What every engine is: it prepares what a model needs, starts instances, and finds and ends them again.

The manager takes the lease and writes the instance directory *before* it calls `start`; an engine never does. One
contract suite (`tests/contract/`) runs over all engines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpumodels.engines import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gpumodels.catalog import Progress
    from gpumodels.catalog.spec import Flavour, ModelSpec
    from gpumodels.devices import Device
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.record import InstanceRecord


@dataclass(frozen=True)
class LaunchPlan:
    """All that an engine needs to start one instance."""

    spec: ModelSpec
    record: InstanceRecord
    directory: InstanceDirectory
    #: What `prepare` returned: an image, an environment.
    prepared: str
    #: Which runtime directory `directory` lies in, for labels.
    runtime_identity: str = ""
    devices: tuple[Device, ...] = ()
    #: Directory of the weights files, shown to the model server read-only; None if it needs none.
    weights: Path | None = None
    #: The user's environment settings for the instance.
    env: Mapping[str, str] = field(default_factory=dict)
    #: What others' clients must show; "" where it is served to nobody but us.
    token: str = field(default="", repr=False)

    @property
    def server_device(self) -> str:
        """What `load(device)` is told: "cuda" or "cpu"."""
        return "cuda" if self.devices else "cpu"

    def settings(self, shared_memory: str) -> dict[str, str]:
        """What the model server is told: when to sleep, its limit of GPU memory, whom to answer.

        `shared_memory` is where it sees that of those whom it answers.
        """
        sleep = {} if self.record.idle is None else {"GPUMODELS_IDLE": str(self.record.idle)}
        peers = {"GPUMODELS_TOKEN": self.token, "GPUMODELS_SHM_PEERS": shared_memory} if self.token else {}
        return {**sleep, **limits.settings(self), **peers}


@dataclass(frozen=True)
class Ending:
    """How an instance ended: the leash's exit code, and whether the system killed it for memory."""

    exit_code: int | None  # None where only its parent could know
    out_of_memory: bool = False


class Instance(ABC):
    """A thin handle on something an engine started; holds no connection open."""

    @abstractmethod
    def ending(self) -> Ending | None:
        """How it ended, or None while it is alive. Raises EngineUnavailable if the engine cannot tell."""

    @abstractmethod
    def logs(self, lines: int = 40) -> str:
        """The last lines of what it printed."""

    @abstractmethod
    def follow(self, lines: int = 40) -> Iterator[str]:
        """The last lines of what it printed, then each that it prints, until it has ended."""

    @abstractmethod
    def stop(self, grace: float) -> None:
        """Ask it to end, kill it after `grace` seconds, and return when it is dead. Silent if it is gone."""

    @abstractmethod
    def remove(self) -> None:
        """Leave nothing of it, alive or not. Silent if it is gone."""


class Engine(ABC):
    """A way of running instances."""

    name: str
    #: uid and gid that instances run as, where those are not the caller's.
    instance_user: tuple[int, int] | None = None

    def needs_weights(self, spec: ModelSpec) -> bool:
        """Whether what this engine serves reads the weights that the folder declares."""
        return bool(spec.weights)

    @abstractmethod
    def check(self) -> None:
        """Return if the engine can be used; raise EngineUnavailable with what to do about it."""

    @abstractmethod
    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        """Build or pull what the model needs (nothing, if it is there and not `fresh`); its name for the plan.

        Raises BuildFailed with the failing step's last lines, leaving nothing half-made.
        """

    @abstractmethod
    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        """Start the instance; `note` is given its `engine_ref` as soon as there is one, before it runs."""

    @abstractmethod
    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:
        """The handle of an instance that another process may have started."""

    @abstractmethod
    def sweep(self, runtime: Path, identity: str) -> list[str]:
        """Remove what is left of instances that have no directory in that runtime directory, and do not run.

        Returns what was removed, by names that the engine's own tools know.
        """
