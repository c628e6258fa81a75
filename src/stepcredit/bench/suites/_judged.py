"""Evidence from recorded LLM judges on the rollouts of AgentProcessBench, for methods that ask for verdicts.

All judges of the folder vote, none is chosen: `votes` [S, judges] are their labels (-1, 0, 1; NaN where one said
nothing), `label` the sign of their mean, `score` the share of those that did not call the step wrong. None saw people's
labels or the outcome.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.bench.entries import entries, why_not
from stepcredit.bench.suites._agentprocessbench import Said, files, said
from stepcredit.credit import names
from stepcredit.data.batch import Batch

MARK = " + judges"
VERDICTS = "judges' verdicts"


def unaided(blind: Batch, full: Batch | None, chosen: Sequence[str]) -> list[str]:
    """Names to measure without the judges' verdicts: of those chosen the ones that need none.

    Raises:
        StepCreditError: a chosen method can run neither way.
    """
    own = [name for name in chosen if full is None or why_not(name, full) or why_not(name, blind) is None]
    return entries(blind, own) if own or not chosen else []


def asking(full: Sequence[Batch | None], able: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """Methods that run on all of these batches with the judges' verdicts and not without, so marked; and the verdicts
    by themselves.

    Args:
        full: batches with verdicts. able: names that run without. chosen: the names that are asked for; none: all.
    """
    batches = [batch for batch in full if batch is not None]
    if len(batches) < len(full):
        return []
    others = [name for name in chosen or names() if name not in able]
    some = [name for name in others if all(why_not(name, batch) is None for batch in batches)]
    return [*(name + MARK for name in some), *((VERDICTS,) if some else ())]


def judged(batch: Batch, judges: Path) -> Batch | None:
    """The batch with the judges' verdicts; None where there are no judges."""
    found = [said(path) for path in files(judges).values()]
    if not found:
        return None
    votes = np.full((batch.layout.S, len(found)), np.nan)
    s = 0
    for g, record in zip(batch.layout.group.tolist(), batch.to_records(), strict=True):
        key: Any = (batch.group_name(g), record.rollout)
        mine = [one.get(key, Said({}, np.nan)).labels for one in found]
        for step in record.steps:
            votes[s] = [labels.get(step.extra["message"], np.nan) for labels in mine]
            s += 1
    said_some = ~np.isnan(votes)
    count = said_some.sum(1)
    wrong, total = (np.where(said_some, x, 0).sum(1) for x in (votes == -1, votes))
    share = np.divide(count - wrong, count, out=np.full(count.size, np.nan), where=count > 0)
    label = np.where(count > 0, np.sign(total), np.nan)
    return batch.with_columns(votes=votes, label=label, score=share)
