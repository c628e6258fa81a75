"""Rows of a verl batch -> the columns that a method asks for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepcredit.data.columns import TABLE, column
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError, StepCreditError, UnknownName
from stepcredit.integrations._verl_settings import Asked

# Token columns that verl computes itself: the first of these fields that is there.
TOKEN_FIELDS = {
    "token_value": ("values",),
    "token_old_logp": ("old_log_probs", "rollout_log_probs"),
    "token_logp": ("old_log_probs",),
    "token_ref_logp": ("ref_log_prob",),
    "token_entropy": ("entropy", "entropys"),
}
ROLLOUT_FIELDS = ("traj_uid", "trajectory_uids")
INDEX_FIELDS = ("step_index", "step_indices")
_PLACES = ("turn_ids", "rollout", "step_index")


@dataclass(frozen=True, eq=False)
class Rows:
    """B rows of T response positions, as NumPy.

    Args:
        group: [B] uid. mask: [B, T] 1 where the policy sampled the token. rewards: [B, T] token_level_rewards.
        scores: [B, T] token_level_scores, the rewards before a penalty; None: the same.
        rollout, step_index: [B] where several rows form one rollout; None: a row is a rollout.
        copied: whether each row of a rollout holds the rollout's score; None: not known.
        tensors: name -> [B, T] or [B]. lists: name -> one object per row. extra: what each row's agent loop attached.
    """

    group: Sequence[Any]
    mask: Any
    rewards: Floats
    scores: Floats | None = None
    rollout: Sequence[Any] | None = None
    step_index: Any = None
    copied: bool | None = None
    tensors: Mapping[str, Any] = field(default_factory=dict)
    lists: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    extra: Sequence[Mapping[str, Any]] = ()

    def find(self, name: str) -> Any:
        """A field by name: [B, T] or [B] array, or a list with one entry per row (None = that row has none)."""
        if name in self.tensors:
            return plain(self.tensors[name])
        if name in self.lists:
            return list(self.lists[name])
        if any(name in row for row in self.extra):
            return [row.get(name) for row in self.extra]
        said = [row.get("reward_extra_info") or {} for row in self.extra]
        if any(name in row for row in said):
            return [row.get(name) for row in said]
        return None

    def names(self) -> list[str]:
        """All that `find` finds."""
        inside = {n for row in self.extra for n in (*row, *(row.get("reward_extra_info") or {}))}
        return sorted({*self.tensors, *self.lists, *inside})


def columns(rows: Rows, asked: Asked, *, critic: bool = False) -> dict[str, Any]:
    """The arguments of `stepcredit.from_arrays` for these rows.

    Outcome, step rewards and token rewards come from verl's token rewards, unless you carry your own.

    Args:
        critic: also what a critic's target needs.

    Raises:
        LayoutError, StepCreditError, UnknownName: what does not fit; names row and field.
    """
    own = _own(rows, asked)
    turn_ids = own.pop("turn_ids", None)
    rollout, index = _places(rows, own, asked)
    mask = plain(rows.mask)
    if turn_ids is not None:
        turn_ids = _grid("turn_ids", turn_ids, mask.shape, fill=-1)
        _all_in_turns(mask == 1, turn_ids)
    out: dict[str, Any] = {"group": list(rows.group), "turn_ids": turn_ids, "rollout": rollout, "step_index": index}
    out["response_mask"] = None if turn_ids is not None else mask
    sampled = mask == 1 if turn_ids is None else turn_ids >= 0
    earned = _earned(rows, rollout, index, asked)
    for name, values in own.items():
        out[name] = _shaped(name, values, rows, sampled, rollout)
    if "outcome" not in own:
        out["outcome"] = _over_rollouts(earned.sum(1), rows.group, rollout)
    if not own.keys() & {"reward", "token_reward"}:
        placed = _on_sampled(earned, sampled)
        out["reward"] = _per_turn(placed, sampled, turn_ids)
        if critic or "token_reward" in asked.columns:
            out["token_reward"] = placed
    for name, fields in TOKEN_FIELDS.items():
        if name not in own and (name in asked.columns or (critic and name == "token_value")):
            found = next((v for f in fields if (v := rows.find(f)) is not None), None)
            if found is not None:
                out[name] = _grid(name, found, mask.shape)
    return out


def _all_in_turns(sampled: Bools, turn_ids: Ints) -> None:
    """See that every token which the mask calls sampled has a turn: it would train with advantage 0."""
    lost = sampled & (turn_ids < 0)
    if lost.any():
        row, position = np.argwhere(lost)[0].tolist()
        raise LayoutError(
            f"turn_ids, row {row}: {int(lost[row].sum())} of {int(sampled[row].sum())} sampled tokens have no turn, "
            f"the first at position {position}",
            hint="one number per response token, -1 only where the response mask is 0; was the response cut?",
        )


def _own(rows: Rows, asked: Asked) -> dict[str, Any]:
    """Columns that the agent loop put under the key "stepcredit", and those that the config maps."""
    attached = rows.find("stepcredit")
    per_row: list[Mapping[str, Any]] = [] if attached is None else [row or {} for row in attached]
    wrong = next((b for b, row in enumerate(per_row) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise LayoutError(
            f'row {wrong}: extra_fields["stepcredit"] must be a dict of columns; got {type(per_row[wrong]).__name__}'
        )
    names = {name: name for row in per_row for name in row}
    known = {c.name for c in TABLE} | asked.columns | set(_PLACES)
    for name in (*names, *asked.settings.columns):
        if name not in known and column(name) is None:
            raise UnknownName("column of stepcredit", name, known)
    out: dict[str, Any] = {name: [row.get(name) for row in per_row] for name in names}
    for name, theirs in asked.settings.columns.items():
        found = rows.find(theirs)
        if found is None:
            raise UnknownName(f"field of the batch (algorithm.stepcredit.columns.{name})", theirs, rows.names())
        out[name] = found
    return out


def _places(rows: Rows, own: dict[str, Any], asked: Asked) -> tuple[Sequence[Any] | None, Ints | None]:
    """Rollout and place of each row."""
    rollout, index = own.pop("rollout", None), own.pop("step_index", None)
    if rollout is None:
        rollout = rows.rollout
        if rollout is None:
            rollout = next((v for f in ROLLOUT_FIELDS if (v := rows.find(f)) is not None), None)
    if rollout is None:
        return None, None
    rollout = _hashed(rollout)
    several = len(set(zip(rows.group, rollout, strict=True))) < len(rollout)
    if index is None:
        index = rows.step_index
        if index is None:
            index = next((v for f in INDEX_FIELDS if (v := rows.find(f)) is not None), None)
    if index is None and several:
        raise StepCreditError(
            "several rows form one rollout, and nothing says in which order: verl reorders rows to balance lengths",
            hint="+algorithm.stepcredit.columns.step_index=FIELD, a field with the place of each row in its rollout "
            f"(looked for: {', '.join(INDEX_FIELDS)}; there are: {', '.join(rows.names())})",
        )
    if several and rows.copied is None and asked.settings.row_scores is None:
        raise StepCreditError(
            "several rows form one rollout; do their scores each hold the rollout's outcome, or what the row earned?",
            hint="+algorithm.stepcredit.row_scores=copied, or =own",
        )
    return rollout, None if index is None else np.asarray(index).astype(np.int64)


def _hashed(values: Iterable[Any]) -> list[Any]:
    return [v.item() if hasattr(v, "item") else v for v in values]


def _earned(rows: Rows, rollout: Sequence[Any] | None, index: Ints | None, asked: Asked) -> Floats:
    """[B, T] what each row earned: of copied scores, the rollout's last row keeps them."""
    earned = np.asarray(rows.rewards, np.float64)
    choice = asked.settings.row_scores
    copied = rows.copied if choice is None else choice == "copied"
    if rollout is None or not copied:
        return earned
    last: dict[Any, tuple[int, int]] = {}
    for row, key in enumerate(zip(rows.group, rollout, strict=True)):
        place = row if index is None else int(index[row])
        last[key] = max(last.get(key, (place, row)), (place, row))
    keeps = np.zeros(len(earned), bool)
    keeps[[row for _, row in last.values()]] = True
    scores = earned if rows.scores is None else np.asarray(rows.scores, np.float64)
    penalty = np.where(np.isnan(scores), 0.0, earned - scores)
    return np.where(keeps[:, None], earned, penalty)


def _over_rollouts(totals: Floats, group: Sequence[Any], rollout: Sequence[Any] | None) -> Floats:
    """[B] the sum over the rows of each row's rollout."""
    if rollout is None:
        return totals
    sums: dict[Any, float] = {}
    keys = list(zip(group, rollout, strict=True))
    for key, total in zip(keys, totals.tolist(), strict=True):
        sums[key] = sums.get(key, 0.0) + total
    return np.array([sums[key] for key in keys])


def _on_sampled(earned: Floats, sampled: Bools) -> Floats:
    """[B, T] rewards moved to the sampled token before them; to the first, where none is before. Sums stay."""
    off = (earned != 0) & ~sampled
    if not off.any():
        return earned
    at = np.where(sampled, np.arange(sampled.shape[1]), -1)
    before = np.maximum.accumulate(at, axis=1)
    row, position = np.nonzero(off & sampled.any(1, keepdims=True))
    target = before[row, position]
    target = np.where(target < 0, sampled.argmax(1)[row], target)
    out = np.where(off, 0.0, earned)
    np.add.at(out, (row, target), earned[row, position])
    return out


def _per_turn(placed: Floats, sampled: Bools, turn_ids: Ints | None) -> list[list[float]]:
    """One list per row: the sum of rewards over each of its turns."""
    if turn_ids is None:
        starts = np.diff(sampled.astype(np.int8), axis=1, prepend=0) == 1
    else:
        highest = np.maximum.accumulate(np.where(sampled, turn_ids, -1), axis=1)
        before = np.concatenate([np.full((len(highest), 1), -1), highest[:, :-1]], axis=1)
        starts = sampled & (turn_ids > before)
    step = np.cumsum(starts[sampled]) - 1
    turns = starts.sum(1)
    sums = np.zeros(int(turns.sum()))
    np.add.at(sums, step, placed[sampled])
    return [part.tolist() for part in np.split(sums, np.cumsum(turns)[:-1])]


def _shaped(name: str, values: Any, rows: Rows, sampled: Bools, rollout: Sequence[Any] | None) -> Any:
    """A column of yours as `from_arrays` takes it."""
    known = column(name)
    axis = known.axis if known else "K" if name.startswith("token_") else "S"
    if axis == "K":
        return _grid(name, values, (sampled.shape[0], sampled.shape[1]), sampled=sampled)
    listed = _hashed(values) if axis in "RG" else [plain(v) for v in values]
    if axis == "G":
        return list(_agreed(name, listed, rows.group).values())
    if axis == "R":
        keys = rows.group if rollout is None else list(zip(rows.group, rollout, strict=True))
        if rollout is None:
            return listed
        found = _agreed(name, listed, keys)
        return [found[key] for key in keys]
    without = [b for b, v in enumerate(listed) if v is None]
    if without:
        raise LayoutError(
            f"column {name!r}: {len(without)} of {len(listed)} rows carry none, row {without[0]} is the first",
            hint="give every row a list with one entry per turn; None for a turn where it is unknown",
        )
    return listed


def _agreed(name: str, values: Sequence[Any], keys: Sequence[Any]) -> dict[Any, Any]:
    """What the rows of one key say; rows that say nothing follow the others."""
    out: dict[Any, Any] = {}
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        known = out.get(key)
        if known is None:
            out[key] = value
        elif value is not None and value != known:
            raise LayoutError(f"column {name!r}: row {row} says {value!r} where a row before it says {known!r}")
    return out


def _grid(name: str, values: Any, shape: tuple[int, int], fill: float = 0, sampled: Bools | None = None) -> Any:
    """[B, T]; lists of the rows' own lengths are filled up behind, where no sampled token may stand."""
    if isinstance(values, np.ndarray) and values.shape == shape:
        return values
    parts = [np.asarray(plain(v)) if v is not None else None for v in values]
    for row, part in enumerate(parts):
        if part is None or part.ndim != 1 or part.size > shape[1]:
            got = "nothing" if part is None else f"shape {part.shape}"
            raise LayoutError(
                f"{name}, row {row}: got {got}, expected one number per response token, at most {shape[1]}",
                hint="tool tokens count: the list is as long as response_ids",
            )
        if sampled is not None and sampled[row, part.size :].any():
            raise LayoutError(
                f"{name}, row {row}: got {part.size} numbers, and the row has sampled tokens up to position "
                f"{int(np.flatnonzero(sampled[row])[-1])}",
                hint="one number per response token: the list is as long as response_ids",
            )
    kind = np.result_type(*[p.dtype for p in parts if p is not None]) if parts else np.dtype(float)
    out = np.full(shape, fill, kind)
    for row, part in enumerate(parts):
        if part is not None:
            out[row, : part.size] = part
    return out
