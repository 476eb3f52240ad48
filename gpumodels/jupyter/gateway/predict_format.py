"""Reading the requests of `predict`, forms or JSON, into the inputs of calls, and writing the answers as JSON."""

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
from gpumodels.jupyter.gateway import json_text
from gpumodels.jupyter.gateway.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tornado.httputil import HTTPFile

    from gpumodels.signature import Signature, TensorSpec

#: The first bytes of a file that numpy.save wrote.
_NPY = b"\x93NUMPY"
#: numpy's readers of such a file's header, by the version of its format.
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
#: The keys of a JSON object that stands for bytes.
_RAW = {"base64"}
_FORM, _JSON = "multipart/form-data", "application/json"


@dataclass(frozen=True)
class Address:
    """The address of a picture that has to be fetched."""

    url: str


@dataclass(frozen=True)
class Pictures:
    """Several pictures for an input that takes one picture. Each makes a call."""

    each: list[Any]


@dataclass(frozen=True)
class PredictRequest:
    """The content of a request: the inputs of each call, by name.

    `several` is True if an input was a list of pictures, even of only one: then the response is a list too.
    """

    calls: list[dict[str, Any]]
    several: bool

    def addresses(self) -> list[tuple[dict[str, Any], str]]:
        """Return a pair for each input that is an address: all inputs of its call, and the name of that input."""
        return [(inputs, name) for inputs in self.calls for name, value in inputs.items() if isinstance(value, Address)]


def read(body: bytes, content_type: str, signature: Signature, model: str) -> PredictRequest:
    """Return the request in a body. Raises Refused if the body cannot be read, and InputError for a wrong input."""
    kind, _, rest = content_type.partition(";")
    match kind.strip().lower():
        case "multipart/form-data":
            given = _form(body, rest, signature)
        case "application/json" | "application/x-www-form-urlencoded" | "":  # `curl -d` sends JSON as the second type
            given = _by_name(json_text.read(body), signature, model)
        case other:
            raise Refused(415, f"{other:.80} is not accepted: send {_JSON}, or a form ({_FORM}) with files and fields")
    return _calls(given, model)


def answer(values: Mapping[str, Any], *, described: bool) -> str:
    """Return the JSON of one answer: the value if there is one output, else an object of all outputs by name."""
    texts = {name: json_text.value(value, described=described) for name, value in values.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}"


def _by_name(given: Any, signature: Signature, model: str) -> dict[str, Any]:
    """Return the inputs by name. `given` is an object with all inputs, or the value of the only required input."""
    specs = {spec.name: spec for spec in signature.inputs}
    if isinstance(given, dict) and given and given.keys() <= specs.keys():
        return {name: _values(specs[name], value) for name, value in given.items()}
    first = next(iter(specs.values()), None)
    if first is None or len([spec for spec in specs.values() if not spec.optional]) > 1:
        raise InputError(f"{model} takes an object with {', '.join(map(str, signature.inputs)) or 'nothing in it'}")
    if isinstance(given, dict) and first.dtype not in {"any", "json"} and given.keys() != _RAW:
        unknown, known = ", ".join(map(repr, given)), ", ".join(map(str, specs.values()))
        raise InputError(f"{model} has no input {unknown}; it takes {known}")
    return {first.name: _values(first, given)}


def _values(spec: TensorSpec, given: Any) -> Any:
    """Return the value of an input, or Pictures for a list of pictures. A list of numbers is one picture's pixels."""
    if spec.kind == "image" and isinstance(given, list) and given and isinstance(given[0], (str, dict)):
        return Pictures([_value(spec, each) for each in given])
    return _value(spec, given)


def _value(spec: TensorSpec, given: Any) -> Any:
    if isinstance(given, dict) and given.keys() == _RAW and spec.dtype != "json":
        return json_text.from_base64(given["base64"])
    if spec.kind == "image" and isinstance(given, str):
        return _picture_at(spec, given)
    return given.encode() if spec.dtype == "bytes" and isinstance(given, str) else given


def _picture_at(spec: TensorSpec, url: str) -> bytes | Address:
    """Return the picture of a data: URL, or its http address. Paths are refused: they name files of this machine."""
    scheme, _, rest = url.partition(":")
    if scheme == "data":
        head, comma, data = rest.partition(",")
        if comma and head.endswith(";base64"):
            return json_text.from_base64(data)
    if scheme in {"http", "https"}:
        return Address(url)
    raise InputError(
        f"{spec} cannot be {url!r:.80}: send the picture as a file of a form, as nested lists, as a data: URL in "
        "base64, or by its http address"
    )


def _form(body: bytes, parameters: str, signature: Signature) -> dict[str, Any]:
    """Return the values of a form by input name; `parameters` are those of its content type."""
    attributes = dict(each.strip().partition("=")[::2] for each in parameters.split(";"))
    fields: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_multipart_form_data(attributes.get("boundary", "").encode(), body, fields, files)
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
    """Return the value of a file: a picture or bytes unchanged, an array that numpy.save wrote, or a value as text."""
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
    return _picture_at(spec, text) if spec.kind == "image" else _value(spec, from_text(spec, text))


def _array(spec: TensorSpec, content: bytes) -> NDArray[Any]:
    """Return the array of a .npy file. Raises InputError if the file is broken.

    numpy.load is not used: it allocates the memory that the header names before it checks the size of the file.
    """
    file = io.BytesIO(content)
    try:
        shape, fortran, dtype = _NPY_HEADERS[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError) as error:
        raise InputError(f"{spec} was given a .npy file that cannot be read: {error}") from None
    data = memoryview(content)[file.tell() :]
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) or not dtype.itemsize:
        raise InputError(
            f"{spec} was given a .npy file that cannot be read: {len(data)} bytes do not fit {dtype}{shape}"
        )
    flat: NDArray[Any] = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _calls(given: dict[str, Any], model: str) -> PredictRequest:
    """Return a request of one call, or of one call for each of several pictures."""
    lists = {name: value.each for name, value in given.items() if isinstance(value, Pictures)}
    if not lists:
        return PredictRequest([given], several=False)
    if len(lists) > 1:
        raise InputError(f"{model}: only one input can be given a list of pictures, not {' and '.join(lists)}")
    ((name, pictures),) = lists.items()
    return PredictRequest([{**given, name: picture} for picture in pictures], several=True)
