"""Work that ends when nobody waits for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """Who asked has gone."""


class Stop:
    """Says, from any thread, that who asked has gone; who works looks now and then, or is interrupted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone = False
        self._doing: list[Callable[[], object]] = []

    def set(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._gone = True
            for interrupt in self._doing:
                interrupt()

    def look(self) -> None:
        """Raises: Stopped: nobody waits any more."""
        if self._gone:
            raise Stopped("nobody waits for this")

    @contextmanager
    def during(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """Work that `interrupt` ends from outside, with whatever error.

        Raises:
            Stopped: it was ended so.
        """
        with self._lock:
            self.look()
            self._doing.append(interrupt)
        try:
            yield
        except Exception:
            self.look()
            raise
        finally:
            with self._lock:
                self._doing.remove(interrupt)
