"""`Result`: the outputs of a call on a model with several outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView, Mapping

_SHORT = 40  # characters of a value in a repr


class Result:
    """The outputs of one call on a model with several outputs, in declared order.

    Take an output by attribute (`result.boxes`), by name (`result["boxes"]`), by index (`result[0]`) or by unpacking
    (`boxes, scores = result`). Use `result["..."]` for names that are not identifiers, or that a Result uses itself.
    The values are yours: no later call changes them. `dict(result)` makes a dict of them.

    In a notebook a result with an output of kind "image" or "boxes" shows itself as a picture.

    Parameters
    ----------
    values : mapping of str to object
        The value of each output, by its name, in declared order.
    kinds : mapping of str to str, optional
        The meaning of outputs, by their names: "image", "boxes" or "scores". The default is no meaning.
    image : ndarray of uint8, shape (H, W, 3), optional
        The RGB picture that was an input of the call. Boxes are drawn on it.

    Examples
    --------
    >>> result = model("page.png")
    >>> result
    Result(boxes: float32[7, 8], scores: float32[7])
    >>> boxes, scores = result
    >>> result.boxes is result["boxes"]
    True

    """

    def __init__(self, values: Mapping[str, Any], kinds: Mapping[str, str] | None = None, image: Any = None) -> None:
        self._values = dict(values)
        self._kinds = dict(kinds or {})
        self._image = image

    def __getitem__(self, name: str | int) -> Any:
        """Return an output by its name or its index in declared order.

        Raises
        ------
        KeyError
            The result has no output of that name. The message lists the names.
        IndexError
            The result has no output of that index.

        """
        if isinstance(name, int):
            return list(self._values.values())[name]
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(f"{name!r}; the outputs are {', '.join(self._values)}") from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while a copy is being made, there is no `_values` yet
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no output {name!r}; the outputs are {', '.join(self._values)}") from None

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the values, so that a result can be unpacked."""
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def keys(self) -> KeysView[str]:
        """Return the names of the outputs in declared order."""
        return self._values.keys()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._values if name.isidentifier())]

    def __repr__(self) -> str:
        return f"Result({', '.join(f'{name}: {_short(value)}' for name, value in self._values.items())})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str] | None:
        """Return the picture for IPython; None if there is none, so that IPython shows the repr."""
        from gpumodels.client.drawing import draw_result, encoded  # noqa: PLC0415 (Pillow, which only pictures need)

        picture = draw_result(self._values, self._kinds, self._image)
        return None if picture is None else {**encoded(picture), "text/plain": repr(self)}


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."
