"""The step of least credit, by a credit method of the house."""

from typing import Any

import numpy as np

from stepcredit.credit.registry import METHODS
from stepcredit.credit.run import Credit, assign
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Layout
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.features import kept
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.errors import StepCreditError
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="The step of least credit",
    paper="stepcredit (no paper); each credit method has its own",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="what the credit method needs: as a rule several runs of the task whose outcomes differ",
    cost="nothing",
    departures="None: this is the definition.",
)

_FAR = 1e300
DEFAULT = "stepcredit_graph"
_DRAWS, _CANDIDATES = 256, 8
_SAME = 1e-12


def credit(case: Case, *, method: str | None = None) -> Verdict:
    """The step with the least credit, if that is below 0, by its standard error at least where the method gives one.

        score_t = -credit_t

    It is held against 0, what steps taken there are worth on average, and not against the run's other steps: where two
    steps are as bad, neither stands out from the mean, and either is rightly named. That no other step has less is
    what the confidence is about.

    Args:
        method: a name of `stepcredit methods`, with or without a preset. None: "stepcredit_graph" where outcomes of the
            task differ; "gae" where they do not and steps have a `value`. Columns `state`, `next_state` and `action`
            that the runs lack are those of the task's graph (`diagnose.graph`): equal beginnings of actions.

    Returns:
        confidence: the chance, of credits drawn around their values with their standard errors, that the step's is
        below 0 and no other step's is less; None where the method gives no standard errors. Errors of steps are taken
        for independent.

    Without a `method`, a run of which no place after the first step was met by another run is "unknown": its credit
    would come from what is assumed before anything is seen.

    Raises:
        UnknownName: no such credit method. MissingColumn: the runs lack a column that it needs.
    """
    if succeeded(case):
        return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded")
    if not case.steps:
        return case.unknown("the run has no steps")
    group = case.group
    chosen = method or kept(group, "credit method", lambda: _choice(group))
    if chosen is None:
        return case.unknown("outcomes of the task's runs do not differ, and steps have no value: no credit differs")
    if method is None and chosen == DEFAULT and not _met(case):
        return case.unknown("no other run was where this one was after its first step: nothing could be compared")
    try:
        made: Credit = kept(group, ("credit", chosen), lambda: _assign(group, chosen))
    except StepCreditError as error:
        if method is not None:
            raise
        return case.unknown(f"{chosen}: {error.message}")
    rows = _rows(made, group, case)
    found = made.steps[rows]
    score = -found
    known = ~np.isnan(score)
    if not known.any() or np.ptp(score[known]) <= _SAME:
        return case.unknown(f"{chosen} gives every step of the run the same credit", method=chosen)
    step = int(np.nanargmax(score))
    if found[step] >= -_SAME:
        return case.unknown(f"{chosen} finds no step with credit below 0", method=chosen)
    sd = made.extras["sd"][rows] if "sd" in made.extras and made.per == "step" else None
    if sd is not None and -found[step] < sd[step]:
        return case.unknown(
            f"{chosen} gives no step a credit that is below 0 by its standard error: the least, of step {step}, is "
            f"{found[step]:+.3g} (standard error {sd[step]:.2g})",
            method=chosen,
            credit=float(found[step]),
            sd=float(sd[step]),
        )
    sure = None if sd is None else _sure(found, sd, step)
    spread = "" if sd is None else f" (standard error {sd[step]:.2g})"
    n = int(np.sum(known))
    rank = f", the least of {n}; the mean is {np.nanmean(found):+.3g}" if n > 1 else ""
    return Verdict(
        "found",
        score,
        step=step,
        agent=agent_of(case, step),
        error="wrong_turn",
        reason=f"{chosen}, on the runs of this task, gives this step the credit {found[step]:+.3g}{spread}{rank}",
        confidence=sure,
        evidence={
            "method": chosen,
            "credit": float(found[step]),
            "sd": None if sd is None else float(sd[step]),
            "mean": float(np.nanmean(found)),
            "notes": list(made.notes),
        },
    )


def _choice(group: Group) -> str | None:
    success = group.graph.success[~np.isnan(group.graph.success)]
    if success.size > 1 and np.ptp(success) > 0:
        return DEFAULT
    valued = any(s.evidence.get("value") is not None for r in group.rollouts for s in r.steps)
    return "gae" if valued else None


def _met(case: Case) -> bool:
    """Whether another run passed a place of this one after the first step, or took the first step too."""
    graph = case.group.graph
    path = graph.path(case.index)
    runs = np.diff(graph.departures.start)[path]
    return path.size <= 2 or bool(np.any((runs > 1) & (path != path[0])))


def _assign(group: Group, method: str) -> Credit:
    graph = group.graph
    places: dict[str, Any] = {"state": graph.u, "next_state": graph.t, "action": graph.action}
    if METHODS.get(method).base == DEFAULT:
        layout = Layout(np.zeros(graph.length.size, np.int64), graph.rollout)
        outcome = np.array([r.outcome for r in group.rollouts], dtype=float)
        if np.any(np.abs(outcome) > _FAR):  # their distances are no numbers
            outcome = graph.success
        return assign(Batch(layout, {"outcome": outcome, **places}), method)
    batch = group.batch
    if not batch.layout.is_tree:
        own = {"state", "next_state", "final_state"} & set(batch.columns)
        lacking = {n: v for n, v in places.items() if n not in batch and (n == "action" or not own)}
        batch = batch.with_columns(note=f"{', '.join(lacking)}: places in the task's graph", **lacking)
    return assign(batch, method, reward="outcome" if "reward" in batch and "outcome" in batch else None)


def _rows(made: Credit, group: Group, case: Case) -> slice:
    """Where the case's own steps stand in the batch that credit was assigned on."""
    if made.batch.records is None:
        start = int(group.graph.start[case.index] + group.graph.shared[case.index])
    else:
        start = int(np.searchsorted(made.batch.layout.rollout, case.index))
    return slice(start, start + len(case.steps))


def _sure(credit: Floats, sd: Floats, step: int) -> float:
    low = np.argsort(np.where(np.isnan(credit), np.inf, credit), kind="stable")[:_CANDIDATES]
    low = low[~np.isnan(credit[low])]
    draws = np.random.default_rng(0).normal(size=(low.size, _DRAWS)) * np.nan_to_num(sd[low])[:, None]
    drawn = credit[low][:, None] + draws
    return float(np.mean((low[np.argmin(drawn, axis=0)] == step) & (drawn.min(axis=0) < 0)))
