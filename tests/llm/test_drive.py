"""Plans are run side by side: batched for functions, one by one for doors, with errors where they belong."""

import asyncio
import random

import numpy as np
import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import adrive, collect, drive
from stepcredit.llm.requests import Ask, BudgetSpent, Check, Continue, Failed, Score
from stepcredit.protocols import Sample


class Echo:
    """A sampler that notes how large its batches are."""

    def __init__(self):
        self.batches = []

    def __call__(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        self.batches.append(len(prompts))
        return [[Sample(f"{p}{i}") for i in range(n)] for p in prompts]


class Door:
    """A server of which some replies take longer."""

    def __init__(self, fail_at=None):
        self.most = self.now = self.calls = 0
        self.fail_at = fail_at

    async def each(self, request):
        self.calls += 1
        if self.calls == self.fail_at:
            raise BudgetSpent("no more calls")
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(random.Random(request.prompt).random() / 100)
        self.now -= 1
        return [Sample(request.prompt + "!")]


def twice(prompt):
    (first,) = yield [Continue(prompt)]
    (second,) = yield [Continue(first[0].text)]
    return second[0].text


def test_plans_that_wait_for_a_function_share_its_calls():
    echo = Echo()
    found = dict(drive((twice(c) for c in "abcdef"), {"sampler": echo}))
    assert [found[i] for i in range(6)] == [f"{c}00" for c in "abcdef"]
    assert echo.batches == [6, 6]


def test_no_more_plans_are_under_way_than_told():
    echo = Echo()
    assert len(dict(drive((twice(c) for c in "abcdef"), {"sampler": echo}, at_once=2))) == 6
    assert max(echo.batches) <= 2


def test_requests_of_other_settings_go_in_other_calls():
    echo = Echo()

    def ask(n):
        (samples,) = yield [Continue("x", n=n)]
        return len(samples)

    assert sorted(v for _, v in drive([ask(1), ask(2), ask(2)], {"sampler": echo})) == [1, 2, 2]
    assert sorted(echo.batches) == [1, 2]


def test_doors_are_asked_at_once_and_plans_end_in_their_own_time():
    door = Door()
    found = list(drive((twice(str(i)) for i in range(40)), {"sampler": door}))
    assert dict(found) == {i: f"{i}!!" for i in range(40)}
    assert door.most > 5
    assert [i for i, _ in found] != list(range(40))


def test_doors_and_functions_mix():
    def both(text):
        (samples,) = yield [Continue(text)]
        right, good = yield [Check(samples[0].text, "x!"), Score(text, samples[0].text)]
        return right, good

    models = {
        "sampler": Door(),
        "verifier": lambda a, r: [float(x == y) for x, y in zip(a, r, strict=True)],
        "scorer": lambda p, s: [len(x) / 10 for x in s],
    }
    found = dict(drive([both("x"), both("yy")], models))
    assert found == {0: (1.0, 0.2), 1: (0.0, 0.3)}


def test_what_was_not_answered_is_failed_with_its_reason():
    def ask():
        return (yield [Ask("a"), Ask("b")])

    def score():
        return (yield [Score("a", "b")])

    models = {"judge": lambda prompts: ["yes", None], "scorer": lambda p, s: [float("nan")]}
    ((_, replies),) = drive([ask()], models)
    assert replies == ["yes", Failed("the judge did not answer")]
    ((_, scores),) = drive([score()], models)
    assert isinstance(scores[0], Failed)


def test_a_spent_budget_is_raised_in_the_plan_which_may_end_with_what_it_has():
    def careful(prompt):
        got = []
        try:
            while True:
                (samples,) = yield [Continue(prompt)]
                got.append(samples[0].text)
        except BudgetSpent:
            return got

    assert list(drive([careful("a")], {"sampler": Door(fail_at=4)})) == [(0, ["a!"] * 3)]
    with pytest.raises(BudgetSpent, match="no more calls"):
        dict(drive([twice("a")], {"sampler": Door(fail_at=2)}))


def test_an_error_of_a_model_ends_the_run_and_the_other_plans():
    closed = []

    def patient():
        try:
            yield [Continue("x")]
            yield [Continue("x")]
        finally:
            closed.append(1)

    def broken(prompts, **_):
        raise RuntimeError("the model is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        list(drive([patient(), patient()], {"sampler": broken}))
    assert closed == [1, 1]


def test_a_model_that_is_not_there_or_miscounts_is_told():
    with pytest.raises(StepCreditError, match="asks for a sampler; there are: judge"):
        list(drive([twice("a")], {"judge": print}))
    with pytest.raises(StepCreditError, match="0 replies to 1 request"):
        list(drive([twice("a")], {"sampler": lambda prompts, **_: []}))


def test_leaving_early_closes_every_plan():
    closed = []

    def endless():
        try:
            while True:
                yield [Continue("x")]
        finally:
            closed.append(1)

    def short():
        yield [Continue("x")]

    for _ in drive([endless(), short(), endless()], {"sampler": Echo()}):
        break
    assert closed == [1, 1]


def test_the_same_within_an_event_loop():
    async def main():
        found = await collect([twice(c) for c in "ab"], {"sampler": Echo()})
        inside = dict(drive([twice("c")], {"sampler": Echo()}))  # as in a notebook
        got = [one async for one in adrive([twice("d")], {"sampler": Door()})]
        return found, inside, got

    assert asyncio.run(main()) == (["a00", "b00"], {0: "c00"}, [(0, "d!!")])


def test_a_plan_that_asks_nothing_ends():
    def idle():
        yield []
        return 7

    assert list(drive([idle()], {})) == [(0, 7)]
    assert list(drive([], {})) == []


@pytest.mark.parametrize("asked", [None, Ask("a"), "abc", [1]])
def test_a_plan_that_yields_something_else_is_told_what_it_must_yield(asked):
    def wrong():
        yield asked

    with pytest.raises(StepCreditError, match="must yield a list of requests; got"):
        list(drive([wrong()], {"judge": print}))


@pytest.mark.parametrize("plan", [None, [], twice])
def test_what_is_no_plan_is_told(plan):
    with pytest.raises(StepCreditError, match="a plan is a generator; got"):
        list(drive([plan], {}))


@pytest.mark.parametrize("n", [1, 2])
def test_a_model_that_is_closed_under_a_plan_ends_the_run_instead_of_never(n):
    class Closed:
        async def each(self, request):
            raise asyncio.CancelledError

    def asking():
        yield [Ask("a", draw=i) for i in range(n)]

    async def soon():
        async with asyncio.timeout(10):
            return await collect([asking()], {"judge": Closed()})

    with pytest.raises(StepCreditError, match="plan 0 was given up"):
        asyncio.run(soon())


@pytest.mark.parametrize("given", [None, iter(["yes"]), "y", 7])
def test_a_model_that_gives_no_list_is_told(given):
    def asking():
        yield [Ask("a")]

    with pytest.raises(StepCreditError, match=r"the judge gave .*expected a list"):
        list(drive([asking()], {"judge": lambda prompts: given}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (float("inf"), Failed("the verifier gave no number")),
        (2.0, Failed("the verifier gave 2; expected 1 (right) to 0 (wrong)")),
        (-1, Failed("the verifier gave -1; expected 1 (right) to 0 (wrong)")),
    ],
)
def test_a_verdict_is_a_share_or_it_is_none(given, expected):
    def checking():
        return (yield [Check("a", "b")])

    ((_, (verdict,)),) = drive([checking()], {"verifier": lambda a, r: [given]})
    assert verdict == expected


def test_a_score_may_be_large_but_is_a_number():
    def scoring():
        return (yield [Score("a", "b")])

    assert list(drive([scoring()], {"scorer": lambda p, s: [7]})) == [(0, [7.0])]
    with pytest.raises(StepCreditError, match="the scorer gave 'yes'; expected a number"):
        list(drive([scoring()], {"scorer": lambda p, s: ["yes"]}))
