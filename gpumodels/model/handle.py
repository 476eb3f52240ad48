"""`Model`: call it, look at it, stop it."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from gpumodels.client import Ticket
from gpumodels.model import description
from gpumodels.model.futures import Callers, awaited
from gpumodels.model.nap import together
from gpumodels.model.progress import Bar
from gpumodels.model.replicas import Replicas
from gpumodels.model.several import checked, in_order, in_order_async, length
from gpumodels.model.told import told, told_each

if TYPE_CHECKING:
    import inspect
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.futures import CallFuture
    from gpumodels.model.nap import Nap
    from gpumodels.model.replica import Replica
    from gpumodels.model.stay import Stay
    from gpumodels.signature import Signature

#: How many calls of a `map` are under way at once, for each replica.
CONCURRENCY = 4


class Model:
    """A loaded model. Call it with its inputs; `stop()` ends it; as a context manager it stops at the end.

    Dropping the variable stops nothing: a model lives until it is stopped or its notebook's kernel ends. One that
    nobody called for long may sleep: its GPU memory is free, and the next call wakes it.
    """

    def __init__(self, stays: Sequence[Stay], again: Callable[[Model, Replica, Ticket, Any, bool], None]) -> None:
        """`again` loads a replica once more, when it slept or died, and has the model `continue_on` that.

        It is given the ticket of the call that wants it, where to report, or None, and whether to say nothing.
        """
        self._callers = Callers()
        me = weakref.ref(self)  # a cycle would leave connections to the collector, once nobody has the model any more
        self._replicas = Replicas(stays, lambda *given: again(cast("Model", me()), *given))
        #: What was asked for, to compare with what is asked for next, and by which words, to ask for it again.
        self.request: object = None
        self.asked: object = None
        self._describe()

    def _describe(self) -> None:
        self.__doc__ = description.docstring(self.name, self.device, self.signature)
        self.__signature__: inspect.Signature = description.call_signature(self.signature)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """What stands behind it: one, or as many as were asked for."""
        return self._replicas.all

    @property
    def _stay(self) -> Stay:
        return self._replicas.first.stay

    @property
    def record(self) -> InstanceRecord:
        """What is known of the instance: id, engine, devices, owner. Of replicas, the first that can be called."""
        return self._stay.record

    @property
    def device(self) -> str:
        """Where it runs, for display: "GPU 0", or "GPU 0, GPU 1" of replicas."""
        return ", ".join(dict.fromkeys(each.record.device for each in self.replicas))

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
        """Whether `name` is the model's name or the id of an instance of it."""
        return name == self.name or any(name == each.record.id for each in self.replicas)

    @property
    def alive(self) -> bool:
        """Whether it runs and can be called."""
        return self._replicas.alive

    @property
    def asleep(self) -> bool:
        """Whether it gave its memory back and wakes with the next call."""
        return self._replicas.asleep

    @property
    def was_shared(self) -> bool:
        """Whether another notebook used it as well when it fell asleep."""
        return any(each.stay.was_shared for each in self.replicas)

    @property
    def nap(self) -> Nap | None:
        """Since when it sleeps, or is stopped, and what that freed; None while it runs."""
        return None if self.alive else together([each.nap for each in self.replicas])

    @property
    def mine(self) -> bool:
        """Whether this very process loaded it, and not one that this is a fork of."""
        return self._replicas.revival.mine

    @told
    def __call__(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        """Call the model with its inputs, by position or by name.

        One output comes as an array (or text, or plain JSON values), several as a `Result`; of a model that streams,
        the list of all its answers. Arrays are the caller's own. `timeout` is in seconds. Raises InputError,
        ModelCallError (with the remote traceback), CallTimeout, ModelStopped, ModelGone.
        """
        return self._replicas.ask("call", inputs, named, timeout)

    @told
    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, drawn where it can be drawn."""
        from IPython.display import display  # noqa: PLC0415

        display(*self._replicas.each("results", inputs, named, timeout))  # type: ignore[no-untyped-call]

    def stream(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Iterator[Any]:
        """Call a model whose `predict` yields: each answer as it comes. Of any other model it is the one answer.

        `timeout` is for all of them together. Leaving the iterator early ends the call in the model server.
        """
        return told_each(self._replicas.each("stream", inputs, named, timeout))

    def submit(self, *inputs: Any, timeout: float | None = None, **named: Any) -> CallFuture:
        """Begin a call and return at once, with a `concurrent.futures.Future`.

        `cancel()` ends the call also while it runs; so does the stop button while `result()` waits. Inputs are not
        copied: leave arrays as they are until the call is over.
        """
        return self._callers.submit(lambda ticket: self._replicas.ask("call", inputs, named, timeout, ticket=ticket))

    async def acall(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:  # noqa: ASYNC109 (as in a call)
        """`await` a call while the event loop goes on; cancelling the task ends the call in the model server."""
        return await awaited(self.submit(*inputs, timeout=timeout, **named))

    @told
    def map(
        self,
        *iterables: Iterable[Any],
        concurrency: int | None = None,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> Iterator[Any]:
        """The results of a call for each item, in order, as they are asked for; several iterables as Python's `map`.

        So many calls are under way at once, 4 for each replica; a model server runs them one at a time, and meanwhile
        the others' inputs are made ready. `timeout` is for each call, `named` inputs are the same for all. Work of more
        than two seconds shows a bar. An error is raised in its place; that, the stop button and leaving early end the
        calls under way.
        """
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, length(iterables), wanted=progress)
        return told_each(in_order(submit, iterables, self._concurrency(concurrency), bar))

    @told
    def amap(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int | None = None,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> AsyncIterator[Any]:
        """As `map`, for `async for`, over an iterable of either kind."""
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, length((items,)), wanted=progress)
        return in_order_async(submit, items, self._concurrency(concurrency), bar)

    def _concurrency(self, asked: int | None) -> int:
        return CONCURRENCY * len(self.replicas) if asked is None else checked(asked, self.name)

    @told
    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """An array of zeros for the input `name`, in memory that the model server sees too.

        Fill it and call with it, or with a contiguous part of it: nothing is copied. `dtype` is needed where the model
        declares none. Do not change it while a call runs; a forked child shares it. Raises InputError, and CallError
        where there is no memory for it.
        """
        array: NDArray[Any] = self._replicas.ask("empty", name, shape, dtype)
        return array

    def let_go(self) -> None:
        """Remove what is left of a model that died or was stopped elsewhere; a living one is not touched."""
        self._replicas.revival.let_go()

    @told
    def sleep(self) -> Nap | None:
        """Give the GPU's memory back now, when no call runs any more; the next call wakes the model.

        Returns what was freed. One that another notebook uses as well goes on there.
        """
        if self.mine:
            self._replicas.sleep()
        return self.nap

    @told
    def wake(self, report: Any = None) -> None:
        """Load it again now, if it sleeps: as it was asked for at first. Raises what a load raises; it then sleeps on.

        Whoever calls meanwhile waits for this one start. `report`: where to show it, by default where calls do.
        """
        self._replicas.revival.wake(Ticket(), report)

    def continue_on(self, replica: Replica, stay: Stay) -> None:
        """Have what was loaded again in the place of `replica`; raises ModelStopped where it was stopped meanwhile."""
        self._replicas.revival.continue_on(replica, stay)
        self._describe()

    def logs(self, lines: int = 40) -> str:
        """The last lines of what the model server printed; of a dead one, those that were there when it was met."""
        told = [(each.record, each.stay.logs(lines)) for each in self.replicas]
        return (
            told[0][1] if len(told) == 1 else "\n".join(f"{record.id}, {record.device}:\n{log}" for record, log in told)
        )

    def stop(self, by: str = "") -> None:
        """End the model and free its memory. Stopping twice, or in a forked child, does nothing.

        `by` says who does, by default this notebook or program. One that another notebook uses as well goes on there.
        """
        if self.mine and (self.alive or any(each.stay.gone is None for each in self.replicas)):
            self._replicas.stop(by or ("this notebook" if self.record.owner.kernel_id else "this program"))
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
        several = f", {len(self.replicas)} replicas" if len(self.replicas) > 1 else ""
        return f"<Model {self.name}{several} on {self.device}, {self.record.engine}, {self.state}>"

    @property
    def state(self) -> str:
        """For display: "ready", "asleep since 14:03, 2.1 GiB on GPU 0 freed", "1 of 2 ready, ..."."""
        return str(self.nap) if self.asleep else self._replicas.state
