"""Reads a model folder: `model.toml` beside the author's code. The fields are described in docs/model-folders.md."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PurePosixPath

from gpumodels.catalog.spec import ModelSpec, Weights
from gpumodels.document import Document, shown
from gpumodels.errors import ModelFolderError, ModelNotFound
from gpumodels.settings import size
from gpumodels.signature import Signature, SignatureError, TensorSpec

TOML = "model.toml"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
NAME_RULE = "lower-case letters, digits and . _ -, starting with a letter or digit"
FIELDS = (
    "name", "summary", "licence", "entry", "requirements", "weights", "inputs", "outputs", "memory", "grace", "env",
)  # fmt: skip
MAX_GRACE = 60
_ENTRY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
#: Marks a directory as a Python environment.
_ENVIRONMENT = "pyvenv.cfg"
_PYPI = re.compile(r"pypi:[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_OWN_ENV = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")


def read_folder(folder: Path) -> ModelSpec:
    """The model that a folder describes.

    Raises ModelNotFound where it is no model folder, ModelFolderError (file, line, field) where `model.toml` is wrong.
    """
    folder = _checked(folder)
    document = Document(folder / TOML, ModelFolderError)
    document.check_keys((), FIELDS)
    cpu, gpu = _requirements(document)
    return ModelSpec(
        name=_name(document),
        folder=folder.resolve(),
        summary=document.text("summary", default=""),
        licence=document.text("licence", default=""),
        entry=_entry(document, folder),
        requirements_cpu=cpu,
        requirements_gpu=gpu,
        weights=_weights(document),
        signature=_signature(document),
        memory=_memory(document),
        grace=_grace(document),
        env=_env(document),
    )


def folder_files(spec: ModelSpec) -> list[tuple[str, Path]]:
    """The files that make the model what it is, as (path inside the folder, path), sorted.

    Without local weights (they are pinned and mounted), hidden directories, `__pycache__` and Python environments.
    Raises ModelFolderError where something cannot be read.
    """
    weights = {spec.folder / found.source for found in spec.weights}
    found: list[Path] = []
    try:
        for place, directories, files in os.walk(spec.folder, onerror=_raise):
            directories[:] = [name for name in directories if _travels(Path(place, name))]
            found += [path for name in files if (path := Path(place, name)) not in weights and path.is_file()]
    except OSError as error:
        raise ModelFolderError(f"{shown(Path(error.filename))} cannot be read: {error.strerror}") from None
    return sorted((str(path.relative_to(spec.folder)), path) for path in found)


def content_hash(spec: ModelSpec) -> str:
    """Return a hash of names, sizes and change times of the files that make the model what it is.

    Raises ModelFolderError if something cannot be read.
    """
    content = []
    for name, path in folder_files(spec):
        with suppress(FileNotFoundError):  # removed since it was listed
            found = path.stat()
            content.append((name, found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _travels(directory: Path) -> bool:
    name = directory.name
    return not name.startswith(".") and name != "__pycache__" and not (directory / _ENVIRONMENT).exists()


def _raise(error: OSError) -> None:
    raise error


def _checked(folder: Path) -> Path:
    advice = "`gpumodels new NAME` makes a model folder"
    try:
        is_folder, has_toml = stat.S_ISDIR(folder.stat().st_mode), (folder / TOML).is_file()
    except (OSError, ValueError):  # not there, not readable, or no path at all
        raise ModelNotFound(f"there is no folder {shown(folder)} that can be read; {advice}") from None
    if not is_folder:
        raise ModelNotFound(f"{shown(folder)} is a file, not a model folder; name the folder that holds {TOML}")
    if not has_toml:
        raise ModelNotFound(f"{shown(folder)} has no {TOML}, so it is no model folder; {advice}")
    return folder


def _name(document: Document) -> str:
    name = document.text("name")
    if not NAME.fullmatch(name):
        raise document.error(("name",), f"must be {NAME_RULE}, not {name!r}")
    return name


def _entry(document: Document, folder: Path) -> str:
    entry = document.text("entry", default=ModelSpec.entry)
    match = _ENTRY.fullmatch(entry)
    if not match:
        raise document.error(("entry",), f'must be "module:Class", such as "{ModelSpec.entry}", not {entry!r}')
    code = folder.joinpath(*match[1].split("."))
    if code.with_suffix(".py").is_file() or (code / "__init__.py").is_file():
        return entry
    missing = code.with_suffix(".py").relative_to(folder)
    if "entry" in document.data:
        raise document.error(("entry",), f"{entry!r} needs the file {missing}, which is not in the folder")
    raise ModelNotFound(f"{shown(folder)} has no {missing}, so it is no model folder; `gpumodels new NAME` makes one")


def _requirements(document: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The requirement lines for cpu and gpu; one list serves both."""
    if not isinstance(document.get("requirements"), dict):
        lines = _requirement_lines(document, "requirements")
        return lines, lines
    document.check_keys(("requirements",), ("cpu", "gpu"))
    for flavour in ("cpu", "gpu"):
        if document.get("requirements", flavour) is None:
            raise document.error(("requirements", flavour), "missing; give cpu and gpu, or one list for both")
    return _requirement_lines(document, "requirements", "cpu"), _requirement_lines(document, "requirements", "gpu")


def _requirement_lines(document: Document, *field: str) -> tuple[str, ...]:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - 20 ms that listing does not need

    lines = document.texts(*field)
    for line in lines:
        try:
            Requirement(line)
        except InvalidRequirement as error:
            reason = str(error).partition("\n")[0]
            raise document.error(field, f'{line!r} is no requirement such as "numpy>=2": {reason}') from None
    return lines


def _weights(document: Document) -> tuple[Weights, ...]:
    known = tuple(field.name for field in fields(Weights))
    weights = tuple(_weights_file(document, index) for index in range(len(document.tables("weights", known))))
    seen: set[PurePosixPath] = set()
    for index, path in enumerate(PurePosixPath(entry.file) for entry in weights):
        if path in seen:
            raise document.error(("weights", index, "file"), f"{str(path)!r} is declared twice")
        seen.add(path)
    return weights


def _weights_file(document: Document, index: int) -> Weights:
    field = ("weights", index)
    file, source = document.text(*field, "file"), document.text(*field, "source")
    if not _inside(file):
        raise document.error((*field, "file"), f"must be a relative path without .., not {file!r}")
    member, archive = document.text(*field, "member", default=""), document.text(*field, "archive", default="")
    if source.startswith("pypi:"):
        if not _PYPI.fullmatch(source):
            raise document.error((*field, "source"), f'must be "pypi:NAME==VERSION", not {source!r}')
        if not member:
            raise document.error((*field, "member"), "missing; give the path of the file inside the archive")
    elif member or archive:
        wrong = "member" if member else "archive"
        raise document.error((*field, wrong), 'only goes with a source "pypi:NAME==VERSION"')
    elif not source.startswith("https://") and (":" in source or not _inside(source)):
        expected = '"pypi:NAME==VERSION", an https:// address or a path inside the model folder'
        raise document.error((*field, "source"), f"must be {expected}, not {source!r}")
    return Weights(
        file=file,
        source=source,
        sha256=_sha256(document, *field, "sha256"),
        member=member,
        archive=_sha256(document, *field, "archive") if archive else "",
        licence=document.text(*field, "licence", default=""),
        provenance=document.text(*field, "provenance", default=""),
    )


def _inside(path: str) -> bool:
    """Whether a path stays inside the folder that it is relative to."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _sha256(document: Document, *field: str | int) -> str:
    value = document.text(*field)
    if not _SHA256.fullmatch(value):
        raise document.error(field, f"must be a SHA-256 of 64 hexadecimal digits, not {value!r}")
    return value.lower()


def _signature(document: Document) -> Signature | None:
    known = tuple(field.name for field in fields(TensorSpec))
    inputs, outputs = document.tables("inputs", known), document.tables("outputs", known)
    if "inputs" not in document.data:
        if "outputs" in document.data:
            raise document.error(("inputs",), "missing; where outputs are declared, inputs must be too")
        return None
    try:
        return Signature.from_tables(inputs, outputs)
    except SignatureError as error:
        side, index, key = re.fullmatch(r"(\w+)\[(\d+)\]\.(.+)", error.field).groups()  # type: ignore[union-attr]
        raise document.error((side, int(index), key), error.reason) from None


def _memory(document: Document) -> int:
    try:
        return size(document.get("memory", default=0))
    except ValueError as error:
        raise document.error(("memory",), str(error)) from None


def _grace(document: Document) -> float:
    value = document.get("grace", default=ModelSpec.grace)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_GRACE:
        raise document.error(("grace",), f"must be a number of seconds from 0 to {MAX_GRACE}, not {value!r}")
    return float(value)


def sets_itself(name: str) -> bool:
    """Whether gpumodels gives every instance this environment setting: another value would undo `--gpu`, say."""
    return name in _OWN_ENV or name.startswith("GPUMODELS_")


def _env(document: Document) -> tuple[tuple[str, str], ...]:
    for name in document.table("env"):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise document.error(("env", name), "is no name for an environment setting")
        if sets_itself(name):
            raise document.error(("env", name), "is set by gpumodels itself")
        if "\0" in document.text("env", name):
            raise document.error(("env", name), "must not contain a zero byte")
    return tuple(document.table("env").items())
