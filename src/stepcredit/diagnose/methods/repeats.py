"""Steps that do again what was done and learn nothing new."""

import re
from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Bools, Floats
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import Features, features
from stepcredit.diagnose.outcomes import agent_of, exposure
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Repetition: actions and states that come again with nothing new",
    paper="stepcredit (no paper); the error is MAST's FM-1.3, arXiv:2503.13657",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="tool calls, texts or actions of the steps; what came back, to tell a repetition from a second look",
    cost="nothing",
    departures="None: this is the definition.",
)

_BACK = 3
_WORD = re.compile(r"\w+")
_LONGEST = 4000


class Loop(NamedTuple):
    """Repetitions in a row: steps `first` to `last`; period: how far back the same was done."""

    first: int
    last: int
    period: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


def repeats(case: Case, *, near: float = 0.9) -> Verdict:
    """The first step of the longest loop: repetitions in a row, of which one at least has nothing but repetitions
    between it and the step that it repeats.

    A step repeats an earlier one if it does the same (tool calls with all arguments, else text; blanks do not count)
    and the same comes back, or if it takes the same way from a state that was met before. Where nothing is known of
    what came back to either it counts as well, though it may have brought something new: that is weaker, and the words
    say so. The same call that brings something new is no repetition; a check that is run again after other work is one
    that counts a quarter, and makes no loop.

    Args:
        near: a step whose words agree with those of one of the three before to this share (Jaccard) and that got the
            same answer counts as the same; above 1: only equal ones do.

    Returns:
        scores: 1 for the step blamed, 1/2 inside loops, 1/4 for other repetitions, 0 else.
        confidence: the probability of causation, over the other runs, of a loop (`outcomes.Exposure`); None where no
        other run has one.
    """
    if not case.steps:
        return case.unknown("the run has no steps")
    read = features(case)
    if all(key is None for key in read.done):
        return case.unknown("the steps say nothing of what was done")
    back = _back(case, near)
    loops = _loops(back)
    score: Floats = np.where(back > 0, 0.25, 0.0)
    known = _known(case, back)
    remarks = {
        t: f"does what step {t - int(back[t])} did, and "
        + ("got the same" if known[t] else "what came back is not known")
        for t in np.flatnonzero(back).tolist()
    }
    if not loops:
        return Verdict("clean", score, reason="no loop", remarks=remarks, evidence={"repeated": len(remarks)})
    for one in loops:
        score[one.first : one.last + 1] = 0.5
    worst = max(loops, key=lambda one: (one.steps, -one.first))
    score[worst.first] = 1.0
    seen = exposure(case, f"loop {near}", lambda other: bool(_loops(_back(other, near))))
    unit = "step" if worst.steps == 1 else "steps"
    first = worst.first - worst.period
    cycle = f"step {first}" if worst.period == 1 else f"steps {first} to {worst.first - 1}"
    told = known[worst.first : worst.last + 1]
    new = "nothing new came back" + " as far as that is known" * (not told.all())
    end = "until the end" if worst.last == len(case.steps) - 1 else f"up to step {worst.last}"
    return Verdict(
        "found",
        score,
        step=worst.first,
        agent=agent_of(case, worst.first),
        error="repeated_step",
        reason=f"from here {worst.steps} {unit} in a row ({end}) did again what {cycle} did, and "
        + (new if told.any() else "what came back is not known")
        + seen.words("a loop"),
        confidence=seen.blame,
        remarks=remarks,
        evidence={
            "loops": [one._asdict() for one in loops[:20]],
            "repeated": len(remarks),
            "known": int(known[back > 0].sum()),
            "steps": len(case.steps),
            "others": seen._asdict(),
        },
    )


def _back(case: Case, near: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[S] how many steps before each one the same was done with the same result; 0 = never."""
    read = features(case)
    graph = case.group.graph
    start = int(graph.start[case.index] + graph.shared[case.index])
    rows = slice(start, start + len(case.steps))
    links = list(zip(graph.u[rows].tolist(), graph.action[rows].tolist(), graph.t[rows].tolist(), strict=True))
    out = np.zeros(len(case.steps), np.int64)
    same: dict[object, int] = {}
    ways: dict[object, int] = {}
    for t, (key, seen) in enumerate(zip(read.done, read.seen, strict=True)):
        before = None if key is None else same.get((key, seen))
        way = ways.get(links[t]) if graph.kind == "states" else None
        found = max((x for x in (before, way) if x is not None), default=-1)
        if found < 0 and near <= 1:
            found = _nearly(read, t, near)
        out[t] = t - found if found >= 0 else 0
        same[(key, seen)] = ways[links[t]] = t
    return out


def _known(case: Case, back: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Bools:
    """[S] whether it is known what came of each step: an answer, or a state that the step it repeats led to too."""
    graph = case.group.graph
    start = int(graph.start[case.index] + graph.shared[case.index])
    after = graph.t[start : start + len(case.steps)]
    answered = np.array([seen is not None for seen in features(case).seen], bool)
    named = np.array([graph.states[n] is not None for n in after.tolist()], bool)
    return np.asarray(answered | (named & (after == after[np.arange(after.size) - back])), bool)


def _nearly(read: Features, t: int, near: float) -> int:
    """The latest of the steps just before that got the same answer and is the same in nearly all of its words."""
    key, seen = read.done[t], read.seen[t]
    if not isinstance(key, str) or not seen:
        return -1
    for s in range(t - 1, max(t - 1 - _BACK, -1), -1):
        other = read.done[s]
        if read.seen[s] == seen and isinstance(other, str) and _jaccard(key, other) >= near:
            return s
    return -1


def _jaccard(a: str, b: str) -> float:
    x, y = (set(_WORD.findall(s[:_LONGEST])) for s in (a, b))
    return len(x & y) / len(x | y) if x or y else 1.0


def _loops(back: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Loop]:
    """Runs of repetitions that hold one with nothing but repetitions since the step that it repeats."""
    again = back > 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], again, [False]))))
    found = []
    for first, end in edges.reshape(-1, 2).tolist():
        steps = np.arange(first, end)
        pure = steps - back[first:end] >= first - 1
        if pure.any():
            found.append(Loop(first, end - 1, int(back[first:end][pure].min())))
    return found
