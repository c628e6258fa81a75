"""State ids from what was observed: equal exactly where steps are comparable."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from importlib import util
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from stepcredit.data.batch import Batch, missing
from stepcredit.data.encode import encode
from stepcredit.data.layout import Layout
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError, MissingColumn, StepCreditError, UnknownName
from stepcredit.ops import Merge, merge_rate, state_cells

Source = Literal["last", "history", "set"]
SOURCES: tuple[str, ...] = get_args(Source)
START = "start"

_IDS = re.compile(r"\b(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?=\w*\d)(?=\w*[^\W\d])\w{6,})\b")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_SPACE = re.compile(r"\s+")
NORMALIZERS: dict[str, Callable[[str], str]] = {
    "ids": lambda text: _IDS.sub("@", text),
    "numbers": lambda text: _NUMBERS.sub("#", text),
    "case": str.casefold,
    "whitespace": lambda text: _SPACE.sub(" ", text).strip(),
}
"""In the order they are applied. ids: UUIDs and words of 6+ characters that mix letters and digits become "@".
numbers: digits with their decimal and thousand marks become "#". case: case folding. whitespace: runs become one
blank."""


def normalized(text: str, normalize: Iterable[str] = ()) -> str:
    """Text with the chosen differences taken out.

    Raises:
        UnknownName: no such normalizer.

    >>> normalized("Order  A17X92 costs 1,299.50", ["ids", "numbers", "whitespace"])
    'Order @ costs #'
    """
    chosen = set(normalize)
    for name in chosen - NORMALIZERS.keys():
        raise UnknownName("normalizer", name, NORMALIZERS)
    for name, change in NORMALIZERS.items():
        if name in chosen:
            text = change(text)
    return text


def with_states(
    batch: Batch,
    source: str | Callable[[Rollout], Sequence[Hashable]] = "last",
    *,
    normalize: Iterable[str] = (),
) -> Batch:
    """The batch with a `state` column: what each step was taken in.

    Args:
        source: "last", the observation that came before the step; "history", all of them in order; "set", which have
            been seen, in any order and once each; "column:NAME", an existing column or field; "FILE.py:FUNCTION" or a
            function that takes a Rollout record and returns one key per step (None = comparable with nothing).
        normalize: differences between observations that do not count: "whitespace", "case", "numbers", "ids".
            None chosen: texts are compared exactly.

    A first step is in the state "start". A step before which an observation is missing is comparable with nothing.

    Raises:
        MissingColumn: there are no observations (or no such column). UnknownName: no such source or normalizer.
    """
    normalize = tuple(normalize)
    normalized("", normalize)
    if callable(source):
        return _by_function(batch, source, getattr(source, "__name__", "a function"))
    if source.startswith("column:"):
        return _by_column(batch, source.removeprefix("column:"), normalize)
    if ".py:" in source:
        return _by_function(batch, _load(source), source)
    if source not in SOURCES:
        raise UnknownName("source of states", source, [*SOURCES, "column:NAME", "FILE.py:FUNCTION"])
    keys = _observed(batch, normalize)
    lay = batch.layout
    before = [START if p < 0 else keys[p] for p in lay.previous.tolist()]
    if source != "last":
        before = _accumulated(lay, before, ordered=source == "history")
    return batch.with_columns(state=before, note=f"state: {source} observation{_named(normalize)}")


def survey(batch: Batch, normalize: Iterable[str] = tuple(NORMALIZERS)) -> list[tuple[str, Merge]]:
    """How much each way of making states merges: (name, Merge) of the batch's own, then of every source, exact and
    normalized."""
    rows = []
    if "state" in batch:
        rows.append(("as given", merge_rate(state_cells(batch.layout, batch["state"]))))
    if "observation" in batch:
        for source in SOURCES:
            for chosen in ((), tuple(normalize)):
                made = with_states(batch, source, normalize=chosen)
                rows.append((f"{source}{_named(chosen)}", merge_rate(state_cells(made.layout, made["state"]))))
    return rows


def _named(normalize: Sequence[str]) -> str:
    return f" ({', '.join(n for n in NORMALIZERS if n in normalize)} normalized)" if normalize else " (exact)"


def _observed(batch: Batch, normalize: Sequence[str]) -> list[Hashable]:
    """[S] normalized observation of each step; None where there is none."""
    if "observation" not in batch:
        raise missing("observation", batch, "a state from observations")
    return _decoded(batch, "observation", normalize)


def _decoded(batch: Batch, name: str, normalize: Sequence[str]) -> list[Hashable]:
    ids: list[Any] = batch[name].tolist()
    if name not in batch.keys:
        return ids
    keys = [normalized(k, normalize) if isinstance(k, str) else k for k in batch.keys[name]]
    return [keys[i] for i in ids]


def _accumulated(layout: Layout, before: Sequence[Hashable], *, ordered: bool) -> list[Hashable]:
    """[S] key of all observations up to each step: interned, so that a long history costs no more than a short one."""
    number: dict[Any, int] = {}
    seen: list[Any] = [None] * layout.S
    for s, p in enumerate(layout.previous.tolist()):
        last = before[s]
        if last is None or (p >= 0 and seen[p] is None):
            continue
        if p < 0:
            seen[s] = (START,) if ordered else frozenset((START,))
        elif ordered:
            seen[s] = (number[seen[p]], last)
        else:
            seen[s] = seen[p] | {last}
        number.setdefault(seen[s], len(number))
    kind = "history" if ordered else "set"
    return [None if key is None else f"{kind}:{number[key]}" for key in seen]


def _by_column(batch: Batch, name: str, normalize: Sequence[str]) -> Batch:
    if name in batch:
        if batch.axis(name) != "S":
            raise MissingColumn(f"column {name!r} stands on [{batch.axis(name)}]; states need one entry per step")
        values = _decoded(batch, name, normalize)
    elif batch.records is not None and any(name in s.extra for r in batch.records for s in r.steps):
        found = (s.extra.get(name) for r in batch.records for s in r.steps)
        values = [normalized(v, normalize) if isinstance(v, str) else v for v in found]
    else:
        raise missing(name, batch, "a state from a column")
    return batch.with_columns(state=values, note=f"state: column {name}{_named(normalize)}")


def _by_function(batch: Batch, function: Callable[[Rollout], Sequence[Hashable]], name: str) -> Batch:
    if batch.layout.is_tree:
        raise StepCreditError("states by a function need rollouts that share no steps; give them in the records")
    keys: list[Hashable] = []
    for record in batch.to_records():
        made = list(function(record))
        if len(made) != len(record.steps):
            raise DataError(
                f"{name} must return one key per step",
                rollout=record.rollout,
                got=f"{len(made)} keys",
                expected=len(record.steps),
            )
        keys += made
    encode(keys)
    return batch.with_columns(state=keys, note=f"state: {name}")


def _load(source: str) -> Callable[[Rollout], Sequence[Hashable]]:
    """The function that `FILE.py:FUNCTION` names; its file is run, as any Python file of yours would be."""
    file, _, name = source.rpartition(":")
    spec = util.spec_from_file_location(Path(file).stem, file) if Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise StepCreditError(f"no Python file {file!r}", hint="--from FILE.py:FUNCTION")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise UnknownName(f"function in {file}", name, [n for n in vars(module) if not n.startswith("_")])
    return function  # type: ignore[no-any-return]


def merge_of(batch: Batch) -> Merge:
    """Merge rate of the batch's states inside their tasks."""
    return merge_rate(state_cells(batch.layout, np.asarray(batch["state"])))
