"""Methods side by side, shard by shard: what a worker measures, and what all shards come to."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from stepcredit.credit import Credit, get, names
from stepcredit.credit import assign as assign_credit
from stepcredit.credit.compare import Comparison, Row, correlations, grouping
from stepcredit.credit.run import RewardFrom, applicable
from stepcredit.data import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import MissingColumn
from stepcredit.ops import Merge


@dataclass(frozen=True)
class Compared:
    """What a shard's methods came to, beside their credit.

    Args:
        seconds: of each method. merges: of each method, by the grouping's name. lacks: method -> why it cannot run.
        only_trees: method -> why it cannot run if no shard at all is a tree. is_tree: this one is. steps: number.
    """

    seconds: Mapping[str, float]
    merges: Mapping[str, Mapping[str, Merge]]
    lacks: Mapping[str, str]
    only_trees: Mapping[str, str]
    is_tree: bool
    steps: int


@dataclass
class _Sum:
    credit: list[Floats] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    seconds: float = 0.0
    merges: dict[str, list[tuple[Merge, int]]] = field(default_factory=dict)


def side_by_side(
    batch: Batch, methods: Sequence[str], reward: RewardFrom | None
) -> tuple[tuple[Credit, ...], Compared]:
    """Credit of a shard by the methods named, or by all that its columns allow and that need no other groups.

    Raises:
        MissingColumn: of a method that was named.
    """
    credits, seconds, merges = [], {}, {}
    lacks: dict[str, str] = {}
    only_trees: dict[str, str] = {}
    for name in methods or names():
        method = get(name)
        start = perf_counter()
        try:
            if not methods:
                why = applicable(method, batch)
                if why and _wants_tree(name) and not batch.layout.is_tree:
                    only_trees[name], why = why, None  # another shard may be one
                pooled = method.waives.get("other_prompts")
                if why is None and pooled:
                    why = f"{name} cannot be computed shard by shard: {pooled}"
                if why:
                    lacks[name] = why
                    continue
            credits.append(assign_credit(batch, name, reward=reward))
        except MissingColumn as error:
            if methods:
                raise
            lacks[name] = error.message
            continue
        seconds[name] = perf_counter() - start
        merges[name] = grouping(batch, name, reward)
    return tuple(credits), Compared(seconds, merges, lacks, only_trees, batch.layout.is_tree, batch.layout.S)


class Summary:
    """The comparison over shards; add each, in order."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}
        self._lacks: dict[str, str] = {}
        self._only_trees: dict[str, str] = {}
        self._tree = False

    def add(self, credits: Sequence[Credit], compared: Compared) -> None:
        """Add a shard."""
        self._tree = self._tree or compared.is_tree
        self._lacks.update(compared.lacks)
        self._only_trees.update(compared.only_trees)
        for credit in credits:
            one = self._sums.setdefault(credit.method, _Sum())
            one.credit.append(credit.steps)
            one.notes.update(dict.fromkeys(credit.notes))
            one.seconds += compared.seconds[credit.method]
            for label, merge in compared.merges[credit.method].items():
                one.merges.setdefault(label, []).append((merge, compared.steps))

    @property
    def notes(self) -> dict[str, list[str]]:
        """What was derived for each method."""
        return {n: list(s.notes) for n, s in self._ran().items()}

    def comparison(self) -> Comparison:
        """What `stepcredit.credit.compare.compare` says of all shards as one batch; without the credits."""
        ran = self._ran()
        steps = [np.concatenate(s.credit) for s in ran.values()]
        together = correlations(steps)
        rows = []
        for i, (name, one) in enumerate(ran.items()):
            others = np.delete(together[i], i)
            known, judged = others[~np.isnan(others)], steps[i][~np.isnan(steps[i])]
            rows.append(
                Row(
                    name,
                    float(known.mean()) if known.size else float("nan"),
                    float(judged.std()) if judged.size else float("nan"),
                    float(np.mean(judged == 0)) if judged.size else float("nan"),
                    1 - judged.size / steps[i].size if steps[i].size else float("nan"),
                    {label: _merged(parts) for label, parts in one.merges.items()},
                    one.seconds,
                )
            )
        skipped = {**self._lacks, **({} if self._tree else self._only_trees)}
        return Comparison(tuple(rows), together, (), {n: skipped[n] for n in names() if n in skipped})

    def _ran(self) -> dict[str, _Sum]:
        return {n: s for n, s in self._sums.items() if self._tree or n not in self._only_trees}


def _merged(parts: Sequence[tuple[Merge, int]]) -> Merge:
    """Cells lie within groups, and groups within shards: counts add up."""
    size = sum(n for _, n in parts)
    alone = sum(round(m.singletons * n) for m, n in parts if n)
    if not size:
        return Merge(0, float("nan"), float("nan"), 0)
    return Merge(sum(m.cells for m, _ in parts), 1 - alone / size, alone / size, max(m.largest for m, _ in parts))


def _wants_tree(method: str) -> bool:
    return "tree" in inspect.signature(get(method).function).parameters
