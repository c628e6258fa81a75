import numpy as np
import pytest
from said import run, says, scorer
from worlds import WRITING, chain, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search import solve
from stepcredit.search.policies.mcts import geometric_mean


def test_an_expansion_backs_up_the_expanded_step_and_its_complete_children():
    """The spec's example, below a first step of value .2: +1, -1 and .2 are backed up to it."""
    model = Scripted({"first\n": ["Answer: 1", "Answer: 2", "open\n"], "?": "first\n"})
    worth = scorer({"first": 0.2, "Answer: 1": 1.0, "Answer: 2": -1.0, "open": 0.9})
    given = {"prior": "even", "expand": 3, "iterations": 2}
    found = run("alphamath_mcts", {"sampler": model.sampler, "scorer": worth}, **given)
    first = found.tree.root.children[0]
    assert (first.visits, first.value) == (3, pytest.approx(0.2 / 3))
    assert [(n.value, n.visits) for n in first.children[:3]] == [(1.0, 1), (-1.0, 1), (0.0, 0)]
    assert found.answer == "1"


def test_equal_steps_are_one():
    found = run(
        "mcts", {"sampler": says("a\n", "a \n", "Answer: 1").sampler, "scorer": scorer({})}, iterations=1, expand=3
    )
    assert [(n.text, n.kept) for n in found.tree.nodes[1:]] == [("a", True), ("a ", False), ("Answer: 1", True)]
    assert found.ledger.score == 2


def test_the_prior_of_alphamath_is_a_geometric_mean():
    assert geometric_mean(np.log(0.25), 2) == pytest.approx(0.5) and np.isnan(geometric_mean(-1.0, None))


def test_openr_goes_on_to_a_complete_solution_each_time():
    found = dict(solve(sums(1), "mcts@openr", models(), writing=WRITING, iterations=1))[0]
    assert len([n for n in found.tree.leaves() if n.visits]) == 1
    assert [n.visits for n in found.node.path] == [1] * len(found.node.path)
    priors = [n.prior for n in found.tree.root.children if n.kept]
    assert sum(priors) == pytest.approx(1.0)


def test_nobody_descends_into_a_rollout():
    found = dict(solve(sums(1), "mcts@uct", models(), writing=WRITING, iterations=6))[0]
    rolled = [n for n in found.tree.nodes if n.facts.get("rollout")]
    assert rolled and all(c.facts.get("rollout") for n in rolled for c in n.children)
    assert all(n.visits == 0 for n in rolled)


def test_an_outcome_of_a_live_environment_may_be_the_value_of_an_end():
    found = dict(solve([chain()], "mcts", models(), writing=WRITING, ends="outcome", iterations=20))[0]
    ended = [n for n in found.tree.nodes if n.ended and n.kept]
    assert found.node.outcome == 1.0 and all(n.score == n.outcome for n in ended)
    with pytest.raises(StepCreditError, match="live environment"):
        run("mcts", models(), ends="outcome")


def test_where_the_scorer_has_no_value_it_still_answers():
    worth = scorer({}, default=float("nan"))
    found = run("mcts", {"sampler": says("a\n", "b\n").sampler, "scorer": worth}, iterations=3, limits={"calls": 40})
    assert found.stopped in ("done", "budget") and not any(n.visits for n in found.tree.nodes)
