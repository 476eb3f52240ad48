"""`Model`: the handle of a loaded model."""

from __future__ import annotations

import functools
import os
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from gpumodels.client import Ticket
from gpumodels.model import description
from gpumodels.model.calls import Bar, Callers, awaited, check_concurrency, in_order, in_order_async, length
from gpumodels.model.freed import total
from gpumodels.model.hide_frames import hide_frames, hide_frames_of_each
from gpumodels.model.replicas import Replicas

if TYPE_CHECKING:
    import inspect
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from gpumodels.lease import InstanceRecord
    from gpumodels.model.attachment import Attachment
    from gpumodels.model.calls import CallFuture
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.freed import FreedMemory
    from gpumodels.model.replica import Replica
    from gpumodels.model.report import Report
    from gpumodels.signature import Signature

#: Calls of a `map` in flight, for each replica.
CONCURRENCY = 4


class Origin(Protocol):
    """The request that a model was loaded with. It can load a replica of the model again."""

    def reload(
        self, model: Model, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool
    ) -> None:
        """Load the replica again and have the model `continue_on` it; see `restarts.Reload`."""


class Model:
    """A loaded model. Call it with its inputs.

    Dropping the variable stops nothing: a model lives until it is stopped or its notebook's kernel ends. A model that
    was not called for long may sleep: its GPU memory is free then, and the next call wakes it. As a context manager it
    stops at the end of the block.

    Examples
    --------
    >>> model = gpumodels.load("ctpn", gpu=0)
    >>> boxes, scores = model("page.png")
    >>> model.stop()

    """

    def __init__(self, attachments: Sequence[Attachment], origin: Origin) -> None:
        """Made by a load; one attachment for each replica."""
        #: The name of the model.
        self.name = attachments[0].record.model
        self.origin = origin
        self._callers = Callers()
        # A strong reference to itself would leave connections to the garbage collector when the model is dropped.
        self._replicas = Replicas(attachments, functools.partial(_reload, weakref.ref(self)))
        self._describe()

    def _describe(self) -> None:
        attachment = self.attachment
        self.__doc__ = description.docstring(self.name, self.device, attachment.signature)
        self.__signature__: inspect.Signature = description.call_signature(attachment.signature)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The instances behind the handle: one, or as many as were asked for."""
        return self._replicas.all

    @property
    def attachment(self) -> Attachment:
        """The connection to its instance; of several, the first that can be called."""
        return self._replicas.first.attachment

    @property
    def record(self) -> InstanceRecord:
        """The record of its instance: id, engine, devices, owner. Of several, the first that can be called."""
        return self.attachment.record

    @property
    def device(self) -> str:
        """The devices it runs on, for display: "GPU 0", "CPU", or "GPU 0, GPU 1" of replicas."""
        return ", ".join(dict.fromkeys(each.attachment.record.device for each in self._replicas.all))

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of the model."""
        return self.attachment.signature

    @property
    def load_seconds(self) -> float:
        """Seconds that the load took."""
        return self.attachment.seconds

    @property
    def endpoint(self) -> Endpoint | None:
        """The address for others' clients; None if the model was loaded without `serve`."""
        return self.attachment.endpoint

    def is_called(self, name: str) -> bool:
        """Return True if `name` is the model's name or the id of one of its instances."""
        return name == self.name or any(name == each.record.id for each in self.replicas)

    @property
    def alive(self) -> bool:
        """Whether it runs and can be called."""
        return self._replicas.alive

    @property
    def asleep(self) -> bool:
        """Whether it gave its memory back. The next call wakes it."""
        return self._replicas.asleep

    @property
    def over(self) -> bool:
        """Whether it neither runs nor sleeps: it was stopped, or it died."""
        return self._replicas.over

    @property
    def was_shared(self) -> bool:
        """Whether another notebook used it too when it fell asleep."""
        return any(each.attachment.was_shared for each in self.replicas)

    @property
    def freed(self) -> FreedMemory | None:
        """The memory it gave back, and since when it sleeps or is stopped; None while it runs."""
        return None if self.alive else total([each.freed for each in self.replicas])

    @property
    def mine(self) -> bool:
        """Whether this process loaded it; it may be a fork of the one that did."""
        return self._replicas.restarts.pid == os.getpid()

    @hide_frames
    def __call__(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        """Call the model with its inputs, by position or by name.

        Parameters
        ----------
        *inputs, **named
            The inputs that the model declares; `model?` lists them with dtypes and shapes.
        timeout : float, optional
            Seconds until the call is cancelled. The default is no limit.

        Returns
        -------
        numpy.ndarray, str, bytes, JSON value, Result or list
            One output as it is, several as a `Result`. A model that streams returns the list of all its answers.
            Arrays belong to the caller.

        Raises
        ------
        InputError
            The inputs do not fit what the model declares.
        ModelCallError
            The model's code raised; the error holds the remote traceback.
        CallTimeout
            The model gave no answer in time.
        ModelStopped, ModelGone
            The model was stopped, or its server died.

        """
        return self._replicas.ask(lambda client: client.call(inputs, named, timeout))

    @hide_frames
    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, as a picture if it can be drawn.

        Parameters and errors are those of a call.
        """
        from IPython.display import display  # noqa: PLC0415

        display(*self._replicas.each(lambda client: client.results(inputs, named, timeout)))  # type: ignore[no-untyped-call]

    def stream(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Iterator[Any]:
        """Call a model whose `predict` yields, and iterate over its answers as they come.

        Of any other model it is the one answer. Leaving the iterator early ends the call in the model server.

        Parameters
        ----------
        *inputs, **named
            The inputs that the model declares.
        timeout : float, optional
            Seconds for all answers together.

        """
        return hide_frames_of_each(self._replicas.each(lambda client: client.stream(inputs, named, timeout)))

    def submit(self, *inputs: Any, timeout: float | None = None, **named: Any) -> CallFuture:
        """Begin a call and return at once.

        Inputs are not copied: leave arrays unchanged until the call is over.

        Returns
        -------
        concurrent.futures.Future
            Its `cancel()` ends the call even while it runs. So does the stop button while `result()` waits.

        """
        return self._callers.submit(
            lambda ticket: self._replicas.ask(lambda client: client.call(inputs, named, timeout, ticket=ticket), ticket)
        )

    async def acall(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:  # noqa: ASYNC109 (as in a call)
        """Await a call while the event loop goes on. Cancelling the task ends the call in the model server.

        Parameters, result and errors are those of a call.
        """
        return await awaited(self.submit(*inputs, timeout=timeout, **named))

    @hide_frames
    def map(
        self,
        *iterables: Iterable[Any],
        concurrency: int | None = None,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> Iterator[Any]:
        """Call the model for each item and iterate over the results in order.

        A model server runs one call at a time; meanwhile the inputs of the others are made ready. An error is raised
        in its place. An error, the stop button and leaving early end the calls in flight.

        Parameters
        ----------
        *iterables
            Items of the first input; several iterables give several inputs, as Python's `map` does.
        concurrency : int, optional
            Calls in flight. The default is 4 for each replica.
        timeout : float, optional
            Seconds for each call.
        progress : bool
            Show a bar if the work takes more than two seconds.
        **named
            Inputs that are the same for all calls.

        """
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, length(iterables), wanted=progress)
        return hide_frames_of_each(in_order(submit, iterables, self._concurrency(concurrency), bar))

    @hide_frames
    def amap(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int | None = None,
        timeout: float | None = None,
        progress: bool = True,
        **named: Any,
    ) -> AsyncIterator[Any]:
        """Do the same for `async for`, over one iterable of either kind; see `map`."""
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, length((items,)), wanted=progress)
        return in_order_async(submit, items, self._concurrency(concurrency), bar)

    def _concurrency(self, given: int | None) -> int:
        return CONCURRENCY * len(self.replicas) if given is None else check_concurrency(given, self.name)

    @hide_frames
    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """Return an array of zeros for an input, in memory that the model server sees too.

        Fill it and call with it, or with a contiguous part of it: nothing is copied. Do not change it while a call
        runs. A forked child shares it.

        Parameters
        ----------
        name : str
            The input.
        shape : tuple of int
            The sizes of its dimensions.
        dtype : dtype, optional
            Needed if the model declares none.

        Raises
        ------
        InputError
            The model has no such input, or none of that dtype.
        CallError
            There is no memory for the array.

        """
        return self._replicas.ask(lambda client: client.empty(name, shape, dtype))

    def clean_up(self) -> None:
        """Remove what is left of a model that died or was stopped elsewhere. Do nothing if it lives."""
        self._replicas.restarts.clean_up()

    @hide_frames
    def sleep(self) -> FreedMemory | None:
        """Free the model's GPU memory as soon as no call runs. The next call wakes it.

        A model that another notebook uses as well goes on there.

        Returns
        -------
        FreedMemory or None
            What was freed.

        """
        if self.mine:
            self._replicas.sleep()
        return self.freed

    @hide_frames
    def wake(self, report: Report | None = None) -> None:
        """Load the model again now if it sleeps, with the options it was first loaded with.

        Calls that come meanwhile wait for it. If the load fails, its error is raised and the model sleeps on.

        Parameters
        ----------
        report : optional
            Where to show the load. The default is where calls show theirs.

        """
        self._replicas.restarts.wake(Ticket(), report)

    def continue_on(self, replica: Replica, attachment: Attachment) -> None:
        """Put what was loaded again in the place of `replica`. Raises ModelStopped if it was stopped meanwhile."""
        self._replicas.restarts.continue_on(replica, attachment)
        self._describe()

    def logs(self, lines: int = 40) -> str:
        """Return the last lines that the model server printed, also of a model that has ended.

        Parameters
        ----------
        lines : int
            How many, for each replica.

        """
        logs = [(each.record, each.attachment.logs(lines)) for each in self.replicas]
        if len(logs) == 1:
            return logs[0][1]
        return "\n".join(f"{record.id}, {record.device}:\n{log}" for record, log in logs)

    def stop(self, by: str = "") -> None:
        """End the model and free its memory.

        Stopping twice, or in a forked child, does nothing. A model that another notebook uses as well goes on there.

        Parameters
        ----------
        by : str
            Who stops it, for messages. The default is this notebook or program.

        """
        if self.mine and (self.alive or any(each.attachment.error is None for each in self.replicas)):
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
        if self.over:
            self.clean_up()  # it may have fallen asleep just now
        several = f", {len(self.replicas)} replicas" if len(self.replicas) > 1 else ""
        return f"<Model {self.name}{several} on {self.device}, {self.record.engine}, {self.state}>"

    @property
    def state(self) -> str:
        """The state for display: "ready", "asleep since 14:03, 2.1 GB on GPU 0 freed", "1 of 2 ready, ..."."""
        return str(self.freed) if self.asleep else self._replicas.state


def _reload(
    model: weakref.ref[Model], replica: Replica, ticket: Ticket, report: Report | None, *, background: bool
) -> None:
    if (found := model()) is not None:
        found.origin.reload(found, replica, ticket, report, background=background)
