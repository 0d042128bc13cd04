"""Blocking calls off the event loop, in threads that do not delay the exit."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Like ``asyncio.to_thread``, but the thread is a daemon.

    At exit Python waits for its pool's threads: with a database that hangs, longer than a platform
    waits for the worker. An abandoned call may still be running.
    """
    promise: Future[_T] = Future()
    promise.set_running_or_notify_cancel()

    def work() -> None:
        try:
            promise.set_result(function(*arguments))
        except BaseException as error:
            promise.set_exception(error)

    Thread(target=work, daemon=True, name=getattr(function, "__name__", "database")).start()
    return await asyncio.wrap_future(promise)
