"""Arrays made of others. A function's name is what it makes, its parameters are what it needs (None: optional)."""

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint._walk import Walk, walk
from stepcredit.lint.rule import Declared, NotChecked

ZERO, CLEAR = 2e-3, 2e-2
"""A mean is 0 if it is below ZERO of the scale (float16 tensors included), clearly not 0 above CLEAR."""


def token(mask: Bools, advantage: Floats) -> Ints:
    return np.flatnonzero(mask & np.isfinite(advantage))


def value(advantage: Floats, token: Ints) -> Floats:
    return advantage[token]


def value_rollout(rollout: Ints, row: Ints, token: Ints) -> Ints:
    return rollout[row[token]]


def turn_start(row: Ints, position: Ints, token: Ints, turn_id: Ints | None = None) -> Ints:
    if token.size == 0:
        return np.zeros(0, np.int64)
    r, p = row[token], position[token]
    if turn_id is None:
        new = (np.diff(r) != 0) | (np.diff(p) != 1)
    else:
        new = (np.diff(r) != 0) | (np.diff(turn_id[token]) != 0)
    return np.concatenate(([0], np.flatnonzero(new) + 1))


def turn_tokens(turn_start: Ints, token: Ints) -> Ints:
    return np.diff(np.append(turn_start, token.size))


def turn_row(row: Ints, token: Ints, turn_start: Ints) -> Ints:
    return row[token[turn_start]]


def turn_rollout(rollout: Ints, turn_row: Ints) -> Ints:
    return rollout[turn_row]


def turn_index(turn_rollout: Ints, turn_row: Ints, step_index: Ints | None = None) -> Ints:
    place = turn_row if step_index is None else step_index[turn_row]
    order = np.lexsort((np.arange(turn_row.size), place, turn_rollout))
    sorted_ = turn_rollout[order]
    first = np.searchsorted(sorted_, sorted_)
    index = np.empty(turn_row.size, np.int64)
    index[order] = np.arange(turn_row.size) - first
    return index


def turn_last(turn_index: Ints, turn_rollout: Ints, turns: Ints) -> Bools:
    last: Bools = turn_index == turns[turn_rollout] - 1
    return last


def turn_credit(value: Floats, turn_start: Ints, turn_tokens: Ints) -> Floats:
    return np.add.reduceat(value, turn_start) / turn_tokens if turn_start.size else np.zeros(0)


def turn_low(value: Floats, turn_start: Ints) -> Floats:
    return np.minimum.reduceat(value, turn_start) if turn_start.size else np.zeros(0)


def turn_high(value: Floats, turn_start: Ints) -> Floats:
    return np.maximum.reduceat(value, turn_start) if turn_start.size else np.zeros(0)


def credit(value: Floats, value_rollout: Ints, tokens: Ints) -> Floats:
    total = np.bincount(value_rollout, weights=value, minlength=tokens.size)
    mean: Floats = np.divide(total, tokens, out=np.full(tokens.size, np.nan), where=tokens > 0)
    return mean


def low(turn_low: Floats, turn_rollout: Ints, tokens: Ints) -> Floats:
    out = np.full(tokens.size, np.inf)
    np.minimum.at(out, turn_rollout, turn_low)
    return np.where(tokens > 0, out, np.nan)


def high(turn_high: Floats, turn_rollout: Ints, tokens: Ints) -> Floats:
    out = np.full(tokens.size, -np.inf)
    np.maximum.at(out, turn_rollout, turn_high)
    return np.where(tokens > 0, out, np.nan)


def tokens(value_rollout: Ints, rollout: Ints) -> Ints:
    return np.bincount(value_rollout, minlength=_count(rollout))


def turns(turn_rollout: Ints, rollout: Ints) -> Ints:
    return np.bincount(turn_rollout, minlength=_count(rollout))


def rollout_rows(turn_row: Ints, rollout: Ints) -> Ints:
    live = np.unique(turn_row)
    return np.bincount(rollout[live], minlength=_count(rollout))


def rollout_group(group: Ints, rollout: Ints) -> Ints:
    out = np.zeros(_count(rollout), np.int64)
    out[rollout[::-1]] = group[::-1]
    return out


def rollout_outcome(outcome: Floats, rollout: Ints, step_index: Ints | None = None) -> Floats:
    order = np.arange(rollout.size) if step_index is None else np.argsort(step_index, kind="stable")
    out = np.full(_count(rollout), np.nan)
    out[rollout[order]] = outcome[order]
    return out


def group_size(rollout_group: Ints) -> Ints:
    return np.bincount(rollout_group)


def group_live(rollout_group: Ints, tokens: Ints) -> Ints:
    return np.bincount(rollout_group[tokens > 0], minlength=_count(rollout_group))


def group_mean(credit: Floats, rollout_group: Ints, group_live: Ints) -> Floats:
    total = np.bincount(rollout_group, weights=np.nan_to_num(credit), minlength=group_live.size)
    mean: Floats = np.divide(total, group_live, out=np.full(group_live.size, np.nan), where=group_live > 0)
    return mean


def group_scale(credit: Floats, rollout_group: Ints, group_live: Ints) -> Floats:
    out = np.zeros(group_live.size)
    np.maximum.at(out, rollout_group, np.abs(np.nan_to_num(credit)))
    return out


def group_centered(group_mean: Floats, group_scale: Floats, group_live: Ints, scale: float) -> Ints:
    enough = (group_live >= 2) & (group_scale > 1e-6 * scale)
    share = np.abs(np.divide(group_mean, group_scale, out=np.zeros(group_scale.size), where=enough))
    return np.where(~enough, 0, np.where(share <= ZERO, 1, np.where(share >= CLEAR, -1, 0)))


def outcome_range(rollout_outcome: Floats, rollout_group: Ints, tokens: Ints) -> Floats:
    known = (tokens > 0) & np.isfinite(rollout_outcome)
    top, bottom = np.full(_count(rollout_group), -np.inf), np.full(_count(rollout_group), np.inf)
    np.maximum.at(top, rollout_group[known], rollout_outcome[known])
    np.minimum.at(bottom, rollout_group[known], rollout_outcome[known])
    most = np.finfo(float).max
    far = top / 2 - bottom / 2 > most / 2  # no number holds it: the largest there is
    wide: Floats = np.subtract(top, bottom, out=np.where(far, most, np.nan), where=(top >= bottom) & ~far)
    return wide


def scale(value: Floats) -> float:
    if not value.size:
        return 0.0
    _, size = np.frexp(np.max(np.abs(value)))  # by a power of 2, exactly: the square of 1e308 is no number
    small = np.ldexp(value, -size)
    return float(np.ldexp(np.sqrt(np.mean(small * small)), size))


def uniform(low: Floats, high: Floats, turns: Ints, tokens: Ints, scale: float, method: Declared | None = None) -> bool:
    """A declared method says so by reading nothing but outcomes. Else the rollouts with most to tell decide: those of
    several turns, or of several tokens where none has; one number per row is what it is."""
    if method is not None and method.reads is not None:
        return method.outcome_only
    told = turns >= 2 if np.any(turns >= 2) else tokens >= 2
    if not told.any():
        return True
    flat = high[told] - low[told] <= 1e-4 * scale
    return bool(flat.mean() >= 0.9)


def centers(uniform: bool, group_centered: Ints, claims: frozenset[str]) -> bool:
    """Claimed, or seen: credit that is one number per rollout and averages 0 in most groups that have any."""
    told = group_centered[group_centered != 0]
    return "centered" in claims or bool(uniform and told.size and np.mean(told == 1) >= 0.6)


def return_walk(
    returns: Floats, token_reward: Floats, mask: Bools, row: Ints, position: Ints, turn_id: Ints | None = None
) -> Walk | NotChecked:
    return walk(returns, token_reward, mask, row, position, turn_id)


def _count(ids: NDArray[np.int64]) -> int:
    return int(ids.max()) + 1 if ids.size else 0
