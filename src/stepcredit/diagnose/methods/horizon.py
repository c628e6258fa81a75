"""Where runs of this length go wrong, by position alone."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.decay import first_error_share, hazard, horizon_length, step_accuracy
from stepcredit.diagnose.features import kept
from stepcredit.diagnose.methods.contrast import checked
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Long-horizon execution: the first error by position",
    paper="arXiv:2509.09677",
    bibtex="""@article{longhorizon,
  title={The Illusion of Diminishing Returns: Measuring Long Horizon Execution in LLMs},
  journal={arXiv:2509.09677}, year={2025}}""",
    evidence="derived",
    asks=(),
    needs="outcomes of several runs of the task; for a position, runs whose steps are labeled",
    cost="nothing",
    departures="The paper measures accuracy by position; that a run's first error is where such accuracy says is ours.",
    code="https://github.com/long-horizon-execution/measuring-execution",
)


def horizon(case: Case, *, prior: float = 1.0) -> Verdict:
    """Where the first error is, by position: a prior, to be overruled by any look at the run.

    Other runs of the task whose steps have evidence `label` give the hazard of the first error at each position, and
    with it a step:

        score_t = h_t prod_{u < t} (1 - h_u) / sum      over the positions of this run

    Without labels every step is taken to go wrong alike, p fitted to outcomes and lengths (`decay.step_accuracy`): then
    score_t = p^t (1 - p) / (1 - p^T) says how hope decays, and no step is named.

    Args:
        prior: labeled runs that the mean hazard is worth at each position, more than none.

    Returns:
        confidence: score of the step, a chance. "unknown" where labels find no error in any other run.

    Raises:
        StepCreditError: a prior that is not above 0.
    """
    checked(prior)
    size = len(case.steps)
    if succeeded(case):
        return Verdict("clean", np.full(size, np.nan), reason="the run succeeded")
    if not size:
        return case.unknown("the run has no steps")
    first, length = kept(case.group, "first errors", lambda: _first_errors(case.group))
    others = np.flatnonzero((length > 0) & (np.arange(length.size) != case.index))
    if others.size:
        wrong = int(np.sum(first[others] >= 0))
        if not wrong:
            return case.unknown(
                f"no step of the {others.size} other labeled runs is labeled wrong", labeled=int(others.size)
            )
        chance = hazard(first[others], length[others], prior=prior)
        share = first_error_share(_stretched(chance, size))
        step = int(np.argmax(share))
        there = int(np.sum(first[others] == step))
        return Verdict(
            "found",
            share,
            step=step,
            agent=agent_of(case, step),
            reason=f"by position alone: {there} of {wrong} first errors of {others.size} labeled runs are at this step",
            confidence=float(share[step]),
            evidence={"labeled": int(others.size), "with_error": wrong, "hazard": chance.tolist()[:200]},
        )
    graph = case.group.graph
    success = graph.success.copy()
    success[case.index] = np.nan
    own = (float(graph.success[case.index]), int(graph.length[case.index]))  # runs alike leave the same others
    p: float = kept(case.group, ("step accuracy", str(own)), lambda: step_accuracy(graph.length, success))
    if np.isnan(p):
        return case.unknown("no other run of the task has a known outcome, and none has labeled steps")
    share = first_error_share(np.full(size, 1 - p))
    return Verdict(
        "unknown",
        share,
        reason=f"outcomes fit a chance of {p:.3f} that a step is right: half of the runs would be right after "
        f"{horizon_length(p):.1f} steps; by position alone no step stands out",
        evidence={"p": p, "horizon": float(horizon_length(p))},
    )


def _first_errors(group: Group) -> tuple[Ints, Ints]:
    """[R] first step labeled wrong, -1 = none; [R] steps of the runs that have labels, 0 for others."""
    first, length = [], []
    for rollout in group.rollouts:
        labels = [s.evidence.get("label") for s in rollout.steps]
        known = any(v is not None for v in labels)
        wrong = (t for t, v in enumerate(labels) if isinstance(v, int | float) and v < 0)
        first.append(next(wrong, -1))
        length.append(len(labels) if known else 0)
    return np.array(first, np.int64), np.array(length, np.int64)


def _stretched(chance: Floats, size: int) -> Floats:
    """[size] the hazard; positions that no other run reached have the last one's."""
    return np.append(chance, np.full(max(size - chance.size, 0), chance[-1]))[:size]
