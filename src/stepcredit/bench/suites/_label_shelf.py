"""Which label systems the label suite measures, at which options, and which it cannot measure and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stepcredit.errors import StepCreditError
from stepcredit.label import SYSTEMS


@dataclass(frozen=True)
class Source:
    """A label system at some options.

    kind: what it is in the table. samples: its option that says how many completions a prefix gets, and at how many
    numbers of them it is measured ("curve": all, "some": a few); "" = it takes none. shown: the reference, the puzzle
    or a solution of it. sums: it is shown the arithmetic of the lines alone. slip: chance that the judge errs.
    """

    name: str
    system: str
    kind: Literal["plain", "search", "filter", "tree", "judge", "tool", "scorer"]
    samples: str = ""
    at: Literal["curve", "some"] = "some"
    options: Mapping[str, Any] = field(default_factory=dict)
    shown: Literal["puzzle", "solution"] = "puzzle"
    sums: bool = False
    slip: float = 0.1


PLAIN, FIRST_ZERO = "every step", "until the first zero"
SOURCES = (
    Source(PLAIN, "math_shepherd", "plain", "n", "curve"),
    Source(FIRST_ZERO, "math_shepherd@first-zero", "plain", "n", "curve"),
    Source("every step, soft", "math_shepherd@soft", "plain", "n"),
    Source("every step, above an eighth", "math_shepherd", "plain", "n", options={"threshold": 0.125}),
    Source("every step, above a half", "math_shepherd", "plain", "n", options={"threshold": 0.5}),
    Source("binary search", "omegaprm", "search", "n", "curve"),
    Source("binary search, careful", "omegaprm@careful", "search", "n", "curve"),
    Source("consensus", "qwen_prm_lessons", "filter", "n"),
    Source("consensus, poor judge", "qwen_prm_lessons", "filter", "n", slip=0.4),
    Source("consensus, judge decides", "vl_prm", "filter", "n"),
    Source("self-denoising", "scan", "filter", "n"),
    Source("self-denoising, ability .25", "scan", "filter", "n", options={"min_ability": 0.25}),
    Source("self-denoising, no window", "scan", "filter", "n", options={"width": 0}),
    Source("self-denoising, off", "scan@plain", "filter", "n"),
    Source("critique that mends", "refine_and_compare", "filter"),
    Source("OmegaPRM's tree", "omegaprm@tree", "tree", options={"searches": 20, "budget": 200}),
    Source("MM-PRM's tree", "mm_prm", "tree"),
    Source("ReARTeR's tree", "rearter", "tree", options={"budget": 200}),
    Source("AlphaMath's tree", "alphamath", "tree"),
    Source("GroundedPRM, calculator", "groundedprm", "tree"),
    Source("GroundedPRM, values", "groundedprm", "tree", options={"kind": "value"}),
    Source("GroundedPRM, judge", "groundedprm", "tree", options={"tool": "judge"}),
    Source("ProRAG's pairs", "prorag", "tree", options={"simulations": 40}),
    Source("judge once", "capo@greedy", "judge"),
    Source("CAPO, majority of 4", "capo@majority", "judge"),
    Source("CAPO, all of 4", "capo", "judge"),
    Source("SPARK, majority of 8", "spark", "judge"),
    Source("SPARK, meta-critique", "spark@meta-critique", "judge"),
    Source("SPARE, a solution shown", "spare", "judge", shown="solution"),
    Source("rubric, step by step", "rrm_rubric@steps", "judge", shown="solution"),
    Source("checklist, step by step", "tick@steps", "judge"),
    Source("WebSTAR's scores", "webstar", "judge"),
    Source("step rewritten and compared", "refine_and_compare@rearter", "judge"),
    Source("AutoPSV, noisy verifier", "autopsv", "scorer"),
    Source("calculator", "tool_checks@gsm8k", "tool", sums=True),
    Source("calculator and the outcome", "fover@local", "tool", options={"check": "calculator"}, sums=True),
    Source("the outcome, if right", "step_gui@verdict-alone", "tool"),
)
CANNOT: Mapping[str, str] = {
    "safe_lean": "its labels are what Lean proves of statements that a model wrote; a line of Game of 24 states "
    "nothing to be proved but its arithmetic, which the calculator measures",
}


def covered() -> set[str]:
    """The systems of the shelf that a source or a reason speaks for."""
    return {s.system.partition("@")[0] for s in SOURCES} | set(CANNOT)


def chosen(methods: tuple[str, ...]) -> list[Source]:
    """The sources whose system, by any of its names, is among these; all where there are none.

    Raises:
        UnknownName: no such system. StepCreditError: none of them is measured.
    """
    if not methods:
        return list(SOURCES)
    for name in methods:
        SYSTEMS.get(name)
    names = {name.partition("@")[0] for name in methods}
    found = [s for s in SOURCES if {s.system.partition("@")[0], SYSTEMS.get(s.system).base} & names]
    if not found:
        why = next((f"{name}: {CANNOT[name]}" for name in sorted(names) if name in CANNOT), "of no system named here")
        raise StepCreditError(
            f"nothing to measure: {why}", hint=f"measured are: {', '.join(sorted(covered() - set(CANNOT)))}"
        )
    return found
