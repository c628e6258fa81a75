"""Methods side by side on the same rollouts."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from stepcredit.credit.registry import get, names
from stepcredit.credit.run import Credit, RewardFrom, applicable, assign, fill
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import MissingColumn
from stepcredit.ops import Merge, correlation, merge_rate, ranks


@dataclass(frozen=True)
class Row:
    """One method on one batch.

    agreement: mean Spearman correlation with the other methods over the steps both judged. spread: standard deviation
    of its credit. zero: share of judged steps with credit exactly 0. unjudged: share of steps not judged. merge: how
    much its grouping merges, by the grouping's name. seconds: time of one run.
    """

    method: str
    agreement: float
    spread: float
    zero: float
    unjudged: float
    merge: Mapping[str, Merge]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        merged = {n: m._asdict() for n, m in self.merge.items()}
        return {**self.__dict__, "merge": merged}


@dataclass(frozen=True)
class Comparison:
    """rows: one per method. correlation: [M, M] Spearman between methods. skipped: method -> why it could not run."""

    rows: tuple[Row, ...]
    correlation: Floats
    credits: tuple[Credit, ...]
    skipped: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": [r.to_dict() for r in self.rows],
            "correlation": [[None if v != v else v for v in line] for line in self.correlation.tolist()],
            "skipped": dict(self.skipped),
        }


def compare(batch: Batch, methods: Sequence[str] | None = None, *, reward: RewardFrom | None = None) -> Comparison:
    """Credit of the same steps by several methods, and how far they agree.

    Args:
        methods: names; None: every method that the batch's columns allow (the others are listed with what they lack).
        reward: as in `assign`.
    """
    skipped: dict[str, str] = {}
    credits, seconds = [], []
    for name in names() if methods is None else methods:
        lacks = applicable(get(name), batch) if methods is None else None
        start = perf_counter()
        try:
            if lacks is None:
                credits.append(assign(batch, name, reward=reward))
                seconds.append(perf_counter() - start)
        except MissingColumn as error:
            if methods is not None:
                raise
            lacks = error.message
        if lacks is not None:
            skipped[name] = lacks
    together = correlations([c.steps for c in credits])
    rows = []
    for i, credit in enumerate(credits):
        others = np.delete(together[i], i)
        known = others[~np.isnan(others)]
        judged = credit.steps[~np.isnan(credit.steps)]
        rows.append(
            Row(
                credit.method,
                float(known.mean()) if known.size else float("nan"),
                float(judged.std()) if judged.size else float("nan"),
                float(np.mean(judged == 0)) if judged.size else float("nan"),
                1 - judged.size / credit.steps.size if credit.steps.size else float("nan"),
                grouping(batch, credit.method, reward),
                seconds[i],
            )
        )
    return Comparison(tuple(rows), together, tuple(credits), skipped)


def correlations(columns: Sequence[Floats]) -> Floats:
    """[M, M] Spearman correlation over the rows that both judged; NaN where one of them is constant there."""
    out = np.full((len(columns), len(columns)), np.nan)
    whole = [None if np.isnan(c).any() else ranks(c) for c in columns]
    for i, a in enumerate(columns):
        for j in range(i + 1):
            b, ra, rb = columns[j], whole[i], whole[j]
            if ra is None or rb is None:
                both = ~np.isnan(a) & ~np.isnan(b)
                ra, rb = ranks(a[both]), ranks(b[both])
            out[i, j] = out[j, i] = correlation(ra, rb)
    return out


def grouping(batch: Batch, name: str, reward: RewardFrom | None = None) -> dict[str, Merge]:
    """Merge rate of each grouping that a method compares steps in; empty for a method that groups no steps.

    A method's module may hold `grouping(layout, state, ...) -> {label: [S] cells}`, filled by name like the method.
    """
    method = get(name)
    if method.grouping is None:
        return {}
    takes = inspect.signature(method.grouping).parameters
    options = {n: v for n, v in method.options.items() if n in takes}
    cells = method.grouping(*fill(method, batch, reward, [], method.grouping), **options)
    return {label: merge_rate(c) for label, c in cells.items()}
