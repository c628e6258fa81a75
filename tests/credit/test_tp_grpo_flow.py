"""Turning points against a plain loop over each rollout, in trees too, and what balancing keeps."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_trees import cases, forest

from stepcredit.credit import get, on_columns

option = st.sampled_from
GRID = np.array([0.0, 0.1, 0.25, 0.4, 0.5, 0.8])


def sign(x):
    return int(x > 0) - int(x < 0)


def turning(v, end, first, consistent, positive_only, any_flip):
    """Numbers of the turning points among the steps t = 1 ... n of a rollout with completions v_0 ... v_n."""
    gain, found = end - v[0], []
    d = [None, *(v[t] - v[t - 1] for t in range(1, len(v)))]
    for t in range(1, len(v)):
        with_trend, goes_on = sign(d[t]) * sign(gain) > 0, sign(d[t]) * sign(end - v[t]) > 0
        if t == 1:
            is_one = first != "none" and with_trend and (goes_on or first == "agree")
        else:
            is_one = d[t - 1] * d[t] < 0 if any_flip else sign(d[t - 1]) * sign(gain) < 0 and with_trend
            is_one = is_one and (gain > 0 or not positive_only) and (goes_on or not consistent)
        if is_one:
            found.append(t)
    return found


def rewards(v, end, found, main, bonus, replace, propagate):
    """r_1 ... r_n of a rollout."""
    out = []
    for t in range(1, len(v)):
        parts = {"increment": v[t] - v[t - 1], "rest": end - v[t - 1], "gain": end - v[0], "outcome": end}
        times = float(t in found)
        if propagate:
            rest = {u: end - v[u - 1] for u in found}
            times = sum(rest[u] > 0 for u in found if u <= t) + sum(rest[u] < 0 for u in found if u >= t)
        kept = 0.0 if replace and times else parts[main]
        out.append(kept + 0.5 * times * parts["rest" if propagate else bonus])
    return out


@settings(max_examples=300)
@given(
    cases,
    st.integers(0, 2**32),
    option(["none", "agree", "consistent"]),
    st.tuples(*[st.booleans()] * 5),
    option(["increment", "gain", "outcome"]),
    option(["rest", "increment", "gain", "outcome"]),
)
def test_rewards_are_those_of_a_loop_over_each_rollout(rollouts, seed, first, flags, main, bonus):
    """A shared step is paid the mean over its rollouts of known outcome; then steps of one index are compared."""
    consistent, positive_only, any_flip, replace, propagate = flags
    walks, group, outcome = (list(c) for c in zip(*rollouts, strict=True))
    tree, row = forest(walks, group)
    value, after = np.random.default_rng(seed).choice(GRID, (2, tree.S))
    inner = tree.previous >= 0
    value[inner] = after[tree.previous[inner]]
    paid = {s: [] for s in row.values()}
    for way, g, end in rollouts:
        steps = [row[g, way[: k + 1]] for k in range(len(way))]
        if steps and not math.isnan(end):
            v = [value[steps[0]], *after[steps]]
            found = turning(v, end, first, consistent, positive_only, any_flip)
            for s, r in zip(steps, rewards(v, end, found, main, bonus, replace, propagate), strict=True):
                paid[s].append(r)
    mean = np.array([np.mean(paid[s]) if paid[s] else math.nan for s in range(tree.S)])
    want = np.full(tree.S, math.nan)
    for s in range(tree.S):
        peers = mean[(tree.turn == tree.turn[s]) & (tree.step_group == tree.step_group[s]) & ~np.isnan(mean)]
        if not math.isnan(mean[s]):
            want[s] = (mean[s] - peers.mean()) / (peers.std() + 0.1)
    names = ("consistent", "positive_only", "any_flip", "replace", "propagate")
    options = {
        "first": first,
        "main": main,
        "bonus": bonus,
        "eta": 0.5,
        "eps": 0.1,
        **dict(zip(names, flags, strict=True)),
    }
    got = get("tp_grpo_flow").function(tree, value, after, np.array(outcome), **options)
    np.testing.assert_allclose(got, want, atol=1e-9)


def one_step(rests):
    """Rollouts of one step that are all turning points: half of the rest is the increment."""
    n = len(rests)
    half = [r / 2 for r in rests]
    return {"group": [0] * n, "rollout": list(range(n)), "value": [0.0] * n, "next_value": half, "outcome": rests}


@pytest.mark.parametrize(
    ("rests", "paid"),
    [
        ([0.8, 0.6, -0.4], [0.8, 0.3, -0.4]),  # the smaller of the two ups keeps its increment
        ([0.8, -0.6, -0.2, -0.4, 0.1], [0.8, -0.6, -0.1, -0.4, 0.1]),  # two of either sign
        ([0.8, 0.6, 0.4], [0.8, 0.6, 0.4]),  # no downs: all stay
        ([0.6, 0.6, 0.9, -0.4, -0.5], [0.45, 0.45, 0.9, -0.4, -0.5]),  # two share one place: half increment, half bonus
    ],
)
def test_balance_keeps_as_many_ups_as_downs(rests, paid):
    columns = one_step(rests)
    got = on_columns("tp_grpo_flow", columns, balance=True, eps=0.0)
    np.testing.assert_allclose(got, (np.array(paid) - np.mean(paid)) / np.std(paid), atol=1e-12)


def test_balance_counts_each_training_batch_alone():
    columns = one_step([0.8, 0.6, -0.4, 0.8, 0.6, 0.4])
    columns["group"], columns["batch"] = [0, 0, 0, 1, 1, 1], [5, 5, 5, 9, 9, 9]
    got = on_columns("tp_grpo_flow", columns, balance=True)
    np.testing.assert_allclose(got[:3], on_columns("tp_grpo_flow", one_step([0.8, 0.6, -0.4]), balance=True))
    np.testing.assert_allclose(got[3:], on_columns("tp_grpo_flow", one_step([0.8, 0.6, 0.4])))


def test_no_gain_makes_no_turning_point():
    columns = {"rollout": [0, 0, 1, 1], "value": [0.5, 0.4, 0.5, 0.5], "next_value": [0.4, 0.6, 0.5, 0.9]}
    columns["outcome"] = [0.5, 0.5, 0.9, 0.9]
    got = on_columns("tp_grpo_flow", columns, first="agree", consistent=False, eps=0.0)
    # Increments -.1, .2 of the first; of the second 0, .4, which is also its rest: the step before did not go down.
    np.testing.assert_allclose(got, [-1, -1, 1, 1])
