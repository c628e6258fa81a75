"""UI-S1: returns that stop at a failed step, compared at the same step of the task."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import center, returns, turn_cells
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning",
    paper="arXiv:2509.11543",
    bibtex="""@article{lu2025uis1,
  title={UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning},
  author={Lu, Zhengxi and Ye, Jiabo and Tang, Fei and Shen, Yongliang and Xu, Haiyang and others},
  journal={arXiv:2509.11543}, year={2025}}""",
    code="https://github.com/X-PLUG/MobileAgent (UI-S1)",
    evidence="official code executed",
    needs="step rewards, whether each step equals the expert's (`match`), rollouts of a prompt that stand at the "
    "same point of the expert's rollout at the same step index",
    bias="The step term's baseline is the mean over the actions at a step index: action-independent where the "
    "rollouts are patched back onto the expert's rollout, but only rollouts that got so far are in it, and it "
    "holds the step's own return. Nothing earned after a failed step reaches the steps before it.",
    departures="The default episode term is the paper's: the rollout's sum of rewards among the rollouts of the "
    "prompt. The released code compares each row's own reward over all step rows of the prompt: preset official.",
    holds=frozenset({"scale"}),
)

_ROWS = {"episode": "rows", "lone": "raw"}
_WAIVES = {"equal_rollouts": "a step's reward is also compared with those of its own rollout"}
PRESETS = {
    "official": Preset(_ROWS, "UI-S1 uis1/core_uis1.py, mode mean_std_norm (its script)", waives=_WAIVES),
    "official-mean": Preset(
        {**_ROWS, "spread": "none"}, "UI-S1 uis1/core_uis1.py, mode mean_norm (its yaml)", waives=_WAIVES
    ),
}


def grouping(layout: Layout) -> dict[str, Ints]:
    """Where actions are compared: at the same step index."""
    return {"step index": turn_cells(layout)}


def ui_s1(
    layout: Layout,
    reward: Floats,
    match: Ints,
    *,
    gamma: float = 0.5,
    episode_weight: float = 1.0,
    step_weight: float = 1.0,
    spread: Spread = "sample",
    eps: float = 1e-6,
    episode: Literal["rollouts", "rows"] = "rollouts",
    lone: Lone = "zero",
) -> Floats:
    """Credit of a step: how its rollout did, plus how its gated return did at its step index.

        A_t = episode_weight * E_t + step_weight * S_t
        E_t = center(sum_t r_t)   among the rollouts of the prompt
        S_t = center(G_t)         among the prompt's steps at the same index
        G_t = r_t + gamma * G_{t+1} where step t and step t + 1 match, else r_t

    Args:
        reward: [S] reward received after each step.
        match: [S] 1 = the step equals the reference's, 0 = it does not, -1 = not known: such a step is not judged, nor
            are the matched steps that lead to it.
        gamma: discount per step.
        episode_weight, step_weight: weights of the two terms.
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.
        episode: E_t from the "rollouts" (paper), or center(r_t) over all step "rows" of the prompt (released code).
        lone: what E_t is for a prompt with a single entry: "zero", "raw" (its reward, as in the code).

    Returns:
        [S] credit. A step index that one rollout reached adds nothing: S_t = 0.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> ui_s1(two, np.array([1.0, 1.0, 1.0, 0.0]), np.array([1, 1, 1, 0]), spread="none")
    array([ 0.75,  1.  , -0.75, -1.  ])
    """
    known = np.where(match < 0, np.nan, reward)
    step = center(returns(layout, known, gamma, gate=match != 0), turn_cells(layout), spread=spread, eps=eps)
    if episode == "rows":
        whole = center(reward, layout.step_group, spread=spread, eps=eps, lone=lone)
    else:
        whole = center(layout.total(reward), layout.group, spread=spread, eps=eps, lone=lone)
        whole = layout.merge(whole[layout.paths.rollout])
    return episode_weight * whole + step_weight * step
