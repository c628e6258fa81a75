"""Diverse verifier tree search: several subtrees grown greedily and apart, each by the best of a few next steps."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate, highest
from stepcredit.search.engine import Search
from stepcredit.search.picking import best, vote
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Diverse verifier tree search",
    paper="Hugging Face, Scaling test-time compute with open models, 2024",
    bibtex="""@misc{beeching2024scaling,
  title={Scaling test-time compute with open models},
  author={Beeching, Edward and Tunstall, Lewis and Rush, Sasha},
  url={https://huggingface.co/spaces/HuggingFaceH4/blogpost-scaling-test-time-compute}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps",
    cost="n steps and n opinions per depth; with a lookahead n more steps for each step of it",
    departures="Of a subtree's last candidates only the complete ones are solutions. A candidate without a score is "
    "taken only where none has one. Complete candidates thrown away on the way are answered from if no subtree ends. "
    "The default n is ours (its configuration: 4).",
    code="https://github.com/huggingface/search-and-learn (sal/search/diverse_verifier_tree_search.py)",
)

PRESETS = {
    "lookahead": Preset(
        {"lookahead": 1}, "Snell et al., lookahead search: a candidate is scored by where a greedy step from it leads"
    ),
    "vote": Preset({"choose": "vote"}, "search-and-learn, pred_weighted: the candidates of all subtrees vote"),
}


def dvts(
    search: Search,
    *,
    n: int = 16,
    width: int = 4,
    lookahead: int = 0,
    how: Aggregate = "last",
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """n / width subtrees; each samples `width` next steps and goes on from argmax agg(s_1 .. s_t) alone.

    Args:
        width: next steps of each subtree, M. lookahead: greedy steps from each candidate; its score is theirs.
        how: from the scores of its steps to that of a partial solution.
        choose: "best" of the last candidates of all subtrees, or weighted "vote".

    Raises:
        StepCreditError: n is no multiple of width; a lookahead below 0.
    """
    if width < 1 or n < width or n % width or lookahead < 0:
        raise StepCreditError(f"n must be a multiple of width, lookahead 0 or more; got {n}, {width}, {lookahead}")
    search.choose = partial(best if choose == "best" else vote, search, how)
    tips = [search.root] * (n // width)
    while tips:
        made = [c for c in (yield from search.propose(tips, width)) if c]
        fresh = [child for children in made for child in children]
        worth = yield from _worth(search, fresh, lookahead, how)
        tips, at = [], 0
        for children in made:
            place = highest(worth[at : at + len(children)]) or 0
            at += len(children)
            taken = children[place]
            if taken.ended:
                continue
            tips.append(taken)
            for child in children:
                child.kept = child is taken
    return None


def _worth(search: Search, nodes: Sequence[Node], lookahead: int, how: Aggregate) -> Plan[Floats]:
    """[nodes] score of each candidate, or of where greedy steps lead from it."""
    ends = list(nodes)
    for _ in range(lookahead):
        made = yield from search.propose(ends, 1, temperature=0.0)
        for i, children in enumerate(made):
            if children:
                ends[i] = children[0]
                ends[i].kept = False
                ends[i].facts["aside"] = "lookahead"
        if all(end.ended for end in ends):
            break
    yield from search.score(ends if how == "last" else [n for end in ends for n in end.path])
    worth = search.tree.aggregated(ends, how)
    for node, end, value in zip(nodes, ends, worth.tolist(), strict=True):
        if end is not node and value == value:
            node.facts["ahead"] = round(value, 6)
    return np.asarray(worth)
