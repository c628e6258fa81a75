import numpy as np
import pytest
from said import run, says, scorer
from worlds import WRITING, Toy, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.search.policies.gflownet import chances, log_reward


def test_the_log_rewards_of_the_spec():
    assert log_reward(np.array([1.0, 0.8, 0.5])) == pytest.approx([0.0, np.log(0.8), np.log(0.4)])
    assert np.isfinite(log_reward(np.array([0.0]))).all(), "a reward of 0 is floored"
    assert np.isnan(log_reward(np.array([np.nan, 0.5]))).all()


def test_solutions_are_drawn_in_proportion_to_their_reward():
    worth = scorer({"Answer: 1": 0.2, "Answer: 2": 0.6, "Answer: 3": 0.2})
    model = says("Answer: 1", "Answer: 2", "Answer: 3")
    found = run("gflownet", {"sampler": model.sampler, "scorer": worth}, n=600, width=3)
    drawn = [n.text for n in found.tree.leaves()]
    share = [drawn.count(f"Answer: {i}") / 600 for i in (1, 2, 3)]
    assert len(drawn) == 600 and share == pytest.approx([0.2, 0.6, 0.2], abs=0.05) and found.answer == "2"
    assert found.node.facts == {"chance": 0.6, "log_reward": round(np.log(0.6), 6)}


def test_beta_sharpens_and_a_step_without_a_reward_weighs_as_the_mean():
    assert chances(np.array([0.2, 0.4]), beta=2.0) == pytest.approx([0.2, 0.8])
    assert chances(np.array([0.2, np.nan, 0.6])) == pytest.approx([0.2 / 1.2, 0.4 / 1.2, 0.6 / 1.2])
    assert chances(np.array([np.nan, np.nan])).tolist() == [0.5, 0.5]


def test_whole_solutions_are_drawn_without_putting_back():
    found = run("gflownet@whole", models(), sums(1)[0], writing=WRITING, n=5, width=4)
    assert len(found.tree.leaves()) == 5 and found.ledger.calls == 20
    assert all(n.facts["chance"] > 0 for n in found.tree.leaves())


def test_a_tilt_needs_log_probabilities():
    with pytest.raises(StepCreditError, match="log-probabilities"):
        run("gflownet@reward-alone", models(Toy(logp=False)), sums(1)[0], writing=WRITING)
    with pytest.raises(StepCreditError, match="tilt=1"):
        run("gflownet@whole", models(), tilt=0.5)
