"""Blocking functions in threads, so that they do not block the Jupyter server's event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(act: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call `act` in a thread of its own, and return its result or raise its error.

    A driver or an engine may hang. In an executor, later calls and the end of the server would wait for the call that
    hangs. Here nothing waits for it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        result, trouble = None, None
        try:
            result = act(*arguments, **named)
        except BaseException as error:  # noqa: BLE001  (raised in the caller)
            trouble = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, trouble)

    Thread(target=run, name=f"gpumodels {getattr(act, '__name__', 'act')}", daemon=True).start()
    return await done
