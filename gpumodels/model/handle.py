"""`Model`: call it, look at it, stop it."""

from __future__ import annotations

import functools
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, Self

from gpumodels.errors import CallError, InputError, ModelGone, ModelStopped
from gpumodels.model import description
from gpumodels.model.futures import Callers, awaited
from gpumodels.model.progress import Bar
from gpumodels.model.several import in_order, in_order_async
from gpumodels.model.told import told, told_each

if TYPE_CHECKING:
    import inspect
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from gpumodels.client import Client
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.futures import CallFuture
    from gpumodels.model.hold import Hold
    from gpumodels.signature import Signature

#: How many calls of a `map` are under way at once.
CONCURRENCY = 4


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
        self._callers = Callers()
        self._letting_go = threading.Lock()
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

    @told
    def __call__(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        """Call the model with its inputs, by position or by name.

        One output comes as an array (or text, or plain JSON values), several as a `Result`; of a model that streams,
        the list of all its answers. Arrays are the caller's own. `timeout` is in seconds. Raises InputError,
        ModelCallError (with the remote traceback), CallTimeout, ModelStopped, ModelGone.
        """
        return self._ask(self._client.call, inputs, named, timeout)

    @told
    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, drawn where it can be drawn."""
        from IPython.display import display  # noqa: PLC0415

        display(*self._ask(self._client.results, inputs, named, timeout))  # type: ignore[no-untyped-call]

    def stream(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Iterator[Any]:
        """Call a model whose `predict` yields: each answer as it comes. Of any other model it is the one answer.

        `timeout` is for all of them together. Leaving the iterator early ends the call in the model server.
        """
        return told_each(self._each(self._client.stream, inputs, named, timeout))

    def submit(self, *inputs: Any, timeout: float | None = None, **named: Any) -> CallFuture:
        """Begin a call and return at once, with a `concurrent.futures.Future`.

        `cancel()` ends the call also while it runs; so does the stop button while `result()` waits. Inputs are not
        copied: leave arrays as they are until the call is over.
        """
        return self._callers.submit(
            lambda ticket: self._ask(functools.partial(self._client.call, ticket=ticket), inputs, named, timeout)
        )

    async def acall(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:  # noqa: ASYNC109 (as in a call)
        """`await` a call while the event loop goes on; cancelling the task ends the call in the model server."""
        return await awaited(self.submit(*inputs, timeout=timeout, **named))

    @told
    def map(
        self,
        *iterables: Iterable[Any],
        concurrency: int = CONCURRENCY,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> Iterator[Any]:
        """The results of a call for each item, in order, as they are asked for; several iterables as Python's `map`.

        So many calls are under way at once; a model server runs them one at a time, and meanwhile the others' inputs
        are made ready. `timeout` is for each call, `named` inputs are the same for all. Work of more than two seconds
        shows a bar. An error is raised in its place; that, the stop button and leaving early end the calls under way.
        """
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, _length(iterables), wanted=progress)
        return told_each(in_order(submit, iterables, self._concurrency(concurrency), bar))

    @told
    def amap(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = CONCURRENCY,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> AsyncIterator[Any]:
        """As `map`, for `async for`, over an iterable of either kind."""
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, _length((items,)), wanted=progress)
        return in_order_async(submit, items, self._concurrency(concurrency), bar)

    @told
    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """An array of zeros for the input `name`, in memory that the model server sees too.

        Fill it and call with it, or with a contiguous part of it: nothing is copied. `dtype` is needed where the model
        declares none. Do not change it while a call runs. Raises InputError, and CallError where there is no memory.
        """
        return self._client.empty(name, shape, dtype)

    def _concurrency(self, number: int) -> int:
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise InputError(f"{self.name}: concurrency must be a whole number above 0, not {number!r}")
        return number

    def _ask(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        if self._gone is None:
            try:
                return ask(*arguments)
            except ModelGone:
                self.let_go()
        raise self._why_gone()

    def _each(self, ask: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
        if self._gone is None:
            try:
                yield from ask(*arguments)
            except ModelGone:
                self.let_go()
                if self._gone is None and self.mine:
                    raise CallError(
                        f"{self.name} gave this stream up: it was not read for a while and other calls waited. Read it "
                        "as it comes, or collect it with list()."
                    ) from None
            else:
                return
        raise self._why_gone()

    def _why_gone(self) -> ModelGone:
        if self._gone is not None:
            return type(self._gone)(*self._gone.args)  # anew: raising one error twice would grow its traceback
        if not self.mine:
            return ModelGone(f"The model server of {self.name} is gone: it ended with the process that loaded it.")
        return ModelGone(f"The model server of {self.name} lives but does not answer. `%stop_model` ends it.")

    def let_go(self) -> None:
        """Remove what is left of a model that died or was stopped elsewhere; a living one is not touched."""
        if not self.mine:
            return
        with self._letting_go:
            if self._gone is None and (found := self._hold.gone()) is not None:
                self._gone, self._last_lines = found
                self._close()

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
        if not self.mine or self._gone is not None:
            return
        self._last_lines = self._hold.instance.logs()
        self._gone = ModelStopped(
            f"{self.name} was stopped from {by} at {time.strftime('%H:%M')}. "
            f"Load it again with {self.record.load_line}."
        )
        self._close()
        self._hold.end(by)

    def _close(self) -> None:
        self._client.close()
        self._callers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the model {self.name} cannot be sent to another process: a forked one (a multiprocessing pool of the "
            "fork kind) may call it, as a global variable; any other loads it itself"
        )

    def __repr__(self) -> str:
        state = "ready" if self.alive else "stopped"
        return f"<Model {self.name} on {self.record.device}, {self.record.engine}, {state}>"


def _length(iterables: tuple[Any, ...]) -> int | None:
    """How many calls a map will make, where that can be told."""
    return min(map(len, iterables)) if all(hasattr(each, "__len__") for each in iterables) else None
