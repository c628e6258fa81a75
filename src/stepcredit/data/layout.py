"""How the axes join: tasks, rollouts, steps, tokens. Flat rows, no padding, explicit ids."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.errors import LayoutError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def as_ints(x: ArrayLike, name: str) -> Ints:
    """A one-dimensional int64 array that cannot be written into, or a LayoutError that names the column."""
    array = np.asarray(x)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise LayoutError(f"{name} must be a flat list of integers; got {array.dtype} of shape {array.shape}")
    view = array.astype(np.int64, copy=False).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Paths:
    """Rollout -> its step rows in order, compressed: rollout i walks `rows[start[i]:start[i+1]]`.

    start: [R + 1]. rows: [P]. Where no step is shared, P = S and rows = 0, 1, ..., S - 1.
    """

    start: Ints
    rows: Ints

    @cached_property
    def length(self) -> Ints:
        """[R] steps on each path."""
        return np.diff(self.start)

    @cached_property
    def rollout(self) -> Ints:
        """[P] rollout that walks here."""
        return np.repeat(np.arange(self.length.size), self.length)

    @cached_property
    def turn(self) -> Ints:
        """[P] 0 for the first step of its path."""
        return np.arange(self.rows.size) - self.start[:-1][self.rollout]

    @cached_property
    def left(self) -> Ints:
        """[P] steps that follow on the path; 0 at its last."""
        return self.start[1:][self.rollout] - 1 - np.arange(self.rows.size)


def path_mean(paths: Paths, x: Floats, size: int) -> Floats:
    """[P] -> [size]: mean over the paths through each row, NaN left out; NaN for a row without any."""
    judged = ~np.isnan(x)
    rows = paths.rows[judged]
    n = np.bincount(rows, minlength=size)
    mean = np.full(size, np.nan)
    np.divide(np.bincount(rows, weights=x[judged], minlength=size), n, out=mean, where=n > 0)
    return mean


@dataclass(frozen=True, eq=False)
class Layout:
    """Joins the axes.

    Args:
        group: [R] task of each rollout, 0 <= group < G. Any order, any group sizes.
        rollout: [S] rollout that stores each step, ascending. A rollout may have no step.
        shared: Paths, where rollouts share steps (a tree); None: a rollout's path is its own rows.
        token_step: [K] step of each sampled token, -1 = no step; None: each step counts as one token.
        batch: [R] training batch of each rollout; None: one batch.

    Raises:
        LayoutError: lengths, order or ranges that do not fit.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> two.steps, two.turn, two.total(np.array([1.0, 2.0, 4.0]))
    (array([2, 1]), array([0, 1, 0]), array([3., 4.]))
    """

    group: Ints
    rollout: Ints
    shared: Paths | None = None
    token_step: Any = None
    batch: Any = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "group", as_ints(self.group, "group"))
        set_(self, "rollout", as_ints(self.rollout, "rollout"))
        if self.group.size and self.group.min() < 0:
            raise LayoutError("group ids must be 0 or more", hint="encode your own keys with stepcredit.data.encode")
        if self.rollout.size:
            if np.any(np.diff(self.rollout) < 0):
                at = int(np.argmax(np.diff(self.rollout) < 0)) + 1
                raise LayoutError(
                    f"step rows must be sorted by rollout; row {at} belongs to rollout {self.rollout[at]} "
                    f"but row {at - 1} to {self.rollout[at - 1]}",
                    hint="sort the rows (np.argsort(rollout, kind='stable')), or use stepcredit.data.from_columns",
                )
            if self.rollout[0] < 0 or self.rollout[-1] >= self.R:
                raise LayoutError(f"rollout ids must lie in 0..{self.R - 1}; got {self.rollout[0]}..{self.rollout[-1]}")
        for name, size in (("token_step", None), ("batch", self.R)):
            given = getattr(self, name)
            if given is None:
                continue
            array = as_ints(given, name)
            if size is not None and array.size != size:
                raise LayoutError(f"{name} must have one entry per rollout ({size}); got {array.size}")
            set_(self, name, array)
        if self.token_step is not None and self.K and (self.token_step.min() < -1 or self.token_step.max() >= self.S):
            low, high = self.token_step.min(), self.token_step.max()
            raise LayoutError(f"token_step must lie in -1..{self.S - 1} (-1 = no step); got {low}..{high}")
        if self.shared is not None:
            self._check_paths(self.shared)

    def _check_paths(self, paths: Paths) -> None:
        start, rows = paths.start, paths.rows
        if start.shape != (self.R + 1,) or start[0] or start[-1] != rows.size or np.any(np.diff(start) < 0):
            raise LayoutError(f"paths must hold {self.R + 1} starts that rise from 0 to {rows.size}; got {start}")
        if rows.size and (rows.min() < 0 or rows.max() >= self.S):
            raise LayoutError(f"rows of paths must lie in 0..{self.S - 1}; got {rows.min()}..{rows.max()}")
        if not self.visits.all():
            raise LayoutError(f"step {int(np.argmin(self.visits))} is on no path")
        before = np.full(rows.size, -1, np.int64)
        before[1:] = rows[:-1]
        before[paths.turn == 0] = -1
        apart = (before != self.previous[rows]) | (self.group[paths.rollout] != self.step_group[rows])
        if apart.any():
            at = int(np.argmax(apart))
            raise LayoutError(
                f"rollout {paths.rollout[at]} passes step {rows[at]} after step {before[at]}, but other rollouts "
                f"after step {self.previous[rows[at]]} or for another task",
                hint="a shared step follows one step, in one task",
            )

    @property
    def G(self) -> int:
        return int(self.group.max()) + 1 if self.group.size else 0

    @property
    def R(self) -> int:
        return self.group.size

    @property
    def S(self) -> int:
        return self.rollout.size

    @property
    def K(self) -> int:
        """Sampled tokens; S where the batch holds none."""
        return self.S if self.token_step is None else self.token_step.size

    @property
    def is_tree(self) -> bool:
        return self.shared is not None

    @cached_property
    def paths(self) -> Paths:
        if self.shared is not None:
            return self.shared
        start = np.zeros(self.R + 1, np.int64)
        np.cumsum(np.bincount(self.rollout, minlength=self.R), out=start[1:])
        return Paths(start, np.arange(self.S))

    @property
    def steps(self) -> Ints:
        """[R] steps on each rollout's path."""
        return self.paths.length

    @cached_property
    def step_group(self) -> Ints:
        """[S] task of each step."""
        return self.group[self.rollout]

    @cached_property
    def turn(self) -> Ints:
        """[S] 0 for a first step. A shared step has one depth: the number of steps before it."""
        if self.shared is None:
            return self.paths.turn
        turn = np.zeros(self.S, np.int64)
        turn[self.paths.rows] = self.paths.turn
        return turn

    @cached_property
    def visits(self) -> Ints:
        """[S] rollouts that pass the step; all 1 where nothing is shared."""
        return np.bincount(self.paths.rows, minlength=self.S)

    @cached_property
    def last(self) -> Ints:
        """[R] row of each rollout's last step; -1 where it has none."""
        last = np.full(self.R, -1, np.int64)
        some = self.steps > 0
        last[some] = self.paths.rows[self.paths.start[1:][some] - 1]
        return last

    @cached_property
    def previous(self) -> Ints:
        """[S] row of the step before; -1 at a first step."""
        before = np.full(self.S, -1, np.int64)
        rows, inner = self.paths.rows, self.paths.turn > 0
        before[rows[inner]] = rows[np.flatnonzero(inner) - 1]
        return before

    @cached_property
    def step_tokens(self) -> Ints:
        """[S] sampled tokens of each step; 1 each where the batch holds none."""
        if self.token_step is None:
            return np.ones(self.S, np.int64)
        return np.bincount(self.token_step[self.token_step >= 0], minlength=self.S)

    @cached_property
    def tokens(self) -> Ints:
        """[K] step of each token: `token_step`, or 0, 1, ..., S - 1 where the batch holds no tokens."""
        return np.arange(self.S) if self.token_step is None else np.asarray(self.token_step)

    @cached_property
    def batches(self) -> Ints:
        """[R] batch of each rollout, numbered from 0; zeros where there is one."""
        if self.batch is None:
            return np.zeros(self.R, np.int64)
        number: Ints = np.unique(self.batch, return_inverse=True)[1]
        return number

    def along(self, x: NDArray[Any]) -> NDArray[Any]:
        """[S] -> [P]: each path's values in order (x itself where nothing is shared)."""
        return x if self.shared is None else x[self.paths.rows]

    def merge(self, x: Floats) -> Floats:
        """[P] -> [S]: a shared step gets the mean over the paths through it that are judged; NaN if none is."""
        if self.shared is None:
            return x
        return path_mean(self.paths, x, self.S)

    def total(self, x: Floats) -> Floats:
        """[S] -> [R]: sum over the rollout's path. A rollout without steps has no return: NaN."""
        total = np.full(self.R, np.nan)
        some = self.steps > 0
        if some.any():
            total[some] = np.add.reduceat(self.along(np.asarray(x, float)), self.paths.start[:-1][some])
        return total

    def with_tokens(self, token_step: Ints | None) -> Self:
        """The same steps with other tokens."""
        return replace(self, token_step=token_step)

    def __repr__(self) -> str:
        tree = ", tree" if self.is_tree else ""
        return f"Layout(G={self.G}, R={self.R}, S={self.S}, K={self.K}{tree})"


@dataclass(frozen=True, eq=False, repr=False)
class Tree(Layout):
    """A Layout seen as a forest: one root per task (the bare prompt), a node per step.

    Nodes are numbered 0..S-1 (the step rows), then S + g for the root of task g. Rollouts that share no step still
    share their root.
    """

    @classmethod
    def of(cls, layout: Layout) -> "Tree":
        return cls(layout.group, layout.rollout, layout.shared, layout.token_step, layout.batch)

    @cached_property
    def parent(self) -> Ints:
        """[S] node before each step; the task's root before a first step."""
        return np.where(self.previous < 0, self.S + self.step_group, self.previous)

    @property
    def depth(self) -> Ints:
        """[S] 1 for a child of the root."""
        return self.turn + 1

    @cached_property
    def ends(self) -> Ints:
        """[R] node at which each rollout ends; the task's root for a rollout without steps."""
        return np.where(self.last < 0, self.S + self.group, self.last)

    @cached_property
    def leaves(self) -> Bools:
        """[S] no step follows."""
        leaf = np.ones(self.S, bool)
        inner = self.parent[self.parent < self.S]
        leaf[inner] = False
        return leaf
