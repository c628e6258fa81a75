import numpy as np
import pytest
from said import run, says
from worlds import WRITING, Toy, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search import solve
from stepcredit.search.policies.p_true import chance_true, options


def test_the_example_of_the_spec():
    assert chance_true(-0.3, -1.6) == pytest.approx(0.785835, abs=5e-7)
    assert chance_true(-0.3, -1.6, scale=2.5) == pytest.approx(1 / (1 + np.exp(-1.3 / 2.5)))
    assert chance_true(-800.0, -1.0) == pytest.approx(0.0, abs=1e-12) and np.isnan(chance_true(np.nan, -1.0))


def test_options_are_found_among_the_likeliest_tokens():
    assert options(["(A", "a", "B)"], np.log([0.3, 0.2, 0.1])) == pytest.approx((np.log(0.5), np.log(0.1)))
    assert options(["B", "The"], [-0.1, -5.0]) == (-5.0, -0.1), "of one that is not there the least is taken"
    assert np.isnan(options(["The", "It"], [-0.1, -5.0])).all()


@pytest.mark.parametrize("policy", ["p_true", "p_true@forcer", "p_true@judge", "p_true@steps", "p_true@vote"])
def test_the_solution_that_is_likelier_true_is_answered(policy):
    tasks = sums(20, seed=8)
    found = dict(solve(tasks, policy, models(), writing=WRITING, n=6))
    assert np.mean([f.answer == tasks[i].reference for i, f in found.items()]) >= 0.9
    scores = sorted({round(n.score, 6) for f in found.values() for n in f.tree.leaves()})
    assert scores == ([0.0, 1.0] if policy == "p_true@judge" else [0.2, 0.9])


def test_other_answers_stand_in_the_question():
    model = Scripted({"(A) True": "A", "?": ["Answer: 7", "Answer: 8", "Answer: 9"]})
    found = run("p_true@judge", {"sampler": model.sampler, "judge": model.judge}, n=3, shown=1)
    first = next(p for p in model.asked if "(A) True" in p)
    assert "another answer 1]]\n8\n" in first and "another answer 2" not in first
    assert [n.score for n in found.tree.leaves()] == [1.0, 1.0, 1.0] and found.answer == "7"


def test_a_self_check_draws_until_one_is_likely_enough():
    tasks = sums(20, seed=8)
    found = dict(solve(tasks, "p_true@self-check", models(), writing=WRITING, n=12))
    for f in found.values():
        *before, last = f.tree.leaves()
        assert last.score >= 0.5 and all(n.score < 0.5 for n in before) and f.node is last
        assert f.ledger.calls == 2 * len(f.tree.leaves())


def test_what_was_not_said_is_no_score():
    model = Scripted({"(A) True": [None, "perhaps", "False, (B)"], "?": "Answer: 7"})
    found = run("p_true@judge", {"sampler": model.sampler, "judge": model.judge}, n=3)
    assert [n.status for n in found.tree.leaves()] == ["failed", "failed", "ok"]
    assert found.tree.leaves()[1].reason == "the reply says neither True nor False" and found.node.score == 0.0


def test_a_sampler_without_likeliest_tokens_is_told():
    with pytest.raises(StepCreditError, match="likeliest next tokens"):
        run("p_true", {"sampler": says("Answer: 7").sampler})
    with pytest.raises(StepCreditError, match="scale"):
        run("p_true", models(Toy()), scale=0.0)
