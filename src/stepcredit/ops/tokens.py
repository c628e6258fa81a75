"""Between steps and sampled tokens."""

from typing import Literal

import numpy as np

from stepcredit.data.layout import Floats, Ints, Layout, Paths, path_mean

Pooling = Literal["mean", "last", "position"]


def to_tokens(layout: Layout, credit: Floats) -> Floats:
    """[S] -> [K]: every token gets its step's number; a token of no step is not judged (NaN)."""
    step = layout.tokens
    if layout.S == 0:
        return np.full(step.size, np.nan)
    spread: Floats = np.where(step < 0, np.nan, np.asarray(credit, float)[step])
    return spread


def on_last_token(layout: Layout, reward: Floats) -> Floats:
    """[S] -> [K]: a step's number on its last token, 0 on the others (PRM reward placement).

    A step without tokens has nowhere to put its number; the sum over tokens is then short of the sum over steps.
    """
    out, step = np.zeros(layout.K), layout.tokens
    last = np.full(layout.S, -1, np.int64)
    own = np.flatnonzero(step >= 0)
    last[step[own]] = own
    some = last >= 0
    out[last[some]] = np.asarray(reward, float)[some]
    return out


def token_rollout(layout: Layout) -> Ints:
    """[K] rollout of each token; -1 for a token of no step."""
    step = layout.tokens
    if layout.S == 0:
        return np.full(step.size, -1, np.int64)
    return np.where(step < 0, -1, layout.rollout[step])


def token_batch(layout: Layout) -> Ints:
    """[K] training batch of each token, numbered from 0; 0 for a token of no step."""
    return np.append(layout.batches, 0)[token_rollout(layout)]


def token_paths(layout: Layout) -> Paths:
    """Rollout -> its sampled tokens in order. Tokens may stand in any order of steps; one of no step is on no path, and
    a shared step's tokens are on the path of every rollout that passes it.

    >>> two = Layout(np.array([0, 0]), np.array([0, 0, 1]), token_step=np.array([2, 0, 0, -1, 1]))
    >>> token_paths(two).start, token_paths(two).rows
    (array([0, 3, 4]), array([1, 2, 4, 0]))
    """
    step = layout.tokens
    by_step = np.argsort(step, kind="stable")[int(np.sum(step < 0)) :]
    count = layout.step_tokens
    first = np.cumsum(count) - count
    steps = layout.paths.rows
    length = count[steps]
    before = np.concatenate(([0], np.cumsum(length)))
    inside = np.arange(before[-1]) - np.repeat(before[:-1], length)
    return Paths(before[layout.paths.start], by_step[np.repeat(first[steps], length) + inside])


def merge_tokens(layout: Layout, paths: Paths, x: Floats) -> Floats:
    """[token paths] -> [K]: a shared token gets the mean over the paths through it that are judged; NaN if none is, and
    for a token of no step."""
    return path_mean(paths, x, layout.K)


def step_sum(layout: Layout, token: Floats) -> Floats:
    """[K] -> [S]: sum over the step's tokens; 0 for a step without."""
    own = layout.tokens >= 0
    weights = np.asarray(token, float)[own]
    return np.bincount(layout.tokens[own], weights=weights, minlength=layout.S).astype(float)


def step_mean(layout: Layout, token: Floats) -> Floats:
    """[K] -> [S]: mean over the step's tokens; NaN for a step without."""
    n = layout.step_tokens
    mean: Floats = np.divide(step_sum(layout, token), n, out=np.full(layout.S, np.nan), where=n > 0)
    return mean


def step_pool(layout: Layout, token: Floats, pooling: Pooling) -> Floats:
    """[K] -> [S]: the step's tokens as one number; NaN for a step without.

    Args:
        token: [K] a number per sampled token.
        pooling: "mean"; "last", that of the last token; "position", the mean with weight 1 / k at the step's k-th.
    """
    step, n = layout.tokens, layout.step_tokens
    by_step = np.argsort(step, kind="stable")[int(np.sum(step < 0)) :]
    of = step[by_step]
    place = np.arange(of.size) - (np.cumsum(n) - n)[of]
    weight = {"mean": np.ones(of.size), "last": (place == n[of] - 1) * 1.0, "position": 1.0 / (place + 1.0)}[pooling]
    # Not weight * token: 0 * NaN is NaN, and a token that does not count may be unknown.
    parts = np.multiply(weight, np.asarray(token, float)[by_step], out=np.zeros(of.size), where=weight > 0)
    total, size = (np.bincount(of, weights=x, minlength=layout.S) for x in (parts, weight))
    pooled: Floats = np.divide(total, size, out=np.full(layout.S, np.nan), where=size > 0)
    return pooled
