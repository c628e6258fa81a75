"""GiGPO: compare rollouts of one prompt, and actions taken in the same state."""

from typing import Literal

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cells, center, returns
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="GiGPO: Group-in-Group Policy Optimization for LLM Agent Training",
    paper="arXiv:2505.10978",
    bibtex="""@inproceedings{feng2025gigpo,
  title={Group-in-Group Policy Optimization for LLM Agent Training},
  author={Feng, Lang and Xue, Zhenghai and Liu, Tingcong and An, Bo},
  booktitle={NeurIPS}, year={2025}}""",
    code="https://github.com/langfengQ/verl-agent",
    evidence="official code executed",
    needs="step rewards (or an outcome), the state each step was taken in, rollouts of a prompt that start alike",
    bias="The state term's baseline is the mean over the actions seen in the state: action-independent, but it holds "
    "the step's own return, and with gamma < 1 it rewards reaching success in fewer steps. With population='steps' a "
    "long rollout weighs more in the episode term, so the sum over rollouts need not be 0. With episode_weight=0 a "
    "state met once has credit 0 whatever its outcome.",
    departures="population='rollouts' (one entry per rollout) is the paper's text; the official code's default takes "
    "mean and spread over step rows: preset verl-agent. Missing states are unique here; the official code refuses "
    "them. Its penalty for invalid actions (on by default: taken from the step's return and from its row's episode "
    "score after discounting) is not part of this formula, nor is its grouping of similar texts, which is a way to "
    "make the states. VPR's code then whitens over the batch and masks states of equal rewards: steps of the caller.",
    holds=frozenset({"scale"}),
    pools={"states_over": "batch"},
)

_STEP_ROWS = {"population": "steps", "lone": "raw"}
_STATE_ONLY = {"gamma": 0.0, "episode_weight": 0.0}
PRESETS = {
    "verl-agent": Preset(_STEP_ROWS, "verl-agent gigpo/core_gigpo.py, mode mean_std_norm (its example scripts)"),
    "verl-agent-mean": Preset(
        {**_STEP_ROWS, "spread": "none"}, "verl-agent gigpo/core_gigpo.py, mode mean_norm (its yaml)"
    ),
    "trinity": Preset(
        {"spread": "none", "states_over": "batch", "gamma": 1.0, "lone": "raw"},
        "Trinity-RFT advantage_fn gigpo (PR #560), fnorm=none: anchors pool over the batch (without its 1 / (1 + eps))",
    ),
    "roll": Preset(
        {"population": "steps", "states_over": "batch"},
        "ROLL 0.3.0 pipeline/agentic/utils.py: the state hash is not tied to the prompt",
    ),
    "slea_rl": Preset(
        {**_STEP_ROWS, "spread": "none", "gamma": 0.95},
        "kingofspace0wzz/slea-rl forge/core_forge.py and run_alfworld.sh: GiGPO's own functions; what is new is the "
        "memory that the agent reads. Its optional factor 1 + 0.1 min(1, entries / 100) on every advantage is left out",
        system="slea_rl",
        title="SLEA-RL: Step-Level Experience Augmented Reinforcement Learning for Multi-Turn Agentic Training",
        paper="arXiv:2603.18079",
        bibtex="""@article{wang2026slearl,
  title={SLEA-RL: Step-Level Experience Augmented Reinforcement Learning for Multi-Turn Agentic Training},
  author={Wang, Prince Zizhuang and Jiang, Shuli},
  journal={arXiv:2603.18079}, year={2026}}""",
        evidence="official code executed",
        code="https://github.com/kingofspace0wzz/slea-rl",
        cost="nothing for the credit; the experience library's extraction asks a language model",
    ),
    "step_grpo_a": Preset(
        _STATE_ONLY,
        "OpenBMB/R1-Router (on EasyR1's GRPO): every step (question and prefix) is a prompt with samples of its own, "
        "whose rewards are compared; where they are prompts of their own in the data too, grpo@verl says the same",
        holds=frozenset({"scale"}),
        system="step_grpo_a",
        title="Step-GRPO (R1-Router): Learning to Route Queries across Knowledge Bases",
        paper="arXiv:2505.22095",
        bibtex="""@article{peng2025r1router,
  title={Learning to Route Queries across Knowledge Bases for Step-wise Retrieval-Augmented Reasoning},
  author={Peng, Chunyi and Xu, Zhipeng and Liu, Zhenghao and Li, Yishan and Yan, Yukun and Wang, Shuo and others},
  journal={arXiv:2505.22095}, year={2025}}""",
        evidence="official code read",
        code="https://github.com/OpenBMB/R1-Router",
        needs="the prefix of each step as its `state`, several samples of the next step in each, a reward for each "
        "sample",
    ),
    "hi_agent": Preset(
        _STATE_ONLY,
        "Hi-Agent, derived from secondary text: the subgoals sampled in one state are compared by their immediate "
        "reward (format, execution by the low-level model, judge), which takes the place of a return",
        holds=frozenset({"scale"}),
        system="hi_agent",
        title="Hi-Agent: Hierarchical Vision-Language Agents for Mobile Device Control",
        paper="arXiv:2510.14388",
        bibtex="""@article{wu2025hiagent,
  title={Hi-Agent: Hierarchical Vision-Language Agents for Mobile Device Control},
  author={Wu, Zhe and Lu, Hongjin and Xing, Junliang and Zhang, Changhao and Zhu, Yin and Yang, Yuhao and others},
  journal={arXiv:2510.14388}, year={2025}}""",
        evidence="derived",
        needs="the screen (or other state) of each step as its `state`, several subgoals sampled in each, a reward "
        "for each: format, execution by the low-level model, a judge",
    ),
    "vpr-states": Preset(
        {**_STATE_ONLY, "spread": "population", "eps": 1e-8},
        "thu-nics/VPR gigpo/core_gigpo.compute_vpr_turn_level_advantage, mode state_group, group_whiten: candidates "
        "sampled in one state. With spread='none' the first half of mean_then_batch_whiten, its paper configuration",
        holds=frozenset({"scale"}),
    ),
}


def grouping(layout: Layout, state: Ints, *, states_over: Literal["group", "batch"] = "group") -> dict[str, Ints]:
    """Where actions are compared: steps taken in the same state."""
    over = layout.step_group if states_over == "group" else layout.batches[layout.rollout]
    return {"state": cells(over, state)}


def gigpo(
    layout: Layout,
    reward: Floats,
    state: Ints,
    *,
    gamma: float = 0.95,
    omega: float = 1.0,
    episode_weight: float = 1.0,
    spread: Spread = "sample",
    eps: float = 1e-6,
    population: Literal["rollouts", "steps"] = "rollouts",
    states_over: Literal["group", "batch"] = "group",
    lone: Lone = "zero",
) -> Floats:
    """Credit of a step: how its rollout did, plus how its action did in its state.

        A_t = episode_weight * E + omega * S_t
        E   = center(R_i)   among the rollouts of the prompt, R_i = sum_t r_t
        S_t = center(G_t)   among the prompt's steps taken in the same state
        G_t = r_t + gamma * G_{t+1}

    Args:
        reward: [S] reward received after each step.
        state: [S] id of the state each step was taken in; equal ids are comparable.
        gamma: discount per step; 0 compares the immediate rewards.
        omega: weight of the state term. episode_weight: weight of the episode term.
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.
        population: a rollout counts once in E ("rollouts"), or once per step ("steps").
        states_over: states of one prompt are compared ("group"), or of the whole "batch".
        lone: what E is for a prompt with a single entry: "zero", "raw" (its return, as in verl-agent).

    Returns:
        [S] credit. A state met once adds nothing: S_t = 0.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> gigpo(two, np.array([0.0, 1.0, 0.0]), np.array([7, 8, 7]), gamma=0.5, spread="none")
    array([ 0.75,  0.5 , -0.75])
    """
    (place,) = grouping(layout, state, states_over=states_over).values()
    action = omega * center(returns(layout, reward, gamma), place, spread=spread, eps=eps)
    if episode_weight == 0:  # not 0 * episode: a step of unknown reward would take its rollout's other steps with it
        return action
    total = layout.total(reward)
    counts = layout.steps if population == "steps" else None
    episode = center(total, layout.group, spread=spread, eps=eps, lone=lone, weight=counts)
    return episode_weight * layout.merge(episode[layout.paths.rollout]) + action
