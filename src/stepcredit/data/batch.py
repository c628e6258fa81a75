"""A Batch: columns on the four axes, and the records they came from."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.data.columns import Axis, column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Ints, Layout, Paths
from stepcredit.data.records import TOKEN_FIELDS, Rollout, Step
from stepcredit.errors import DataError, LayoutError, MissingColumn

_STEP_KEYS = ("agent", "state", "action", "observation", "next_state")


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
    """

    layout: Layout
    columns: Mapping[str, NDArray[Any]]
    keys: Mapping[str, Sequence[Hashable]] = field(default_factory=dict)
    axes: Mapping[str, Axis] = field(default_factory=dict)
    records: tuple[Rollout, ...] | None = None
    notes: tuple[str, ...] = ()

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
        that the table does not know."""
        columns, keys, axes = dict(self.columns), dict(self.keys), dict(self.axes)
        for name, given in values.items():
            columns[name], made = _as_column(name, given)
            if made is not None:
                keys[name] = made
            if column(name) is None:
                axes[name] = axis
        notes = self.notes if note is None else (*self.notes, note)
        return replace(self, columns=columns, keys=keys, axes=axes, notes=notes)

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
        group, group_keys = encode([r.group for r in rollouts])
        steps = list(chain.from_iterable(r.steps for r in rollouts))
        own = np.fromiter((len(r.steps) for r in rollouts), np.int64, len(rollouts))
        columns, keys, axes = _rollout_columns(rollouts), {"group": group_keys}, dict[str, Axis]()
        for name in _STEP_KEYS:
            values = [getattr(s, name) for s in steps]
            if any(v is not None for v in values):
                columns[name], keys[name] = encode(values)
        _step_numbers(steps, columns, axes)
        batch = columns.pop("batch", None)
        rollout = np.repeat(np.arange(len(rollouts)), own)
        if "reward" in columns:
            # Logs write only the rewards that came: silence among given rewards is 0, a silent rollout is unknown.
            given = np.bincount(rollout, weights=~np.isnan(columns["reward"]), minlength=len(rollouts)) > 0
            columns["reward"] = np.where(given[rollout], np.nan_to_num(columns["reward"]), np.nan)
        layout = Layout(
            group,
            rollout,
            shared=_shared(rollouts, own),
            token_step=_token_columns(steps, columns),
            batch=batch,
        )
        keys["rollout"] = [r.rollout for r in rollouts]
        return cls(layout, columns, keys, axes, rollouts)

    def to_records(self) -> list[Rollout]:
        """One record per rollout: the ones this batch was built from, with its columns written over them."""
        start = np.concatenate(([0], np.cumsum(np.bincount(self.layout.rollout, minlength=self.layout.R)))).tolist()
        steps = self._steps()
        outcome, weight = (_numbers(self.columns.get(n)) for n in ("outcome", "weight"))
        final = self._decoded("final_state")
        rewards = {n.partition(".")[2]: _numbers(c) for n, c in self.columns.items() if n.startswith("reward.")}
        out = []
        for r in range(self.layout.R):
            changes: dict[str, Any] = {"steps": steps[start[r] : start[r + 1]]}
            if outcome is not None:
                changes["outcome"] = outcome[r]
            if weight is not None:
                changes["weight"] = weight[r]
            if final is not None:
                changes["final_state"] = final[r]
            if rewards:
                changes["rewards"] = {name: v[r] for name, v in rewards.items() if v is not None}
            if self.layout.batch is not None:
                changes["batch"] = int(self.layout.batch[r])
            if self.records is not None:
                out.append(msgspec.structs.replace(self.records[r], **changes))
            else:
                group, name = self.group_name(int(self.layout.group[r])), self.rollout_name(r)
                out.append(Rollout(group=_plain(group), rollout=_plain(name), **changes))
        return out

    def _steps(self) -> list[Step]:
        """The step records with this batch's [S] columns written over them."""
        old = None if self.records is None else list(chain.from_iterable(r.steps for r in self.records))
        if old is not None and len(old) != self.layout.S:
            raise LayoutError("a resegmented batch has no records of its own", hint="export its tokens or columns")
        fields: dict[str, list[Any]] = {}
        evidence: dict[str, list[Any]] = {}
        credit: dict[str, list[Any]] = {}
        for name, values in self.columns.items():
            if self.axis(name) != "S" or name in ("rollout", "parent"):
                continue
            known = column(name)
            if known is not None and known.kind == "id":
                fields[name] = self._decoded(name) or []
            elif name == "match":
                fields[name] = [None if v < 0 else bool(v) for v in values.tolist()]
            elif name == "reward":
                fields[name] = _numbers(values) or []
            elif name.startswith("credit."):
                credit[name.partition(".")[2]] = _numbers(values) or []
            else:
                evidence[name] = _numbers(values) or []
        base: Iterable[Step] = old if old is not None else (Step() for _ in range(self.layout.S))
        out = []
        for s, step in enumerate(base):
            new = {name: v[s] for name, v in fields.items()}
            if evidence:
                new["evidence"] = {n: v[s] for n, v in evidence.items() if v[s] is not None or n in step.evidence}
            if credit:
                new["credit"] = {**step.credit, **{n: v[s] for n, v in credit.items()}}
            out.append(msgspec.structs.replace(step, **new))
        return out

    def _decoded(self, name: str) -> list[Any] | None:
        if name not in self.columns:
            return None
        if name not in self.keys:
            return [int(v) for v in self.columns[name]]
        keys = self.keys[name]
        return [_plain(keys[i]) for i in self.columns[name].tolist()]

    def take(self, rollouts: Ints) -> "Batch":
        """The batch of these rollouts (ascending rows of [R]), groups and all columns cut to them.

        Raises:
            LayoutError: the rollouts share steps (a tree is taken by whole groups: use records).
        """
        if self.layout.is_tree:
            if self.records is None:
                raise LayoutError("rollouts that share steps cannot be taken apart without their records")
            keep = {int(g) for g in self.layout.group[rollouts]}
            chosen = [r for r, g in zip(self.records, self.layout.group.tolist(), strict=True) if g in keep]
            return Batch.from_records(chosen)
        lay = self.layout
        mine = np.zeros(lay.R, bool)
        mine[rollouts] = True
        rows = np.flatnonzero(mine[lay.rollout])
        new_row = np.full(lay.S + 1, -1, np.int64)
        new_row[rows] = np.arange(rows.size)
        tokens = None if lay.token_step is None else np.flatnonzero(new_row[lay.token_step] >= 0)
        groups, group = np.unique(lay.group[rollouts], return_inverse=True)
        picks: dict[Axis, Any] = {"G": groups, "R": rollouts, "S": rows, "K": rows if tokens is None else tokens}
        layout = Layout(
            group,
            (np.cumsum(mine) - 1)[lay.rollout[rows]],
            token_step=None if tokens is None else new_row[lay.token_step[tokens]],
            batch=None if lay.batch is None else lay.batch[rollouts],
        )
        keys = dict(self.keys)
        if "group" in keys:
            keys["group"] = [keys["group"][g] for g in groups.tolist()]
        if "rollout" in keys:
            keys["rollout"] = [keys["rollout"][r] for r in rollouts.tolist()]
        columns = {n: v[picks[self.axis(n)]] for n, v in self.columns.items()}
        records = None if self.records is None else tuple(self.records[r] for r in rollouts.tolist())
        return Batch(layout, columns, keys, self.axes, records, self.notes)

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
            begins = np.ones(lay.K, bool)
            begins[1:] = old[1:] != old[:-1]
            state = self["state"][old[first]].copy()
            loose = ~begins[first]
            fresh = np.arange(int(loose.sum())) + (int(self["state"].max(initial=-1)) + 1)
            state[loose] = fresh
            columns["state"] = state
            if "state" in self.keys:
                keys["state"] = [*self.keys["state"], *[None] * fresh.size]
        layout = Layout(lay.group, lay.rollout[old[first]], token_step=step, batch=lay.batch)
        note = f"cut anew: {lay.S} steps became {layout.S}"
        return Batch(layout, columns, keys, self.axes, None, (*self.notes, note))

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


def _as_column(name: str, given: ArrayLike | Sequence[Any]) -> tuple[NDArray[Any], list[Hashable] | None]:
    known = column(name)
    if known is not None and known.kind == "id":
        array = np.asarray(given) if not isinstance(given, list) else None
        if array is not None and array.dtype.kind in "iu" and (array.size == 0 or array.min() >= 0):
            return array.astype(np.int64, copy=False), None
        return encode(given)  # type: ignore[arg-type]
    if known is not None and known.kind in ("int", "bool"):
        values = np.asarray(given)
        return values.astype(np.int64 if known.kind == "int" else np.int8, copy=False), None
    try:
        return np.asarray(given, dtype=np.float64), None
    except (TypeError, ValueError):
        raise LayoutError(f"column {name!r} must hold numbers (None = missing)") from None


def _rollout_columns(rollouts: Sequence[Rollout]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    for name in ("outcome", "weight"):
        values = [getattr(r, name) for r in rollouts]
        if any(v is not None for v in values):
            columns[name] = np.array(values, dtype=np.float64)
    for name in ("batch", "policy_version"):
        versions = [getattr(r, name) for r in rollouts]
        if any(v is not None for v in versions):
            columns[name] = np.array([-1 if v is None else v for v in versions], dtype=np.int64)
    finals = [r.final_state for r in rollouts]
    if any(v is not None for v in finals):
        columns["final_state"] = encode(finals)[0]
    for source in dict.fromkeys(chain.from_iterable(r.rewards for r in rollouts)):
        columns[f"reward.{source}"] = np.array([r.rewards.get(source) for r in rollouts], dtype=np.float64)
    return columns


def _step_numbers(steps: Sequence[Step], columns: dict[str, NDArray[Any]], axes: dict[str, Axis]) -> None:
    if any(s.reward is not None for s in steps):
        columns["reward"] = np.array([s.reward for s in steps], dtype=np.float64)
    if any(s.match is not None for s in steps):
        columns["match"] = np.array([-1 if s.match is None else s.match for s in steps], dtype=np.int8)
    for name in dict.fromkeys(chain.from_iterable(s.evidence for s in steps)):
        values = [s.evidence.get(name) for s in steps]
        widths = {len(v) for v in values if isinstance(v, list)}
        if len(widths) > 1:
            raise DataError(f"evidence {name!r} must have one width", got=sorted(widths), expected="equal lengths")
        if widths:
            width = widths.pop()
            values = [v if isinstance(v, list) else [v] * width for v in values]
        columns[name] = np.array(values, dtype=np.float64)
        if column(name) is None:
            axes[name] = "S"
    for name in dict.fromkeys(chain.from_iterable(s.credit for s in steps)):
        columns[f"credit.{name}"] = np.array([s.credit.get(name) for s in steps], dtype=np.float64)


def _token_columns(steps: Sequence[Step], columns: dict[str, NDArray[Any]]) -> Ints | None:
    if not any(s.tokens is not None for s in steps):
        return None
    counts = np.fromiter((0 if s.tokens is None else s.tokens.count() for s in steps), np.int64, len(steps))
    lists = [{} if s.tokens is None else s.tokens.lists() for s in steps]
    for name in TOKEN_FIELDS:
        if any(name in one for one in lists):
            integer = name in ("id", "row", "position", "source")
            blank = -1 if integer else None
            values = chain.from_iterable(one.get(name, [blank] * int(n)) for one, n in zip(lists, counts, strict=True))
            columns[f"token_{name}"] = np.array(list(values), dtype=np.int64 if integer else np.float64)
    return np.repeat(np.arange(len(steps)), counts)


def _shared(rollouts: Sequence[Rollout], own: Ints) -> Paths | None:
    """Paths through shared steps, where a rollout has a prefix."""
    if not any(r.prefix for r in rollouts):
        return None
    row_of: dict[tuple[Any, str], int] = {}
    rows: list[int] = []
    start, row = [0], 0
    for r in rollouts:
        for name in r.prefix:
            if (r.group, name) not in row_of:
                raise DataError(
                    f"prefix names step {name!r}, which no earlier rollout of group {r.group!r} holds",
                    rollout=r.rollout,
                    hint="a shared step is stored, with its id, in the first rollout that passes it",
                )
            rows.append(row_of[r.group, name])
        for step in r.steps:
            if step.id is not None and row_of.setdefault((r.group, step.id), row) != row:
                raise DataError(f"group {r.group!r} holds two steps with id {step.id!r}", rollout=r.rollout)
            rows.append(row)
            row += 1
        start.append(len(rows))
    return Paths(np.array(start, np.int64), np.array(rows, np.int64))


def _carry_reward(reward: NDArray[Any], old: Ints, new: Ints, size: int) -> NDArray[Any]:
    """Each old step's reward to the new step that holds its last kept token."""
    last = np.full(reward.size, -1, np.int64)
    kept = np.flatnonzero((new >= 0) & (old >= 0))
    last[old[kept]] = new[kept]
    lost = (last < 0) & (reward != 0)
    if lost.any():
        raise LayoutError(f"step {int(np.flatnonzero(lost)[0])} has a reward but no token in any new step")
    return np.bincount(last[last >= 0], weights=reward[last >= 0], minlength=size)


def _numbers(values: NDArray[Any] | None) -> list[Any] | None:
    """Floats as a list, NaN as None."""
    if values is None:
        return None
    if values.ndim > 1:
        return [[None if v != v else v for v in row] for row in values.tolist()]
    return [None if v != v else v for v in values.tolist()]


def _plain(key: Hashable) -> Any:
    return key if key is None or isinstance(key, str | int | float | bool) else str(key)
