"""Run plans: many side by side, each waiting for its own replies, batched where a model likes lists.

    found = dict(drive([two_lines(p) for p in prompts], {"sampler": engine.sampler}))

A model is a function of `stepcredit.protocols` (a list in, a list out) or a door with `async def each(request)`, as a
`Client` has. Requests to functions are held until no plan can go on, and then go out together: a thousand plans make
large batches. Requests to doors leave at once, and a plan goes on as soon as its own have come back.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from math import isfinite
from typing import Any, TypeVar

from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Ask, BudgetSpent, Check, Continue, Failed, Force, Plan, Request, Score

T = TypeVar("T")
Models = Mapping[str, Any]

AT_ONCE = 256


def drive(plans: Iterable[Plan[T]], models: Models, *, at_once: int = AT_ONCE) -> Iterator[tuple[int, T]]:
    """(place of the plan, what it returned), in the order in which they end.

    Args:
        plans: taken one by one, so that they may be a generator over a file.
        models: who answers requests `to` that name.
        at_once: most plans under way.

    Raises:
        StepCreditError: a plan asks for a model that is not there. Whatever a plan or a function raises ends the run;
            a spent budget is raised inside the plan, and outside only if it does not catch it.
    """
    with _own_loop() as run:
        ending = _bunches(plans, models, at_once)

        async def following() -> list[tuple[int, T]] | None:
            return await anext(ending, None)

        async def end() -> None:
            left = asyncio.all_tasks() - {asyncio.current_task()}  # a signal may have come in the middle of `following`
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await ending.aclose()

        try:
            while (several := run(following())) is not None:
                yield from several
        finally:
            run(end())


@contextmanager
def _own_loop() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """An event loop to run coroutines in, one after the other; in another thread where this one has a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner() as runner:
            yield runner.run
        return
    with ThreadPoolExecutor(1, thread_name_prefix="stepcredit-drive") as pool:
        runner = asyncio.Runner()
        try:
            yield lambda what: pool.submit(runner.run, what).result()
        finally:
            pool.submit(runner.close).result()


async def adrive(
    plans: Iterable[Plan[T]], models: Models, *, at_once: int = AT_ONCE
) -> AsyncGenerator[tuple[int, T], None]:
    """As `drive`, within a running event loop."""
    async with aclosing(_bunches(plans, models, at_once)) as ending:
        async for several in ending:
            for one in several:
                yield one


async def _bunches(plans: Iterable[Plan[T]], models: Models, at_once: int) -> AsyncGenerator[list[tuple[int, T]], None]:
    """What ends, as soon as it does: one, or all that have ended meanwhile. Plans start as results are taken."""
    if at_once < 1:
        raise StepCreditError(f"at_once must be at least 1; got {at_once}")
    batches = _Batches(models)
    done: asyncio.Queue[tuple[int, Any, BaseException | None]] = asyncio.Queue()
    coming, tasks = enumerate(plans), set[asyncio.Task[None]]()

    async def run(place: int, plan: Plan[T]) -> None:
        try:
            done.put_nowait((place, await _walk(plan, batches), None))
        except (asyncio.CancelledError, GeneratorExit):  # if this run ends nobody hears it; else nobody would be told
            text = f"plan {place} was given up while it waited: was the model that it asks closed?"
            done.put_nowait((place, None, StepCreditError(text)))
        except Exception as error:
            done.put_nowait((place, None, error))
        finally:
            batches.left()

    def start() -> bool:
        following = next(coming, None)
        if following is not None:
            batches.entered()
            task = asyncio.create_task(run(*following))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return following is not None

    try:
        waiting = 0
        while waiting < at_once and start():
            waiting += 1
        while waiting:
            ended = [await done.get()]
            while not done.empty():
                ended.append(done.get_nowait())
            for _, _, error in ended:
                if error is not None:
                    raise error
            waiting += sum(start() for _ in ended) - len(ended)
            yield [(place, result) for place, result, _ in ended]
    finally:
        left = list(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await batches.close()


async def _walk(plan: Plan[T], batches: "_Batches") -> T:
    """One plan from beginning to end."""
    if not isinstance(plan, Generator):
        raise StepCreditError(f"a plan is a generator; got {type(plan).__name__}", hint="a function that yields: f()")
    try:
        asked = next(plan)
        while True:
            try:
                replies = await batches.answer(_requests(asked))
            except BudgetSpent as error:
                asked = plan.throw(error)
            else:
                asked = plan.send(replies)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def _requests(asked: Any) -> Sequence[Request]:
    """What a plan asks, if it is that."""
    if isinstance(asked, Sequence) and all(isinstance(one, Request) for one in asked):
        return asked
    raise StepCreditError(
        f"a plan must yield a list of requests; got {asked!r:.80}", hint="(reply,) = yield [Ask(...)]"
    )


class _Batches:
    """Requests to functions, held until every plan under way waits for one."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._held: list[tuple[Request, asyncio.Future[Any]]] = []
        self._running = 0
        self._calls = ThreadPoolExecutor(1, thread_name_prefix="stepcredit-model")
        self._calling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for the call under way, if there is one."""
        for task in self._calling:
            task.cancel()
        await asyncio.gather(*self._calling, return_exceptions=True)
        self._calls.shutdown(cancel_futures=True)

    def entered(self) -> None:
        self._running += 1

    def left(self) -> None:
        self._running -= 1
        self._perhaps_flush()

    async def answer(self, requests: Sequence[Request]) -> list[Any]:
        """The replies of a plan's requests; the plan does not run meanwhile."""
        each = self._door(requests[0]) if len(requests) == 1 else None
        waits = [] if each is not None else [self._send(r) for r in requests]
        self._running -= 1
        self._perhaps_flush()
        try:
            return await _all(waits) if each is None else [await each(requests[0])]
        finally:
            self._running += 1

    def _door(self, request: Request) -> Callable[[Request], Coroutine[Any, Any, Any]] | None:
        """What answers one request by itself; None for a function."""
        model = self._models.get(request.to)
        if model is None:
            raise StepCreditError(
                f"a plan asks for a {request.to}; there are: {', '.join(self._models) or 'no models'}",
                hint=f"give it among the models: {request.to}=...",
            )
        return getattr(model, "each", None)

    def _send(self, request: Request) -> "asyncio.Future[Any]":
        each = self._door(request)
        if each is not None:
            return asyncio.ensure_future(each(request), loop=asyncio.get_running_loop())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._held.append((request, future))
        return future

    def _perhaps_flush(self) -> None:
        """Not at once: whoever got a reply in this turn of the loop has not asked again yet."""
        if self._running == 0 and self._held:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._running or not self._held:
            return
        held, self._held = self._held, []
        alike: defaultdict[tuple[Any, ...], list[tuple[Request, asyncio.Future[Any]]]] = defaultdict(list)
        for one in held:
            alike[_alike(one[0])].append(one)
        for group in alike.values():
            task = asyncio.create_task(self._call(group))
            self._calling.add(task)
            task.add_done_callback(self._calling.discard)

    async def _call(self, group: Sequence[tuple[Request, "asyncio.Future[Any]"]]) -> None:
        """One call of a function, off the loop: a slow one must not keep servers waiting."""
        requests = [r for r, _ in group]
        loop = asyncio.get_running_loop()
        try:
            replies = await loop.run_in_executor(self._calls, call, self._models[requests[0].to], requests)
        except Exception as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), reply in zip(group, replies, strict=True):
            if not future.done():
                future.set_result(reply)


async def _all(waits: Sequence["asyncio.Future[Any]"]) -> list[Any]:
    """Every reply; at the first error the others are given up."""
    try:
        return list(await asyncio.gather(*waits))
    except BaseException:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        raise


def _alike(request: Request) -> tuple[Any, ...]:
    """What requests that go into one call have in common."""
    if isinstance(request, Continue):
        return request.to, request.n, request.max_tokens, request.temperature, request.stop
    return request.to, type(request)


def call(model: Any, requests: Sequence[Request]) -> list[Any]:
    """Requests of one kind and setting to one function of `protocols`; None and NaN become `Failed`.

    Raises:
        StepCreditError: not one reply per request.
    """
    first = requests[0]
    replies: Any
    match first:
        case Continue():
            setting = {"n": first.n, "max_tokens": first.max_tokens, "temperature": first.temperature}
            replies = model([r.whole for r in requests], **setting, stop=first.stop)  # type: ignore[union-attr]
        case Ask():
            replies = model([r.prompt for r in requests])  # type: ignore[union-attr]
        case Score():
            replies = model([r.prefix for r in requests], [r.step for r in requests])  # type: ignore[union-attr]
        case Force():
            replies = model([r.prefix for r in requests], [r.continuation for r in requests])  # type: ignore[union-attr]
        case Check():
            replies = model([r.answer for r in requests], [r.reference for r in requests])  # type: ignore[union-attr]
    if isinstance(replies, str) or not hasattr(replies, "__len__"):
        raise StepCreditError(f"the {first.to} gave {type(replies).__name__}; expected a list, a reply per request")
    if len(replies) != len(requests):
        raise StepCreditError(f"the {first.to} gave {len(replies)} replies to {len(requests)} requests")
    if isinstance(first, Score | Check):
        return [_number(reply, first) for reply in replies]
    return [Failed(f"the {first.to} did not answer") if reply is None else reply for reply in replies]


def _number(reply: Any, asked: Score | Check) -> float | Failed:
    """A score, or a verdict from 0 to 1."""
    if reply is None:
        return Failed(f"the {asked.to} did not answer")
    if isinstance(reply, Failed):
        return reply
    try:
        number = float("no number" if isinstance(reply, str | bytes) else reply)
    except (TypeError, ValueError):
        raise StepCreditError(f"the {asked.to} gave {reply!r:.80}; expected a number, or None") from None
    if not isfinite(number):
        return Failed(f"the {asked.to} gave no number")
    if isinstance(asked, Check) and not 0 <= number <= 1:
        return Failed(f"the {asked.to} gave {number:g}; expected 1 (right) to 0 (wrong)")
    return number


async def collect(plans: Iterable[Plan[T]], models: Models, *, at_once: int = AT_ONCE) -> list[T]:
    """What each plan returned, in the order of the plans."""
    async with aclosing(adrive(plans, models, at_once=at_once)) as ended:
        found = {place: result async for place, result in ended}
    return [found[i] for i in range(len(found))]


def in_order(ended: Iterable[tuple[int, T]]) -> Iterator[T]:
    """What ended, in the order of its places, each as soon as those before it are there.

    >>> list(in_order([(1, "b"), (0, "a"), (2, "c")]))
    ['a', 'b', 'c']
    """
    held: dict[int, T] = {}
    following = 0
    for place, result in ended:
        held[place] = result
        while following in held:
            yield held.pop(following)
            following += 1
