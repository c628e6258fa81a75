"""Shards on their way: a bounded number at once, results in order, lost ones again."""

from collections.abc import Callable, Iterator
from typing import Any

from stepcredit.integrations._ray_work import Failed, Job, Piece

TRIES = 3
_LOST = "its worker was lost each time: killed, or out of memory"


class Window:
    """Iterates over the results of `work(job, piece)`, in the order of the pieces.

    Twice as many pieces as the cluster has CPUs are under way or wait to be taken: that bounds what is held here and
    in the object store. A piece whose worker is lost, or that fails by an error that is not ours, runs again; after
    three times the result is that failure.

    Attributes:
        restarts: pieces that ran again.
    """

    def __init__(self, ray: Any, work: Callable[[Job, Piece], Any], job: Job, pieces: Iterator[Piece]) -> None:
        self._ray, self._pieces = ray, pieces
        self._remote, self._job = ray.remote(num_cpus=1, max_retries=0)(work), ray.put(job)
        self._size = 2 * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self._held: dict[int, Piece] = {}
        self._tries: dict[int, int] = {}
        self._pending: dict[Any, int] = {}
        self._done: dict[int, Any] = {}
        self.restarts = 0

    def __iter__(self) -> Iterator[tuple[Piece, Any]]:
        taken = started = 0
        more = True
        while True:
            while more and started < taken + self._size:
                piece = next(self._pieces, None)
                if piece is None:
                    more = False
                    break
                self._held[started] = piece
                self._submit(started)
                started += 1
            if taken == started:
                return
            while taken not in self._done:
                self._collect()
            result = self._done.pop(taken)
            yield self._held.pop(taken), result
            taken += 1

    def close(self) -> None:
        """Stop what is under way."""
        for ref in self._pending:
            self._ray.cancel(ref)
        self._pending.clear()

    def _submit(self, at: int) -> None:
        self._pending[self._remote.remote(self._job, self._held[at])] = at

    def _collect(self) -> None:
        """Wait for a piece to come back; take its result, or send it again."""
        (ref,), _ = self._ray.wait(list(self._pending), num_returns=1)
        at = self._pending.pop(ref)
        try:
            result = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            result = Failed(None, (), {}, str(error.cause or error))
        except self._ray.exceptions.RayError as error:
            result = Failed(None, (), {}, f"{_LOST} ({type(error).__name__})")
        if isinstance(result, Failed) and result.kind is None:
            self._tries[at] = self._tries.get(at, 0) + 1
            if self._tries[at] < TRIES:
                self.restarts += 1
                self._submit(at)
                return
        self._done[at] = result
