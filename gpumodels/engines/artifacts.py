"""Artifacts, the files of this machine that an instance sees, and their paths inside the instance.

An engine mounts an artifact, copies it into an image, or sends it. The process engine uses the path on this machine.
All paths inside an instance are defined here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gpumodels.engines import payload
from gpumodels.lease import SHARED_MEMORY

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpumodels.catalog import ModelSpec
    from gpumodels.lease import InstanceDirectory, InstanceRecord

ArtifactName = Literal["payload", "code", "weights", "lease", "sockets", "shared memory", "peers"]

#: The paths inside a container. `payload` is in its PYTHONPATH. `peers` is the shared memory of clients that call over
#: TCP, from this machine.
INSIDE: dict[ArtifactName, str] = {
    "payload": "/opt/gpumodels",
    "code": "/opt/folder",
    "weights": "/weights",
    "lease": "/run/gpumodels/lease",
    "sockets": "/run/gpumodels/socket",
    "shared memory": "/dev/shm",  # noqa: S108  (a container's own, not this machine's)
    "peers": "/run/gpumodels-shm",
}


@dataclass(frozen=True)
class Artifact:
    """One file or directory that an instance sees. Its path is `here` on this machine, and `inside` in a container."""

    inside: str
    here: Path
    #: The hash of the content; "" for files that change while the instance runs.
    hash: str = ""
    writable: bool = False


def of_model(
    spec: ModelSpec, content: str, weights: Path | None, *, baked: Collection[ArtifactName] = ()
) -> dict[ArtifactName, Artifact]:
    """Return the artifacts that all instances of a model see: the model server, the author's code and the weights.

    `content` is the hash of the model folder; see `catalog.content_hash`. `baked` are the artifacts that the engine has
    put into an image. If the model server is not among them, a copy of it is made in the cache. Raises EngineError if
    the copy cannot be written.
    """
    server = payload.PACKAGE.parent if "payload" in baked else payload.directory()
    found: dict[ArtifactName, Artifact] = {
        "payload": Artifact(INSIDE["payload"], server, payload.fingerprint()),
        "code": Artifact(INSIDE["code"], spec.folder, content),
    }
    if weights is not None:
        found["weights"] = Artifact(INSIDE["weights"], weights, weights.name)
    return found


def of_instance(record: InstanceRecord, directory: InstanceDirectory, *, served: bool) -> dict[ArtifactName, Artifact]:
    """Return the artifacts of one instance that its other instances do not see: lease, sockets and shared memory.

    `served` instances are called over TCP too. They also see this machine's /dev/shm, where such clients put tensors.
    """
    found: dict[ArtifactName, Artifact] = {
        "lease": Artifact(INSIDE["lease"], directory.lease_file, writable=True),
        "sockets": Artifact(INSIDE["sockets"], directory.socket, writable=True),
    }
    if record.shared_memory:
        found["shared memory"] = Artifact(INSIDE["shared memory"], Path(record.shared_memory), writable=True)
    if served:
        found["peers"] = Artifact(INSIDE["peers"], SHARED_MEMORY, writable=True)
    return found
