"""A budget is never overspent, and nobody waits for ever."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm.budget import Budget, Price, Use, parse
from stepcredit.llm.requests import BudgetSpent


class Meter:
    """What is under way, as whoever is paid sees it."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), Use(), Use()

    def enter(self, use):
        with self.lock:
            self.now += use
            self.most = Use(*(max(a, b) for a, b in zip(*map(figures, (self.most, self.now)), strict=True)))

    def leave(self, worst, actual):
        with self.lock:
            self.now = self.now - worst + actual


def figures(use):
    return use.calls, use.prompt, use.completion


def requests(n, seed=0):
    rng = random.Random(seed)
    for _ in range(n):
        worst = Use(1, rng.randint(1, 50), rng.randint(1, 100))
        yield worst, Use(1, rng.randint(0, worst.prompt), rng.randint(0, worst.completion))


def test_64_threads_never_exceed_a_limit_even_for_a_moment():
    budget, meter = Budget(calls=500, tokens=20_000), Meter()

    def one(pair):
        worst, actual = pair
        try:
            held = budget.reserve(worst)
        except BudgetSpent:
            return Use()
        meter.enter(worst)
        meter.leave(worst, actual)
        held.settle(actual)
        return actual

    with ThreadPoolExecutor(64) as pool:
        total = sum(pool.map(one, requests(2000)), Use())
    assert budget.spent.used == total and budget.spent.reserved == Use()
    assert meter.most.calls <= 500 and meter.most.prompt + meter.most.completion <= 20_000
    assert total.calls == 500 or total.prompt + total.completion > 20_000 - 150


def test_64_coroutines_never_exceed_a_limit_even_for_a_moment():
    budget, meter = Budget(tokens=20_000, money=0.01, price=Price(0.5, 1.0)), Meter()
    spent = []

    async def work(coming):
        for worst, actual in coming:
            held = await budget.areserve(worst)
            meter.enter(worst)
            await asyncio.sleep(0)
            meter.leave(worst, actual)
            held.settle(actual)
            spent.append(actual)

    async def main():
        coming = requests(2000)
        return await asyncio.gather(*(work(coming) for _ in range(64)), return_exceptions=True)

    ends = asyncio.run(main())
    assert any(isinstance(e, BudgetSpent) for e in ends)
    assert budget.spent.used == sum(spent, Use()) and budget.spent.reserved == Use()
    assert meter.most.prompt + meter.most.completion <= 20_000
    assert budget.spent.money <= 0.01


def test_what_might_fit_waits_and_what_never_can_is_refused_at_once():
    budget = Budget(tokens=100)
    first = budget.reserve(Use(1, 60, 0))
    with pytest.raises(BudgetSpent, match="100 tokens"):
        budget.reserve(Use(1, 101, 0))
    got = []
    waiting = threading.Thread(target=lambda: got.append(budget.reserve(Use(1, 90, 0))))
    waiting.start()
    assert got == []
    first.settle(Use(1, 10, 0))
    waiting.join()
    assert got[0].worst.prompt == 90 and budget.spent.reserved.prompt == 90


def test_one_that_waited_is_refused_once_the_others_have_cost_too_much():
    budget = Budget(tokens=100)
    first = budget.reserve(Use(1, 60, 0))

    async def main():
        waiting = asyncio.create_task(budget.areserve(Use(1, 90, 0)))
        await asyncio.sleep(0)
        first.settle(Use(1, 50, 0))
        with pytest.raises(BudgetSpent):
            await waiting

    asyncio.run(main())


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones():
    budget = Budget(tokens=100)
    first = budget.reserve(Use(1, 50, 0))

    async def main():
        large = asyncio.create_task(budget.areserve(Use(1, 80, 0)))
        await asyncio.sleep(0)
        small = asyncio.create_task(budget.areserve(Use(1, 10, 0)))
        await asyncio.sleep(0)
        assert not large.done() and not small.done()
        first.settle(Use(1, 5, 0))
        assert (await large).worst.prompt == 80
        assert (await small).worst.prompt == 10

    asyncio.run(main())


def test_who_gives_up_waiting_holds_nothing_and_blocks_nobody():
    budget = Budget(tokens=100)
    first = budget.reserve(Use(1, 50, 0))

    async def main():
        gone = asyncio.create_task(budget.areserve(Use(1, 80, 0)))
        late = asyncio.create_task(budget.areserve(Use(1, 80, 0)))
        await asyncio.sleep(0)
        late_too = asyncio.create_task(budget.areserve(Use(1, 10, 0)))
        await asyncio.sleep(0)
        gone.cancel()
        late.cancel()
        await asyncio.gather(gone, late, return_exceptions=True)
        assert (await late_too).worst.prompt == 10
        unlucky = asyncio.create_task(budget.areserve(Use(1, 90, 0)))
        await asyncio.sleep(0)
        first.release()  # the other 10 are still held: 90 fit, and the grant meets the cancellation
        unlucky.cancel()
        await asyncio.gather(unlucky, return_exceptions=True)

    asyncio.run(main())
    assert budget.spent.reserved == Use(1, 10, 0)


def test_an_unknown_fate_is_charged_at_its_worst_and_one_never_sent_costs_nothing():
    budget = Budget(calls=10)
    with pytest.raises(TimeoutError), budget.reserve(Use(1, 7, 9)):
        raise TimeoutError
    assert budget.spent.used == Use(1, 7, 9)
    with budget.reserve(Use(1, 7, 9)) as held:
        held.release()
    assert budget.spent.used == Use(1, 7, 9)
    held.settle(Use(1, 1, 1))  # closed: counted once
    assert budget.spent.used == Use(1, 7, 9)


def test_no_request_begins_after_the_time_and_those_before_are_counted():
    now = [0.0]
    budget = Budget(seconds=10, clock=lambda: now[0])
    now[0] = 100.0  # nobody has asked yet: the clock has not begun
    held = budget.reserve(Use(1))
    now[0] = 109.0
    assert budget.seconds_left == 1.0
    now[0] = 110.0
    with pytest.raises(BudgetSpent, match="10 seconds"):
        budget.reserve(Use(1))
    held.settle(Use(1, 3, 4))
    assert budget.spent.used == Use(1, 3, 4)


def test_money_does_not_drift_over_many_requests():
    budget = Budget(money=1.0, price=Price(0.1, 0.3))
    for _ in range(10_000):
        budget.reserve(Use(1, 1, 1)).settle(Use(1, 1, 1))
    assert budget.spent.money == 10_000 * 0.4 / 1e6


def test_a_budget_is_read_from_text():
    budget = parse("20000calls, 2.5Mtokens,5usd,30min", price=Price(1, 2))
    assert budget.limits == {"calls": 20_000, "tokens": 2_500_000, "money": 5.0, "seconds": 1800.0}
    assert parse("1kprompt_tokens,2h").limits == {"prompt_tokens": 1000, "seconds": 7200.0}
    assert str(parse("10calls")) == "0 calls, 0 tokens read, 0 written, 0 s of 10 calls"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no part of a budget"),
        ("calls", "no part of a budget"),
        ("5", "no part of a budget"),
        ("-5calls", "no part of a budget"),
        ("5cals", "did you mean 'call"),
        ("5calls,6calls", "limits calls twice"),
        ("1.5calls", "not a whole number"),
        ("5usd", "price of a token"),
    ],
)
def test_a_text_that_is_no_budget_says_why(text, says):
    with pytest.raises(StepCreditError, match=says):
        parse(text)


def test_a_limit_below_nothing_is_refused():
    with pytest.raises(StepCreditError, match="expected 0 or more"):
        Budget(tokens=-1)
