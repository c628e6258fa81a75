"""SPO-chain against a loop over tokens, and at its edges: certain tokens, unmeasured prefixes, batches of them."""

import math

import numpy as np
import pytest

from stepcredit.credit import assign, on_columns
from stepcredit.data import Batch, Layout

P9 = math.log(0.9)


def plain(values, tokens, outcome):
    """Credit per token of one rollout, from left to right: at each measured prefix what it changed since the last."""
    ends, at = {}, 0
    for t, n in enumerate(tokens):
        if not math.isnan(values[t]):
            ends[at] = values[t]
        at += n
    base = ends.pop(0, None)
    ends[at] = outcome
    credit, before = [], 0
    for end in sorted(ends):
        credit += [0.0 if base is None else ends[end] - base] * (end - before)
        base, before = ends[end], end
    return credit


@pytest.mark.parametrize("seed", range(60))
def test_a_loop_over_tokens_says_the_same(seed):
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 6, 4)
    tokens = rng.integers(1, 4, steps.sum())
    value = np.where(rng.random(steps.sum()) < 0.4, np.nan, rng.integers(0, 9, steps.sum()) / 8)
    outcome, rollout = rng.integers(0, 2, 4).astype(float), np.repeat(np.arange(4), steps)
    layout = Layout(np.zeros(4, int), rollout, token_step=np.repeat(np.arange(steps.sum()), tokens))
    want = [x for r in range(4) for x in plain(value[rollout == r], tokens[rollout == r], outcome[r])]
    got = assign(Batch(layout, {"value": value, "outcome": outcome}), "spo_chain")
    np.testing.assert_allclose(got.values, want, atol=1e-12)


def test_a_probability_of_exactly_the_threshold_keeps_its_credit_and_does_not_train():
    given = {"rollout": [0] * 3, "value": [0.25] * 3, "outcome": [1] * 3, "token_step": [0, 1, 2]}
    logp = [np.nextafter(P9, -1), P9, np.nextafter(P9, 0)]
    made = on_columns("spo_chain", {**given, "value": [0.25, None, None], "token_old_logp": logp})
    np.testing.assert_array_equal(made.credit, [0.75, 0.75, 0])
    assert made.train_mask.tolist() == [True, False, False]


def test_without_probabilities_every_token_trains():
    made = assign(
        Batch(Layout(np.array([0]), np.array([0])), {"value": np.zeros(1), "outcome": np.ones(1)}), "spo_chain"
    )
    assert made.extras == {} and made.values.tolist() == [1.0]


def test_a_token_of_unknown_probability_is_not_judged_and_does_not_train():
    given = {"rollout": [0], "value": [0], "outcome": [1], "token_step": [0, 0], "token_old_logp": [None, -1]}
    made = on_columns("spo_chain", given)
    np.testing.assert_array_equal(made.credit, [np.nan, 1])
    assert made.train_mask.tolist() == [False, True]


def test_a_batch_without_a_token_that_trains_is_whitened_over_all_of_them():
    given = {"rollout": [0, 1], "value": [0.75, 0.25], "outcome": [1, 1], "token_old_logp": [P9, P9]}
    made = on_columns("spo_chain@official", given)
    np.testing.assert_allclose(made.credit, np.array([-0.25, 0.25]) / math.sqrt(0.125 + 1e-8), atol=1e-12)
    assert not made.train_mask.any()


def test_whitening_counts_only_tokens_that_train():
    given = {"rollout": [0, 0, 1], "value": [0.5, 0.5, 0.25], "outcome": [1, 1, 0], "token_old_logp": [-1, -0.01, -1]}
    made = on_columns("spo_chain@official", given)
    # 0 and -.25 are trained: mean -.125, sample variance .03125
    np.testing.assert_allclose(made.credit[[0, 2]], np.array([0.125, -0.125]) / math.sqrt(0.03125 + 1e-8), atol=1e-12)


def test_a_rollout_without_a_measured_prefix_has_no_credit():
    made = on_columns("spo_chain", {"rollout": [0, 0], "value": [None, None], "outcome": [1, 1]})
    np.testing.assert_array_equal(np.asarray(made), [0, 0])
