"""Arbitrage: a small model drafts each step; a large one writes it anew where that is expected to be better."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.llm.requests import Plan, Score
from stepcredit.search.engine import Search
from stepcredit.search.judging import heard, opinions
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

Route = Literal["router", "score", "oracle"]

CARD = PlanCard(
    title="Arbitrage: Efficient Reasoning via Advantage-Aware Speculation",
    paper="arXiv:2512.05033",
    bibtex="""@misc{maheswaran2025arbitrage,
  title={Arbitrage: Efficient Reasoning via Advantage-Aware Speculation},
  author={Maheswaran, Monishwaran and Tiwari, Rishabh and Hu, Yuezhou and Dilmen, Kerem and Hooper, Coleman and
    Xi, Haocheng and Lee, Nicholas and Farajtabar, Mehrdad and Mahoney, Michael W. and Keutzer, Kurt and
    Gholami, Amir},
  eprint={2512.05033}, archivePrefix={arXiv}, year={2025}}""",
    evidence="official code read",
    asks=("sampler", "draft"),
    may_ask=("router", "scorer"),
    needs="a draft model, and a router trained to tell from a draft whether the large model's step would score higher",
    cost="one draft and one opinion per step; one step of the large model per escalation",
    departures="A step about which the router or the scorer failed to say anything is written by the large model. The "
    "threshold of the router is not established (swept in the paper): 0.5.",
    code="https://github.com/SqueezeAILab/Arbitrage",
)

PRESETS = {
    "ties-escalate": Preset({"ties": "target"}, "the official code: escalates at yhat >= tau; the paper at yhat > tau"),
    "rsd": Preset(
        {"route": "score", "threshold": 0.7},
        "reward-guided speculative decoding: the draft stays where its own score is above the threshold",
        system="rsd",
        title="Reward-Guided Speculative Decoding for Efficient LLM Reasoning",
        paper="arXiv:2501.19324",
        bibtex="""@misc{liao2025reward,
  title={Reward-Guided Speculative Decoding for Efficient LLM Reasoning},
  author={Liao, Baohao and Xu, Yuhui and Dong, Hanze and Li, Junnan and Monz, Christof and Savarese, Silvio and others},
  eprint={2501.19324}, archivePrefix={arXiv}, year={2025}}""",
        needs="a draft model and a process reward model",
        evidence="official code read",
    ),
    "rsd-code": Preset({"route": "score", "threshold": 0.7, "ties": "draft"}, "its code keeps the draft at s = tau"),
    "oracle": Preset(
        {"route": "oracle", "threshold": 0.0},
        "Arbitrage oracle: the large model always writes too, and its step is kept where its advantage is positive",
        needs="a draft model and a process reward model",
        cost="both models and two opinions per step: an upper bound, not a saving",
    ),
}


def escalations(advantage: Floats, threshold: float = 0.0, most: int | None = None) -> NDArray[np.bool_]:
    """Which steps the large model should write: those of an advantage above the threshold, the `most` largest of them.

        a_i = 1[s_t - s_d > tau]: no policy with as many escalations has a larger sum of scores

    >>> escalations(np.array([-0.05, 0.30, 0.0, 0.05])).tolist()
    [False, True, False, True]
    """
    gain = np.asarray(advantage, float)
    chosen = gain > threshold
    if most is not None:
        order = np.argsort(np.where(chosen, -gain, np.inf), kind="stable")
        chosen[order[most:]] = False
    return chosen


def wasted(draft: Floats, target: Floats, threshold: float) -> float:
    """Share of steps that a rule on the draft's own score rejects although the large model does no better.

        W = Pr(s_d <= tau) * (1 - Pr(s_t > s_d | s_d <= tau))

    >>> wasted(np.array([0.75, 0.35, 0.40, 0.90]), np.array([0.70, 0.65, 0.40, 0.95]), 0.7)
    0.25
    """
    rejected = np.asarray(draft, float) <= threshold
    return float(np.mean(rejected & (np.asarray(target, float) <= np.asarray(draft, float))))


def arbitrage(
    search: Search,
    *,
    route: Route = "router",
    threshold: float = 0.5,
    ties: Literal["draft", "target"] | None = None,
    temperature: float = 0.0,
    annotate: bool = True,
) -> Plan[Node | None]:
    """The draft of a step stays unless yhat = h(x, z_d) = P(s_t > s_d) > tau; then the large model writes it anew.

    Args:
        route: "router", by the router's yhat; "score", by the scorer's opinion of the draft, which stays above tau;
            "oracle", both models write, and the large one's step is kept where s_t - s_d > tau.
        threshold: tau. ties: who writes at tau itself; None: as the paper, the draft stays, with "score" it does not.
        temperature: of both models.
        annotate: the router reads who wrote each step: "Model 0:" the draft, "Model 1:" the large model.
    """
    search.choose = search.first
    at_tie = ties or ("target" if route == "score" else "draft")
    node = search.root
    while not node.ended:
        made = yield from search.propose([node], 1, to="draft", temperature=temperature)
        draft = made[0][0] if made[0] else None
        if draft is not None:
            draft.facts["source"] = "draft"
            if (yield from _stays(search, draft, route, threshold, at_tie, annotate)):
                node = draft
                continue
            draft.kept = False
        made = yield from search.propose([node], 1, temperature=temperature)
        target = made[0][0] if made[0] else None
        if target is not None:
            target.facts["source"] = "target"
            if route == "oracle" and draft is not None:
                target = yield from _better(search, draft, target, threshold)
        if target is None:
            return None
        node = target
    return node


def _stays(search: Search, draft: Node, route: Route, threshold: float, ties: str, annotate: bool) -> Plan[bool]:
    if route == "oracle":
        return False
    if route == "score":
        yield from search.score([draft])
        says = -draft.score
        bound = -threshold
    else:
        yield from _ask_router(search, draft, annotate)
        says, bound = draft.score, threshold
    return says < bound or (says == bound and ties == "draft")


def _ask_router(search: Search, draft: Node, annotate: bool) -> Plan[None]:
    asked = Score(_context(search, draft, annotate), _told(draft, annotate), to="router")
    (reply,) = yield from opinions(search, [asked], "router")
    heard(draft, reply)


def _context(search: Search, draft: Node, annotate: bool) -> str:
    assert draft.parent is not None
    if not annotate:
        return search.task.prompt + search.prefix(draft.parent)
    lines: Sequence[str] = [
        _told(n, True)
        + search.writing.separator
        + ("" if n.observation is None else n.observation + search.writing.separator)
        for n in draft.parent.path
    ]
    return search.task.prompt + "".join(lines)


def _told(node: Node, annotate: bool) -> str:
    return f"Model {int(node.facts['source'] == 'target')}: {node.text}" if annotate else node.text


def _better(search: Search, draft: Node, target: Node, threshold: float) -> Plan[Node]:
    """Of two steps from the same prefix the one that the rule keeps; where a score is missing, the large model's."""
    s = yield from search.score([draft, target])
    stay = s[1] - s[0] <= threshold
    target.facts["advantage"] = draft.facts["advantage"] = None if np.isnan(s).any() else float(s[1] - s[0])
    kept = draft if stay else target
    draft.kept, target.kept = kept is draft, kept is target
    return kept
