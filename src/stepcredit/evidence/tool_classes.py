"""What each tool call of a rollout did, as a judge classes it, and the reward made of the shares."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._ask import Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts.tools import CLASSES, classes_prompt, read_classes
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

CARD = EvidenceCard(
    title="Tool call classes and the steerable step reward (Fathom-DeepResearch)",
    paper="arXiv:2509.24107",
    bibtex=(
        "@misc{singh2025fathom, title={Fathom-DeepResearch: Unlocking Long Horizon Information Retrieval and Synthesis "
        "for SLMs}, author={Singh, Shreyas and Singh, Kunal and Moturi, Pradeep}, year={2025}, eprint={2509.24107}, "
        "archivePrefix={arXiv}}"
    ),
    evidence="derived",
    adds=("label", "tool_class", "outcome", "reward.steps"),
    needs="texts of rollouts with their tool calls; outcomes, for the reward",
    cost="one judge call per rollout that calls a tool",
    departures=(
        "The classes are the paper's (abstract and secondary text); the prompt, the reward's formula and all its "
        "weights are ours. The training code was never released."
    ),
    code="https://github.com/FractalAIResearchLabs/Fathom-DeepResearch",
)

PRESETS = {
    "fathom": Preset(
        {"into": "outcome"}, "Fathom's composition (derived): the outcome and the step shares in one number"
    )
}


def tool_classes(
    batch: Batch,
    judge: Judge,
    *,
    into: Literal["label", "reward.steps", "outcome"] = "label",
    breadth: float = 0.25,
    depth: float = 0.25,
    most_verifications: int = 3,
    partial_credit: float = 0.5,
    result_chars: int = 300,
    retries: int = 0,
) -> Batch:
    """The batch with a `label` for every step that calls tools, and a reward made of what the calls did.

        tool_class   what its first call was, as `fathom_rapo@steered` reads it: 0 new search, 1 old search, 2 new page,
                     3 cross-check, 4 old query
        label   +1 if all its calls are of use, -1 if all are redundant, 0 if some are
        steps   breadth * unique / searches + depth * (explored + min(verified, most)) / queries     right outcome
                partial_credit * explored / calls                                                    wrong outcome
        R       outcome + steps

    A share of nothing is 0. A verification is of use.

    Args:
        judge: sees the task and all calls of a rollout with the beginning of each result, and classes each: searches
            are unique or redundant, queries of pages explore, verify or are redundant.
        into: "label" alone; "reward.steps": the steps' part of the reward too; "outcome": R instead of the outcome,
            which stays as `reward.outcome`.
        breadth, depth: weights of the two shares.
        most_verifications: verifications that count.
        partial_credit: for a wrong outcome; less than the reward of a right one, 1.
        result_chars: how much of each result the judge sees.
        retries: how often what failed or could not be read is asked again.

    An outcome of 0.5 or more is right. A rollout that calls no tool gets no share; one whose calls are not classed, or
    whose outcome is unknown, is not judged. In a rollout that shares steps all its calls count, and a shared step
    keeps the label from the rollout that stores it.

    Raises:
        StepCreditError: no texts; partial_credit not in 0..1. MissingColumn: a reward, and no outcome.
    """
    if not 0 <= partial_credit < 1:
        raise StepCreditError(f"partial_credit={partial_credit}", hint="0 or more, and less than 1: a right outcome's")
    if into != "label" and "outcome" not in batch:
        raise missing("outcome", batch, f"tool_classes into {into}")
    told = Told(batch, "tool_classes")
    asked = _questions(told, result_chars)
    found = ask(judge, [q for _, _, q in asked], retries=retries)
    lay = batch.layout
    label, kind = np.full(lay.S, np.nan), np.full(lay.S, -1)
    share = np.where([any(told.calls[row] for row in path) for path in told.paths], np.nan, 0.0)
    for (r, rows, _), classes in zip(asked, found.answers, strict=True):
        if classes is None:
            continue
        for row in {row for row in rows if lay.rollout[row] == r}:
            mine = [c for c, at in zip(classes, rows, strict=True) if at == row]
            label[row], kind[row] = step_label(mine), CLASSES.index(mine[0])
        if into != "label":
            right = batch["outcome"][r] >= 0.5
            share[r] = steps_reward(
                classes,
                right=bool(right),
                breadth=breadth,
                depth=depth,
                most_verifications=most_verifications,
                partial_credit=partial_credit,
            )
    made: dict[str, Any] = {"label": label, "tool_class": kind}
    if into != "label":
        share = np.where(np.isnan(batch["outcome"]), np.nan, share)
        made |= {"reward.steps": share} if into == "reward.steps" else _whole(batch, share)
    return batch.with_columns(note=found.note("tool_classes"), **made)


def cost(batch: Batch, **options: Any) -> Cost:
    """What `tool_classes` with these options will ask."""
    o = options_of(tool_classes, options)
    return cost_of(len(_questions(Told(batch, "tool_classes"), o["result_chars"])), o["retries"])


def steps_reward(
    classes: Sequence[str],
    *,
    right: bool,
    breadth: float = 0.25,
    depth: float = 0.25,
    most_verifications: int = 3,
    partial_credit: float = 0.5,
) -> float:
    """The steps' part of a rollout's reward, as in `tool_classes`.

    >>> made = ["unique_search", "redundant_search", "exploration", "verification"]
    >>> steps_reward(made, right=True), steps_reward(made, right=False)
    (0.375, 0.125)
    """
    n = Counter(classes)
    searches = n["unique_search"] + n["redundant_search"]
    queries = n["exploration"] + n["verification"] + n["redundant_query"]
    if not right:
        return partial_credit * n["exploration"] / max(searches + queries, 1)
    useful = n["exploration"] + min(n["verification"], most_verifications)
    return breadth * n["unique_search"] / max(searches, 1) + depth * useful / max(queries, 1)


def step_label(classes: Sequence[str]) -> float:
    """+1: all calls of the step are of use. -1: all are redundant. 0: some are.

    >>> step_label(["exploration"]), step_label(["exploration", "redundant_query"]), step_label(["redundant_search"])
    (1.0, 0.0, -1.0)
    """
    redundant = sum(c.startswith("redundant") for c in classes)
    return -1.0 if redundant == len(classes) else 0.0 if redundant else 1.0


def _whole(batch: Batch, share: Floats) -> dict[str, Floats]:
    return {"outcome": batch["outcome"] + share, "reward.outcome": batch["outcome"]}


def _questions(told: Told, result_chars: int) -> list[tuple[int, list[int], Question[list[str]]]]:
    """(rollout, row of each call, question) of every rollout that calls a tool."""
    made = []
    for r, path in enumerate(told.paths):
        rows, calls = [], []
        for row in path:
            result = (told.results[row] or "")[:result_chars]
            for call in told.calls[row]:
                rows.append(row)
                calls.append((call, result))
        if calls:
            read = partial(read_classes, size=len(calls))
            made.append((r, rows, Question(classes_prompt(told.tasks[r], calls), read)))
    return made
