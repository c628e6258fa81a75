"""VERL: a bonus for rollouts whose hidden states spread out, or spread out faster, than usual."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="VERL: Velocity-Exploiting Rank-Learning",
    paper="arXiv:2509.23808",
    bibtex="""@article{huang2025beyond,
  title={Beyond the Exploration-Exploitation Trade-off: A Hidden State Approach for LLM Reasoning in RLVR},
  author={Huang, Fanding and Huang, Guanbo and Fan, Xiao and He, Yi and Liang, Xiao and Chen, Xiao and others},
  journal={arXiv:2509.23808}, year={2025}}""",
    code="https://github.com/hf618/VERL",
    evidence="official code executed",
    per="token",
    needs="effective rank of each rollout's hidden states, its velocity and acceleration; one outcome per rollout, "
    "several rollouts per prompt",
    bias="The baseline is that of GRPO: action-independent, but it holds the own outcome. The bonus is never negative "
    "and depends on the rollout, so credit does not sum to 0 over a prompt. A rollout too short to have a velocity "
    "lies below every positive baseline; one with the prompt's mean outcome gets no bonus.",
    departures="The official code puts the bonus on the last token alone (preset official), and its train script turns "
    "off what computes it, so that it runs as plain GRPO; the paper's text shapes the advantage. The baselines are "
    "running means (0.7 old + 0.3 batch) that a caller keeps; where they are not given, the batch's mean stands in. "
    "The code has none before its first update and starts them at 0.",
    cost="hidden states of one layer, and about n^2 D per rollout for its ranks",
    holds=frozenset({"scale", "shift"}),
    pools={"ema_rank": None, "ema_velocity": None, "ema_acceleration": None},
)

PRESETS = {
    "official": Preset(
        {"on": "last", "lone": "raw"}, "VERL reward_manager_versions.py PlanB with ppo/ray_trainer.py add_adv"
    ),
}


def verl_effective_rank(
    layout: Layout,
    outcome: Floats,
    effective_rank: Floats,
    rank_velocity: Floats,
    rank_acceleration: Floats,
    *,
    ema_rank: float | None = None,
    ema_velocity: float | None = None,
    ema_acceleration: float | None = None,
    gain: float = 2.0,
    weight: float = 1.0,
    kappa: float = 2.0,
    clip: float = 5.0,
    on: Literal["all", "last"] = "all",
    spread: Spread = "sample",
    eps: float = 1e-6,
    lone: Lone = "zero",
) -> Floats:
    """Credit of a token: how its rollout did, plus a bonus for its hidden states of at most a part of that.

        A   = a_i + min(max(phi_i, 0), |a_i| / kappa)
        phi = weight * (b * tanh(dev rank) + (1 - b) * tanh(dev velocity)),  b = sigmoid(gain * dev acceleration)
        dev x = (x - ema_x) / (|ema_x| + 1e-8), cut at -clip and clip
        a_i = (R_i - mean_g) / (std_g + eps)

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        effective_rank, rank_velocity, rank_acceleration: [R] of each rollout's hidden states; NaN = not judged.
        ema_rank, ema_velocity, ema_acceleration: running means of the three; None: the mean of the batch.
        gain: how sharply the acceleration decides between rank and velocity.
        weight: of the bonus; 0 leaves GRPO.
        kappa: the bonus is at most |a_i| / kappa. clip: largest deviation.
        on: "all" tokens get the bonus, or only the rollout's "last" (as in the code).
        spread: "sample" divides by the spread, "none" only centers. eps: added to the spread.
        lone: what a_i is for the only rollout of a prompt: "zero", "raw" (its outcome / (1 + eps), as in the code).

    Returns:
        [K] credit, in units of the spread; NaN for a token of no step.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 1]))
    >>> high, low = np.array([12.0, 8.0]), np.array([0.05, 0.05])
    >>> verl_effective_rank(two, np.array([1.0, 0.0]), high, low, low, spread="none")
    array([ 0.59868766, -0.5       ])
    """
    advantage = ops.center(outcome, layout.group, spread=spread, eps=eps, lone=lone)

    def deviation(x: Floats, ema: float | None) -> Floats:
        usual = ops.cell_mean(x, layout.batches)[layout.batches] if ema is None else np.full(layout.R, ema)
        return np.clip((x - usual) / (np.abs(usual) + 1e-8), -clip, clip)

    gate = 0.5 + 0.5 * np.tanh(0.5 * gain * deviation(rank_acceleration, ema_acceleration))
    explore, exploit = deviation(effective_rank, ema_rank), deviation(rank_velocity, ema_velocity)
    phi = weight * (gate * np.tanh(explore) + (1 - gate) * np.tanh(exploit))
    bonus = np.minimum(np.maximum(phi, 0.0), np.abs(advantage) / kappa)
    paths = ops.token_paths(layout)
    there = (paths.left == 0) | (on == "all")
    shaped = advantage[paths.rollout] + np.where(there, bonus[paths.rollout], 0.0 * bonus[paths.rollout])
    return ops.merge_tokens(layout, paths, shaped)
