"""Answers to the subproblems of a task, each in a tag of its own, checked against their references."""

from typing import Any

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence._ask import options_of
from stepcredit.evidence._queries import verified
from stepcredit.evidence._texts import Reference, references, steps
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Verifier
from stepcredit.segment.tagged import tag_spans

CARD = EvidenceCard(
    title="Subproblem verdicts (SCRL)",
    paper="arXiv:2605.22074",
    bibtex=(
        "@misc{jiang2026scrl, title={From Reasoning Chains to Verifiable Subproblems: Curriculum Reinforcement "
        "Learning Enables Credit Assignment}, author={Jiang, Xitai and Tang, Zihan and Lin, Wenze and Yue, Yang and "
        "Wang, Shenzhi and Huang, Gao}, year={2026}, eprint={2605.22074}, archivePrefix={arXiv}}"
    ),
    evidence="paper",
    adds=("label", "well_formed"),
    needs="steps cut so that each holds one tagged answer at most; the references of a task's subproblems, in order",
    cost="one verifier call per tagged answer of a well-formed rollout",
    departures=(
        "None known. Only the verdicts are made here: that progress is the longest solved prefix, and what a position "
        "gets, is the method's."
    ),
)


def subproblems(batch: Batch, verifier: Verifier, *, answers: Reference = "subanswers", tag: str = "p") -> Batch:
    """The batch with `label`: is the answer in the step right (+1) or wrong (-1)? And `well_formed` for each rollout.

    A rollout is well formed if it answers every subproblem once and in order: <p1>..</p1> to <pK>..</pK>. In one that
    is not, every tagged answer is wrong (save in a step that a well-formed one shares). A step without a tag has no
    verdict.

    Args:
        verifier: gives 1 for a right answer, 0 for a wrong one, NaN if it cannot tell; 0.5 or more is right.
        answers: the K references: a field of the record, a mapping from group, a function of the record.
        tag: name of the tags, before the number.

    To cut steps so: `segment.cut(rollout, segment.get("tagged"), tags=("p#",), outside="drop")`, or on the command line
    `--segment tagged:tags=p#:outside=drop`.

    Raises:
        StepCreditError: a step holds two tagged answers. DataError: a rollout without references.
    """
    listed = references(batch, answers, "subproblems")
    found = _found(batch, tag)
    lay = batch.layout
    well = np.zeros(lay.R, bool)
    label = np.full(lay.S, np.nan)
    asked: list[tuple[int, str, str]] = []
    for r, right in enumerate(listed):
        if isinstance(right, str) or not hasattr(right, "__len__"):
            raise DataError(
                "subproblems needs a list of references",
                rollout=batch.rollout_name(r),
                got=right,
                hint="the right answers of the K subproblems, in order",
            )
        rows = [s for s in lay.paths.rows[lay.paths.start[r] : lay.paths.start[r + 1]].tolist() if s in found]
        well[r] = [found[s][0] for s in rows] == list(range(1, len(right) + 1))
        label[rows] = -1.0
        if well[r]:
            asked += [(s, found[s][1], str(a)) for s, a in zip(rows, right, strict=True)]
    verdicts = verified(verifier, [a for _, a, _ in asked], [b for _, _, b in asked], "subproblems")
    at = [s for s, _, _ in asked]
    label[at] = np.where(np.isnan(verdicts), np.nan, np.where(verdicts >= 0.5, 1.0, -1.0))
    note = f"subproblems: {len(asked):,} answers checked, {int(np.isnan(verdicts).sum()):,} of them not judged"
    return batch.with_columns(label=label, well_formed=well, note=f"{note}; {int((~well).sum()):,} rollouts malformed")


def cost(batch: Batch, **options: Any) -> Cost:
    """What `subproblems` with these options will check, at most."""
    o = options_of(subproblems, options)
    return Cost({"verify": len(_found(batch, o["tag"]))}, at_most=True)


def _found(batch: Batch, tag: str) -> dict[int, tuple[int, str]]:
    """Row -> (number, answer) of the tagged answer that the step holds."""
    found = {}
    for row, step in enumerate(steps(batch, "subproblems")):
        text = step.text or ""
        held = [text[a:b] for a, b in tag_spans(text, (f"{tag}#",))]
        if len(held) > 1:
            raise StepCreditError(
                f"step {row} holds {len(held)} tagged answers",
                hint=f"cut it first: --segment tagged:tags={tag}#:outside=drop",
            )
        if held:
            opening, _, rest = held[0].partition(">")
            found[row] = (int(opening[len(tag) + 1 :]), rest.rpartition("<")[0].strip())
    return found
