"""The final answer of a rollout, and what came before it."""

import re
from collections.abc import Callable
from itertools import pairwise

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.evidence import _texts

PATTERN = r"(?s)<answer>(.*?)</answer>"
Answer = str | Callable[[Rollout], str | None] | None


def paths(batch: Batch, who: str) -> list[list[Step]]:
    """[R] the steps on each rollout's way, shared ones included."""
    steps, lay = _texts.steps(batch, who), batch.layout
    starts, rows = lay.paths.start.tolist(), lay.paths.rows.tolist()
    return [[steps[s] for s in rows[a:b]] for a, b in pairwise(starts)]


def answers(batch: Batch, answer: Answer, pattern: str, who: str) -> list[str]:
    """[R] the final answer of each rollout, "" where it gave none.

    Args:
        answer: a field of the rollout records, or a function of the record; None: the first match of `pattern` in the
            texts of the steps (its group 1, if it has one).
    """
    ways = paths(batch, who)
    return [_one(r, way, answer, pattern) for r, way in zip(_texts.records(batch, who), ways, strict=True)]


def _one(record: Rollout, way: list[Step], answer: Answer, pattern: str) -> str:
    if callable(answer):
        found = answer(record)
    elif isinstance(answer, str):
        found = record.extra.get(answer)
    else:
        match = re.search(pattern, "\n".join(step.text or "" for step in way))
        found = None if match is None else match[1 if match.re.groups else 0]
    return "" if found is None else str(found).strip()
