"""Step-level beam search by a value: candidates of all kept solutions compete, complete ones take up a place."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="AlphaMath Almost Zero: step-level beam search",
    paper="arXiv:2405.03553",
    bibtex="""@misc{chen2024alphamath,
  title={AlphaMath Almost Zero: Process Supervision without Process},
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengxi and Fan, Kai},
  eprint={2405.03553}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps; a scorer that is a value: the chance of success after the step",
    cost="expand samples and as many opinions per kept solution and step",
    departures="A candidate without a value is never kept (the code gives it -100, which is kept where nothing else is "
    "there). A complete solution without an answer costs its place, as in the code.",
    code="https://github.com/MARIO-Math-Reasoning/Super_MARIO (mcts_math/agents/step_beam.py)",
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
        bibtex="""@inproceedings{yu2024ovm,
  title={OVM, Outcome-supervised Value Models for Planning in Mathematical Reasoning},
  author={Yu, Fei and Gao, Anningzhe and Wang, Benyou},
  booktitle={Findings of NAACL}, year={2024}}""",
        code="https://github.com/FreedomIntelligence/OVM (utils/sampling.py)",
        departures="At the first step all samples are of one state, as published. Equal texts under one solution count "
        "once; the code may keep copies.",
    ),
}


def step_beam(
    search: Search, *, beams: int = 1, expand: int = 5, completed: Literal["slot", "compete"] = "slot"
) -> Plan[Node | None]:
    """Keep the `beams` candidates of the largest value V(prefix + step), of all parents together.

    Args:
        beams: B1, solutions kept. expand: B2, next steps of each. Equal steps under one parent count once.
        completed: "slot", a complete solution that is kept leaves the search and takes its place with it; "compete", it
            stays among the candidates by its value, and the search ends when all that are kept are complete.

    The answer is the complete solution of the largest value.

    Raises:
        StepCreditError: beams or expand below 1.
    """
    if beams < 1 or expand < 1:
        raise StepCreditError(f"beams and expand must be at least 1; got {beams}, {expand}")
    kept, slots, first = [search.root], beams, True
    while kept and slots > 0:
        each = beams * expand if first and completed == "compete" else expand
        first = False
        made = yield from search.propose([k for k in kept if not k.ended], each)
        fresh = [child for children in made for child in _distinct(children)]
        yield from search.score(fresh)
        pool = fresh + ([k for k in kept if k.ended] if completed == "compete" else [])
        chosen = keep(pool, slots)
        for node in pool:
            node.kept = node in chosen
        if completed == "compete":
            kept = chosen
            if all(k.ended for k in kept):
                break
            continue
        slots -= sum(node.ended for node in chosen)
        for node in chosen:
            node.kept = not node.ended or search.answer(node) is not None
        kept = [node for node in chosen if not node.ended]
    return None


def keep(pool: list[Node], n: int) -> list[Node]:
    """The n nodes of the largest score, the first of equals first; those without a score are never kept."""
    known = [node for node in pool if node.score == node.score]
    order = np.argsort([-node.score for node in known], kind="stable")
    return [known[i] for i in order[:n].tolist()]


def _distinct(children: list[Node]) -> list[Node]:
    """Of equal steps the first; the others are thrown away."""
    first: dict[str, Node] = {}
    for child in children:
        child.kept = first.setdefault(child.text.strip(), child) is child
    return list(first.values())
