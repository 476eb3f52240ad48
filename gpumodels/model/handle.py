"""`Model`: call it, look at it, stop it."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, NoReturn, Self

from gpumodels.client import Ticket
from gpumodels.errors import CallError, ModelGone
from gpumodels.model import description
from gpumodels.model.futures import Callers, awaited
from gpumodels.model.progress import Bar
from gpumodels.model.several import checked, in_order, in_order_async, length
from gpumodels.model.told import told, told_each
from gpumodels.model.waking import Waking

if TYPE_CHECKING:
    import inspect
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.futures import CallFuture
    from gpumodels.model.nap import Nap
    from gpumodels.model.stay import Stay
    from gpumodels.signature import Signature

#: How many calls of a `map` are under way at once.
CONCURRENCY = 4


class Model:
    """A loaded model. Call it with its inputs; `stop()` ends it; as a context manager it stops at the end.

    Dropping the variable stops nothing: a model lives until it is stopped or its notebook's kernel ends. One that
    nobody called for long may sleep: its GPU memory is free, and the next call wakes it.
    """

    def __init__(self, stay: Stay, again: Callable[[Model, Ticket, Any], None]) -> None:
        """`again` loads the model once more when it slept, and has it `continue_on` that.

        It is given the ticket of the call that wakes the model, and where to report, or None.
        """
        self._again = again
        self._pid = os.getpid()
        self._callers = Callers()
        self._waking = Waking()
        #: What was asked for, to compare with what is asked for next, and by which words, to ask for it again.
        self.request: object = None
        self.asked: object = None
        self._begin(stay)

    def _begin(self, stay: Stay) -> None:
        self._stay = stay
        self.__doc__ = description.docstring(self.record.model, self.record.device, self.signature)
        self.__signature__: inspect.Signature = description.call_signature(self.signature)

    @property
    def record(self) -> InstanceRecord:
        """What is known of the instance: id, engine, devices, owner."""
        return self._stay.record

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return self._stay.signature

    @property
    def load_seconds(self) -> float:
        """How long the load took, in seconds."""
        return self._stay.seconds

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it answers others' clients; None where it was not asked to."""
        return self._stay.endpoint

    @property
    def name(self) -> str:
        return self.record.model

    def is_called(self, name: str) -> bool:
        """Whether `name` is the model's name or this instance's id."""
        return name in (self.name, self.record.id)

    @property
    def alive(self) -> bool:
        """Whether it runs and can be called."""
        return self._stay.alive

    @property
    def asleep(self) -> bool:
        """Whether it gave its memory back and wakes with the next call."""
        return self._stay.gone is None and self._stay.nap is not None

    @property
    def was_shared(self) -> bool:
        """Whether another notebook used it as well when it fell asleep."""
        return self._stay.was_shared

    @property
    def nap(self) -> Nap | None:
        """Since when it sleeps, or is stopped, and what that freed; None while it runs."""
        return self._stay.nap

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
        return self._ask("call", inputs, named, timeout)

    @told
    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, drawn where it can be drawn."""
        from IPython.display import display  # noqa: PLC0415

        display(*self._each("results", inputs, named, timeout))  # type: ignore[no-untyped-call]

    def stream(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Iterator[Any]:
        """Call a model whose `predict` yields: each answer as it comes. Of any other model it is the one answer.

        `timeout` is for all of them together. Leaving the iterator early ends the call in the model server.
        """
        return told_each(self._each("stream", inputs, named, timeout))

    def submit(self, *inputs: Any, timeout: float | None = None, **named: Any) -> CallFuture:
        """Begin a call and return at once, with a `concurrent.futures.Future`.

        `cancel()` ends the call also while it runs; so does the stop button while `result()` waits. Inputs are not
        copied: leave arrays as they are until the call is over.
        """
        return self._callers.submit(lambda ticket: self._ask("call", inputs, named, timeout, ticket=ticket))

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
        bar = Bar(self.name, length(iterables), wanted=progress)
        return told_each(in_order(submit, iterables, checked(concurrency, self.name), bar))

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
        bar = Bar(self.name, length((items,)), wanted=progress)
        return in_order_async(submit, items, checked(concurrency, self.name), bar)

    @told
    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """An array of zeros for the input `name`, in memory that the model server sees too.

        Fill it and call with it, or with a contiguous part of it: nothing is copied. `dtype` is needed where the model
        declares none. Do not change it while a call runs; a forked child shares it. Raises InputError, and CallError
        where there is no memory for it.
        """
        self._wake_up()
        return self._stay.client.empty(name, shape, dtype)

    def _ask(self, way: str, *arguments: Any, **options: Any) -> Any:
        while True:
            self._wake_up(options.get("ticket"))
            stay = self._stay
            try:
                return getattr(stay.client, way)(*arguments, **options)
            except ModelGone:
                self.let_go()
            if not self._slept_before_the_call(stay):
                raise self._why_gone()

    def _each(self, way: str, *arguments: Any) -> Iterator[Any]:
        answered = False
        while True:
            self._wake_up()
            stay = self._stay
            try:
                for answer in getattr(stay.client, way)(*arguments):
                    answered = True
                    yield answer
            except ModelGone:
                self.let_go()
            else:
                return
            if answered and self.mine and stay.alive:
                raise CallError(
                    f"{self.name} gave this stream up: it was not read for a while and other calls waited. Read it "
                    "as it comes, or collect it with list()."
                )
            if answered or not self._slept_before_the_call(stay):
                raise self._why_gone()

    def _slept_before_the_call(self, stay: Stay) -> bool:
        """Whether a call that found nobody may be made once more, on what is loaded again."""
        return self.mine and stay.nap is not None and stay.gone is None

    def _why_gone(self) -> ModelGone:
        gone = self._stay.gone
        if gone is not None:
            return type(gone)(*gone.args)  # anew: raising one error twice would grow its traceback
        if not self.mine:
            return ModelGone(
                f"The model server of {self.name} is gone: it ended with the process that loaded it, or sleeps until "
                "that one calls it."
            )
        return ModelGone(f"The model server of {self.name} lives but does not answer. `%stop_model` ends it.")

    def let_go(self) -> None:
        """Remove what is left of a model that died or was stopped elsewhere; a living one is not touched."""
        if self.mine:
            self._stay.let_go()

    @told
    def sleep(self) -> Nap | None:
        """Give the GPU's memory back now, when no call runs any more; the next call wakes the model.

        Returns what was freed. One that another notebook uses as well goes on there.
        """
        if self.mine and self._stay.gone is None and self._stay.nap is None:
            self._stay.sleep()
        return self.nap

    @told
    def wake(self, report: Any = None) -> None:
        """Load it again now, if it sleeps: as it was asked for at first. Raises what a load raises; it then sleeps on.

        Whoever calls meanwhile waits for this one start. `report`: where to show it, by default where calls do.
        """
        self._wake_up(report=report)

    def _wake_up(self, ticket: Ticket | None = None, report: Any = None) -> None:
        if self._stay.gone is not None:
            raise self._why_gone()
        if self.asleep and self.mine:
            ticket = ticket or Ticket()
            self._waking.once(lambda: self.asleep, functools.partial(self._again, self, ticket, report), ticket)

    def continue_on(self, stay: Stay) -> None:
        """Be what was loaded again; raises ModelStopped where it was stopped meanwhile."""
        if self._stay.gone is not None:
            raise self._why_gone()
        self._begin(stay)

    def logs(self, lines: int = 40) -> str:
        """The last lines of what the model server printed; of a dead one, those that were there when it was met."""
        return self._stay.logs(lines)

    def stop(self, by: str = "") -> None:
        """End the model and free its memory. Stopping twice, or in a forked child, does nothing.

        `by` says who does, by default this notebook or program. One that another notebook uses as well goes on there.
        """
        if self.mine and self._stay.gone is None:
            self._stay.stop(by or ("this notebook" if self.record.owner.kernel_id else "this program"))
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
        if not self.alive and not self.asleep:
            self.let_go()  # it may have fallen asleep just now
        state = str(self.nap) if self.asleep else "ready" if self.alive else "stopped"
        return f"<Model {self.name} on {self.record.device}, {self.record.engine}, {state}>"
