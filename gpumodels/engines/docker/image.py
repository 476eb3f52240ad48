"""Building a model's image: the default Dockerfile, or the folder's own with the model server put on top."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, ImageNotFound

from gpumodels.engines import payload
from gpumodels.engines.docker import daemon, labels
from gpumodels.engines.docker.layers import Layers
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from gpumodels.catalog import Progress
    from gpumodels.catalog.spec import Flavour, ModelSpec

#: The interpreter inside an image, and where things lie.
PYTHON = "/opt/model/bin/python"
FOLDER = "/opt/folder"
PAYLOAD = "/opt/gpumodels"

_SHOWN_LINES = 20
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_CHATTER = re.compile(r"---> |Removing intermediate container|Requirement already satisfied|\W*━")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_OF_THE_MODEL = ("__pycache__", ".ipynb_checkpoints", ".git")

_DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
USER root
RUN python3 -m venv --system-site-packages /opt/model
ARG PIP_INDEX_URL
ARG PIP_CERT
COPY ca.pem /opt/ca.pem
RUN {PYTHON} -m pip install --no-cache-dir {{server}}
COPY requirements.txt /opt/requirements.txt
RUN {PYTHON} -m pip install --no-cache-dir -r /opt/requirements.txt
COPY gpumodels {PAYLOAD}/gpumodels
COPY folder {FOLDER}
RUN {PYTHON} -m compileall -q {PAYLOAD} {FOLDER}
ENV PYTHONPATH={PAYLOAD} PYTHONUNBUFFERED=1 PATH=/opt/model/bin:$PATH
ENTRYPOINT []
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
"""


def build(
    client: DockerClient, spec: ModelSpec, flavour: Flavour, base: str, progress: Progress, *, fresh: bool
) -> str:
    """The name of the model's image, building it unless one of the same content is here (and not `fresh`).

    A folder's own Dockerfile describes the environment only (it must bring `python3` with `venv`; it is given the
    build arguments BASE and FLAVOUR); the model server and the folder are laid on top of it, so the same model server
    answers for every model, and what is installed in its `python3` can be imported.
    """
    mirrors = Mirrors.from_environment()
    building = _Building(client, spec, mirrors, progress, fresh)
    with daemon.answering(f"the image of {spec.name!r} was looked for"):
        if spec.dockerfile is not None:
            context = {name.removeprefix("folder/"): data for name, data in _folder(spec)} | {"ca.pem": _ca(mirrors)}
            base = building.image("-environment", context, base, {"FLAVOUR": flavour})
        return building.image("", _context(spec, flavour, mirrors), base, {})


@dataclass(frozen=True)
class _Building:
    """What the builds of one load have in common."""

    client: DockerClient
    spec: ModelSpec
    mirrors: Mirrors
    progress: Progress
    fresh: bool

    def image(self, suffix: str, context: dict[str, bytes], base: str, arguments: dict[str, str]) -> str:
        """The tag of the image that `context` makes of `base`, built unless it is here."""
        repository = re.sub(r"[^a-z0-9]+", "-", self.spec.name).strip("-")  # Docker allows less than we do
        content = [repr(arguments).encode(), (_image_id(self.client, base) or base).encode()]
        tag = f"gpumodels/{repository}{suffix}:{_fingerprint(context, content)}"
        before = _image_id(self.client, tag)
        if before is None or self.fresh:
            self._build(context, tag, {"BASE": base, **arguments})
            if before not in (None, _image_id(self.client, tag)):
                with suppress(APIError):  # something runs from it, so it stays
                    self.client.images.remove(before)
        return tag

    def _build(self, context: dict[str, bytes], tag: str, arguments: dict[str, str]) -> None:
        """Build with streamed progress; no container of a failed or cancelled build is left."""
        try:
            with daemon.closing_streams(self.client):
                events = self.client.api.build(
                    fileobj=_tar(context), custom_context=True, tag=tag, nocache=self.fresh, rm=True, forcerm=True,
                    buildargs=arguments | self._settings(), labels={labels.MODEL: self.spec.name}, decode=True,
                )  # fmt: skip
                _follow(events, self.spec.name, self.progress)
        except APIError as error:
            raise BuildFailed(
                f"Docker refused to build the image of {self.spec.name!r}: {error.explanation or error}."
            ) from error
        if _image_id(self.client, tag) is None:
            raise EngineUnavailable(f"Docker stopped in the middle of building the image of {self.spec.name!r}.")

    def _settings(self) -> dict[str, str]:
        settings = dict(self.mirrors.proxies)
        if self.mirrors.index:
            settings["PIP_INDEX_URL"] = self.mirrors.index
        if self.mirrors.ca_bundle:
            settings["PIP_CERT"] = "/opt/ca.pem"
        return settings


def _context(spec: ModelSpec, flavour: Flavour, mirrors: Mirrors) -> dict[str, bytes]:
    """The build context, as file names and contents."""
    context = {
        "Dockerfile": _DOCKERFILE.replace("{server}", shlex.join(payload.REQUIREMENTS)).encode(),
        "requirements.txt": "".join(
            f"{line}\n" for line in (*spec.requirements(flavour), *payload.REQUIREMENTS)
        ).encode(),
        "ca.pem": _ca(mirrors),
    }
    context |= {f"gpumodels/{name}": path.read_bytes() for name, path in payload.files()}
    return context | dict(_folder(spec))


def _ca(mirrors: Mirrors) -> bytes:
    return Path(mirrors.ca_bundle).read_bytes() if mirrors.ca_bundle else b""


def _folder(spec: ModelSpec) -> list[tuple[str, bytes]]:
    weights = {spec.folder / found.source for found in spec.weights}  # local ones are mounted, not baked in
    return [
        (f"folder/{path.relative_to(spec.folder)}", path.read_bytes())
        for path in sorted(spec.folder.rglob("*"))
        if path.is_file()
        and path not in weights
        and not set(path.relative_to(spec.folder).parts) & set(_NOT_OF_THE_MODEL)
    ]


def _fingerprint(context: dict[str, bytes], more: list[bytes]) -> str:
    digest = hashlib.sha256(b"\0".join(more))
    for name in sorted(context):
        digest.update(name.encode() + b"\0" + context[name] + b"\0")
    return digest.hexdigest()[:12]


def _image_id(client: DockerClient, name: str) -> str | None:
    try:
        return client.images.get(name).id
    except ImageNotFound:
        return None


def _follow(events: Iterable[dict[str, Any]], model: str, progress: Progress) -> None:
    step, fraction = "", 0.0
    lines: list[str] = []
    pulled = Layers()
    for event in events:
        if pulled.take(event):  # a Dockerfile may start FROM anything
            progress(f"building {model}: pulling {pulled}", fraction)
        text = _COLOUR.sub("", str(event.get("stream", "")))  # the daemon paints what a step wrote on stderr
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


def _tar(context: dict[str, bytes]) -> io.BytesIO:
    """The context as a tar; the same bytes for the same content, so that the daemon's cache holds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(context):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(context[name]), 0o755  # a Dockerfile may run some of them
            archive.addfile(entry, io.BytesIO(context[name]))
    buffer.seek(0)
    return buffer
