"""Actions in the kernel that the browser part of a widget requests by messages.

Only the kernel can load and restart a model, because it has the handle. The other actions serve front ends without our
Jupyter server extension. A request is `{"id", "do", ...}`. The reply has the same id, and `answer` or `error`. Before
the reply, messages with that id and `progress` may be sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython

from gpumodels.errors import GpumodelsError, ModelNotFound
from gpumodels.instances import last_lines_of, models, sleep_instance, stop_instance
from gpumodels.widgets.state import recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: The text for who stopped a model. The next call of the stopped model reports it.
BY = "the dashboard"
LOAD = "%load_model "


def answer(request: Mapping[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do the requested action and return the reply. Messages with progress are passed to `send`."""

    def report(text: str) -> None:
        send({"id": request["id"], "progress": text})

    try:
        outcome = {"answer": _ACTIONS[request["do"]](request, report)}
    except (GpumodelsError, UsageError) as error:
        outcome = {"error": str(error)}
    except KeyError:
        outcome = {"error": "The model does not run any more."}
    except Exception as error:  # noqa: BLE001 (the browser waits for a reply)
        outcome = {"error": f"{type(error).__name__}: {error}"}
    except KeyboardInterrupt:
        outcome = {"error": "Interrupted."}
    return {"id": request["id"], **outcome}


def _state(_: object, __: object) -> Any:
    return recent()


def _refresh(_: object, __: object) -> None:
    """Do nothing: the module `live` refreshes all widgets before it sends a reply."""


def _stop(request: Mapping[str, Any], _: object) -> None:
    stop_instance(request["instance"], by=BY)


def _sleep(request: Mapping[str, Any], _: object) -> None:
    sleep_instance(request["instance"])


def _logs(request: Mapping[str, Any], _: object) -> list[str]:
    return last_lines_of(request["instance"])


def _restart(request: Mapping[str, Any], report: Callable[[str], None]) -> str:
    """Give the handle of the model a new model server. Return a sentence on the result."""
    found = [model for model in models() if request["instance"] in [each.record.id for each in model.replicas]]
    if not found:
        raise ModelNotFound("Another notebook or program loaded this model. Restart it there.")
    model = found[0]
    slept = model.asleep
    model.sleep()
    model.wake(_BrowserReport(report))
    return f"{model.name} {'is awake' if slept else 'was restarted'}, in {model.load_seconds:.1f} s"


def _load(request: Mapping[str, Any], report: Callable[[str], None]) -> str:
    """Run the `%load_model` line of the request as a cell would, so that it binds the same variables.

    Return the last text of the load.
    """
    line = request["line"]
    if not line.startswith(LOAD):
        raise UsageError(f"{line!r} does not load a model")
    shell: Any = get_ipython()
    if shell.find_line_magic("load_model") is None:
        shell.extension_manager.load_extension("gpumodels")
    texts = [""]

    def collect(text: str) -> None:
        texts.append(text)
        report(text)

    with _displays_go_to(shell, collect):
        shell.run_line_magic("load_model", line.removeprefix(LOAD))
    return texts[-1]


_ACTIONS: dict[str, Callable[[Mapping[str, Any], Callable[[str], None]], Any]] = {
    "state": _state,
    "refresh": _refresh,
    "stop": _stop,
    "sleep": _sleep,
    "logs": _logs,
    "restart": _restart,
    "load": _load,
}


@contextmanager
def _displays_go_to(shell: Any, report: Callable[[str], None]) -> Iterator[None]:
    """Pass the outputs that the block displays to `report`, as text.

    The block answers a request of a widget, which belongs to no cell that could show them.
    """

    def intercept(message: dict[str, Any]) -> dict[str, Any] | None:
        if message["header"]["msg_type"] not in ("display_data", "update_display_data"):
            return message
        report(message["content"]["data"].get("text/plain", ""))
        return None

    shell.display_pub.register_hook(intercept)
    try:
        yield
    finally:
        shell.display_pub.unregister_hook(intercept)


class _BrowserReport:
    """A report of a load that passes each text to the browser."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def progress(self, text: str, fraction: float | None) -> None:  # noqa: ARG002
        self._report(text)

    def notice(self, text: str) -> None:
        self._report(text)

    def end(self, text: str) -> None:
        self._report(text)
