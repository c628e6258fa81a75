"""Choosing one rollout of each question by evidence that never saw the outcomes.

No credit method is among it: its numbers are made of the outcomes that the choice is to find. Nor is a leave-one-out
mean of the other rollouts' outcomes: it is low exactly where the rollout's own outcome is high, so that it chooses
backwards, and it too needs the outcomes.
"""

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.bench.suites._agentprocessbench import Key, Said, files, said
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints

PEOPLE = "people"
NAN = float("nan")

AGGREGATES: dict[str, Callable[[Floats], float]] = {
    "mean": lambda label: float(label.mean()),
    "min": lambda label: float(label.min()),
    "product": lambda label: float(((label + 1) / 2).prod()),
}


def chosen(evidence: Floats, outcome: Floats, question: Ints, questions: int) -> Floats:
    """[Q] expected outcome of the rollout with the most evidence, ties drawn evenly.

    Args:
        evidence: [R], NaN where there is none: chosen only where no rollout of the question has any.
        outcome: [R]. question: [R] ids 0..Q - 1, each with rollouts.

    >>> chosen(np.array([2.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0]), np.array([0, 0, 0]), 1)
    array([0.5])
    """
    given = np.where(np.isnan(evidence), -np.inf, evidence)
    top = np.full(questions, -np.inf)
    np.maximum.at(top, question, given)
    best = given == top[question]
    won = np.bincount(question[best], outcome[best], minlength=questions)
    return np.asarray(won / np.bincount(question[best], minlength=questions))


def evidence(batch: Batch, judges: Path) -> dict[tuple[str, str], Floats]:
    """[R] evidence by (source, aggregate): people's labels, a folder of judges, the rollouts themselves."""
    lay = batch.layout
    labels = [batch["label"][a:b].tolist() for a, b in pairwise(lay.paths.start.tolist())]
    keys: list[Any] = [(batch.group_name(g), batch.rollout_name(r)) for r, g in enumerate(lay.group.tolist())]
    found = {(PEOPLE, how): x for how, x in of_labels(labels).items()}
    for name, path in files(judges).items():
        found |= {(name, how): x for how, x in of_judge(said(path), keys).items()}
    return {**found, **{(name, ""): x for name, x in of_rollouts(batch).items()}}


def of_labels(labels: Sequence[Iterable[float]]) -> dict[str, Floats]:
    """[R] mean, smallest and product of each rollout's labels, those not judged left out; NaN where none is judged.

    The product is of (label + 1) / 2, so that two wrong steps do not make a right one.
    """
    judged = [np.array([x for x in one if x == x], float) for one in labels]
    return {name: np.array([f(x) if x.size else NAN for x in judged]) for name, f in AGGREGATES.items()}


def of_judge(judge: Mapping[Key, Said], keys: Sequence[Key]) -> dict[str, Floats]:
    """[R] `of_labels` of a judge, and its verdict on the rollout, which never saw the outcome either."""
    found = [judge.get(key, Said({}, NAN)) for key in keys]
    verdict = np.array([one.verdict for one in found], float)
    return {**of_labels([one.labels.values() for one in found]), "verdict": verdict}


def of_rollouts(batch: Batch) -> dict[str, Floats]:
    """[R] what the rollouts of a question tell of one another.

    fewest steps, most steps; answers agree: share of the others with the same answer (`answer_text` without case,
    punctuation and articles; no answer, no evidence); documents agree: mean overlap |A and B| / |A or B| of the
    documents seen with those of the others; states shared: mean over the steps of the share of the others that were
    in the step's state. Evidence that no rollout has is left out.
    """
    lay = batch.layout
    records = batch.to_records()
    answers = [_plain(record.extra.get("answer_text")) for record in records]
    documents = [frozenset(_list(record.final_state)) for record in records]
    states = [frozenset(step.state for step in record.steps) for record in records]
    walked = [[step.state for step in record.steps] for record in records]
    out = {"fewest steps": -lay.steps.astype(float), "most steps": lay.steps.astype(float)}
    out |= {name: np.full(lay.R, NAN) for name in ("answers agree", "documents agree", "states shared")}
    for g in range(lay.G):
        mine = np.flatnonzero(lay.group == g).tolist()
        for r in mine:
            others = [o for o in mine if o != r]
            if not others:
                continue
            if answers[r] is not None:
                out["answers agree"][r] = np.mean([answers[o] == answers[r] for o in others])
            out["documents agree"][r] = np.mean([_overlap(documents[r], documents[o]) for o in others])
            if walked[r]:
                out["states shared"][r] = np.mean([[s in states[o] for o in others] for s in walked[r]])
    return {name: x for name, x in out.items() if not np.isnan(x).all()}


def _plain(answer: object) -> str | None:
    if not isinstance(answer, str):
        return None
    words = re.sub(r"\b(a|an|the)\b", " ", answer.casefold().translate(str.maketrans("", "", string.punctuation)))
    return " ".join(words.split()) or None


def _list(state: object) -> list[str]:
    return list(map(str, json.loads(state))) if isinstance(state, str) else []


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0
