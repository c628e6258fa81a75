"""PROF: of right rollouts keep those with well scored steps, of wrong ones those with badly scored steps."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Bools, Floats, Layout
from stepcredit.ops import cell_mean, cells, nth

CARD = Card(
    title="PROF: Beyond Correctness, Harmonizing Process and Outcome Rewards through RL Training",
    paper="arXiv:2509.03403",
    bibtex="""@article{ye2025beyond,
  title={Beyond Correctness: Harmonizing Process and Outcome Rewards through RL Training},
  author={Ye, Chenlu and Yu, Zhou and Zhang, Ziji and Chen, Hao and Sadagopan, Narayanan and Huang, Jing and others},
  journal={arXiv:2509.03403}, year={2025}}""",
    code="https://github.com/amazon-science/PROF-GRPO",
    evidence="official code executed",
    per="rollout",
    needs="PRM scores of the steps, one outcome per rollout, several rollouts per prompt",
    bias="What is kept of a prompt has more even numbers of right and wrong rollouts than the policy gives, so a "
    "baseline over the kept ones is not the policy's mean. Rollouts of one step, and of many, leave first.",
    departures="The paper's penalty for odd numbers of steps is signed, so that a wrong rollout of odd length is kept "
    "longer; the code always subtracts it, ten times, of scores that it doubles: presets both and correct. The code "
    "centers scores on the batch's mean, which moves all rollouts of a set alike and changes no rank. A rollout "
    "without a judged step is the first of its set to leave (in the code it ranks as an average one, penalized). The "
    "code drops outcomes other than 0 and 1, and cuts the batch to a multiple of the number of GPUs: not here.",
    waives={"permutation": "of equally consistent rollouts the first leave"},
)

_DRAWN = {
    "permutation": "which wrong rollouts leave is drawn",
    "other_prompts": "which wrong rollouts leave is drawn, for the whole batch",
    "other_batches": "which wrong rollouts leave is drawn, for the whole batch",
}
PRESETS = {
    "both": Preset({"penalize": "all"}, "PROF-GRPO prof_grpo_both/prof_ray_trainer.filter_trajectories"),
    "correct": Preset(
        {"penalize": "all", "wrong": "random"},
        "PROF-GRPO prof_grpo_correct/prof_ray_trainer.filter_trajectories",
        waives=_DRAWN,
    ),
}


def prof(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    *,
    remove: int = 4,
    penalty: float = 5.0,
    shortest: int = 2,
    longest: int = 30,
    penalize: Literal["signed", "all"] = "signed",
    wrong: Literal["consistency", "random"] = "consistency",
    solved: float = 1.0,
    seed: int = 0,
) -> Selection:
    """Remove of each prompt the rollouts whose step scores agree least with their outcome, so that right and wrong ones
    balance.

        c_i = (mean_t score_t - penalty * [odd]) * o_i           penalize "signed", o_i = 1 right, -1 wrong
        c_i = mean_t score_t * o_i - penalty * [odd]             penalize "all"
        odd: fewer than `shortest` or more than `longest` steps
        leave: the k right rollouts of lowest c, and remove - k of the wrong ones
        k = round((right - wrong + remove) / 2), at least 0, at most remove (halves to even)

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: the rollout leaves and is not counted.
        score: [S] quality of the step as a PRM sees it; NaN = not judged, left out of the mean.
        remove: rollouts that leave of each prompt (all, where it has no more).
        penalty: in units of the score.
        shortest, longest: numbers of steps that are not penalized.
        penalize: see above: the paper's sign, or the code's.
        wrong: wrong rollouts leave by "consistency", or at "random".
        solved: outcome from which a rollout is right.
        seed: of the random draws.

    Returns:
        Selection; steps that rollouts share count in the mean of each.

    >>> four = Layout(group=np.zeros(4, int), rollout=np.repeat(np.arange(4), 2))
    >>> score = np.array([0.9, 0.9, 0.4, 0.4, 0.8, 0.8, 0.1, 0.1])
    >>> prof(four, np.array([1.0, 1.0, 0.0, 0.0]), score, remove=2).keep
    array([ True, False, False,  True])
    """
    unknown, right = np.isnan(outcome), outcome >= solved
    sign = np.where(right, 1.0, -1.0)
    mean = np.full(layout.R, np.nan)
    seen = cell_mean(layout.along(score), layout.paths.rollout)
    mean[: seen.size] = seen
    odd = penalty * ((layout.steps < shortest) | (layout.steps > longest))
    consistency = (mean - odd) * sign if penalize == "signed" else mean * sign - odd
    consistency[np.isnan(mean)] = -np.inf
    if wrong == "random":
        drawn = ~unknown & ~right
        consistency[drawn] = np.random.default_rng(seed).random(int(drawn.sum()))

    def count(of: Bools) -> Floats:
        return np.asarray(np.bincount(layout.group, weights=of, minlength=layout.G), float)

    rights, wrongs = count(right), count(~unknown & ~right)
    total = np.minimum(remove, rights + wrongs)
    k = np.clip(np.rint((rights - wrongs + total) / 2), 0, total)
    first = nth(cells(layout.group, np.where(unknown, 2, right)), consistency)
    why = np.zeros(layout.R, np.int64)
    why[right & (first < k[layout.group])] = 2
    why[~right & (first < (total - k)[layout.group])] = 3
    why[unknown] = 1
    reasons = (
        "its outcome is unknown",
        "right, and its steps score low among the right ones",
        "wrong, and its steps score high among the wrong ones" if wrong == "consistency" else "wrong, and drawn",
    )
    return Selection(why, reasons)
