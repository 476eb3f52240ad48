"""The contract of engines: they prepare what a model needs, start instances, and find and end them again.

A load takes the lease and makes the instance's directory *before* it calls `start`. An engine does neither. The tests
in `tests/contract/` run over all engines.
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
    #: The result of `prepare`, such as the name of an image or the path of an interpreter.
    prepared: str
    #: All files of this machine that the instance sees; see `engines.artifacts`.
    artifacts: Mapping[ArtifactName, Artifact]
    #: The identity of the runtime directory that contains `directory`. Docker's containers have it as a label.
    runtime_identity: str = ""
    devices: tuple[Device, ...] = ()
    #: The environment variables that the user sets for the instance.
    env: Mapping[str, str] = field(default_factory=dict)
    #: The token that clients over TCP must send; "" if the instance is not served (`--serve`).
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
    """The end of an instance."""

    #: The exit code of the leash. None if it is not known, because only the parent process of the leash receives it.
    exit_code: int | None
    #: True if the system killed the instance because memory ran out.
    out_of_memory: bool = False


class Instance(ABC):
    """A handle on an instance that an engine has started. It keeps no connection open."""

    @abstractmethod
    def connector(self) -> Connector:
        """Return access to the sockets of the model server. Raises OSError if the instance is gone."""

    @abstractmethod
    def forward(self, listener: socket.socket) -> int:
        """Start a process that connects clients of `listener` to the model server, and return its process id.

        The process ends with the instance. Raises `engines.forward.NotStarted`.
        """

    @abstractmethod
    def ending(self) -> Ending | None:
        """Return how the instance ended, or None while it is alive.

        Raises EngineUnavailable if the engine does not answer.
        """

    @abstractmethod
    def logs(self, lines: int = 40) -> str:
        """Return the last lines that the instance printed."""

    @abstractmethod
    def follow(self, lines: int = 40) -> Iterator[str]:
        """Yield the last lines that the instance printed, then each new line until the instance has ended."""

    @abstractmethod
    def stop(self, grace: float) -> None:
        """Ask the instance to end, kill it after `grace` seconds, and remove it. Do nothing if it is gone."""

    @abstractmethod
    def remove(self) -> None:
        """Remove all that belongs to the instance, even if it is alive. Do nothing if it is gone."""


class Engine(ABC):
    """A way to run instances."""

    name: str
    #: The uid and gid of the instances' processes; None for those of the caller.
    instance_user: tuple[int, int] | None = None
    #: True if instances see files of this machine. They then get the lease, sockets and shared memory as files.
    sees_files: bool = True
    #: True if the engine chooses GPUs itself. Loads then skip the placement on this machine's GPUs.
    places_itself: bool = False
    #: The artifacts that `prepare` puts into the image. The others are mounted or sent at the start.
    bakes: tuple[ArtifactName, ...] = ()
    #: The engine that `auto` uses if this one is unavailable; "" if the load fails instead.
    fallback: str = ""
    #: The time in seconds that one clean-up by this engine may take. Later clean-ups skip an engine that still hangs.
    cleanup_seconds: float = 30.0
    #: The word for one instance in messages.
    unit: str = "instance"
    #: The words in messages for the place of an instance, such as "a local process".
    place: str = "another engine"

    def needs_weights(self, spec: ModelSpec) -> bool:
        """Return True if instances of this engine need the weights of the model."""
        return bool(spec.weights)

    @abstractmethod
    def check(self) -> None:
        """Check that the engine can be used. Raises EngineUnavailable with advice if it cannot."""

    @abstractmethod
    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        """Build or pull the image or environment of the model, and return its name, for `LaunchPlan.prepared`.

        If the image or environment exists already, build it again only if `fresh` is set. Raises BuildFailed with the
        last lines of the step that failed. A failure leaves nothing incomplete behind.
        """

    @abstractmethod
    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        """Start the instance. Call `note` as early as possible, if possible before the instance runs.

        The argument of `note` is `InstanceRecord.engine_ref`, by which `attach` finds the instance.
        """

    @abstractmethod
    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:
        """Return the handle of a running instance, whichever process started it.

        Do not connect to Docker or the like: most uses of a handle do not need that.
        """

    @abstractmethod
    def sweep(self, runtime: Path, identity: str) -> list[str]:
        """Remove the remains, such as containers, of instances that do not run and have no directory in `runtime`.

        `identity` is the identity of that runtime directory. Returns the names of the removed things, as tools such as
        `docker ps` show them.
        """
