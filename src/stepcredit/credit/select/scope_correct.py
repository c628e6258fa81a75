"""SCOPE: failed rollouts that went wrong late are drawn anew from their first wrong step."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import cell_mean, nth

CARD = Card(
    title="SCOPE: Step-wise Correction for On-Policy Exploration (Recycling Failures)",
    paper="arXiv:2602.24110",
    bibtex="""@article{ren2026recycling,
  title={Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance},
  author={Ren, Yanwei and Zhang, Haotian and Xiao, Likang and Zhang, Xikai and Huang, Jiaxing and others},
  journal={arXiv:2602.24110}, year={2026}}""",
    evidence="derived",
    per="rollout",
    needs="PRM scores of the steps, one outcome per rollout; for the repair, a corrector that writes one step and the "
    "policy that goes on from it",
    bias="Repaired rollouts hold a step that the policy did not write, and are kept only if they succeed: the group's "
    "mean is above the policy's. A PRM that scores long prefixes high decides what is worth saving.",
    departures="From the abstract: first wrong step by a PRM, one corrected step, the policy goes on. Thresholds, the "
    "choice of rollouts and their number are ours. What the repaired rollout becomes is the caller's: if it succeeds "
    "it takes the failed one's place, and the method is `grpo`; the corrected step is marked by `token_source`.",
    waives={"permutation": "of rollouts that are equally worth saving the first is"},
)


def scope_correct(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    *,
    tau: float = 0.5,
    prefix: int = 1,
    share: float = 0.5,
    each: int = 1,
    solved: float = 1.0,
) -> Selection:
    """Which failed rollouts to repair, and after which step. No rollout is left out.

        e_i = first step with score < tau
        resume_i = e_i   where R_i < solved and (e_i >= prefix or e_i / steps >= share), e_i > 0

    Of each prompt at most `each` are repaired: those with the largest right part e_i / steps, then the longest.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: not repaired.
        score: [S] quality of the step as a PRM sees it; NaN = not judged, not taken for wrong.
        tau: score below which a step is wrong.
        prefix: right steps that are enough to save. share: or their share of the rollout.
        each: repairs per prompt.
        solved: outcome from which a rollout has not failed.

    Returns:
        Selection with resume [R]: steps to keep; the corrector writes the next, the policy goes on. -1 = no repair: it
        succeeded, no step is scored low, or the first one is. priority [G]: share of failed rollouts of a prompt with a
        repair, 0 for others: prompts that nothing solved come first.

    >>> one = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 0, 1]))
    >>> scope_correct(one, np.array([0.0, 0.0]), np.array([0.9, 0.8, 0.3, 0.7, 0.2])).resume
    array([ 2, -1])
    """
    paths = layout.paths
    low = layout.along(score) < tau
    error = np.full(layout.R, -1, np.int64)
    at = np.flatnonzero(low)[::-1]
    error[paths.rollout[at]] = paths.turn[at]
    part = error / np.maximum(layout.steps, 1)
    failed = outcome < solved
    worth = failed & (error > 0) & ((error >= prefix) | (part >= share))
    chosen = worth & (nth(layout.group, ~worth, -part, -error) < each)
    rate = cell_mean(np.where(np.isnan(outcome), np.nan, failed), layout.group)
    asked = np.bincount(layout.group[chosen], minlength=layout.G) > 0
    return Selection(
        np.zeros(layout.R, np.int64), priority=np.where(asked, rate, 0.0), resume=np.where(chosen, error, -1)
    )
