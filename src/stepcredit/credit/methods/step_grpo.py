"""Step-GRPO: a step's reward among those of every step of every rollout of the prompt."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, returns
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="Step-GRPO with Screenshot and GUI-agent Feedback (WebGen-Agent)",
    paper="arXiv:2509.22644",
    bibtex="""@article{lu2025webgenagent,
  title={WebGen-Agent: Enhancing Interactive Website Generation with Multi-Level Feedback and Step-Level RL},
  author={Lu, Zimu and Ren, Houxing and Yang, Yunqiao and Wang, Ke and Zong, Zhuofan and Pan, Junting and others},
  journal={arXiv:2509.22644}, year={2025}}""",
    code="https://github.com/mnluzimu/WebGen-Agent",
    evidence="official code executed",
    needs="a reward for each step that means the same at every turn, several rollouts per prompt",
    bias="The baseline is one number per prompt, so it does not depend on actions (but holds the step's own reward); "
    "steps that come late, where rewards are higher, are credited for coming late. A long rollout has more of the "
    "pool. With gamma > 0 a step above the pool's mean also pays the steps before it, so length is rewarded among "
    "good steps and charged among bad ones.",
    departures="Its rewards (screenshot plus GUI-agent score, -1 for bad format) are the column `reward`, not computed "
    "here. Not reproduced: tokens after the last listed position keep an advantage of 1 in the code; its cumulative "
    "form reads the position of another rollout's last step, so that a rollout's tokens get the product of its sums. "
    "Its script named naive-grpo runs the comparison of best steps (compare='best').",
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

PRESETS = {
    "official": Preset({}, "WebGen-Agent WebGen-RL verl core_algos, compute_step_level_grpo_advantage: the defaults"),
    "cumulative": Preset(
        {"gamma": 1.0}, "WebGen-Agent's ablation: compute_cumulative_step_level_grpo_advantage, as it is meant"
    ),
    "virl": Preset(
        {},
        "ViRL, derived from its abstract: visual actions earn +r (correct), 0 (redundant) or -r (erroneous), the "
        "answer its reward on the last step (--reward sum); compared in the prompt, given to the action's own tokens",
        system="virl",
        title="ViRL: From Illusion to Intention, Visual Rationale Learning for Vision-Language Reasoning",
        paper="arXiv:2511.23031",
        bibtex="""@article{wang2025virl,
  title={From Illusion to Intention: Visual Rationale Learning for Vision-Language Reasoning},
  author={Wang, Changpeng and Wang, Haozhe and Chen, Xi and Liu, Junhan and Xue, Taofeng and Peng, Chong and others},
  journal={arXiv:2511.23031}, year={2025}}""",
        evidence="derived",
        needs="a reward for each visual action: right, redundant or wrong (evidence `visual_match` labels them), "
        "several rollouts per prompt",
    ),
}


def step_grpo(
    layout: Layout,
    reward: Floats,
    *,
    gamma: float = 0.0,
    compare: Literal["steps", "best"] = "steps",
    spread: Spread = "sample",
    eps: float = 1e-6,
    lone: Lone = "raw",
) -> Floats:
    """Credit of a step: how its reward compares with those of all steps of the prompt's rollouts.

        A_t = z_t + gamma * A_{t+1}
        z_t = center(r_t)                       among all steps of the prompt
        A_t = center(max_t r_t)                 among its rollouts, with compare="best"

    Args:
        reward: [S] reward received after each step.
        gamma: how much of the comparisons ahead a step has too; 0 = none, 1 = all.
        compare: all "steps" of the prompt, or the "best" step of each rollout (gamma is then unused).
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.
        lone: what the only step (with "best", rollout) of a prompt gets: "zero", "raw" (its reward, as in the code).

    Returns:
        [S] credit, in units of the spread.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> step_grpo(two, np.array([1.0, 3.0, 2.0]), gamma=1.0, spread="none")
    array([0., 1., 0.])
    """
    if compare == "best":
        best = np.where(layout.steps > 0, -np.inf, np.nan)
        np.maximum.at(best, layout.paths.rollout, layout.along(reward))
        return layout.merge(center(best, layout.group, spread=spread, eps=eps, lone=lone)[layout.paths.rollout])
    return returns(layout, center(reward, layout.step_group, spread=spread, eps=eps, lone=lone), gamma)
