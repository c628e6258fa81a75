"""Padded tensors and dicts of columns per row, as tensor trainers hold them; what adapters to them share."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.integrations._padded import Assigner, Padded
from stepcredit.integrations._rows import Row, RowCredit, assign_rows, turns_of


@dataclass(frozen=True)
class Grid:
    """Credit as tensors of the mask's shape and device.

    advantages: [B, T] 0 outside keep. keep: [B, T] bool, what the loss may count. clip_scale, loss_weight: [B, T] 1
    outside the mask, None where the method has none. rows: the same by row. out: everything else.
    """

    advantages: Any
    keep: Any
    clip_scale: Any
    loss_weight: Any
    rows: list[RowCredit]
    out: Padded


def assign_grid(
    assign: Assigner,
    mask: Any,
    *,
    group: Sequence[Hashable],
    outcome: Sequence[float | None],
    sides: Sequence[Mapping[str, Any]] = (),
    rollout: Sequence[Hashable] | None = None,
    place: Sequence[int] | None = None,
    rewards: Any = None,
    tokens: Mapping[str, Any] | None = None,
) -> Grid:
    """Credit of rows in padded tensors.

    Args:
        mask: [B, T] tensor, true where the policy sampled. Turns are its runs, or the "turns" of a row's side.
        group, outcome, rollout, place: [B]. sides: [B] columns of each row, which win over the other arguments.
        rewards: [B, T] rewards by token, summed over each turn and what follows it. tokens: name -> [B, T] or None;
            log-probs that are all 0 are those of a forward pass that the trainer skipped, and not told.
    """
    sampled = mask.bool()
    on = sampled.cpu().numpy()
    grids = {name: _array(values) for name, values in (tokens or {}).items() if values is not None}
    grids = {name: values for name, values in grids.items() if not name.endswith("logp") or values[on].any()}
    by_token = None if rewards is None else _array(rewards)
    made = []
    for at, here in enumerate(on):
        columns = dict(sides[at]) if sides else {}
        turns = columns.pop("turns", None) or turns_of(here)
        if by_token is not None:
            columns.setdefault("reward", _by_turn(by_token[at], here, turns))
        for name, values in grids.items():
            columns.setdefault(name, values[at][here].tolist())
        part, nth = rollout[at] if rollout is not None else None, place[at] if place is not None else None
        made.append(Row(group[at], turns, outcome[at], part, columns, nth))
    rows, out = assign_rows(assign, made)

    def grid(name: str, fill: float) -> Any:
        if getattr(rows[0], name) is None:
            return None
        flat = [value for row in rows for value in getattr(row, name)]
        tensor = sampled.float() * 0 + fill
        tensor[sampled] = tensor.new_tensor(flat)
        return tensor

    scale, weight = grid("clip_scale", 1.0), grid("loss_weight", 1.0)
    return Grid(grid("advantages", 0.0), grid("keep", 0.0).bool(), scale, weight, rows, out)


def _array(values: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = values.detach().float().cpu().numpy()
    return found


def _by_turn(rewards: Any, here: Any, turns: Sequence[int]) -> list[float]:
    """[turns] what was received from a turn's first token to the next turn's; before the first counts to the first."""
    at = np.flatnonzero(here)
    starts = at[np.concatenate([[0], np.cumsum(turns)[:-1]]).astype(int)] if len(turns) else at
    if len(starts) == 0:
        return []
    starts[0] = 0
    summed: list[float] = np.add.reduceat(np.asarray(rewards, float), starts).tolist()
    return summed
