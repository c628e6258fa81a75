"""OPRL against a loop over rollouts and steps, and its log-ratios from tokens."""

import numpy as np
import pytest

from stepcredit.credit import assign, on_columns
from stepcredit.data import Batch
from stepcredit.errors import MissingColumn
from stepcredit.ops import step_sum
from stepcredit.testing import random_batch


def others(i, group, x):
    rest = [x[j] for j in range(len(x)) if j != i and group[j] == group[i]]
    return x[i] - sum(rest) / len(rest) if rest else x[i]


@pytest.mark.parametrize("seed", range(20))
def test_each_term_is_a_value_minus_the_mean_of_the_others(seed):
    batch = random_batch(seed, empty=False, tree=False)
    lay, r = batch.layout, 0.05 * batch["logratio"]
    rollout = [others(i, lay.group, batch["outcome"]) for i in range(lay.R)]
    step = [others(i, lay.step_group, r) for i in range(lay.S)]
    want = np.array(rollout)[lay.rollout] + 2 * np.array(step)
    np.testing.assert_allclose(assign(batch, "oprl", step_weight=2.0).values, want, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_log_ratios_of_tokens_are_summed_over_the_step(seed):
    batch = random_batch(seed)
    lay, ratio = batch.layout, batch["token_logratio"]
    tokens = Batch(lay, {"outcome": batch["outcome"], "token_logratio": ratio})
    steps = Batch(lay, {"outcome": batch["outcome"], "logratio": step_sum(lay, ratio)})
    made = assign(tokens, "oprl")
    np.testing.assert_array_equal(made.values, assign(steps, "oprl").values)
    assert "logratio: the sum of token_logratio over each step's tokens" in made.notes


def test_without_log_ratios_the_error_names_what_makes_them():
    with pytest.raises(MissingColumn, match=r"'logratio' \[S\]"):
        on_columns("oprl", {"rollout": [0], "outcome": [1]})


def test_where_all_succeed_only_the_steps_count():
    given = {"rollout": [0, 1], "outcome": [1, 1], "logratio": [2, 4]}
    np.testing.assert_allclose(on_columns("oprl", given, beta=1.0), [-2, 2])


def test_a_lone_rollout_keeps_its_raw_values_as_released():
    given = {"rollout": [0, 0], "outcome": [1, 1], "logratio": [2, 4]}
    np.testing.assert_allclose(on_columns("oprl@released", given, beta=1.0), [3, 5])
    np.testing.assert_allclose(on_columns("oprl@released", given, beta=1.0, lone="zero"), [0, 0])


def test_a_rollout_of_unknown_outcome_is_in_no_baseline():
    given = {"rollout": [0, 1, 2], "outcome": [1, 0, None], "logratio": [2, 4, 9]}
    np.testing.assert_allclose(on_columns("oprl", given, beta=1.0), [1 - 2, -1 + 2, np.nan])
