"""What all methods without a model say together."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import once
from stepcredit.diagnose.methods.carried import carried
from stepcredit.diagnose.methods.contrast import contrast
from stepcredit.diagnose.methods.credit import credit
from stepcredit.diagnose.methods.horizon import horizon
from stepcredit.diagnose.methods.ignored_observation import ignored_observation
from stepcredit.diagnose.methods.other_answer import other_answer
from stepcredit.diagnose.methods.repeats import repeats
from stepcredit.diagnose.methods.spectrum import spectrum
from stepcredit.diagnose.methods.tool_errors import tool_errors
from stepcredit.diagnose.methods.values import values
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.errors import UnknownName
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="All methods without a model, as one opinion",
    paper="stepcredit (no paper); the pool: M. Stone, The Opinion Pool, Annals of Mathematical Statistics 32 (1961)",
    bibtex="""@article{stone1961opinion, title={The Opinion Pool}, author={Stone, M.},
  journal={The Annals of Mathematical Statistics}, volume={32}, number={4}, pages={1339--1342}, year={1961}}""",
    evidence="derived",
    asks=(),
    needs="a run; the more is known (other runs, outcomes, states, what tools answered, values), the better",
    cost="nothing",
    departures="A linear opinion pool in which a member's weight is its own confidence.",
)

UNTESTED = 0.5
"""The confidence of a member that states none: nothing says whether its rule is right or wrong here."""

_OF_EVIDENCE: Mapping[str, Callable[[Case], Verdict]] = {"carried": carried, "values": values}
_OF_OUTCOMES: Mapping[str, Callable[[Case], Verdict]] = {
    "contrast": contrast,
    "credit": credit,
    "other_answer": other_answer,
    "spectrum": spectrum,
}
_OF_TEXT: Mapping[str, Callable[[Case], Verdict]] = {
    "tool_errors": tool_errors,
    "ignored_observation": ignored_observation,
    "repeats": repeats,
}
MEMBERS: Mapping[str, Callable[[Case], Verdict]] = {**_OF_EVIDENCE, **_OF_OUTCOMES, **_OF_TEXT, "horizon": horizon}


def combined(case: Case, *, members: tuple[str, ...] = tuple(MEMBERS)) -> Verdict:
    """The step that the members which found one say together.

        score_t = sum_m c_m c_m s_mt / max_t s_mt / sum_m c_m,   s >= 0

    s_m, c_m: scores and confidence of member m (1/2 where it states none). Members that cannot tell, that find nothing,
    or whose find is as frequent in runs that succeeded (c_m = 0), have no say. `contrast`, `credit`, `other_answer` and
    `spectrum` read the same outcomes: each is asked where those before it cannot tell. The step is that of the named
    ones with the greatest score, the earliest of equals. The run's own labels (`carried`) are not outvoted, and
    `horizon`, which looks at other runs only, is asked where nobody else finds a step. Of a run that succeeded only
    given labels and values (`carried`, `values`) are asked: what did no harm is not blamed.

    Args:
        members: those asked; all of them work without a model.

    Returns:
        confidence: the score, a chance if the members' confidences are. "clean" if the run succeeded and nobody finds
        a step; "unknown" if it did not, and nobody does.

    Raises:
        UnknownName: no such member.
    """
    for name in members:
        if name not in MEMBERS:
            raise UnknownName("member of combined", name, MEMBERS)
    won = succeeded(case)
    asked = [m for m in members if m in _OF_EVIDENCE] if won else list(members)
    said: dict[str, Verdict] = {}
    told = False
    for name in asked if case.steps else ():
        if (name in _OF_OUTCOMES and told) or (name == "horizon" and any(_says(v) for v in said.values())):
            continue
        said[name] = once(case, MEMBERS[name])
        told = told or (name in _OF_OUTCOMES and said[name].status == "found")
    found = {name: v for name, v in said.items() if _says(v)}
    weight = {name: _weight(v) for name, v in found.items()}
    evidence: dict[str, Any] = {"members": {name: _told(v) for name, v in said.items()}}
    if not found:
        if won:
            return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded", evidence=evidence)
        return case.unknown(_silence(case, said), **evidence)
    total = sum(weight.values())
    score = np.zeros(len(case.steps))
    for name, v in found.items():
        s = np.where(np.isnan(v.scores), 0.0, np.maximum(v.scores, 0.0))
        score += weight[name] ** 2 * s / max(float(s.max()), 1e-300) / total
    labeled = "carried" in found and found["carried"].evidence["source"] == "label"
    heard = [found["carried"]] if labeled else found.values()
    named = sorted({v.step for v in heard if v.step is not None})
    step = max(named, key=lambda t: (score[t], -t))
    agree = sorted((n for n, v in found.items() if v.step == step), key=lambda n: (-weight[n], n))
    first = found[agree[0]]
    return Verdict(
        "found",
        score,
        step=step,
        agent=first.agent or agent_of(case, step),
        error=next((found[n].error for n in agree if found[n].error not in (None, "wrong_turn")), first.error),
        reason=_words(found, agree, weight),
        confidence=float(min(score[step], 1.0)),
        remarks=_remarks(said),
        evidence=evidence,
    )


def _weight(v: Verdict) -> float:
    return UNTESTED if v.confidence is None else v.confidence


def _says(v: Verdict) -> bool:
    return v.status == "found" and _weight(v) > 0


def _told(v: Verdict) -> dict[str, Any]:
    kept = {"status": v.status, "step": v.step, "confidence": v.confidence, "reason": v.reason, "error": v.error}
    return {**kept, "evidence": v.evidence}


def _silence(case: Case, said: Mapping[str, Verdict]) -> str:
    if not said:
        return "the run has no steps"
    looks = [f"step {t} ({words})" for t, words in _remarks(said).items()]
    first = f"; what one would look at first: {', '.join(looks[:2])}" if looks else ""
    return f"no step stands out{first}{_beside(case)}"


def _beside(case: Case) -> str:
    """The run that succeeded after the longest way in common, to be read beside this one."""
    graph, won = case.group.graph, np.flatnonzero(case.group.succeeded)
    if not won.size:
        return ""
    way = graph.in_common(case.index)[won]
    best = int(np.argmax(way))
    at = int(way[best] - graph.shared[case.index])
    parts = f"they part at step {at}" if 0 <= at < len(case.steps) else "it goes on where this one ends"
    return f"; run {graph.names[won[best]]} succeeded: read the two side by side, {parts}"


def _words(found: Mapping[str, Verdict], agree: list[str], weight: Mapping[str, float]) -> str:
    told = [
        f"{found[n].reason} ({n}, {weight[n]:.2f}{'' if found[n].confidence is not None else ' untested'})"
        for n in agree
    ]
    others = [f"step {v.step} ({n}, {weight[n]:.2f})" for n, v in found.items() if n not in agree]
    return "; ".join(told) + (f". Otherwise: {', '.join(others)}" if others else "")


def _remarks(said: Mapping[str, Verdict]) -> dict[int, str]:
    out: dict[int, list[str]] = {}
    for v in said.values():
        for t, words in v.remarks.items():
            out.setdefault(t, []).append(words)
    return {t: "; ".join(dict.fromkeys(words)) for t, words in sorted(out.items())}
