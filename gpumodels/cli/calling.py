"""One call from the command line: words in, JSON and pictures out."""

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

_MOST = 1000  # numbers of an array that are printed; of a longer one it is said what it is
#: What is printed whole however long it is, since it is what was asked for.
_WHOLE = ("boxes", "scores")
_ANY = TensorSpec("", "any")


def check_target(file: Path | None) -> None:
    """Raise where a picture could not be saved as that file: before anything is loaded."""
    if file is None:
        return
    from PIL import Image  # noqa: PLC0415

    if file.suffix.lower() not in Image.registered_extensions():
        raise GpumodelsError(f"{file}: the name must end as a kind of picture does, such as .png or .jpg.")
    if not file.absolute().parent.is_dir():
        raise GpumodelsError(f"{file}: there is no directory {file.parent}.")


def answer(model: Model, words: Sequence[str], output: Path | None, draw: Path | None) -> None:
    """Call the model with what the words stand for; print and save what comes out."""
    by_place, by_name = inputs(model, words)
    kinds = {spec.name: spec.kind for spec in model.signature.outputs}
    streams = model.signature.stream
    for given in model.stream(*by_place, **by_name):
        values = outputs_by_name(model.signature, given)
        sys.stdout.write(tell(values, kinds, indented=not streams) + "\n")
        sys.stdout.flush()
        if output is not None:
            save(picture(values), output)
        if draw is not None:
            save(drawn(values, kinds, pixels(model, by_place, by_name)), draw)


def inputs(model: Model, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """What the words stand for, by position and by name, as the model declares its inputs."""
    declared = {spec.name: spec for spec in model.signature.inputs}
    by_place: list[Any] = []
    by_name: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name in declared:
            by_name[name] = read(declared[name], text)
        else:
            spec = next((each for each in list(declared.values())[len(by_place) :]), _ANY)
            by_place.append(read(spec, word))
    return by_place, by_name


def read(spec: TensorSpec, word: str) -> Any:
    """The value that a word of the command line stands for, where `spec` is asked for. Raises InputError."""
    if spec.kind == "image" or spec.dtype == "str":
        return word  # a picture is read from its path by who encodes it
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
    except (OSError, ValueError):  # no path at all: JSON, say
        return False


def _array(spec: TensorSpec, file: Path) -> NDArray[Any]:
    """A .npy file, or a picture's pixels."""
    from gpumodels.client import ImageError, to_pixels  # noqa: PLC0415

    try:
        if file.suffix == ".npy":
            array: NDArray[Any] = np.load(file, allow_pickle=False)
            return array
        return to_pixels(file)
    except (ImageError, ValueError, OSError) as error:
        raise InputError(f"{spec} cannot be {file}: {error}") from None


def tell(values: Mapping[str, Any], kinds: Mapping[str, str], *, indented: bool) -> str:
    """The outputs as JSON: the value itself where there is one, else each under its name, on a line of its own."""
    told = {name: json.dumps(_plain(value, kinds.get(name, ""))) for name, value in values.items()}
    if len(told) == 1:
        return next(iter(told.values()))
    comma, begin, end = (",\n ", "{\n ", "\n}") if indented else (", ", "{", "}")
    return begin + comma.join(f"{json.dumps(name)}: {text}" for name, text in told.items()) + end


def _plain(value: Any, kind: str = "") -> Any:
    """What JSON can hold; of long arrays and of bytes what they are."""

    def array(given: NDArray[Any]) -> Any:
        return _listed(given) if given.size <= _MOST or kind in _WHOLE else _summary(given)

    return to_json(value, array, lambda raw: {"dtype": "bytes", "size": len(raw)})


def _listed(array: NDArray[Any]) -> Any:
    return _plain(array.tolist()) if array.dtype.kind == "O" else to_lists(array)


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if array.dtype.kind in "iufb":
        for name in ("min", "max", "mean"):
            told[name] = _plain(float(getattr(array, name)()))
    return told


def picture(values: Mapping[str, Any]) -> Image.Image:
    """The first output that is one; raises GpumodelsError where none is."""
    from PIL import Image  # noqa: PLC0415

    from gpumodels.client import ImageError, to_pixels  # noqa: PLC0415

    for value in values.values():
        if isinstance(value, np.ndarray):
            with suppress(ImageError):
                return Image.fromarray(to_pixels(value))
    raise GpumodelsError(f"None of the outputs ({', '.join(values)}) is a picture, so there is nothing to save.")


def drawn(values: Mapping[str, Any], kinds: Mapping[str, str], image: NDArray[np.uint8] | None) -> Image.Image:
    """What was found, on the picture that went in; raises GpumodelsError where it cannot be drawn."""
    from gpumodels.client import draw_result  # noqa: PLC0415

    made = draw_result(values, kinds, image)
    if made is None:
        raise GpumodelsError(f"The outputs ({', '.join(values)}) are no boxes on a picture, so they cannot be drawn.")
    return made


def pixels(model: Model, by_place: Sequence[Any], by_name: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The picture that went in, if one did."""
    from gpumodels.client import to_pixels  # noqa: PLC0415

    given = {**dict(zip((spec.name for spec in model.signature.inputs), by_place, strict=False)), **by_name}
    names = [spec.name for spec in model.signature.inputs if spec.kind == "image" and spec.name in given]
    return to_pixels(given[names[0]]) if names else None


def save(picture: Any, file: Path) -> None:
    """Write a PIL image; raises GpumodelsError."""
    try:
        picture.save(file)
    except (OSError, ValueError) as error:
        raise GpumodelsError(f"{file} cannot be written: {error}.") from None
