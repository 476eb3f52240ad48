"""`Result`: what a call on a model with several outputs returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView, Mapping

_SHORT = 40  # characters of a value in a repr


class Result:
    """Several outputs in declared order: `r.boxes`, `r["boxes"]`, `boxes, scores = r`, `dict(r)`.

    A name that is no attribute name (or that a Result uses itself) is reached by `r["..."]`. The values belong to the
    caller. `kinds` says what the outputs mean ("boxes", "scores", "image"), `image` is the picture that went in, uint8
    [H, W, 3]: with them a result of boxes or a picture draws itself in a notebook.
    """

    def __init__(self, values: Mapping[str, Any], kinds: Mapping[str, str] | None = None, image: Any = None) -> None:
        self._values = dict(values)
        self._kinds = dict(kinds or {})
        self._image = image

    def __getitem__(self, name: str | int) -> Any:
        """By name, or by place in declared order."""
        if isinstance(name, int):
            return list(self._values.values())[name]
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(f"{name!r}; the outputs are {', '.join(self._values)}") from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while a copy is being made and there are no values yet
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no output {name!r}; the outputs are {', '.join(self._values)}") from None

    def __iter__(self) -> Iterator[Any]:
        """The values, so that a result unpacks."""
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def keys(self) -> KeysView[str]:
        """The names of the outputs."""
        return self._values.keys()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._values if name.isidentifier())]

    def __repr__(self) -> str:
        return f"Result({', '.join(f'{name}: {_short(value)}' for name, value in self._values.items())})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str] | None:
        """IPython asks; None means that the repr will do."""
        from gpumodels.client.drawing import draw_result, encoded  # noqa: PLC0415 (Pillow, for those who look)

        picture = draw_result(self._values, self._kinds, self._image)
        return None if picture is None else {**encoded(picture), "text/plain": repr(self)}


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."
