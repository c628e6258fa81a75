"""SPAE: the outcome fades once the answer was reached, and each step adds what it did to reach it."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, earlier, increment, unit_range
from stepcredit.ops.center import Spread

CARD = Card(
    title="SPAE: Step Potential Advantage Estimation",
    paper="arXiv:2601.03823",
    bibtex="""@article{wu2026step,
  title={Step Potential Advantage Estimation: Harnessing Intermediate Confidence and Correctness for Efficient
    Mathematical Reasoning},
  author={Wu, Fei and Zhang, Zhenrong and Chang, Qikai and Zhang, Jianshu and Liu, Quan and Du, Jun},
  journal={arXiv:2601.03823}, year={2026}}""",
    code="https://github.com/cii030/SPAE-RL (the probe only)",
    evidence="secondary text",
    needs="one outcome per rollout, and after each step the probability of the gold answer (`answer_prob`) and the "
    "model's `confidence`, both probed; several rollouts per prompt",
    bias="The outcome's baseline is the prompt's mean: action-independent, but it holds the own outcome. The shaping "
    "compares a step with all steps of the batch, the least and the greatest change setting the scale: one odd step "
    "moves all the others. Steps after the answer was reached are praised (and blamed) less, which favors stopping. A "
    "copied answer scores as a found one.",
    departures="Not published: spread and epsilon of the last step (population, 1e-8 here), whether the shaping pools "
    "over the batch or the prompt and whether its mean counts steps or tokens (batch and steps here), the threshold of "
    "saturation in training (0.9, that of the released probe), and what the summary after the reasoning gets: a step "
    "without a probe gets the outcome term alone here, undiminished. Groups of one outcome are dropped before by the "
    "authors. Their probe's code computes both signals otherwise than the paper says.",
    cost="5 sampled continuations of up to 10 tokens and one forward of the gold answer after each step",
    holds=frozenset({"shift"}),
    pools={"shaping_over": "batch", "whiten": True},
    waives={"equal_rollouts": "a step's change is compared with those of the other steps"},
)


def spae(
    layout: Layout,
    outcome: Floats,
    answer_prob: Floats,
    confidence: Floats,
    *,
    xi: float = 0.5,
    alpha: float = 0.5,
    saturated: float = 0.9,
    shaping_over: Literal["batch", "group"] = "batch",
    shaping_mean: Literal["steps", "tokens"] = "steps",
    whiten: bool = True,
    spread: Spread = "population",
    eps: float = 1e-8,
) -> Floats:
    """Credit of a step: how its rollout did, less after saturation, plus what the step changed; whitened.

        A   = (a - mean) / (std + eps)      over the sampled tokens of the batch
        a_t = (R_i - mean_g) * f_t + xi * g_t
        f_t = 1 - alpha * (1 - exp(-number of earlier steps with phi > saturated))
        g_t = exp(m_t) - mean of exp(m),    m = (d - min d) / (max d - min d), over the steps of the batch
        d_t = phi_t - phi_{t-1}, 0 for a first step;   phi = 1.5 * acc * conf + 0.5 * acc - conf

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the prompt's mean and not judged.
        answer_prob: [S] acc, probability of the gold answer if asked for after the step.
        confidence: [S] conf, confidence in the answer given then. NaN in either: the step was not probed, and has the
            outcome term alone (f = 1, g = 0); the step after it has d = 0.
        xi: weight of the shaping. alpha: how much of the outcome term fades. saturated: phi above which the answer
            counts as reached.
        shaping_over: d is compared over the "batch", or over the "group". shaping_mean: the mean of exp(m) counts each
            step once, or once per token.
        whiten: the last line. spread: of it. eps: added to the spread.

    Returns:
        [S] credit.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> acc, conf = np.array([1.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.5])
    >>> spae(two, np.array([1.0, 0.0]), acc, conf, whiten=False).round(4)
    array([ 0.5  ,  0.342, -0.5  ])
    """
    batch, tokens = layout.batches[layout.rollout], layout.step_tokens
    phi = 1.5 * answer_prob * confidence + 0.5 * answer_prob - confidence
    probed = ~np.isnan(phi)
    fade = 1 - alpha * (1 - np.exp(-earlier(layout, phi > saturated)))
    change = np.where(probed, np.nan_to_num(increment(layout, phi)), np.nan)
    place = batch if shaping_over == "batch" else layout.step_group
    lift = np.exp(unit_range(change, place))
    shaping = center(lift, place, spread="none", weight=tokens if shaping_mean == "tokens" else None)
    whole = layout.merge(center(outcome, layout.group, spread="none")[layout.paths.rollout])
    credit = np.where(probed, whole * fade + xi * shaping, whole)
    return center(credit, batch, spread=spread, eps=eps, weight=tokens) if whiten else credit
