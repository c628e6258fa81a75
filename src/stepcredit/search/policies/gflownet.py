"""GFlowNet sampling: diverse solutions, each drawn in proportion to its reward instead of the best of all."""

from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.picking import best, vote
from stepcredit.search.tree import Node
from stepcredit.search.weighing import softmax
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets",
    paper="arXiv:2504.19981",
    bibtex="""@misc{younsi2025accurate,
  title={Accurate and Diverse {LLM} Mathematical Reasoning via Automated {PRM}-Guided {GFlowNets}},
  author={Younsi, Adam and Abubaker, Abdalgader and Seddik, Mohamed El Amine and Hacid, Hakim and Lahlou, Salem},
  eprint={2504.19981}, archivePrefix={arXiv}, year={2025}}""",
    evidence="derived",
    asks=("sampler", "scorer"),
    needs="a scorer that tells rewards of steps, above 0 to 1; for tilt other than 1 samples with log-probabilities",
    cost="n * width steps and opinions per depth; whole solutions with unit='solution'",
    departures="The paper trains the model until it samples so by itself; here the model stays as it is, and what it "
    "samples is drawn from. A reward counts once per step, as in the text (the code adds it at every token). Rewards "
    "are held at 1e-7 or more. A candidate without a reward weighs as the mean of its siblings.",
    code="https://github.com/Adam-yni/GFlowNets-FineTuning",
)

PRESETS = {
    "whole": Preset({"unit": "solution"}, "derived: whole solutions drawn by the product of their rewards"),
    "reward-alone": Preset(
        {"tilt": 0.0}, "a GFlowNet's target: chance ~ reward, however likely the model finds a text"
    ),
    "vote": Preset({"choose": "vote"}, "the solutions drawn vote, each counting one"),
}

_FLOOR = 1e-7


def log_reward(rewards: Floats) -> Floats:
    """[steps] ln R of a solution up to each step: sum_{k <= t} ln r_k; NaN from a step without a reward on.

    >>> np.exp(log_reward(np.array([0.8, 0.5]))).round(4).tolist()
    [0.8, 0.4]
    """
    return np.asarray(np.cumsum(np.log(np.clip(np.asarray(rewards, float), _FLOOR, 1.0))))


def chances(rewards: Floats, logp: Floats | None = None, beta: float = 1.0, tilt: float = 1.0) -> Floats:
    """[candidates] of being drawn ~ r^beta * p^(tilt - 1), among candidates that were sampled from p.

    >>> chances(np.array([0.2, 0.6])).round(4).tolist()
    [0.25, 0.75]
    >>> chances(np.array([0.5, 0.5]), np.log([0.8, 0.2]), tilt=0.0).round(4).tolist()
    [0.2, 0.8]
    """
    x = beta * np.log(np.clip(np.asarray(rewards, float), _FLOOR, 1.0))
    if tilt != 1.0 and logp is not None:
        x = x + (tilt - 1.0) * np.asarray(logp, float)
    return softmax(x)


def gflownet(
    search: Search,
    *,
    n: int = 8,
    width: int = 4,
    beta: float = 1.0,
    tilt: float = 1.0,
    unit: Literal["step", "solution"] = "step",
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """n solutions, each step drawn from `width` samples ~ r^beta * p^(tilt - 1), so that P(x) ~ p(x)^tilt R(x)^beta.

    With unit="step" that holds where r_t is the flow through step t: what is to be had from there on, as a value is.

    Args:
        n: solutions drawn: the diverse set, all of it in the tree. width: samples per step of each, or per solution.
        beta: exponent of the reward; large: greedy. tilt: exponent of the model's own chance; 0: reward alone.
        unit: draw among steps, or among whole solutions by R = prod r (without putting back).
        choose: the solution of the "best" R, or a plain "vote".

    Raises:
        StepCreditError: n or width < 1; a tilt with a model that tells no log-probabilities.
    """
    if n < 1 or width < 1:
        raise StepCreditError(f"n and width must be at least 1; got n={n}, width={width}")
    if unit == "solution" and tilt != 1.0:
        raise StepCreditError("log-probabilities of whole solutions are not kept", hint="tilt=1, or unit='step'")
    search.choose = partial(best, search, "product") if choose == "best" else partial(vote, search, None)
    if unit == "solution":
        yield from _whole(search, n, width, beta)
        return None
    tips = [search.root] * n
    while tips:
        made = [c for c in (yield from search.propose(tips, width)) if c]
        fresh = [child for children in made for child in children]
        _has_logp(fresh, tilt)
        yield from search.score(fresh)
        tips = []
        for children in made:
            rewards = np.array([c.score for c in children])
            p = chances(rewards, np.array([c.logp for c in children]), beta, tilt)
            place = int(search.rng.choice(len(children), p=p))
            for i, child in enumerate(children):
                child.kept = i == place
                child.facts["chance"] = round(float(p[i]), 6)
            if not children[place].ended:
                tips.append(children[place])
        _note(search)
    return None


def _whole(search: Search, n: int, width: int, beta: float) -> Plan[None]:
    leaves = (yield from search.complete([search.root], n * width))[0]
    yield from search.score([s for leaf in leaves for s in leaf.path])
    if not leaves:
        return
    total = np.array([log_reward(leaf.scores())[-1] for leaf in leaves])
    p = softmax(beta * total)
    drawn = search.rng.choice(len(leaves), min(n, int(np.count_nonzero(p))), replace=False, p=p).tolist()
    for i, leaf in enumerate(leaves):
        leaf.kept = i in drawn
        leaf.facts["chance"] = round(float(p[i]), 6)
    _note(search)


def _note(search: Search) -> None:
    """The log-reward of every complete solution, for whoever reads the trace."""
    for leaf in search.tree.leaves():
        total = float(log_reward(leaf.scores())[-1])
        if total == total:
            leaf.facts["log_reward"] = round(total, 6)


def _has_logp(nodes: list[Node], tilt: float) -> None:
    written = [n for n in nodes if n.text]
    if tilt != 1.0 and written and all(n.logp != n.logp for n in written):
        raise StepCreditError("the sampler tells no log-probabilities of its samples", hint="tilt=1")
