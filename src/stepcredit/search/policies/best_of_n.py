"""Best-of-N: draw whole solutions, keep the one that the scorer likes best, or the answer that they vote for."""

from functools import partial
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Best-of-N with a process reward model",
    paper="arXiv:2110.14168",
    bibtex="""@misc{cobbe2021gsm8k,
  title={Training Verifiers to Solve Math Word Problems},
  author={Cobbe, Karl and Kosaraju, Vineet and Bavarian, Mohammad and Chen, Mark and Jun, Heewoo and Kaiser, Lukasz and
    Plappert, Matthias and Tworek, Jerry and Hilton, Jacob and Nakano, Reiichiro and Hesse, Christopher and
    Schulman, John},
  eprint={2110.14168}, archivePrefix={arXiv}, year={2021}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task that the model can attempt in one go",
    cost="n whole solutions and one opinion per step",
    departures="A step without a score leaves its solution without one instead of counting as 0 or -1.",
    code="https://github.com/huggingface/search-and-learn (sal/search/best_of_n.py)",
)

PRESETS = {
    "weighted": Preset(
        {"choose": "vote"}, "search-and-learn, weighted: scores add up over equal answers", system="weighted_majority"
    ),
    "prm-min-max": Preset({"how": "min"}, "OpenR prm_min_max: the smallest score of a step"),
    "prm-last-vote": Preset({"choose": "vote"}, "OpenR prm_last_vote"),
    "prm-min-vote": Preset({"how": "min", "choose": "vote"}, "OpenR prm_min_vote; Math-Shepherd's verification"),
}


def best_of_n(
    search: Search, *, n: int = 16, how: Aggregate = "last", choose: Literal["best", "vote"] = "best"
) -> Plan[Node | None]:
    """argmax_i agg(s_i1 .. s_iT) over n solutions, or argmax_y of the sum over those that answer y.

    Args:
        how: agg; of "product", "mean", ... see `ops.aggregate`.
        choose: "best", one solution; "vote", weighted majority.

    Raises:
        StepCreditError: n < 1.
    """
    if n < 1:
        raise StepCreditError(f"n must be at least 1; got {n}")
    search.choose = partial(search.best if choose == "best" else search.vote, how)
    leaves = (yield from search.complete([search.root], n))[0]
    yield from search.score([node for leaf in leaves for node in leaf.path])
    return None
