"""Step-Q: of several actions take the one that a Q-value model likes best; one try, no going back."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Failed, Force, Plan
from stepcredit.ops import highest
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, opinions
from stepcredit.search.picking import distinct
from stepcredit.search.tree import NAN, Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Step-Q: Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models",
    paper="arXiv:2409.09345",
    bibtex="""@misc{zhai2024enhancing,
  title={Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models},
  author={Zhai, Yuanzhao and Yang, Tingkai and Xu, Kele and Feng, Dawei and Yang, Cheng and Ding, Bo and Wang, Huaimin},
  eprint={2409.09345}, archivePrefix={arXiv}, year={2024}}""",
    evidence="secondary text",
    asks=("sampler",),
    may_ask=("forcer", "reference", "scorer"),
    needs="a Q-model trained on pairs of actions (step-level DPO) and the model that it began as; or a scorer",
    cost="n samples and up to n opinions per step, two when they are log-ratios",
    departures="beta is not established: 0.1. An action without a Q-value is taken only where none has one.",
)

PRESETS = {
    "scorer": Preset({"by": "scorer"}, "any scorer of actions in place of the log-ratio, as by a process reward model"),
    "log-prob": Preset({"by": "logp"}, "the ablation: the action that the Q-model alone finds likeliest"),
}


def implicit_q(policy_logp: Floats, reference_logp: Floats, beta: float = 0.1) -> Floats:
    """[actions] of one state: q = beta * log(pi(a | u, tau) / pi_ref(a | u, tau)); comparable within the state only.

    >>> implicit_q(np.array([-3.5, -3.0, -6.8]), np.array([-5.0, -2.0, -7.0])).round(3).tolist()
    [0.15, -0.1, 0.02]
    """
    return np.asarray(beta * (np.asarray(policy_logp, float) - np.asarray(reference_logp, float)))


def step_q(
    search: Search, *, n: int = 5, beta: float = 0.1, by: Literal["implicit", "logp", "scorer"] = "implicit"
) -> Plan[Node | None]:
    """a* = argmax_a q(u, tau_t, a) over n sampled actions, done, and on to the next step.

    Args:
        n: actions sampled per step; equal ones are asked about once.
        beta: as the Q-model was trained.
        by: "implicit", the log-ratio of the "forcer" (the Q-model) to the "reference" (what it began as); "logp", that
            of the forcer alone; "scorer", the opinion of a scorer.

    Raises:
        StepCreditError: n < 1.
    """
    if n < 1:
        raise StepCreditError(f"n must be at least 1; got {n}")
    search.choose = search.first
    node = search.root
    while not node.ended:
        made = (yield from search.propose([node], n))[0]
        if not made:
            return None
        fresh, _ = distinct(made)
        if len(fresh) > 1:
            yield from _judge(search, fresh, beta, by)
        node = fresh[highest(np.array([c.score for c in fresh])) or 0]
        for child in made:
            child.kept = child is node
    return node


def _judge(search: Search, nodes: list[Node], beta: float, by: str) -> Plan[None]:
    if by == "scorer":
        yield from search.score(nodes)
        return
    models = ("forcer", "reference") if by == "implicit" else ("forcer",)
    parent = nodes[0].parent
    assert parent is not None
    prefix = search.task.prompt + search.prefix(parent)
    asked = [Force(prefix, node.text, to=to) for to in models for node in nodes]
    replies = yield from opinions(search, asked, "Q-model")
    for i, node in enumerate(nodes):
        mine = replies[i :: len(nodes)]
        bad = next((r for r in mine if isinstance(r, Failed)), None)
        logp = [NAN if bad else float(np.sum(r)) for r in mine]
        q = logp[0] if by == "logp" else float(implicit_q(np.array(logp[:1]), np.array(logp[1:]), beta)[0])
        mark(node, q, None if bad is None else bad.reason)
