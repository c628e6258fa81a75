"""Step-SRPO of KAT-V1: a rollout decides how to answer and answers; each part has a comparison of its own."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import cells, center
from stepcredit.ops.center import Spread

CARD = Card(
    title="Step-SRPO (KAT-V1: Kwai-AutoThink)",
    paper="arXiv:2507.08297",
    bibtex="""@article{zhan2025kat,
  title={KAT-V1: Kwai-AutoThink Technical Report},
  author={Zhan, Zizheng and Deng, Ken and Tang, Huaixi and Xiang, Wen and Wu, Kun and Li, Weihao and others},
  journal={arXiv:2507.08297}, year={2025}}""",
    evidence="derived",
    per="segment",
    needs="rollouts whose first step decides on a mode of answering (to think or not) and whose later steps answer, a "
    "score of that decision (`score` of the first step), one outcome per rollout; the mode itself (`action`) to "
    "compare answers of one mode",
    bias="Both baselines are means over the prompt's rollouts: action-independent, but they hold the own value. With "
    "answers='all' an answer is charged for the mode it was given in; with 'mode' it is not, and a mode met once gets "
    "no credit for its answer.",
    departures="A mode that could not be read is a mode of its own where answers of one mode are compared (a "
    "missing `action`): write the default mode there. The report publishes no formula: this one is derived from "
    "its abstract (intermediate supervision of the mode and of the answer inside GRPO). Leaving out prompts "
    "without variance is a step of the caller.",
    holds=frozenset({"scale", "shift"}),
)

PRESETS = {
    "mode": Preset({"answers": "mode"}, "the derivation's second form: answers of one mode are compared"),
}


def kat_step_srpo(
    layout: Layout,
    score: Floats,
    outcome: Floats,
    action: Ints | None = None,
    *,
    lam: float = 1.0,
    answers: Literal["all", "mode"] = "all",
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of the decision: how it was judged, plus how its answer did; of an answer's steps: how it did.

        A_0 = J + lam * a         J = center(score_0)   among the first steps of the prompt
        A_t = a, t > 0            a = center(R_i)       among the rollouts of the prompt, or of one mode of it

    Args:
        score: [S] judgment of each first step (paper: 1 if the mode is the preferred one); others are not read.
        outcome: [R] verdict on each answer; NaN = unknown, left out of the statistics and not judged.
        action: [S] what was done; that of a first step is the mode. Needed by answers="mode".
        lam: weight of the answer in the credit of the decision.
        answers: compared among "all" rollouts of the prompt, or among those of the same "mode".
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.

    Returns:
        [S] credit.

    Raises:
        StepCreditError: answers of one mode are asked for, and there is no `action`.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> kat_step_srpo(two, np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 1.0]), spread="none")
    array([ 0. , -0.5,  0. ,  0.5])
    """
    paths, place = layout.paths, layout.group
    if answers == "mode":
        if action is None:
            raise StepCreditError(
                "kat_step_srpo compares answers of one mode (answers='mode'), and the batch holds no column 'action'",
                hint="give the mode as the `action` of each rollout's first step, or set answers='all'",
            )
        mode, some = np.full(layout.R, -1, np.int64), layout.steps > 0
        mode[some] = action[paths.rows[paths.start[:-1][some]]]
        place = cells(place, mode)
    first = layout.previous < 0
    judged = center(np.where(first, score, np.nan), layout.step_group, spread=spread, eps=eps)
    answer = layout.merge(center(outcome, place, spread=spread, eps=eps)[paths.rollout])
    return np.where(first, judged + lam * answer, answer)
