"""What papers report of their search policies, beside what the suite sees.

Our models are tables, our scorers and judges the truth with noise: directions and factors can be compared, points of
accuracy on MATH or HotpotQA cannot. Quoted as the papers (or their abstracts) have them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stepcredit.bench.paired import interval
from stepcredit.bench.suite import Table
from stepcredit.bench.suites import _consistency as votes
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites._label_claims import NO, NOT, OPEN, YES, Claim
from stepcredit.bench.suites._search_curves import Curve
from stepcredit.bench.suites._search_models import WORLDS
from stepcredit.bench.suites._search_report import Measured, level
from stepcredit.data.layout import Floats

_LONG = "ASC .95, at most 200, by fives"
SLACK = 0.02  # accuracies that differ by less are equal
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
NOT_HERE: Sequence[tuple[str, str, str]] = (
    ("OVM", "78.7% of Game of 24 with 20 samples a step; GSM8K 84.7", "of models trained for it"),
    ("AlphaMath", "MATH 63.6 by step-level beam search, about 53 to 57 greedy", "points on MATH"),
    ("R2-LLMs", "up to 16% better by examples found twice", "the tabular model heeds no examples"),
    ("BoostStep", "+3.6 (GPT-4o), +2.0 (Qwen2.5-Math-72B)", "the tabular model heeds no examples"),
    ("TRAD", "best on ALFWorld and Mind2Web against retrieval of whole trajectories", "the model heeds no examples"),
    ("Chain of Mindset", "+4.96 and +4.72 points over the best baseline", "the model calls for no mindsets"),
    ("FOBAR", "best mean accuracy of six sets", "answers of Game of 24 hold the numbers that would be masked"),
    ("ID-Sampling", "more is solved of what is hard", "the model heeds no trigger"),
    ("COS(M+O)S", "raters prefer what it tells", "there is nothing to tell"),
    (
        "P(True)",
        "larger models are better calibrated; own samples in the question help",
        "the stand-in reads no others",
    ),
)


def rows(
    at: Measured, found: Rows, voted: Sequence[Mapping[str, Any]], noises: Sequence[float]
) -> list[dict[str, Any]]:
    """Every claim whose cells were measured."""
    made: list[Claim] = []
    for world in WORLDS:
        for noise in noises:
            made += _at_equal_tokens(at, world, noise)
            made += _growing(at, world, noise)
            made += _more_for_the_same(at, world, noise)
    for noise in noises:
        made += _two_models(at, noise)
    made += [*_quarter(found["quarter"]), *_rejection(found["reject"]), *_votes(voted)]
    made += [Claim(paper, claim, "", "–", None, NOT, why) for paper, claim, why in NOT_HERE]
    order = {name: i for i, name in enumerate(dict.fromkeys((c.paper, c.claim) for c in made))}
    made.sort(key=lambda c: order[c.paper, c.claim])
    return [{"part": "claims", **claim._asdict()} for claim in made]


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """For people."""
    columns = ("paper", "claim", "world", "seen", "90%", "reproduces", "")
    shown = [
        [
            *(r[k] for k in ("paper", "claim", "world", "seen")),
            "–" if r["between"] is None else "[{:.3f}, {:.3f}]".format(*r["between"]),
            r["holds"],
            r["remark"],
        ]
        for r in found
    ]
    note = (
        "A direction reproduces if the 90% interval of the difference lies on its side, does not if it lies on the "
        f"other; a factor, by the interval of the factor. Accuracies within {SLACK} are equal where the claim says "
        "equal. The models are tables, scorers and judges the truth with noise: nothing is said of the papers' own "
        "models and data. Tokens are those written; what is read, scored and judged is not counted."
    )
    return Table("Headlines of papers against what is seen here", columns, shown, note)


def says(between: Sequence[float], least: float = 0.0) -> str:
    """Whether a difference is above what is claimed, by its interval."""
    return YES if between[0] > least else NO if between[1] < least else OPEN


def factor(between: Sequence[float], low: float, high: float, *, bound: bool = False) -> str:
    """Whether a factor is within what is claimed, or above it; `bound`: the true factor may be larger."""
    if between[1] < low:
        return OPEN if bound else NO
    return YES if between[0] >= low else OPEN


def _where(world: str, noise: float) -> str:
    return f"{world}, noise {level(noise)}"


def _differs(
    paper: str, claim: str, where: str, one: Floats, other: Floats, least: float = 0.0, why: str = ""
) -> Claim:
    between = interval((one - other)[1:])
    seen = f"{one[0]:.3f} against {other[0]:.3f} ({one[0] - other[0]:+.3f})"
    return Claim(paper, claim, where, seen, between, says(between, least), why)


BESIDE = (
    ("Snell et al.", "beam search beats best-of-N at equal tokens", "beam 16/4", "best"),
    (
        "Step-Q",
        "the best of 5 actions by Q at each step beats best-of-5 of whole solutions",
        "Step-Q 5, by the scorer",
        "",
    ),
    ("PRA", "rewards used online beat the same rewards post hoc (81.9 : 77.6)", "PRA 4x16, no documents", "best"),
    ("OVM", "beats self-consistency at equal samples", "OVM 4x5", "majority"),
    ("RefCritic", "votes without what is judged wrong scale better than votes", "RefCritic 8", "majority"),
    ("MathCritique", "critique and refinement beat votes at equal compute", "critique and refine 8", "majority"),
    ("PRISM", "beats votes at equal compute (paper: RSA, 90.0 : 87.8)", "PRISM 10x5", "majority"),
    ("GFlowNet", "beats the model alone, +2.59 points on MATH level 5", "GFlowNet 8x4", "one"),
    ("AlphaMath", "step-level beam search (B1 = 3) beats the model alone", "step beam 3x5", "one"),
    ("OpenR", "tree search beats best-of-N at equal tokens", "MCTS OpenR", "best"),
)


def _at_equal_tokens(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """A policy against its curve at as many tokens, against one sample, against best-of-5."""
    curve, head, where = f"curve/{world}/{noise:g}", f"policy/{world}/{noise:g}/", _where(world, noise)
    for paper, claim, name, kind in BESIDE:
        if head + name not in at.values:
            continue
        right = at.mean(head + name, "solved")
        if kind == "":
            if f"{head}best of 5" not in at.values:
                continue
            other = at.mean(f"{head}best of 5", "solved")
        elif kind == "one":
            other = at.curve(curve, "best").right[0]
        else:
            other = at.curve(curve, kind).at(at.mean(head + name, "tokens"))
        yield _differs(paper, claim, where, right, other)
    for one, other_kind in (("weighted majority", "best"), ("best", "majority")):
        claim = f"{one} beats {other_kind} of as many solutions, if the scorer is good"
        ours, theirs = at.curve(curve, one).right[-1], at.curve(curve, other_kind).right[-1]
        n = list(at.values[curve]["best"])[-1]
        yield _differs("Beeching et al.", claim, where, ours, theirs, 0.0, f"of {n}")
    name = f"{head}SWE-Search 100"
    if name in at.values:
        ratio = at.mean(name, "solved") / at.curve(curve, "best").right[0]
        between = interval(ratio[1:])
        claim = "+23% relative over the agent without search"
        yield Claim("SWE-Search", claim, where, f"{ratio[0]:.2f}x", between, factor(between, 1.23, 9e9), "one solution")


def _growing(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """DVTS against beam search, few and many."""
    head = f"policy/{world}/{noise:g}/"
    names = [f"{head}{name} {n}/4" for n in (4, 64) for name in ("DVTS", "beam")]
    if all(name in at.values for name in names):
        few_dvts, few_beam, many_dvts, many_beam = (at.mean(name, "solved") for name in names)
        gain = many_dvts - many_beam
        between = interval(gain[1:])
        seen = f"{gain[0]:+.3f} at n = 64, {few_dvts[0] - few_beam[0]:+.3f} at n = 4"
        claim = "DVTS beats beam search at large n"
        yield Claim(
            "Beeching et al.", claim, _where(world, noise), seen, between, says(between), "n = 256 in the paper"
        )


def _more_for_the_same(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """Particle filtering: tokens that deterministic search needs for as much."""
    head, where = f"policy/{world}/{noise:g}/", _where(world, noise)
    claim = "4 to 16 times better scaling than deterministic search"
    for other in ("beam", "DVTS"):
        cells = {str(n): at.values.get(f"{head}{other} {n}/4") for n in (4, 16, 64)}
        key = f"{head}particles 16"
        if key in at.values and all(cells.values()):
            beside = Curve.of({k: v for k, v in cells.items() if v is not None}, at.weight)
            right = at.mean(key, "solved")
            ratio = beside.needs(right) / at.mean(key, "tokens")
            between, bound = interval(ratio[1:]), beside.never(right)
            why = f"{other} of n = 4 to 64" + (" never gets there" if bound else "")
            seen = f"{'>' * bound}{ratio[0]:.2f}x for the accuracy of 16 particles"
            yield Claim("Rollout Roulette", claim, where, seen, between, factor(between, 4, 16, bound=bound), why)
    names = [f"{head}{name}" for name in ("particles 16", "particles its_hub 16")]
    if all(name in at.values for name in names):
        ours, theirs = (at.mean(name, "solved") for name in names)
        yield _differs("ours", "weights by the change of the odds beat its_hub's by the odds", where, ours, theirs)


def _two_models(at: Measured, noise: float) -> Iterator[Claim]:
    """Arbitrage, RSD, GlimpRouter: large tokens for as much."""
    head, where = f"policy/able/{noise:g}/", f"two models, noise {level(noise)}"

    def share(one: str, other: str) -> Floats:
        return at.mean(head + one, "decode") / at.mean(head + other, "decode")

    def gain(one: str, other: str) -> Floats:
        return at.mean(head + one, "solved") - at.mean(head + other, "solved")

    for name, other, claim, most in (
        ("Arbitrage", "RSD .7", "half the cost of RSD (1.97x lower latency) at equal accuracy", 1 / 1.97),
        ("GlimpRouter 1.0", chosen.LARGE, "25.9% less latency than the large model alone, and more accurate", 0.741),
        ("GlimpRouter 0.3", chosen.LARGE, "25.9% less latency than the large model alone, and more accurate", 0.741),
    ):
        if head + name in at.values and head + other in at.values:
            part, more = share(name, other), gain(name, other)
            tokens, accuracy = interval(part[1:]), interval(more[1:])
            least = -SLACK if name == "Arbitrage" else 0.0
            holds = YES if tokens[1] <= most and accuracy[0] > least else OPEN
            holds = NO if tokens[0] > most or accuracy[1] < least else holds
            seen = f"{part[0]:.2f} of the large tokens; accuracy {more[0]:+.3f}"
            why = f"accuracy [{accuracy[0]:+.3f}, {accuracy[1]:+.3f}]; tokens of the large model, not seconds; {name}"
            yield Claim(name.split()[0], claim, where, seen, tokens, holds, why)


def _quarter(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    for r in found:
        for kind, words in (("majority", "votes"), ("best", "best-of-N")):
            between = r[f"minus_{kind}_interval"]
            claim = f"within a quarter of the budget it is no worse than {words} with all of it"
            seen = f"{r['accuracy']:.3f} against {r[f'{kind}_full']:.3f} ({r[f'minus_{kind}']:+.3f})"
            why = f"T = {r['tokens_full']}, {r['tokens']:.0f} written, {r['judge']:.0f} questions to the judge"
            why += "" if kind == "majority" else "; the paper's baseline votes"
            yield Claim("BAVT", claim, f"{r['world']}, noise {r['noise']}", seen, between, says(between, -SLACK), why)


def _rejection(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    for r in found:
        if r["rejects"]:
            between, bound = r["times_fewer_equal_interval"], r["at_least"]
            claim = "1.4 to 9 times less compute at equal accuracy"
            seen = f"{'>' * bound}{r['times_fewer_equal']:.2f}x; {r['times_fewer']:.2f}x with as many beams"
            why = f"tau = {r['tau']} of about 14 tokens; accuracy {r['minus']:+.3f} with as many beams"
            where = f"{r['world']}, noise {r['noise']}"
            holds = factor(between, 1.4, 9, bound=bound)
            yield Claim("Early rejection", claim, where, seen, between, holds, why + "; tokens, not FLOPs")


def _votes(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    tests: Sequence[tuple[str, str, Callable[[str], bool], float]] = (
        ("Blend-ASC", "4.8 times fewer samples than self-consistency (6.8 in v1)", _is_blend, 4.8),
        ("Adaptive-Consistency", "up to 7.9 times fewer samples, the same accuracy", _is("ASC .95, at most 40"), 7.9),
        ("ESC", "34 to 84% fewer samples (1.5 to 6.2 times), the same accuracy", _is("ESC, at most 40"), 1.5),
        ("ours", "stopping at .95 saves a factor of 2.3 where margins are ~ Beta(1/2, 1)", _is(_LONG), 2.3),
    )
    for paper, claim, of, least in tests:
        mine = [r for r in found if of(r["way"])]
        for family in dict.fromkeys(r["family"] for r in mine):
            if paper == "ours" and "Beta(1/2, 1)" not in family:
                continue
            r = max((r for r in mine if r["family"] == family), key=lambda r: r["times_fewer"])
            between = r["times_fewer_interval"]
            seen = f"{'>' * r['at_least']}{r['times_fewer']:.2f}x ({r['accuracy']:.3f} with {r['samples']:.1f} a task)"
            low = least / 1.2 if paper == "ours" else least
            holds = factor(between, low, 99, bound=r["at_least"])
            why = f"the best of its settings: {r['way']}" if paper == "Blend-ASC" else ""
            yield Claim(paper, claim, family, seen, between, holds, why)
            if paper == "Blend-ASC" and family != votes.MODEL:
                worst = min((r for r in mine if r["family"] == family), key=lambda r: r["minus"])
                gap = worst["minus_interval"]
                told = f"{worst['accuracy']:.3f} ({worst['minus']:+.3f})"
                claim_2 = "never worse than self-consistency at equal samples"
                yield Claim(paper, claim_2, family, told, gap, says(gap, -SLACK), f"the worst: {worst['way']}")


def _is_blend(way: str) -> bool:
    return way.startswith("Blend-ASC")


def _is(name: str) -> Callable[[str], bool]:
    return lambda way: way == name
