"""Records to columns and back: two views of one thing."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepcredit.data.columns import Axis, column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Ints, Layout, Paths
from stepcredit.data.records import TOKEN_FIELDS, Rollout, Step, Tokens
from stepcredit.errors import DataError, LayoutError

if TYPE_CHECKING:
    from stepcredit.data.batch import Batch

STATES = ("state", "next_state", "final_state", "root_state")
_STEP_KEYS = ("agent", "action", "observation")
_TOKEN_INTS = ("id", "row", "position", "source", "plan")
FIELDS = {
    *STATES,
    *("group", "batch", "outcome", "weight", "policy_version", "rollout", "parent", "given_row"),
    *("reward", "match", "agent", "action", "observation"),
}
"""Columns with a field of their own in records; others are evidence there."""

Columns = dict[str, NDArray[Any]]
Keys = dict[str, Sequence[Hashable]]


def to_columns(rollouts: Sequence[Rollout]) -> tuple[Layout, Columns, Keys, dict[str, Axis], tuple[str, ...]]:
    """Layout, columns, keys and axes of rollouts, in their order, and notes of what was taken for granted.

    Raises:
        DataError: a prefix that names no earlier step, or not the way to it; evidence by the name of a column.
    """
    group, group_keys = encode([r.group for r in rollouts])
    steps = list(chain.from_iterable(r.steps for r in rollouts))
    own = np.fromiter((len(r.steps) for r in rollouts), np.int64, len(rollouts))
    rollout = np.repeat(np.arange(len(rollouts)), own)
    columns, axes = _rollout_columns(rollouts), dict[str, Axis]()
    keys: Keys = {"group": group_keys, "rollout": [r.rollout for r in rollouts]}
    for name in _STEP_KEYS:
        values = [getattr(s, name) for s in steps]
        if any(v is not None for v in values):
            columns[name], keys[name] = encode(values)
    _states(rollouts, steps, columns, keys)
    _facts(rollouts, group, columns, keys, axes)
    _step_numbers(steps, columns, axes)
    batch = columns.pop("batch", None)
    notes: tuple[str, ...] = ()
    if "reward" in columns:
        # Logs write only the rewards that came: silence among given rewards is 0, a silent rollout is unknown.
        given = np.bincount(rollout, weights=~np.isnan(columns["reward"]), minlength=len(rollouts)) > 0
        silent = int(np.sum(np.isnan(columns["reward"]) & given[rollout]))
        if silent:
            notes = (f"reward: {silent} steps without one, in rollouts whose other steps have some, count as 0",)
        columns["reward"] = np.where(given[rollout], np.nan_to_num(columns["reward"]), np.nan)
    token_step = _token_columns(steps, columns)
    layout = Layout(group, rollout, shared=_shared(rollouts), token_step=token_step, batch=batch)
    return layout, columns, keys, axes, notes


def _rollout_columns(rollouts: Sequence[Rollout]) -> Columns:
    columns: Columns = {}
    for name in ("outcome", "weight"):
        values = [getattr(r, name) for r in rollouts]
        if any(v is not None for v in values):
            columns[name] = np.array(values, dtype=np.float64)
    for name in ("batch", "policy_version"):
        versions = [getattr(r, name) for r in rollouts]
        if any(v is not None for v in versions):
            columns[name] = np.array([-1 if v is None else v for v in versions], dtype=np.int64)
    for source in dict.fromkeys(chain.from_iterable(r.rewards for r in rollouts)):
        columns[f"reward.{source}"] = np.array([r.rewards.get(source) for r in rollouts], dtype=np.float64)
    return columns


def _facts(rollouts: Sequence[Rollout], group: Ints, columns: Columns, keys: Keys, axes: dict[str, Axis]) -> None:
    """Evidence about rollouts, and about tasks, which stands with each of their rollouts."""
    for name in dict.fromkeys(chain.from_iterable(r.evidence for r in rollouts)):
        known = column(name)
        if name in FIELDS or (known is not None and known.axis not in "GR"):
            raise DataError(
                f"evidence {name!r} of a rollout has the name of another column", hint="rename the evidence"
            )
        values: list[Any] = [r.evidence.get(name) for r in rollouts]
        if known is not None and known.axis == "G":
            values = _of_tasks(name, values, rollouts, group)
        if known is not None and known.kind == "id":
            columns[name], keys[name] = encode(values)
            continue
        wrong = [v for v in values if isinstance(v, str)]
        if wrong:
            raise DataError(f"evidence {name!r} of a rollout must be a number", got=wrong[0], expected="a number")
        columns[name] = _typed(name, values, "float" if known is None else known.kind)
        if known is None:
            axes[name] = "R"


def _of_tasks(name: str, values: Sequence[Any], rollouts: Sequence[Rollout], group: Ints) -> list[Any]:
    """[G] the one value that a task's rollouts have."""
    out: list[Any] = [None] * (int(group.max(initial=-1)) + 1)
    for value, rollout, g in zip(values, rollouts, group.tolist(), strict=True):
        if value is not None and out[g] not in (None, value):
            raise DataError(
                f"evidence {name!r} is about the task, and rollouts of group {rollout.group!r} differ in it",
                rollout=rollout.rollout,
                got=value,
                expected=out[g],
            )
        out[g] = out[g] if value is None else value
    return out


def _typed(name: str, values: Any, kind: str) -> NDArray[Any]:
    """Numbers as a column of their kind holds them; None is NaN, or -1.

    Raises:
        DataError: a number that the kind cannot hold.
    """
    numbers = np.array(values, dtype=np.float64)
    if kind == "float":
        return numbers
    whole = np.where(np.isnan(numbers), -1.0, numbers)
    most = 1 if kind == "bool" else 2**53
    wrong = (whole != np.floor(whole)) | (whole < -1) | (whole > most)
    if wrong.any():
        raise DataError(
            f"evidence {name!r} must be {'0 or 1' if kind == 'bool' else 'a whole number'}",
            got=float(whole[wrong].flat[0]),
            expected="0 or 1; None, or -1, where it is not known"
            if kind == "bool"
            else "0, 1, 2, ...; None if unknown",
        )
    return whole.astype(np.int8 if kind == "bool" else np.int64)


def _states(rollouts: Sequence[Rollout], steps: Sequence[Step], columns: Columns, keys: Keys) -> None:
    """State columns have one set of ids: a state is comparable with a next and a final one."""
    values = {
        "state": [s.state for s in steps],
        "next_state": [s.next_state for s in steps],
        "final_state": [r.final_state for r in rollouts],
    }
    given = {n: v for n, v in values.items() if any(k is not None for k in v)}
    ids, shared = encode(chain.from_iterable(given.values()))
    for name, part in zip(given, np.split(ids, np.cumsum([len(v) for v in given.values()])), strict=False):
        columns[name], keys[name] = part, shared


def _step_numbers(steps: Sequence[Step], columns: Columns, axes: dict[str, Axis]) -> None:
    if any(s.reward is not None for s in steps):
        columns["reward"] = np.array([s.reward for s in steps], dtype=np.float64)
    if any(s.match is not None for s in steps):
        columns["match"] = np.array([-1 if s.match is None else s.match for s in steps], dtype=np.int8)
    for name in dict.fromkeys(chain.from_iterable(s.evidence for s in steps)):
        known = column(name)
        if name in FIELDS or (known is not None and (known.axis != "S" or known.kind == "id")):
            raise DataError(f"evidence {name!r} has the name of a column of another kind", hint="rename the evidence")
        values = [s.evidence.get(name) for s in steps]
        if any(v == [] for v in values):
            raise DataError(f"evidence {name!r} of a step is an empty list", expected="numbers; null if unknown")
        widths = {len(v) if isinstance(v, list) else 0 for v in values if v is not None}
        if len(widths) > 1:
            raise DataError(f"evidence {name!r} must have one width", got=sorted(widths), expected="equal lengths")
        if widths and (width := widths.pop()):
            if known is not None and not known.wide:
                raise DataError(f"evidence {name!r} is one number per step", got=f"a list of {width}")
            values = [[None] * width if v is None else v for v in values]
        columns[name] = _typed(name, values, "float" if known is None else known.kind)
        if known is None:
            axes[name] = "S"
    for name in dict.fromkeys(chain.from_iterable(s.credit for s in steps)):
        columns[f"credit.{name}"] = np.array([s.credit.get(name) for s in steps], dtype=np.float64)


def _token_columns(steps: Sequence[Step], columns: Columns) -> Ints | None:
    if not any(s.tokens is not None for s in steps):
        return None
    counts = np.fromiter((0 if s.tokens is None else s.tokens.count() for s in steps), np.int64, len(steps))
    lists = [{} if s.tokens is None else s.tokens.lists() for s in steps]
    for name in TOKEN_FIELDS:
        if any(name in one for one in lists):
            blank = -1 if name in _TOKEN_INTS else None
            values = chain.from_iterable(one.get(name, [blank] * int(n)) for one, n in zip(lists, counts, strict=True))
            dtype = np.int64 if name in _TOKEN_INTS else np.float64
            columns[f"token_{name}"] = np.array(list(values), dtype=dtype)
    return np.repeat(np.arange(len(steps)), counts)


def _shared(rollouts: Sequence[Rollout]) -> Paths | None:
    """Paths through shared steps, where a rollout has a prefix."""
    if not any(r.prefix for r in rollouts):
        return None
    row_of: dict[tuple[Any, str], int] = {}
    before: list[int] = []
    rows: list[int] = []
    start = [0]
    for r in rollouts:
        last = -1
        for name in r.prefix:
            row = row_of.get((r.group, name))
            if row is None:
                raise DataError(
                    f"prefix names step {name!r}, which no earlier rollout of group {r.group!r} holds",
                    rollout=r.rollout,
                    hint="a shared step is stored, with its id, in the first rollout that passes it",
                )
            if before[row] != last:
                raise DataError(
                    f"prefix comes to step {name!r} by another way than the rollout that holds it",
                    rollout=r.rollout,
                    got=r.prefix,
                    expected="every shared step from the first one on, in order",
                )
            rows.append(row)
            last = row
        for step in r.steps:
            row = len(before)
            if step.id is not None and row_of.setdefault((r.group, step.id), row) != row:
                raise DataError(f"group {r.group!r} holds two steps with id {step.id!r}", rollout=r.rollout)
            before.append(last)
            rows.append(row)
            last = row
        start.append(len(rows))
    return Paths(np.array(start, np.int64), np.array(rows, np.int64))


def to_records(batch: "Batch") -> list[Rollout]:
    """One record per rollout: the ones the batch was built from, with its columns written over them where they differ.

    Tokens of no step have no place in records.
    """
    lay, old = batch.layout, batch.records
    start = np.concatenate(([0], np.cumsum(np.bincount(lay.rollout, minlength=lay.R)))).tolist()
    if old is None:
        groups = [_plain(batch.group_name(g)) for g in lay.group.tolist()]
        old = tuple(Rollout(group=g, rollout=_plain(batch.rollout_name(r))) for r, g in enumerate(groups))
        old = _with_prefixes(old, lay)
    columns: dict[str, Any] = {n: _numbers(batch.columns[n]) for n in ("outcome", "weight") if n in batch}
    if "final_state" in batch:
        columns["final_state"] = _decoded(batch, "final_state")
    for name, ids in (("batch", lay.batch), ("policy_version", batch.columns.get("policy_version"))):
        if ids is not None:
            columns[name] = [None if v < 0 else v for v in ids.tolist()]
    rewards = {n.partition(".")[2]: _numbers(c) for n, c in batch.columns.items() if n.startswith("reward.")}
    facts = _facts_of(batch)
    steps = _steps(batch)
    out = []
    for r, record in enumerate(old):
        changes: dict[str, Any] = {n: v[r] for n, v in columns.items() if getattr(record, n) != v[r]}
        changes["steps"] = steps[start[r] : start[r + 1]]
        changes["rewards"] = _over(record.rewards, {n: v[r] for n, v in rewards.items()})
        changes["evidence"] = _over(record.evidence, {n: v[r] for n, v in facts.items()})
        out.append(msgspec.structs.replace(record, **changes))
    return out


def _facts_of(batch: "Batch") -> dict[str, list[Any]]:
    """[R] per name, what is known of rollouts and of their tasks beside the fields of a record."""
    out: dict[str, list[Any]] = {}
    for name, values in batch.columns.items():
        known, axis = column(name), batch.axis(name)
        if axis not in ("G", "R") or name in FIELDS or name.startswith("reward."):
            continue
        told = _decoded(batch, name) if known is not None and known.kind == "id" else _told(name, values)
        out[name] = [told[g] for g in batch.layout.group.tolist()] if axis == "G" else told
    return out


def _with_prefixes(rollouts: tuple[Rollout, ...], lay: Layout) -> tuple[Rollout, ...]:
    """Where rollouts share steps: the ids (`_steps` writes them) of those that another rollout stores."""
    if lay.shared is None:
        return rollouts
    paths = [lay.shared.rows[a:b] for a, b in zip(lay.shared.start[:-1], lay.shared.start[1:], strict=True)]
    ids = [[str(row) for row in path[lay.rollout[path] != r].tolist()] for r, path in enumerate(paths)]
    return tuple(msgspec.structs.replace(r, prefix=prefix) for r, prefix in zip(rollouts, ids, strict=True))


def _steps(batch: "Batch") -> list[Step]:
    lay = batch.layout
    if batch.records is None:
        shared = (lay.visits > 1).tolist()
        steps = [Step(id=str(s) if shared[s] else None) for s in range(lay.S)]
    else:
        steps = list(chain.from_iterable(r.steps for r in batch.records))
    if len(steps) != lay.S:
        raise LayoutError("a resegmented batch has no records of its own", hint="export its tokens or columns")
    fields: dict[str, list[Any]] = {}
    evidence: dict[str, list[Any]] = {}
    credit: dict[str, list[Any]] = {}
    for name, values in batch.columns.items():
        known = column(name)
        if batch.axis(name) != "S" or name in ("rollout", "parent", "given_row"):
            continue
        if known is not None and known.kind == "id":
            fields[name] = _decoded(batch, name)
        elif name == "match":
            fields[name] = [None if v < 0 else bool(v) for v in values.tolist()]
        elif name == "reward":
            fields[name] = _rewards(steps, lay, _numbers(values))
        elif name.startswith("credit."):
            credit[name.partition(".")[2]] = _numbers(values)
        else:
            evidence[name] = _told(name, values)
    fresh = credit.keys() - set(chain.from_iterable(s.credit for s in steps))
    tokens = _tokens(batch, steps)
    out = []
    for s, step in enumerate(steps):
        new: dict[str, Any] = {name: v[s] for name, v in fields.items()}
        new["evidence"] = _over(step.evidence, {n: v[s] for n, v in evidence.items()})
        new["credit"] = _over(step.credit, {n: v[s] for n, v in credit.items()}, fresh)
        new["tokens"] = tokens[s]
        changed = {name: v for name, v in new.items() if v != getattr(step, name)}
        out.append(msgspec.structs.replace(step, **changed) if changed else step)
    return out


def _over(old: Mapping[str, Any], new: Mapping[str, Any], fresh: Iterable[str] = ()) -> dict[str, Any]:
    """The new numbers in the order of the old; a missing one is written only where one stood, or the name is new."""
    added = {n: v for n, v in new.items() if n not in old and (n in fresh or not _blank(v))}
    return {n: new.get(n, v) for n, v in old.items()} | added


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(v is None for v in value))


def _rewards(steps: Sequence[Step], lay: Layout, values: list[Any]) -> list[Any]:
    """A step that is silent among given rewards stays so, as 0."""
    spoken = np.zeros(lay.R, bool)
    spoken[[r for r, step in zip(lay.rollout.tolist(), steps, strict=True) if step.reward is not None]] = True
    silent = spoken[lay.rollout].tolist()
    return [None if v == 0 and silent[s] and steps[s].reward is None else v for s, v in enumerate(values)]


def _tokens(batch: "Batch", steps: Sequence[Step]) -> list[Tokens | None]:
    lay = batch.layout
    if lay.token_step is None:
        return [step.tokens for step in steps]
    order = np.argsort(lay.tokens, kind="stable")[int(np.sum(lay.tokens < 0)) :]
    ends = np.cumsum(lay.step_tokens).tolist()
    flat: dict[str, list[Any]] = {}
    for name in TOKEN_FIELDS:
        values = batch.columns.get(f"token_{name}")
        if values is not None:
            flat[name] = values[order].tolist() if name in _TOKEN_INTS else _numbers(values[order])
    out: list[Tokens | None] = []
    for s, step in enumerate(steps):
        a, b = ends[s] - int(lay.step_tokens[s]), ends[s]
        old = step.tokens
        if (0 if old is None else old.count()) != b - a:
            old = Tokens(n=b - a)
        if old is None:
            out.append(None)
            continue
        new = {name: values[a:b] for name, values in flat.items()}
        blank = {n: -1 if n in _TOKEN_INTS else None for n in new}
        known = {n: v for n, v in new.items() if getattr(old, n) is not None or any(x != blank[n] for x in v)}
        out.append(msgspec.structs.replace(old, **known))
    return out


def _decoded(batch: "Batch", name: str) -> list[Any]:
    keys, ids = batch.keys.get(name), batch.columns[name].tolist()
    return ids if keys is None else [_plain(keys[i]) for i in ids]


def _numbers(values: NDArray[Any]) -> list[Any]:
    """Floats as a list, NaN as None."""
    if values.ndim > 1:
        return [[None if v != v else v for v in row] for row in values.tolist()]
    return [None if v != v else v for v in values.tolist()]


def _told(name: str, values: NDArray[Any]) -> list[Any]:
    """A column of numbers as a list; what is missing in a column of its kind is None."""
    known = column(name)
    if known is None or known.kind == "float":
        return _numbers(values)
    return (
        _numbers(np.where(values < 0, np.nan, values))
        if values.ndim > 1
        else [None if v < 0 else v for v in values.tolist()]
    )


def _plain(key: Hashable) -> Any:
    return key if key is None or isinstance(key, str | int | float | bool) else str(key)
