"""The connection to the Docker daemon, and the daemon's properties."""

from __future__ import annotations

import grp
import importlib.util
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from gpumodels.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

#: How the daemon gives GPUs to a container.
GpuAccess = Literal["cdi", "nvidia runtime", "device request", "none"]

#: The seconds that the daemon has for its first answer, and for the answer to each simple request after that.
_FIRST_ANSWER_WITHIN = 3
_ANSWER_WITHIN = 5
_DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
_CDI_KIND = "nvidia.com/gpu"
_USE_PROCESS = "or use `--engine process`, which needs no Docker"


@dataclass(frozen=True)
class Daemon:
    """The properties of a daemon that the engine needs, from `docker info`."""

    rootless: bool
    remaps_users: bool
    gpu_access: GpuAccess


def connect() -> DockerClient:
    """Return a client of the daemon at DOCKER_HOST, or else of the current context of the docker command.

    Raises EngineUnavailable with advice.
    """
    settings = _settings()
    address = settings["base_url"]
    if address.startswith("ssh:") and importlib.util.find_spec("paramiko") is None:
        raise EngineUnavailable(f"Docker at {address} is reached by paramiko: `pip install paramiko`, {_USE_PROCESS}.")
    try:
        if address.startswith("unix:"):
            _probe(urlsplit(address).path)
        client = docker.DockerClient(**settings, timeout=_FIRST_ANSWER_WITHIN)  # it requests the daemon's version
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineUnavailable(_why_unreachable(address, error)) from error
    client.api.timeout = _ANSWER_WITHIN
    return client


def address() -> str:
    """Return the address of the daemon. Raises EngineUnavailable if the environment or the context is wrong."""
    return str(_settings()["base_url"])


def _settings() -> dict[str, Any]:
    """Return the address and TLS settings of the daemon, as arguments of docker-py.

    They come from DOCKER_HOST, DOCKER_CONTEXT or the current context, as for the docker command.
    """
    if os.environ.get("DOCKER_HOST"):
        try:
            return dict(kwargs_from_env())
        except DockerException as error:
            raise EngineUnavailable(f"DOCKER_CERT_PATH and DOCKER_TLS_VERIFY cannot be used: {error}.") from error
    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # docker-py raises this very class for a file that it cannot read
        raise EngineUnavailable(f"The Docker context {name!r} cannot be used: {error}.") from error
    if context is None:
        raise EngineUnavailable(f"There is no Docker context {name!r}. `docker context ls` lists them.")
    return {"base_url": context.Host or _DEFAULT_ADDRESS, "tls": context.TLSConfig}


def _probe(path: str) -> None:
    """Connect to the socket and disconnect. Raises OSError if that fails.

    The library requests would raise an error later, with a less clear message.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_FIRST_ANSWER_WITHIN)
        probe.connect(path)


def _why_unreachable(address: str, error: BaseException) -> str:
    path = urlsplit(address).path
    if isinstance(error, PermissionError) and os.path.exists(path):  # noqa: PTH110  Path.exists raises here before 3.14
        group = _group(Path(path))
        return (
            f"Docker runs, but you may not use {path}: it belongs to the group {group!r}. "
            f"Ask your administrator for `usermod -aG {group} {_user()}` and log in again, {_USE_PROCESS}."
        )
    return f"Docker does not answer at {address} ({_short(error)}). Start it, {_USE_PROCESS}."


def _group(path: Path) -> str:
    number = path.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def _short(error: BaseException) -> str:
    """Return the daemon's own message, or else the message of the innermost cause of `error`.

    The innermost cause is the error of the socket, which the libraries requests and urllib3 wrap.
    """
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation)
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)


@contextmanager
def answering(doing: str) -> Iterator[None]:
    """Turn errors of docker-py in the block into EngineUnavailable: "Docker failed while `doing`: ..."."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker failed while {doing}: {_short(error)}.") from error


@contextmanager
def waiting(client: DockerClient, seconds: int) -> Iterator[None]:
    """Allow `seconds` for each answer of the daemon in the block. A busy daemon makes and removes containers slowly."""
    client.api.timeout = seconds
    try:
        yield
    finally:
        client.api.timeout = _ANSWER_WITHIN


@contextmanager
def closing_streams(client: DockerClient) -> Iterator[None]:
    """Close every streamed response of the block, so that the daemon ends the build or pull.

    docker-py cannot close a stream, and after an interrupt a traceback may keep the stream alive.
    """
    opened: list[requests.Response] = []

    def remember(response: requests.Response, **_: object) -> None:
        opened.append(response)

    client.api.hooks["response"].append(remember)
    try:
        yield
    finally:
        client.api.hooks["response"].remove(remember)
        for response in opened:
            response.close()


def inspect(client: DockerClient) -> Daemon:
    """Return the properties of the daemon. Raises EngineUnavailable if it does not answer."""
    with answering("its properties were read"):
        info: dict[str, Any] = client.info()
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    return Daemon(
        rootless=any("name=rootless" in option for option in options),
        remaps_users=any("name=userns" in option for option in options),
        gpu_access=_gpu_access(info),
    )


def _gpu_access(info: dict[str, Any]) -> GpuAccess:
    if _cdi_offers_gpus(info):
        return "cdi"
    if "nvidia" in (info.get("Runtimes") or {}):
        return "nvidia runtime"
    # A daemon accepts `--gpus` if this program is installed, but `docker info` does not report that.
    return "device request" if shutil.which("nvidia-container-runtime-hook") else "none"


def _cdi_offers_gpus(info: dict[str, Any]) -> bool:
    discovered = info.get("DiscoveredDevices")
    if discovered is not None:
        return any(str(device.get("ID", "")).startswith(f"{_CDI_KIND}=") for device in discovered)
    # Docker before 28.3 reports only the directories of the CDI specifications.
    for directory in info.get("CDISpecDirs") or ():
        with suppress(OSError):
            if any(_CDI_KIND in path.read_text() for path in Path(directory).iterdir() if path.is_file()):
                return True
    return False
