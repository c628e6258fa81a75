"""OpenAI-compatible servers (vLLM, SGLang, llama.cpp, `transformers serve`, hosted ones) as models.

    with Client("http://localhost:8000", budget=parse("20000calls,30min"), store="replies.sqlite") as client:
        samples = client.sampler(["2+2="], n=4, max_tokens=16)                  # from plain code
        found = dict(drive(plans, {"sampler": client.sampler, "judge": client.judge}))

Every reply is kept: the same draw of the same request has one answer for ever, costs nothing the second time, and is
there after a kill. Requests are sent side by side, tried again where that may help, and counted before they are sent.
"""

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.llm._samples import forced_of, samples_of
from stepcredit.llm.budget import Budget, Spent, Use
from stepcredit.llm.doors import ForcerDoor, JudgeDoor, RewardDoor, SamplerDoor, ScorerDoor
from stepcredit.llm.home import Home
from stepcredit.llm.requests import Continue, Failed, Force, Score
from stepcredit.llm.sending import NEED, Line, Outcome, Sender
from stepcredit.llm.store import Store
from stepcredit.llm.wire import Asked, Call, Kind, Reply, Setting, call_of, unpack
from stepcredit.plugins import extra

Api = Literal["auto", "completions", "chat"]
_LOG = logging.getLogger(__name__)
_OTHER = (400, 404, 405, 422, 501)  # what a server says to an endpoint that it, or its model, does not have
_NO_KEY = (401, 403)
_AT_ONCE = 500
_BEGUN = (
    "; it was asked to go on with an answer that was begun, which not every chat can: api='completions' does without"
)


class Client:
    """A server, and the models of stepcredit that it can be.

    Args:
        url: "http://host:8000", or with the path before "/chat/completions".
        model: its name there; None = the only one that the server lists.
        api: which endpoint continues and answers. "auto": chat if the first request is answered there, else
            completions. Forcing needs completions in any case.
        key_env: the environment variable with the API key. It is read when a request is sent, and kept nowhere.
        concurrency: most requests under way. timeout: seconds for one try. retries: tries after the first.
        budget: what may be spent; None = anything. Kept replies cost nothing.
        store: file of replies and journal; None = in memory.
        run: name of this run in the journal. What earlier processes of this run spent is charged to the budget.
        seed: of all draws; None = the server is told no seed.
        logprobs: how many of the likeliest tokens each sample keeps at each token; 0 = only its own log-probability.
        system: a system message (before the prompt, where there is no chat).
        answer_tokens, answer_temperature: of the judge.
        idle, backoff, most: of `sending.Line`.

    Attributes:
        notes: what the server does otherwise than asked, each said once (and logged).

    It serves one event loop: that in which `async with` opened it, else one of its own in a thread; others, and plain
    code, reach it from there.

    Raises:
        MissingExtra: aiohttp is not installed. StepCreditError: the URL is none; the store cannot be used.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        api: Api = "auto",
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 64,
        timeout: float = 60.0,
        retries: int = 4,
        budget: Budget | None = None,
        store: Store | str | Path | None = None,
        run: str | None = None,
        seed: int | None = 0,
        logprobs: int | None = None,
        system: str | None = None,
        answer_tokens: int = 1024,
        answer_temperature: float = 0.0,
        idle: float = 15.0,
        backoff: float = 0.5,
        most: int = 64 << 20,
    ) -> None:
        extra("aiohttp", NEED, name="http")
        if api not in ("auto", "completions", "chat"):
            raise UnknownName("API", api, ("auto", "completions", "chat"))
        if concurrency < 1 or retries < 0 or timeout <= 0:
            raise StepCreditError(
                f"concurrency={concurrency}, retries={retries}, timeout={timeout}; expected at least 1, 0, more than 0"
            )
        self.line = Line(base_of(url), concurrency, timeout, idle, retries, backoff, most)
        self.budget = Budget() if budget is None else budget
        self.notes: list[str] = []
        self._setting = Setting(model or "", seed, logprobs, system, answer_tokens, answer_temperature)
        self._kind: Kind | None = None if api == "auto" else api
        self._key_env = key_env
        self._own_store = not isinstance(store, Store)
        self._store = store if isinstance(store, Store) else Store(store, run=run)
        self.lost, self._store.lost = self._store.lost, (0, Use())
        named = self._store.run != self._store.process
        self.budget.charge(self._store.spent() if named else self.lost[1])
        if self.lost[0]:
            use = self.lost[1]
            self.tell(
                f"{self.lost[0]} requests were under way when an earlier process was killed. Nobody knows what they "
                f"cost: they count at their most, {use.prompt:,} tokens read and {use.completion:,} written"
            )
        self._home = Home()
        weakref.finalize(self, self._home.close)
        self._sender: Sender | None = None
        self._opening, self._deciding = asyncio.Lock(), asyncio.Lock()
        self.sampler, self.judge, self.forcer = SamplerDoor(self), JudgeDoor(self), ForcerDoor(self)

    def __repr__(self) -> str:
        return f"Client({self.line.url!r}, {self._setting.model or None!r})"

    @property
    def spent(self) -> Spent:
        """What the budget has seen."""
        return self.budget.spent

    def scorer(self, ask: Callable[[str, str], str], read: Callable[[str], float | None]) -> "ScorerDoor":
        """A Scorer: the judge is asked `ask(prefix, step)`, and `read` finds the number in its answer; None or NaN = it
        is not there."""
        return ScorerDoor(self, ask, read)

    def rewards(self, separator: str = "\n") -> "RewardDoor":
        """A Scorer by a reward model that the server runs (vLLM, --runner pooling): the chance of the last label at the
        last token of prefix + step + separator."""
        return RewardDoor(self, separator)

    def resolve(self) -> str:
        """The name of the model, asked for where it was not given; from plain code.

        Raises:
            StepCreditError: the server does not say, or has several.
        """
        if not self._setting.model:
            self._home.run(self._opened)
        return self._setting.model

    async def each(self, request: Asked) -> Any:
        """The reply to one request: samples, a text, log-probabilities, a score, or Failed.

        Raises:
            BudgetSpent: the budget does not hold it. StepCreditError: a wrong key, URL or model, a server that is gone,
                a store that cannot be written: the run cannot go on.
        """
        reply = self._kept([request])[0]
        return await self._home.within(lambda: self._answer(request)) if reply is None else reply

    def all(self, requests: Sequence[Asked]) -> list[Any]:
        """The replies to many, side by side; as `each`, from plain code. At an error those under way are brought home
        first: they are paid for."""
        replies = self._kept(requests)
        missing = [i for i, reply in enumerate(replies) if reply is None]
        if missing:
            found = self._home.run(lambda: self._answers([requests[i] for i in missing]))
            for i, reply in zip(missing, found, strict=True):
                replies[i] = reply
        return replies

    async def __aenter__(self) -> Self:
        self._home.adopt(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._home.within(self._stop)
        self._home.close()
        self._close_store()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up what is under way, let go of connections and store."""
        if self._sender is not None:
            self._home.run(self._stop)
        self._home.close()
        self._close_store()

    def _close_store(self) -> None:
        if self._own_store:
            self._store.close()

    async def _stop(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    def tell(self, note: str) -> None:
        """Say once what the server does otherwise than asked."""
        if note not in self.notes:
            self.notes.append(note)
            _LOG.warning("%s: %s", self.line.url, note)

    def _kept(self, requests: Sequence[Asked]) -> list[Any]:
        """The replies that are in the store, None for the others."""
        found: list[Any] = []
        for at in range(0, len(requests), _AT_ONCE):
            found += self._kept_few(requests[at : at + _AT_ONCE])
        return found

    def _kept_few(self, requests: Sequence[Asked]) -> list[Any]:
        if not self._setting.model:
            return [None] * len(requests)
        calls = [[call_of(r, self._setting, kind) for kind in self._kinds(r)] for r in requests]
        kept = self._store.get([c.key for several in calls for c in several])
        return [self._kept_one(r, several, kept) for r, several in zip(requests, calls, strict=True)]

    def _kept_one(self, request: Asked, calls: Sequence[Call], kept: dict[bytes, bytes]) -> Any:
        call = next((c for c in calls if c.key in kept), None)
        if call is None:
            return np.zeros(0) if isinstance(request, Force) and not request.continuation else None
        replies = [unpack(kept[call.key])]
        parts = self._parts(request, call.kind, replies[0])
        if parts:
            more = self._store.get([c.key for c in parts])
            if len(more) < len(parts):
                return None
            replies += [unpack(more[c.key]) for c in parts]
        return self._told(request, replies)

    def _kinds(self, request: Asked) -> tuple[Kind, ...]:
        if isinstance(request, Force | Score):
            return ("echo",) if isinstance(request, Force) else ("pooling",)
        return ("chat", "completions") if self._kind is None else (self._kind,)

    def _parts(self, request: Asked, kind: Kind, first: Reply) -> list[Call]:
        """The calls that make up for samples that a server did not give, as it ignores n."""
        if not isinstance(request, Continue):
            return []
        n = request.n if request.temperature else 1
        return [call_of(request, self._setting, kind, part=i) for i in range(len(first.drafts), n)]

    def _told(self, request: Asked, replies: Sequence[Reply]) -> Any:
        if replies[0].missing:
            self.tell(replies[0].missing)
        if isinstance(request, Score):
            return replies[0].score
        if isinstance(request, Continue):
            samples = samples_of(replies)
            if request.temperature == 0:  # the likeliest tokens are the same n times
                again = replace(samples[0], read=0, written=0)
                samples += [again] * (request.n - 1)
            return samples
        return forced_of(replies[0]) if isinstance(request, Force) else replies[0].drafts[0].text

    async def _answers(self, requests: Sequence[Asked]) -> list[Any]:
        """In the order of the requests, by as many workers as may have a request under way."""
        coming = enumerate(requests)
        found: list[Any] = [None] * len(requests)
        wrong: list[Exception] = []

        async def work() -> None:
            for i, request in coming:
                if wrong:
                    return
                try:
                    found[i] = await self._answer(request)
                except Exception as error:
                    wrong.append(error)

        await asyncio.gather(*(work() for _ in range(min(len(requests), 2 * self.line.concurrency))))
        if wrong:
            raise wrong[0]
        return found

    async def _answer(self, request: Asked) -> Any:
        if isinstance(request, Force) and not request.continuation:
            return np.zeros(0)
        sender = await self._opened()
        if len(self._kinds(request)) > 1:
            async with self._deciding:
                if len(self._kinds(request)) > 1:
                    return await self._decide(sender, request)
        (kind,) = self._kinds(request)
        return await self._complete(sender, request, kind, await sender.send(call_of(request, self._setting, kind)))

    async def _decide(self, sender: Sender, request: Asked) -> Any:
        """The first request finds out which endpoint there is."""
        chat = await sender.send(call_of(request, self._setting, "chat"))
        if chat.status in _OTHER:
            plain = await sender.send(call_of(request, self._setting, "completions"))
            if plain.reply is not None:
                self._kind = "completions"
                return await self._complete(sender, request, "completions", plain)
        elif chat.reply is not None:
            self._kind = "chat"
        return await self._complete(sender, request, "chat", chat)

    async def _complete(self, sender: Sender, request: Asked, kind: Kind, first: Outcome) -> Any:
        """A first reply, and the samples that it lacks."""
        outcomes = [first]
        if first.reply is not None and (parts := self._parts(request, kind, first.reply)):
            self.tell("the server gives fewer samples than n asks for: the others are asked for one by one")
            outcomes += await asyncio.gather(*map(sender.send, parts))
        for outcome in outcomes:
            if outcome.reply is None:
                if kind == "chat" and isinstance(request, Continue) and request.prefix and outcome.status in (400, 422):
                    outcome.why += _BEGUN
                return await self._failed(sender, outcome)
        return self._told(request, [o.reply for o in outcomes if o.reply is not None])

    async def _failed(self, sender: Sender, outcome: Outcome) -> Failed:
        """What only concerns this request is its reply; what concerns all of them ends the run."""
        if outcome.status in _NO_KEY:
            there = "is set" if key_of(self._key_env) else "is not set"
            raise StepCreditError(outcome.why, hint=f"the key is read from {self._key_env}, which {there}")
        if outcome.status == 404:
            names = await sender.names()
            hint = f"models there: {', '.join(names)}" if names else f"is {self.line.url} all that stands before /chat?"
            raise StepCreditError(f"{outcome.why} (model {self._setting.model!r})", hint=hint)
        if 300 <= outcome.status < 400:
            raise StepCreditError(
                f"{outcome.why}: it moved", hint="give the URL that it names: no key is sent after it"
            )
        return Failed(outcome.why)

    async def _opened(self) -> Sender:
        """The sender, with a model to ask for."""
        if self._sender is not None and self._setting.model:
            return self._sender
        async with self._opening:
            if self._sender is None:
                key_env = self._key_env
                self._sender = Sender(self.line, self.budget, self._store, lambda: key_of(key_env))
                self._home.leaving.append(self._sender.close)
            if not self._setting.model:
                names = await self._sender.listed()
                if isinstance(names, Outcome):
                    if names.status in _NO_KEY:
                        await self._failed(self._sender, names)
                    what = f"which model? {self.line.url}/models does not say: {names.why}"
                    raise StepCreditError(what, hint="Client(url, model='...'), if the server is there")
                if len(names) != 1:
                    listed = ", ".join(names) or "none"
                    raise StepCreditError(f"which model? The server lists {listed}", hint="Client(url, model='...')")
                self._setting = msgspec.structs.replace(self._setting, model=names[0])
            return self._sender


def key_of(variable: str) -> str | None:
    """The API key, without blanks around it, as a file's last line end; None if there is none.

    Raises:
        StepCreditError: it has a character in it that no key can have.
    """
    key = os.environ.get(variable, "").strip()
    if not key.isprintable():
        raise StepCreditError(f"{variable} holds more than a key: there is a line end or the like in it")
    return key or None


def base_of(url: str) -> str:
    """Where the endpoints hang: "/v1" if the URL has no path.

    Raises:
        StepCreditError: it is no URL of a server, or has a password, a query or a fragment in it.
    """
    if "@" in url or "?" in url or "#" in url:  # not repeated: it may be a secret
        raise StepCreditError(
            "a URL with a password, a query or a fragment in it would be shown and kept", hint="key_env=..., a variable"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise StepCreditError(f"{url!r} is no URL of a server", hint="such as http://localhost:8000 or https://host/v1")
    return url.rstrip("/") if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1"
