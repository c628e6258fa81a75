"""Contrast with the runs that succeeded: the step at which the chance of success fell most."""

from typing import Any

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.departed import Counts, Departed
from stepcredit.diagnose.features import kept, shown
from stepcredit.diagnose.graph import STOP
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.errors import StepCreditError
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


def contrast(case: Case, *, prior: float = 1.0) -> Verdict:
    """The step that lost most of the chance of success, as the outcomes of the other runs have it.

        Q_T     = share of the runs that ended there, this one included, that succeeded
        Q_t     = q_t V_{t+1} + (1 - q_t) L_t
        V_t     = p_t Q_t + (1 - p_t) O_t
        score_t = V_t - Q_t

    A run that used up its steps could not go on: there V_T = Q_T, without (1 - p_T) O_T, and its end costs nothing.

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
        prior: how many runs the mean m is worth, more than none.

    Returns:
        confidence: the chance, of values drawn from the posteriors of O_t (and of Q_t, where others did the same and
        succeeded), that no other step's fall is greater, times the part of the fall that the step keeps. An outcome
        that is not known is taken for a failure.

    Raises:
        StepCreditError: a prior that is not above 0.
    """
    checked(prior)
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
    table: Departed = kept(case.group, "departed", lambda: Departed.of(graph))
    counts, limited = table.counts(graph, me, _limited(case))
    mean = (won + 0.5) / (runs + 1)
    fall, luck, q = _falls(counts, mean, prior, limited)
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
    if fall[at] <= 1e-9 or luck.max() > fall[at] + 1e-9:
        return _by_chance(case, luck, fall[at], runs, won)
    sure = _sure(counts, mean, prior, fall, q, at, limited)
    score, keeps = _shared(fall, counts, last)
    step = min(at, steps - 1) - int(graph.shared[me])
    if step < 0:
        return case.unknown("the step to blame is stored with another run of the task", siblings=runs)
    evidence = _evidence(case, known, at, limited, fall[at], q[at])
    return Verdict(
        "found",
        score[int(graph.shared[me]) :],
        step=step,
        agent=agent_of(case, step),
        error="stopped_early" if stops else "wrong_turn",
        reason=_reason(evidence, stops, fared(case.group)),
        confidence=float(sure * (keeps if at == last else 1.0)),
        evidence={"siblings": runs, "successes": won, **evidence},
    )


def checked(prior: float) -> None:
    """Raises: StepCreditError: a prior that is no positive number of runs."""
    if not 0 < prior < np.inf:
        raise StepCreditError(f"prior={prior}: expected a number of runs above 0")


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


def _sure(c: Counts, mean: float, prior: float, fall: Floats, after: Floats, at: int, limited: bool) -> float:
    """The chance that the fall at a place is the greatest, over draws of what the others' steps are worth there, and of
    what this one is worth where others took it and succeeded."""
    top = np.argsort(-fall, kind="stable")[:_CANDIDATES]
    top = top[((c.all - c.same)[top] > 0) & ~(limited & (top == fall.size - 1))]  # the end of such a run costs nothing
    n, won = (c.all - c.same)[top], (c.all_won - c.same_won)[top]
    like = c.same[top] + 1
    rng = np.random.default_rng(0)

    def drawn(runs: Floats, successes: Floats) -> Floats:
        good, bad = successes + prior * mean, runs - successes + prior * (1 - mean)
        return np.asarray(rng.beta(good[:, None], bad[:, None], size=(top.size, _DRAWS)))

    others, own = drawn(n, won), drawn(like, np.clip(after[top], 0, 1) * like)
    own = np.where(c.same_won[top][:, None] > 0, own, after[top][:, None])
    falls = (n / (c.all[top] + 1))[:, None] * (others - own)
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
    if luck[at] > max(fall, 0.0) + 1e-9:
        why = (
            f"most was lost after step {at}, where other runs that did the same came elsewhere: chance, or something "
            "that the states do not show"
        )
    elif fared(case.group):
        why = f"the run did nothing that those of the {runs} other runs that fared better did not do as well"
    else:
        why = f"the run did nothing that the {won:g} of {runs} runs that succeeded did not do as well"
    return case.unknown(why, siblings=runs, successes=won, luck=float(luck[at]))


def _limited(case: Case) -> bool | None:
    cut = case.rollout.evidence.get("truncated")
    return None if cut is None or cut == -1 else bool(cut)


def _evidence(case: Case, known: Bools, at: int, limited: bool, fall: float, after: float) -> dict[str, Any]:
    graph, me = case.group.graph, case.index
    left, path = graph.departures, graph.path(me)
    rows = np.arange(left.start[path[at]], left.start[path[at] + 1])
    rows = rows[known[left.rollout[rows]]]
    run, action, ahead = left.rollout[rows], left.action[rows], left.ahead[rows]
    won = np.where(ahead <= path.size - 1 - at, graph.success[run], 0.0) if limited else graph.success[run]
    same = action == (STOP if at == path.size - 1 else graph.action[graph.start[me] + at])
    n, good = int(np.sum(~same)), float(won[~same].sum())
    low, high = wilson(good, n)
    best = np.flatnonzero(~same & (won > 0))
    example = None
    if best.size:
        one = int(run[best[0]])
        example = {
            "run": one,
            "rollout": graph.names[one],
            "action": None if action[best[0]] == STOP else _words_of(case, int(action[best[0]])),
            "step": int(graph.length[one] - ahead[best[0]] - graph.shared[one]),
        }
    return {
        "same_step": {"runs": int(same.sum()), "successes": float(won[same].sum())},
        "other_steps": {"runs": n, "successes": good, "low": float(low), "high": float(high)},
        "others_did": _others_did(case, action[~same], won[~same]),
        "others_ended": int(np.sum(action[~same] == STOP)),
        "before": float(after + fall),
        "after": float(after),
        "fall": float(fall),
        "example": example,
        "out_of_steps": limited,
        "place": graph.kind,
    }


def _others_did(case: Case, action: Ints, won: Floats) -> list[dict[str, Any]]:
    """The five actions of others that were worth most, ties in the order of their words."""
    kinds, of = np.unique(action, return_inverse=True)
    runs, good = np.bincount(of, minlength=kinds.size), np.bincount(of, won, kinds.size)
    tried = []
    for a, n, w in zip(kinds.tolist(), runs.tolist(), good.tolist(), strict=True):
        if a != STOP:
            tried.append((-w, -n, _words_of(case, a)))
    return [{"action": a, "runs": -n, "successes": -w} for w, n, a in sorted(tried)[:5]]


def _words_of(case: Case, action: int) -> str:
    words: dict[int, str] = kept(case.group, "words of actions", dict)
    if action not in words:
        words[action] = case.group.graph.words(action)
    return words[action]


def fared(group: Group) -> str:
    """Empty where every known outcome of the task is 0 or 1, or the least or the most of two: then runs are counted;
    else what a mean outcome is measured on."""
    success = group.graph.success
    if np.all(np.isnan(success) | (success == 0) | (success == 1)):
        return ""
    own = all(r.outcome is None or not (r.outcome < 0 or r.outcome > 1) for r in group.rollouts)
    return "from 0 to 1" if own else "from 0, the task's least, to 1, its most"


def _reason(e: dict[str, Any], stops: bool, scale: str) -> str:
    same, other = e["same_step"], e["other_steps"]
    where = "from the same state" if e["place"] == "states" else "after the same actions"
    between = f"[{other['low']:.2f}, {other['high']:.2f}]"
    late = " in the steps that were left" * bool(e["out_of_steps"])
    nobody = "no other run took this step, and this one failed"
    ended = e["others_ended"]
    what = "ending" if ended == other["runs"] else "other steps"
    few = f", {ended} of which ended there" if 0 < ended < other["runs"] else ""
    ways = _way(e["example"])
    if scale:
        began = f"after this step {_mean(same)}" if same["runs"] else nobody
        began, what = ("the run stopped here", "going on") if stops else (began, what)
        return f"{began}; {where}, {what} led to {_mean(other)} {between}{late}{few} (outcomes {scale}){ways}"
    shares = f"{other['successes']:g} of {other['runs']} {between}"
    if stops:
        return f"the run stopped here; {where} others went on, and {shares} succeeded{ways}"
    began = f"after this step {same['successes']:g} of {same['runs']} other runs succeeded" if same["runs"] else nobody
    if what == "ending":
        return f"{began}; {where}, others ended, and {shares} succeeded{late}{ways}"
    return f"{began}; {where}, other steps led to success in {shares}{late}{few}{ways}"


def _way(example: dict[str, Any] | None) -> str:
    """What one of the others did that succeeded."""
    if example is None or example["step"] < 0:
        return ""
    did = "ended there" if example["action"] is None else f"{shown(example['action'], 60)} (its step {example['step']})"
    return f"; run {shown(example['rollout'])} instead: {did}"


def _mean(side: dict[str, Any]) -> str:
    runs = side["runs"]
    return f"mean outcome {side['successes'] / max(runs, 1):.2f} over {runs} other run{'s' * (runs != 1)}"
