"""The images that gpumodels has made, with their sizes and their users."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
import requests

from gpumodels.engines.docker import base_image, daemon, labels
from gpumodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The seconds for adding up the sizes of all images and containers, which is slow if there are many.
_COUNTED_WITHIN = 120
_REMOVED_WITHIN = 60
_NO_NAME = "<none>:<none>"


@dataclass(frozen=True)
class StoredImage:
    """An image that gpumodels has made."""

    id: str
    names: tuple[str, ...]
    model: str
    #: The bytes that no other image shares with this one.
    size: int
    #: The container that uses the image, as "container NAME"; "" for none.
    used_by: str


class Storage:
    """The images of a Docker daemon. All methods raise EngineUnavailable if the daemon does not answer."""

    def __init__(self) -> None:
        self._client = daemon.connect()
        weakref.finalize(self, self._client.close)

    def images(self) -> list[StoredImage]:
        """Return all images that gpumodels has made for models, the largest first.

        An image that a user built on top of one of these inherits its label, but has another form of name. It is left
        out.
        """
        usage = self._usage()
        users = self._users(usage["Containers"] or ())
        found = []
        for image in usage["Images"] or ():
            model = (image.get("Labels") or {}).get(labels.MODEL)
            names = tuple(name for name in image.get("RepoTags") or () if name != _NO_NAME)
            if model is not None and all(_is_ours(name, model) for name in names):
                size = max(0, image["Size"] - max(0, image["SharedSize"]))
                found.append(StoredImage(image["Id"], names, model, size, users.get(image["Id"], "")))
        return sorted(found, key=lambda image: -image.size)

    def total(self) -> int:
        """Return the disk space of all Docker images, in bytes. A layer that several images share counts once."""
        return int(self._usage()["LayersSize"])

    def remove(self, image: StoredImage) -> None:
        """Remove an image. Do nothing if it is gone. Raises EngineError if a container or another image uses it."""
        with daemon.answering("an image was removed"), daemon.waiting(self._client, _REMOVED_WITHIN):
            for name in image.names or (image.id,):
                try:
                    self._client.api.remove_image(name)
                except docker.errors.ImageNotFound:
                    continue
                except docker.errors.APIError as error:
                    if error.status_code == requests.codes.conflict:
                        raise EngineError(f"Docker keeps it: {error.explanation}.") from None
                    raise

    def _usage(self) -> dict[str, Any]:
        with daemon.answering("its images were counted"), daemon.waiting(self._client, _COUNTED_WITHIN):
            usage: dict[str, Any] = self._client.df()
            return usage

    def _users(self, containers: Iterable[dict[str, Any]]) -> dict[str, str]:
        """Return a container that uses each image, as "container NAME" by the image's id.

        A container in any state uses the image that it was made of, and the images below that one.
        """
        found: dict[str, str] = {}
        for container in containers:
            name = str((container.get("Names") or [container["Id"][:12]])[0]).lstrip("/")
            for image in (container["ImageID"], *self._ancestors(container["ImageID"])):
                found.setdefault(image, f"container {name}")
        return found

    def _ancestors(self, image: str) -> list[str]:
        with daemon.answering("an image was looked at"):
            try:
                steps: list[dict[str, Any]] = self._client.api.history(image)  # type: ignore[no-untyped-call]
                return [step["Id"] for step in steps]
            except docker.errors.ImageNotFound:  # a user removed the image by force, though a container exists
                return []


def _is_ours(name: str, model: str) -> bool:
    """Return True if `name` has the form that gpumodels gives to images of the model, PREFIX/MODEL:HASH.

    Any prefix counts, because the setting `image_prefix` may have changed.
    """
    repository = re.sub(r"[^a-z0-9]+", "-", model).strip("-")
    return re.fullmatch(rf"(?:.*/)?{re.escape(repository)}(?:-environment)?:[0-9a-f]{{12}}", name) is not None


@dataclass(frozen=True)
class Report:
    """The facts about a daemon that `gpumodels doctor` checks."""

    version: str
    address: str
    daemon: daemon.Daemon
    #: The directory of images and containers on the daemon's machine.
    root: str
    #: The name of the base image that builds use; "" if the daemon does not have it.
    base_image: str
    #: True if the daemon runs in a virtual machine, so that it does not see this machine's files.
    elsewhere: bool


def report() -> Report:
    """Return a report on the daemon. Raises EngineUnavailable."""
    client = daemon.connect()
    try:
        with daemon.answering("its properties were read"):
            info: dict[str, Any] = client.info()
        return Report(
            version=str(info.get("ServerVersion", "unknown")),
            address=daemon.address(),
            daemon=daemon.inspect(client),
            root=str(info.get("DockerRootDir", "")),
            base_image=base_image.present(client),
            elsewhere="Docker Desktop" in str(info.get("OperatingSystem", "")),
        )
    finally:
        client.close()
