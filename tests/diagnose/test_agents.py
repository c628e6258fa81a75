"""Blame of agents against a slow loop over coalitions. About 2 s."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from made_runs import case, run

from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose import Case, Group
from stepcredit.diagnose.methods import agents as module
from stepcredit.diagnose.methods.agents import agents
from stepcredit.diagnose.shapley import orders
from stepcredit.errors import StepCreditError


def team(name, actions, outcome, states=True):
    """A run in which agent A00 took the first step, A01 the next, ..."""
    steps = [Step(state=t if states else None, action=a, agent=f"A{t:02d}") for t, a in enumerate(actions)]
    return Rollout(group=0, rollout=name, outcome=outcome, steps=steps)


def by_hand(group, me):
    """v of sets of names, and the names, by the docstring."""
    runs = group.rollouts
    names = sorted({s.agent for s in runs[me].steps})

    def did_well(i, name):
        return all(
            any(group.succeeded[j] and j != i and (s.state, s.action) in {(x.state, x.action) for x in o.steps}
                for j, o in enumerate(runs))
            for s in runs[i].steps if s.agent == name
        )  # fmt: skip

    well = {i: {n for n in names if did_well(i, n)} for i in range(len(runs))}
    others = [i for i in range(len(runs)) if i != me]
    mean = (sum(runs[i].outcome for i in others) + 0.5) / (len(others) + 1)

    def v(players):
        wanted = set(players) | well[me]
        like = [i for i in others if well[i] == wanted] or [i for i in others if wanted <= well[i]]
        return (sum(runs[i].outcome for i in like) + mean) / (len(like) + 1)

    return v, names


def groups(n_agents, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = int(rng.integers(3, 9))
        yield Group([
            team(i, [str(rng.integers(0, 3)) for _ in range(n_agents)], float(i > 0 and rng.random() < 0.6))
            for i in range(size)
        ])  # fmt: skip


def test_shapley_values_are_those_of_a_loop_over_coalitions_and_the_confidence_is_the_part_of_all_blame():
    checked = 0
    for group in groups(3, 120, 3):
        said = agents(Case(group, 0))
        v, names = by_hand(group, 0)
        n, phi = len(names), {}
        for a in names:
            rest = [b for b in names if b != a]
            phi[a] = sum(
                factorial(k) * factorial(n - k - 1) / factorial(n) * (v({*some, a}) - v(some))
                for k in range(n)
                for some in combinations(rest, k)
            )
        if said.status != "found":
            assert not any(group.succeeded) or max(phi.values()) <= 1e-9
            continue
        checked += 1
        assert said.evidence["phi"] == pytest.approx(phi)
        assert said.agent == max(names, key=lambda a: (phi[a], -names.index(a)))
        assert said.confidence == pytest.approx(phi[said.agent] / sum(max(p, 0) for p in phi.values()))
    assert checked > 20


def test_along_drawn_orders_coalitions_are_worth_the_same(monkeypatch):
    monkeypatch.setattr(module, "EXACT", 0)
    checked = 0
    for group in groups(4, 60, 5):
        said = agents(Case(group, 0), permutations=6)
        if said.status == "found":
            v, names = by_hand(group, 0)
            added = np.zeros((6, 4))
            for row, order in zip(added, orders(4, 6), strict=True):
                for k, i in enumerate(order):
                    came = {names[j] for j in order[:k]}
                    row[i] = v(came | {names[i]}) - v(came)
            assert list(said.evidence["phi"].values()) == pytest.approx(added.mean(axis=0).tolist())
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("n", [11, 62, 63, 64, 70, 130])
def test_any_number_of_agents_is_told_apart(n):
    right = [f"y{a}" for a in range(n)]
    wrong = [*right[:-1], "x"]
    runs = [team(0, wrong, 0.0), *(team(i, right, 1.0) for i in (1, 2, 3)), team(4, wrong, 0.0)]
    said = agents(case(*runs))
    assert (said.status, said.agent, said.step) == ("found", f"A{n - 1:02d}", n - 1)
    assert said.confidence == pytest.approx(1.0)


def test_what_a_run_did_is_no_example_for_itself():
    """The only run in which A00 took "odd" succeeded: for itself that shows nothing, for others it does."""
    group = Group([team(0, ["odd", "x"], 0.0), team(1, ["odd", "y"], 1.0), team(2, ["z", "x"], 0.0)])
    names, well = module._well(group)
    assert names == ["A00", "A01"]
    assert well.tolist() == [[True, False], [False, False], [False, False]]
    twice = Group([team(0, ["odd", "x"], 1.0), team(1, ["odd", "y"], 1.0)])
    assert module._well(twice)[1].tolist() == [[True, False], [True, False]]


def test_where_outcomes_lie_between_it_tells_means():
    runs = [team(0, ["a", "x"], 0.1), team(1, ["a", "y"], 0.75), team(2, ["a", "y"], 0.9), team(3, ["a", "z"], 0.25)]
    said = agents(case(*runs))
    assert said.agent == "A01" and "0.82 over 2 [" in said.reason and "was the mean outcome" in said.reason
    assert "0.25 over 1" in said.reason and "outcomes from 0 to 1" in said.reason


@pytest.mark.parametrize("wrong", [{"prior": 0}, {"prior": -1.0}, {"prior": float("nan")}, {"permutations": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(StepCreditError, match=f"{next(iter(wrong))}="):
        agents(case(run("a", "xy", 0.0), run("b", "xz", 1.0)), **wrong)
