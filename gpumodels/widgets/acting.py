"""What a widget asks of its kernel, by message, and the answers.

Loading and restarting can be done nowhere else: the handle is here. The rest is for front ends without our Jupyter
server extension. A question is `{"id", "do", ...}`; its answer bears the same id, and `answer`, `progress` or `error`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython

from gpumodels.errors import GpumodelsError, ModelNotFound
from gpumodels.instances import last_lines_of, models, sleep_instance, stop_instance
from gpumodels.widgets.state import BOARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: How stopped models say by whom.
BY = "the dashboard"
LOAD = "%load_model "


def answer(asked: Mapping[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do what is asked and return what came of it; what goes wrong is said in a sentence, how it goes on is sent."""

    def tell(text: str) -> None:
        send({"id": asked["id"], "progress": text})

    try:
        told = {"answer": _ACTS[asked["do"]](asked, tell)}
    except (GpumodelsError, UsageError) as error:
        told = {"error": str(error)}
    except KeyError:
        told = {"error": "It runs no more."}
    except Exception as error:  # noqa: BLE001  somebody waits for an answer
        told = {"error": f"{type(error).__name__}: {error}"}
    except KeyboardInterrupt:
        told = {"error": "Interrupted."}
    return {"id": asked["id"], **told}


def _look(_: object, __: object) -> Any:
    return BOARD.look()


def _refresh(_: object, __: object) -> None:
    """The answer is the refreshing itself."""


def _stop(asked: Mapping[str, Any], _: object) -> None:
    stop_instance(asked["instance"], by=BY)


def _sleep(asked: Mapping[str, Any], _: object) -> None:
    sleep_instance(asked["instance"])


def _logs(asked: Mapping[str, Any], _: object) -> list[str]:
    return last_lines_of(asked["instance"])


def _restart(asked: Mapping[str, Any], tell: Callable[[str], None]) -> str:
    """The same handle on a new model server."""
    found = [model for model in models() if asked["instance"] in [each.record.id for each in model.replicas]]
    if not found:
        raise ModelNotFound("Another notebook or program loaded it: restart it there.")
    model = found[0]
    slept = model.asleep
    model.sleep()
    model.wake(_Told(tell))
    return f"{model.name} {'is awake' if slept else 'was restarted'}, in {model.load_seconds:.1f} s"


def _load(asked: Mapping[str, Any], tell: Callable[[str], None]) -> str:
    """Run the line as a cell would, so that the same variables are bound."""
    line = asked["line"]
    if not line.startswith(LOAD):
        raise UsageError(f"{line!r} does not load a model")
    shell: Any = get_ipython()
    if shell.find_line_magic("load_model") is None:
        shell.extension_manager.load_extension("gpumodels")
    said = [""]

    def heard(text: str) -> None:
        said.append(text)
        tell(text)

    with _displays_go_to(shell, heard):
        shell.run_line_magic("load_model", line.removeprefix(LOAD))
    return said[-1]


_ACTS: dict[str, Callable[[Mapping[str, Any], Callable[[str], None]], Any]] = {
    "look": _look,
    "refresh": _refresh,
    "stop": _stop,
    "sleep": _sleep,
    "logs": _logs,
    "restart": _restart,
    "load": _load,
}


@contextmanager
def _displays_go_to(shell: Any, tell: Callable[[str], None]) -> Iterator[None]:
    """What is displayed meanwhile is told as text: a message from a widget has no cell whose output it could be."""

    def hear(message: dict[str, Any]) -> dict[str, Any] | None:
        if message["header"]["msg_type"] not in ("display_data", "update_display_data"):
            return message
        tell(message["content"]["data"].get("text/plain", ""))
        return None

    shell.display_pub.register_hook(hear)
    try:
        yield
    finally:
        shell.display_pub.unregister_hook(hear)


class _Told:
    """A report of a load, to whoever listens in a browser."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def progress(self, text: str, fraction: float | None) -> None:  # noqa: ARG002
        self._tell(text)

    def notice(self, text: str) -> None:
        self._tell(text)

    def end(self, text: str) -> None:
        self._tell(text)
