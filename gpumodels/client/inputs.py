"""Conversion of the arguments of a call to the tensors that the model declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.errors import InputError
from gpumodels.protocol import Tensor, TensorError, encode, misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from gpumodels.signature import Signature, TensorSpec

_PICTURE = np.dtype(np.uint8)
_RGB = 3  # dimensions, and channels


def bind(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], model: str
) -> tuple[list[Tensor], NDArray[np.uint8] | None]:
    """Return the inputs as tensors in declared order, and the picture (uint8 [H, W, 3]) if one of them is an image.

    Inputs may be anything that numpy reads as an array, torch tensors on any device, PIL images, columns of pandas,
    Python numbers, text and lists. An image may also be a path or the bytes of an encoded picture. None leaves out an
    optional input. Raises InputError, with the name of the declared input.
    """
    picture: NDArray[np.uint8] | None = None
    tensors, sizes = [], dict[str, int]()
    for spec, value in _matched(signature, args, kwargs, model):
        if value is None and spec.optional and spec.dtype not in {"any", "json"}:
            continue
        if spec.kind == "image":
            value = picture = _picture(spec, value, model)  # noqa: PLW2901 (the array replaces the user's value)
        tensors.append(_tensor(spec, value, sizes, model))
    return tensors, picture


def _matched(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], model: str
) -> Iterable[tuple[TensorSpec, Any]]:
    """Return the declared inputs that were given, with their values. Match them like arguments of a Python function."""
    inputs = signature.inputs
    if not kwargs and len(args) == len(inputs):
        return zip(inputs, args, strict=True)
    if len(args) > len(inputs):
        raise InputError(f"{_takes(signature, model)}, but {len(args)} inputs were given")
    given = {spec.name: value for spec, value in zip(inputs, args, strict=False)}
    for name, value in kwargs.items():
        if name in given:
            raise InputError(f"{model}: the input {name!r} was given twice")
        given[name] = value
    unknown = given.keys() - {spec.name for spec in inputs}
    if unknown:
        names = ", ".join(repr(name) for name in given if name in unknown)
        raise InputError(f"{_takes(signature, model)}, which has no {names}")
    missing = [spec.name for spec in inputs if spec.name not in given and not spec.optional]
    if missing:
        raise InputError(f"{_takes(signature, model)}; missing: {', '.join(missing)}")
    return [(spec, given[spec.name]) for spec in inputs if spec.name in given]


def _takes(signature: Signature, model: str) -> str:
    return f"{model} takes ({', '.join(map(str, signature.inputs))})"


def _picture(spec: TensorSpec, value: Any, model: str) -> NDArray[np.uint8]:
    if type(value) is np.ndarray and value.dtype == _PICTURE and value.shape[2:] == (_RGB,) and value.size:
        return value
    from gpumodels.client.images import ImageError, to_pixels  # noqa: PLC0415 (Pillow, which only pictures need)

    try:
        return to_pixels(value)
    except ImageError as error:
        raise InputError(f"{model}: {spec.name}: {error}") from None


def _tensor(spec: TensorSpec, value: Any, sizes: dict[str, int], model: str) -> Tensor:
    try:
        tensor = encode(spec.name, value, spec.dtype)
    except TensorError as error:
        raise InputError(f"{model}: {spec} was given {_described(value)}: {error}") from None
    problem = "" if tensor.content_type == "json" else misfit(spec, tensor.shape, sizes)
    if problem:
        raise InputError(f"{model}: {problem}")
    return tensor


def _described(value: Any) -> str:
    """Describe a value for messages: "an int", "an array of float64[1, 2]" or "a Tensor of torch.float32[3]"."""
    name = "array" if isinstance(value, np.ndarray) else type(value).__name__
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    of = "" if dtype is None or shape is None else f" of {dtype}{list(shape)}"
    return f"a{'n' if name[0].lower() in 'aeiou' else ''} {name}{of}"
