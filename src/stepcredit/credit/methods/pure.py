"""PURE: a chain of reasoning is worth its worst step, so that is where its credit goes."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import at_last, center, future_min, returns, softmin_weight

CARD = Card(
    title="PURE: Stop Summation, Min-Form Credit Assignment Is All Process Reward Model Needs for Reasoning",
    paper="arXiv:2504.15275",
    bibtex="""@inproceedings{cheng2025pure,
  title={Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for Reasoning},
  author={Cheng, Jie and Xiong, Gang and Qiao, Ruixi and Li, Lijun and Guo, Chao and Wang, Junle and others},
  booktitle={NeurIPS}, year={2025}}""",
    code="https://github.com/CJReinforce/PURE",
    evidence="official code executed",
    needs="a score of each step by a process reward model (about -1 to 1), several rollouts per prompt; outcomes if "
    "known",
    bias="The baseline is a mean over the other rollouts: action-independent, but per token it charges a step for "
    "its length (against one endless step), and per step for being a step. Steps after the worst one earn about 0 "
    "whatever they are. The credit is only as good as the scores.",
    departures="A lone rollout is compared with itself (both official branches divide by 0). KL in the reward is the "
    "caller's. Not reproduced: the verl branch's baseline, which divides by the padded length of the batch, and its "
    "strict minimum over tokens, where zeros at ordinary tokens and padding cap every return at 0: form='min' takes "
    "the minimum over steps. The openrlhf branch gives a step's separator token 0; here it has its step's credit.",
    cost="one process reward model forward per rollout (it scores all step ends)",
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

PRESETS = {
    "openrlhf": Preset({"separator_tokens": 1}, "PURE main branch (OpenRLHF), reward_baseline=token"),
    "openrlhf-step": Preset({"baseline": "step"}, "PURE main branch (OpenRLHF), reward_baseline=step"),
    "openrlhf-sum": Preset(
        {"separator_tokens": 1, "temperature": float("inf")}, "PURE main branch (OpenRLHF), sum form: scores / steps"
    ),
    "verl-sum": Preset(
        {"form": "sum", "baseline": "none"}, "PURE verl branch, credit_assignment=gamma-decay, before its baseline"
    ),
    "verl-min": Preset(
        {"form": "min", "baseline": "none"}, "PURE verl branch, strict min-form, over steps and before its baseline"
    ),
}


def pure(
    layout: Layout,
    score: Floats,
    outcome: Floats | None = None,
    *,
    temperature: float = 0.1,
    form: Literal["softmin", "sum", "min"] = "softmin",
    baseline: Literal["token", "step", "none"] = "token",
    outcome_weight: float = 1.0,
    separator_tokens: int = 0,
) -> Floats:
    """Credit of a step: the sum from here on of scores that weigh where they are worst, minus that of the others.

        G_t = x_t + G_{t+1}
        x_t = w_t * score_t - b_i * n_t (+ outcome_weight * (R_i - mean of the other R_j) on the last step)
        w_t = softmax_t(-score_t / temperature)   over the steps of the rollout
        b_i = sum of w * score over the other rollouts of the prompt / sum of their n          n_t = tokens of step t

    Args:
        score: [S] quality of each step, higher is better; NaN makes its rollout not judged, and left out of b.
        outcome: [R] verdict; NaN, or no outcome at all: the rollout is credited by its scores alone.
        temperature: towards 0 only the worst step has weight; float("inf"): 1 / steps.
        form: "softmin"; "sum": w = 1; "min": G_t = min(x_t, G_{t+1}) with w = 1 (without a baseline only).
        baseline: b per "token"; per "step" (n = 1, and b the mean over the others of their mean per step); "none".
        outcome_weight: weight of the outcome term.
        separator_tokens: tokens of each step that n_t leaves out while the rollout's sum counts them.

    Returns:
        [S] credit, in units of the score. A rollout alone on its prompt is compared with itself. One without sampled
        tokens is not in the others' b, and is charged nothing.

    Raises:
        StepCreditError: form="min" with a baseline, which is not defined.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0, 0]))
    >>> pure(one, np.array([0.8, -0.5, 0.6]), baseline="none").round(3)
    array([-0.5, -0.5,  0. ])
    """
    if form == "min" and baseline != "none":
        raise StepCreditError("form='min' has no baseline: minima do not add up", hint="set baseline='none'")
    x = softmin_weight(layout, score, temperature) * score if form == "softmin" else np.array(score, float)
    if baseline != "none":
        n = layout.step_tokens.astype(float) if baseline == "token" else np.ones(layout.S)
        size = layout.total(n)
        mean = np.divide(layout.total(x), size, out=np.full(layout.R, np.nan), where=size > 0)
        weight = size if baseline == "token" else np.ones(layout.R)
        own = center(mean, layout.group, location="others", spread="none", weight=weight)
        charged = np.maximum(n - separator_tokens, 0) if baseline == "token" else n
        rate = np.where(size > 0, mean - own, 0.0)
        x = x - layout.merge(rate[layout.paths.rollout]) * charged
    if outcome is not None:
        verdict = center(outcome, layout.group, location="others", spread="none")
        x = x + outcome_weight * at_last(layout, np.nan_to_num(verdict))
    return future_min(layout, x) if form == "min" else returns(layout, x)
