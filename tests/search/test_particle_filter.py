import numpy as np
import pytest
from said import run, says, scorer
from worlds import WRITING, chain, models, sums

from stepcredit.search import solve
from stepcredit.search.policies.particle_filter import log_odds
from stepcredit.search.weighing import effective_size, softmax


def test_what_is_not_known_weighs_as_the_mean_of_the_others():
    assert softmax(log_odds(np.array([0.5, np.nan, 0.75]))) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert softmax(np.array([np.nan, np.nan])).tolist() == [0.5, 0.5]
    assert effective_size(softmax(np.zeros(4))) == pytest.approx(4.0)


def test_a_particle_is_weighed_by_what_its_odds_changed_by():
    worth = scorer({"a": 0.8, "b": 0.5, "Answer: 1": 0.8, "Answer: 2": 0.5})
    said = ["a\n", "b\n", "a\n", "b\n", *["Answer: 1"] * 4]
    found = run("particle_filter", {"sampler": says(*said).sampler, "scorer": worth}, n=4)
    first = [n.facts["weight"] for n in found.tree.nodes if n.depth == 1]
    assert first == pytest.approx([0.4, 0.1, 0.4, 0.1])
    last = [n for n in found.tree.nodes if n.depth == 2]
    odds = [4.0 / (4.0 if n.parent.text == "a" else 1.0) for n in last]
    assert [n.facts["weight"] for n in last] == pytest.approx(np.array(odds) / sum(odds), abs=1e-6)


def test_the_latest_odds_are_the_weight_at_its_hub():
    worth = scorer({"a": 0.8, "b": 0.5, "Answer: 1": 0.8, "Answer: 2": 0.5})
    said = ["a\n", "b\n", "a\n", "b\n", *["Answer: 1", "Answer: 2"] * 2]
    found = run("particle_filter@its-hub", {"sampler": says(*said).sampler, "scorer": worth}, n=4)
    assert [n.facts["weight"] for n in found.tree.nodes if n.depth == 2] == pytest.approx([0.4, 0.1, 0.4, 0.1])


def test_where_half_the_particles_would_do_they_are_drawn_anew():
    worth = scorer({"a": 0.6, "b": 0.5, "Answer: 1": 0.6})
    said = ["a\n", "b\n", "a\n", "b\n", *["Answer: 1"] * 4]
    found = run("particle_filter@ess", {"sampler": says(*said).sampler, "scorer": worth}, n=4)
    assert not any("weight" in n.facts for n in found.tree.nodes) and all(n.kept for n in found.tree.nodes)


def test_gibbs_goes_on_from_where_its_reference_stands():
    found = dict(solve(sums(1, length=5), "particle_filter@gibbs", models(), writing=WRITING, n=16, seed=3))[0]
    assert found.answer == found.task.reference
    assert found.ledger.calls <= 16 * 5


@pytest.mark.parametrize("choose", ["best", "sample", "vote"])
def test_any_choice_is_among_the_final_particles(choose):
    tasks = sums(20, seed=6)
    found = dict(solve(tasks, "particle_filter", models(), writing=WRITING, n=12, choose=choose))
    assert np.mean([f.answer == tasks[i].reference for i, f in found.items()]) > 0.9
    assert all(f.node in f.tree.leaves() for f in found.values())


def test_particles_act_in_a_live_environment():
    found = dict(solve([chain(length=5)], "particle_filter", models(), writing=WRITING, n=8))[0]
    assert found.node.outcome == 1.0 and found.ledger.tool == found.ledger.calls
