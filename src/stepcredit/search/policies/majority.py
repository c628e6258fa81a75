"""Self-consistency: draw whole solutions, answer what most of them answer."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Self-Consistency Improves Chain of Thought Reasoning in Language Models",
    paper="arXiv:2203.11171",
    bibtex="""@inproceedings{wang2023selfconsistency,
  title={Self-Consistency Improves Chain of Thought Reasoning in Language Models},
  author={Wang, Xuezhi and Wei, Jason and Schuurmans, Dale and Le, Quoc and Chi, Ed and Narang, Sharan and
    Chowdhery, Aakanksha and Zhou, Denny},
  booktitle={ICLR}, year={2023}}""",
    evidence="secondary text",
    asks=("sampler",),
    needs="solutions whose answers can be compared (`Writing.answer`, `Writing.same`)",
    cost="n whole solutions",
    departures="None known. Of equally frequent answers the first seen wins, as in search-and-learn and OpenR.",
)

PRESETS = {
    "its-hub": Preset(
        {"ties": "random"}, "its_hub: any of the solutions of the most frequent answers, drawn uniformly"
    ),
}


def consistency(answers: Sequence[Hashable | None]) -> tuple[float, float]:
    """(share of the most frequent answer, entropy of the answers in nats); None is no answer. NaN without answers.

        max_a count(a) / N,   H = -sum_a p(a) ln p(a)

    >>> share, entropy = consistency(["A", "A", "B", "A", "C"])
    >>> share, round(entropy, 4)
    (0.6, 0.9503)
    """
    count = Counter(a for a in answers if a is not None)
    n = count.total()
    if not n:
        return math.nan, math.nan
    p = [c / n for c in count.values()]
    return max(p), abs(-sum(x * math.log(x) for x in p))


def tied(answers: Sequence[Hashable | None]) -> list[int]:
    """Places of all solutions whose answer is among the most frequent.

    >>> tied(["7", "8", None, "8", "7", "9"])
    [0, 1, 3, 4]
    """
    count = Counter(a for a in answers if a is not None)
    most = max(count.values(), default=0)
    return [i for i, a in enumerate(answers) if a is not None and count[a] == most]


def majority(search: Search, *, n: int = 40, ties: Literal["first", "random"] = "first") -> Plan[Node | None]:
    """argmax_a sum_i 1[a_i = a] over n solutions.

    The root's facts tell how much they agree (`consistency`).

    Args:
        ties: of equally frequent answers the "first" seen, or one by a "random" solution of theirs.

    Raises:
        StepCreditError: n < 1.
    """
    if n < 1:
        raise StepCreditError(f"n must be at least 1; got {n}")
    u = search.rng.random()

    def choose() -> Node | None:
        leaves = search.tree.leaves()
        keys = [search.key(leaf) for leaf in leaves]
        share, entropy = consistency(keys)
        if share == share:
            search.root.facts.update({"consistency": round(share, 6), "entropy": round(entropy, 6)})
        among = tied(keys) if ties == "random" else []
        return leaves[among[int(u * len(among))]] if among else search.majority(leaves)

    search.choose = choose
    yield from search.complete([search.root], n)
    return None
