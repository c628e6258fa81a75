"""OpAgent: the outcome on every step, less a little where a step did nothing, compared over the steps of the prompt."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, max_abs, scan
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="OpAgent: Operator Agent for Web Navigation (hybrid reward)",
    paper="arXiv:2602.13559",
    bibtex="""@article{guo2026opagent,
  title={OpAgent: Operator Agent for Web Navigation},
  author={Guo, Yuyu and Yang, Wenjie and Yang, Siyuan and Liu, Ziyang and Chen, Cheng and Wei, Yuan and others},
  journal={arXiv:2602.13559}, year={2026}}""",
    code="https://github.com/codefuse-ai/OpAgent",
    evidence="official code executed",
    needs="one outcome per rollout (its format gate included), a raw penalty of each step (`score`: 0, or below 0 "
    "where the step failed or changed nothing), several rollouts per prompt",
    bias="The baseline is the mean over the step rows of the prompt's rollouts: action-independent, but it holds the "
    "own value, and long rollouts weigh more in it. Each step of a rollout gets its outcome anew, so a long rollout "
    "has more of it in total. How large a penalty is does not matter, only how it compares with those of the rollout: "
    "a single one costs `weight` whatever it is.",
    departures="The epsilon of the scale is the code's 1e-8 (PRIME, where the scale is from, has 1e-6). The format "
    "gate stands before this formula: an outcome counts only in a rollout whose format score reaches its "
    "threshold th; else the outcome is that score minus th. The paper does not say what the scores are compared "
    "with; in the released code each step is a sample of its own under the prompt's id, and verl's GRPO compares "
    "the samples: the default here (lone='raw' is verl's). A step of unknown penalty is not judged, and adds "
    "nothing to the scale of the others.",
    cost="a judge's verdict on each rollout, and on each step that the rules leave open (screenshots before and after)",
    holds=frozenset({"shift"}),
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

PRESETS = {
    "official": Preset(
        {"lone": "raw"}, "OpAgent web_agent_loop.py, detach_utils.py and its script: adv_estimator=grpo (verl)"
    ),
}


def opagent(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    *,
    weight: float = 0.1,
    compare: Literal["steps", "none"] = "steps",
    spread: Spread = "sample",
    eps: float = 1e-6,
    scale_eps: float = 1e-8,
    lone: Lone = "zero",
) -> Floats:
    """Credit of a step: its rollout's outcome and its own penalty, compared with those of all steps of the prompt.

        A_t = center(x_t)   among the step rows of the prompt's rollouts
        x_t = R_i + weight * q_t
        q_t = r_t / (max_s |r_s + r_{s+1} + ...| + scale_eps)       the maximum over the rollout

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the comparison and not judged.
        score: [S] r, the raw penalty of each step; NaN = not judged.
        weight: of the penalties.
        compare: with all "steps" of the prompt, or not at all ("none": x itself, for another algorithm to compare).
        spread: of the comparison. eps: added to it. scale_eps: added to the scale of the penalties.
        lone: what the only step of a prompt gets: "zero", "raw" (x, as in verl), "nan".

    Returns:
        [S] credit.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0, 0, 0]))
    >>> opagent(one, np.array([1.0]), np.array([0.0, -0.001, 0.0, -0.001]), compare="none").round(6)
    array([1.  , 0.95, 1.  , 0.95])
    """
    paths = layout.paths
    penalty = layout.along(np.asarray(score, float))
    ahead = scan(np.nan_to_num(penalty), 1.0, paths.left)
    scale = max_abs(ahead, paths.rollout)[paths.rollout] if penalty.size else penalty
    x = layout.merge(np.asarray(outcome, float)[paths.rollout] + weight * penalty / (scale + scale_eps))
    return x if compare == "none" else center(x, layout.step_group, spread=spread, eps=eps, lone=lone)
