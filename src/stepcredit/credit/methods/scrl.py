"""SCRL: a hard problem asked as a row of subproblems; each answer is compared with the others' at its place."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cells, center, scan
from stepcredit.ops.center import Spread

CARD = Card(
    title="SCRL: Subproblem Curriculum Reinforcement Learning",
    paper="arXiv:2605.22074",
    bibtex="""@article{jiang2026scrl,
  title={From Reasoning Chains to Verifiable Subproblems: Curriculum Reinforcement Learning Enables Credit Assignment},
  author={Jiang, Xitai and Tang, Zihan and Lin, Wenze and Yue, Yang and Wang, Shenzhi and Huang, Gao},
  journal={arXiv:2605.22074}, year={2026}}""",
    evidence="paper",
    per="segment",
    needs="rollouts that answer a prompt's subproblems in order, one step per answer, and which answers are right "
    "(`label`)",
    bias="The baseline is the mean over the rollouts at a subproblem: action-independent, but it holds the own answer. "
    "An answer after a wrong one earns nothing even if it is right, so a late subproblem is charged for early errors. "
    "Dividing by the spread weighs the rarest success most.",
    departures="The paper's spread has no guard and no divisor: here a subproblem that all or none solved gives 0, and "
    "`spread` names the divisor. Rollouts that were asked the original problem are another prompt, by GRPO; the "
    "paper's batch holds both halves and averages the loss over all tokens: steps of the caller.",
    cost="an LLM that rewrites each reference solution into subproblems, once; a verifier per answer",
)

PRESETS = {
    "population": Preset({"spread": "population"}, "the paper's formula with the spread over n"),
}


def scrl(
    layout: Layout,
    label: Floats,
    well_formed: Ints | None = None,
    *,
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of an answer to a subproblem: solved so far or not, among the rollouts of the prompt.

        A_t = center(R_t)   among all rollouts of the prompt, at subproblem t
        R_t = 1 if answers 0 .. t are all right, else 0

    A rollout in bad format has R = 0 everywhere, which counts in the comparison, and credit 0.

    Args:
        label: [S] verdict on each answer: 1 = right, others wrong, NaN = not judged (nor what comes after it, unless
            an answer before or there is wrong).
        well_formed: [R] 1 = the rollout keeps the format, 0 = it does not, -1 = not known. None: it does if it has as
            many answers as the longest rollout of its prompt.
        spread: of the comparison. eps: added to it.

    Returns:
        [S] credit.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 1, 1, 1]))
    >>> scrl(two, np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0]), spread="none")
    array([ 0. ,  0.5,  0. ,  0. , -0.5,  0. ])
    """
    paths, label = layout.paths, layout.along(label)
    wrong = ~np.isnan(label) & (label != 1)

    def before(x: Floats) -> Floats:  # counts on the way here, the step included
        return scan(x[::-1].astype(float), 1.0, paths.turn[::-1])[::-1]

    solved = np.where(before(wrong) > 0, 0.0, np.where(before(np.isnan(label)) > 0, np.nan, 1.0))
    longest = np.zeros(layout.G, np.int64)
    np.maximum.at(longest, layout.group, layout.steps)
    asked = longest[layout.group]
    formed = np.where(layout.steps == asked, 1, 0) if well_formed is None else well_formed
    keeps = formed[paths.rollout] == 1
    rollout = np.repeat(np.arange(layout.R), asked)
    first = np.cumsum(asked) - asked
    at = first[paths.rollout] + paths.turn
    reward = np.where(formed < 0, np.nan, 0.0)[rollout]
    reward[at[keeps]] = solved[keeps]
    place = cells(layout.group[rollout], np.arange(rollout.size) - first[rollout])
    credit = center(reward, place, spread=spread, eps=eps)[at]
    return layout.merge(np.where(formed[paths.rollout] == 0, 0.0, credit))
