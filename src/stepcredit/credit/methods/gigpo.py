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
    "long rollout weighs more in the episode term, so the sum over rollouts need not be 0.",
    departures="population='rollouts' (one entry per rollout) is the paper's text; the official code's default takes "
    "mean and spread over step rows: preset verl-agent. Missing states are unique here; the official code refuses "
    "them.",
    holds=frozenset({"scale"}),
    pools={"states_over": "batch"},
)

_STEP_ROWS = {"population": "steps", "lone": "raw"}
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
    spread: Spread = "sample",
    eps: float = 1e-6,
    population: Literal["rollouts", "steps"] = "rollouts",
    states_over: Literal["group", "batch"] = "group",
    lone: Lone = "zero",
) -> Floats:
    """Credit of a step: how its rollout did, plus how its action did in its state.

        A_t = E + omega * S_t
        E   = center(R_i)   among the rollouts of the prompt, R_i = sum_t r_t
        S_t = center(G_t)   among the prompt's steps taken in the same state
        G_t = r_t + gamma * G_{t+1}

    Args:
        reward: [S] reward received after each step.
        state: [S] id of the state each step was taken in; equal ids are comparable.
        gamma: discount per step. omega: weight of the state term.
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
    total = layout.total(reward)
    counts = layout.steps if population == "steps" else None
    episode = center(total, layout.group, spread=spread, eps=eps, lone=lone, weight=counts)
    action = center(returns(layout, reward, gamma), place, spread=spread, eps=eps)
    return layout.merge(episode[layout.paths.rollout]) + omega * action
