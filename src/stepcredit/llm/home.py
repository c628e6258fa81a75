"""An event loop to live in: one that somebody runs, or one of its own in a thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stepcredit.errors import StepCreditError

T = TypeVar("T")


class Home:
    """Where connections live. Coroutines are made and run there, whoever asks from wherever.

    Attributes:
        leaving: coroutines to run before its own loop ends.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.leaving: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live in this running loop, unless there is a home already."""
        with self._lock:
            if self._loop is None:
                self._loop = loop

    async def within(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine at home, asked from any running loop."""
        loop = self._get()
        if asyncio.get_running_loop() is loop:
            return await make()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), loop))

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine at home and wait for it, asked from plain code.

        Raises:
            StepCreditError: asked from within the loop that would have to run it.
        """
        loop = self._get()
        try:
            inside = asyncio.get_running_loop() is loop
        except RuntimeError:
            inside = False
        if inside:
            raise StepCreditError(
                "a client that lives in this event loop was called as a plain function, which would wait for itself",
                hint="await client.each(request), or leave out `async with`",
            )
        future = asyncio.run_coroutine_threadsafe(make(), loop)
        try:
            return future.result()
        finally:
            future.cancel()  # without effect on one that has ended; else this was interrupted

    def close(self) -> None:
        """End the loop, if it is its own. The next question finds a new home."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        if threading.current_thread() is thread:  # the last to hold the client was a coroutine
            loop.stop()
            return
        asyncio.run_coroutine_threadsafe(self._leave(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _leave(self) -> None:
        while self.leaving:
            await self.leaving.pop()()

    def _get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="stepcredit-client", daemon=True)
                self._thread.start()
            return self._loop
