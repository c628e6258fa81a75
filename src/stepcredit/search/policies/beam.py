"""Beam search by a process reward model: keep the best partial solutions, step by step."""

from functools import partial
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate
from stepcredit.search.engine import Search
from stepcredit.search.picking import ranked
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Beam search guided by a process reward model",
    paper="arXiv:2408.03314",
    bibtex="""@misc{snell2024scaling,
  title={Scaling LLM Test-Time Compute Optimally can be More Effective than Scaling Model Parameters},
  author={Snell, Charlie and Lee, Jaehoon and Xu, Kelvin and Kumar, Aviral},
  eprint={2408.03314}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps",
    cost="n steps and n opinions per depth",
    departures="n below the width is an error (search-and-learn then prunes nothing). A step that could not be scored "
    "is kept last. With completed='compete' complete solutions stay in the beam, as its_hub does. The default n is "
    "ours (its configuration: 4).",
    code="https://github.com/huggingface/search-and-learn (sal/search/beam_search.py)",
)

PRESETS = {
    "its-hub": Preset(
        {"completed": "compete"}, "its_hub: complete solutions compete on; the first level is as wide as the others"
    ),
    "greedy": Preset({"n": 4, "width": 4}, "one partial solution, the best of four next steps", system="greedy"),
}


def beam(
    search: Search,
    *,
    n: int = 16,
    width: int = 4,
    how: Aggregate = "last",
    completed: Literal["aside", "compete"] = "aside",
    distinct: bool = False,
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """n beams; of each depth's n candidates the best n // width are kept, each expanded `width` times.

    Args:
        width: candidates per kept beam, M.
        how: from the scores of its steps to that of a partial solution.
        completed: "aside", a complete solution leaves the beam (search-and-learn); "compete", it keeps its place while
            its score is among the best.
        distinct: of equal partial solutions only one is kept.
        choose: "best" complete solution, or weighted "vote".

    Raises:
        StepCreditError: n is no multiple of width.
    """
    if width < 1 or n < width or n % width:
        raise StepCreditError(f"n must be a multiple of width, at least once; got n={n}, width={width}")
    search.choose = partial(search.best if choose == "best" else search.vote, how)
    kept, each = [search.root], n
    while kept:
        made = yield from search.propose(kept, each)
        fresh = [child for children in made for child in children]
        yield from search.score(fresh)
        done = [k for k in kept if k.ended] if completed == "compete" else []
        pool = [c for c in fresh if completed == "compete" or not c.ended] + done
        again: list[Node] = []
        if distinct:
            first: dict[str, Node] = {}
            again = [c for c in pool if first.setdefault(search.prefix(c), c) is not c]
            pool = list(first.values())
        kept = _top(search, pool, n // width, how)
        for node in [*pool, *again]:
            node.kept = node in kept or (node.ended and node not in again)
        if all(node.ended for node in kept):
            break
        each = max(n // max(sum(not k.ended for k in kept), 1), 1)
    return None


def _top(search: Search, pool: list[Node], k: int, how: Aggregate) -> list[Node]:
    return [pool[i] for i in ranked(search.tree.aggregated(pool, how))[:k].tolist()]
