"""How much GPU memory the author's framework may allocate, told to PyTorch and TensorFlow when they are imported.

Neither touches a GPU before the author's code does: PyTorch is told in the moment in which it first does, TensorFlow
takes it as configuration. JAX reads its own environment setting; others are for the author to tell, who finds the
number by `gpumodels.server.memory_limit`. Whatever goes wrong here is logged, and the model loads without.
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


def tell_frameworks() -> None:
    """From now on whichever framework is imported is told, if there is a limit."""
    limit = memory_limit()
    if limit is not None:
        sys.meta_path.insert(0, _Told({"torch": _tell_torch, "tensorflow": _tell_tensorflow}, limit))


class _Told(MetaPathFinder):
    """Finds what the others find, and runs something after it was imported."""

    def __init__(self, tellers: Mapping[str, Callable[[Any, int], None]], limit: int) -> None:
        self._tellers = tellers
        self._limit = limit

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._tellers:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(name, path, target) for finder in others)
        found = next((spec for spec in specs if spec is not None), None)
        if found is not None and found.loader is not None:
            found.loader.exec_module = self._then_tell(name, found.loader.exec_module)  # type: ignore[method-assign, assignment]
        return found

    def _then_tell(self, name: str, run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def run_and_tell(module: ModuleType) -> None:
            run(module)
            _try(name, lambda: self._tellers[name](module, self._limit))

        return run_and_tell


def _try(name: str, tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception as error:  # noqa: BLE001  (a limit that cannot be set is no reason for a model not to load)
        log(f"{name} could not be told how much GPU memory it may use: {summary(error)}")


def _tell_torch(torch: Any, limit: int) -> None:
    """It takes a share of each GPU, and `_lazy_call`, its own way of waiting until CUDA is there."""

    def tell() -> None:
        for index in range(torch.cuda.device_count()):
            share = limit / torch.cuda.get_device_properties(index).total_memory
            with torch.cuda.device(index):  # setting the share makes a device the current one
                torch.cuda.set_per_process_memory_fraction(min(1.0, share), index)

    torch.cuda._lazy_call(lambda: _try("torch", tell))  # noqa: SLF001


def _tell_tensorflow(tensorflow: Any, limit: int) -> None:
    """It takes so many MiB of each GPU at once, and refuses to grow as well, which many programs ask for."""
    config = tensorflow.config
    for gpu in config.list_physical_devices("GPU"):
        room = config.LogicalDeviceConfiguration(memory_limit=max(1, limit >> 20))
        config.set_logical_device_configuration(gpu, [room])
    config.experimental.set_memory_growth = lambda *_, **__: None
