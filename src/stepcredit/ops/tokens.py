"""Between steps and sampled tokens."""

import numpy as np

from stepcredit.data.layout import Floats, Ints, Layout, Paths, path_mean


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


def step_mean(layout: Layout, token: Floats) -> Floats:
    """[K] -> [S]: mean over the step's tokens; NaN for a step without."""
    step = layout.tokens
    own = step >= 0
    n = np.bincount(step[own], minlength=layout.S)
    total = np.bincount(step[own], weights=np.asarray(token, float)[own], minlength=layout.S)
    mean: Floats = np.divide(total, n, out=np.full(layout.S, np.nan), where=n > 0)
    return mean
