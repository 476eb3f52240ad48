"""The magics themselves: each reads its line, asks the manager, and shows what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from gpumodels.errors import GpumodelsError, ModelNotFound
from gpumodels.magics.arguments import DASHBOARD, GPUS, LOAD, LOGS, MODELS, SLEEP, STOP, Arguments, HelpShown

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from gpumodels.model import Model
    from gpumodels.widgets.live import Dashboard

#: What is said of a model that this notebook only let go of.
_OTHERS = "others go on using it"

COMMANDS = ("load_model", "models", "stop_model", "sleep_model", "model_logs", "gpus", "gpu_dashboard")


@magics_class
class ModelMagics(Magics):
    """Models in a notebook."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        #: What was loaded last for a variable, so that running the cell after `%reset` finds it again.
        self._loaded_for: dict[str, Model] = {}

    @line_magic
    def load_model(self, line: str) -> Model | None:
        """`%load_model ctpn --gpu 0`: load a model; `%load_model -h` shows all options."""
        loaded: Model | None = _run(LOAD, line, self._load)
        return loaded

    @line_magic
    def models(self, line: str) -> None:
        """`%models`: your models that run, load or sleep, those of this notebook first."""
        _run(MODELS, line, self._list)

    @line_magic
    def stop_model(self, line: str) -> None:
        """`%stop_model ctpn`: stop a model of this notebook; alone, the only one; `--all` stops all."""
        _run(STOP, line, self._stop)

    @line_magic
    def sleep_model(self, line: str) -> None:
        """`%sleep_model ctpn`: free a model's memory until it is called again; `--all` for all of this notebook."""
        _run(SLEEP, line, self._sleep)

    @line_magic
    def model_logs(self, line: str) -> None:
        """`%model_logs ctpn`: the last lines that a model of this notebook printed."""
        _run(LOGS, line, self._logs)

    @line_magic
    def gpus(self, line: str) -> None:
        """`%gpus`: the GPUs of this machine, and who holds their memory."""
        _run(GPUS, line, self._gpus)

    @line_magic
    def gpu_dashboard(self, line: str) -> Dashboard | None:
        """`%gpu_dashboard`: GPUs by holder and models with their work, live."""
        shown: Dashboard | None = _run(DASHBOARD, line, self._dashboard)
        return shown

    def _load(self, asked: Namespace) -> Model:
        from gpumodels.magics.loading import load  # noqa: PLC0415  the manager is imported when something is loaded

        return load(self.shell, asked, self._loaded_for)

    def _list(self, asked: Namespace) -> None:
        from gpumodels.instances import read_overview, this_process  # noqa: PLC0415
        from gpumodels.magics.listing import Listing  # noqa: PLC0415

        if not asked.silent:
            display(Listing(read_overview(measured=False), this_process()))  # type: ignore[no-untyped-call]

    def _stop(self, asked: Namespace) -> None:
        chosen = self._chosen(asked)
        said = [_stopped(model) for model in chosen]
        if not asked.silent:
            print(f"stopped {', '.join(said)}" if said else "nothing was running")  # noqa: T201

    def _sleep(self, asked: Namespace) -> None:
        chosen = self._chosen(asked)
        for model in chosen:
            model.sleep()
        if not asked.silent:
            print("\n".join(map(_slept, chosen)) or "nothing was running")  # noqa: T201

    def _chosen(self, asked: Namespace) -> list[Model]:
        from gpumodels.instances import choose  # noqa: PLC0415

        return choose(self._instance(asked.model, alive=True), everything=asked.everything)

    def _logs(self, asked: Namespace) -> None:
        from gpumodels.instances import handles  # noqa: PLC0415

        chosen = self._instance(asked.model, alive=False)
        known = handles()
        found = [model for model in known if (model.alive if chosen is None else model.is_called(chosen))]
        found = found or (known[-1:] if chosen is None else [])  # none runs: the last one may tell why
        if not found:
            which = f"No model {asked.model!r}" if asked.model else "No model"
            raise ModelNotFound(f"{which} was loaded by this notebook.")
        for model in found:
            if len(found) > 1:
                print(f"{model.name} ({model.record.id}):")  # noqa: T201
            print(model.logs())  # noqa: T201

    def _gpus(self, asked: Namespace) -> None:
        from gpumodels.instances import usage  # noqa: PLC0415
        from gpumodels.magics.gpus import Gpus  # noqa: PLC0415

        if not asked.silent:
            display(Gpus(usage()))  # type: ignore[no-untyped-call]

    def _dashboard(self, asked: Namespace) -> Dashboard | None:
        from gpumodels.widgets import gpu_dashboard  # noqa: PLC0415

        return None if asked.silent else gpu_dashboard()

    def _instance(self, name: str | None, *, alive: bool) -> str | None:
        """The instance in the variable of that name; else the name itself, which then is a model's."""
        from gpumodels.magics.binding import handle  # noqa: PLC0415

        held = handle(self.shell, name) if name else None
        return name if held is None or (alive and not held.alive and not held.asleep) else held.record.id


def _stopped(model: Model) -> str:
    """Stop it; what is said of it."""
    slept = model.asleep
    model.stop("this notebook")
    gain = _OTHERS if model.was_shared and not slept else model.freed.summary if model.freed else ""
    return f"{model.name} ({gain})" if gain else model.name


def _slept(model: Model) -> str:
    return f"{model.name} is {model.freed}" + (f" here; {_OTHERS}" if model.was_shared else "")


def _run(arguments: Arguments, line: str, action: Callable[[Namespace], Any]) -> Any:
    """Run a magic: a user's mistake fails the cell with one line."""
    try:
        return action(arguments.read(line))
    except HelpShown:
        return None
    except GpumodelsError as error:
        text = f"{type(error).__name__}: {error}"
        # IPython asks an exception how it wants to be shown. The cell fails all the same, and so does a run of cells.
        error.__dict__["_render_traceback_"] = lambda: [text]
        raise
