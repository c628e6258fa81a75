"""GRPO and its kin: one number per rollout, compared within the prompt, given to every step alike."""

from typing import Literal

from stepcredit.credit.card import Card, Holds, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import center
from stepcredit.ops.center import Location, Lone, Spread

CARD = Card(
    title="GRPO: Group Relative Policy Optimization",
    paper="arXiv:2402.03300",
    bibtex="""@article{shao2024deepseekmath,
  title={DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models},
  author={Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and Xu, Runxin and Song, Junxiao and Bi, Xiao and others},
  journal={arXiv:2402.03300}, year={2024}}""",
    code="https://github.com/verl-project/verl, https://github.com/huggingface/trl",
    evidence="official code executed",
    needs="one outcome per rollout, several rollouts per prompt",
    bias="The baseline does not depend on actions (but holds the rollout's own outcome, which shrinks the advantage "
    "by (n - 1)/n). Dividing by the spread weighs nearly solved and nearly failed prompts up. Each step of a rollout "
    "gets the same number, so a long rollout has more of it in total.",
    departures="None from the paper's outcome supervision; frameworks differ in spread, epsilon and what a lone "
    "rollout gets: see the presets. Equal outcomes give exactly 0 here; in the originals float dust is divided by "
    "the epsilon (five of 0.81 give -0.056 in verl's float32; NeMo-RL's one-pass spread can blow 1, .03, .03, .03 up "
    "to 93,774). An unknown outcome is not judged: TRL gives it 0, in verl it makes its whole group NaN.",
    holds=frozenset({"shift", "centered"}),
    pools={"mean_over": "batch", "spread_over": "batch"},
)

_CENTERED: frozenset[Holds] = frozenset({"shift", "centered"})

PRESETS = {
    "verl": Preset({"eps": 1e-6, "lone": "raw"}, "verl 0.9.1 core_algos.compute_grpo_outcome_advantage"),
    "trl": Preset({"eps": 1e-4}, "TRL 1.16.0 GRPOTrainer, scale_rewards='group'", holds=_CENTERED),
    "trl-batch": Preset(
        {"eps": 1e-4, "spread_over": "batch"},
        "TRL 1.16.0 GRPOTrainer, scale_rewards='batch'",
        holds=_CENTERED,
    ),
    "nemo-rl": Preset(
        {"location": "others", "spread": "others", "eps": 1e-6},
        "NeMo-RL 0.7.0 algorithms/utils.calculate_baseline_and_std_per_prompt, leave-one-out",
    ),
    "prime-rl": Preset(
        {"spread": "none"},
        "prime-rl 0.8 orchestrator/algo/grpo.py; tinker-cookbook and nanochat alike",
        holds=_CENTERED,
    ),
    "slime": Preset({"eps": 1e-6}, "slime 0.3.1 ray/rollout.py, groups of one size", holds=_CENTERED),
    "slime-uneven": Preset(
        {"eps": 1e-6, "mean_over": "batch", "spread_over": "batch"},
        "slime 0.3.1 ray/rollout.py where group sizes differ: the reshape makes one group of the batch",
        waives={"equal_rollouts": "a prompt of equal outcomes is compared with the other prompts"},
    ),
    "dr_grpo": Preset(
        {"spread": "none"},
        "Dr. GRPO (verl norm_adv_by_std_in_grpo=False, TRL scale_rewards='none'): no division by the spread",
        holds=_CENTERED,
        system="dr_grpo",
        title="Dr. GRPO: GRPO without the division by the spread",
        paper="arXiv:2503.20783",
        bibtex="""@article{liu2025understanding,
  title={Understanding R1-Zero-Like Training: A Critical Perspective},
  author={Liu, Zichen and Chen, Changyu and Li, Wenjun and Qi, Penghui and Pang, Tianyu and Du, Chao and others},
  journal={arXiv:2503.20783}, year={2025}}""",
        evidence="official code executed",
        code="https://github.com/sail-sg/understand-r1-zero",
    ),
    "rloo": Preset(
        {"location": "others", "spread": "none"},
        "RLOO: minus the mean of the others (verl vectorized; TRL RLOOTrainer)",
        holds=_CENTERED,
        system="rloo",
        title="RLOO: REINFORCE Leave-One-Out",
        paper="arXiv:2402.14740",
        bibtex="""@article{ahmadian2024back,
  title={Back to Basics: Revisiting REINFORCE Style Optimization for Learning from Human Feedback in LLMs},
  author={Ahmadian, Arash and Cremer, Chris and Gallé, Matthias and Fadaee, Marzieh and Kreutzer, Julia and others},
  journal={arXiv:2402.14740}, year={2024}}""",
        evidence="official code executed",
        code="https://github.com/verl-project/verl, https://github.com/huggingface/trl",
    ),
    "rloo-verl-loop": Preset(
        {"location": "others", "spread": "none", "lone": "raw"},
        "verl 0.9.1 core_algos.compute_rloo_outcome_advantage: a lone rollout keeps its reward",
    ),
}

Over = Literal["group", "batch"]


def grpo(
    layout: Layout,
    outcome: Floats,
    weight: Floats | None = None,
    *,
    location: Location = "mean",
    spread: Spread = "sample",
    mean_over: Over = "group",
    spread_over: Over = "group",
    eps: float = 1e-4,
    lone: Lone = "zero",
) -> Floats:
    """Credit of every step of rollout i: how its outcome compares with those of its prompt.

        A_i = (R_i - mean_g) / (std_g + eps)

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        weight: [R] how often a rollout counts in mean and spread.
        location: "mean" of the group, mean of the "others" (RLOO), "median".
        spread: "sample" (n - 1), "population", "none" (Dr. GRPO), "others" (leave-one-out), "mad".
        mean_over, spread_over: the prompt's "group", or the whole "batch".
        eps: added to the spread.
        lone: what the only rollout of a prompt gets: "zero", "raw" (its outcome, as in verl), "nan".

    Returns:
        [S] credit, in units of the spread (of the outcome where spread="none").

    >>> import numpy as np
    >>> three = Layout(group=np.array([0, 0, 1]), rollout=np.array([0, 0, 1, 2]))
    >>> grpo(three, np.array([1.0, 0.0, 1.0]), spread="none")
    array([ 0.5,  0.5, -0.5,  0. ])
    """

    def cells(over: Over) -> Ints:
        return layout.group if over == "group" else layout.batches

    advantage = center(
        outcome,
        cells(mean_over),
        location=location,
        spread=spread,
        spread_by=None if spread_over == mean_over else cells(spread_over),
        eps=eps,
        lone=lone,
        weight=weight,
    )
    return layout.merge(advantage[layout.paths.rollout])
