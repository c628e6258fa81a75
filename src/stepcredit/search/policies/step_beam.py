"""Step-level beam search by a value model: few beams, several next steps each, the best of all of them go on."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

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
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengxi and Fan, Kai},
  eprint={2405.03553}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a scorer that tells the value of a partial solution",
    cost="expand samples and as many opinions per kept solution and step",
    departures="A candidate without a value is never kept (the code gives it -100, which is kept where nothing else is "
    "there). Most steps are those of the writing (10 in the code). Where no solution was kept the best that was thrown "
    "away is answered.",
    code="https://github.com/MARIO-Math-Reasoning/Super_MARIO",
)

PRESETS = {
    "alphamath-sbs": Preset({}, "AlphaMath: one beam, five candidates. The defaults", system="alphamath_sbs"),
    "alphamath-sbs-3": Preset({"beams": 3}, "AlphaMath, B1 = 3"),
    "ovm": Preset(
        {"beams": 4, "expand": 5, "completed": "compete"},
        "OVM: 20 samples a step over 4 beams; complete solutions compete on by their value",
        system="ovm",
        title="OVM, Outcome-supervised Value Models for Planning in Mathematical Reasoning",
        paper="arXiv:2311.09724",
        bibtex="""@misc{yu2023ovm,
  title={OVM, Outcome-supervised Value Models for Planning in Mathematical Reasoning},
  author={Yu, Fei and Gao, Anningzhe and Wang, Benyou},
  eprint={2311.09724}, archivePrefix={arXiv}, year={2023}}""",
        evidence="official code read",
        code="https://github.com/FreedomIntelligence/OVM",
        departures="At the first step all samples are of one state, as published. Equal texts under one solution count "
        "once; the code keeps copies (repeats='keep'), or ranks them after all others (repeats='last', dedup_mode 1). "
        "A solution that is not complete when the budget ends is not answered (the code returns its text).",
    ),
}


def step_beam(
    search: Search,
    *,
    beams: int = 1,
    expand: int = 5,
    completed: Literal["slot", "compete"] = "slot",
    repeats: Literal["drop", "last", "keep"] = "drop",
) -> Plan[Node | None]:
    """The `beams` steps of the largest V among the children of all beams go on; the answer is that of the largest V.

    Args:
        beams: B1, solutions kept. expand: B2, next steps of each.
        completed: "slot", a complete solution takes its beam along, also one without an answer, which is dropped;
            "compete", it stays a candidate with its value until all that is kept is complete (and the task itself gets
            beams * expand first steps).
        repeats: equal texts below one parent are "drop"ped, ranked "last", or "keep" their place.

    Raises:
        StepCreditError: beams or expand below 1.
    """
    if beams < 1 or expand < 1:
        raise StepCreditError(f"beams and expand must be at least 1; got {beams}, {expand}")
    search.choose = partial(best, search)
    current, slots = [search.root], beams
    each = expand * beams if completed == "compete" else expand
    while current and slots:
        made = yield from search.propose([n for n in current if not n.ended], each)
        fresh = [child for children in made for child in children]
        once, again = (fresh, []) if repeats == "keep" else distinct(fresh)
        if repeats == "drop":
            fresh, again = once, _thrown(again)
        yield from search.score(fresh)
        done = [n for n in current if n.ended]
        kept = keep([*once, *done], slots)
        kept += keep(again, slots - len(kept))
        _thrown([n for n in [*done, *fresh] if n not in kept])
        if completed == "slot":
            complete = [n for n in kept if n.ended]
            slots -= len(complete)
            _thrown([n for n in complete if search.answer(n) is None])
            kept = [n for n in kept if not n.ended]
        elif all(n.ended for n in kept):
            break
        current, each = kept, expand
    return None


def keep(pool: Sequence[Node], n: int) -> list[Node]:
    """The n nodes of the largest score, the first of equals first; those without a score are never kept."""
    known = [node for node in pool if node.score == node.score]
    return [known[i] for i in ranked(np.array([node.score for node in known])).tolist()][:n]


def _thrown(nodes: Sequence[Node]) -> list[Node]:
    for node in nodes:
        node.kept = False
    return []
