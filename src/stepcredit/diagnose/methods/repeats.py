"""Steps that do again what was done and learn nothing new."""

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import Features, features, printed
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
_SHOWN = 4


class Loop(NamedTuple):
    """Repetitions in a row: steps `first` to `last`, apart from outputs of programs between them; period: how far back
    the same was done, None where that differs."""

    first: int
    last: int
    period: int | None


def repeats(case: Case, *, near: float = 0.9) -> Verdict:
    """The first step of the longest loop: repetitions in a row, of which one at least has nothing but repetitions
    between it and the step that it repeats.

    A step repeats an earlier one if it does the same (tool calls with all arguments, else text; blanks do not count)
    and the same comes back, or if it takes the same way from a state that was met before. Where nothing is known of
    what came back to either it counts as well, though it may have brought something new: that is weaker, and the words
    say so. The same call that brings something new is no repetition; a check that is run again after other work is one
    that counts a quarter, and makes no loop.

    Among agents that run each other's code, the output of a program is what came back to the message before it, and no
    action; nor is the standing message of an executor that was given nothing to run.

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
    loops = _loops(back, read.results)
    same = _same(read, back)
    score: Floats = np.where(back > 0, 0.25, 0.0)
    known = _known(case, back)
    remarks = {t: _remark(t - int(back[t]), bool(same[t]), bool(known[t])) for t in np.flatnonzero(back).tolist()}
    if not loops:
        return Verdict("clean", score, reason="no loop", remarks=remarks, evidence={"repeated": len(remarks)})
    for one in loops:
        score[one.first : one.last + 1] = np.where(back[one.first : one.last + 1] > 0, 0.5, 0.0)
    worst = max(loops, key=lambda one: (_size(one, back), -one.first))
    score[worst.first] = 1.0
    seen = exposure(case, f"loop {near}", lambda other: bool(_found(other, near)))
    return Verdict(
        "found",
        score,
        step=worst.first,
        agent=agent_of(case, worst.first),
        error="repeated_step",
        reason=_words(worst, back, same, known, read.results) + seen.words("a loop"),
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


def _remark(of: int, same: bool, known: bool) -> str:
    if same:
        return f"does what step {of} did, and {'got the same' if known else 'what came back is not known'}"
    return f"brings nothing new over step {of}" + " as far as that is known" * (not known)


def _words(loop: Loop, back: Ints, same: Bools, known: Bools, results: Sequence[bool]) -> str:
    """A loop in words: which steps did again what which ones did, and what came of it."""
    n = _size(loop, back)
    at = loop.first + np.flatnonzero(back[loop.first : loop.last + 1])
    end = "until the end" if all(results[loop.last + 1 :]) else f"up to step {loop.last}"
    row = f"from here {n} step{'s' * (n > 1)} in a row ({end})"
    far, of = " as far as that is known" * (not known[at].all()), _origin(loop, back, results)
    if same[at].all():
        return f"{row} did again what {of} did, and " + (
            f"nothing new came back{far}" if known[at].any() else "what came back is not known"
        )
    return f"{row} brought nothing new over {of}{far}"


def _size(loop: Loop, back: Ints) -> int:
    """How many steps a loop repeats."""
    return int((back[loop.first : loop.last + 1] > 0).sum())


def _origin(loop: Loop, back: Ints, results: Sequence[bool]) -> str:
    """The steps that a loop repeats: those before it, where each step is as far from what it repeats as the others;
    else the first ones that did so."""
    if loop.period is not None and not any(results[loop.first - loop.period : loop.last]):
        first = loop.first - loop.period
        return f"step {first}" if loop.period == 1 else f"steps {first} to {loop.first - 1}"
    origin = list(range(loop.last + 1))
    for t, far in enumerate(back[: loop.last + 1].tolist()):
        origin[t] = origin[t - far]
    roots = {origin[t] for t in (loop.first + np.flatnonzero(back[loop.first : loop.last + 1])).tolist()}
    *others, last = map(str, sorted(roots))
    shown = [*others[:_SHOWN], *["…"] * (len(others) > _SHOWN)]
    return f"steps {', '.join(shown)} and {last}" if others else f"step {last}"


def _same(read: Features, back: Ints) -> Bools:
    """[S] whether a step did the very same as that which it repeats: a state that is left the same way, or words that
    nearly agree, may hide other arguments."""
    done = read.done
    return np.array([done[t] == done[t - b] for t, b in enumerate(back.tolist())], bool)


def _seen(case: Case) -> list[str | None]:
    """[S] what came back to each step; to one whose text another agent ran, what that printed."""
    read, steps = features(case), case.steps
    out = list(read.seen)
    for t in range(len(steps) - 1):
        if out[t] is None and read.results[t + 1] and not read.results[t] and printed(steps[t + 1].text):
            out[t] = steps[t + 1].text
    return out


def _back(case: Case, near: float) -> Ints:
    """[S] how many steps before each one the same was done with the same result; 0 = never."""
    read, came = features(case), _seen(case)
    done = read.done
    graph = case.group.graph
    start = int(graph.start[case.index] + graph.shared[case.index])
    rows = slice(start, start + len(case.steps))
    links = list(zip(graph.u[rows].tolist(), graph.action[rows].tolist(), graph.t[rows].tolist(), strict=True))
    out = np.zeros(len(case.steps), np.int64)
    same: dict[object, int] = {}
    ways: dict[object, int] = {}
    for t, (key, seen) in enumerate(zip(done, came, strict=True)):
        if read.results[t]:
            continue
        before = None if key is None else same.get((key, seen))
        if before is None and key is not None and read.seen[t] is None:
            before = same.get((key, None))  # said before, and nobody ran it then
        way = ways.get(links[t]) if graph.kind == "states" else None
        found = max((x for x in (before, way) if x is not None), default=-1)
        if found < 0 and near <= 1:
            found = _nearly(done, came, t, near)
        out[t] = t - found if found >= 0 else 0
        same[(key, seen)] = ways[links[t]] = t
    return out


def _known(case: Case, back: Ints) -> Bools:
    """[S] whether it is known what came of each step: an answer, or a state that the step it repeats led to too."""
    graph = case.group.graph
    start = int(graph.start[case.index] + graph.shared[case.index])
    after = graph.t[start : start + len(case.steps)]
    answered = np.array([seen is not None for seen in _seen(case)], bool)
    named = np.array([graph.states[n] is not None for n in after.tolist()], bool)
    answered &= answered[np.arange(after.size) - back]
    return np.asarray(answered | (named & (after == after[np.arange(after.size) - back])), bool)


def _nearly(done: Sequence[Hashable], came: Sequence[str | None], t: int, near: float) -> int:
    """The latest of the steps just before that got the same answer and is the same in nearly all of its words."""
    key, seen = done[t], came[t]
    if not isinstance(key, str) or not seen:
        return -1
    for s in range(t - 1, max(t - 1 - _BACK, -1), -1):
        other = done[s]
        if came[s] == seen and isinstance(other, str) and _jaccard(key, other) >= near:
            return s
    return -1


def _jaccard(a: str, b: str) -> float:
    x, y = (set(_WORD.findall(s[:_LONGEST])) for s in (a, b))
    return len(x & y) / len(x | y) if x or y else 1.0


def _loops(back: Ints, results: Sequence[bool]) -> list[Loop]:
    """Runs of repetitions that hold one with nothing but repetitions since the step that it repeats."""
    own = np.flatnonzero(~np.array(results, bool))
    place = np.cumsum(~np.array(results, bool)) - 1
    far = place[own] - place[own - back[own]]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], far > 0, [False]))))
    found = []
    for first, end in edges.reshape(-1, 2).tolist():
        if (np.arange(first, end) - far[first:end] >= first - 1).any():
            steps = own[first:end]
            apart = set(back[steps].tolist())
            found.append(Loop(int(steps[0]), int(steps[-1]), apart.pop() if len(apart) == 1 else None))
    return found


def _found(case: Case, near: float) -> list[Loop]:
    return _loops(_back(case, near), features(case).results)
