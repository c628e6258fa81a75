"""Counterfactual replay: the run is carried on from before and after every step; to blame is where success is lost."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.diagnose._log import speaker
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.all_at_once import BIBTEX
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.diagnose.replay import (
    Replayer,
    Shares,
    TextReplay,
    chance_of_drop,
    drops,
    told_numbers,
    z_of,
)
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

Rule = Literal["first", "largest"]

CARD = PlanCard(
    title="Counterfactual replay from every step",
    paper="arXiv:2505.00212",
    bibtex=BIBTEX,
    evidence="derived",
    asks=(),
    may_ask=("sampler", "verifier"),
    needs="a sampler that goes on with the run's text and a verifier, or a world (replayer=EnvReplay(...))",
    cost="n tries from before each step",
    departures="Who&When defines the decisive error as the earliest step whose replacement turns the failure into a "
    "success, and leaves it to people. Here a step is replaced by drawing it, and all that follows, anew: the chance "
    "is that of the sampler or the policy, and what it cannot do from the start no step can be blamed for.",
)

PRESETS = {
    "largest": Preset({"rule": "largest"}, "derived: the step with the largest drop, as CDC-MAS chooses among effects")
}


def counterfactual_replay(
    case: Case,
    *,
    replayer: Replayer | None = None,
    n: int = 16,
    rule: Rule = "first",
    least: float = 0.25,
    level: float = 0.9,
    family: bool = True,
    successes: bool = False,
    max_tokens: int = 1024,
    temperature: float = 1.0,
    stop: tuple[str, ...] = (),
    joiner: str = "\n",
    whole: bool = True,
    compares: bool = True,
    seed: int = 0,
) -> Plan[Verdict]:
    """p_t = share of n tries with the first t steps kept that succeed; score_t = p_t - p_{t+1}, the drop at step t.

        first     t* = min {t: drop_t >= least and its interval lies above 0}
        largest   t* = argmax drop_t among those, of equals the first

    p after the last step is the run's own outcome where it is known. The confidence is P(p_t* > p_t*+1), each share
    uniform before its tries.

    Args:
        replayer: draws tries; None: `TextReplay` with max_tokens, temperature, stop, joiner, whole, compares.
        n: tries from before each step. least: smallest drop that counts. level: of the intervals.
        family: the intervals that decide hold for all steps together (Bonferroni); those told hold one by one.
        successes: runs that succeeded are replayed too; else they are "clean" and cost nothing.
        seed: other seeds, other draws.

    Raises:
        StepCreditError: n < 1, least or level outside their range.
    """
    if n < 1 or not 0 <= least <= 1:
        raise StepCreditError(f"n is at least 1, least within 0..1; got {n}, {least}")
    z = z_of(level)
    size = len(case.steps)
    if not size:
        return case.unknown("the run has no steps")
    if succeeded(case) and not successes:
        return Verdict("clean", np.full(size, np.nan), reason="the run succeeded, and was not replayed")
    text = TextReplay(joiner, max_tokens, temperature, stop, whole, compares)
    shares = Shares(case, replayer or text, seed)
    yield from shares.draw(range(size + 1), n)
    return _verdict(shares, rule, least, z, z_of(level, size) if family else z)


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    if not case.steps or (succeeded(case) and not options["successes"]):
        return {}
    kept = range(len(case.steps) + (case.rollout.outcome is None))
    return replayer_of(options).cost(case, kept, options["n"])


def replayer_of(options: Mapping[str, Any]) -> Replayer:
    """The replayer that options name."""
    text = {name: options[name] for name in ("joiner", "max_tokens", "temperature", "whole", "compares")}
    given: Replayer | None = options["replayer"]
    return given or TextReplay(stop=tuple(options["stop"]), **text)


def _verdict(shares: Shares, rule: Rule, least: float, z: float, strict: float) -> Verdict:
    case = shares.case
    drop, low, high = drops(shares, z)
    sure = drops(shares, strict)[1] > 0
    told = shares.evidence(z) | {"drop": told_numbers(drop), "drop_low": told_numbers(low)}
    told["drop_high"] = told_numbers(high)
    open_ = np.flatnonzero(np.isnan(drop))
    fit = np.flatnonzero((np.nan_to_num(drop, nan=-1.0) >= least) & sure)
    if rule == "largest" and fit.size:
        fit = fit[[int(np.argmax(drop[fit]))]]
    if not fit.size or (rule == "first" and open_.size and open_[0] < fit[0]):
        reason = shares.why_not(_unknown(shares.p)) if open_.size else _none(shares.p, drop, least)
        clean = succeeded(case) and not open_.size
        return Verdict("clean" if clean else "unknown", drop, reason=reason, evidence=told)
    t = int(fit[0])
    return Verdict(
        "found",
        drop,
        step=t,
        agent=speaker(case.steps[t]),
        reason=f"with step {t} drawn anew {_told(shares, t)} succeed, with step {t} as it was {_told(shares, t + 1)}: "
        f"a drop of {drop[t]:.0%} ({low[t]:.0%} to {high[t]:.0%})",
        confidence=chance_of_drop(shares, t),
        evidence=told,
    )


def _unknown(p: Floats) -> int:
    return int(np.flatnonzero(np.isnan(p))[0])


def _none(p: Floats, drop: Floats, least: float) -> str:
    if not np.any(p > 0):
        return "from the task alone none of the tries succeeds: there is no chance that a step could lose"
    t = int(np.argmax(drop))
    few = f"from the task alone {p[0]:.0%} of the tries succeed, less than the {least:.0%} that is to be lost; "
    return f"{few * bool(p[0] < least)}no step lowers the chance of success by {least:.0%} and more than chance; \
most does step {t}, {drop[t]:.0%}"


def _told(shares: Shares, k: int) -> str:
    if not np.isnan(shares.certain[k]):
        return "all" if shares.certain[k] else "none (so the run ended)"
    return f"{shares.won[k]:g} of {shares.told[k]:g}"
