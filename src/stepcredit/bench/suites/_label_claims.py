"""What papers report of their labels, and ours of the search for the first error, beside what the suite sees.

Claims that need a trained reward model are not checked here; those that rest on a judge are about our stand-in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepcredit.bench.paired import interval
from stepcredit.bench.suite import Table
from stepcredit.bench.suites._label_report import FEW, Drawn
from stepcredit.bench.suites._label_shelf import FIRST_ZERO, PLAIN
from stepcredit.data.layout import Floats

Found = Mapping[tuple[str, str, int], Drawn]
Rows = Sequence[Mapping[str, Any]]
YES, NO, OPEN, NOT = "yes", "no", "cannot be told", "not comparable"
SLACK = 0.02  # accuracies that differ by less are equal
K = 8
BOUNDS = {8: 1 / 2, 16: 1 / 3, 32: 1 / 3}
TRAINED = (
    "Math-Shepherd, OmegaPRM, MM-PRM, Qwen2.5-Math-PRM, SCAN, SPARE, SPARK, GroundedPRM, AutoPSV, AlphaMath, CAPO, "
    "FoVer, VL-PRM, ReARTeR, ProRAG, RRM, TICK, WebSTAR, Step-GUI, MathCritique: scores of the models trained on "
    "the labels"
)


class Claim(NamedTuple):
    """A claim, what was seen, its 90% interval, whether it holds, and what to know of it."""

    paper: str
    claim: str
    world: str
    seen: str
    between: Sequence[float] | None
    holds: str
    remark: str = ""


def rows(found: Found, beside: Rows, chains: Rows, checks: Rows) -> list[dict[str, Any]]:
    """Every claim whose cells were measured."""
    made = [
        *_searches(chains),
        *_filters(found, beside),
        *_denoising(found),
        *_thresholds(found),
        *_judges(found),
        *_checks(checks),
    ]
    made.append(Claim("all", TRAINED, "", "–", None, NOT, "the suite trains nothing"))
    return [{"part": "claims", **claim._asdict()} for claim in made]


def table(found: Rows) -> Table:
    """For people."""
    columns = ("paper", "claim", "world", "seen", "90%", "holds here", "")
    shown = [
        [
            r["paper"],
            r["claim"],
            r["world"],
            r["seen"],
            "–" if r["between"] is None else "[{:.3f}, {:.3f}]".format(*r["between"]),
            r["holds"],
            r["remark"],
        ]
        for r in found
    ]
    note = (
        "A claim of a direction holds if the 90% interval lies on its side, does not if it lies on the other. "
        f"Accuracies within {SLACK} are equal. Sizes are those of Game of 24 and of a simulated judge, not the papers'."
    )
    return Table("Headlines of papers, and ours, against what is seen here", columns, shown, note)


def _searches(chains: Rows) -> list[Claim]:
    out = []
    for r in chains:
        if not r["source"].startswith("omegaprm") or not r.get("of_every_step_interval") or r["length"] not in BOUNDS:
            continue
        bound = BOUNDS[r["length"]]
        share, gain = r["of_every_step_interval"], r["gain_on_every_step_interval"]
        claim = f"{r['length']} steps, k = {r['k']}: at most {bound:.2f} of the calls of every step, no less accurate"
        name = "ours" if r["source"] == "omegaprm" else "ours, careful"
        seen = (
            f"{r['of_every_step']:.2f} of the calls; accuracy {r['gain_on_every_step']:+.3f} to {r['first_error']:.3f}"
        )
        holds = YES if share[1] <= bound and gain[0] >= -SLACK else OPEN
        holds = NO if share[0] > bound or gain[1] < -SLACK else holds
        why = f"accuracy [{gain[0]:+.3f}, {gain[1]:+.3f}]"
        if r.get("of_first_zero") is not None:
            beside = r["gain_on_first_zero"]
            why += f"; {r['of_first_zero']:.2f} of the calls that stop at the first zero, accuracy {beside:+.3f}"
        out.append(Claim(name, claim, f"chains, {r['kind']}", seen, share, holds, why))
    return out


def _filters(found: Found, beside: Rows) -> list[Claim]:
    out = []
    titles = {
        "consensus": "Qwen's lessons",
        "consensus, poor judge": "Qwen's lessons, poor judge",
        "self-denoising": "SCAN",
        "self-denoising, ability .25": "SCAN, ability .25",
    }
    for r in beside:
        if r["source"] in titles and r["k"] == K:
            gain = r["named_exact_gain_interval"]
            claim = f"the first error named is more often right than by {r['against']} at equal cost"
            claim += f" (k = {r['k']} against {r['against_k']})"
            seen = "–" if gain is None else f"{r['named_exact_gain']:+.3f} to {r['named_exact']:.3f}"
            holds = NOT if r["puzzles"] < FEW else _holds(gain)
            few = f"errors of {r['puzzles']} puzzles: too few; " if r["puzzles"] < FEW else ""
            why = f"{few}{r['kept']:.0%} kept; {r['calls']:.1f} calls against {r['against_calls']:.1f}"
            out.append(Claim(titles[r["source"]], claim, r["world"], seen, gain, holds, why))
    for world in _worlds(found):
        kept = _at(found, world, "consensus", K, "kept")
        if kept is not None:
            low, high = interval(kept[1:])
            holds = YES if high >= 0.3 and low <= 0.5 else NO
            why = "depends on the judge's error rate, which is ours"
            out.append(
                _claim("Qwen's lessons", "about 40% of the solutions are kept (30 to 50)", world, kept, holds, why)
            )
    return out


def _denoising(found: Found) -> list[Claim]:
    out = []
    for world in _worlds(found):
        named = _at(found, world, "self-denoising", K, "tasks_named")
        if named is None:
            continue
        if named[0] < FEW:
            why = f"errors of {named[0]:.0f} puzzles are named among what it keeps: too few"
            out.append(
                Claim("SCAN", "less noise, at most 6% of the cost, soft labels help", world, "–", None, NOT, why)
            )
            continue
        off, on = (_at(found, world, s, K, "named_exact") for s in ("self-denoising, off", "self-denoising"))
        if off is not None and on is not None:
            seen = f"{1 - off[0]:.1%} -> {1 - on[0]:.1%}"
            claim = "noise of the errors named: 51.8% -> 29.4% by selection of tasks and solutions"
            out.append(
                _direction("SCAN", claim, world, seen, on - off, "the direction, not the size; interval: the fall")
            )
        cost, plain = (_at(found, world, s, K, "calls") for s in ("self-denoising", PLAIN))
        if cost is not None and plain is not None:
            low, high = interval((cost / plain)[1:])
            holds = YES if high <= 0.06 else NO if low > 0.06 else OPEN
            claim = "at most 6% of the cost of plain Monte Carlo of the same k"
            why = "calls per solution given; the paper's annotator was a smaller model too"
            out.append(_claim("SCAN", claim, world, cost / plain, holds, why))
        window, none = (_at(found, world, s, K, "distance") for s in ("self-denoising", "self-denoising, no window"))
        if window is not None and none is not None:
            claim = "soft labels in front of the error are closer to the truth than hard ones (paper: after training)"
            seen = f"mean |label - truth| {none[0]:.4f} -> {window[0]:.4f}"
            why = "it mends errors named too late, which a completer that repairs nothing does not make"
            out.append(_direction("SCAN", claim, world, seen, none - window, why))
    return out


def _thresholds(found: Found) -> list[Claim]:
    out = []
    for world in _worlds(found):
        names = (PLAIN, "every step, above an eighth", "every step, above a half")
        zero, eighth, half = (_at(found, world, s, K, "first_error") for s in names)
        if zero is not None and eighth is not None and half is not None:
            seen = f"first error {zero[0]:.3f}, {eighth[0]:.3f}, {half[0]:.3f} at 0, 1/8, 1/2"
            claim = "hard labels: thresholds above 0 hurt, the more the higher"
            least = [
                min(a, b) for a, b in zip(interval((zero - eighth)[1:]), interval((eighth - half)[1:]), strict=True)
            ]
            holds = _holds(least)
            out.append(Claim("Qwen's lessons", claim, world, seen, least, holds, "interval: the lesser of both steps"))
    return out


def _judges(found: Found) -> list[Claim]:
    out = []
    stand_in = "a simulated judge: follows from its error rates"
    for world in _worlds(found):
        once, four, eight = (
            _at(found, world, s, 0, "first_error")
            for s in ("judge once", "CAPO, majority of 4", "SPARK, majority of 8")
        )
        plain, agreed = (_at(found, world, s, K, "first_error") for s in (FIRST_ZERO, "consensus"))
        pairs = (
            ("CAPO", "more critiques help (first error, 4 against 1)", four, once, 0),
            ("SPARK", "the majority of verifications beats one", eight, once, 0),
            ("Qwen's lessons", "a judge names the first error better than Monte Carlo", once, plain, 0),
            ("Qwen's lessons", "what is kept by consensus is no worse than the judge's labels", agreed, once, SLACK),
        )
        for paper, claim, more, less, slack in pairs:
            if more is not None and less is not None:
                seen = f"{less[0]:.3f} -> {more[0]:.3f}"
                out.append(_direction(paper, claim, world, seen, more - less, stand_in, slack))
        tree, spare = (
            _at(found, world, "OmegaPRM's tree", 0, "calls"),
            _at(found, world, "SPARE, a solution shown", 0, "calls"),
        )
        if tree is not None and spare is not None:
            share = tree / spare
            claim = "2.3 to 2.6 times faster than tree search"
            why = "calls of a tree per question, not seconds; a tree labels other solutions too"
            out.append(_claim("SPARE", claim, world, share, NOT, why))
    return out


def _checks(checks: Rows) -> list[Claim]:
    return [
        Claim(
            "ours",
            f"{r['source']} on the text of GSM8K's steps agrees with the calculator marks (98% or more)",
            "GSM8K",
            f"{r['agreement']:.3f}, {r['judged']:.0%} judged; {r['agreement_same_text']:.4f} where text and mark agree",
            r["agreement_interval"],
            YES if r["agreement"] >= 0.98 else NO,
            "where they differ, the text mostly states another sum or result than its mark",
        )
        for r in checks
    ]


def _direction(paper: str, claim: str, world: str, seen: str, gain: Floats, why: str, slack: float = 0.0) -> Claim:
    """A claim that a gain is above 0, or no further below it than `slack`."""
    between = interval(gain[1:])
    if between[0] != between[0]:
        return Claim(paper, claim, world, seen.replace("nan", "–"), None, NOT, "nothing is kept")
    return Claim(paper, claim, world, seen, between, _holds([x + slack for x in between]), why)


def _holds(gain: Sequence[float] | None) -> str:
    """Whether a gain is above 0, by its interval; None: there is nothing to compare."""
    if gain is None:
        return NOT
    return YES if gain[0] > 0 else NO if gain[1] < 0 else OPEN


def _claim(paper: str, claim: str, world: str, at: Floats, holds: str, why: str) -> Claim:
    return Claim(paper, claim, world, f"{at[0]:.3f}", interval(at[1:]), holds, why)


def _worlds(found: Found) -> list[str]:
    return list(dict.fromkeys(world for world, _, _ in found))


def _at(found: Found, world: str, source: str, k: int, score: str) -> Floats | None:
    at = found.get((world, source, k))
    return None if at is None else at[score]
