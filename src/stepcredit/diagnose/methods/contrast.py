"""Contrast with the runs that succeeded: the step at which the chance of success fell most."""

from typing import Any, NamedTuple

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.graph import STOP, Graph
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.ops import wilson
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Contrast with successful siblings on the graph of states",
    paper="stepcredit (no paper); the graph: arXiv:2510.20022",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="other runs of the task with known outcomes, one of which succeeded; states, or actions that repeat",
    cost="nothing",
    departures="None: this is the definition.",
)

_DRAWS, _CANDIDATES = 256, 8


class Counts(NamedTuple):
    """[T + 1] of the other runs that passed each place of a run, the place where it ended included: how many did
    anything there, the same, the same and came to the same node; and how many of those succeeded. alike: of actions
    that no two of them took."""

    all: Floats
    all_won: Floats
    same: Floats
    same_won: Floats
    link: Floats
    link_won: Floats
    lone: Floats


def contrast(case: Case, *, prior: float = 1.0) -> Verdict:
    """The step that lost most of the chance of success, as the outcomes of the other runs have it.

        V_T     = p_T (share of those that ended there and succeeded) + (1 - p_T) O_T
        Q_t     = q_t V_{t+1} + (1 - q_t) L_t
        V_t     = p_t Q_t + (1 - p_t) O_t
        score_t = V_t - Q_t

    O_t, L_t: success, as the mean of Beta(won + prior m, lost + prior (1 - m)), of the runs that did something else in
    the same node, and of those that did the same and came elsewhere; m the share of all other runs that succeeded. p_t:
    share of the runs there, this one included, that did the same; q_t: share of these that came to the same node.
    What one run did in a node is what it did there last. What luck took, Q_t - V_{t+1}, is no step's. The last step
    answers for the end of the run too.

    After the last node that other runs passed nothing is known: the fall there is shared between the step that left and
    the n - 1 after it, 1 : v : v ..., v = (actions there that one run alone took + 1/2) / (runs there + 1). A run that
    used up its steps (`truncated`; or the longest of its task, where others went on from its end) counts as won only
    those from its places that needed no more steps than it had left.

    Args:
        prior: how many runs the mean m is worth.

    Returns:
        confidence: the chance, of the values drawn from the posteriors of O_t, that no other step's fall is greater,
        times the part of the fall that the step keeps. An outcome that is not known is taken for a failure.
    """
    graph, me = case.group.graph, case.index
    known = ~np.isnan(graph.success)
    known[me] = False
    won, runs = float(graph.success[known].sum()), int(known.sum())
    if succeeded(case):
        return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded")
    if not case.steps:
        return case.unknown("the run has no steps")
    if not runs or not won:
        return case.unknown(
            f"none of {runs} other runs of the task with a known outcome succeeded"
            if runs
            else "there is no other run of the task with a known outcome",
            siblings=runs,
        )
    rows = _Rows.of(graph, me, known, limited=_limited(case))
    counts = rows.counts()
    mean = (won + 0.5) / (runs + 1)
    fall, luck, q = _falls(counts, mean, prior, rows.limited)
    last = int(np.flatnonzero(counts.all)[-1])
    steps = fall.size - 1
    parted = counts.lone[last] == counts.all[last] and not counts.same[last]
    if last == 0 and parted and steps > 1:
        return case.unknown(
            f"the run has nothing in common with the {runs} others: each began in its own way",
            siblings=runs,
            successes=won,
        )
    best = int(np.argmax(fall[:-1]))
    stops = steps > 0 and fall[steps] > fall[best]
    at = steps if stops else best
    if fall[at] <= 1e-9 or luck.max() > fall[at]:
        return _by_chance(case, luck, fall[at], runs, won)
    sure = _sure(counts, mean, prior, fall, q, at)
    score, kept = _shared(fall, counts, last)
    step = min(at, steps - 1) - int(graph.shared[me])
    if step < 0:
        return case.unknown("the step to blame is stored with another run of the task", siblings=runs)
    evidence = _evidence(graph, rows, counts, at, fall[at], q[at], runs, won)
    return Verdict(
        "found",
        score[int(graph.shared[me]) :],
        step=step,
        agent=agent_of(case, step),
        error="stopped_early" if stops else "wrong_turn",
        reason=_reason(evidence, stops),
        confidence=float(sure * (kept if at == last else 1.0)),
        evidence=evidence,
    )


class _Rows(NamedTuple):
    """What the other runs did in the nodes of a run: rows of (place, run, action, next, won, steps ahead); and what the
    run itself did: action, next [T + 1]."""

    place: Ints
    run: Ints
    action: Ints
    next: Ints
    won: Floats
    ahead: Ints
    did: Ints
    came: Ints
    limited: bool

    @classmethod
    def of(cls, graph: Graph, me: int, known: Bools, limited: bool | None) -> "_Rows":
        left, path = graph.departures, graph.path(me)
        first, size = left.start[path], np.diff(left.start)[path]
        place = np.repeat(np.arange(path.size), size)
        at = np.arange(place.size) - np.repeat(np.cumsum(size) - size, size) + first[place]
        kept = known[left.rollout[at]]
        place, at = place[kept], at[kept]
        run, ahead, steps = left.rollout[at], left.ahead[at], path.size - 1
        longest = steps == graph.length.max() and bool(np.any((place == steps) & (ahead > 0)))
        bound = longest if limited is None else limited
        won = graph.success[run]
        if bound:
            won = np.where(ahead <= steps - place, won, 0.0)
        mine = slice(graph.start[me], graph.start[me + 1])
        did, came = np.append(graph.action[mine], STOP), np.append(graph.t[mine], STOP)
        return cls(place, run, left.action[at], left.next[at], won, ahead, did, came, bound)

    def counts(self) -> Counts:
        size = self.did.size
        same = self.action == self.did[self.place]
        link = same & (self.next == self.came[self.place])

        def count(mask: Any) -> tuple[Floats, Floats]:
            at = self.place[mask]
            return (
                np.asarray(np.bincount(at, minlength=size), float),
                np.asarray(np.bincount(at, weights=self.won[mask], minlength=size), float),
            )

        order = np.lexsort((self.action, self.place))
        by, action = self.place[order], self.action[order]
        new = np.ones(by.size + 1, bool)
        new[1:-1] = (by[1:] != by[:-1]) | (action[1:] != action[:-1])
        alone = new[:-1] & new[1:]
        lone = np.bincount(by[alone], minlength=size).astype(float)
        return Counts(*count(slice(None)), *count(same), *count(link), lone)


def _falls(c: Counts, mean: float, prior: float, limited: bool) -> tuple[Floats, Floats, Floats]:
    """[T + 1] fall of each step and of the end, what luck took after each, and the value after each."""
    others = (c.all_won - c.same_won + prior * mean) / (c.all - c.same + prior)
    elsewhere = (c.same_won - c.link_won + prior * mean) / (c.same - c.link + prior)
    p, q_share = (c.same + 1) / (c.all + 1), (c.link + 1) / (c.same + 1)
    fall, luck, after = np.zeros((3, p.size))
    after[-1] = c.same_won[-1] / (c.same[-1] + 1)
    fall[-1] = 0.0 if limited else (1 - p[-1]) * (others[-1] - after[-1])
    value = after[-1] + fall[-1]
    for t in range(p.size - 2, -1, -1):
        after[t] = q_share[t] * value + (1 - q_share[t]) * elsewhere[t]
        luck[t] = after[t] - value
        fall[t] = (1 - p[t]) * (others[t] - after[t])
        value = after[t] + fall[t]
    return fall, luck, after


def _sure(c: Counts, mean: float, prior: float, fall: Floats, after: Floats, at: int) -> float:
    """The chance that the fall at a place is the greatest, over draws of what the others' steps are worth there."""
    top = np.argsort(-fall, kind="stable")[:_CANDIDATES]
    top = top[(c.all - c.same)[top] > 0]
    n, won = (c.all - c.same)[top], (c.all_won - c.same_won)[top]
    draws = np.random.default_rng(0).beta(
        (won + prior * mean)[:, None], (n - won + prior * (1 - mean))[:, None], size=(top.size, _DRAWS)
    )
    falls = (n / (c.all[top] + 1))[:, None] * (draws - after[top][:, None])
    return float(np.mean((top[np.argmax(falls, axis=0)] == at) & (falls.max(axis=0) > 0)))


def _shared(fall: Floats, c: Counts, last: int) -> tuple[Floats, float]:
    """[T] score of each step, and the part of the fall at the last known place that its step keeps."""
    steps = fall.size - 1
    score = fall[:-1].copy()
    score[-1] += max(fall[-1], 0.0)
    after = steps - last
    if after <= 1 or fall[last] <= 0:
        return score, 1.0
    unlike = (c.lone[last] + 0.5) / (c.all[last] + 1)
    kept = 1 / (1 + (after - 1) * unlike)
    score[last] = fall[last] * kept
    score[last + 1 :] += fall[last] * kept * unlike
    return score, kept


def _by_chance(case: Case, luck: Floats, fall: float, runs: int, won: float) -> Verdict:
    at = int(np.argmax(luck))
    if luck[at] > max(fall, 1e-9):
        why = (
            f"most was lost after step {at}, where other runs that did the same came elsewhere: chance, or something "
            "that the states do not show"
        )
    else:
        why = f"the run did nothing that the {won:g} of {runs} runs that succeeded did not do as well"
    return case.unknown(why, siblings=runs, successes=won, luck=float(luck[at]))


def _limited(case: Case) -> bool | None:
    cut = case.rollout.evidence.get("truncated")
    return None if cut is None or cut == -1 else bool(cut)


def _evidence(
    graph: Graph, rows: _Rows, c: Counts, at: int, fall: float, after: float, runs: int, won: float
) -> dict[str, Any]:
    n, good = c.all[at] - c.same[at], c.all_won[at] - c.same_won[at]
    low, high = wilson(good, n)
    there = rows.place == at
    other = there & (rows.action != rows.did[at])
    best = np.flatnonzero(other & (rows.won > 0))
    example = None
    if best.size:
        run = int(rows.run[best[0]])
        example = {
            "run": run,
            "rollout": graph.names[run],
            "step": int(graph.length[run] - rows.ahead[best[0]] - graph.shared[run]),
        }
    tried = [
        (float(rows.won[k].sum()), int(k.sum()), graph.words(a))
        for a in np.unique(rows.action[other & (rows.action != STOP)]).tolist()
        for k in [other & (rows.action == a)]
    ]
    tried.sort(key=lambda done: (-done[0], -done[1], done[2]))
    return {
        "siblings": runs,
        "successes": won,
        "same_step": {"runs": int(c.same[at]), "successes": float(c.same_won[at])},
        "other_steps": {"runs": int(n), "successes": float(good), "low": float(low), "high": float(high)},
        "others_did": [{"action": a, "runs": n, "successes": won} for won, n, a in tried[:5]],
        "before": float(after + fall),
        "after": float(after),
        "fall": float(fall),
        "example": example,
        "out_of_steps": bool(rows.limited),
        "place": graph.kind,
    }


def _reason(e: dict[str, Any], stops: bool) -> str:
    same, other = e["same_step"], e["other_steps"]
    where = "from the same state" if e["place"] == "states" else "after the same actions"
    shares = f"{other['successes']:g} of {other['runs']} [{other['low']:.2f}, {other['high']:.2f}]"
    if stops:
        return f"the run stopped here; {where} others went on, and {shares} succeeded"
    began = (
        f"after this step {same['successes']:g} of {same['runs']} other runs succeeded"
        if same["runs"]
        else "no other run took this step, and this one failed"
    )
    late = " in the steps that were left" * bool(e["out_of_steps"])
    return f"{began}; {where}, other steps led to success in {shares}{late}"
