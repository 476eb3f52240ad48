"""Waiting in threads, so that the Jupyter server's event loop never does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(act: Callable[..., T], *given: Any, **named: Any) -> T:
    """What `act` returns or raises, from a thread of its own.

    Unlike the threads of an executor it waits for no other's end, and the end of the server does not wait for it: a
    driver or an engine may hang.
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
            result = act(*given, **named)
        except BaseException as error:  # noqa: BLE001  whoever waits is told
            trouble = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, trouble)

    Thread(target=run, name=f"gpumodels {getattr(act, '__name__', 'act')}", daemon=True).start()
    return await done
