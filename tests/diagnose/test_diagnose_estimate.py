"""What a diagnosis will cost: nobody is asked, and a run costs no less and no more than was said."""

import pytest

from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose import diagnose
from stepcredit.diagnose.estimate import MOST, estimate
from stepcredit.errors import UnknownName


def runs(count, steps=5, outcome=0.0):
    return [
        Rollout(
            group=f"g{i}",
            rollout=f"r{i}",
            outcome=outcome,
            task="add 2 and 2",
            steps=[Step(text=f"run {i} step {t}", agent="AB"[t % 2]) for t in range(steps)],
            extra={"gold": "4"},
        )
        for i in range(count)
    ]


class Judge:
    """Always gives the same answer, and counts."""

    def __init__(self, answer):
        self.answer, self.calls, self.characters = answer, 0, 0

    def __call__(self, prompts):
        self.calls += len(prompts)
        self.characters += sum(map(len, prompts))
        return [f"<verdict0>\nstep: {self.answer}\nagent: A\n</verdict0>" for _ in prompts]


@pytest.mark.parametrize("method", ["all_at_once", "a2p", "step_by_step", "binary_search", "hybrid"])
@pytest.mark.parametrize("answer", ["0", "none", "yes", "no", "upper", "lower", "nonsense"])
def test_a_diagnosis_costs_what_was_said(method, answer):
    given, judge = runs(3), Judge(answer)
    told = estimate(given, [method])
    list(diagnose(given, [method], {"judge": judge}))
    assert told.runs == 3
    assert told.least["calls"] <= judge.calls <= told.most["calls"]
    assert told.least["tokens read"] <= judge.characters / 4 + judge.calls
    assert judge.characters / 4 <= told.most["tokens read"]


def test_methods_that_ask_nobody_cost_nothing():
    told = estimate(runs(3), ["contrast", "combined"])
    assert (told.runs, told.least, told.most) == (3, {}, {})


def test_runs_that_succeeded_cost_nothing():
    told = estimate([*runs(2), *runs(5, outcome=1.0)], ["all_at_once"])
    assert told.runs == 2 and told.least["calls"] == 2
    assert estimate(runs(5, outcome=1.0), ["all_at_once"]).most == {}
    assert estimate([], ["all_at_once"]).runs == 0


def test_options_and_several_methods_add_up():
    one = estimate(runs(2), ["all_at_once"]).least["calls"]
    assert estimate(runs(2), ["all_at_once"], options={"all_at_once": {"votes": 5}}).least["calls"] == 5 * one
    both = estimate(runs(2), ["all_at_once", "a2p"]).least["calls"]
    assert both == 2 * one


def test_of_many_runs_a_part_stands_for_all():
    told = estimate(runs(3 * MOST), ["all_at_once"])
    assert told.runs == 3 * MOST and told.least["calls"] == pytest.approx(3 * MOST)
    assert any(f"{MOST:,} of {3 * MOST:,} runs" in text for text in told.assumptions)


def test_replay_is_counted_by_its_samples_and_checks():
    told = estimate(runs(1, steps=4), ["counterfactual_replay"], options={"counterfactual_replay": {"n": 3}})
    assert told.most["samples"] == 3 * 4 and told.most["checks"] == 3 * 4


def test_names_are_checked():
    with pytest.raises(UnknownName):
        estimate(runs(1), ["contras"])
