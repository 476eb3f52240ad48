"""Building a model's image: the default Dockerfile, or the folder's own with the model server put on top."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from docker.errors import DockerException, ImageNotFound

from gpumodels.engines import payload
from gpumodels.engines.docker import labels
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed

if TYPE_CHECKING:
    from docker import DockerClient

    from gpumodels.catalog.spec import Flavour, ModelSpec
    from gpumodels.engines.base import Progress

#: The interpreter inside an image, and where things lie.
PYTHON = "/opt/model/bin/python"
FOLDER = "/opt/folder"
PAYLOAD = "/opt/gpumodels"

_SHOWN_LINES = 20
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_CHATTER = re.compile(r"---> |Removing intermediate container|Requirement already satisfied|\W*━")
_NOT_OF_THE_MODEL = ("__pycache__", ".ipynb_checkpoints", ".git")

_DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
ARG PIP_INDEX_URL
ARG PIP_CERT
COPY ca.pem /opt/ca.pem
USER root
RUN python3 -m venv /opt/model && {PYTHON} -m pip install --no-cache-dir {{server}}
COPY requirements.txt /opt/requirements.txt
RUN {PYTHON} -m pip install --no-cache-dir -r /opt/requirements.txt
COPY gpumodels {PAYLOAD}/gpumodels
COPY folder {FOLDER}
RUN {PYTHON} -m compileall -q {PAYLOAD} {FOLDER}
ENV PYTHONPATH={PAYLOAD} PYTHONUNBUFFERED=1 PATH=/opt/model/bin:$PATH
"""


def build(
    client: DockerClient, spec: ModelSpec, flavour: Flavour, base: str, progress: Progress, *, fresh: bool
) -> str:
    """The name of the model's image, building it unless one of the same content is here (and not `fresh`).

    A folder's own Dockerfile describes the environment only (it must bring `python3` with `venv`; it is given the
    build argument BASE); the model server and the folder are laid on top of it, so the same model server answers for
    every model.
    """
    mirrors = Mirrors.from_environment()
    if spec.dockerfile is not None:
        base = _build_own(client, spec, flavour, base, mirrors, progress, fresh=fresh)
    context = _context(spec, flavour, mirrors)
    base_id = client.images.get(base).id or base
    tag = f"gpumodels/{spec.name}:{_fingerprint(context, base_id)}"
    if not fresh and _exists(client, tag):
        return tag
    _run_build(client, spec, context, tag, {"BASE": base}, mirrors, progress, fresh=fresh)
    return tag


def _build_own(
    client: DockerClient,
    spec: ModelSpec,
    flavour: Flavour,
    base: str,
    mirrors: Mirrors,
    progress: Progress,
    *,
    fresh: bool,
) -> str:
    context = {name.removeprefix("folder/"): data for name, data in _folder(spec)} | {"ca.pem": _ca(mirrors)}
    tag = f"gpumodels/{spec.name}-environment:{_fingerprint(context, base + flavour)}"
    if fresh or not _exists(client, tag):
        arguments = {"BASE": base, "FLAVOUR": flavour}
        _run_build(client, spec, context, tag, arguments, mirrors, progress, fresh=fresh)
    return tag


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


def _fingerprint(context: dict[str, bytes], base_id: str) -> str:
    digest = hashlib.sha256(base_id.encode())
    for name in sorted(context):
        digest.update(name.encode() + b"\0" + context[name] + b"\0")
    return digest.hexdigest()[:12]


def _exists(client: DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _run_build(
    client: DockerClient,
    spec: ModelSpec,
    context: dict[str, bytes],
    tag: str,
    arguments: dict[str, str],
    mirrors: Mirrors,
    progress: Progress,
    *,
    fresh: bool,
) -> None:
    """Build with streamed progress; no container of a failed or cancelled build is left."""
    arguments = arguments | dict(mirrors.proxies)
    if mirrors.index:
        arguments["PIP_INDEX_URL"] = mirrors.index
    if mirrors.ca_bundle:
        arguments["PIP_CERT"] = "/opt/ca.pem"
    try:
        events = client.api.build(
            fileobj=_tar(context), custom_context=True, tag=tag, buildargs=arguments, nocache=fresh, rm=True,
            forcerm=True, decode=True, labels={labels.MODEL: spec.name},
        )  # fmt: skip
        _follow(events, spec.name, progress)
    except (DockerException, requests.RequestException) as error:
        raise BuildFailed(f"Docker could not build the image of {spec.name!r}: {error}.") from error


def _follow(events: Any, model: str, progress: Progress) -> None:
    step, fraction = "", 0.0
    lines: list[str] = []
    for event in events:
        text = str(event.get("stream", "")).strip()
        if found := _STEP.match(text):
            step, lines = found[3], []
            fraction = (int(found[1]) - 1) / int(found[2])
        elif text:
            lines.append(text)
        if text and not _CHATTER.match(text):
            progress(f"building {model}: {text}", fraction)
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
            entry.size, entry.mode = len(context[name]), 0o644
            archive.addfile(entry, io.BytesIO(context[name]))
    buffer.seek(0)
    return buffer
