"""One call from the command line: its words become inputs, its outputs become JSON and pictures."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.client import from_text, outputs_by_name, to_json, to_lists
from gpumodels.errors import GpumodelsError, InputError
from gpumodels.signature import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from gpumodels.model import Model

_MOST_NUMBERS = 1000  # a longer array is printed as a summary
#: Kinds of outputs that are printed in full at any length, because they are the result that users look for.
_ALWAYS_IN_FULL = ("boxes", "scores")
_ANY = TensorSpec("", "any")


def check_target(file: Path | None) -> None:
    """Raise GpumodelsError if a picture cannot be saved as `file`. Call this before the model is loaded."""
    if file is None:
        return
    from PIL import Image  # noqa: PLC0415

    if file.suffix.lower() not in Image.registered_extensions():
        raise GpumodelsError(f"{file}: the name must end like that of a picture file, such as .png or .jpg.")
    if not file.absolute().parent.is_dir():
        raise GpumodelsError(f"{file}: there is no directory {file.parent}.")


def answer(model: Model, words: Sequence[str], output: Path | None, draw: Path | None) -> None:
    """Call the model with inputs read from `words`, the arguments of the command line. Print the outputs as JSON.

    Save the first output that is a picture as the file `output`. Save the input picture with the outputs drawn on it as
    the file `draw`. None saves nothing.
    """
    by_position, by_name = inputs(model, words)
    kinds = {spec.name: spec.kind for spec in model.signature.outputs}
    streams = model.signature.stream
    for outputs in model.stream(*by_position, **by_name):
        values = outputs_by_name(model.signature, outputs)
        sys.stdout.write(as_json(values, kinds, indented=not streams) + "\n")
        sys.stdout.flush()
        if output is not None:
            save(picture(values), output)
        if draw is not None:
            save(drawn(values, kinds, pixels(model, by_position, by_name)), draw)


def inputs(model: Model, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the inputs in `words`, those by position and those by name, in the types that the model declares.

    A word NAME=VALUE is an input by name if the model has an input NAME.
    """
    declared = {spec.name: spec for spec in model.signature.inputs}
    by_position: list[Any] = []
    by_name: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name in declared:
            by_name[name] = read(declared[name], text)
        else:
            spec = next((each for each in list(declared.values())[len(by_position) :]), _ANY)
            by_position.append(read(spec, word))
    return by_position, by_name


def read(spec: TensorSpec, word: str) -> Any:
    """Return the value that a word of the command line stands for, as an input of type `spec`. Raises InputError."""
    if spec.kind == "image" or spec.dtype == "str":
        return word  # the client reads a picture from its path
    file = Path(word).expanduser()
    if spec.dtype == "bytes" and _is_file(file):
        return file.read_bytes()
    if spec.dtype not in ("any", "json", "bytes") and _is_file(file):
        return _array(spec, file)
    if spec.dtype == "any" and _holds_an_array(file):
        return _array(spec, file)
    return from_text(spec, word)


def _holds_an_array(path: Path) -> bool:
    from PIL import Image  # noqa: PLC0415

    return _is_file(path) and (path.suffix == ".npy" or path.suffix.lower() in Image.registered_extensions())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the word is not a path; it may be JSON
        return False


def _array(spec: TensorSpec, file: Path) -> NDArray[Any]:
    """Return the array in a .npy file, or the pixels of a picture. Raises InputError if the file holds neither."""
    from gpumodels.client import ImageError, to_pixels  # noqa: PLC0415

    try:
        if file.suffix == ".npy":
            array: NDArray[Any] = np.load(file, allow_pickle=False)
            return array
        return to_pixels(file)
    except (ImageError, ValueError, OSError) as error:
        raise InputError(f"{spec} cannot be {file}: {error}") from None


def as_json(values: Mapping[str, Any], kinds: Mapping[str, str], *, indented: bool) -> str:
    """Return the outputs as JSON text. `values` holds them by name, and `kinds` the kinds that the model declares.

    A single output is the value itself. Several are an object with their names as keys, with `indented` one output a
    line.
    """
    texts = {name: json.dumps(_plain(value, kinds.get(name, ""))) for name, value in values.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    comma, begin, end = (",\n ", "{\n ", "\n}") if indented else (", ", "{", "}")
    return begin + comma.join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + end


def _plain(value: Any, kind: str = "") -> Any:
    """Return the value with types that JSON has. Bytes, and long arrays except boxes and scores, become a summary."""

    def array(given: NDArray[Any]) -> Any:
        in_full = given.size <= _MOST_NUMBERS or kind in _ALWAYS_IN_FULL
        return _listed(given) if in_full else _summary(given)

    return to_json(value, array, lambda raw: {"dtype": "bytes", "size": len(raw)})


def _listed(array: NDArray[Any]) -> Any:
    return _plain(array.tolist()) if array.dtype.kind == "O" else to_lists(array)


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if array.dtype.kind in "iufb":
        for name in ("min", "max", "mean"):
            summary[name] = _plain(float(getattr(array, name)()))
    return summary


def picture(values: Mapping[str, Any]) -> Image.Image:
    """Return the first output that is a picture. Raises GpumodelsError if there is none."""
    from PIL import Image  # noqa: PLC0415

    from gpumodels.client import ImageError, to_pixels  # noqa: PLC0415

    for value in values.values():
        if isinstance(value, np.ndarray):
            with suppress(ImageError):
                return Image.fromarray(to_pixels(value))
    raise GpumodelsError(f"None of the outputs ({', '.join(values)}) is a picture, so there is nothing to save.")


def drawn(values: Mapping[str, Any], kinds: Mapping[str, str], image: NDArray[np.uint8] | None) -> Image.Image:
    """Return the input picture with the outputs drawn on it. Raises GpumodelsError if they cannot be drawn."""
    from gpumodels.client import draw_result  # noqa: PLC0415

    made = draw_result(values, kinds, image)
    if made is None:
        raise GpumodelsError(f"The outputs ({', '.join(values)}) have no boxes for a picture, so they cannot be drawn.")
    return made


def pixels(model: Model, by_position: Sequence[Any], by_name: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """Return the pixels of the first input that is a picture; None if none is."""
    from gpumodels.client import to_pixels  # noqa: PLC0415

    given = {**dict(zip((spec.name for spec in model.signature.inputs), by_position, strict=False)), **by_name}
    names = [spec.name for spec in model.signature.inputs if spec.kind == "image" and spec.name in given]
    return to_pixels(given[names[0]]) if names else None


def save(picture: Any, file: Path) -> None:
    """Write a PIL image. Raises GpumodelsError if the file cannot be written."""
    try:
        picture.save(file)
    except (OSError, ValueError) as error:
        raise GpumodelsError(f"{file} cannot be written: {error}.") from None
