"""Between steps and sampled tokens."""

import numpy as np

from stepcredit.data.layout import Floats, Ints, Layout


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


def token_left(layout: Layout) -> Ints:
    """[K] sampled tokens of the same rollout that follow; rows of one rollout must stand together."""
    rollout = token_rollout(layout)
    if rollout.size == 0:
        return np.zeros(0, np.int64)
    edge = np.flatnonzero(np.diff(rollout)) + 1
    end = np.concatenate((edge, [rollout.size]))
    length = np.diff(np.concatenate(([0], end)))
    return np.repeat(end, length) - 1 - np.arange(rollout.size)


def step_mean(layout: Layout, token: Floats) -> Floats:
    """[K] -> [S]: mean over the step's tokens; NaN for a step without."""
    step = layout.tokens
    own = step >= 0
    n = np.bincount(step[own], minlength=layout.S)
    total = np.bincount(step[own], weights=np.asarray(token, float)[own], minlength=layout.S)
    mean: Floats = np.divide(total, n, out=np.full(layout.S, np.nan), where=n > 0)
    return mean
