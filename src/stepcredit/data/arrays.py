"""Batches from arrays as trainers have them, and numbers per token back into a trainer's shape."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.encode import encode
from stepcredit.data.flat import from_columns
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError


def from_arrays(
    *,
    group: Any,
    rollout: Any = None,
    response_mask: Any = None,
    turn_ids: Any = None,
    step_index: Any = None,
    **columns: Any,
) -> Batch:
    """A Batch from flat lists, one entry per step, or from padded tensors [B, T] (NumPy or torch).

    Flat, where neither `response_mask` nor `turn_ids` is given. Rows may be in any order; rows of one rollout keep
    theirs, rollouts are in order of first appearance. The batch is sorted so: `credit.as_given()` brings numbers back
    to the order of the rows given.

    Args:
        group: task of each step row, or of each rollout. Text or numbers.
        rollout: name of the rollout of each step row. Equal names in different groups are different rollouts.
        columns: any of the table of columns, or your own per step: reward, state, outcome ... A column of [R], such as
            outcome, may be given per step row or per rollout. token_step: [K] the step row of each token.

    >>> batch = from_arrays(group=["p", "p", "p"], rollout=["a", "b", "a"], reward=[0, 1, 2], outcome=[1, 0, 1])
    >>> batch.layout.rollout, batch["reward"], batch["outcome"]
    (array([0, 0, 1]), array([0., 2., 1.]), array([1., 0.]))

    Padded, B rows of T positions:

    Args:
        group: [B] task of each row: uids, text or numbers.
        response_mask: [B, T] 1 where the policy sampled the token, else 0.
        turn_ids: [B, T] turn of each sampled token, not decreasing in a row; -1 = not sampled. Without it, a turn is
            a maximal run of ones in `response_mask`.
        rollout: [B] where several rows (the steps of an agent, each with its own prompt) form one rollout.
        step_index: [B] place of a row in its rollout; without it rows are in their order.
        columns: outcome and other columns of [R]: one number per row, equal within a rollout. token_*: [B, T].
            Others are per step: a list per row, with one entry per turn of the row (a flat [B] where each row has one).

    `token_row` and `token_position` say where each token stands, so that `scatter` brings numbers back.

    Raises:
        LayoutError: shapes that do not fit, a mask of other numbers than 0 and 1, turn ids that decrease, lists that
            do not match the turns of a row. Names row, got and expected.

    >>> mask = np.array([[1, 1, 0, 1], [1, 0, 0, 0]])
    >>> batch = from_arrays(group=["p", "p"], response_mask=mask, outcome=[1.0, 0.0], reward=[[0, 1], [0]])
    >>> batch.layout
    Layout(G=1, R=2, S=3, K=4)
    >>> batch.layout.token_step, batch["reward"]
    (array([0, 0, 1, 2]), array([0., 1., 0.]))
    """
    given = {name: plain(values) for name, values in columns.items() if values is not None}
    if response_mask is None and turn_ids is None:
        if rollout is None or step_index is not None:
            raise LayoutError(
                "flat lists need `rollout`, the rollout of each step row (and no `step_index`); padded tensors need "
                "`response_mask` or `turn_ids`"
            )
        batch, order = from_columns({"rollout": _listed(rollout), "group": _listed(group), **given})
        return batch.with_columns(given_row=order)
    return _padded(group, rollout, response_mask, turn_ids, step_index, given)


def scatter(batch: Batch, values: Any, shape: tuple[int, int], *, fill: float = np.nan) -> Floats:
    """Numbers per sampled token, back in the trainer's tensor.

    Args:
        values: [K] one number per token of the batch.
        shape: (B, T) of the tensor that the batch was made from.
        fill: what stands where no token was sampled.

    Returns:
        [B, T].

    Raises:
        MissingColumn: the batch does not know where its tokens stand. LayoutError: they lie outside the shape.
    """
    row, position = batch["token_row"], batch["token_position"]
    numbers = np.asarray(plain(values), dtype=np.float64)
    if numbers.shape != (batch.layout.K,):
        raise LayoutError(f"values must hold one number per token ({batch.layout.K}); got shape {numbers.shape}")
    if row.size and (row.min() < 0 or position.min() < 0 or row.max() >= shape[0] or position.max() >= shape[1]):
        raise LayoutError(f"tokens reach row {row.max()}, position {position.max()}; got shape {shape}")
    out = np.full(shape, fill, dtype=np.float64)
    out[row, position] = numbers
    return out


def _padded(
    group: Any, rollout: Any, response_mask: Any, turn_ids: Any, step_index: Any, given: dict[str, Any]
) -> Batch:
    mask, turn = _turns(response_mask, turn_ids)
    rows = mask.shape[0]
    names = _listed(group)
    _sized(names, rows, "group")
    if None in names:
        raise LayoutError(f"group names no task in row {names.index(None)}; got None, expected text or a number")
    number, labels, row_group = _rollouts(names, rollout, rows)
    order = _row_order(number, step_index)
    starts = _first_of_turn(mask, turn)
    per_row = starts.sum(1)
    at_row, position = np.nonzero(mask[order])
    token_step = np.cumsum(starts[order][at_row, position]) - 1
    group_ids, group_keys = encode(row_group)
    layout = Layout(group_ids, np.repeat(number[order], per_row[order]), token_step=token_step)
    where = {"token_row": order[at_row], "token_position": position}
    batch = Batch(layout, dict(where), {"group": group_keys, "rollout": labels})
    for name, values in given.items():
        batch = batch.with_columns(**{name: _column(name, values, mask, order, number, per_row, where)})
    return _with_batches(batch)


def _turns(response_mask: Any, turn_ids: Any) -> tuple[Bools, Ints]:
    """[B, T] what was sampled, and the turn of each position (arbitrary where not sampled)."""
    ids = None if turn_ids is None else _grid(turn_ids, "turn_ids")
    if ids is not None and not np.array_equal(ids, np.trunc(ids)):
        raise LayoutError("turn_ids must be integers, -1 = not sampled")
    if response_mask is None and ids is not None:
        return _with_ids(ids >= 0, ids)
    given = _grid(response_mask, "response_mask")
    mask = given == 1
    wrong = ~mask & (given != 0)
    if wrong.any():
        b, t = np.argwhere(wrong)[0]
        raise LayoutError(f"response_mask must hold 0 and 1; row {b}, position {t} holds {given[b, t]}")
    if ids is None:
        run = np.cumsum(np.diff(mask.astype(np.int8), axis=1, prepend=0) == 1, axis=1)
        return mask, run
    if ids.shape != mask.shape:
        raise LayoutError(f"turn_ids must have the shape of response_mask {mask.shape}; got {ids.shape}")
    differ = mask != (ids >= 0)
    if differ.any():
        b, t = np.argwhere(differ)[0]
        raise LayoutError(
            f"row {b}, position {t}: response_mask is {int(mask[b, t])} but turn_ids is {int(ids[b, t])}",
            hint="turn_ids is -1 exactly where the mask is 0",
        )
    return _with_ids(mask, ids)


def _with_ids(mask: Bools, ids: NDArray[Any]) -> tuple[Bools, Ints]:
    ids = ids.astype(np.int64)
    highest = np.maximum.accumulate(np.where(mask, ids, -1), axis=1)
    back = mask & (ids < highest)
    if back.any():
        b, t = np.argwhere(back)[0]
        raise LayoutError(
            f"turn_ids must not decrease in a row; row {b}, position {t} has turn {ids[b, t]} after {highest[b, t]}"
        )
    return mask, highest


def _first_of_turn(mask: Bools, turn: Ints) -> Bools:
    """Where a turn of the row has its first sampled token: a turn may go on behind a gap."""
    before = np.full(turn.shape, -1, np.int64)
    before[:, 1:] = np.maximum.accumulate(np.where(mask, turn, -1), axis=1)[:, :-1]
    return mask & (turn > before)


def _rollouts(names: list[Any], rollout: Any, rows: int) -> tuple[Ints, list[Hashable], list[Any]]:
    """Number of each row's rollout by first appearance; name and group of each rollout."""
    if rollout is None:
        return np.arange(rows), list(range(rows)), names
    given = _listed(rollout)
    _sized(given, rows, "rollout")
    unnamed = next((row for row, name in enumerate(given) if name is None or name != name), None)
    if unnamed is not None:
        raise LayoutError(
            f"row {unnamed} names no rollout", hint="give every row the name of its rollout, or none at all"
        )
    number, keys = encode(list(zip(names, given, strict=True)))
    pairs: list[Any] = keys
    return number, [name for _, name in pairs], [group for group, _ in pairs]


def _row_order(number: Ints, step_index: Any) -> Ints:
    """Rows by rollout, then by place in it."""
    if step_index is None:
        return np.argsort(number, kind="stable")
    index = np.asarray(plain(step_index))
    if index.shape != number.shape or index.dtype.kind not in "iu":
        raise LayoutError(f"step_index must hold one integer per row ({number.size}); got {index.dtype} {index.shape}")
    order = np.lexsort((index, number))
    twice = (np.diff(number[order]) == 0) & (np.diff(index[order]) == 0)
    if twice.any():
        a, b = order[np.flatnonzero(twice)[0] :][:2]
        raise LayoutError(f"rows {a} and {b} are both step {index[a]} of one rollout")
    return order


def _column(
    name: str,
    values: Any,
    mask: Bools,
    order: Ints,
    number: Ints,
    per_row: Ints,
    where: Mapping[str, Ints],
) -> Any:
    """Values of a column on its axis, in the order of the batch."""
    known = column(name)
    axis = known.axis if known else "K" if name.startswith("token_") else "S"
    if axis == "K":
        grid = np.asarray(values)
        if grid.shape != mask.shape:
            raise LayoutError(f"column {name!r} must have the shape of the mask {mask.shape}; got {grid.shape}")
        return grid[where["token_row"], where["token_position"]]
    if axis == "G":
        return values
    listed = _listed(values)
    if axis == "R":
        return _per_rollout(name, listed, number)
    _sized(listed, mask.shape[0], name)
    nested = [_turn_list(name, listed[b], b, int(per_row[b])) for b in order.tolist()]
    return list(chain.from_iterable(nested))


def _turn_list(name: str, values: Any, row: int, turns: int) -> list[Any]:
    one = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(one, list | tuple):
        one = [one]
    if len(one) != turns:
        raise LayoutError(
            f"column {name!r}, row {row}: got {len(one)} values, expected {turns}, the turns found in the row",
            hint="turns are maximal runs of ones in response_mask; give turn_ids where that is not so",
        )
    return list(one)


def _per_rollout(name: str, listed: list[Any], number: Ints) -> list[Any]:
    """[B] -> [R]: rows of one rollout must agree."""
    _sized(listed, number.size, name)
    out: dict[int, Any] = {}
    for row, r in enumerate(number.tolist()):
        value = out.setdefault(r, listed[row])
        same = value == listed[row] or (value != value and listed[row] != listed[row])
        if not same:
            raise LayoutError(
                f"column {name!r} says one thing of a whole rollout, but row {row} has {listed[row]!r} where a "
                f"row before it has {value!r}"
            )
    return [out[r] for r in range(len(out))]


def _with_batches(batch: Batch) -> Batch:
    """The column `batch` in its place, the layout."""
    if "batch" not in batch:
        return batch
    old = batch.layout
    layout = Layout(old.group, old.rollout, token_step=old.token_step, batch=batch["batch"])
    return Batch(layout, {n: v for n, v in batch.columns.items() if n != "batch"}, batch.keys, batch.axes)


def _grid(values: Any, name: str) -> NDArray[Any]:
    try:
        grid = np.asarray(plain(values))
        numbers = grid.dtype.kind in "biuf"
    except ValueError:
        raise LayoutError(f"{name} must be a grid [B, T]; its rows differ in length", hint="pad them") from None
    if grid.ndim != 2 or not numbers:
        raise LayoutError(f"{name} must be a grid [B, T] of numbers; got {grid.dtype} of shape {grid.shape}")
    if grid.dtype.kind == "f" and np.isnan(grid).any():
        b, t = np.argwhere(np.isnan(grid))[0]
        raise LayoutError(f"{name} must hold no NaN; row {b}, position {t} does")
    return grid.astype(np.int64) if grid.dtype.kind == "b" else grid


def _listed(values: Any) -> list[Any]:
    values = plain(values)
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _sized(values: Sequence[Any], rows: int, name: str) -> None:
    if len(values) != rows:
        raise LayoutError(f"{name} must have one entry per row ({rows}); got {len(values)}")
