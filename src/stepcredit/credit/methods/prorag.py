"""ProRAG: the outcome compared among rollouts, plus each step's own score compared among the tokens of the prompt."""

from typing import Literal

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center
from stepcredit.ops.center import Spread

CARD = Card(
    title="ProRAG: Process-Supervised Reinforcement Learning for Retrieval-Augmented Generation",
    paper="arXiv:2601.21912",
    bibtex="""@article{wang2026prorag,
  title={ProRAG: Process-Supervised Reinforcement Learning for Retrieval-Augmented Generation},
  author={Wang, Zhao and Zhao, Ziliang and Dou, Zhicheng},
  journal={arXiv:2601.21912}, year={2026}}""",
    code="https://github.com/lilinwz/ProRAG",
    evidence="official code executed",
    needs="one outcome per rollout, a score of each step (a process reward model's), several rollouts per prompt; "
    "sampled tokens (a step counts as one without them)",
    bias="Both baselines are means over the prompt: action-independent, but they hold the own value. In the step term "
    "long steps weigh more, and steps late in a rollout are compared with early ones. Scores are not summed ahead: "
    "length is not rewarded, and a step is not praised for what it made possible.",
    departures="A lone rollout has nothing to be compared with and gets 0 for its outcome (NaN in the code). The code "
    "divides scores that are all equal by 1e-4; here they give exactly 0. The authors' score is the reward model's "
    "logit plus 1 for a legal step and minus 2 for another: put it into `score`. population='steps' counts each step "
    "once; it is not theirs.",
    cost="one process reward model forward per step",
    holds=frozenset({"shift"}),
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

PRESETS = {"official": Preset({}, "ProRAG prorag/rl/trainer.py: the defaults")}


def prorag(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    *,
    beta: float = 0.5,
    population: Literal["tokens", "steps"] = "tokens",
    spread: Spread = "sample",
    eps: float = 1e-4,
) -> Floats:
    """Credit of a step: how its rollout did, plus how it was scored itself.

        A_t = center(R_i) + beta * (u_t - mean) / sqrt(variance + 1e-8)
        center: among the rollouts of the prompt;  mean, variance: over the sampled tokens of the prompt's rollouts

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the first comparison and not judged.
        score: [S] u, quality of each step; NaN = not judged, left out of the second comparison, and the step has no
            credit.
        beta: weight of the step term.
        population: scores count once per token of their step ("tokens"), or once ("steps").
        spread: of the outcomes; the scores' is the population's. eps: added to it.

    Returns:
        [S] credit, in units of the spreads.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> prorag(two, np.array([1.0, 0.0]), np.array([3.0, 1.0, 2.0]), spread="none").round(4)
    array([ 1.1124, -0.1124, -0.5   ])
    """
    whole = center(outcome, layout.group, spread=spread, eps=eps)
    weight = layout.step_tokens if population == "tokens" else None
    step = center(score, layout.step_group, spread="population", eps=1e-8, eps_at="variance", weight=weight)
    return layout.merge(whole[layout.paths.rollout]) + beta * step
