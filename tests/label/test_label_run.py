"""The pipeline: units, references, models that lack, a budget that is spent half-way."""

import numpy as np
import pytest

from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.label.run import SYSTEMS, label, per_task, works
from stepcredit.label.work import Setting
from stepcredit.llm.requests import BudgetSpent, Continue
from stepcredit.protocols import Sample


def rollout(group="p", name=0, steps=("a", "b"), outcome=1.0, task="Q", **extra):
    steps = [Step(text=s) for s in steps]
    return Rollout(group=group, rollout=name, task=task, outcome=outcome, steps=steps, extra=extra)


def sampler(prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
    return [[Sample(f"x{i}") for i in range(n)] for _ in prompts]


def verifier(answers, references):
    return np.array([float(a.endswith(r or "0")) for a, r in zip(answers, references, strict=True)])


MODELS = {"sampler": sampler, "verifier": verifier}


def test_each_rollout_is_labelled_once_whatever_order_they_end_in():
    given = [rollout(group=g, name=i) for g in "pq" for i in range(3)]
    found = dict(label(given, "math_shepherd", MODELS, n=2))
    assert [found[i][0].rollout for i in range(6)] == [0, 1, 2] * 2
    assert found[0][0].won.tolist() == [1, 0] and found[0][0].value.tolist() == [0.5, 1.0]


def test_options_may_be_text_and_unknown_ones_are_refused():
    (_, (one,)) = next(label([rollout()], "math_shepherd", MODELS, n="3"))
    assert one.drawn.tolist() == [3, 0]
    with pytest.raises(UnknownName, match="option of math_shepherd"):
        next(label([rollout()], "math_shepherd", MODELS, k=3))
    with pytest.raises(UnknownName, match="label system"):
        next(label([rollout()], "math_shepard", MODELS))


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(StepCreditError, match="asks a verifier"):
        next(label([rollout()], "math_shepherd", {"sampler": sampler}))


@pytest.mark.parametrize(
    "given, reference, told",
    [
        ({"gold": "1"}, None, "1"),
        ({"mine": 1}, "mine", "1"),
        ({}, {"p": "1"}, "1"),
        ({}, lambda record: "1", "1"),
        ({"answer": 1, "reference": 0}, None, "0"),
        ({}, None, None),
    ],
)
def test_where_the_reference_comes_from(given, reference, told):
    (((one,)),) = works([rollout(**given)], reference, Setting())
    assert one.reference == told


def test_a_field_that_is_not_there_and_rollouts_without_text_are_errors():
    with pytest.raises(DataError, match="no field 'gold2'"):
        list(works([rollout()], "gold2", Setting()))
    with pytest.raises(DataError, match="without steps"):
        list(works([rollout(steps=())], None, Setting()))
    with pytest.raises(DataError, match="task's text"):
        list(works([rollout(task=None)], None, Setting()))


def test_siblings_are_those_of_the_task():
    (first, second) = works([rollout(outcome=1.0), rollout(name=1, outcome=None), rollout("q")], None, Setting())
    assert [list(w.siblings) for w in first] == [[1.0, None]] * 2 and list(second[0].siblings) == [1.0]


def test_once_a_budget_is_spent_the_rest_is_not_judged_and_says_why():
    class Door:
        left = 2

        async def each(self, request):
            if isinstance(request, Continue):
                self.left -= 1
                if self.left < 0:
                    raise BudgetSpent("the budget of 2 calls is spent")
                return [Sample(f"x{i}") for i in range(request.n)]
            return 1.0

    door = Door()
    given = [rollout(name=i, steps=(f"a{i}", "b")) for i in range(3)]
    found = dict(label(given, "math_shepherd", {"sampler": door, "verifier": door}, n=2, at_once=1))
    assert [found[i][0].drawn[0] for i in range(3)] == [2, 2, 0]
    last = found[2][0]
    assert np.isnan(last.label).all() and set(last.reasons) == {"the budget of 2 calls is spent"}
    assert last.value[1] == 1.0 and last.first_error is None


def test_every_system_takes_a_rollout_or_a_task():
    for name in SYSTEMS.names():
        assert per_task(SYSTEMS.get(name)) in (True, False)
