"""What follows a step: returns, gated and minimum forms, lambda-returns, differences. Every walk goes along paths."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Bools, Floats, Ints, Layout, Paths
from stepcredit.errors import LayoutError


def scan(a: Floats, b: Floats | float, left: Ints) -> Floats:
    """Solve y_t = a_t + b_t * y_{t+1} backward inside every run, without a loop over time.

    Doubling: after pass j each y_t reaches 2^j rows ahead, so log2(longest run) passes over the arrays.

    Args:
        a: [n] own part. b: [n] or a number, what is passed on from the row after.
        left: [n] rows of the same run that follow (0 at its last); nothing crosses a run's end.
    """
    y = np.array(a, float)
    longest = int(left.max()) if left.size else 0
    reach = 1
    if isinstance(b, np.ndarray):
        b = np.array(b, float)
        while reach <= longest:
            inside = left[:-reach] >= reach
            # 0 * NaN is NaN: a closed gate must not let a missing value through.
            open_ = inside & (b[:-reach] != 0)
            y[:-reach] += np.multiply(b[:-reach], y[reach:], where=open_, out=np.zeros(y.size - reach))
            b[:-reach] *= b[reach:]
            reach *= 2
        return y
    carries = b != 0  # not b itself: b ** reach may underflow, and a missing value far ahead still is one
    while reach <= longest and carries:
        inside = left[:-reach] >= reach
        y[:-reach] += np.multiply(y[reach:], b, where=inside, out=np.zeros(y.size - reach))
        b, reach = b * b, reach * 2
    return y


def returns(layout: Layout, reward: Floats, gamma: float = 1.0, *, gate: Bools | None = None) -> Floats:
    """[S] discounted return G_t = r_t + gamma * gate_t * G_{t+1}.

    Args:
        reward: [S]. gamma: discount per step.
        gate: [S] a closed step (False) keeps its own reward, receives nothing and passes nothing on: its
            predecessor starts anew from its own reward (UI-S1).

    Returns:
        [S]; a step that several rollouts share gets the mean of its returns along them.
    """
    r, left = layout.along(np.asarray(reward, float)), layout.paths.left
    if gate is None:
        return layout.merge(scan(r, gamma, left))
    open_ = np.asarray(gate, bool)
    onward = np.zeros_like(open_, float) + gamma
    onward = layout.along(onward * open_)
    after = np.zeros_like(onward)
    after[:-1] = layout.along(open_)[1:]
    return layout.merge(scan(r, onward * after, left))


def so_far(layout: Layout, x: Floats) -> Floats:
    """[S] sum of x from the first step up to this one, this one included. NaN anywhere before is NaN.

    >>> so_far(Layout(np.array([0, 0]), np.array([0, 0, 1])), np.array([1.0, 2.0, 4.0]))
    array([1., 3., 4.])
    """
    back, turn = layout.along(np.asarray(x, float))[::-1], layout.paths.turn[::-1]
    return layout.merge(scan(back, 1.0, turn)[::-1])


def future_min(layout: Layout, x: Floats) -> Floats:
    """[S] G_t = min(x_t, G_{t+1}): the worst value from here to the end. NaN anywhere ahead is NaN."""
    y, left = np.array(layout.along(np.asarray(x, float))), layout.paths.left
    reach, longest = 1, int(left.max()) if left.size else 0
    while reach <= longest:
        ahead = np.where(left[:-reach] >= reach, y[reach:], np.inf)
        y[:-reach] = np.minimum(y[:-reach], ahead)
        reach *= 2
    return layout.merge(y)


def softmin_weight(layout: Layout, x: Floats, temperature: float) -> Floats:
    """[S] w_t = softmax_t(-x_t / temperature) over the steps of the rollout (1 / steps at infinite temperature)."""
    x, rollout = layout.along(np.asarray(x, float)), layout.paths.rollout
    lowest = np.full(layout.R, np.inf)
    np.minimum.at(lowest, rollout, np.where(np.isnan(x), np.inf, x))
    e = np.exp(-(x - lowest[rollout]) / temperature)
    return layout.merge(e / np.bincount(rollout, weights=e, minlength=layout.R)[rollout])


def ahead(mark: Bools, left: Ints) -> Ints:
    """[n] row of the nearest marked row of the same run from here on, this one included; -1 where there is none.

    Args:
        mark: [n]. left: [n] rows of the same run that follow (0 at its last).

    >>> ahead(np.array([False, True, False, False]), np.array([2, 1, 0, 0]))
    array([ 1,  1, -1, -1])
    """
    row = np.arange(mark.size)
    nearest = np.minimum.accumulate(np.where(mark, row, mark.size)[::-1])[::-1]
    return np.where(nearest - row <= left, nearest, -1)


def behind(mark: Bools, turn: Ints) -> Ints:
    """[n] row of the nearest marked row of the same run up to here, this one included; -1 where there is none.

    Args:
        mark: [n]. turn: [n] rows of the same run that come before (0 at its first).
    """
    row = np.arange(mark.size)
    nearest = np.maximum.accumulate(np.where(mark, row, -1))
    return np.where(row - nearest <= turn, nearest, -1)


def gae(reward: Floats, value: Floats, left: Ints, gamma: float, lam: float) -> Floats:
    """[n] generalized advantage: delta_t = r_t + gamma V_{t+1} - V_t; A_t = delta_t + gamma lam A_{t+1}.

    Args:
        reward, value: [n] per unit (step or sampled token), V of the state that the unit was taken in.
        left: [n] units of the same rollout that follow; V after the last is 0.

    Tokens that the policy did not sample are not rows here, so nothing is cut or discounted at them.
    """
    value = np.asarray(value, float)
    after = np.zeros_like(value)
    after[:-1] = np.where(left[:-1] > 0, value[1:], 0.0)
    return scan(np.asarray(reward, float) + gamma * after - value, gamma * lam, left)


def difference(layout: Layout, potential: Floats, *, end: Floats | None = None, gamma: float = 1.0) -> Floats:
    """[S] gamma * phi_{t+1} - phi_t, what the step did to the potential of the state it was taken in.

    Args:
        potential: [S] phi of the state before each step.
        end: [R] phi after the last step (the outcome, say); None: 0.
    """
    phi, paths = layout.along(np.asarray(potential, float)), layout.paths
    after = np.zeros_like(phi)
    after[:-1] = phi[1:]
    final = paths.left == 0
    after[final] = 0.0 if end is None else np.asarray(end, float)[paths.rollout[final]]
    return layout.merge(gamma * after - phi)


def increment(layout: Layout, after: Floats, *, start: Floats | None = None) -> Floats:
    """[S] phi_t - phi_{t-1} where phi_t is known after each step; a first step has phi_0 - start ([R]), NaN if None."""
    phi, paths = layout.along(np.asarray(after, float)), layout.paths
    before = np.empty_like(phi)
    before[1:] = phi[:-1]
    first = paths.turn == 0
    before[first] = np.nan if start is None else np.asarray(start, float)[paths.rollout[first]]
    return layout.merge(phi - before)


def runs(paths: Paths, key: NDArray[Any]) -> Ints:
    """[P] number of the run each place of a path is in: a maximal stretch of equal keys, which ends with its path.

    >>> runs(Paths(np.array([0, 3, 4]), np.arange(4)), np.array([1, 1, 0, 0]))
    array([0, 0, 1, 2])
    """
    new = np.ones(paths.rows.size, bool)
    new[1:] = (key[1:] != key[:-1]) | (paths.turn[1:] == 0)
    return np.cumsum(new) - 1


def earlier(layout: Layout, mask: Bools) -> Ints:
    """[S] how many steps before this one, on the way here, the mask holds for.

    >>> earlier(Layout(np.array([0]), np.array([0, 0, 0])), np.array([True, False, True]))
    array([0, 1, 1])
    """
    paths = layout.paths
    there = layout.along(np.asarray(mask, bool))
    before = np.cumsum(there) - there
    out = np.zeros(layout.S, np.int64)
    out[paths.rows] = before - before[paths.start[:-1][paths.rollout]]
    return out


def rollout_mean(layout: Layout, x: Floats, *, weight: Floats | None = None) -> Floats:
    """[S] -> [R]: mean over the judged steps of each rollout's path; NaN for a rollout without any.

    Args:
        x: [S], NaN = not judged. weight: [P] how much a step counts on each path; None: equally.
    """
    x, rollout = layout.along(np.asarray(x, float)), layout.paths.rollout
    judged = np.flatnonzero(~np.isnan(x))
    x, rollout, w = x[judged], rollout[judged], None if weight is None else weight[judged]
    first = np.full(layout.R, np.nan)
    first[rollout[::-1]] = x[::-1]  # as the distance to one of them: equal values have exactly their mean
    total = np.bincount(
        rollout, weights=x - first[rollout] if w is None else w * (x - first[rollout]), minlength=layout.R
    )
    mass = np.bincount(rollout, weights=w, minlength=layout.R)
    mean: Floats = first + np.divide(total, mass, out=np.full(layout.R, np.nan), where=mass > 0)
    return mean


def at_last(layout: Layout, outcome: Floats) -> Floats:
    """[R] -> [S]: the outcome on the last step of each rollout, 0 elsewhere; a shared last step gets the mean.

    Raises:
        LayoutError: a rollout ends at a step that others go on from: what stands there would be counted as theirs too.
    """
    reward, last = np.zeros(layout.S), layout.last
    some = last >= 0
    if layout.is_tree:
        inner = np.isin(last, layout.previous) & some & (outcome != 0)
        if inner.any():
            r = int(np.argmax(inner))
            raise LayoutError(
                f"rollout {r} ends at step {last[r]}, which other rollouts go on from: its outcome cannot be a reward "
                "of that step",
                hint="end the rollout with a step of its own, or use a method that takes outcomes",
            )
    n = np.bincount(last[some], minlength=layout.S)
    total = np.bincount(last[some], weights=np.asarray(outcome, float)[some], minlength=layout.S)
    np.divide(total, n, out=reward, where=n > 0)
    return reward


def max_abs(x: NDArray[np.floating], by: Ints) -> Floats:
    """[cells] largest |x| of each cell, NaN left out; 0 for a cell without values."""
    largest = np.zeros(int(by.max()) + 1 if by.size else 0)
    np.maximum.at(largest, by, np.where(np.isnan(x), 0.0, np.abs(x)))
    return largest


def since(layout: Layout, turn: Ints) -> Bools:
    """[S] is the step at or after the turn ([R]) of a rollout that passes it?

    >>> since(Layout(np.array([0, 0]), np.array([0, 0, 1])), np.array([1, 0]))
    array([False,  True,  True])
    """
    paths = layout.paths
    late = paths.turn >= turn[paths.rollout]
    passed: Bools = np.bincount(paths.rows[late], minlength=layout.S) > 0
    return passed
