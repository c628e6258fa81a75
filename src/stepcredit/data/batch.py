"""A Batch: columns on the four axes, and the records they came from."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.data.columns import Axis, column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Ints, Layout, Paths, as_ints
from stepcredit.data.records import Rollout
from stepcredit.data.transpose import STATES, to_columns, to_records
from stepcredit.errors import DataError, LayoutError, MissingColumn


@dataclass(frozen=True, eq=False)
class Batch:
    """Rollouts as columns.

    Args:
        layout: how the axes join.
        columns: name -> array on its axis. Equal ids mean equal keys.
        keys: name -> key of each id, for id columns, "group" and "rollout" (names of the rollouts, [R]).
        axes: axis of columns that the table does not know.
        records: what the columns were built from, one per rollout; None for bare arrays.
        notes: what was derived or left out on the way, in words.
        origins: column -> the evidence that made it, for columns that were gathered.
    """

    layout: Layout
    columns: Mapping[str, NDArray[Any]]
    keys: Mapping[str, Sequence[Hashable]] = field(default_factory=dict)
    axes: Mapping[str, Axis] = field(default_factory=dict)
    records: tuple[Rollout, ...] | None = None
    notes: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            axis = self.axis(name)
            want = getattr(self.layout, axis)
            if len(values) != want:
                raise LayoutError(f"column {name!r} stands on [{axis}] and must hold {want} values; got {len(values)}")

    def axis(self, name: str) -> Axis:
        """Axis of a column: the table's, else the one it was added with, else [S]."""
        known = column(name)
        return known.axis if known else self.axes.get(name, "S")

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self.columns[name]
        except KeyError:
            raise missing(name, self) from None

    def with_columns(self, *, axis: Axis = "S", note: str | None = None, **values: ArrayLike | Sequence[Any]) -> Self:
        """The same batch with columns added or replaced. Values of an id column may be any keys; `axis` serves names
        that the table does not know. `batch` goes to the layout.

        Raises:
            LayoutError: values that do not fit their column; a column that is the layout's own.
        """
        columns, keys, axes, layout = dict(self.columns), dict(self.keys), dict(self.axes), self.layout
        for name, given in values.items():
            if name in ("group", "rollout", "parent", "token_step"):
                raise LayoutError(f"column {name!r} makes the layout: it cannot be changed, make a new batch")
            if name == "batch":
                layout = replace(layout, batch=_whole(name, given, np.int64))
                continue
            peer = next((n for n in STATES if n in keys and n != name), None) if name in STATES else None
            columns[name], made = _as_column(name, given, keys[peer] if peer else ())
            keys.pop(name, None)
            if made is not None:
                keys[name] = made
                keys.update({n: made for n in STATES if peer and n in keys})
            if column(name) is None:
                axes[name] = axis
        notes = self.notes if note is None else (*self.notes, note)
        return replace(self, layout=layout, columns=columns, keys=keys, axes=axes, notes=notes)

    def with_origins(self, origins: Mapping[str, str]) -> Self:
        """The same batch, with the evidence named that made these columns."""
        return replace(self, origins={**self.origins, **origins})

    def with_note(self, note: str) -> Self:
        return self if note in self.notes else replace(self, notes=(*self.notes, note))

    def rollout_name(self, r: int) -> Hashable:
        return self.keys["rollout"][r] if "rollout" in self.keys else r

    def group_name(self, g: int) -> Hashable:
        return self.keys["group"][g] if "group" in self.keys else g

    @classmethod
    def from_records(cls, records: Iterable[Rollout]) -> "Batch":
        """Columns of rollouts, in their order.

        Raises:
            DataError: two rollouts of one name in a group; a prefix that names no earlier step.
        """
        rollouts = tuple(records)
        names = [(r.group, r.rollout) for r in rollouts]
        if len(set(names)) < len(names):
            seen: set[tuple[Any, Any]] = set()
            twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
            raise DataError(
                f"group {twice[0]!r} holds two rollouts of this name",
                rollout=twice[1],
                hint="give each attempt of a task its own rollout id; --on-error skip keeps the first",
            )
        layout, columns, keys, axes, notes = to_columns(rollouts)
        return cls(layout, columns, keys, axes, rollouts, notes)

    def to_records(self) -> list[Rollout]:
        """One record per rollout: the ones this batch was built from, with its columns written over them where they
        differ. Tokens of no step have no place in records.

        Raises:
            LayoutError: the steps were cut anew.
        """
        return to_records(self)

    def take(self, rollouts: Ints) -> "Batch":
        """The batch of these rollouts (ascending rows of [R]), groups and all columns cut to them.

        Raises:
            LayoutError: rows that do not ascend or do not exist; rollouts that share steps with others, which a tree
                has to be taken with.
        """
        lay, chosen = self.layout, as_ints(rollouts, "rollouts")
        if chosen.size and (chosen[0] < 0 or chosen[-1] >= lay.R or np.any(np.diff(chosen) <= 0)):
            raise LayoutError(f"rollouts must be ascending rows in 0..{lay.R - 1}; got {chosen}")
        mine = np.zeros(lay.R, bool)
        mine[chosen] = True
        rows = np.flatnonzero(mine[lay.rollout])
        new_row = np.full(lay.S + 1, -1, np.int64)
        new_row[rows] = np.arange(rows.size)
        tokens = None if lay.token_step is None else np.flatnonzero(new_row[lay.token_step] >= 0)
        groups, group = np.unique(lay.group[chosen], return_inverse=True)
        picks: dict[Axis, Any] = {"G": groups, "R": chosen, "S": rows, "K": rows if tokens is None else tokens}
        layout = Layout(
            group,
            (np.cumsum(mine) - 1)[lay.rollout[rows]],
            shared=_paths_of(lay, mine, new_row),
            token_step=None if tokens is None else new_row[lay.token_step[tokens]],
            batch=None if lay.batch is None else lay.batch[chosen],
        )
        keys = dict(self.keys)
        if "group" in keys:
            keys["group"] = [keys["group"][g] for g in groups.tolist()]
        if "rollout" in keys:
            keys["rollout"] = [keys["rollout"][r] for r in chosen.tolist()]
        columns = {n: v[picks[self.axis(n)]] for n, v in self.columns.items()}
        records = None if self.records is None else tuple(self.records[r] for r in chosen.tolist())
        return Batch(layout, columns, keys, self.axes, records, self.notes, self.origins)

    def resegment(self, segment: ArrayLike) -> "Batch":
        """Steps cut anew: segments, macro actions, thoughts.

        Args:
            segment: [K] new step of each token: integers that never decrease inside a rollout; a new number starts a
                new step; -1 = no step. (Without tokens [K] is [S]: neighboring steps with one number merge.)

        Returns:
            A batch whose [S] axis is the new steps and whose [K] axis is the old one, so that credit finds its way
            back to the same tokens. [G], [R] and [K] columns stay. Of [S], `reward` stays (on the new step that holds
            the last token of the old one; sums are kept) and `state` where a new step starts with an old one.

        Raises:
            LayoutError: wrong length; a number that decreases or spans two rollouts; a tree.
        """
        lay, new = self.layout, np.asarray(segment)
        if lay.is_tree:
            raise LayoutError("steps that rollouts share cannot be cut anew")
        if new.shape != (lay.K,) or new.dtype.kind not in "iu":
            raise LayoutError(f"segment must hold one integer per token ({lay.K}); got {new.dtype} {new.shape}")
        old = lay.tokens
        own = np.flatnonzero(old >= 0)
        if np.any(np.diff(old[own]) < 0):
            raise LayoutError("tokens must stand in the order of their steps to be cut anew")
        kept = np.flatnonzero((new >= 0) & (old >= 0))
        rollout, number = lay.rollout[old[kept]], new[kept]
        same = rollout[1:] == rollout[:-1]
        if np.any(same & (np.diff(number) < 0)):
            at = int(kept[1:][same & (np.diff(number) < 0)][0])
            raise LayoutError(f"segment numbers must not decrease inside a rollout; token {at} does")
        starts = np.ones(kept.size, bool)
        starts[1:] = ~same | (np.diff(number) != 0)
        step = np.full(lay.K, -1, np.int64)
        step[kept] = np.cumsum(starts) - 1
        first = kept[starts]
        columns = {n: v for n, v in self.columns.items() if self.axis(n) != "S"}
        keys = {n: k for n, k in self.keys.items() if n in columns or n in ("group", "rollout")}
        if "reward" in self:
            columns["reward"] = _carry_reward(self["reward"], old, step, first.size)
        if "state" in self:
            begins = np.zeros(lay.K, bool)
            begins[own] = np.diff(old[own], prepend=-1) != 0
            state = self["state"][old[first]].copy()
            loose = ~begins[first]
            used = max(int(self[n].max(initial=-1)) + 1 for n in STATES if n in self)
            fresh = np.arange(int(loose.sum())) + max(used, len(self.keys.get("state", ())))
            state[loose] = fresh
            columns["state"] = state
            if "state" in self.keys:
                extended = [*self.keys["state"], *[None] * fresh.size]
                keys.update({n: extended for n in STATES if n in keys or n == "state"})
        if "token_row" not in columns and own.size == lay.K and np.any(step < 0):
            columns["token_row"] = lay.rollout[old]  # a token of no new step would no longer tell its rollout
        layout = Layout(lay.group, lay.rollout[old[first]], token_step=step, batch=lay.batch)
        note = f"cut anew: {lay.S} steps became {layout.S}"
        return Batch(layout, columns, keys, self.axes, None, (*self.notes, note), self.origins)

    def __repr__(self) -> str:
        return f"Batch({self.layout!r}, columns: {', '.join(sorted(self.columns)) or 'none'})"


def missing(name: str, batch: Batch, wanted_by: str | None = None) -> MissingColumn:
    """The error for a column that is not there: what it is, what makes it."""
    known = column(name)
    who = f"{wanted_by} needs" if wanted_by else "there is no"
    what = f" [{known.axis}] ({known.doc})" if known else ""
    have = ", ".join(sorted(batch.columns)) or "none"
    hint = f"it is made by {known.made_by}" if known else None
    return MissingColumn(f"{who} column {name!r}{what}; the batch holds: {have}", hint=hint)


def _as_column(
    name: str, given: ArrayLike | Sequence[Any], peers: Sequence[Hashable]
) -> tuple[NDArray[Any], list[Hashable] | None]:
    """Values on their axis and, for an id column, the key of each id; `peers` are keys that keep their ids."""
    known = column(name)
    if known is not None and known.kind == "id":
        array = np.asarray(given) if not isinstance(given, list) else None
        if array is not None and array.dtype.kind in "iu" and (array.size == 0 or array.min() >= 0) and not peers:
            return array.astype(np.int64, copy=False), None
        listed = given if array is None or array.dtype.kind == "O" else array.tolist()
        ids, keys = encode([*peers, *listed])  # type: ignore[misc]
        return ids[len(peers) :], keys
    if known is not None and known.kind in ("int", "bool"):
        return _whole(name, given, np.int64 if known.kind == "int" else np.int8), None
    try:
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise LayoutError(f"column {name!r} must hold numbers (None = missing)") from None
    if numbers.ndim > 1 and known is not None and known.axis == "R":
        raise LayoutError(
            f"column {name!r} holds one number per rollout; got shape {numbers.shape}",
            hint="token scores of a trainer: outcome=scores.sum(-1), or token_reward=scores",
        )
    return numbers, None


def _whole(name: str, given: Any, dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    """Integers; None and NaN are -1."""
    values = np.asarray(given)
    if values.dtype.kind not in "iub":
        try:
            numbers = values.astype(np.float64)
        except (TypeError, ValueError):
            numbers = np.full(1, np.inf)
        known = ~np.isnan(numbers)
        if not np.array_equal(numbers[known], np.trunc(numbers[known])) or np.isinf(numbers).any():
            raise LayoutError(f"column {name!r} must hold whole numbers (None = missing)")
        values = np.where(known, numbers, -1.0)
    low, high = (-1, 1) if dtype is np.int8 else (-(2**63), 2**63 - 1)
    if values.size and (values.min() < low or values.max() > high):
        wide = values.min() if values.min() < low else values.max()
        raise LayoutError(f"column {name!r} must hold numbers in {low}..{high} (-1 = missing); got {wide}")
    return values.astype(dtype, copy=False)


def _paths_of(lay: Layout, mine: NDArray[np.bool_], new_row: Ints) -> Paths | None:
    """Paths of the chosen rollouts over their own rows."""
    if lay.shared is None:
        return None
    rows = new_row[lay.paths.rows[mine[lay.paths.rollout]]]
    if np.any(rows < 0):
        raise LayoutError("the rollouts share steps that other rollouts store", hint="take a tree by whole groups")
    return Paths(np.concatenate(([0], np.cumsum(lay.paths.length[mine]))), rows)


def _carry_reward(reward: NDArray[Any], old: Ints, new: Ints, size: int) -> NDArray[Any]:
    """Each old step's reward to the new step that holds its last kept token."""
    last = np.full(reward.size, -1, np.int64)
    kept = np.flatnonzero((new >= 0) & (old >= 0))
    last[old[kept]] = new[kept]
    lost = (last < 0) & (reward != 0)
    if lost.any():
        raise LayoutError(f"step {int(np.flatnonzero(lost)[0])} has a reward but no token in any new step")
    return np.bincount(last[last >= 0], weights=reward[last >= 0], minlength=size)
