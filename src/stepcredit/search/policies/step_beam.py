"""Step-level beam search by a value model: few beams, several next steps each, the best of all of them go on."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.picking import best, distinct, ranked
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="AlphaMath Almost Zero: step-level beam search with a value model",
    paper="arXiv:2405.03553",
    bibtex="""@misc{chen2024alphamath,
  title={AlphaMath Almost Zero: Process Supervision without Process},
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengpeng and Fan, Kai},
  eprint={2405.03553}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a scorer that tells the value of a partial solution",
    cost="width * samples steps and opinions per depth",
    departures="A step without a value is ranked last (the code gives it -100). Most steps are those of the writing "
    "(10 in the code). Where no solution was kept the best that was thrown away is answered.",
    code="https://github.com/MARIO-Math-Reasoning/Super_MARIO",
)

PRESETS = {
    "alphamath": Preset({}, "the defaults: one beam, five steps", system="alphamath_sbs"),
    "alphamath-3": Preset({"width": 3}, "the paper's three beams"),
    "ovm": Preset(
        {"width": 4, "samples": 5, "wide_start": True, "completed": "compete", "repeats": "keep"},
        "OVM: four beams, 20 steps; a complete solution keeps its place while its value is among the best",
        system="ovm",
        title="OVM, Outcome-supervised Value Models for Planning in Mathematical Reasoning",
        paper="arXiv:2311.09724",
        bibtex="""@misc{yu2023ovm,
  title={OVM, Outcome-supervised Value Models for Planning in Mathematical Reasoning},
  author={Yu, Fei and Gao, Anningzhe and Wang, Benyou},
  eprint={2311.09724}, archivePrefix={arXiv}, year={2023}}""",
        evidence="official code read",
        code="https://github.com/FreedomIntelligence/OVM",
        departures="A solution that is not complete when the budget ends is not answered (the code returns its text).",
    ),
    "ovm-dedup": Preset(
        {"width": 4, "samples": 5, "wide_start": True, "completed": "compete", "repeats": "last"},
        "OVM with dedup_mode 1: equal texts after all others",
    ),
}


def step_beam(
    search: Search,
    *,
    width: int = 1,
    samples: int = 5,
    completed: Literal["slot", "compete"] = "slot",
    repeats: Literal["drop", "last", "keep"] = "drop",
    wide_start: bool = False,
) -> Plan[Node | None]:
    """The `width` steps of the largest V among the children of all beams go on; the answer is that of the largest V.

    Args:
        width: beams, B1. samples: next steps of each, B2.
        completed: "slot", a complete solution takes its beam along, also one without an answer, which is dropped;
            "compete", it stays a candidate with its value until all that is kept is complete.
        repeats: equal texts below one parent are "drop"ped, ranked "last", or "keep" their place.
        wide_start: the task itself gets width * samples first steps.

    Raises:
        StepCreditError: no beams or samples.
    """
    if width < 1 or samples < 1:
        raise StepCreditError(f"width and samples must be at least 1; got {width}, {samples}")
    search.choose = partial(best, search)
    beams, slots = [search.root], width
    each = samples * width if wide_start else samples
    while beams and slots:
        made = yield from search.propose([b for b in beams if not b.ended], each)
        fresh = [child for children in made for child in children]
        once, again = (fresh, []) if repeats == "keep" else distinct(fresh)
        if repeats == "drop":
            fresh, again = once, _thrown(again)
        yield from search.score(fresh)
        done = [b for b in beams if b.ended]
        kept = _first(search, [*done, *once], again, slots)
        _thrown([n for n in [*done, *fresh] if n not in kept])
        if completed == "slot":
            complete = [n for n in kept if n.ended]
            slots -= len(complete)
            _thrown([n for n in complete if search.answer(n) is None])
            kept = [n for n in kept if not n.ended]
        elif all(n.ended for n in kept):
            break
        beams, each = kept, samples
    return None


def _first(search: Search, nodes: Sequence[Node], later: Sequence[Node], k: int) -> list[Node]:
    """The k best, first of the nodes, then of those that come later."""
    order = [group[i] for group in (nodes, later) for i in ranked(search.tree.aggregated(list(group), "last")).tolist()]
    return order[:k]


def _thrown(nodes: Sequence[Node]) -> list[Node]:
    for node in nodes:
        node.kept = False
    return []
