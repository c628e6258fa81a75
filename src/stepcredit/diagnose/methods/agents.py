"""Which agent: Shapley values over agents, their coalitions valued by the outcomes of other runs."""

from itertools import accumulate
from operator import or_
from typing import Any

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.features import kept, once
from stepcredit.diagnose.graph import STOP
from stepcredit.diagnose.methods.contrast import checked, contrast, fared
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.diagnose.shapley import EXACT, orders, shapley_along, shapley_exact
from stepcredit.errors import StepCreditError
from stepcredit.ops import wilson
from stepcredit.shelf import PlanCard

BIBTEX = """@misc{ma2025cdcmas,
  title={Automatic Failure Attribution and Critical Step Prediction Method for Multi-Agent Systems Based on Causal
  Inference},
  author={Ma, Guoqing and Zhu, Jia and Guo, Hanghui and Shi, Weijie and Shen, Jiawei and Liu, Jingjiang and
  Liang, Yidan},
  year={2025}, eprint={2509.08682}, archivePrefix={arXiv}}"""

CARD = PlanCard(
    title="Blame of agents: Shapley values from the outcomes of sibling runs",
    paper="arXiv:2509.08682",
    bibtex=BIBTEX,
    evidence="derived",
    asks=(),
    needs="several runs of the task by the same agents with known outcomes, one of which succeeded; states, or actions "
    "that repeat",
    cost="nothing",
    departures="The paper asks a model what would have happened had agents been right; here the value of a coalition "
    "is the share of other runs that succeeded in which just those agents did as in successful runs. Runs are "
    "compared, not changed: agents that fail together share the blame though one may be the cause.",
)


def agents(case: Case, *, prior: float = 1.0, permutations: int = 200) -> Verdict:
    """The agent with the greatest Shapley value, and of its steps the one that `contrast` scores highest.

        phi_i = sum_{S without i} |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))
        v(S)  = (won + prior m) / (runs + prior)

    An agent did well in a run if every step of its was one that another run which succeeded took too, from the same
    node with the same action. v(S) counts the other runs in which the agents of S and those that did well in this run
    did well, and the others did not (where no run is like that: those in which at least the first did); m the share of
    all other runs that succeeded. An agent that did well in this run gets 0.

    Args:
        prior: runs that the mean m is worth, more than none. permutations: orders drawn where there are more than 10
            agents.

    Returns:
        scores: of a step, its agent's phi plus the part of its `contrast` score, so that agents come first.
        confidence: the part of all positive phi that the agent has.

    Raises:
        StepCreditError: a prior that is not above 0; permutations below 1.
    """
    checked(prior)
    if permutations < 1:
        raise StepCreditError(f"permutations={permutations}: expected 1 or more")
    if succeeded(case):
        return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded")
    who = [None if s.agent is None else str(s.agent) for s in case.steps]
    mine = sorted({a for a in who if a is not None})
    if len(mine) < 2:
        return case.unknown("the run names fewer than two agents")
    names, well = kept(case.group, "agents did well", lambda: _well(case.group))
    success = case.group.graph.success.copy()
    success[case.index] = np.nan
    known = ~np.isnan(success)
    if not np.any(case.group.succeeded[known]):
        return case.unknown("no other run of the task is known to have succeeded", siblings=int(known.sum()))
    players = [names.index(a) for a in mine]
    good = well[case.index, players]
    seen, won = well[known][:, players], success[known]
    phi = _shapley(seen, won, good, prior, permutations)
    if not np.any(phi > 1e-9):
        return case.unknown("no agent did other than in runs that succeeded", agents=mine)
    best = int(np.argmax(phi))
    by_step = once(case, contrast)
    score = np.array([np.nan if a is None else phi[mine.index(a)] for a in who])
    part = np.nan_to_num(by_step.scores)
    spread = max(float(np.ptp(part)), 1e-9)
    score = score + 1e-3 * (part - part.min()) / spread
    of_agent = np.array([a == mine[best] for a in who])
    step = int(np.argmax(np.where(of_agent, part, -np.inf)))
    return Verdict(
        "found",
        score,
        step=step,
        agent=mine[best],
        error="wrong_turn",
        reason=_reason(mine[best], phi[best], seen[:, best], won, fared(case.group)),
        confidence=float(phi[best] / phi[phi > 0].sum()),
        evidence={
            "phi": dict(zip(mine, phi.tolist(), strict=True)),
            "well": dict(zip(mine, good.tolist(), strict=True)),
        },
    )


def _well(group: Group) -> tuple[list[str], Bools]:
    """Names of the agents, and [R, n] whether each did in each run only what another run that succeeded did."""
    graph = group.graph
    steps: list[Any] = []
    for r, rollout in enumerate(group.rollouts):
        steps += [None] * int(graph.shared[r]) + [s.agent for s in rollout.steps]
    names = sorted({str(a) for a in steps if a is not None})
    out = np.ones((len(group.rollouts), len(names)), bool)
    if not names:
        return names, out
    number = {a: i for i, a in enumerate(names)}
    agent = np.array([STOP if a is None else number[str(a)] for a in steps], np.int64)
    link = np.unique(np.stack([graph.u, graph.action]), axis=1, return_inverse=True)[1].reshape(-1)
    won = group.succeeded[graph.rollout]
    pairs = np.unique(np.stack([link[won], graph.rollout[won]]), axis=1) if won.any() else np.zeros((2, 0), np.int64)
    size = int(link.max(initial=-1)) + 1
    by: Ints = np.bincount(pairs[0], minlength=size)
    one = np.full(size, -1)
    one[pairs[0]] = pairs[1]
    alone = (by[link] == 0) | ((by[link] == 1) & (one[link] == graph.rollout))
    at = np.flatnonzero(alone & (agent >= 0))
    out[graph.rollout[at], agent[at]] = False
    return names, out


def _shapley(seen: Bools, won: Floats, good: Bools, prior: float, permutations: int) -> Floats:
    """[n] phi; seen: [R, n] who did well in the runs that v counts, won: [R] their success."""
    n = good.size
    mean = (won.sum() + 0.5) / (won.size + 1)

    def value(runs: Floats, of: Floats, at_least: Floats, of_these: Floats) -> Floats:
        """v of coalitions: runs in which just they did well, those in which they and others did, and their success."""
        exactly = runs > 0
        return np.asarray(
            (np.where(exactly, of, of_these) + prior * mean) / (np.where(exactly, runs, at_least) + prior)
        )

    if n <= EXACT:
        weight = 1 << np.arange(n, dtype=np.int64)
        did, fixed = seen @ weight, int(good @ weight)
        counts = [np.asarray(np.bincount(did, w, 1 << n), float) for w in (np.ones(won.size), won)]
        more = [_supersets(count, n) for count in counts]
        wanted = np.arange(1 << n) | fixed
        return shapley_exact(value(*(column[wanted] for column in (counts[0], counts[1], more[0], more[1]))))
    drawn = orders(n, permutations)
    values: dict[int, float] = {}
    for order in drawn:
        came = np.concatenate((np.zeros((1, n), bool), np.tri(n, dtype=bool)[:, np.argsort(order)])) | good
        within = np.cumprod(np.column_stack((seen[:, good].all(axis=1), seen[:, order])), axis=1).T
        just = within * (seen.sum(axis=1) == came.sum(axis=1)[:, None])
        found = value(just.sum(axis=1), just @ won, within.sum(axis=1), within @ won)
        masks = accumulate((1 << i for i in order), or_, initial=0)
        values.update(zip(masks, found.tolist(), strict=True))
    return shapley_along(values, n, drawn).phi


def _supersets(count: Floats, n: int) -> Floats:
    """[2^n] of each set the sum over all sets that hold it."""
    out = count.copy()
    for i in range(n):
        pairs = out.reshape(-1, 2, 1 << i)
        pairs[:, 0] += pairs[:, 1]
    return out


def _reason(name: str, phi: float, well: Bools, won: Floats, scale: str) -> str:
    low, high = wilson(won[well].sum(), well.sum())
    did, not_ = (f"{won[at].sum():g} of {int(at.sum())}" for at in (well, ~well))
    verb, end = "succeeded", ""
    if scale:
        did, not_ = (f"{won[at].mean() if at.any() else 0:.2f} over {int(at.sum())}" for at in (well, ~well))
        verb, end = "was the mean outcome", f"; outcomes {scale}"
    return (
        f"{name} did otherwise than in runs that succeeded; of the other runs in which it did well "
        f"{did} [{low:.2f}, {high:.2f}] {verb}, of those in which it did not {not_} (Shapley value {phi:+.2f}{end})"
    )
