"""A queue before a function that takes lists."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import signature
from typing import Any, TypeVar

from stepcredit.errors import StepCreditError
from stepcredit.llm._server_wire import WireRequest
from stepcredit.protocols import Sample, Sampler

T = TypeVar("T")


class Queue:
    """Requests to a function that takes lists, together while it is at work; one call at a time, in another thread."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._seeds = "seed" in signature(sampler).parameters
        self._held: list[tuple[WireRequest, Sequence[str], asyncio.Future[list[list[Sample]]]]] = []
        self._calls = ThreadPoolExecutor(1, thread_name_prefix="stepcredit-serve")
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: WireRequest, prompts: Sequence[str]) -> list[list[Sample]]:
        """n samples of each prompt."""
        future: asyncio.Future[list[list[Sample]]] = asyncio.get_running_loop().create_future()
        self._held.append((asked, prompts, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        await asyncio.sleep(0)
        while self._held:
            held, self._held = [h for h in self._held if not h[2].done()], []
            alike: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
            for i, (asked, _, _) in enumerate(held):
                alone = i if self._seeds and asked.seed is not None else -1
                alike[asked.n, asked.max_tokens, asked.temperature, asked.stop, alone].append(i)
            groups = list(alike.values())
            calls = [(held[g[0]][0], [p for i in g for p in held[i][1]]) for g in groups]
            found = await self.run(partial(self._all, calls))
            for group, samples in zip(groups, found, strict=True):
                for i in group:
                    _, prompts, future = held[i]
                    if future.done():
                        continue
                    if isinstance(samples, Exception):
                        future.set_exception(samples)
                    else:
                        future.set_result([samples.pop(0) for _ in prompts])

    async def run(self, what: Callable[[], T]) -> T:
        """In the thread of the model."""
        return await asyncio.get_running_loop().run_in_executor(self._calls, what)

    def _all(self, calls: Sequence[tuple[WireRequest, Sequence[str]]]) -> list[list[list[Sample]] | Exception]:
        return [self._call(*one) for one in calls]

    def _call(self, asked: WireRequest, prompts: Sequence[str]) -> list[list[Sample]] | Exception:
        setting: dict[str, Any] = {"n": asked.n, "max_tokens": asked.max_tokens, "temperature": asked.temperature}
        if self._seeds and asked.seed is not None:
            setting["seed"] = asked.seed % 2**63  # a client may send a negative one
        try:
            found = list(self._sampler(prompts, stop=asked.stop, **setting))
        except Exception as error:
            return error
        if len(found) != len(prompts):
            return StepCreditError(f"the sampler gave {len(found)} replies to {len(prompts)} prompts")
        return found
