"""Decisive search: binary search for the step at which the chance of success falls, by tries until each answer is
sure."""

from itertools import pairwise
from math import ceil, log2
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.diagnose._log import speaker
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.counterfactual_replay import replayer_of
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.diagnose.replay import Replayer, Shares, TextReplay, z_of
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import chance_above
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Binary search for the decisive step by replay",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    may_ask=("sampler", "verifier"),
    needs="a run that failed; a sampler that goes on with its text and a verifier, or a world \
(replayer=EnvReplay(...))",
    cost="at most `most` tries from the task and from ceil(log2(steps)) places",
    departures="Ours. It takes the chance of success to fall once: where it falls, rises and falls again, one of the "
    "falls is found. The interval at each look is Wilson's, widened for all looks together (Bonferroni).",
)


def decisive_search(
    case: Case,
    *,
    replayer: Replayer | None = None,
    fall: float = 0.5,
    batch: int = 8,
    most: int = 32,
    level: float = 0.9,
    max_tokens: int = 1024,
    temperature: float = 1.0,
    stop: tuple[str, ...] = (),
    joiner: str = "\n",
    whole: bool = True,
    compares: bool = True,
    seed: int = 0,
) -> Plan[Verdict]:
    """The step t with p_t >= fall * p_0 > p_{t+1}, p_k the chance with the first k steps kept; p_S = 0, as it failed.

    At each place `batch` tries are drawn until the interval of p lies on one side of the threshold, at most `most`;
    then the share decides. Scores are the drop between the places looked at, spread evenly over the steps between them.
    The confidence is the product over the places of the chance that p lies on the side that was taken, p uniform before
    its tries; None for a run of one step, of which no place is looked at.

    Args:
        replayer, max_tokens, temperature, stop, joiner, whole, compares: as in `counterfactual_replay`.
        fall: share of the chance at the start below which it has fallen. batch, most: tries. level: of all intervals
            together. seed: other seeds, other draws.

    Raises:
        StepCreditError: batch < 1, most < batch, fall or level not between 0 and 1.
    """
    if batch < 1 or most < batch or not 0 < fall < 1:
        raise StepCreditError(
            f"batch is at least 1, most at least batch, fall between 0 and 1; got {batch}, {most}, {fall}"
        )
    size = len(case.steps)
    z = z_of(level, _places(size) * ceil(most / batch))
    if case.rollout.outcome is None or succeeded(case):
        what = "the outcome of the run is not known" if case.rollout.outcome is None else "the run succeeded"
        return Verdict("unknown" if case.rollout.outcome is None else "clean", np.full(size, np.nan), reason=what)
    if not size:
        return case.unknown("the run has no steps")
    text = TextReplay(joiner, max_tokens, temperature, stop, whole, compares)
    shares = Shares(case, replayer or text, seed)
    yield from shares.draw([0], most)
    start = float(shares.p[0])
    if not start > 0:
        none = f"none of {shares.told[0]:g} tries from the task alone succeeds: there is no chance that a step could \
lose"
        return _open(shares, z, shares.why_not(0) if np.isnan(start) else none)
    threshold = fall * start
    kept, lost, sure = 0, size, 1.0
    while lost - kept > 1:
        middle = kept + (lost - kept) // 2
        yield from _looked(shares, middle, threshold, z, batch, most)
        if np.isnan(shares.p[middle]):
            return _open(shares, z, shares.why_not(middle))
        above = bool(shares.p[middle] >= threshold)
        sure *= _sure(shares, middle, threshold, above)
        kept, lost = (middle, lost) if above else (kept, middle)
    return _found(shares, z, kept, threshold, sure if size > 1 else None)


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    if not case.steps or case.rollout.outcome is None or succeeded(case):
        return {}
    return replayer_of(options).cost(case, range(1 + _places(len(case.steps))), options["most"])


def _places(size: int) -> int:
    return ceil(log2(size)) if size > 1 else 0


def _looked(shares: Shares, k: int, threshold: float, z: float, batch: int, most: int) -> Plan[None]:
    """Tries with k steps kept until it is sure on which side of the threshold their chance lies."""
    tried = 0
    while tried < most:
        n = min(batch, most - tried)
        yield from shares.draw([k], n)
        tried += n
        low, high = shares.interval(z)
        if np.isnan(shares.p[k]) or low[k] > threshold or high[k] < threshold:
            return


def _sure(shares: Shares, k: int, threshold: float, above: bool) -> float:
    won, told = shares.won[k], shares.told[k]
    up = float(chance_above(threshold, won + 1.0, told - won + 1.0))
    return up if above else 1 - up


def _spread(p: Floats) -> Floats:
    """[S] drop between the places where p is known, evenly over the steps between them."""
    known = np.flatnonzero(~np.isnan(p))
    scores = np.full(p.size - 1, np.nan)
    for a, b in pairwise(known.tolist()):
        scores[a:b] = (p[a] - p[b]) / (b - a)
    return scores


def _open(shares: Shares, z: float, why: str) -> Verdict:
    return Verdict("unknown", np.full(len(shares.case.steps), np.nan), reason=why, evidence=shares.evidence(z))


def _found(shares: Shares, z: float, t: int, threshold: float, sure: float | None) -> Verdict:
    fell = f"the chance falls below {threshold:.0%}" + "; there is no other step" * (sure is None)
    before = f"{shares.won[t]:g} of {shares.told[t]:g}"
    end = t + 1 == len(shares.case.steps)
    after = "none (so the run ended)" if end else f"{shares.won[t + 1]:g} of {shares.told[t + 1]:g}"
    return Verdict(
        "found",
        _spread(shares.p),
        step=t,
        agent=speaker(shares.case.steps[t]),
        reason=f"before step {t} {before} tries succeed, after it {after}: {fell}",
        confidence=sure,
        evidence=shares.evidence(z) | {"threshold": threshold},
    )
