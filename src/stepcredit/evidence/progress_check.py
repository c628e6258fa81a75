"""Did the step come nearer to the goal? A check of what the environment measures, before and after."""

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats
from stepcredit.evidence._fields import rollout_numbers, step_flags, step_numbers
from stepcredit.evidence.card import EvidenceCard

CARD = EvidenceCard(
    title="SRGPO: verifiable process reward",
    paper="arXiv:2512.02631",
    bibtex="""@misc{wang2025seenav,
  title={SeeNav-Agent: Enhancing Vision-Language Navigation with Visual Prompt and Step-Level Policy Optimization},
  author={Wang, Zhengcheng and Lin, Zichuan and Yang, Yijun and Fu, Haobo and Ye, Deheng},
  eprint={2512.02631}, archivePrefix={arXiv}, year={2025}}""",
    code="https://github.com/WzcTHU/SeeNav-Agent",
    evidence="official code executed",
    adds=("score",),
    needs="a number that the environment measures after each step (a distance, a progress); perhaps a feature of the "
    "goal that can turn on (it is visible)",
    departures="A step whose measurement is missing is not judged; the official environment gives a step that failed "
    "to execute 0. The penalties for invalid actions and for length are not part of the check.",
)

PRESETS = {
    "seenav": Preset(
        {
            "after": "distance",
            "before": "last_distance",
            "lower": True,
            "goal": "visibility",
            "goal_before": "last_visibility",
        },
        "SeeNav-Agent ebnav/envs.py compute_step_reward: the fields of its info",
    )
}


def progress_check(
    batch: Batch,
    *,
    after: str = "progress",
    before: str | None = None,
    start: str | None = None,
    lower: bool = False,
    tolerance: float = 0.01,
    goal: str | None = None,
    goal_before: str | None = None,
) -> Batch:
    """The batch with a `score`: 1 where the step made progress, else 0.

        score_t = 1[ p_t > p_{t-1} + tolerance  or  the goal feature is on after the step and was off before it ]

    Args:
        after: name of what is measured after each step: a column, a field of the steps.
        before: the same before each step. None: what was measured after the step before.
        start: field (or column) of the rollouts with the measure at the start; None: the first step has nothing to
            be compared with, and only its goal feature can judge it.
        lower: less is better (a distance).
        tolerance: how much better it must be, strictly.
        goal: name of a feature of the goal after each step (true or false). None: there is none.
        goal_before: the same before each step. None: what it was after the step before, off at the start.

    NaN where what is missing could decide: a measure, or the feature, unless the other says 1.

    Raises:
        MissingColumn: no such column or field. DataError: something that is no number.
    """
    lay = batch.layout
    now = step_numbers(batch, after, "progress_check")
    if before is None:
        first = np.full(lay.R, np.nan) if start is None else rollout_numbers(batch, start)
        then = np.where(lay.previous < 0, first[lay.rollout], now[lay.previous]) if lay.S else now
    else:
        then = step_numbers(batch, before, "progress_check")
    better = then - now if lower else now - then
    score = _judged(better > tolerance, ~np.isnan(better))
    if goal is not None:
        on, known = step_flags(batch, goal, "progress_check")
        was, was_known = _before(batch, goal_before, on, known)
        # Off now, or on before: it did not turn on, whatever the other is.
        score = _either(score, _judged(on & ~was, (known & was_known) | (known & ~on) | (was_known & was)))
    share = f"{np.nanmean(score):.0%} of them progress" if (~np.isnan(score)).any() else "none"
    return batch.with_columns(
        score=score,
        note=f"score: 1 where {after!r} improved; {int(np.sum(~np.isnan(score)))} of {lay.S} steps judged, {share}",
    )


def _before(batch: Batch, name: str | None, on: Bools, known: Bools) -> tuple[Bools, Bools]:
    if name is not None:
        return step_flags(batch, name, "progress_check")
    first = batch.layout.previous < 0
    return ~first & on[batch.layout.previous], first | known[batch.layout.previous]


def _judged(verdict: Bools, known: Bools) -> Floats:
    return np.where(known, verdict.astype(np.float64), np.nan)


def _either(a: Floats, b: Floats) -> Floats:
    """Or of three values: 1 if one is, NaN if none is and one is unknown."""
    return np.where((a == 1) | (b == 1), 1.0, a + b)
