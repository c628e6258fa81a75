"""What a run may cost, kept exactly: the worst case is set aside before a request is sent, and what it really cost
takes its place afterwards, so that many at once never spend more than one after the other.

    budget = parse("20000calls,2Mtokens,30min")
    with budget.reserve(Use(1, 900, 256)) as held:
        held.settle(Use(1, 611, 40))
"""

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.llm.requests import BudgetSpent

_FORM = "20000calls,2Mtokens,5usd,30min"
_SCALES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_UNITS = {
    "call": ("calls", 1),
    "calls": ("calls", 1),
    "tokens": ("tokens", 1),
    "prompt_tokens": ("prompt_tokens", 1),
    "completion_tokens": ("completion_tokens", 1),
    "usd": ("money", 1),
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "h": ("seconds", 3600),
}


@dataclass(frozen=True)
class Use:
    """What requests cost: HTTP calls, tokens read, tokens written."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(self.calls + other.calls, self.prompt + other.prompt, self.completion + other.completion)

    def __sub__(self, other: "Use") -> "Use":
        return Use(self.calls - other.calls, self.prompt - other.prompt, self.completion - other.completion)


@dataclass(frozen=True)
class Price:
    """Of a million tokens read (prompt) and written (completion)."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, use: Use) -> float:
        """What this use costs."""
        return (use.prompt * self.prompt + use.completion * self.completion) / 1e6


@dataclass(frozen=True)
class Spent:
    """Used so far, settled; `reserved` is held by requests under way, at its worst case. money: None = no price."""

    used: Use
    reserved: Use
    money: float | None
    seconds: float

    def __str__(self) -> str:
        money = "" if self.money is None else f", {self.money:.4f} usd"
        tokens = f"{self.used.prompt:,} tokens read, {self.used.completion:,} written"
        return f"{self.used.calls:,} calls, {tokens}{money}, {self.seconds:.0f} s"


class Budget:
    """Limits, what is spent and what is set aside; safe among threads and event loops. None = no limit.

    Args:
        calls: HTTP requests that reach a server, each try of a retried one. prompt_tokens, completion_tokens, tokens:
            read, written, both together. money: by `price`. seconds: on the clock, from the first request on;
            afterwards none is sent.
        clock: seconds, for tests.

    Money is computed from whole counts of tokens, so nothing is lost to rounding however many requests there are. Those
    that wait go in the order in which they came: a large one is not overtaken for ever by small ones.

    Raises:
        StepCreditError: a limit below 0, or money without a price.
    """

    def __init__(
        self,
        *,
        calls: int | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        tokens: int | None = None,
        money: float | None = None,
        seconds: float | None = None,
        price: Price | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = {
            "calls": calls,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "tokens": tokens,
            "money": money,
            "seconds": seconds,
        }
        self.limits: dict[str, float] = {k: v for k, v in given.items() if v is not None}
        self.price = price
        for kind, most in self.limits.items():
            if not most >= 0:
                raise StepCreditError(f"a budget of {most} {kind}; expected 0 or more")
        if money is not None and price is None:
            raise StepCreditError(
                "a budget in money needs the price of a token",
                hint="price=Price(prompt=0.15, completion=0.6), per million tokens",
            )
        self._clock = clock
        self._began: float | None = None
        self._lock = threading.Lock()
        self._used, self._held = Use(), Use()
        self._waiting: deque[tuple[Use, Future[Reservation]]] = deque()

    def reserve(self, worst: Use) -> "Reservation":
        """Set the worst case of a request aside; waits while it might fit once others have settled.

        Raises:
            BudgetSpent: it does not fit, whatever the others come to.
        """
        return self._ask(worst).result()

    async def areserve(self, worst: Use) -> "Reservation":
        """As `reserve`, within an event loop."""
        future = self._ask(worst)
        if future.done():
            return future.result()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            with self._lock:
                self._pump()
            # Granted before the cancellation came through: nobody else would give it back.
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().release()
            raise

    def charge(self, use: Use) -> None:
        """Count what was spent elsewhere, such as by the run that this one resumes."""
        with self._lock:
            self._used += use
            self._pump()

    @property
    def spent(self) -> Spent:
        """What is spent and held now."""
        with self._lock:
            money = None if self.price is None else self.price.of(self._used)
            return Spent(self._used, self._held, money, self._seconds())

    @property
    def seconds_left(self) -> float | None:
        """On the clock; None = no limit."""
        most = self.limits.get("seconds")
        return None if most is None else most - self._seconds()

    def __str__(self) -> str:
        limits = ", ".join(f"{most:,g} {kind}" for kind, most in self.limits.items()) or "no limit"
        return f"{self.spent} of {limits}"

    def _seconds(self) -> float:
        return 0.0 if self._began is None else self._clock() - self._began

    def _ask(self, worst: Use) -> "Future[Reservation]":
        future: Future[Reservation] = Future()
        with self._lock:
            if self._began is None:
                self._began = self._clock()
            self._waiting.append((worst, future))
            self._pump()
        return future

    def _pump(self) -> None:
        """Grant or refuse who waits, in order. With nothing held the first either fits or never will: none waits for
        ever."""
        while self._waiting:
            worst, future = self._waiting[0]
            if future.cancelled():
                self._waiting.popleft()
                continue
            over = self._over(self._used + worst)
            if over is None and self._over(self._used + self._held + worst) is not None:
                return
            self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            if over is not None:
                future.set_exception(BudgetSpent(over))
                continue
            self._held += worst
            future.set_result(Reservation(self, worst))

    def _over(self, use: Use) -> str | None:
        """The first limit that this total breaks."""
        if "seconds" in self.limits and self._seconds() >= self.limits["seconds"]:
            return f"the budget of {self.limits['seconds']:g} seconds is spent"
        total = {
            "calls": use.calls,
            "prompt_tokens": use.prompt,
            "completion_tokens": use.completion,
            "tokens": use.prompt + use.completion,
            "money": 0.0 if self.price is None else self.price.of(use),
        }
        for kind, most in self.limits.items():
            if kind != "seconds" and total[kind] > most:
                return f"the budget of {most:,g} {kind} is spent: with this request it might be {total[kind]:,g}"
        return None

    def _close(self, worst: Use, actual: Use) -> None:
        with self._lock:
            self._held -= worst
            self._used += actual
            self._pump()


@dataclass
class Reservation:
    """What is set aside for one request. Ended once, by `settle` or `release`; leaving its `with` block before that
    charges the worst case, as of a request whose fate nobody knows."""

    budget: Budget = field(repr=False)
    worst: Use
    open: bool = True

    def settle(self, actual: Use) -> None:
        """What it really cost."""
        if self.open:
            self.open = False
            self.budget._close(self.worst, actual)

    def release(self) -> None:
        """It was never sent."""
        self.settle(Use())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle(self.worst)


def parse(text: str, *, price: Price | None = None) -> Budget:
    """A budget as text: amounts with k, M or G and a unit, joined by commas.

    Args:
        text: units are calls, tokens, prompt_tokens, completion_tokens, usd, s, min, h.
        price: of tokens; needed for usd.

    Raises:
        StepCreditError: no amount, a unit twice, a limit that is not whole where it must be. UnknownName: no such unit.

    >>> sorted(parse("20000calls,2Mtokens,30min").limits.items())
    [('calls', 20000), ('seconds', 1800.0), ('tokens', 2000000)]
    """
    limits: dict[str, float] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMG]?)\s*([A-Za-z_]+)\s*", part)
        if found is None:
            raise StepCreditError(f"{part.strip()!r} is no part of a budget", hint=f"such as {_FORM}")
        number, scale, unit = found.groups()
        if unit not in _UNITS:
            raise UnknownName("unit of a budget", unit, _UNITS)
        kind, times = _UNITS[unit]
        if kind in limits:
            raise StepCreditError(f"the budget {text!r} limits {kind} twice")
        limits[kind] = _amount(number, _SCALES[scale] * times, kind, part)
    return Budget(price=price, **limits)  # type: ignore[arg-type]


def _amount(number: str, times: int, kind: str, part: str) -> float:
    amount = float(number) * times
    if kind in ("money", "seconds"):
        return amount
    if amount != int(amount):
        raise StepCreditError(f"{part.strip()!r} is not a whole number of {kind}")
    return int(amount)
