"""The magics. Each reads its line, acts, and displays the result."""

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

#: The text for a model that this notebook stopped or put to sleep while others use it.
_OTHERS = "other notebooks or programs still use it"

COMMANDS = ("load_model", "models", "stop_model", "sleep_model", "model_logs", "gpus", "gpu_dashboard")


@magics_class
class ModelMagics(Magics):
    """The magics of one shell."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        #: The model that was loaded last for each variable. `%reset` deletes variables. If a cell runs again after it,
        #: the cell's model is found here.
        self._loaded_for: dict[str, Model] = {}

    @line_magic
    def load_model(self, line: str) -> Model | None:
        """Load a model and bind it to its name and to `model`.

        The cell shows the progress of the load. A variable that holds something other than a model is not
        overwritten. Running the same line again keeps the model. Running it with other options replaces the model.

        `{name}` and `$name` expand to Python values. With a `;` at the end of the line nothing is shown.

        Parameters
        ----------
        {arguments}

        Returns
        -------
        Model
            The handle. `m = %load_model ctpn` binds it to `m` too.

        Raises
        ------
        UsageError
            The line has a mistake.
        LoadRefused, SettingsError, ModelNotFound, ModelFolderError
            An option or a setting is invalid, or there is no such model.
        DeviceError
            There is no such GPU, or none has room.
        EngineError, WeightsError
            The engine cannot run the model, or its weights cannot be fetched.
        LoadFailed, LoadTimeout, LoadCancelled
            The model did not become ready.

        Examples
        --------
        >>> %load_model ctpn --gpu 0
        >>> boxes, scores = model("page.png")

        >>> %load_model ./my_model --as mine --idle 10m

        """
        loaded: Model | None = _run(LOAD, line, self._load)
        return loaded

    load_model.__doc__ = (load_model.__doc__ or "").replace("        {arguments}\n", LOAD.parameters_section())

    @line_magic
    def models(self, line: str) -> None:
        """List your models that run, load or sleep, those of this notebook first.

        Examples
        --------
        >>> %models

        """
        _run(MODELS, line, self._list)

    @line_magic
    def stop_model(self, line: str) -> None:
        """Stop a model of this notebook and free its memory.

        If other notebooks or programs use the model too, it goes on running for them.

        Parameters
        ----------
        NAME
            A model's name, or the variable that holds it. The default is the only model of this notebook.
        --all
            Stop every model of this notebook.

        Raises
        ------
        ModelNotFound
            No model of this notebook has that name, or several run and none is named.

        Examples
        --------
        >>> %stop_model ctpn
        >>> %stop_model --all

        """
        _run(STOP, line, self._stop)

    @line_magic
    def sleep_model(self, line: str) -> None:
        """Free a model's memory until it is called again. The next call wakes it.

        If other notebooks or programs use the model too, it goes on running for them.

        Parameters
        ----------
        NAME
            A model's name, or the variable that holds it. The default is the only model of this notebook.
        --all
            Put every model of this notebook to sleep.

        Raises
        ------
        ModelNotFound
            No model of this notebook has that name, or several run and none is named.

        Examples
        --------
        >>> %sleep_model ctpn

        """
        _run(SLEEP, line, self._sleep)

    @line_magic
    def model_logs(self, line: str) -> None:
        """Print the last 40 lines of the output of a model of this notebook. The model may have ended.

        Parameters
        ----------
        NAME
            A model's name, or the variable that holds it. The default is every model that runs, or the model that was
            loaded last if none runs.

        Raises
        ------
        ModelNotFound
            This notebook has loaded no such model.

        Examples
        --------
        >>> %model_logs ctpn

        """
        _run(LOGS, line, self._logs)

    @line_magic
    def gpus(self, line: str) -> None:
        """Show the GPUs, and the holders of their memory.

        Examples
        --------
        >>> %gpus

        """
        _run(GPUS, line, self._gpus)

    @line_magic
    def gpu_dashboard(self, line: str) -> Dashboard | None:
        """Show GPUs and models, live, with buttons to wake, put to sleep and stop models.

        Returns
        -------
        Dashboard
            The widget. It refreshes only while it is on screen.

        Examples
        --------
        >>> %gpu_dashboard

        """
        shown: Dashboard | None = _run(DASHBOARD, line, self._dashboard)
        return shown

    def _load(self, asked: Namespace) -> Model:
        from gpumodels.magics.loading import load  # noqa: PLC0415  (imported by the first load)

        return load(self.shell, asked, self._loaded_for)

    def _list(self, asked: Namespace) -> None:
        from gpumodels.instances import read_overview, this_process  # noqa: PLC0415
        from gpumodels.magics.listing import Listing  # noqa: PLC0415

        if not asked.silent:
            display(Listing(read_overview(measured=False), this_process()))  # type: ignore[no-untyped-call]

    def _stop(self, asked: Namespace) -> None:
        chosen = self._chosen(asked)
        stopped = [_stop(model) for model in chosen]
        if not asked.silent:
            print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")  # noqa: T201

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
        found = found or (known[-1:] if chosen is None else [])  # none runs: the log of the last one may show why
        if not found:
            which = f"No model {asked.model!r}" if asked.model else "No model"
            raise ModelNotFound(f"{which} was loaded by this notebook.")
        for model in found:
            if len(found) > 1:
                print(f"{model.name} ({model.record.id}):")  # noqa: T201
            print(model.logs())  # noqa: T201

    def _gpus(self, asked: Namespace) -> None:
        from gpumodels.instances import usage  # noqa: PLC0415
        from gpumodels.magics.listing import Gpus  # noqa: PLC0415

        if not asked.silent:
            display(Gpus(usage()))  # type: ignore[no-untyped-call]

    def _dashboard(self, asked: Namespace) -> Dashboard | None:
        from gpumodels.widgets import gpu_dashboard  # noqa: PLC0415

        return None if asked.silent else gpu_dashboard()

    def _instance(self, name: str | None, *, alive: bool) -> str | None:
        """Return the instance id of the model in the variable `name`, or `name` itself if the variable holds no model.

        With `alive`, a variable with a model that has ended counts as one that holds no model.
        """
        from gpumodels.magics.binding import handle  # noqa: PLC0415

        held = handle(self.shell, name) if name else None
        return name if held is None or (alive and not held.alive and not held.asleep) else held.record.id


def _stop(model: Model) -> str:
    """Stop a model. Return the text that names it and the memory that it freed."""
    slept = model.asleep
    model.stop("this notebook")
    gain = _OTHERS if model.was_shared and not slept else model.freed.summary if model.freed else ""
    return f"{model.name} ({gain})" if gain else model.name


def _slept(model: Model) -> str:
    return f"{model.name} is {model.freed}" + (f" here; {_OTHERS}" if model.was_shared else "")


def _run(arguments: Arguments, line: str, action: Callable[[Namespace], Any]) -> Any:
    """Call `action` with the arguments in `line`, and return its result; None if the line asks for the help.

    An error of this package is shown as one line, without a traceback. The cell still fails.
    """
    try:
        return action(arguments.read(line))
    except HelpShown:
        return None
    except GpumodelsError as error:
        text = f"{type(error).__name__}: {error}"
        # IPython calls this method of an exception to show it. The cell still fails, and so does "Run All".
        error.__dict__["_render_traceback_"] = lambda: [text]
        raise
