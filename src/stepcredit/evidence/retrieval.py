"""What was retrieved or listed, against the documents that are right."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import DataError, MissingColumn, UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence._fields import step_values
from stepcredit.evidence.card import EvidenceCard

Measure = Literal["coverage", "precision", "ndcg", "reciprocal_rank", "new", "seen"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

CARD = EvidenceCard(
    title="F-GRPO: coverage and rank of what was retrieved",
    paper="arXiv:2605.12995",
    bibtex="""@misc{surana2026fgrpo,
  title={F-GRPO: Factorized Group-Relative Policy Optimization for Unified Candidate Generation and Ranking},
  author={Surana, Rohan and Mundada, Gagan and Wu, Junda and Li, Xintong and Jiao, Yizhu and Jin, Bowen and
    Zhou, Sizhe and Yu, Tong and Sinha, Ritwik and Han, Jiawei and Shang, Jingbo and McAuley, Julian},
  eprint={2605.12995}, archivePrefix={arXiv}, year={2026}}""",
    evidence="derived",
    adds=("score",),
    needs="names of the documents that each step retrieved or listed, and of the right ones per task",
    departures="The abstract names an order-invariant coverage reward and a position-aware utility; which utility and "
    "at which depth is not established: NDCG at 10 with gains 0 and 1 here.",
)

PRESETS = {
    "phases": Preset(
        {"measure": ("coverage", "ndcg"), "into": "reward"},
        "F-GRPO, derived: the first step lists candidates, the second ranks them",
    ),
}


def coverage(items: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Share of the right items that are there."""
    return len(set(items) & set(right)) / len(set(right))


def precision(items: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Share of the items, each counted once, that are right; NaN without items."""
    return len(set(items) & set(right)) / len(set(items)) if items else float("nan")


def ndcg(items: Sequence[Hashable], right: Sequence[Hashable], k: int | None = 10) -> float:
    """Discounted gain of a ranking over that of the best one, gains 0 and 1, the first k places.

        sum_i [item_i is right] / log2(i + 1)  /  sum_{i <= min(k, |right|)} 1 / log2(i + 1)

    An item counts where it stands first.

    >>> ndcg(["b", "x", "a"], ["a", "b"], 10).__round__(4)
    0.9197
    """
    ranked = list(dict.fromkeys(items))[:k]
    weight = 1 / np.log2(np.arange(2, max(len(ranked), len(set(right))) + 2))
    best = weight[: len(set(right))][:k].sum()
    return float(weight[: len(ranked)][[item in set(right) for item in ranked]].sum() / best)


def reciprocal_rank(items: Sequence[Hashable], right: Sequence[Hashable], k: int | None = 10) -> float:
    """1 / place of the first right item among the first k, each counted once; 0 if there is none."""
    places = (i for i, item in enumerate(list(dict.fromkeys(items))[:k], start=1) if item in set(right))
    return 1 / next(places, float("inf"))


def retrieval(
    batch: Batch,
    *,
    measure: Measure | Sequence[Measure] = "coverage",
    items: str = "documents",
    reference: _texts.Reference = "gold_documents",
    k: int | None = 10,
    into: str = "score",
) -> Batch:
    """The batch with a `score` of what each step retrieved or listed.

    Args:
        measure: "coverage", share of the right documents that are there; "precision", share of the documents that are
            right; "ndcg" and "reciprocal_rank" of their order; "new", share of the right documents that are there and
            in no step before; "seen", share of the right documents that are there or in a step before. Several: the
            first step of a rollout has the first, the second the second; later ones have none.
        items: a column or a field of the steps with the names, best first: a list, or its JSON text.
        reference: the right names: a field of the rollouts, a mapping from group, or a function of the record.
        k: places that count for "ndcg" and "reciprocal_rank"; None: all.
        into: the column: "score", "progress" (fits "seen"), "useful" (fits "precision"), "reward".

    A step that retrieved nothing known (None) is not judged, except that "seen" stays what it was; an empty list has
    coverage 0 and no precision. Nor is a task without right documents.

    Raises:
        MissingColumn: no such column or field. DataError: names of another form; a rollout without a reference.
        UnknownName: no such measure.
    """
    measures = (measure,) if isinstance(measure, str) else tuple(measure)
    for one in measures:
        if one not in MEASURES:
            raise UnknownName("measure of retrieval", one, MEASURES)
    if into in ("group", "rollout", "state", "action"):
        raise MissingColumn(f"retrieval makes numbers, and {into!r} holds none", hint='into="score"')
    found = [_names(v, items) for v in step_values(batch, items, "retrieval")]
    right = [_names(v, str(reference)) or [] for v in _texts.references(batch, reference, "retrieval")]
    lay = batch.layout
    paths = lay.paths
    walked = np.full(paths.rows.size, np.nan)
    for r in range(lay.R):
        if right[r]:
            start, end = int(paths.start[r]), int(paths.start[r + 1])
            walked[start:end] = _walk([found[row] for row in paths.rows[start:end].tolist()], right[r], measures, k)
    score = lay.merge(walked)
    judged = ~np.isnan(score)
    note = f"{into}: {' then '.join(measures)} of {items!r}; {int(judged.sum())} of {score.size} steps judged"
    made: dict[str, Any] = {into: score}
    return batch.with_columns(note=note, **made)


_OF_ONE: Mapping[str, Callable[[Sequence[Hashable], Sequence[Hashable], int | None], float]] = {
    "coverage": lambda items, right, k: coverage(items, right),
    "precision": lambda items, right, k: precision(items, right),
    "ndcg": ndcg,
    "reciprocal_rank": reciprocal_rank,
}


def _walk(
    listed: Sequence[list[Hashable] | None], right: Sequence[Hashable], measures: Sequence[Measure], k: int | None
) -> Floats:
    """Scores of the steps of one rollout."""
    out = np.full(len(listed), np.nan)
    before: set[Hashable] = set()
    for t, items in enumerate(listed):
        if len(measures) > 1 and t >= len(measures):
            break
        name = measures[t if len(measures) > 1 else 0]
        hits = set(items or ()) & set(right)
        if name == "seen":
            out[t] = len(hits | before) / len(set(right))
        elif items is not None:
            out[t] = len(hits - before) / len(set(right)) if name == "new" else _OF_ONE[name](items, right, k)
        before |= hits
    return out


def _names(value: Any, field: str) -> list[Hashable] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(f"field {field!r} must hold a list of names", got=value, expected='["a", "b"]') from None
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | frozenset) or any(isinstance(v, list | dict) for v in value):
        raise DataError(f"field {field!r} must hold a list of names", got=value, expected='["a", "b"]')
    return list(value)
