"""What labelling would cost, without asking anybody."""

import numpy as np
import pytest

from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError
from stepcredit.label import estimate as module
from stepcredit.label.estimate import estimate
from stepcredit.label.run import SYSTEMS, label
from stepcredit.label.work import Setting
from stepcredit.protocols import Sample


def rollouts(tasks=4, n=3, steps=5):
    return [
        Rollout(
            group=f"p{g}",
            rollout=i,
            task=f"Q{g}",
            outcome=float(i == 0),
            steps=[Step(text=f"text {g} {i} {t}") for t in range(steps)],
        )
        for g in range(tasks)
        for i in range(n)
    ]


def test_a_system_that_looks_at_nothing_costs_what_it_will_cost():
    given, asked = rollouts(), []

    def sampler(prompts, *, n, **setting):
        asked.extend(prompts)
        return [[Sample("x")] * n for _ in prompts]

    for _ in label(given, "math_shepherd", {"sampler": sampler, "verifier": lambda a, r: np.ones(len(a))}, n=4):
        pass
    told = estimate(given, "math_shepherd", n=4)
    assert told.mean["calls"] == told.most["calls"] == len(asked) == 4 * 3 * 4
    assert told.mean["samples"] == told.mean["checks"] == 4 * len(asked)
    assert told.rate == pytest.approx(1 / 3)
    assert told.most["tokens written"] == 1024 * told.most["samples"] > told.mean["tokens written"] > 0


def test_a_system_that_stops_early_has_a_mean_below_its_most():
    told = estimate(rollouts(), "math_shepherd@first-zero", n=2, rate=0.3)
    assert told.mean["calls"] < told.most["calls"] == 48
    assert estimate(rollouts(), "math_shepherd@first-zero", n=2, rate=0.0).mean["calls"] == 12
    assert told == estimate(rollouts(), "math_shepherd@first-zero", n=2, rate=0.3)


def test_solutions_that_begin_alike_share_what_is_asked():
    given = rollouts(tasks=1, n=2)
    given[1].steps[:2] = given[0].steps[:2]
    assert estimate(given, "math_shepherd", n=1).mean["calls"] == 2 + 2 * 2


def test_of_many_rollouts_a_part_stands_for_all(monkeypatch):
    monkeypatch.setattr(module, "MOST", 12)
    told = estimate(rollouts(tasks=40), "math_shepherd", n=1)
    assert told.mean["calls"] == 40 * 3 * 4
    assert "12 of 120 rollouts were looked at" in told.assumptions


def test_samples_are_as_long_as_allowed_at_most():
    told = estimate(rollouts(), "math_shepherd", n=1, setting=Setting(max_tokens=2))
    assert told.most["tokens written"] == 2 * told.most["samples"]


def test_what_is_assumed_is_said_and_must_make_sense():
    assert any("chance of 25.0%" in line for line in estimate(rollouts(), "math_shepherd", rate=0.25).assumptions)
    for wrong in ({"rate": 1.5}, {"seeds": 0}):
        with pytest.raises(StepCreditError, match="an estimate needs"):
            estimate(rollouts(), "math_shepherd", **wrong)
    with pytest.raises(StepCreditError, match="an estimate needs"):
        estimate([], "math_shepherd")


@pytest.mark.parametrize("name", SYSTEMS.names(presets=True))
def test_every_system_has_an_estimate(name):
    told = estimate(rollouts(tasks=1), name)
    assert all(0 <= told.mean.get(what, 0) <= most for what, most in told.most.items())
    assert told.mean.keys() <= told.most.keys() and np.isfinite(list(told.most.values())).all()
