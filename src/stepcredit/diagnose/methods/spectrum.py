"""What failed runs did that successful ones did not, wherever in the run: fault localization by the spectrum."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import accumulate, chain
from math import lgamma
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import fine_key, kept, shown
from stepcredit.diagnose.methods.contrast import fared
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.errors import UnknownName
from stepcredit.evidence._calls import plain, read
from stepcredit.shelf import PlanCard

Formula = Literal["ochiai", "tarantula", "dstar"]
FORMULAS: tuple[Formula, ...] = ("ochiai", "tarantula", "dstar")

CARD = PlanCard(
    title="On the Accuracy of Spectrum-based Fault Localization",
    paper="Abreu, Zoeteweij, van Gemund, TAICPART 2007 (doi 10.1109/TAIC.PART.2007.13)",
    bibtex="""@inproceedings{abreu2007accuracy, title={On the Accuracy of Spectrum-based Fault Localization},
  author={Abreu, Rui and Zoeteweij, Peter and van Gemund, Arjan J. C.},
  booktitle={Testing: Academic and Industrial Conference Practice and Research Techniques}, pages={89--98},
  year={2007}}""",
    evidence="secondary text",
    asks=(),
    needs="other runs of the task with known outcomes, one of which succeeded; tool calls, or texts that repeat",
    cost="nothing",
    departures="The paper ranks blocks of a program; here the units are what agents did: calls, single arguments of "
    "calls, and calls that are missing. Ours.",
)

PRESETS = {
    "tarantula": Preset({"formula": "tarantula"}, "Jones and Harrold, ASE 2005 (secondary text)"),
    "dstar": Preset(
        {"formula": "dstar"}, "Wong et al., IEEE Transactions on Reliability 63 (2014), star 2 (secondary text)"
    ),
}

_LONGEST = 200


class Unit(NamedTuple):
    """Something that a step may do. kind: "call" with all its arguments, "argument" of a call, "text"."""

    kind: str
    what: Hashable
    words: str


class Spectra(NamedTuple):
    """units: all of a task's. run, unit: [D] which run did which, each pair once. first: [R] where each run first did a
    unit."""

    units: tuple[Unit, ...]
    run: Ints
    unit: Ints
    first: tuple[Mapping[int, int], ...]

    def weigh(self, weight: Floats) -> Floats:
        """[U] sum over the runs that did each unit of their weight [R]."""
        return np.asarray(np.bincount(self.unit, weights=weight[self.run], minlength=len(self.units)), float)


def spectrum(case: Case, *, formula: Formula = "ochiai", missing: bool = True) -> Verdict:
    """The step with what most goes together with failure, over all runs of the task, this one included.

        ochiai     f / sqrt(F (f + s))
        tarantula  (f / F) / (f / F + s / S)
        dstar      f^2 / (s + F - f)

    F, S: runs that failed and that succeeded; f, s: those of them that did it; what no other run did says nothing. A
    unit is a tool call with all of its arguments, or one argument of a tool's calls; of a step without calls, its text.
    A call that every successful run makes, two runs or more in all, and this one and another failed one do not, counts
    too: at the step after the last one that it shares with what came before that call in a successful run.

    Args:
        formula: how suspicious a unit is. missing: whether what is missing counts.

    Returns:
        scores: the greatest suspicion among what a step did. The step is the one with the greatest, of equals
        what was done before what is missing, then the earliest.
        confidence: the chance that something done (or missing) at this step is what made runs fail, where either
        nothing that the run did matters (chance 1/2 beforehand) or one unit does, each with the same chance, and runs
        fail with one rate with it and another without, both uniform beforehand. Few runs that each did many things
        leave it small. "unknown" where the outcomes speak for no unit.

    Raises:
        UnknownName: no such formula.
    """
    if formula not in FORMULAS:
        raise UnknownName("formula", formula, FORMULAS)
    success = case.group.graph.success
    known = ~np.isnan(success)
    known[case.index] = True
    others = int(known.sum()) - 1
    if succeeded(case):
        return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded")
    if not case.steps or np.nansum(success) == 0:
        what = f"none of {others} other runs of the task with a known outcome succeeded" if others else "no other run"
        return case.unknown(what if case.steps else "the run has no steps", siblings=others)
    found = _counts(case, known, np.nan_to_num(success), missing)
    if not found.unit:
        return case.unknown("nothing that the run did was done by others", siblings=others)
    f, s, F, S = found.f, found.s, found.F, found.S
    doubt, odds = suspicion(f, s, F, S, formula), _log_odds(f, s, F, S)
    scores = np.zeros(len(case.steps))
    np.maximum.at(scores, found.place, doubt)
    best = int(np.argmax(doubt))
    unit, step, absent = found.unit[best], int(found.place[best]), bool(found.absent[best])
    evidence = {
        "unit": unit.words,
        "kind": "missing " * absent + unit.kind,
        **_sides(float(f[best]), float(s[best]), F, S, absent),
        "suspicion": float(doubt[best]),
        "units": len(found.unit),
        "log_odds": float(odds[best]) if np.isfinite(odds[best]) else None,
    }
    words = _words(unit, absent, evidence, fared(case.group))
    if odds[best] <= 0:
        return case.unknown(f"nothing that the run did goes together with failure: {words}", **evidence)
    last = absent and step == len(case.steps) - 1
    top = max(float(odds.max()), 0.0)
    weight = np.exp(odds - top)
    return Verdict(
        "found",
        scores,
        step=step,
        agent=agent_of(case, step),
        error="wrong_arguments" if unit.kind == "argument" else "stopped_early" if last else "wrong_turn",
        reason=words,
        confidence=float(weight[found.place == step].sum() / (weight.sum() + odds.size * np.exp(-top))),
        evidence=evidence,
    )


class _Counts(NamedTuple):
    """[U] what a run did that others did too, and what it left out, in the order in which equals are preferred: where
    in the run; f, s; and how many runs failed and succeeded in all."""

    unit: list[Unit]
    place: Ints
    absent: Bools
    f: Floats
    s: Floats
    F: float
    S: float


def _counts(case: Case, known: Bools, won: Floats, missing: bool) -> _Counts:
    made: Spectra = kept(case.group, "spectra", lambda: spectra(case.group.rollouts))
    fails, wins = known * (1 - won), known * won
    f, s, F, S = made.weigh(fails), made.weigh(wins), float(fails.sum()), float(wins.sum())
    mine = made.first[case.index]
    place = {u: (False, t) for u, t in mine.items() if f[u] + s[u] > 1}
    if missing:
        calls = kept(case.group, "short calls", lambda: _short_calls(made)).copy()
        calls[list(mine)] = False
        lacks = np.flatnonzero(calls & (s >= S - 1e-9) & (f + s > 1) & (F - f >= 2))
        place |= {u: (True, t) for u, t in _gaps(made, lacks.tolist(), case.index, won)}
        f[lacks], s[lacks] = F - f[lacks], S - s[lacks]
    units = sorted(place, key=lambda u: (*place[u], u))
    absent, at = (np.array([place[u][i] for u in units], kind) for i, kind in ((0, bool), (1, np.int64)))
    return _Counts([made.units[u] for u in units], at, absent, f[units], s[units], F, S)


def suspicion(f: Floats, s: Floats, F: float, S: float, formula: Formula = "ochiai") -> Floats:
    """[U] by how many of F failed and S successful runs did each unit; 0 where none failed.

    >>> suspicion(np.array([2.0, 2.0]), np.array([0.0, 2.0]), 2.0, 2.0).round(3).tolist()
    [1.0, 0.707]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if formula == "ochiai":
            out = f / np.sqrt(F * (f + s))
        elif formula == "tarantula":
            out = (f / F) / (f / F + s / S)
        else:
            out = f**2 / (s + F - f + 1e-9)
    return np.asarray(np.where(f > 0, out, 0.0), float)


def spectra(rollouts: tuple[Rollout, ...]) -> Spectra:
    """What each run of a task did, as one table."""
    number: dict[tuple[str, Hashable], int] = {}
    units: list[Unit] = []
    first: list[dict[int, int]] = []
    for rollout in rollouts:
        mine: dict[int, int] = {}
        for t, step in enumerate(rollout.steps):
            for kind, what, told in _units(step):
                at = number.setdefault((kind, what), len(units))
                if at == len(units):
                    units.append(Unit(kind, what, _told(kind, *told)))
                mine.setdefault(at, t)
        first.append(mine)
    which = np.repeat(np.arange(len(first)), [len(mine) for mine in first])
    of = np.fromiter(chain.from_iterable(first), np.int64, which.size)
    return Spectra(tuple(units), which, of, tuple(first))


def _units(step: Step) -> Iterator[tuple[str, Hashable, tuple[Any, ...]]]:
    """Kind and name of each unit, and what its words are made of."""
    if not step.tool_calls:
        key = fine_key(step)
        if key is not None:
            yield "text", key, (step.text or step.action,)
        return
    for call in step.tool_calls:
        name, parameters = read(call)
        given = plain(parameters if parameters is not None else call.arguments)
        yield "call", (name, str(_sorted(given))), (name, given)
        for argument, value in given.items() if isinstance(given, Mapping) else ():
            text = str(_sorted(value))
            if len(text) <= _LONGEST:
                yield "argument", (name, argument, text), (name, argument, text)


def _told(kind: str, name: Any, *what: Any) -> str:
    if kind == "text":
        return f"“{shown(name, 80)}”"
    if kind == "call":
        return f"{name}({_shown(what[0])})"
    return f"{name} with {what[0]} = {shown(what[1], 60)}"


def _short_calls(made: Spectra) -> Bools:
    return np.array([u.kind == "call" and len(str(u.what)) <= _LONGEST for u in made.units], bool)


def _shown(given: Any) -> str:
    if not isinstance(given, Mapping):
        return shown(given, 80)
    return shown(", ".join(f"{k}: {shown(v, 60)}" for k, v in given.items()), 120)


def _sorted(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value


def _gaps(made: Spectra, units: Iterable[int], me: int, won: Floats) -> Iterator[tuple[int, int]]:
    """Where a run leaves out each unit that a successful one did: after the last step that the two share before it."""
    mine = made.first[me]
    end = max(mine.values(), default=0)
    winners = np.flatnonzero(won > 0).tolist()
    shared: dict[int, tuple[list[int], list[int]]] = {}
    for unit in units:
        other = next(r for r in winners if unit in made.first[r])
        its = made.first[other]
        if other not in shared:
            both = sorted((its[u], mine[u]) for u in its.keys() & mine.keys() if made.units[u].kind != "argument")
            shared[other] = [t for t, _ in both], list(accumulate((t for _, t in both), max))
        there, here = shared[other]
        before = bisect_left(there, its[unit])
        yield unit, min(here[before - 1] + 1 if before else 0, end)


def _log_odds(f: Floats, s: Floats, F: float, S: float) -> Floats:
    """[U] log of how many times likelier the outcomes are if a unit matters than if it does not; -inf where runs fail
    less often with it.

    >>> np.exp(_log_odds(np.array([3.0, 1.0]), np.array([0.0, 1.0]), 3.0, 1.0)).round(2).tolist()
    [2.5, 0.0]
    """
    pairs = list(zip(f.tolist(), s.tolist(), strict=True))
    known = {(a, b): _beta(a, b) + _beta(F - a, S - b) - _beta(F, S) for a, b in set(pairs)}
    split = np.array([known[pair] for pair in pairs])
    worse = f * (F + S - f - s) > (F - f) * (f + s)
    return np.asarray(np.where(worse, split, -np.inf), float)


def _beta(a: float, b: float) -> float:
    return lgamma(a + 1) + lgamma(b + 1) - lgamma(a + b + 2)


def _sides(f: float, s: float, F: float, S: float, absent: bool) -> dict[str, dict[str, float]]:
    """Runs, and how many of them failed, with the unit and without; f and s are of those without where it is absent."""
    one, other = {"runs": f + s, "failed": f}, {"runs": F + S - f - s, "failed": F - f}
    return {"with": other, "without": one} if absent else {"with": one, "without": other}


def _words(unit: Unit, absent: bool, evidence: Mapping[str, Any], scale: str) -> str:
    had, lacked = evidence["with"], evidence["without"]
    mine, others = (lacked, had) if absent else (had, lacked)
    said = f"no {unit.words} here" if absent else unit.words
    here, there = ("without", "with") if absent else ("with", "without")
    if scale:
        means = [1 - side["failed"] / side["runs"] if side["runs"] else 0.0 for side in (mine, others)]
        return (
            f"{said}: mean outcome {means[0]:.2f} over the {mine['runs']:g} runs {here} it, {means[1]:.2f} over the "
            f"{others['runs']:g} {there} {'it ' * absent}(outcomes {scale})"
        )
    return (
        f"{said}: of the {mine['runs']:g} runs {here} it {mine['failed']:g} failed, of the {others['runs']:g} {there} "
        f"{'it ' * absent}{others['failed']:g}"
    )
