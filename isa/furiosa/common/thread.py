"""Bridges between blocking and asynchronous functions."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def synchronous(function: Callable[P, Awaitable[R]]) -> Callable[P, R]:
    """An asynchronous function as one that blocks until it is done.

    It runs in an event loop of its own: on this thread, or on another one where a loop runs here already.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        async def main() -> R:
            return await function(*args, **kwargs)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(main())
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(contextvars.copy_context().run, asyncio.run, main()).result()

    return call


def asynchronous(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """A blocking function as one to be awaited: it runs on a thread, and the event loop goes on meanwhile."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(function, *args, **kwargs)

    return call
