"""SRGPO: rewards of steps that need no common state, compared within groups of steps drawn at random."""

from typing import Literal

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import center, random_cells
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="SRGPO: Step Reward Group Policy Optimization (SeeNav-Agent)",
    paper="arXiv:2512.02631",
    bibtex="""@article{wang2025seenav,
  title={SeeNav-Agent: Enhancing Vision-Language Navigation with Visual Prompt and Step-Level Policy Optimization},
  author={Wang, Zhengcheng and Lin, Zichuan and Yang, Yijun and Fu, Haobo and Ye, Deheng},
  journal={arXiv:2512.02631}, year={2025}}""",
    code="https://github.com/WzcTHU/SeeNav-Agent",
    evidence="official code executed",
    needs="a score of each step whose meaning does not depend on the state or the task (`score`), step rewards or an "
    "outcome, several rollouts per prompt",
    bias="The step term's baseline is the mean score of steps drawn at random, whatever their task, state or turn: "
    "action-independent, but a step in a hard place is charged for the place. It looks at no later step. In the "
    "episode term a long rollout weighs more.",
    departures="Not reproduced: in the code the option to draw within a task is computed and then overwritten by "
    "the draw over the batch; over='group' is what it says. The code's penalties for invalid actions and cut "
    "responses, taken from a row's episode score and step score, are not part of this formula (the step's can "
    "stand in `score`). Groups depend on the seed and on the order of the rows; the code does not seed its "
    "shuffle.",
    pools={"over": "batch"},
    waives={
        "equal_rollouts": "a step is compared with other steps, of other turns too",
        "permutation": "steps are dealt into groups by their row and the seed",
    },
)

PRESETS = {
    "official": Preset({}, "SeeNav-Agent verl-agent/srgpo/core_srgpo.py with run_ebnav.sh: the defaults"),
}


def grouping(
    layout: Layout, *, size: int = 16, over: Literal["batch", "group", "rollout"] = "batch", seed: int = 0
) -> dict[str, Ints]:
    """Where scores are compared: steps drawn at random from the batch, the group or the rollout."""
    batches = layout.batches[layout.rollout]
    pool = {"batch": batches, "group": layout.step_group, "rollout": layout.rollout}[over]
    draw = batches if over == "batch" else layout.step_group
    return {"random": random_cells(pool, size, seed, draw=draw)}


def srgpo(
    layout: Layout,
    reward: Floats,
    score: Floats,
    *,
    size: int = 16,
    over: Literal["batch", "group", "rollout"] = "batch",
    seed: int = 0,
    omega: float = 0.5,
    spread: Spread = "sample",
    eps: float = 1e-6,
    population: Literal["rollouts", "steps"] = "steps",
    lone: Lone = "raw",
) -> Floats:
    """Credit of a step: how its rollout did, plus how its score compares with steps drawn at random.

        A_t = E + omega * S_t
        E   = center(R_i)   among the rollouts of the prompt, R_i = sum_t r_t
        S_t = center(q_t)   among `size` steps drawn at random, q_t the score

    Args:
        reward: [S] reward received after each step; only its sum over the rollout counts.
        score: [S] quality of each step (paper: 1 where it came nearer to the goal or got it into view); NaN = not
            judged, nor is its step.
        size: steps of a random group; the last may hold fewer; below 1: all.
        over: groups are drawn from the training "batch", the prompt's "group", or the "rollout".
        seed: of the draw.
        omega: weight of the step term.
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.
        population: a rollout counts once in E ("rollouts"), or once per step ("steps", as in the code).
        lone: what E is for a prompt with a single entry: "zero", "raw" (its return, as in the code).

    Returns:
        [S] credit. A step alone in its random group adds nothing: S_t = 0.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> srgpo(two, np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.5]), size=0, omega=1.0, spread="none")
    array([ 0.83333333, -0.16666667, -0.66666667])
    """
    (drawn,) = grouping(layout, size=size, over=over, seed=seed).values()
    counts = layout.steps if population == "steps" else None
    episode = center(layout.total(reward), layout.group, spread=spread, eps=eps, lone=lone, weight=counts)
    step = center(score, drawn, spread=spread, eps=eps)
    return layout.merge(episode[layout.paths.rollout]) + omega * step
