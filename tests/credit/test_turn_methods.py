"""Methods that compare steps at a turn, in a state, in a pool or in random groups: edges and trees."""

import numpy as np
import pytest

from stepcredit.credit import get, on_columns
from stepcredit.credit.compare import grouping
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout, Paths
from stepcredit.errors import StepCreditError
from stepcredit.testing import random_batch, run

# Two rollouts share their first step: 0-1 and 0-2.
FORK = Layout(np.array([0, 0]), np.array([0, 0, 1]), shared=Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2])))


def credit(name, layout, **columns):
    return run(get(name), Batch(layout, {n: np.asarray(v) for n, v in columns.items()}))["credit"]


def test_answers_of_one_mode_need_the_mode():
    rows = {"group": [0, 0], "rollout": [0, 1], "score": [1, 0], "outcome": [1, 0]}
    with pytest.raises(StepCreditError, match="no column 'action'"):
        on_columns("kat_step_srpo", rows, answers="mode")


def test_a_shared_decision_has_the_mean_of_its_answers():
    got = credit("kat_step_srpo", FORK, score=[1.0, 0.0, 0.0], outcome=[1.0, 0.0])
    np.testing.assert_allclose(got, [0, np.sqrt(0.5), -np.sqrt(0.5)], atol=2e-6)


def test_a_shared_turn_is_one_gain_of_the_pool_and_has_the_mean_of_what_follows():
    got = credit("igpo@official-mean", FORK, gain=[0.4, np.nan, np.nan], outcome=[1.0, 0.0])
    np.testing.assert_allclose(got, [0, 0.5, -0.5])
    alone = Layout(np.array([0, 0, 0]), np.array([0, 0, 1, 2, 2]), shared=None)
    got = credit("igpo@official-mean", alone, gain=[0.4, 0, 0, 0.1, 0], outcome=[1.0, 0.0, 0.5])
    np.testing.assert_allclose(got, [0.65, 0.5, -0.5, -0.15, 0])


def test_the_best_step_of_a_shared_path_counts_for_both_rollouts():
    options = {"compare": "best", "spread": "none"}
    batch = Batch(FORK, {"reward": np.array([1.0, 3.0, 0.0])})
    np.testing.assert_allclose(run(get("step_grpo").given(options), batch)["credit"], [0, 1, -1])


def test_what_was_drawn_is_what_is_compared():
    batch = random_batch(4, empty=False)
    batch = Batch(batch.layout, {n: v for n, v in batch.columns.items() if n != "outcome"})
    (merge,) = grouping(batch, "srgpo").values()
    assert merge.largest == min(16, batch.layout.S)


def test_the_draw_follows_the_seed():
    rng = np.random.default_rng(0)
    batch = Batch(
        Layout(np.zeros(6, int), np.repeat(np.arange(6), 4)), {"reward": np.zeros(24), "score": rng.random(24)}
    )
    drawn = [run(get("srgpo").given({"size": 4, "seed": seed}), batch)["credit"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_a_miss_can_turn_only_where_the_factor_is_below_zero():
    rows = {"group": [0, 0], "rollout": [0, 1], "reward": [1, 0]}
    hit, miss = on_columns("gui_libra", rows, spread="none", offset=-0.5, slope=0.5)
    assert (hit, miss) == (0.5, 0.125)


def test_a_step_of_unknown_reward_leaves_the_rest_of_its_rollout_to_immediate_comparisons():
    rows = {"group": [0] * 4, "rollout": [0, 0, 1, 1], "reward": [1, None, 0, 1], "state": [0, 1, 0, 1]}
    for name in ("vpr", "f_grpo", "hi_agent", "step_grpo_a"):
        assert np.isnan(on_columns(name, rows)).tolist() == [False, True, False, False]
    assert np.isnan(on_columns("gigpo", rows)).tolist() == [True, True, False, False]


def test_an_answer_after_a_wrong_one_earns_nothing_even_if_it_is_right():
    rows = {"group": [0] * 4, "rollout": [0, 0, 1, 1], "label": [-1, 1, 1, 1]}
    np.testing.assert_allclose(on_columns("scrl", rows, spread="none"), [-0.5, -0.5, 0.5, 0.5])
