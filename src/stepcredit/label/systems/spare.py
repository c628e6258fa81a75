"""SPARE: one question to a judge with a reference solution; every step is aligned with it and judged."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import NAN, asked, of_steps, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="SPARE: Single-Pass Annotation with Reference-Guided Evaluation for Automatic Process Supervision and Reward "
    "Modelling",
    paper="arXiv:2506.15498",
    bibtex="""@misc{rizvi2025spare,
  title={SPARE: Single-Pass Annotation with Reference-Guided Evaluation for Automatic Process Supervision},
  author={Rizvi, Md Imbesat Hassan and Zhu, Xiaodan and Gurevych, Iryna},
  year={2025}, eprint={2506.15498}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("judge",),
    needs="a reference solution with its steps, as the reference; the outcome for the last step",
    cost="one question to the judge per solution",
    departures="The prompt is ours, without examples. A reply that is no list of records is not judged, where the code "
    "repairs the JSON. A verdict other than the two counts as left out: wrong, as in the code, with missing='wrong'. "
    "The reference solution is not added as a solution of its own.",
    code="https://github.com/UKPLab/arxiv2025-spare-prm",
)

PRESETS = {
    "missing-as-outcome": Preset({"missing": "outcome"}, "the code's missed_grading_as_outcome"),
    "strict": Preset({"missing": "unjudged"}, "ours: a step that the judge leaves out is not judged"),
}

_TRIES = 1000


class Record(msgspec.Struct, rename={"step": "student_step"}):
    """What the judge says of one step (numbered from 1)."""

    step: int
    label: str
    explanation: str = ""
    reference_steps: list[int] = []
    errors: list[str] = []


def spare(work: Work, *, missing: Literal["wrong", "outcome", "unjudged"] = "wrong", retries: int = 0) -> Plan[Labels]:
    """label_t = 1 where the judge says CORRECT of step t, 0 where INCORRECT; of the last step the outcome.

    Every step keeps its own label: nothing is masked behind an error. `facts` hold the records: explanation, aligned
    steps of the reference, kinds of error.

    Args:
        missing: a step that the reply leaves out is wrong, as the outcome is, or not judged. retries: how often a reply
            that failed or could not be read is asked for again.
    """
    size = len(work.steps)
    why = "no reference solution"
    found: list[Record] | Failed = Failed(why)
    if work.reference:
        prompt = align_prompt(parts(work), work.reference)
        (found,) = yield from asked(work, [prompt], partial(read_records, size=size), retries=retries)
    facts: dict[str, Any] = {}
    label = np.full(size, NAN)
    if isinstance(found, Failed):
        why = found.reason
    else:
        label = labeled(found, size, work.outcome, missing)
        facts["records"] = [msgspec.to_builtins(one) for one in found]
        why = "the judge left it out"
    if work.outcome is not None:
        label[-1] = float(work.outcome >= 0.5)
    told = {} if isinstance(found, Failed) else {one.step - 1: one.explanation or None for one in found}
    reasons = tuple(told.get(t) or (why if np.isnan(label[t]) else None) for t in range(size))
    return work.labels(label=label, first_error=first_wrong(label), reasons=reasons, facts=facts)


def labeled(
    records: Sequence[Record], size: int, outcome: float | None, missing: Literal["wrong", "outcome", "unjudged"]
) -> np.ndarray:
    """[T] labels of the records; of the last step the outcome where it is known.

    >>> told = [Record(1, "CORRECT"), Record(2, "INCORRECT"), Record(4, "CORRECT")]
    >>> labeled(told, 4, 1.0, "outcome").tolist()
    [1.0, 0.0, 1.0, 1.0]
    """
    right = None if outcome is None else float(outcome >= 0.5)
    known = {"CORRECT": 1.0, "INCORRECT": 0.0}
    label = of_steps({r.step - 1: known[r.label.upper()] for r in records if r.label.upper() in known}, size)
    other = {"wrong": 0.0, "outcome": NAN if right is None else right, "unjudged": NAN}[missing]
    label = np.where(np.isnan(label), other, label)
    if right is not None:
        label[-1] = right
    return label


def align_prompt(story: Sequence[Part], reference: str) -> str:
    """Asks for a record of every step, aligned with a reference solution."""
    return f"""Compare a solution with a reference solution, step by step, in one pass.

For each step of the solution find the step or steps of the reference that it corresponds to, if there are any, and \
what it takes from the task and from other steps. It is CORRECT if what it says holds and leads to the answer, by the \
reference's way or another; INCORRECT if it holds a mistake or builds on one. The reference may hold mistakes too.

{quoted(*story, ("reference solution", reference))}

End with one JSON list that has an object for every step of the solution, in this form:
[{{"student_step": 1, "explanation": "...", "reference_steps": [1], "errors": [], "label": "CORRECT or INCORRECT"}}]"""


def read_records(reply: str, size: int) -> list[Record]:
    """The records of steps that are there; of two on one step the last.

    Raises:
        Unreadable: no JSON list, or none of it is a record.

    >>> read_records('Well. [{"student_step": 2, "label": "CORRECT"}]', 2)[0].step
    2
    """
    said = spoken(reply)
    listed: Any = None
    begin = said.rfind("[")
    for _ in range(_TRIES):  # lists within the records end before theirs begins
        if begin < 0 or listed is not None:
            break
        try:
            found, _end = json.JSONDecoder().raw_decode(said, begin)
        except (ValueError, RecursionError):
            found = None
        listed = found if isinstance(found, list) and any(isinstance(x, dict) for x in found) else None
        begin = said.rfind("[", 0, begin)
    if listed is None:
        raise Unreadable("no JSON list of records")
    out: dict[int, Record] = {}
    for one in listed:
        try:
            record = msgspec.convert(one, Record)
        except msgspec.ValidationError:
            continue
        if 1 <= record.step <= size:
            out[record.step] = record
    if not out:
        raise Unreadable("no record of a step that is there")
    return [out[step] for step in sorted(out)]
