"""The contract of engines: prepare what a model needs, start instances, and find and end them again.

A load takes the lease and writes the instance directory *before* it calls `start`; an engine never does. One contract
suite (`tests/contract/`) runs over all engines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gpumodels.catalog import Flavour, ModelSpec, Progress
    from gpumodels.devices import Device
    from gpumodels.engines.artifacts import Artifact, ArtifactName
    from gpumodels.lease import InstanceDirectory, InstanceRecord
    from gpumodels.protocol import Connector


@dataclass(frozen=True)
class LaunchPlan:
    """Everything an engine needs to start one instance."""

    spec: ModelSpec
    record: InstanceRecord
    directory: InstanceDirectory
    #: The result of `prepare`: an image, an interpreter.
    prepared: str
    #: Everything that the instance sees of this machine; see `engines.artifacts`.
    artifacts: Mapping[ArtifactName, Artifact]
    #: The identity of the runtime directory that `directory` lies in, for labels.
    runtime_identity: str = ""
    devices: tuple[Device, ...] = ()
    #: The user's environment settings for the instance.
    env: Mapping[str, str] = field(default_factory=dict)
    #: The token that others' clients must show; "" if the instance is not served to others.
    token: str = field(default="", repr=False)

    @property
    def paths_inside(self) -> dict[ArtifactName, str]:
        """The paths of the artifacts inside a container."""
        return {name: artifact.inside for name, artifact in self.artifacts.items()}

    @property
    def paths_here(self) -> dict[ArtifactName, str]:
        """The paths of the artifacts on this machine."""
        return {name: str(artifact.here) for name, artifact in self.artifacts.items()}


@dataclass(frozen=True)
class Ending:
    """The end of an instance: the leash's exit code, and whether the system killed it for memory."""

    #: None if only the parent of the leash could know.
    exit_code: int | None
    out_of_memory: bool = False


class Instance(ABC):
    """A handle on something that an engine started. It holds no connection open."""

    @abstractmethod
    def connector(self) -> Connector:
        """Return access to the sockets of its model server. Raises OSError if the instance is gone."""

    @abstractmethod
    def forward(self, listener: socket.socket) -> int:
        """Start a process that leads clients of `listener` to the model server, and return its process id.

        The process ends with the instance. Raises `engines.forward.NotStarted`.
        """

    @abstractmethod
    def ending(self) -> Ending | None:
        """Return how the instance ended, or None while it is alive. Raises EngineUnavailable if that is not known."""

    @abstractmethod
    def logs(self, lines: int = 40) -> str:
        """Return the last lines that it printed."""

    @abstractmethod
    def follow(self, lines: int = 40) -> Iterator[str]:
        """Yield the last lines that it printed, then each new one until it has ended."""

    @abstractmethod
    def stop(self, grace: float) -> None:
        """Ask it to end, kill it after `grace` seconds, and return when it is dead. Do nothing if it is gone."""

    @abstractmethod
    def remove(self) -> None:
        """Remove everything of it, alive or not. Do nothing if it is gone."""


class Engine(ABC):
    """A way of running instances."""

    name: str
    #: uid and gid that instances run as; None for those of the caller.
    instance_user: tuple[int, int] | None = None
    #: Whether instances see files of this machine, so that lease, sockets and shared memory are handed over as files.
    sees_files: bool = True
    #: Whether the engine chooses GPUs itself. Loads then skip the placement on this machine's GPUs.
    places_itself: bool = False
    #: The engine that `auto` uses when this one is unavailable; "" if the load fails instead.
    fallback: str = ""
    #: Seconds that one clean-up by this engine may take. Later clean-ups skip an engine that still hangs.
    cleanup_seconds: float = 30.0
    #: The words for one instance, and for where it runs, in messages.
    unit: str = "instance"
    place: str = "another engine"

    def needs_weights(self, spec: ModelSpec) -> bool:
        """Return True if this engine serves code that reads the weights of the model folder."""
        return bool(spec.weights)

    @abstractmethod
    def check(self) -> None:
        """Return if the engine can be used. Raises EngineUnavailable with advice."""

    @abstractmethod
    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        """Build or pull what the model needs, and return its name for the plan.

        Build nothing if it is there already and not `fresh`. Raises BuildFailed with the last lines of the step that
        failed, and leaves nothing half-made.
        """

    @abstractmethod
    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        """Start the instance. `note` receives its `engine_ref` as soon as there is one, before the instance runs."""

    @abstractmethod
    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:
        """Return the handle of an instance that any process may have started. Ask the engine nothing yet."""

    @abstractmethod
    def sweep(self, runtime: Path, identity: str) -> list[str]:
        """Remove remains of instances that do not run and have no directory in that runtime directory.

        Returns the names of what was removed, as the engine's own tools show them.
        """
