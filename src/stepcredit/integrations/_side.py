"""What is known about rows beside their tokens: lists per turn, tables by turn, logs of environments -> columns.

A row is one completion of a trainer. Turns without an entry are missing (None, NaN), never 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import numpy as np

from stepcredit.data.columns import column
from stepcredit.data.layout import Ints
from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError

_SUMMED, _FIRST = ("reward",), ("state", "observation")


def count_turns(mask: Any, turn_ids: Any = None) -> Ints:
    """[B] turns of each row: runs of ones, or different ids."""
    if turn_ids is not None:
        return np.array([np.unique(row[row >= 0]).size for row in np.asarray(turn_ids)], np.int64)
    starts = np.diff(np.asarray(mask, np.int8), axis=1, prepend=0) == 1
    return np.asarray(starts.sum(1), np.int64)


def columns_of(
    rows: Sequence[Mapping[str, Any]], turns: Sequence[int], lengths: Sequence[int], groups: Sequence[int], width: int
) -> dict[str, Any]:
    """Columns as `stepcredit.from_arrays` takes them, one entry per row.

    Args:
        rows: column -> value of each row. turns: of each row. lengths: tokens of each row. groups: of each row, in
            order. width: T of the padded tensors.

    Raises:
        LayoutError: names the row, what it has, what was expected, and how to mend it.
    """
    out: dict[str, Any] = {}
    for name in sorted({name for row in rows for name in row}):
        given = [plain(row.get(name)) for row in rows]
        known = column(name)
        axis = known.axis if known else "K" if name.startswith("token_") else "S"
        if axis == "K":
            out[name] = np.stack([_token_row(name, v, r, lengths[r], width) for r, v in enumerate(given)])
        elif axis == "G":
            out[name] = _per_group(name, given, groups)
        elif axis == "R":
            out[name] = [_one(name, v, r) for r, v in enumerate(given)]
        else:
            missing = _missing_of(given) if known is None or known.kind != "id" else None
            out[name] = [_per_turn(name, v, r, turns[r], missing) for r, v in enumerate(given)]
    return out


def padded_ids(rows: Sequence[Any], lengths: Sequence[int], width: int) -> Ints:
    """[B, width] turn of each token from a list per row, -1 beyond it.

    Raises:
        LayoutError: a row without turn ids, or with too few or many.
    """
    out = np.full((len(rows), width), -1, np.int64)
    for r, given in enumerate(rows):
        if given is None or len(given) != lengths[r]:
            raise LayoutError(
                f"turn_ids, row {r}: got {'none' if given is None else len(given)}, expected {lengths[r]}, one for "
                "each token of the completion",
                hint="-1 where the policy did not sample the token",
            )
        out[r, : lengths[r]] = plain(given)
    return out


def _token_row(name: str, values: Any, row: int, length: int, width: int) -> Any:
    out = np.full(width, np.nan)
    if values is not None:
        if len(values) != length:
            raise LayoutError(
                f"column {name!r}, row {row}: got {len(values)} values, expected {length}, one for each token of the "
                "completion",
                hint="tokens of tools and environments count too (their values are not read)",
            )
        out[:length] = [np.nan if v is None else v for v in values]
    return out


def _one(name: str, value: Any, row: int) -> Any:
    if isinstance(value, list | tuple | Mapping) or (isinstance(value, np.ndarray) and value.ndim > 0):
        raise LayoutError(
            f"column {name!r}, row {row}: got {len(value)} values, expected one: it says one thing of a whole rollout"
        )
    return value


def _per_group(name: str, values: Sequence[Any], groups: Sequence[int]) -> list[Any]:
    out: dict[int, Any] = {}
    for row, (group, value) in enumerate(zip(groups, values, strict=True)):
        first = out.setdefault(group, value)
        if first != value and not (first != first and value != value):
            raise LayoutError(
                f"column {name!r} says one thing of a task, but row {row} has {value!r} where a row of its group has "
                f"{first!r}"
            )
    return list(out.values())


def _missing_of(values: Iterable[Any]) -> Any:
    """What stands for a turn without an entry: NaN, of the width of the others where there are several numbers."""
    for value in values:
        entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        for entry in entries:
            if isinstance(entry, list | tuple | np.ndarray):
                return [float("nan")] * len(entry)
    return float("nan")


def _per_turn(name: str, value: Any, row: int, turns: int, missing: Any) -> list[Any]:
    if value is None:
        return [missing] * turns
    if isinstance(value, Mapping):
        out, beyond = [missing] * turns, [t for t in value if not (isinstance(t, int) and 0 <= t < turns)]
        if beyond:
            raise LayoutError(
                f"column {name!r}, row {row}: has an entry for turn {beyond[0]!r}, expected 0 to {turns - 1}: the row "
                f"has {turns} turns"
            )
        for turn, entry in value.items():
            out[turn] = missing if entry is None else entry
        return out
    listed = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(listed, list | tuple):
        if turns != 1:
            raise LayoutError(
                f"column {name!r}, row {row}: got the one value {listed!r}, expected a list with one entry for each of "
                f"its {turns} turns",
                hint="is it of the whole rollout? Then it has another name here: outcome, or a key of your own",
            )
        listed = [listed]
    if len(listed) != turns:
        raise LayoutError(
            f"column {name!r}, row {row}: got {len(listed)} values, expected {turns}, the turns found in the row",
            hint="turns are the runs of tokens that the policy sampled; give turn_ids where that is not so, or "
            "a mask that is 0 on tokens of the environment; a dict {turn: value} where only some turns have one",
        )
    return [missing if entry is None else entry for entry in listed]


class EnvironmentLog:
    """Which turn of its rollout each entry of an environment's `credit` belongs to.

    `credit` is a dict column -> list that tools append to. An entry belongs to the turn that called the tool; what is
    there before the first call belongs to turn 0, what comes after the last to the last turn.

    Args:
        environment: any object; without an attribute `credit` it has no columns. turn: the turn that runs now.
    """

    def __init__(self, environment: Any, turn: Callable[[], int]) -> None:
        self.environment, self.turn = environment, turn
        self.calls: list[tuple[int, dict[str, int]]] = []

    def watch(self, tool: Callable[..., Any]) -> Callable[..., Any]:
        """The tool, with its calls noted."""
        if iscoroutinefunction(tool):

            @wraps(tool)
            async def noted(*args: Any, **kwargs: Any) -> Any:
                self.note()
                return await tool(*args, **kwargs)

            return noted

        @wraps(tool)
        def noted_now(*args: Any, **kwargs: Any) -> Any:
            self.note()
            return tool(*args, **kwargs)

        return noted_now

    def note(self) -> None:
        self.calls.append((self.turn(), {n: len(v) for n, v in self._columns().items()}))

    def _columns(self) -> Mapping[str, list[Any]]:
        given = getattr(self.environment, "credit", None) or {}
        return {n: v for n, v in given.items() if isinstance(v, list)}

    def columns(self, row: int, turns: int) -> dict[str, Any]:
        """Column -> {turn: value}; what is no list (an outcome) as it is.

        Raises:
            LayoutError: a state noted both at reset and by the first turn's tool.
        """
        given = getattr(self.environment, "credit", None) or {}
        out: dict[str, Any] = {n: v for n, v in given.items() if not isinstance(v, list)}
        for name, entries in self._columns().items():
            out[name] = self._by_turn(name, entries, row, turns)
        later, state = out.get("next_state", {}), out.get("state")
        if isinstance(state, dict):
            for turn, after in later.items():
                if turn + 1 < turns:
                    state.setdefault(turn + 1, after)
        return out

    def _by_turn(self, name: str, entries: list[Any], row: int, turns: int) -> dict[int, Any]:
        early = self.calls[0][1].get(name, 0) if self.calls else 0
        if name in _FIRST and early and any(turn == 0 and len(entries) > had.get(name, 0) for turn, had in self.calls):
            raise LayoutError(
                f"row {row}: the environment noted {name!r} at reset and again in a tool that turn 0 called",
                hint="note the state in the tools, before they act; what comes after it is `next_state`",
            )
        out: dict[int, Any] = dict.fromkeys(range(turns), 0.0) if name in _SUMMED else {}
        for at, value in enumerate(entries):
            turn = self._turn_of(name, at, turns)
            if name in _SUMMED:
                out[turn] += value
            elif name not in _FIRST or turn not in out:
                out[turn] = value
        return {turn: value for turn, value in out.items() if turn < turns}

    def _turn_of(self, name: str, at: int, turns: int) -> int:
        """Turn of an entry: that of the last call before it."""
        turn = 0
        for called, had in self.calls:
            if had.get(name, 0) > at:
                return turn
            turn = called
        return turn
