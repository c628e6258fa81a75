"""Credit for rollouts in the tens of millions of steps, on Ray: every worker reads its own shard of whole groups.

    from stepcredit.integrations.ray import assign

    for credit in assign("runs.jsonl", "gigpo", gamma=0.95):     # shard by shard, in the order of the rollouts
        credit.by_rollout()

`stepcredit assign runs.jsonl -M gigpo -o credited.jsonl --ray local` writes the bytes that it writes without --ray.
docs/guides/scale.md says what is split and what is not. `python -m stepcredit.integrations.ray` measures.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepcredit.credit import Credit, get
from stepcredit.credit.run import RewardFrom
from stepcredit.data import Reading
from stepcredit.data.presence import Presence
from stepcredit.data.reading import Paths
from stepcredit.data.rows import OnError
from stepcredit.errors import StepCreditError
from stepcredit.integrations import _ray_work
from stepcredit.integrations._ray_files import Handed, Split, job_of, splits, where
from stepcredit.integrations._ray_window import TRIES, Window
from stepcredit.integrations._ray_work import Failed, Job, Shard
from stepcredit.integrations._ray_write import AdvantageFile, RolloutFile
from stepcredit.plugins import extra

__all__ = ["Sharded", "assign", "connected"]

STEPS = 100_000  # of a shard: as `Reading.stream` has it, so that every sum is over the same rows in the same order
_STORE = 512 << 20  # bytes that a local object store holds; beyond, Ray spills to disk


@contextmanager
def connected(address: str = "local") -> Iterator[Any]:
    """The `ray` module, connected. A connection that this process has already is used, and left as it is.

    Args:
        address: "local" starts Ray on this machine, with a worker for each CPU, and stops it at the end; else what
            `ray.init` takes: "auto", "host:port", "ray://host:port".

    Raises:
        MissingExtra: Ray is not installed. StepCreditError: there is no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = extra("ray", "credit on many workers", name="ray")
    if ray.is_initialized():
        yield ray
        return
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        settings |= {"num_cpus": _cpus(), "include_dashboard": False, "object_store_memory": _STORE}
    handler = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    try:
        _answers(address)
        ray.init(**settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise StepCreditError(
            f"no Ray at {address!r}: {str(error).partition(chr(10))[0]}",
            hint="--ray local starts it here; ray start --head starts a cluster, which --ray auto joins",
        ) from None
    try:
        with _terminated_by(handler):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _terminated_by(handler: Any) -> Iterator[None]:
    """SIGTERM goes to this handler, not to Ray's; its SystemExit leaves with its own status, which Ray makes 1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: list[SystemExit] = []

    def handle(number: int, frame: Any) -> None:
        try:
            handler(number, frame)
        except SystemExit as error:
            raised.append(error)
            raise

    signal.signal(signal.SIGTERM, handle if callable(handler) else handler)
    try:
        yield
    except SystemExit as error:
        raise (raised[0] if raised else error) from None
    finally:
        signal.signal(signal.SIGTERM, handler)


class Sharded:
    """Credit of the rollouts of a `Reading`, by shards of whole groups, on the workers of a Ray cluster.

    Shards are the batches of `Reading.stream`, so that credit is that of one process to the last bit. Twice as many
    shards as there are CPUs are under way at once, which bounds memory here and in the object store.

    Args:
        ray: the module, connected. reading: which rollouts. methods: names; `options` go to each.
        reward: as in `stepcredit.assign`. states, normalize: as in `with_states`; None: states as they are.
        output, advantages: files to write as `Writer` and `AdvantageWriter` do, the latter by the first method.
        steps: of a shard, where a group is not larger.
        compare: run the methods (none named: all that the columns allow) side by side; `options` are not used.

    Attributes:
        restarts: shards that ran again: their worker was lost, or they failed.
        peak: most memory that a worker has held, bytes. cpu: seconds of CPU that workers spent on shards.
        workers: their process ids.

    Raises:
        StepCreditError: a method whose credit depends on other groups; a shard that failed three times.
    """

    def __init__(
        self,
        ray: Any,
        reading: Reading,
        methods: Sequence[str],
        options: Mapping[str, Any] | None = None,
        *,
        reward: RewardFrom | None = None,
        states: str | Callable[..., Any] | None = None,
        normalize: Sequence[str] = (),
        output: str | Path | None = None,
        advantages: str | Path | None = None,
        steps: int = STEPS,
        compare: bool = False,
    ) -> None:
        options = dict(options or {})
        for name in methods:
            refuse_pooled(name, options)
        self._ray, self._reading = ray, reading
        self._parts: Split | Handed = Split(reading, steps) if splits(reading) else Handed(reading, steps)
        self._job = replace(
            job_of(reading, self._parts.files),
            methods=tuple(methods),
            method_options=options,
            reward=reward,
            states=_absolute(states),
            normalize=tuple(normalize),
            output=str(output) if output else None,
            advantages=str(advantages) if advantages else None,
            compare=compare,
        )
        self.restarts, self.peak, self.cpu = 0, 0, 0.0
        self.workers: set[int] = set()

    def told(self) -> list[str]:
        """What people should know: why not every worker reads its own part of the files; what ran again."""
        out = []
        if isinstance(self._parts, Handed):
            out.append("rows of this format are not read apart from one another: one process read, the others credited")
        elif self._parts.handed:
            out.append(f"what cannot be split was handed out by one process: {', '.join(self._parts.handed)}")
        if self.restarts:
            out.append(f"shards that ran again, because their worker was lost or they failed: {self.restarts}")
        return out

    def shards(self, present: Presence | None = None) -> Generator[Shard, None, None]:
        """Every shard that holds a usable row, in order. The files take their names after the last.

        Args:
            present: the fields of all rollouts; else a shard has the columns of its own.
        """
        reading, parts, some = self._reading, self._parts, False
        if isinstance(parts, Split):
            reading._open()
        job = replace(self._job, present=present)
        with ExitStack() as files:
            writer = files.enter_context(RolloutFile(job.output)) if job.output else None
            exporter = files.enter_context(AdvantageFile(job.advantages)) if job.advantages else None
            for shard in files.enter_context(closing(self._each(_ray_work.run, job))):
                self._account(shard)
                if shard.batch is None:
                    continue
                some = True
                if writer:
                    writer.add(shard.rollouts)
                if exporter:
                    exporter.add(shard.advantages)
                yield shard
            reading.skipped.extend(parts.broken)
            reading._rows.count += len(parts.broken)
            if not some:
                reading._batch([])  # says why

    def present(self) -> Presence:
        """The fields that occur anywhere; reads the rollouts once."""
        seen = Presence()
        if isinstance(self._parts, Handed):
            for rollout in self._reading:
                seen.add(rollout)
            return seen
        with closing(self._each(_ray_work.fields, self._job)) as found:
            for telling in found:
                for rollout in telling:
                    seen.add(rollout)
        return seen

    def _account(self, shard: Shard) -> None:
        rows = self._reading._rows
        rows.skipped.extend(shard.skipped)
        rows.count += shard.rows
        rows.bytes += shard.bytes
        for note in shard.notes:
            rows.note(note)
        self.peak = max(self.peak, shard.peak)
        self.cpu += shard.cpu
        self.workers.add(shard.pid)

    def _each(self, work: Callable[..., Any], job: Job) -> Generator[Any, None, None]:
        """What `work` makes of each shard, in order."""
        window = Window(self._ray, work, job, iter(self._parts))
        try:
            for piece, result in window:
                if isinstance(result, Failed):
                    if result.kind is not None:
                        raise result.error()
                    raise StepCreditError(
                        f"shard {piece.number + 1} ({where(piece, job.files)}) failed {TRIES} times: {result.text}",
                        hint="the rows alone: one process, without --ray, shows more",
                    )
                yield result
        finally:
            self.restarts += window.restarts
            window.close()


def assign(
    paths: Paths,
    method: str,
    *,
    address: str = "local",
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
    reward: RewardFrom | None = None,
    states: str | Callable[..., Any] | None = None,
    normalize: Sequence[str] = (),
    output: str | Path | None = None,
    advantages: str | Path | None = None,
    steps: int = STEPS,
    format_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Credit]:
    """Credit of rollouts in files, shard by shard, in the order in which `sc.stream` gives them.

    The batch of each Credit holds layout, outcomes, and the names of groups and rollouts; the rollouts themselves
    stay with the workers. A shard has the columns of its own rollouts, as a batch of `sc.stream` has.

    Args:
        paths, format, map, on_error, format_options: as in `Reading`. method, reward, options: as in `sc.assign`.
        address: of the cluster, see `connected`; a connection that this process has already is used.
        states, normalize: as in `with_states`. output, advantages: files to write on the way.
        steps: of a shard, where a group is not larger.

    Raises:
        DataError: as in `Reading`. StepCreditError: a method whose credit depends on other groups; a shard that
            failed three times, with its file and rows.
    """
    reading = Reading(paths, format=format, map=map, on_error=on_error, **dict(format_options or {}))
    with connected(address) as ray:
        work = Sharded(
            ray,
            reading,
            [method],
            options,
            reward=reward,
            states=states,
            normalize=normalize,
            output=output,
            advantages=advantages,
            steps=steps,
        )
        with closing(work.shards()) as shards:
            for shard in shards:
                yield shard.credits[0]


def refuse_pooled(method: str, options: Mapping[str, Any]) -> None:
    """Raise for a method that is not itself on a part of the groups.

    Raises:
        StepCreditError: its card waives `other_prompts`.
    """
    reason = get(method).given(options).waives.get("other_prompts")
    if reason:
        raise StepCreditError(
            f"{method} cannot be computed shard by shard: {reason}",
            hint="without --ray it runs on the whole batch; or its options that pool over groups can be switched off",
        )


def _answers(address: str) -> None:
    """Raise OSError where nobody listens at `host:port`: Ray would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _absolute(states: Any) -> Any:
    """`FILE.py:FUNCTION` with the whole path: workers may stand in another folder."""
    file, colon, name = states.rpartition(":") if isinstance(states, str) else ("", "", "")
    return f"{Path(file).resolve()}:{name}" if colon and file.endswith(".py") else states


def _cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    from stepcredit.integrations._ray_bench import main

    sys.exit(main())
