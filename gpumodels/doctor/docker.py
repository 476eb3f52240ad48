"""Checks of Docker."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.doctor.finding import Finding, Status, guarded, in_two
from gpumodels.errors import GpumodelsError
from gpumodels.presentation import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.engines.docker.storage import Report

_SOCKET = Path("/var/run/docker.sock")
_ROOM_FOR_IMAGES = 5 * 10**9  # bytes
_TOOLKIT = (
    "Install the NVIDIA container toolkit, then `nvidia-ctk runtime configure --runtime=docker` and restart Docker; "
    "or use `--engine process`."
)


def checks() -> Iterator[Finding]:
    """Check that Docker answers, gives GPUs to containers, has a base image and has room on its disk.

    If Docker does not answer, yield only that. It is a failure if Docker is installed, else a warning, because models
    then run in local processes.
    """
    from gpumodels.engines.docker import storage  # noqa: PLC0415

    try:
        found = storage.report()
    except GpumodelsError as error:
        wanted = bool(os.environ.get("DOCKER_HOST")) or _SOCKET.exists() or shutil.which("docker") is not None
        yield Finding("Docker", "fail" if wanted else "warn", *in_two(str(error)))
        return
    yield from guarded("Docker", lambda: _engine(found))
    yield from guarded("GPUs in containers", lambda: _gpus(found))
    yield from guarded("base image", lambda: _base_image(found))
    yield from guarded("Docker's disk", lambda: _disk(found))


def _engine(found: Report) -> tuple[Status, str, str]:
    text = f"Engine {found.version} at {found.address}" + (", rootless" if found.daemon.rootless else "")
    if found.elsewhere:
        return "warn", f"{text} does not see this machine's files", "Models run in local processes: `--engine process`."
    return "ok", text, ""


def _gpus(found: Report) -> tuple[Status, str, str]:
    if not devices.devices():
        return "ok", f"no GPU to give (by {found.daemon.gpu_access})", ""
    if found.daemon.gpu_access == "none":
        return "fail", "Docker knows neither CDI devices nor the nvidia runtime", _TOOLKIT
    return "ok", f"by {found.daemon.gpu_access}", ""


def _base_image(found: Report) -> tuple[Status, str, str]:
    if found.base_image:
        return "ok", f"{found.base_image} is here", ""
    mend = "The first load pulls it. Without a registry: `gpumodels base-image`, as root."
    return "warn", "none is here yet", mend


def _disk(found: Report) -> tuple[Status, str, str]:
    try:
        free = shutil.disk_usage(found.root).free
    except OSError:  # this user may not read the directory
        return "ok", f"{found.root} cannot be seen from here", ""
    if free < _ROOM_FOR_IMAGES:
        return "warn", f"{found.root}: only {size(free)} free", "`gpumodels prune images` removes unused ones."
    return "ok", f"{found.root}, {size(free)} free", ""
