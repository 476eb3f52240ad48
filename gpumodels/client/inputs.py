"""The arguments of a call, made into the tensors that the model declares."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.errors import InputError
from gpumodels.protocol.shapes import misfit
from gpumodels.protocol.tensors import DATATYPES, Tensor, TensorError, any_dtype, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gpumodels.signature import Signature, TensorSpec


def bind(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], model: str
) -> tuple[list[Tensor], NDArray[np.uint8] | None]:
    """The inputs in declared order, and the picture (uint8 [H, W, 3]) where one of them is an image.

    Takes anything with `__array__`, PIL images, Python numbers, text and lists; where an image is declared also a path
    or the bytes of an encoded picture. None leaves an optional input out. Raises InputError naming what is declared.
    """
    picture: NDArray[np.uint8] | None = None
    tensors, sizes = [], dict[str, int]()
    for spec, value in _matched(signature, args, kwargs, model):
        if value is None and spec.optional and spec.dtype not in {"any", "json"}:
            continue
        if spec.kind == "image":
            from gpumodels.client.images import ImageError, to_pixels  # noqa: PLC0415 (Pillow, for those who need it)

            try:
                value = picture = to_pixels(value)  # noqa: PLW2901 (from here on it is the array)
            except ImageError as error:
                raise InputError(f"{model}: {spec.name}: {error}") from None
        tensors.append(_tensor(spec, value, sizes, model))
    return tensors, picture


def _matched(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], model: str
) -> list[tuple[TensorSpec, Any]]:
    """Specs with their values, as Python matches arguments to parameters."""
    takes = f"{model} takes ({', '.join(map(str, signature.inputs))})"
    if len(args) > len(signature.inputs):
        raise InputError(f"{takes}, but {len(args)} inputs were given")
    given = {spec.name: value for spec, value in zip(signature.inputs, args, strict=False)}
    for name, value in kwargs.items():
        if name in given:
            raise InputError(f"{model}: the input {name!r} was given twice")
        given[name] = value
    declared = {spec.name for spec in signature.inputs}
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise InputError(f"{takes}, which has no {', '.join(map(repr, unknown))}")
    missing = [spec.name for spec in signature.inputs if spec.name not in given and not spec.optional]
    if missing:
        raise InputError(f"{takes}; missing: {', '.join(missing)}")
    return [(spec, given[spec.name]) for spec in signature.inputs if spec.name in given]


def _tensor(spec: TensorSpec, value: Any, sizes: dict[str, int], model: str) -> Tensor:
    dtype = spec.dtype
    if dtype != "json" and _is_array(value):
        value = _array(value, spec, model)
    if dtype == "any":
        dtype = any_dtype(value)
        if dtype not in DATATYPES:
            raise InputError(f"{model}: {spec.name} is an array of {dtype}, which cannot be sent")
    elif dtype in {"str", "bytes"}:
        _check_text(spec, value, model)
    try:
        tensor = encode(spec.name, value, dtype)
    except (TensorError, TypeError, ValueError) as error:  # the latter two from numpy: a ragged list, a strange object
        raise InputError(f"{model}: {spec} was given {_described(value)}: {error}") from None
    problem = "" if dtype == "json" else misfit(spec, tensor.shape, sizes)
    if problem:
        raise InputError(f"{model}: {problem}")
    return tensor


def _is_array(value: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")
    return hasattr(value, "__array__") or (pillow is not None and isinstance(value, pillow.Image))


def _array(value: Any, spec: TensorSpec, model: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # noqa: BLE001 (the foreign `__array__` may raise anything: a CUDA tensor's TypeError)
        raise InputError(f"{model}: {spec} was given {_described(value)}, which numpy cannot read: {error}") from None


def _check_text(spec: TensorSpec, value: Any, model: str) -> None:
    """Text is not taken for bytes or the other way round, which would come back as the other."""
    kinds: tuple[type, ...] = (str,) if spec.dtype == "str" else (bytes, bytearray, memoryview)
    single = isinstance(value, (str, bytes, bytearray, memoryview))
    items = [value] if single else np.asarray(value, dtype=object).ravel()
    wrong = next((item for item in items if not isinstance(item, kinds)), None)
    if wrong is not None:
        raise InputError(f"{model}: {spec} was given {_described(wrong)}")


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}{list(value.shape)}"
    return f"a {type(value).__name__}"
