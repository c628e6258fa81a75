"""Shapley values and the flow of data; the member that blames agents. About 1 s."""

import json
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from made_runs import case

from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.diagnose.methods.agents import agents
from stepcredit.diagnose.shapley import (
    agent_edges,
    ancestors,
    chain,
    coalitions,
    dataflow_graph,
    members,
    orders,
    reverse_edges,
    shapley_along,
    shapley_exact,
    shapley_permutation,
)
from stepcredit.errors import LayoutError, StepCreditError

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "cdc_mas.json").read_text())


def by_definition(values, n):
    """The mean over all orders of what each player adds."""
    phi = np.zeros(n)
    for order in permutations(range(n)):
        mask = 0
        for i in order:
            phi[i] += values[mask | 1 << i] - values[mask]
            mask |= 1 << i
    return phi / factorial(n)


def test_the_worked_example_of_cdc_mas():
    names = GOLDEN["agents"]
    values = [GOLDEN["v"]["".join(names[i] for i in members(mask))] for mask in range(8)]
    phi = shapley_exact(values)
    assert dict(zip(names, phi, strict=True)) == pytest.approx(GOLDEN["phi"])
    assert phi.sum() == pytest.approx(1.0) and names[int(np.argmax(phi))] == GOLDEN["blamed"]
    assert [list(e) for e in reverse_edges(GOLDEN["edges"])] == GOLDEN["reversed"]
    assert ancestors([tuple(e) for e in GOLDEN["edges"]], "A") == GOLDEN["candidates"]["A"]


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_exact_values_are_the_mean_over_all_orders_and_share_out_the_whole(n):
    values = np.random.default_rng(n).normal(size=1 << n)
    phi = shapley_exact(values)
    assert phi == pytest.approx(by_definition(values, n))
    assert phi.sum() == pytest.approx(values[-1] - values[0])
    drawn = shapley_along(dict(enumerate(values)), n, list(permutations(range(n))))
    assert drawn.phi == pytest.approx(phi)


def test_players_that_add_nothing_get_nothing_and_alike_players_get_the_same():
    values = [float(mask & 1) + 0.5 * ((mask >> 1 & 1) + (mask >> 2 & 1)) for mask in range(16)]
    assert shapley_exact(values) == pytest.approx([1.0, 0.5, 0.5, 0.0])


def test_drawn_orders_come_near_the_exact_values_and_ask_for_each_coalition_once():
    asked = []

    def value(players):
        asked.append(players)
        return len(players) ** 2 / 36

    drawn = shapley_permutation(value, 6, permutations=400, seed=3)
    assert len(asked) == len(set(asked)) <= 64
    assert np.all(np.abs(drawn.phi - 1 / 6) < 4 * drawn.sd + 1e-9) and drawn.phi.sum() == pytest.approx(1.0)
    assert drawn.phi.tolist() == shapley_permutation(value, 6, permutations=400, seed=3).phi.tolist()


def test_orders_come_with_their_reverse_and_name_the_coalitions_they_need():
    drawn = orders(4, 3, seed=1)
    assert len(drawn) == 3 and drawn[1] == drawn[0][::-1]
    assert coalitions(2) == [0, 1, 2, 3] and coalitions(3, [[1, 0, 2]]) == [0, 2, 3, 7]
    assert np.isnan(shapley_along({0: 0.0, 1: 1.0}, 1, [[0]]).sd).all()
    with pytest.raises(StepCreditError, match="permutations=0"):
        orders(3, 0)
    with pytest.raises(LayoutError, match=r"coalition \[1\]"):
        shapley_along({0: 0.0}, 2, [[1, 0]])
    with pytest.raises(LayoutError, match="2\\^n"):
        shapley_exact([0.0, 1.0, 2.0])
    with pytest.raises(LayoutError, match="2\\^n"):
        shapley_exact([])
    assert shapley_exact([0.5]).shape == (0,)


@pytest.mark.parametrize("permutations", [50, 31])
def test_the_standard_error_is_the_spread_over_seeds(permutations):
    """Orders come in pairs whose errors partly cancel."""

    def value(players):
        return float(0 in players and 1 in players and 2 not in players) + len(players) ** 1.5

    drawn = [shapley_permutation(value, 5, permutations=permutations, seed=seed) for seed in range(400)]
    spread = np.std([one.phi for one in drawn], axis=0, ddof=1)
    told = np.sqrt(np.mean([one.sd**2 for one in drawn], axis=0))
    assert told == pytest.approx(spread, rel=0.12)


def test_a_pair_is_one_draw_and_other_orders_are_one_each():
    def value(players):
        return float(len(players) ** 2)

    assert shapley_permutation(value, 4, permutations=50).sd == pytest.approx(np.zeros(4))
    assert np.isnan(shapley_permutation(value, 4, permutations=2).sd).all()
    table = {mask: float(mask) ** 2 for mask in range(8)}
    given = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    added = np.array([shapley_along(table, 3, [order]).phi for order in given])
    assert shapley_along(table, 3, given).sd == pytest.approx(added.std(axis=0, ddof=1) / np.sqrt(3))


def test_a_step_that_uses_a_name_rests_on_the_step_that_brought_it():
    steps = [
        Step(text="Look it up", tool_calls=[ToolCall(name="find", arguments={"q": "who"})], observation="Ada Lovelace"),
        Step(text="nothing here"),
        Step(text="It was Lovelace."),
        Step(text="ok"),
    ]
    edges = dataflow_graph(steps)
    assert (0, 2) in edges and (1, 2) not in edges and (2, 3) in edges
    assert ancestors(edges, 3) == [2, 0]
    assert agent_edges(edges, ["S", "T", "A", "A"]) == [("S", "T"), ("S", "A")]
    assert chain(["U", "U", "S", "A", "S"]) == [("U", "S"), ("S", "A"), ("A", "S")]


def test_ancestors_of_a_cycle_end():
    assert ancestors([("a", "b"), ("b", "a")], "a") == ["b"]


def team(name, did, outcome):
    """Three agents, each with its own place; `did`: what each does there."""
    steps = [Step(agent=a, state=f"{a}'s turn", action=d) for a, d in zip("ABC", did, strict=True)]
    return Rollout(group="g", rollout=name, outcome=outcome, steps=steps, final_state="end")


def test_the_agent_that_fails_where_others_succeed_gets_the_blame():
    good = [team(f"good{i}", "ggg", 1.0) for i in range(4)]
    lost = [team(f"lost{i}", "gbg", 0.0) for i in range(3)]
    said = agents(case(team("bad", "gbg", 0.0), *good, *lost))
    assert (said.status, said.agent, said.step) == ("found", "B", 1)
    assert said.evidence["well"] == {"A": True, "B": False, "C": True} and said.evidence["phi"]["A"] == 0
    assert "4 of 4" in said.reason and "0 of 3" in said.reason and said.confidence == pytest.approx(1.0)
    assert np.nanargmax(said.scores) == 1


def test_of_two_agents_that_did_otherwise_the_harmless_one_gets_less():
    runs = [team(f"good{i}", "ggg", 1.0) for i in range(4)]
    runs += [team(f"odd{i}", "xgg", 1.0) for i in range(1)] + [team(f"lost{i}", "gbg", 0.0) for i in range(4)]
    said = agents(case(team("bad", "xbg", 0.0), *runs))
    assert said.agent == "B" and said.evidence["phi"]["B"] > 3 * abs(said.evidence["phi"]["A"])


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([Rollout(group=0, rollout=0, outcome=0.0, steps=[Step(agent="A", action="x")])], "fewer than two agents"),
        ([team("bad", "gbg", 0.0), team("other", "ggg", 0.0)], "known to have succeeded"),
        ([team("bad", "ggg", 0.0), team("a", "ggg", 1.0), team("b", "ggg", 1.0)], "no agent did other"),
    ],
)
def test_where_agents_cannot_be_compared_it_says_so(runs, words):
    said = agents(case(*runs))
    assert said.status == "unknown" and words in said.reason


def test_many_agents_are_drawn_in_orders():
    names = [f"agent{i}" for i in range(12)]

    def made(name, bad, outcome):
        steps = [Step(agent=a, state=a, action="bad" if a == bad else "good") for a in names]
        return Rollout(group="g", rollout=name, outcome=outcome, steps=steps, final_state="end")

    runs = [made("bad", "agent7", 0.0), *(made(f"good{i}", None, 1.0) for i in range(3)), made("lost", "agent7", 0.0)]
    said = agents(case(*runs), permutations=20)
    assert said.agent == "agent7" and said.step == 7


def test_a_strong_prior_draws_coalitions_together():
    runs = [team("bad", "gbg", 0.0), *(team(f"good{i}", "ggg", 1.0) for i in range(4)), team("lost", "gbg", 0.0)]
    weak, strong = (agents(case(*runs), prior=p).evidence["phi"]["B"] for p in (0.1, 20.0))
    assert 0 < strong < weak
