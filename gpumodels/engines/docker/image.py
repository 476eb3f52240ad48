"""Building the image of a model, from the base image or on top of the folder's own Dockerfile."""

from __future__ import annotations

import hashlib
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import docker

from gpumodels.catalog import folder_files
from gpumodels.engines import artifacts, payload
from gpumodels.engines.docker import context, daemon, labels
from gpumodels.engines.docker.layers import Layers
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed, EngineUnavailable
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from gpumodels.catalog import Flavour, ModelSpec, Progress
    from gpumodels.engines.docker.context import Files

#: The path of the interpreter inside an image.
PYTHON = "/opt/model/bin/python"
_PAYLOAD, _FOLDER = artifacts.INSIDE["payload"], artifacts.INSIDE["code"]

_SHOWN_LINES = 20
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_CHATTER = re.compile(r"---> |Removing intermediate container|Requirement already satisfied|\W*━")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: The build argument for the address of the package index, which may contain a password. `docker history` shows all
#: build arguments except Docker's predefined ones. FTP_PROXY is the one of these that no index needs. A file is not
#: possible, because files that a build copies stay in the layers of the image.
_UNRECORDED = "FTP_PROXY"

_DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
USER root
RUN python3 -m venv --system-site-packages /opt/model
ARG PIP_CERT
COPY ca.pem /opt/ca.pem
RUN {{index}}{PYTHON} -m pip install --no-cache-dir {{server}}
COPY requirements.txt /opt/requirements.txt
RUN {{index}}{PYTHON} -m pip install --no-cache-dir -r /opt/requirements.txt
COPY gpumodels {_PAYLOAD}/gpumodels
COPY folder {_FOLDER}
RUN {PYTHON} -m compileall -q {_PAYLOAD} {_FOLDER}
ENV PYTHONPATH={_PAYLOAD} PYTHONUNBUFFERED=1 PATH=/opt/model/bin:$PATH
ENTRYPOINT []
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
"""


def build(
    client: DockerClient, spec: ModelSpec, flavour: Flavour, base: str, progress: Progress, *, fresh: bool
) -> str:
    """Return the name of the model's image. Build it if no image has the same content, or if `fresh` is set.

    A folder's own Dockerfile describes only the environment. It must install `python3` with `venv`, and receives the
    build arguments BASE and FLAVOUR. The model server and the folder are added on top of the Dockerfile's image. The
    model server runs in a venv that sees the packages of that `python3`. `base` is the name of the base image.

    Raises BuildFailed if a step fails, and EngineUnavailable if the daemon does not answer.
    """
    mirrors = Mirrors.of_user()
    building = _Building(client, spec, mirrors, progress, fresh)
    with daemon.answering(f"the image of {spec.name!r} was looked for"):
        if spec.dockerfile is not None:
            files: Files = {**dict(folder_files(spec)), "ca.pem": _ca(mirrors)}
            base = building.image("-environment", files, base, {"FLAVOUR": flavour}, "PIP_INDEX_URL")
        return building.image("", _files(spec, flavour, mirrors), base, {}, _UNRECORDED)


@dataclass(frozen=True)
class _Building:
    """The builder of a model's images: that of the folder's own Dockerfile, if it has one, and that of the model."""

    client: DockerClient
    spec: ModelSpec
    mirrors: Mirrors
    progress: Progress
    fresh: bool

    def image(self, suffix: str, files: Files, base: str, arguments: dict[str, str], index: str) -> str:
        """Return the tag of the image that is built from `files` on top of `base`. Build the image if it is missing.

        `suffix` follows the model's name in the tag. `index` is the name of the build argument for the address of the
        package index. The tag does not depend on that address.
        """
        repository = re.sub(r"[^a-z0-9]+", "-", self.spec.name).strip("-")  # Docker allows only these characters
        prefix = settings().image_prefix
        origin = f"{arguments} {_image_id(self.client, base) or base}"

        def tag_of(fingerprint: str) -> str:
            content = hashlib.sha256(f"{origin} {fingerprint}".encode()).hexdigest()[:12]
            return f"{prefix}/{repository}{suffix}:{content}"

        tag = tag_of(context.fingerprint(files))
        if _image_id(self.client, tag) is None or self.fresh:
            with context.packed(files) as (archive, packed):
                tag = tag_of(packed)  # it differs if a file was edited meanwhile
                before = _image_id(self.client, tag)
                self._build(archive, tag, {"BASE": base, **arguments, **self._settings(index)})
            if before not in (None, _image_id(self.client, tag)):
                with suppress(docker.errors.APIError):  # if a container uses the old image, it stays
                    self.client.images.remove(before)
        return tag

    def _build(self, archive: IO[bytes], tag: str, arguments: dict[str, str]) -> None:
        """Build an image and show the progress. A build that fails or is cancelled leaves no container behind."""
        try:
            with daemon.closing_streams(self.client):
                events = self.client.api.build(
                    fileobj=archive, custom_context=True, tag=tag, nocache=self.fresh, rm=True, forcerm=True,
                    buildargs=arguments, labels={labels.MODEL: self.spec.name}, decode=True,
                )  # fmt: skip
                _follow(events, self.spec.name, self.progress)
        except docker.errors.APIError as error:
            raise BuildFailed(
                f"Docker refused to build the image of {self.spec.name!r}: {error.explanation or error}."
            ) from error
        if _image_id(self.client, tag) is None:
            raise EngineUnavailable(f"Docker stopped in the middle of building the image of {self.spec.name!r}.")

    def _settings(self, index: str) -> dict[str, str]:
        settings = dict(self.mirrors.proxies)
        if self.mirrors.index:
            settings[index] = self.mirrors.index
        if self.mirrors.ca_bundle:
            settings["PIP_CERT"] = "/opt/ca.pem"
        return settings


def _files(spec: ModelSpec, flavour: Flavour, mirrors: Mirrors) -> Files:
    """Return the build context of a model's image."""
    index = f'PIP_INDEX_URL="${_UNRECORDED}" ' if mirrors.index else ""
    dockerfile = _DOCKERFILE.replace("{server}", shlex.join(payload.REQUIREMENTS)).replace("{index}", index)
    requirements = (*spec.requirements(flavour), *payload.REQUIREMENTS)
    return {
        "Dockerfile": dockerfile.encode(),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "ca.pem": _ca(mirrors),
        **{f"gpumodels/{name}": path for name, path in payload.files()},
        **{f"folder/{name}": path for name, path in folder_files(spec)},
    }


def _ca(mirrors: Mirrors) -> bytes:
    return Path(mirrors.ca_bundle).read_bytes() if mirrors.ca_bundle else b""


def _image_id(client: DockerClient, name: str) -> str | None:
    try:
        return client.images.get(name).id
    except docker.errors.ImageNotFound:
        return None


def _follow(events: Iterable[dict[str, Any]], model: str, progress: Progress) -> None:
    step, fraction = "", 0.0
    lines: list[str] = []
    pulled = Layers()
    for event in events:
        if pulled.take(event):  # the image in the line FROM of the Dockerfile is being pulled
            progress(f"building {model}: pulling {pulled}", fraction)
        text = _COLOUR.sub("", str(event.get("stream", "")))  # the daemon colours the output on stderr
        for line in filter(None, map(str.strip, text.splitlines())):
            if found := _STEP.match(line):
                step, lines = found[3], []
                fraction = (int(found[1]) - 1) / int(found[2])
            elif _CHATTER.match(line):
                continue
            else:
                lines.append(line)
            progress(f"building {model}: {line}", fraction)
        if "error" in event:
            tail = "\n".join(lines[-_SHOWN_LINES:])
            raise BuildFailed(
                f"The image of {model!r} could not be built: the step `{step}` failed ({event['error']}). "
                f"Its last lines:\n{tail}"
            )
