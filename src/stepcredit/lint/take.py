"""Arrays for the rules, from a trainer's tensors, ragged lists, or a Credit of ours."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.encode import encode
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError
from stepcredit.lint.arrays import array
from stepcredit.lint.rule import Declared
from stepcredit.ops import token_paths


@dataclass(frozen=True, eq=False)
class Source:
    """What there is to check.

    Args:
        arrays: the given arrays of the table. names: "group" and "rollout" -> name of each id. notes: conventions of
            the source that were met, in words.
    """

    arrays: dict[str, Any]
    names: Mapping[str, Sequence[Hashable]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def from_tensors(
    advantages: Any,
    response_mask: Any,
    entry: Mapping[str, Any],
    row: Mapping[str, Any],
    keys: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Source:
    """Arrays of a trainer: [B, T], ragged lists, or one number per row.

    Args:
        entry: further arrays of the shape of the mask. row: [B] numbers. keys: [B] ids of any kind. facts: as they are.

    Raises:
        LayoutError: shapes that do not fit; names both.
    """
    notes: list[str] = []
    given = _numpy(advantages, "advantages")
    mask = None if response_mask is None else _numpy(response_mask, "response_mask")
    if _depth(given) == 1 and mask is not None and _depth(mask) == 2:
        given = _spread(given, mask)
        notes.append("advantages: one number per row, taken for each of its sampled tokens")
    if mask is None and _depth(given) == 1:
        given = [[v] for v in given]
        notes.append("advantages: one number per row, each row a step of its own")
    if mask is None and isinstance(given, list):
        mask = [np.ones(len(r), np.int64) for r in given]
        notes.append("no response_mask: every listed entry is taken as sampled")
    lengths, position = _shape(given, "advantages")
    rows = lengths.size
    flat, missing = _flat(given, "advantages")
    arrays: dict[str, Any] = {
        "advantage": flat,
        "unjudged": missing,
        "row": np.repeat(np.arange(rows), lengths),
        "position": position,
        "rows": rows,
        **facts,
    }
    if mask is not None:
        value = _like(mask, lengths, "response_mask")
        arrays["mask_value"] = value
        arrays["mask"] = (value > 0) & ~missing
    for name, values in entry.items():
        if values is not None:
            arrays[name] = _like(_numpy(values, name), lengths, array(name).give or name)
    if "attention" in arrays:
        arrays["attention"] = arrays["attention"] > 0
    if "turn_id" in arrays:
        arrays["turn_id"] = np.nan_to_num(arrays["turn_id"], nan=-1).astype(np.int64)
    for name, values in row.items():
        if values is not None:
            arrays[name] = _per_row(values, rows, name)
    names: dict[str, Sequence[Hashable]] = {}
    for name, values in keys.items():
        if values is not None:
            arrays[name], names[name] = _keys(values, rows, name)
    if "rollout" not in arrays:
        arrays["rollout"] = np.arange(rows)
    return Source(arrays, names, tuple(notes))


def from_layout(
    layout: Layout, columns: Mapping[str, NDArray[Any]], tokens: Floats, keys: Mapping[str, Sequence[Hashable]]
) -> Source:
    """Arrays of a Batch with credit per sampled token.

    A rollout is a row, or several where `token_row` says so; a turn is a step. In a tree a shared token stands in each
    rollout that passes it. NaN is not judged.
    """
    paths = token_paths(layout)
    pick, rollout = paths.rows, paths.rollout
    turn = layout.turn[layout.tokens[pick]]
    row = columns["token_row"][pick] if "token_row" in columns else rollout
    position = columns["token_position"][pick] if "token_position" in columns else paths.turn
    order = np.lexsort((position, row))
    pick, rollout, turn, row, position = pick[order], rollout[order], turn[order], row[order], position[order]
    # Rollouts without tokens keep a row of their own, so that groups count them.
    rows = int(row.max()) + 1 if row.size else 0
    owner = np.full(rows, -1, np.int64)
    owner[row] = rollout
    used = np.flatnonzero(owner >= 0)
    dead = np.setdiff1d(np.arange(layout.R), owner[used])
    new = np.cumsum(owner >= 0) - 1
    owner = np.concatenate((owner[used], dead))
    values = tokens[pick]
    arrays: dict[str, Any] = {
        "advantage": values,
        "mask": ~np.isnan(values),
        "unjudged": np.isnan(values),
        "row": new[row] if row.size else row,
        "position": position,
        "turn_id": turn,
        "rows": owner.size,
        "rollout": owner,
        "group": layout.group[owner],
    }
    if "outcome" in columns:
        arrays["outcome"] = columns["outcome"][owner]
    elif "reward" in columns:
        arrays["outcome"] = layout.total(columns["reward"])[owner]
    if "token_reward" in columns:
        arrays["token_reward"] = columns["token_reward"][pick]
    return Source(arrays, {n: keys[n] for n in ("group", "rollout") if n in keys})


def declared(name: str | None, card: Any, options: Mapping[str, Any]) -> Declared | None:
    """What is known of a method, from its name or its card."""
    if name is None:
        if card is None:
            return None
        return Declared(card.title, None, options, card.waives, frozenset(card.holds), card.per)
    from inspect import signature

    from stepcredit.credit.registry import get

    method = get(name)
    reads = frozenset(n for n, p in signature(method.function).parameters.items() if p.kind is not p.KEYWORD_ONLY)
    ran = method.given(options) if options else method
    return Declared(name, reads, ran.options, ran.waives, ran.holds, ran.card.per)


def _numpy(x: Any, name: str) -> Any:
    """A NumPy array of one or two axes, or a list of rows."""
    x = plain(x)
    if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        if x.ndim not in (1, 2):
            raise LayoutError(f"{name} must be [B, T], [B] or a list of rows; got shape {x.shape}")
        return x
    if not _sized(x):
        raise LayoutError(f"{name} must be an array or a list of rows; got {type(x).__name__}")
    listed = [_numpy(v, f"row {i} of {name}") if _sized(v) else v for i, v in enumerate(x)]
    nested = [isinstance(v, np.ndarray | list) for v in listed]
    if any(nested) and not all(nested):
        at = nested.index(not nested[0])
        raise LayoutError(f"{name} mixes rows and numbers: entry {at} is a {type(listed[at]).__name__}")
    if nested and nested[0]:
        return listed
    return listed if any(v is None for v in listed) else _numbers(listed, name)


def _sized(x: Any) -> bool:
    return hasattr(x, "__len__") and not isinstance(x, str)


def _numbers(values: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise LayoutError(f"{name} must hold numbers (None = not judged)") from None


def _depth(x: Any) -> int:
    if isinstance(x, np.ndarray):
        return x.ndim
    return 2 if x and hasattr(x[0], "__len__") else 1


def _shape(x: Any, name: str) -> tuple[Ints, Ints]:
    """[B] entries of each row; [N] position of each entry."""
    if isinstance(x, np.ndarray):
        rows, width = x.shape if x.ndim == 2 else (x.size, 1)
        return np.full(rows, width), np.tile(np.arange(width), rows)
    lengths = np.fromiter((len(r) for r in x), np.int64, len(x))
    return lengths, np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _flat(x: Any, name: str) -> tuple[Floats, NDArray[np.bool_]]:
    """[N] numbers, and which of them were None."""
    if isinstance(x, np.ndarray):
        flat = x.reshape(-1).astype(np.float64)
        return flat, np.zeros(flat.size, bool)
    pieces = [r if isinstance(r, np.ndarray) and r.dtype != object else np.array(r, dtype=object) for r in x]
    missing = [np.array([v is None for v in p], bool) if p.dtype == object else np.zeros(p.size, bool) for p in pieces]
    numbers = [_numbers(p, name) for p in pieces]
    return (np.concatenate(numbers), np.concatenate(missing)) if pieces else (np.zeros(0), np.zeros(0, bool))


def _like(x: Any, lengths: Ints, name: str) -> Floats:
    """[N] numbers of an array that must have the shape of the advantages."""
    if _depth(x) != 2 and not (lengths.size == 0 and len(x) == 0):
        raise LayoutError(f"{name} must have two axes, rows and positions, as the advantages do; got one")
    other, _ = _shape(x, name)
    if other.size != lengths.size:
        raise LayoutError(f"{name} has {other.size} rows, the advantages have {lengths.size}")
    if np.any(other != lengths):
        at = int(np.flatnonzero(other != lengths)[0])
        raise LayoutError(
            f"{name} and advantages differ in length: row {at} has {other[at]} and {lengths[at]} entries"
            f" ({int(np.sum(other != lengths))} of {lengths.size} rows differ)",
            hint="both must speak of the same tokens; a mask that outgrew its row after re-tokenization is "
            "huggingface/trl#5144",
        )
    return _flat(x, name)[0]


def _per_row(values: Any, rows: int, name: str) -> NDArray[Any]:
    x = _numpy(values, name)
    x = np.array([np.nan if v is None else v for v in x], float) if isinstance(x, list) else x
    if x.shape != (rows,):
        raise LayoutError(f"{name} must hold one number per row ({rows}); got shape {x.shape}")
    if name == "outcome":
        return x.astype(np.float64)
    return _whole(x, name)


def _whole(x: NDArray[Any], name: str) -> Ints:
    if not np.all(np.isfinite(x)) or np.any(x != np.floor(x)):
        raise LayoutError(f"{name} must hold integers")
    return x.astype(np.int64)


def _keys(values: Any, rows: int, name: str) -> tuple[Ints, list[Hashable]]:
    values = plain(values)
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise LayoutError(f"{name} must hold one key per row ({rows}); got shape {values.shape}")
    ids, keys = encode(values)
    if ids.size != rows:
        raise LayoutError(f"{name} must hold one key per row ({rows}); got {ids.size}")
    return ids, keys


def _spread(values: Any, mask: Any) -> list[Any]:
    """A number per row, to the row's sampled entries."""
    if len(values) != len(mask):
        raise LayoutError(f"advantages have {len(values)} rows, response_mask has {len(mask)}")
    rows: list[Any] = []
    for v, m in zip(values, mask, strict=True):
        on = np.asarray(m) > 0
        rows.append([v if o else 0.0 for o in on.tolist()] if v is None else np.where(on, v, 0.0))
    return rows
