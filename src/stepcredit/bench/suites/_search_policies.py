"""Which search policies the search suite measures, at which options, and which it cannot measure and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stepcredit.errors import StepCreditError
from stepcredit.search import POLICIES
from stepcredit.search.bank import Solved, StepBank

BANK = StepBank([Solved("Make 24 from 1 2 3 4, each number once.", ("3 * 4 = 12 (left: 1 2 12)", "2 * 12 = 24"))])


@dataclass(frozen=True)
class Choice:
    """A policy at some options.

    asks: whom it asks beside the model that writes: a "scorer"; a "judge"; nobody, as it counts "votes"; a second,
    "small" model. temperature: of the writing; None: as always.
    """

    name: str
    policy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    asks: Literal["scorer", "judge", "votes", "small"] = "scorer"
    temperature: float | None = None


SMALL, LARGE = "small model alone", "large model alone"
CHOICES = (
    Choice("beam 4/4", "beam", {"n": 4, "width": 4}),
    Choice("beam 16/4", "beam"),
    Choice("beam 64/4", "beam", {"n": 64, "width": 4}),
    Choice("beam its_hub 16/4", "beam@its-hub"),
    Choice("greedy", "greedy"),
    Choice("DVTS 4/4", "dvts", {"n": 4, "width": 4}),
    Choice("DVTS 16/4", "dvts"),
    Choice("DVTS 64/4", "dvts", {"n": 64, "width": 4}),
    Choice("step beam 1x5", "alphamath_sbs"),
    Choice("step beam 3x5", "step_beam@alphamath-sbs-3"),
    Choice("OVM 4x5", "ovm"),
    Choice("MCTS PUCT", "mcts"),
    Choice("MCTS UCT", "mcts@uct"),
    Choice("MCTS OpenR", "mcts@openr"),
    Choice("MCTS AlphaMath 40", "alphamath_mcts"),
    Choice("particles 4", "particle_filter", {"n": 4}),
    Choice("particles 16", "particle_filter"),
    Choice("particles 64", "particle_filter", {"n": 64}),
    Choice("particles its_hub 16", "particle_filter@its-hub"),
    Choice("particle Gibbs 16", "particle_filter@gibbs"),
    Choice("early rejection 16/4, tau 6", "early_rejection", {"tau": 6}),
    Choice("GFlowNet 8x4", "gflownet"),
    Choice("weighted majority 16", "weighted_majority"),
    Choice("best of 5", "best_of_n", {"n": 5}),
    Choice("Step-Q 5, by the scorer", "step_q@scorer"),
    Choice("PRA 4x16, no documents", "pra"),
    Choice("R2-LLMs, tree alone", "r2_llms@by-problem", {"bank": BANK}),
    Choice("P(True) 8", "p_true@forcer"),
    Choice("P(True) until .5, 8", "p_true@self-check", {"by": "forcer"}),
    Choice("PRISM 10x5", "prism", asks="judge"),
    Choice("critique and refine 8", "critique_refine", asks="judge"),
    Choice("RefCritic 8", "refcritic", asks="judge"),
    Choice("SWE-Search 100", "swe_search", {}, asks="judge"),
    Choice("BAVT 50", "bavt", {"plan": False}, asks="judge"),
    Choice("BAVT 50, answers checked", "bavt@checked", {"plan": False}, asks="judge"),
    Choice("majority 40", "majority", asks="votes"),
    Choice("adaptive .95, 40", "adaptive", asks="votes"),
    Choice("ESC 40", "esc", asks="votes"),
    Choice("PPR-1v1 40", "ppr_1v1", asks="votes"),
    Choice("Blend-ASC alone, 40", "blend_asc", asks="votes"),
    Choice(SMALL, "best_of_n", {"n": 1}, "small", 0.0),
    Choice(LARGE, "best_of_n", {"n": 1}, "small", 0.0),
    Choice("Arbitrage", "arbitrage", {"annotate": False}, "small"),
    Choice("Arbitrage oracle", "arbitrage@oracle", {"annotate": False}, "small"),
    Choice("RSD .7", "rsd", {"annotate": False}, "small"),
    Choice("RSD .3", "rsd", {"annotate": False, "threshold": 0.3}, "small"),
    Choice("GlimpRouter 1.0", "glimprouter", {"close": "", "temperature": 0.0}, "small"),
    Choice("GlimpRouter 0.3", "glimprouter", {"close": "", "temperature": 0.0, "threshold": 0.3}, "small"),
)
_UNMOVED = (
    "a tabular model looks at the task and the lines written alone, and what this policy shows it moves nothing: "
)
CANNOT: Mapping[str, str] = {
    "booststep": _UNMOVED + "solved steps that are like the first try",
    "trad": _UNMOVED + "expert steps with their thoughts",
    "chain_of_mindset": _UNMOVED + "answers of other mindsets, for which it never calls",
    "iterative_deepening": _UNMOVED + "the phrase that tells it to check itself",
    "fobar": "the answer of Game of 24 is an expression that holds every number, so that one masked is read off it",
    "cosmos": "it rewards what surprises in a story; here there is only right and wrong, and without curiosity it is "
    "MCTS UCT with the scorer's values",
}


def known() -> list[Choice]:
    """The choices whose policy is on the shelf."""
    there = set(POLICIES.names())
    return [c for c in CHOICES if c.policy.partition("@")[0] in there]


def place(policy: str) -> str:
    """The name under which a policy is measured, however it is asked for: "ovm" is "step_beam@ovm"."""
    found = POLICIES.get(policy)
    return found.base + ("" if found.preset is None else f"@{_label(policy)}")


def _label(policy: str) -> str:
    found = POLICIES.get(policy)
    return next(label for label, preset in found.presets.items() if preset is found.preset)


def uncovered() -> list[str]:
    """Policies of the shelf, published systems among them, for which neither a choice nor a reason speaks."""
    covered = {place(c.policy) for c in known()} | {
        c.partition("@")[0] for c in map(place, (k.policy for k in known()))
    }
    return [name for name in POLICIES.names() if place(name) not in covered and POLICIES.get(name).base not in CANNOT]


def chosen(methods: tuple[str, ...]) -> list[Choice]:
    """The choices of these policies; all where none is named.

    Raises:
        UnknownName: no such policy. StepCreditError: none of them is measured.
    """
    if not methods:
        return known()
    wanted = {place(name) for name in methods}
    found = [c for c in known() if place(c.policy) in wanted or POLICIES.get(c.policy).base in wanted]
    if not found:
        why = next(
            (f"{n}: {CANNOT[n]}" for n in sorted(wanted) if n in CANNOT), "no policy named here at these options"
        )
        raise StepCreditError(
            f"nothing to measure: {why}", hint="all that are measured: stepcredit bench search --quick"
        )
    return found
