"""`Model`: call it, look at it, stop it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

from gpumodels.errors import CallError, ModelGone, ModelStopped
from gpumodels.model import description

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

    from gpumodels.client import Client
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.hold import Hold
    from gpumodels.signature import Signature


class Model:
    """A loaded model. Call it with its inputs; `stop()` ends it; as a context manager it stops at the end.

    Dropping the variable stops nothing: a model lives until it is stopped or its notebook's kernel ends.
    """

    def __init__(self, hold: Hold, client: Client, signature: Signature, seconds: float) -> None:
        self._hold = hold
        self._client = client
        self._pid = os.getpid()
        self._gone: ModelGone | None = None
        self._last_lines = ""
        #: What was asked for, to compare with what is asked for next.
        self.request: object = None
        #: Where it answers others' clients; None where it was not asked to.
        self.endpoint: Endpoint | None = None
        #: What the model takes and gives.
        self.signature = signature
        #: How long the load took, in seconds.
        self.load_seconds = seconds
        self.__doc__ = description.docstring(self.record.model, self.record.device, signature)
        self.__signature__: inspect.Signature = description.call_signature(signature)

    @property
    def record(self) -> InstanceRecord:
        """What is known of the instance: id, engine, devices, owner."""
        return self._hold.record

    @property
    def name(self) -> str:
        return self.record.model

    def is_called(self, name: str) -> bool:
        """Whether `name` is the model's name or this instance's id."""
        return name in (self.name, self.record.id)

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self._gone is None and self._hold.alive

    @property
    def mine(self) -> bool:
        """Whether this very process loaded it, and not one that this is a fork of."""
        return os.getpid() == self._pid

    def __call__(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        """Call the model with its inputs, by position or by name.

        One output comes as an array (or text, or plain JSON values), several as a `Result`. Arrays are the caller's
        own. `timeout` is in seconds. Raises InputError, ModelCallError (with the remote traceback), CallTimeout,
        ModelStopped, ModelGone.
        """
        return self._ask(self._client.call, inputs, named, timeout)

    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, drawn where it can be drawn."""
        from IPython.display import display  # noqa: PLC0415

        results = self._ask(lambda *call: list(self._client.results(*call)), inputs, named, timeout)
        display(*results)  # type: ignore[no-untyped-call]

    def _ask(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        if os.getpid() != self._pid:
            raise CallError(f"{self.name} was loaded by another process; load it in this one as well.")
        if self._gone is None:
            try:
                return ask(*arguments)
            except ModelGone:
                self.let_go()
        if self._gone is None:
            raise ModelGone(f"The model server of {self.name} lives but does not answer. `%stop_model` ends it.")
        raise type(self._gone)(*self._gone.args)  # anew: raising one error twice would grow its traceback

    def let_go(self) -> None:
        """Remove what is left of a model that died or was stopped elsewhere; a living one is not touched."""
        if os.getpid() == self._pid and self._gone is None and (found := self._hold.gone()) is not None:
            self._gone, self._last_lines = found
            self._client.close()

    def logs(self, lines: int = 40) -> str:
        """The last lines of what the model server printed; of a dead one, those that were there when it was met."""
        if self._gone is None:
            return self._hold.instance.logs(lines)
        return "\n".join(self._last_lines.splitlines()[-lines:])

    def stop(self, by: str = "") -> None:
        """End the model and free its memory. Stopping twice, or in a forked child, does nothing.

        `by` says who does, by default this notebook or program.
        """
        by = by or ("this notebook" if self.record.owner.kernel_id else "this program")
        if os.getpid() != self._pid or self._gone is not None:
            return
        self._last_lines = self._hold.instance.logs()
        self._gone = ModelStopped(
            f"{self.name} was stopped from {by} at {time.strftime('%H:%M')}. "
            f"Load it again with {self.record.load_line}."
        )
        self._client.close()
        self._hold.end(by)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "ready" if self.alive else "stopped"
        return f"<Model {self.name} on {self.record.device}, {self.record.engine}, {state}>"
