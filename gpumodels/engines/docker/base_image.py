"""The base image of all models: Debian with Python. It is pulled from a registry.

Without access to a registry, `gpumodels base-image` makes it with debootstrap, a tool of Debian, and `docker import`.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker

from gpumodels.engines import program
from gpumodels.engines.docker import daemon
from gpumodels.engines.docker.layers import Layers
from gpumodels.errors import BaseImageUnavailable
from gpumodels.settings import settings

if TYPE_CHECKING:
    from docker import DockerClient

    from gpumodels.catalog import Progress

PULLED = "python:3.11-slim-bookworm"

_SUITE = "bookworm"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")


def find(client: DockerClient, progress: Progress) -> str:
    """Return the name of the base image, and pull it if the daemon does not have it.

    The setting `base_image` can name another image. Raises BaseImageUnavailable, with advice how to make the image.
    """
    if here := present(client):
        return here
    wanted = settings().base_image or PULLED
    with daemon.answering("a base image was looked for"):
        try:
            _pull(client, wanted, progress)
        except docker.errors.APIError as error:
            raise BaseImageUnavailable(
                f"No base image: {wanted} cannot be pulled ({error.explanation or error}). Without a registry, make "
                "one with `gpumodels base-image` (as root; needs debootstrap), or use `--engine process`."
            ) from error
    return wanted


def present(client: DockerClient) -> str:
    """Return the name of the base image that builds use; "" if the daemon does not have it."""
    configured = settings().base_image
    with daemon.answering("a base image was looked for"):
        for name in [configured] if configured else [made(), PULLED]:
            with suppress(docker.errors.ImageNotFound):
                client.images.get(name)
                return name
    return ""


def made() -> str:
    """Return the name of the image that `gpumodels base-image` makes. Builds prefer that image to `PULLED`."""
    return f"{settings().image_prefix}/base:{_SUITE}"


def _pull(client: DockerClient, name: str, progress: Progress) -> None:
    """Pull an image and show the progress over all layers. An interrupt ends the pull in the daemon too."""
    repository, tag = docker.utils.parse_repository_tag(name)
    layers = Layers()
    with daemon.closing_streams(client):
        for event in client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in event:
                raise docker.errors.APIError(event["error"], explanation=event["error"])
            if layers.take(event):
                progress(f"pulling {name}: {layers}", layers.fraction)


def make(progress: Progress) -> str:
    """Make the base image without a registry and return its name. Needs root and debootstrap.

    The setting `debian_mirror` names a mirror other than debootstrap's default.

    Raises EngineUnavailable without Docker, and BaseImageUnavailable with the last lines of the program that failed.
    """
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise BaseImageUnavailable(
            "Making a base image needs root and debootstrap: `sudo apt-get install debootstrap`, then run "
            "`gpumodels base-image` as root."
        )
    client, name = daemon.connect(), made()
    with tempfile.TemporaryDirectory(prefix="gpumodels-base-") as work:
        root = Path(work) / "root"
        mirror = settings().debian_mirror
        _run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(root)]
            + ([mirror] if mirror else []),
            progress,
        )
        for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / unneeded, ignore_errors=True)
        progress(f"importing {name}", None)
        archive = Path(work) / "root.tar"
        _run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."], progress)
        repository, tag = docker.utils.parse_repository_tag(name)
        with daemon.answering("the base image was imported"):
            reply = client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
    if '"error"' in reply:
        raise BaseImageUnavailable(f"The base image could not be made: Docker did not import it. It said:\n{reply}")
    return name


def _run(command: list[str], progress: Progress) -> None:
    # SIGTERM lets debootstrap unmount its file systems.
    code, lines = program.run(command, lambda line: progress(f"base image: {line}", None), end_with=signal.SIGTERM)
    if code:
        tail = "\n".join(lines[-10:])
        raise BaseImageUnavailable(f"The base image could not be made: {command[0]} failed. It said:\n{tail}")
