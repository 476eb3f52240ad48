"""What people and scripts send with curl, a form or JSON, as the inputs of calls; and the answers as JSON."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tornado.httputil import HTTPInputError, parse_multipart_form_data

from gpumodels.client import from_text
from gpumodels.errors import InputError
from gpumodels.jupyter.gateway import written
from gpumodels.jupyter.gateway.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tornado.httputil import HTTPFile

    from gpumodels.signature import Signature, TensorSpec

#: What a file begins with that numpy.save wrote.
_NPY = b"\x93NUMPY"
#: numpy's readers of such a file's header, by the version of its format.
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
#: The keys of an object that stands for bytes.
_RAW = {"base64"}
_FORM, _JSON = "multipart/form-data", "application/json"


@dataclass(frozen=True)
class Address:
    """A picture that is to be fetched."""

    url: str


@dataclass(frozen=True)
class Pictures:
    """Several for an input that takes one: a call for each."""

    each: list[Any]


@dataclass(frozen=True)
class Asked:
    """The inputs of each call, by name; `several` where pictures came in a list, be it of one, to get a list back."""

    calls: list[dict[str, Any]]
    several: bool

    def addresses(self) -> list[tuple[dict[str, Any], str]]:
        """Where there are addresses: the inputs of a call, and the name among them."""
        return [(inputs, name) for inputs in self.calls for name, value in inputs.items() if isinstance(value, Address)]


def read(body: bytes, content_type: str, signature: Signature, model: str) -> Asked:
    """What a body asks for; raises Refused and InputError."""
    kind, _, rest = content_type.partition(";")
    match kind.strip().lower():
        case "multipart/form-data":
            given = _form(body, rest, signature)
        case "application/json" | "application/x-www-form-urlencoded" | "":  # the second is what `curl -d` says of JSON
            given = _by_name(written.read(body), signature, model)
        case other:
            raise Refused(415, f"{other:.80} is not taken: send {_JSON}, or a form ({_FORM}) with files and fields")
    return _calls(given, model)


def answer(values: Mapping[str, Any], *, described: bool) -> str:
    """One answer: the value itself where there is one output, else each under its name."""
    texts = {name: written.value(value, described=described) for name, value in values.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}"


def _by_name(told: Any, signature: Signature, model: str) -> dict[str, Any]:
    """An object with the inputs' names, or the value of the one input that must be given."""
    specs = {spec.name: spec for spec in signature.inputs}
    if isinstance(told, dict) and told and told.keys() <= specs.keys():
        return {name: _values(specs[name], value) for name, value in told.items()}
    first = next(iter(specs.values()), None)
    if first is None or len([spec for spec in specs.values() if not spec.optional]) > 1:
        raise InputError(f"{model} takes an object with {', '.join(map(str, signature.inputs)) or 'nothing in it'}")
    if isinstance(told, dict) and first.dtype not in {"any", "json"} and told.keys() != _RAW:
        raise InputError(f"{model} has no {', '.join(map(repr, told))}; it takes {', '.join(map(str, specs.values()))}")
    return {first.name: _values(first, told)}


def _values(spec: TensorSpec, told: Any) -> Any:
    """One value, or of a list of pictures each; a list of numbers is the pixels of one."""
    if spec.kind == "image" and isinstance(told, list) and told and isinstance(told[0], (str, dict)):
        return Pictures([_value(spec, each) for each in told])
    return _value(spec, told)


def _value(spec: TensorSpec, told: Any) -> Any:
    if isinstance(told, dict) and told.keys() == _RAW and spec.dtype != "json":
        return written.unraw(told["base64"])
    if spec.kind == "image" and isinstance(told, str):
        return _named_picture(spec, told)
    return told.encode() if spec.dtype == "bytes" and isinstance(told, str) else told


def _named_picture(spec: TensorSpec, told: str) -> bytes | Address:
    """A picture by its address or in a data: URL. A path is refused: it would be one of this machine's files."""
    scheme, _, rest = told.partition(":")
    if scheme == "data":
        head, comma, data = rest.partition(",")
        if comma and head.endswith(";base64"):
            return written.unraw(data)
    if scheme in {"http", "https"}:
        return Address(told)
    raise InputError(
        f"{spec} cannot be {told!r:.80}: send the picture as a file of a form, as nested lists, as a data: URL in "
        "base64, or by its http address"
    )


def _form(body: bytes, parameters: str, signature: Signature) -> dict[str, Any]:
    """The values of a form by input name."""
    said = dict(each.strip().partition("=")[::2] for each in parameters.split(";"))
    fields: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_multipart_form_data(said.get("boundary", "").encode(), body, fields, files)
    except (HTTPInputError, ValueError) as error:
        raise Refused(400, f"the form cannot be read: {error}") from None
    specs = {spec.name: spec for spec in signature.inputs}
    found: dict[str, list[Any]] = {}
    for name in [*files, *fields]:
        if name not in specs:
            known = ", ".join(map(str, signature.inputs)) or "none"
            raise InputError(f"the form has a part {name!r:.80}; the inputs are {known}")
        spec = specs[name]
        found[name] = [_file(spec, each.body) for each in files.get(name, ())]
        found[name] += [_field(spec, each) for each in fields.get(name, ())]
    return {name: _one(specs[name], values) for name, values in found.items()}


def _one(spec: TensorSpec, values: list[Any]) -> Any:
    if len(values) > 1 and spec.kind != "image":
        raise InputError(f"{spec} was given {len(values)} times")
    return values[0] if len(values) == 1 else Pictures(values)


def _file(spec: TensorSpec, content: bytes) -> Any:
    """A picture or bytes as they are, an array that numpy.save wrote, or text."""
    if spec.kind == "image" or spec.dtype == "bytes":
        return content
    if content.startswith(_NPY):
        return _array(spec, content)
    return content if spec.dtype == "any" else _field(spec, content)


def _field(spec: TensorSpec, content: bytes) -> Any:
    if spec.dtype == "bytes":
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InputError(f"{spec} was given bytes that are neither text nor a .npy file") from None
    return _named_picture(spec, text) if spec.kind == "image" else _value(spec, from_text(spec, text))


def _array(spec: TensorSpec, content: bytes) -> NDArray[Any]:
    """numpy.load would take the memory that the header asks for before it looks whether so much came."""
    file = io.BytesIO(content)
    try:
        shape, fortran, dtype = _NPY_HEADERS[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError) as error:
        raise InputError(f"{spec} was given a .npy file that cannot be read: {error}") from None
    data = memoryview(content)[file.tell() :]
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) or not dtype.itemsize:
        raise InputError(f"{spec} was given a .npy file that cannot be read: {len(data)} bytes are no {dtype}{shape}")
    flat: NDArray[Any] = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _calls(given: dict[str, Any], model: str) -> Asked:
    """One call, or one for each of several pictures."""
    lists = {name: value.each for name, value in given.items() if isinstance(value, Pictures)}
    if not lists:
        return Asked([given], several=False)
    if len(lists) > 1:
        raise InputError(f"{model}: only one input can be given a list of pictures, not {' and '.join(lists)}")
    ((name, pictures),) = lists.items()
    return Asked([{**given, name: picture} for picture in pictures], several=True)
