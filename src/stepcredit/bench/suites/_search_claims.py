"""What papers report of their search policies, beside what the suite sees.

Our models are tables, our scorers and judges the truth with noise: directions and factors can be compared, points of
accuracy on MATH or HotpotQA cannot. Quoted as the papers (or their abstracts) have them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.paired import interval
from stepcredit.bench.suite import Table
from stepcredit.bench.suites import _consistency as votes
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites._label_claims import NO, NOT, OPEN, YES
from stepcredit.bench.suites._search_curves import Curve, between
from stepcredit.bench.suites._search_curves import factor as measured
from stepcredit.bench.suites._search_models import WORLDS
from stepcredit.bench.suites._search_report import Measured, level
from stepcredit.data.layout import Floats

SLACK = 0.02  # accuracies that differ by less are equal
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_LONG = "ASC .95, at most 200, by fives"
NOT_HERE: Sequence[tuple[str, str, str]] = (
    ("OVM", "78.7% of Game of 24 with 20 samples a step; GSM8K 84.7", "of models trained for it"),
    ("AlphaMath", "MATH 63.6 by step-level beam search, about 53 to 57 greedy", "points on MATH"),
    ("R2-LLMs", "up to 16% better by examples found twice", "a tabular model heeds no examples"),
    ("BoostStep", "+3.6 (GPT-4o), +2.0 (Qwen2.5-Math-72B)", "a tabular model heeds no examples"),
    ("TRAD", "best on ALFWorld and Mind2Web against whole trajectories", "a tabular model heeds no examples"),
    ("Chain of Mindset", "+4.96 and +4.72 points over the best baseline", "a tabular model calls for no mindset"),
    ("FOBAR", "best mean accuracy of six sets", "answers of Game of 24 hold the numbers that would be masked"),
    ("ID-Sampling", "more is solved of what is hard", "a tabular model heeds no trigger"),
    ("COS(M+O)S", "raters prefer what it tells", "there is nothing to tell"),
    ("P(True)", "larger models know better; other samples in the question help", "the stand-in heeds no others"),
)


class Claim(NamedTuple):
    """A claim at one noise (None: it has none): the difference or, with `times`, the factor that was seen, its 90%
    interval, whether it reproduces. at_least: the factor may be larger."""

    paper: str
    claim: str
    world: str
    noise: float | str | None
    value: float | None
    between: Sequence[float] | None
    holds: str
    seen: str = ""
    remark: str = ""
    times: bool = False
    at_least: bool = False


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
        made += _two_models(at, noise, noises[0])
    made += [*_quarter(found["quarter"]), *_rejection(found["reject"]), *_votes(voted)]
    made += [Claim(paper, claim, "", None, None, None, NOT, remark=why) for paper, claim, why in NOT_HERE]
    order = {name: i for i, name in enumerate(dict.fromkeys((c.paper, c.claim) for c in made))}
    made.sort(key=lambda c: order[c.paper, c.claim])
    return [{"part": "claims", **claim._asdict()} for claim in made]


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """For people: a row a claim and world, a column a noise."""
    noises = list(dict.fromkeys(r["noise"] for r in found if r["noise"] is not None))
    shown = []
    for paper, claim, world in dict.fromkeys((r["paper"], r["claim"], r["world"]) for r in found):
        mine = {r["noise"]: r for r in found if (r["paper"], r["claim"], r["world"]) == (paper, claim, world)}
        cells = [_cell(mine.get(noise)) for noise in (*noises, None)]
        shown.append([paper, claim, world, *cells, next(iter(mine.values()))["remark"]])
    columns = ("paper", "claim", "world", *(f"noise {x}" for x in noises), "no noise to vary", "")
    note = (
        "Differences of accuracy, or factors (x), with 90% intervals, and whether the claim reproduces. A direction "
        "does if the interval lies on its side, does not if it lies on the other; a factor, by the interval of the "
        f"factor (> = it may be larger). Accuracies within {SLACK} are equal where the claim says equal. Models are "
        "tables, scorers and judges the truth with noise: nothing is said of the papers' own models and data. Tokens "
        "are those written; what is read, scored and judged is not counted."
    )
    return Table("Headlines of papers against what is seen here", columns, shown, note)


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    if row["value"] is None:
        return str(row["holds"])
    sign = "" if row["times"] else "+"
    value = f"{'>' * row['at_least']}{row['value']:{sign}.2f}{'x' * row['times']}"
    return f"{value} {between(row['between'])} {row['holds']}"


def says(at: Sequence[float], least: float = 0.0) -> str:
    """Whether a difference is above what is claimed, by its interval."""
    return YES if at[0] > least else NO if at[1] < least else OPEN


def factor(at: Sequence[float], least: float) -> str:
    """Whether a factor is as large as claimed, by its interval."""
    return YES if at[0] >= least else NO if at[1] < least else OPEN


def _differs(paper: str, claim: str, world: str, noise: float, one: Floats, other: Floats, why: str = "") -> Claim:
    at = interval((one - other)[1:])
    seen = f"{one[0]:.3f} against {other[0]:.3f}"
    return Claim(paper, claim, world, level(noise), float(one[0] - other[0]), at, says(at), seen, why)


BESIDE = (
    ("Snell et al.", "beam search beats best-of-N at equal tokens", "beam 16/4", "best"),
    ("Step-Q", "the best of 5 actions at each step beats the best of 5 solutions", "Step-Q 5, by the scorer", ""),
    ("PRA", "rewards used online beat the same post hoc (81.9 : 77.6)", "PRA 4x16, no documents", "best"),
    ("OVM", "beats self-consistency at equal samples", "OVM 4x5", "majority"),
    ("RefCritic", "votes without what is judged wrong scale better than votes", "RefCritic 8", "majority"),
    ("MathCritique", "critique and refinement beat votes at equal compute", "critique and refine 8", "majority"),
    ("PRISM", "beats votes at equal compute (paper: RSA, 90.0 : 87.8)", "PRISM 10x5", "majority"),
    ("GFlowNet", "beats the model alone (+2.59 points on MATH level 5)", "GFlowNet 8x4", "one"),
    ("AlphaMath", "step-level beam search (B1 = 3) beats the model alone", "step beam 3x5", "one"),
    ("OpenR", "tree search beats best-of-N at equal tokens", "MCTS OpenR", "best"),
)


def _at_equal_tokens(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """A policy against its curve at as many tokens, against one sample, against best-of-5."""
    curve, head = f"curve/{world}/{noise:g}", f"policy/{world}/{noise:g}/"
    five = f"{head}best of 5"
    for paper, claim, name, kind in BESIDE:
        if head + name not in at.values or (kind == "" and five not in at.values):
            continue
        right = at.mean(head + name, "solved")
        if kind == "":
            other = at.mean(five, "solved")
        elif kind == "one":
            other = at.curve(curve, "best").right[0]
        else:
            other = at.curve(curve, kind).at(at.mean(head + name, "tokens"))
        yield _differs(paper, claim, world, noise, right, other)
    n = list(at.values[curve]["best"])[-1]
    for one, beside in (("weighted majority", "best"), ("best", "majority")):
        claim = f"{one} beats {beside} of as many solutions, if the scorer is good"
        ours, theirs = at.curve(curve, one).right[-1], at.curve(curve, beside).right[-1]
        yield _differs("Beeching et al.", claim, world, noise, ours, theirs, f"of {n}")
    if f"{head}SWE-Search 100" in at.values:
        alone = at.curve(curve, "best").right[0]
        searched = at.mean(f"{head}SWE-Search 100", "solved")
        ratio = np.divide(searched, alone, out=np.full(alone.size, np.nan), where=alone > 0)
        ends = interval(ratio[1:])
        claim = "+23% relative over the agent without search"
        seen = f"{searched[0]:.3f} against {alone[0]:.3f}"
        told = (float(ratio[0]), ends, factor(ends, 1.23), seen)
        yield Claim("SWE-Search", claim, world, level(noise), *told, remark="against one solution", times=True)


def _growing(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """DVTS against beam search, few and many."""
    head = f"policy/{world}/{noise:g}/"
    for n in (4, 16, 64):
        names = [f"{head}{name} {n}/4" for name in ("DVTS", "beam")]
        if all(name in at.values for name in names):
            ours, theirs = (at.mean(name, "solved") for name in names)
            claim = f"DVTS beats beam search at large n, n = {n}"
            yield _differs("Beeching et al.", claim, world, noise, ours, theirs, "up to n = 256 in the paper")


def _more_for_the_same(at: Measured, world: str, noise: float) -> Iterator[Claim]:
    """Particle filtering: tokens that deterministic search needs for as much."""
    head = f"policy/{world}/{noise:g}/"
    key = f"{head}particles 16"
    for other in ("beam", "DVTS"):
        cells = {str(n): at.values.get(f"{head}{other} {n}/4") for n in (4, 16, 64)}
        if key in at.values and all(cells.values()):
            beside = Curve.of({k: v for k, v in cells.items() if v is not None}, at.weight)
            right, tokens = at.mean(key, "solved"), at.mean(key, "tokens")
            row = measured("x", beside.times(right, tokens), beside.cost[-1] / tokens)
            told = (row["x"], row["x_interval"], factor(row["x_interval"], 4), f"{right[0]:.3f} by 16 particles")
            claim = f"4 to 16 times better scaling than deterministic search: tokens of {other} for as much"
            more: dict[str, Any] = {"times": True, "at_least": row["x_at_least"], "remark": f"{other} of n = 4 to 64"}
            yield Claim("Rollout Roulette", claim, world, level(noise), *told, **more)
    names = [f"{head}{name}" for name in ("particles 16", "particles its_hub 16")]
    if all(name in at.values for name in names):
        ours, theirs = (at.mean(name, "solved") for name in names)
        claim = "weights by the change of the odds beat its_hub's, by the odds"
        yield _differs("ours", claim, world, noise, ours, theirs)


def _two_models(at: Measured, noise: float, first: float) -> Iterator[Claim]:
    """Arbitrage, GlimpRouter (which asks nobody): tokens of the large model, and accuracy."""
    head = f"policy/able/{noise:g}/"
    glimpse = "25.9% less latency than the large model alone, and more accurate"
    for name, other, claim, most, slack in (
        ("Arbitrage", "RSD .7", "half the cost of RSD (1.97x lower latency) at equal accuracy", 1 / 1.97, SLACK),
        ("GlimpRouter 1.0", chosen.LARGE, f"{glimpse}, threshold 1", 0.741, 0.0),
        ("GlimpRouter 0.3", chosen.LARGE, f"{glimpse}, threshold .3", 0.741, 0.0),
    ):
        asks_nobody = name != "Arbitrage"
        if not {head + name, head + other} <= at.values.keys() or (asks_nobody and noise != first):
            continue
        part = at.mean(head + name, "decode") / at.mean(head + other, "decode")
        more = at.mean(head + name, "solved") - at.mean(head + other, "solved")
        tokens, accuracy = interval(part[1:]), interval(more[1:])
        holds = YES if tokens[1] <= most and accuracy[0] > -slack else OPEN
        holds = NO if tokens[0] > most or accuracy[1] < -slack else holds
        seen = f"{part[0]:.2f} of the large tokens; accuracy {more[0]:+.3f} [{accuracy[0]:+.3f}, {accuracy[1]:+.3f}]"
        told = (float(part[0]), tokens, holds, seen, f"share of the tokens of the large model, not seconds; {seen}")
        yield Claim(name.split()[0], claim, "two", None if asks_nobody else level(noise), *told, times=True)


def _quarter(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    for r in found:
        for kind, words in (("majority", "votes"), ("best", "best-of-N")):
            ends = r[f"minus_{kind}_interval"]
            claim = f"a quarter of the budget is no worse than {words} with all of it, T = {r['tokens_full']}"
            seen = f"{r['accuracy']:.3f} ({r['tokens']:.0f} tokens) against {r[f'{kind}_full']:.3f}"
            told = (r[f"minus_{kind}"], ends, says(ends, -SLACK), seen)
            why = "" if kind == "majority" else "the paper's baseline votes"
            yield Claim("BAVT", claim, r["world"], r["noise"], *told, remark=why)


def _rejection(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    """At the tau in the middle of those measured."""
    measured_at = sorted({r["tau"] for r in found if r["rejects"]})
    for r in found:
        if r["rejects"] and r["tau"] == measured_at[len(measured_at) // 2]:
            ends, name = r["times_fewer_equal_interval"], f"tau = {r['tau']} of 12 to 15 tokens"
            seen = f"with as many beams {r['times_fewer']:.2f}x, accuracy {r['minus']:+.3f}"
            told = (r["times_fewer_equal"], ends, factor(ends, 1.4), seen)
            more: dict[str, Any] = {"times": True, "at_least": r["times_fewer_equal_at_least"]}
            claim, why = f"1.4 to 9 times less compute at equal accuracy, {name}", "tokens, not FLOPs"
            yield Claim("Early rejection", claim, r["world"], r["noise"], *told, why, **more)


SAVES: Sequence[tuple[str, str, str, float]] = (
    ("Blend-ASC", "4.8 times fewer samples than self-consistency (6.8 in v1)", "Blend-ASC 8", 4.8),
    ("Blend-ASC", "4.8 times fewer samples than self-consistency (6.8 in v1)", "Blend-ASC 32", 4.8),
    ("Adaptive-Consistency", "up to 7.9 times fewer samples, the same accuracy", "ASC .95, at most 40", 7.9),
    ("ESC", "34 to 84% fewer samples (1.5 to 6.2 times), the same accuracy", "ESC, at most 40", 1.5),
    ("ours", "stopping at .95 saves a factor of 2.3 where margins are ~ Beta(1/2, 1)", _LONG, 2.3),
)


def _votes(found: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    for paper, claim, way, least in SAVES:
        for r in found:
            if r["way"] != way or (paper == "ours" and r["family"] not in (votes.MARGINS, votes.MODEL)):
                continue
            ends, seen = r["times_fewer_interval"], f"{r['accuracy']:.3f} with {r['samples']:.1f} a task"
            told = (r["times_fewer"], ends, factor(ends, least), seen, seen)
            more: dict[str, Any] = {"times": True, "at_least": r["times_fewer_at_least"]}
            yield Claim(paper, f"{claim}: {way}", r["family"], None, *told, **more)
    for r in found:
        if _is_blend(r["way"]):
            ends, seen = r["minus_interval"], f"{r['accuracy']:.3f} with {r['samples']:.1f} a task"
            claim = f"no worse than self-consistency at equal samples: {r['way']}"
            yield Claim("Blend-ASC", claim, r["family"], None, r["minus"], ends, says(ends, -SLACK), seen, seen)


def _is_blend(way: str) -> bool:
    """Whether it is Blend-ASC as the paper has it: the lowest confidence, no cap."""
    return way.startswith("Blend-ASC") and "," not in way
