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

#: The number of calls that `map` has in flight for each replica, by default.
CONCURRENCY = 4


class Origin(Protocol):
    """The request of the first load of a model. It can load a replica of the model again."""

    def reload(
        self, model: Model, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool
    ) -> None:
        """Load the replica again, and pass its new attachment to `model.continue_on`; see `restarts.Reload`."""


class Model:
    """A loaded model. Call it with its inputs.

    `gpumodels.load` and `gpumodels.attach` return models. A model lives until you stop it or the kernel of its notebook
    ends; deleting the variable does not stop it. A model that was not called for long may sleep: its GPU memory is free
    then, and the next call wakes it. If you use a model as a context manager, it is stopped at the end of the block.

    Attributes
    ----------
    name : str
        The name of the model.
    device : str
        The devices on which it runs, for display: "GPU 0", "CPU".
    alive, asleep : bool
        True if it can be called; True if it sleeps.
    signature : Signature
        Its inputs and outputs, with dtypes and shapes.
    record : InstanceRecord
        The record of its instance: id, engine, devices, owner.
    replicas : tuple of Replica
        The instances behind the handle.
    load_seconds : float
        The seconds that the load took.
    endpoint : Endpoint or None
        The address and token for other clients, if it was loaded with `serve`.
    freed : FreedMemory or None
        The GPU memory that it freed when it fell asleep or was stopped.

    Examples
    --------
    >>> model = gpumodels.load("ctpn", gpu=0)
    >>> boxes, scores = model("page.png")
    >>> model.stop()

    """

    def __init__(self, attachments: Sequence[Attachment], origin: Origin) -> None:
        """Create the handle of the instances in `attachments`, one for each replica. `origin` can load them again."""
        #: The name of the model.
        self.name = attachments[0].record.model
        self.origin = origin
        self._callers = Callers()
        # With a strong reference to itself, a deleted model would keep its connections until garbage is collected.
        self._replicas = Replicas(attachments, functools.partial(_reload, weakref.ref(self)))
        self._describe()

    def _describe(self) -> None:
        attachment = self.attachment
        self.__doc__ = description.docstring(self.name, self.device, attachment.signature)
        self.__signature__: inspect.Signature = description.call_signature(attachment.signature)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The replicas of the model: one, or as many as the load asked for with `replicas`."""
        return self._replicas.all

    @property
    def attachment(self) -> Attachment:
        """The attachment of the first replica that can be called, or of the first of all."""
        return self._replicas.first.attachment

    @property
    def record(self) -> InstanceRecord:
        """The record of the instance of `attachment`: its id, engine, devices and owner."""
        return self.attachment.record

    @property
    def device(self) -> str:
        """The devices of the model as text: "GPU 0", "CPU", or "GPU 0, GPU 1" if it has replicas."""
        return ", ".join(dict.fromkeys(each.attachment.record.device for each in self._replicas.all))

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of the model."""
        return self.attachment.signature

    @property
    def load_seconds(self) -> float:
        """The duration of the load in seconds."""
        return self.attachment.seconds

    @property
    def endpoint(self) -> Endpoint | None:
        """The address for other clients, and their token; None if the model was loaded without `serve`."""
        return self.attachment.endpoint

    def is_called(self, name: str) -> bool:
        """Return True if `name` is the model's name or the id of one of its instances."""
        return name == self.name or any(name == each.record.id for each in self.replicas)

    @property
    def alive(self) -> bool:
        """True if the model runs and can be called."""
        return self._replicas.alive

    @property
    def asleep(self) -> bool:
        """True if the model sleeps: its GPU memory is free, and the next call wakes it."""
        return self._replicas.asleep

    @property
    def over(self) -> bool:
        """True if the model was stopped or died, so that it neither runs nor sleeps."""
        return self._replicas.over

    @property
    def was_shared(self) -> bool:
        """True if another notebook used the model too when it fell asleep or was stopped here."""
        return any(each.attachment.was_shared for each in self.replicas)

    @property
    def freed(self) -> FreedMemory | None:
        """The freed GPU memory, and the moment at which the model fell asleep or was stopped; None while it runs."""
        return None if self.alive else total([each.freed for each in self.replicas])

    @property
    def mine(self) -> bool:
        """True in the process that loaded the model, False in a fork of it."""
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
            The value of a single output, or a `Result` of several outputs. A model that streams returns the list of
            all its answers. The caller owns the arrays and may change them.

        Raises
        ------
        InputError
            The inputs do not fit the model's declaration.
        ModelCallError
            The model's code raised an error; the message contains its traceback.
        CallTimeout
            The model gave no answer in time.
        ModelStopped, ModelGone
            The model was stopped, or its server died.

        """
        return self._replicas.ask(lambda client: client.call(inputs, named, timeout))

    @hide_frames
    def show(self, *inputs: Any, timeout: float | None = None, **named: Any) -> None:
        """Call the model and display the result, as a picture if it can be drawn.

        Parameters
        ----------
        *inputs, **named, timeout
            The same as for a call, `model(...)`. The errors are the same too.

        """
        from IPython.display import display  # noqa: PLC0415

        display(*self._replicas.each(lambda client: client.results(inputs, named, timeout)))  # type: ignore[no-untyped-call]

    def stream(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Iterator[Any]:
        """Call a model that streams, and iterate over its answers as they come.

        A model streams if its `predict` yields; any other model gives one answer. If you leave the iterator early, the
        call ends in the model server.

        Parameters
        ----------
        *inputs, **named
            The inputs that the model declares.
        timeout : float, optional
            Seconds for all answers together. The default is no limit.

        Yields
        ------
        numpy.ndarray, str, bytes, JSON value or Result
            One answer. The errors are those of a call.

        """
        return hide_frames_of_each(self._replicas.each(lambda client: client.stream(inputs, named, timeout)))

    def submit(self, *inputs: Any, timeout: float | None = None, **named: Any) -> CallFuture:
        """Begin a call and return at once.

        Inputs are not copied: leave arrays unchanged until the call is over.

        Parameters
        ----------
        *inputs, **named, timeout
            The same as for a call, `model(...)`.

        Returns
        -------
        concurrent.futures.Future
            The future of the call. Its `cancel()` ends the call even while it runs. So does the stop button while
            `result()` waits.

        """
        return self._callers.submit(
            lambda ticket: self._replicas.ask(lambda client: client.call(inputs, named, timeout, ticket=ticket), ticket)
        )

    async def acall(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:  # noqa: ASYNC109 (as in a call)
        """Await a call while the event loop runs. If the task is cancelled, the call ends in the model server.

        Parameters
        ----------
        *inputs, **named, timeout
            The same as for a call, `model(...)`. The result and the errors are the same too.

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

        A model server runs one call at a time; meanwhile the inputs of the next calls are prepared. If a call fails,
        the iterator raises its error in place of its result. The calls in flight end after an error, when you press the
        stop button, and when you leave the iterator early.

        Parameters
        ----------
        *iterables
            Items of the first input; several iterables give several inputs, as Python's `map` does.
        concurrency : int, optional
            Calls in flight. The default is 4 for each replica.
        timeout : float, optional
            Seconds for each call. The default is no limit.
        progress : bool
            Show a progress bar if the work takes more than two seconds. The default is True.
        **named
            Inputs that are the same for all calls.

        Yields
        ------
        numpy.ndarray, str, bytes, JSON value, Result or list
            The result of one call.

        Raises
        ------
        InputError
            `concurrency` is not a whole number above 0.

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
        """Call the model for each item, for use with `async for`, and iterate over the results in order.

        Parameters
        ----------
        items
            An iterable or async iterable of the items of the first input.
        concurrency, timeout, progress, **named
            The same as for `map`. The results and the errors are the same too.

        """
        submit = functools.partial(self.submit, timeout=timeout, **named)
        bar = Bar(self.name, length((items,)), wanted=progress)
        return in_order_async(submit, items, self._concurrency(concurrency), bar)

    def _concurrency(self, given: int | None) -> int:
        return CONCURRENCY * len(self.replicas) if given is None else check_concurrency(given, self.name)

    @hide_frames
    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """Return an array of zeros for an input, in memory that the model server can read.

        Fill the array and pass it, or a contiguous part of it, to a call: nothing is copied. Do not change the array
        while a call runs. A forked child shares the memory.

        Parameters
        ----------
        name : str
            The input.
        shape : tuple of int
            The sizes of its dimensions.
        dtype : dtype, optional
            The dtype. The default is the one that the model declares for the input.

        Returns
        -------
        numpy.ndarray
            The array.

        Raises
        ------
        InputError
            The model has no such input, the input has another dtype, or no dtype is known.
        CallError
            There is no memory for the array.

        """
        return self._replicas.ask(lambda client: client.empty(name, shape, dtype))

    def clean_up(self) -> None:
        """Remove the remains of a model that died or was stopped elsewhere. Do nothing if the model lives."""
        self._replicas.restarts.clean_up()

    @hide_frames
    def sleep(self) -> FreedMemory | None:
        """Free the model's GPU memory as soon as no call runs. The next call wakes it.

        If another notebook uses the model too, it runs on for that notebook.

        Returns
        -------
        FreedMemory or None
            The freed memory; None if the model still runs.

        """
        if self.mine:
            self._replicas.sleep()
        return self.freed

    @hide_frames
    def wake(self, report: Report | None = None) -> None:
        """Load the model again now if it sleeps, with the options of its first load.

        Calls that come meanwhile wait for this load. If the load fails, its error is raised and the model sleeps on.

        Parameters
        ----------
        report : Report, optional
            The display of the load. The default is the display of a load that a call causes.

        Raises
        ------
        LoadError
            The load failed.
        ModelStopped, ModelGone
            The model was stopped, or it died and is not started again.

        """
        self._replicas.restarts.wake(Ticket(), report)

    def continue_on(self, replica: Replica, attachment: Attachment) -> None:
        """Use `attachment` for `replica` from now on. Raises ModelStopped if the model was stopped meanwhile."""
        self._replicas.restarts.continue_on(replica, attachment)
        self._describe()

    def logs(self, lines: int = 40) -> str:
        """Return the last lines that the model server printed, even if the model has ended.

        Parameters
        ----------
        lines : int
            The number of lines for each replica. The default is 40.

        Returns
        -------
        str
            The lines. If the model has several replicas, a line with the id and device begins the lines of each.

        """
        logs = [(each.record, each.attachment.logs(lines)) for each in self.replicas]
        if len(logs) == 1:
            return logs[0][1]
        return "\n".join(f"{record.id}, {record.device}:\n{log}" for record, log in logs)

    def stop(self, by: str = "") -> None:
        """End the model and free its memory.

        In a forked child, or if the model is stopped already, this does nothing. If another notebook uses the model
        too, it runs on for that notebook.

        Parameters
        ----------
        by : str
            The place that stops the model, for messages, such as "the sidebar". The default is "this notebook" or
            "this program".

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
            self.clean_up()  # then the text is right if the model has just fallen asleep
        several = f", {len(self.replicas)} replicas" if len(self.replicas) > 1 else ""
        return f"<Model {self.name}{several} on {self.device}, {self.record.engine}, {self.state}>"

    @property
    def state(self) -> str:
        """The state as text: "ready", "asleep since 14:03, 2.1 GB on GPU 0 freed", "1 of 2 ready, ..."."""
        return str(self.freed) if self.asleep else self._replicas.state


def _reload(
    model: weakref.ref[Model], replica: Replica, ticket: Ticket, report: Report | None, *, background: bool
) -> None:
    if (found := model()) is not None:
        found.origin.reload(found, replica, ticket, report, background=background)
