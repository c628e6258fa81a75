"""R3L: full successes count 1, better-than-average rollouts are amplified, and replayed steps do not train."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import center, log_mean_exp, since
from stepcredit.ops.center import Lone

CARD = Card(
    title="R3L: Reflect-then-Retry Reinforcement Learning (pivotal credit, positive amplification)",
    paper="arXiv:2601.03715",
    bibtex="""@article{shi2026r3l,
  title={R$^3$L: Reflect-then-Retry Reinforcement Learning with Language-Guided Exploration, Pivotal Credit, and
    Positive Amplification},
  author={Shi, Weijie and Chen, Yanxi and Li, Zexi and Pan, Xuchen and Sun, Yuchang and Xu, Jiajie and others},
  journal={arXiv:2601.03715}, year={2026}}""",
    code="https://github.com/shiweijiezero/R3L",
    evidence="official code executed",
    needs="one outcome per rollout with 1 for full success, several rollouts per prompt; retries and what they started "
    "from in one group, with the step where they part (`pivot`)",
    bias="The baseline does not depend on actions, but what is above it counts alpha times what is below: credit does "
    "not average 0, and a full success keeps 1 even where all succeed. Retries are guided, so the group's mean is "
    "above the policy's. Each step of a rollout gets the same number.",
    departures="The formula is that of the code; the paper's own was not at hand. A lone rollout without full success "
    "has nothing to be compared with and gets 0; in the code its baseline is 0: preset official. The reflection and "
    "the guided retry that the code adds as experiences of groups of their own (credit 1) are rollouts of the caller.",
    waives={"equal_rollouts": "a full success counts 1 even where every rollout succeeds"},
)

PRESETS = {
    "official": Preset({"lone": "raw"}, "R3L trinity/algorithm/advantage_fn/opmd_advantage.py opmd_reweight_adv"),
}


def r3l(
    layout: Layout,
    outcome: Floats,
    pivot: Ints | None = None,
    *,
    alpha: float = 3.0,
    full: float = 1.0,
    baseline: Literal["mean", "logavgexp"] = "mean",
    temperature: float = 1.0,
    lone: Lone = "zero",
) -> Result:
    """Credit of every step of rollout i, and which steps train.

        A_i = 1          where R_i >= full
        A_i = alpha s_i  where s_i >= 0,   else s_i
        s_i = R_i - b_g
        b_g = mean_j R_j, or temperature * log mean_j exp(R_j / temperature)
        train_mask_t = [t >= pivot_i]

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the baseline and not judged.
        pivot: [R] step from which the rollout is new, 0 or -1 = all of it is; None: every step trains.
        alpha: weight of what is above the baseline.
        full: outcome of a full success.
        baseline: "mean" of the group, or "logavgexp", between it and the best.
        temperature: of "logavgexp".
        lone: what s_i is for the only rollout of a prompt: "zero", "raw" (its outcome, as in the code), "nan".

    Returns:
        Result: credit [S], and train_mask [S] if `pivot` is given.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> made = r3l(two, np.array([0.6, 0.0]), np.array([1, 1]))
    >>> made.credit, made.train_mask
    (array([ 0.9,  0.9, -0.3, -0.3]), array([False,  True, False,  True]))
    """
    above = center(outcome, layout.group, spread="none", lone=lone)
    if baseline == "logavgexp":
        alone = np.bincount(layout.group, weights=~np.isnan(outcome), minlength=layout.G)[layout.group] == 1
        above = np.where(alone, above, outcome - log_mean_exp(outcome, layout.group, temperature)[layout.group])
    advantage = np.where(outcome >= full, 1.0, np.where(above >= 0, alpha, 1.0) * above)
    credit = layout.merge(advantage[layout.paths.rollout])
    return Result(credit, train_mask=None if pivot is None else since(layout, pivot))
