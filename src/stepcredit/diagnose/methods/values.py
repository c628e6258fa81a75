"""The largest fall of a value that somebody gave each step."""

from typing import Literal

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.outcomes import agent_of
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="The largest fall of a given value",
    paper="stepcredit (no paper); values of steps: arXiv:2312.08935, arXiv:2410.08146",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="evidence of the steps: `value` (and `next_value`), `progress`, `potential` or `score`",
    cost="nothing beyond that evidence",
    departures="None: this is the definition.",
)

Source = Literal["value", "progress", "potential", "score"]
SOURCES: tuple[Source, ...] = ("value", "progress", "potential", "score")
_GIANT = 2.0**1000


def values(case: Case, *, source: Source | None = None) -> Verdict:
    """The step after which a number about the run falls most.

        value, potential   before the step:  fall_t = x_t - x_{t+1}; after the last step `next_value`, else the outcome
        progress           after the step:   fall_t = x_{t-1} - x_t, x_{-1} = 0
        score              of the step:      fall_t = max(0, mean of the scores before it - x_t); the first: none

    Args:
        source: the evidence that is read; None: the first of `SOURCES` that the run has.

    A number that is not finite is none. Where one is beyond 2^1000 scores are told in units of a power of two, as
    differences of such numbers are none.

    Returns:
        scores: the falls; NaN where a number is missing. confidence: the part of all that was lost in falls that this
        one makes up: 1 where nothing else fell.
    """
    found = next(
        (n for n in ((source,) if source else SOURCES) if any(s.evidence.get(n) is not None for s in case.steps)),
        None,
    )
    if found is None:
        return case.unknown(f"no step has evidence {source or ' or '.join(SOURCES)}")
    x = _column(case, found)
    unit = _unit(case, x)
    fall = _falls(case, found, x / unit, unit)
    lost = np.where(fall > 0, fall, 0.0)
    if not np.any(~np.isnan(fall)):
        return case.unknown(f"no two neighboring steps have a {found}", source=found)
    if not lost.sum() > 0:
        return Verdict("clean", fall, reason=f"{found} never falls", evidence={"source": found})
    step = int(np.nanargmax(fall))
    before, after = (float(end * unit) for end in _around(found, x / unit, fall, step))
    lost_here = float(fall[step]) * unit
    share = float(fall[step] / lost.sum())
    return Verdict(
        "found",
        fall,
        step=step,
        agent=agent_of(case, step),
        error="wrong_turn",
        reason=f"{found} falls here from {before:.3g} to {after:.3g}, the most in the run ({share:.0%} of all falls)",
        confidence=share,
        evidence={
            "source": found,
            "before": before,
            "after": after,
            "fall": lost_here if np.isfinite(lost_here) else None,
        },
    )


def _column(case: Case, name: str) -> Floats:
    read = [s.evidence.get(name) for s in case.steps]
    x = np.array([np.nan if v is None or isinstance(v, list) else float(v) for v in read])
    return np.where(np.isfinite(x), x, np.nan)


def _unit(case: Case, x: Floats) -> float:
    """What numbers are measured in, so that no difference and no sum of them is endless: 1 but for giants."""
    every = np.abs(np.concatenate((x, _column(case, "next_value"), [_end(case)])))
    most = every[~np.isnan(every)].max(initial=0.0)
    return 1.0 if most <= _GIANT else float(np.ldexp(1.0, np.frexp(most)[1] - 1))


def _end(case: Case) -> float:
    outcome = case.rollout.outcome
    return outcome if outcome is not None and np.isfinite(outcome) else np.nan


def _falls(case: Case, name: str, x: Floats, unit: float) -> Floats:
    if name == "progress":
        return np.asarray(-np.diff(x, prepend=0.0))
    if name == "score":
        known = ~np.isnan(x)
        n = np.concatenate(([0], np.cumsum(known)[:-1]))
        total = np.concatenate(([0.0], np.cumsum(np.where(known, x, 0.0))[:-1]))
        mean = np.divide(total, n, out=np.full(x.size, np.nan), where=n > 0)
        return np.where(known, np.where(n > 0, np.maximum(mean - x, 0.0), 0.0), np.nan)
    after = np.append(x[1:], np.nan)
    if name == "value":
        given = _column(case, "next_value") / unit
        after = np.where(np.isnan(given), after, given)
    if np.isnan(after[-1]):
        after[-1] = _end(case) / unit
    return np.asarray(x - after)


def _around(name: str, x: Floats, fall: Floats, step: int) -> tuple[float, float]:
    if name in ("progress", "score"):
        return float(x[step] + fall[step]), float(x[step])
    return float(x[step]), float(x[step] - fall[step])
