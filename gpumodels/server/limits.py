"""The limit of GPU memory. It is set in PyTorch and TensorFlow when the author's code imports them.

Setting the limit does not use a GPU. In PyTorch it is set when CUDA is first used; in TensorFlow it is only
configuration. JAX reads the limit from its own environment variable. For other frameworks the author sets it, with
`gpumodels.server.memory_limit`. An error here is logged, and the model loads without the limit.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

from gpumodels.server import memory_limit
from gpumodels.server.calls import log, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def limit_frameworks() -> None:
    """Set the limit in PyTorch and TensorFlow as soon as they are imported. Do nothing if there is no limit."""
    limit = memory_limit()
    if limit is not None:
        sys.meta_path.insert(0, _LimitingFinder({"torch": _limit_torch, "tensorflow": _limit_tensorflow}, limit))


class _LimitingFinder(MetaPathFinder):
    """An import hook for frameworks. The other finders find a framework; after its import, this sets the limit."""

    def __init__(self, setters: Mapping[str, Callable[[Any, int], None]], limit: int) -> None:
        self._setters = setters
        self._limit = limit

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._setters:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(name, path, target) for finder in others)
        found = next((spec for spec in specs if spec is not None), None)
        if found is not None and found.loader is not None:
            found.loader.exec_module = self._then_limit(name, found.loader.exec_module)  # type: ignore[method-assign, assignment]
        return found

    def _then_limit(self, name: str, run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def run_and_limit(module: ModuleType) -> None:
            run(module)
            _try(name, lambda: self._setters[name](module, self._limit))

        return run_and_limit


def _try(name: str, set_limit: Callable[[], None]) -> None:
    try:
        set_limit()
    except Exception as error:  # noqa: BLE001  (the model loads without the limit)
        log(f"the limit of GPU memory could not be set in {name}: {summary(error)}")


def _limit_torch(torch: Any, limit: int) -> None:
    """Limit the share of each GPU's memory that PyTorch may take. `_lazy_call` sets it when CUDA is first used."""

    def set_shares() -> None:
        for index in range(torch.cuda.device_count()):
            share = limit / torch.cuda.get_device_properties(index).total_memory
            with torch.cuda.device(index):  # setting the share would change the current device
                torch.cuda.set_per_process_memory_fraction(min(1.0, share), index)

    torch.cuda._lazy_call(lambda: _try("torch", set_shares))  # noqa: SLF001


def _limit_tensorflow(tensorflow: Any, limit: int) -> None:
    """Limit TensorFlow on each GPU. It then takes all memory up to the limit at once.

    Many programs call `set_memory_growth`, which raises an error if a limit is set. So that function is replaced by one
    that does nothing.
    """
    config = tensorflow.config
    for gpu in config.list_physical_devices("GPU"):
        room = config.LogicalDeviceConfiguration(memory_limit=max(1, limit >> 20))
        config.set_logical_device_configuration(gpu, [room])
    config.experimental.set_memory_growth = lambda *_, **__: None
