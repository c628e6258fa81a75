"""Ragged rows of a trainer: sampled tokens by turn in, one number per sampled token out; what list adapters share."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, groupby, pairwise
from typing import Any, Literal

import numpy as np

from stepcredit.data.columns import column
from stepcredit.data.encode import encode
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.integrations._padded import Assigner, Padded
from stepcredit.integrations._side import columns_of

Unjudged = Literal["raise", "zero"]
KEY = "stepcredit"  # the entry of a trainer's own metadata that holds columns


@dataclass(frozen=True)
class Row:
    """The sampled tokens of one row of a trainer, and what is known about them.

    Args:
        group: task. turns: number of sampled tokens of each turn, in order. outcome: None = unknown.
        rollout: where several rows make one rollout, its name. place: of the row in it; default: rows are in order.
        columns: by name. Of steps: a list, one entry per turn. token_*: a list, one entry per sampled token. Of the
            whole rollout or task: one value ("outcome" there wins).
    """

    group: Hashable
    turns: Sequence[int]
    outcome: float | None = None
    rollout: Hashable = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    place: int | None = None

    @property
    def size(self) -> int:
        """Sampled tokens."""
        return sum(self.turns)


@dataclass(frozen=True)
class RowCredit:
    """Credit of one row, one entry per sampled token.

    advantages: 0 where not kept. keep: judged, and not taken out by the method's train_mask. clip_scale, loss_weight:
    None where the method has none.
    """

    advantages: list[float]
    keep: list[bool]
    clip_scale: list[float] | None = None
    loss_weight: list[float] | None = None

    @property
    def dropped(self) -> int:
        """Sampled tokens that must leave the loss mask."""
        return self.keep.count(False)


def assigner(method: str, carry: str, options: Mapping[str, Any]) -> Assigner:
    """An Assigner; `reward`, `lint_every` and `fail_on` are picked out of the options."""
    own = {n: options[n] for n in ("reward", "lint_every", "fail_on") if n in options}
    rest = {n: v for n, v in options.items() if n not in own}
    return Assigner(method, carry=carry, options=rest, **own)


def assign_rows(assign: Assigner, rows: Sequence[Row]) -> tuple[list[RowCredit], Padded]:
    """Credit of rows, by way of padded arrays. A row that lacks a column which others have is not known there.

    Raises:
        LayoutError: lists that do not match the turns of a row; names row, got and expected. MissingColumn. LintFailed.
    """
    if not any(row.size for row in rows):
        raise LayoutError("no row has a sampled token", hint="is the loss mask all 0? Call with one batch of rollouts")
    turn_ids = np.full((len(rows), max(row.size for row in rows)), -1)
    for at, row in enumerate(rows):
        turn_ids[at, : row.size] = np.repeat(np.arange(len(row.turns)), row.turns)
    named = columns_of(
        [_with_tokens(at, row) for at, row in enumerate(rows)],
        [sum(map(bool, row.turns)) for row in rows],
        [row.size for row in rows],
        encode([row.group for row in rows])[0].tolist(),
        turn_ids.shape[1],
    )
    if any(row.rollout is not None for row in rows):
        named["rollout"] = [row.rollout for row in rows]
        if all(row.place is not None for row in rows):
            named["step_index"] = [row.place for row in rows]
    if "outcome" not in named and any(row.outcome is not None for row in rows):
        named["outcome"] = [row.outcome for row in rows]
    out = assign(group=[row.group for row in rows], response_mask=turn_ids >= 0, turn_ids=turn_ids, **named)
    return [_credit(out, at, row.size) for at, row in enumerate(rows)], out


def _with_tokens(at: int, row: Row) -> dict[str, Any]:
    """A turn without tokens is no step: its values leave with it, unless a reward would be lost."""
    if all(row.turns):
        return dict(row.columns)
    out = {}
    for name, values in row.columns.items():
        known = column(name)
        of_steps = known.axis == "S" if known else not name.startswith("token_")
        if of_steps and isinstance(values, list | tuple) and len(values) == len(row.turns):
            held = list(zip(values, row.turns, strict=True))
            if name == "reward" and any(value and not size for value, size in held):
                turn = next(t for t, (value, size) in enumerate(held) if value and not size)
                raise LayoutError(
                    f"row {at}, turn {turn} has reward {values[turn]!r} and no sampled token to put it on",
                    hint="add it to the reward of the turn before",
                )
            out[name] = [value for value, size in held if size]
        else:
            out[name] = values
    return out


def _credit(out: Padded, at: int, size: int) -> RowCredit:
    def listed(values: Any) -> Any:
        return None if values is None else values[at, :size].tolist()

    return RowCredit(listed(out.advantages), listed(out.mask), listed(out.clip_scale), listed(out.loss_weight))


def by_turn(values: Sequence[Any], turns: Sequence[int]) -> list[list[Any]]:
    """A row's numbers, cut at the ends of its turns.

    >>> by_turn([1, 2, 3], [2, 1])
    [[1, 2], [3]]
    """
    return [list(values[a:b]) for a, b in pairwise(accumulate(turns, initial=0))]


def turns_of(mask: Iterable[Any]) -> list[int]:
    """Lengths of the maximal runs of true entries.

    >>> turns_of([0, 1, 1, 0, 1])
    [2, 1]
    """
    return [len(list(run)) for sampled, run in groupby(map(bool, mask)) if sampled]


def widened(values: Sequence[Any], mask: Iterable[Any], fill: Any) -> list[Any]:
    """Numbers of sampled tokens, back in the length of the mask.

    >>> widened([5.0, 6.0], [0, 1, 1], 0.0)
    [0.0, 5.0, 6.0]
    """
    left = iter(values)
    return [next(left) if sampled else fill for sampled in mask]


def side(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns in a trainer's metadata (its entry "stepcredit").

    Raises:
        LayoutError: the entry is no dict of columns.
    """
    found = (metadata or {}).get(KEY, {})
    if not isinstance(found, Mapping):
        raise LayoutError(f"metadata[{KEY!r}] must be a dict of columns; got {type(found).__name__}")
    return dict(found)


def per_step(steps: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dicts of the steps of a row -> columns; a step that lacks an entry has None there.

    >>> per_step([{"state": "a"}, {}])
    {'state': ['a', None]}
    """
    names = dict.fromkeys(chain.from_iterable(steps))
    return {name: [step.get(name) for step in steps] for name in names}


def refuse_extras(out: Padded, trainer: str, carried: Collection[str] = ()) -> None:
    """Raise where a method has an output that the trainer has no field for."""
    for name in ("clip_scale", "loss_weight"):
        if getattr(out, name) is not None and name not in carried:
            raise StepCreditError(
                f"{out.credit.method} returns {name}, and {trainer} has no field that carries it per token",
                hint="use a trainer that has one (docs/guides/trainers-table.md), or another method",
            )


def refuse_dropped(credits: Sequence[RowCredit], trainer: str, unjudged: Unjudged) -> int:
    """Tokens that must leave a loss mask that the trainer does not let us write.

    Returns:
        Their number, where unjudged="zero" says that they may stay, with advantage 0.
    """
    dropped = sum(credit.dropped for credit in credits)
    if dropped and unjudged != "zero":
        first = next(at for at, credit in enumerate(credits) if credit.dropped)
        raise StepCreditError(
            f"{dropped} sampled tokens are not judged (the first in row {first}), and {trainer} has no loss mask "
            "here to take them out of",
            hint="leave those rollouts out; or unjudged='zero': advantage 0, still counted in the loss's denominator",
        )
    return dropped


def refuse_part(assign: Assigner, trainer: str, sees: str) -> None:
    """Raise for a method that needs the whole batch where the hook sees a part of it."""
    if assign.pooled:
        raise StepCreditError(
            f"{assign.method} pools over the tasks of a batch, and {trainer} hands over {sees} at a time",
            hint="choose a method, or options, that look at one task (stepcredit methods --json: waives)",
        )


def patched(module: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Put a function into a trainer's module in place of the one it has.

    Raises:
        StepCreditError: the module has no such name: another version of the trainer.
    """
    if not hasattr(module, name):
        raise StepCreditError(
            f"{module.__name__} has no {name}",
            hint="another version of this trainer? docs/guides/trainers-table.md says which one this was written for",
        )
    setattr(module, name, replacement)
