"""How right are verdicts? The steps and agents that a method blames against those that people or planted faults name.

A verdict is a whole number: the step that is to blame, NONE where no step is wrong, UNKNOWN where the method cannot
tell. Of the truth UNKNOWN means that nobody knows: such runs are left out. An unknown verdict is never right, and its
share stands beside every score.

    scores = localization(said, true, within=(0, 1))
    scores["within 1"].value, scores["unknown"].value
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.ops.tries import wilson

NONE, UNKNOWN = -1, -2
LEVEL = 0.9
DRAWS = 1000
_Z = 1.6448536269514722  # of LEVEL
_SUFFIX = re.compile(r"\s*\([^()]*\)\s*$")


class Share(NamedTuple):
    """A share and its 90% interval; n: runs (steps, pairs) that it rests on. NaN where there are none."""

    value: float
    low: float
    high: float
    n: float


def place(status: str, step: int | None) -> int:
    """The whole number of a verdict ("found", "clean", "unknown") and its step.

    >>> place("found", 3), place("clean", None), place("unknown", None)
    (3, -1, -2)
    """
    if status == "found" and step is not None:
        return int(step)
    return NONE if status == "clean" else UNKNOWN


def agent_name(name: object) -> str:
    """A speaker's name as it is compared: what stands in parentheses behind it goes, case does not matter.

    >>> agent_name("Orchestrator (-> WebSurfer)") == agent_name("orchestrator"), agent_name("Websurfer")
    (True, 'websurfer')
    """
    text = str(name).strip()
    while (short := _SUFFIX.sub("", text)) != text and short:
        text = short
    return text.casefold()


def within(said: ArrayLike, true: ArrayLike, k: int = 0) -> Floats:
    """[F] 1 where the verdict is right, 0 where it is not, NaN where the truth is not known.

        right = [said = true]  or  both are steps and |said - true| <= k

    An unknown verdict is not right; "no step is wrong" is right only where no step is.

    >>> within([5, 5, 5], [5, 4, 9]), within([4, 5, 9], 5, 1), within([-1, -2, -1], [-1, -1, 0], 1)
    (array([1., 0., 0.]), array([1., 1., 0.]), array([1., 0., 0.]))
    """
    mine, gold = np.broadcast_arrays(_whole(said, "said"), _whole(true, "true"))
    if k < 0:
        raise StepCreditError(f"within {k} steps: expected 0 or more")
    right = (mine == gold) | ((mine >= 0) & (gold >= 0) & (np.abs(mine - gold) <= k))
    return np.where(gold == UNKNOWN, np.nan, right & (mine != UNKNOWN))


def same_agent(said: Sequence[object], true: Sequence[object]) -> Floats:
    """[F] 1 where the agent blamed is the true one, by `agent_name`; None blames nobody; NaN where the truth is None.

    >>> same_agent(["Orchestrator", None, "B"], ["Orchestrator (thought)", "A", None])
    array([ 1.,  0., nan])
    """
    pairs = list(zip(said, true, strict=True))
    return np.array(
        [np.nan if b is None else float(a is not None and agent_name(a) == agent_name(b)) for a, b in pairs], float
    )


def legacy(said: Sequence[object], true: Sequence[object]) -> Floats:
    """[F] the scorer of the Who&When repository, for comparison alone: 1 where the true step (or agent), as text, is a
    part of the one said, as text. So "1" is found in "12". None (no prediction) is wrong.

    >>> legacy([12, 12, None], [1, 3, 1])
    array([1., 0., 0.])
    """
    mine, gold = (np.array(["" if x is None else str(x) for x in xs], dtype=str) for xs in (said, true))
    if mine.shape != gold.shape:
        raise LayoutError(f"got {mine.size} predictions, {gold.size} truths; expected as many")
    if not mine.size:
        return np.zeros(0)
    given = np.array([x is not None for x in said])
    return (given & (np.char.find(mine, gold) >= 0)).astype(float)


def first_wrong(label: ArrayLike, run: ArrayLike, runs: int) -> Ints:
    """[R] the first step of each run whose label is -1; NONE where no step has one.

    Args:
        label: [S] -1, 0, 1; NaN: not judged. run: [S] 0..runs - 1, steps of a run together and in order.

    Raises:
        LayoutError: a run after a later one, or outside 0..runs - 1; lengths that differ.

    >>> first_wrong([1, 0, -1, -1, 1], [0, 0, 0, 0, 1], 2)
    array([ 2, -1])
    """
    of, given = _whole(run, "run"), np.asarray(label, float)
    if of.shape != given.shape or (np.diff(of) < 0).any() or (of.size and not 0 <= of[0] <= of[-1] < runs):
        raise LayoutError(
            f"run: expected a number from 0 to {runs - 1} for each of {given.size} labels, in order",
            hint="sort the steps by run first",
        )
    wrong = np.flatnonzero(given == -1)
    start = np.searchsorted(of, np.arange(runs))
    out = np.full(runs, NONE, np.int64)
    out[of[wrong[::-1]]] = wrong[::-1] - start[of[wrong[::-1]]]
    return out


def localization(
    said: ArrayLike,
    true: ArrayLike,
    *,
    agents: tuple[Sequence[object], Sequence[object]] | None = None,
    near: Sequence[int] = (0, 1),
    cluster: ArrayLike | None = None,
) -> dict[str, Share]:
    """Every score of verdicts on runs, each with its interval and, last, the share of unknown verdicts.

    "exact", "within 1", ...: `within`. "agent": `same_agent`. "legacy": the substring scorer on steps (a verdict that
    is no step predicts nothing). "wrong", "right": "exact" among the runs with a wrong step and without, where both
    kinds occur. "unknown".

    Args:
        said, true: [F] verdicts. agents: the agents said, the true ones. near: tolerances.
        cluster: [F] what runs have in common (their task): intervals are then of a bootstrap over clusters; None: runs
            are independent, intervals are Wilson's.
    """
    mine, gold = np.broadcast_arrays(_whole(said, "said"), _whole(true, "true"))
    known = gold != UNKNOWN
    exact = within(mine, gold)
    hits = {("exact" if k == 0 else f"within {k}"): within(mine, gold, k) for k in near}
    if agents is not None:
        hits["agent"] = same_agent(*agents)
    steps = [[int(x) if x >= 0 else None for x in xs] for xs in (mine.tolist(), gold.tolist())]
    hits["legacy"] = np.where(gold >= 0, legacy(*steps), np.nan)
    if (gold == NONE).any() and (gold >= 0).any():
        hits |= {"wrong": np.where(gold >= 0, exact, np.nan), "right": np.where(gold == NONE, exact, np.nan)}
    hits["unknown"] = np.where(known, mine == UNKNOWN, np.nan)
    return {name: share(hit, cluster=cluster) for name, hit in hits.items()}


def share(hit: ArrayLike, *, cluster: ArrayLike | None = None, draws: int = DRAWS, seed: int = 0) -> Share:
    """The mean of hits [F] in 0..1, those that are NaN left out, and its interval.

    Args:
        cluster: as in `localization`. draws, seed: of the bootstrap.
    """
    at = np.asarray(hit, float)
    kept = ~np.isnan(at)
    n = int(kept.sum())
    if not n:
        return Share(np.nan, np.nan, np.nan, 0)
    if cluster is None:
        low, high = wilson(at[kept].sum(), n, z=_Z)
        return Share(float(at[kept].mean()), float(low), float(high), n)
    x = at[kept]
    return _bootstrap(lambda w: _ratio(w @ x, w.sum()), np.asarray(cluster)[kept], n, draws, seed)


def step_scores(
    said: ArrayLike, true: ArrayLike, *, cluster: ArrayLike | None = None, draws: int = DRAWS
) -> dict[str, Share]:
    """Labels -1, 0, 1 of steps against people's, as AgentProcessBench scores them, and fairly.

    "step": steps with people's label / steps that people labeled (micro). "wrong", "neutral", "right": the same among
    the steps to which people gave -1, 0, 1. "macro": mean of those three that occur; a constant gets 1 / 3. "unknown":
    share of those steps that have no label (NaN), which is never right.

    Args:
        said, true: [S] labels; NaN: none. cluster: [S], else each step by itself.

    >>> {name: s.value for name, s in step_scores([1, -1, -1, 1], [1, 0, -1, -1]).items()}["step"]
    0.5
    """
    mine, gold = np.broadcast_arrays(*(np.asarray(x, float) for x in (said, true)))
    known = ~np.isnan(gold)
    mine, gold = mine[known], gold[known]
    of = np.arange(gold.size) if cluster is None else np.asarray(cluster)[known]
    hit, kinds = (mine == gold).astype(float), np.stack([gold == x for x in (-1, 0, 1)]).astype(float)

    def recall(w: Floats) -> Floats:
        out: Floats = np.array([_ratio(w @ (hit * kind), w @ kind) for kind in kinds])
        return out

    def macro(w: Floats) -> float:
        some = recall(w)
        return float(np.nanmean(some)) if (~np.isnan(some)).any() else float("nan")

    def of_kind(i: int) -> Callable[[Floats], float]:
        return lambda w: float(recall(w)[i])

    scores: dict[str, Callable[[Floats], float]] = {"step": lambda w: _ratio(w @ hit, w.sum()), "macro": macro}
    scores |= {name: of_kind(i) for i, name in enumerate(("wrong", "neutral", "right"))}
    scores["unknown"] = lambda w: _ratio(w @ np.isnan(mine), w.sum())
    return {name: _bootstrap(one, of, gold.size, draws, 0) for name, one in scores.items()}


def auroc(
    blame: ArrayLike,
    wrong: ArrayLike,
    *,
    cell: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    draws: int = DRAWS,
) -> Share:
    """How often a wrong step is blamed more than one that is not, ties half; n: such pairs. 0.5 is chance.

        (sum over wrong a, other b of [s_a > s_b] + [s_a = s_b] / 2) / (number of pairs)

    Args:
        blame: [S] how much each step is to blame; NaN: not judged, left out. wrong: [S] bool.
        cell: [S] only steps of one cell (their run) are compared, all pairs of all cells alike; None: all steps are.
        cluster: [S] what the bootstrap draws; else each cell, and without cells each step.

    >>> auroc([0.9, 0.2, 0.2, float("nan")], [True, False, True, True]).value
    0.75
    """
    given, bad = np.broadcast_arrays(np.asarray(blame, float), np.asarray(wrong, bool))
    if np.isinf(given).any():
        raise StepCreditError("blame is infinite", hint="NaN means not judged")
    kept = ~np.isnan(given)
    within_cell = np.zeros(given.size, np.int64) if cell is None else np.asarray(cell)
    of = (np.arange(given.size) if cell is None else within_cell) if cluster is None else np.asarray(cluster)
    order = np.lexsort((given[kept], _ids(within_cell[kept])))
    x, b, c, drawn = (column[kept][order] for column in (given, bad, _ids(within_cell), of))

    def at(weight: Floats) -> tuple[float, float]:
        return _pairs(x, b, c, weight)

    won, pairs = at(np.ones(x.size))
    made = _bootstrap(lambda w: _ratio(*at(w)), drawn, pairs, draws, 0)
    return made._replace(value=_ratio(won, pairs))


def _pairs(x: Floats, bad: Bools, cell: Ints, weight: Floats) -> tuple[float, float]:
    """Pairs (wrong, other) won and all pairs, rows sorted by cell, then by x."""
    if not x.size:
        return 0.0, 0.0
    new = np.ones(x.size, bool)
    new[1:] = (x[1:] != x[:-1]) | (cell[1:] != cell[:-1])
    tie = np.cumsum(new) - 1
    tie_cell = _ids(cell[new])
    yes, no = (np.bincount(tie, weight * side, tie_cell.size) for side in (bad, ~bad))
    in_cell = np.bincount(tie_cell, no)
    below = np.cumsum(no) - no - (np.cumsum(in_cell) - in_cell)[tie_cell]
    return float(yes @ (below + no / 2)), float(np.bincount(tie_cell, yes) @ in_cell)


def _bootstrap(statistic: Callable[[Floats], float], cluster: NDArray[Any], n: float, draws: int, seed: int) -> Share:
    """Percentiles of the statistic of weights [rows] when clusters are drawn again with replacement."""
    of = _ids(cluster)
    if not of.size:
        return Share(np.nan, np.nan, np.nan, 0)
    size = int(of.max()) + 1
    rng, even = np.random.default_rng(seed), np.full(size, 1 / size)
    values = np.array([statistic(rng.multinomial(size, even)[of].astype(float)) for _ in range(draws)])
    kept = values[~np.isnan(values)]
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if kept.size else (np.nan, np.nan)
    return Share(float(statistic(np.ones(of.size))), float(low), float(high), n)


def _ids(keys: NDArray[Any]) -> Ints:
    return np.unique(keys, return_inverse=True)[1].astype(np.int64, copy=False)


def _whole(values: ArrayLike, name: str) -> Ints:
    given = np.asarray(values)
    if given.size and given.dtype.kind not in "iu":
        raise LayoutError(
            f"{name}: got {given.dtype}, expected whole numbers", hint="-1: no step is wrong; -2: not known"
        )
    whole = given.astype(np.int64, copy=False)
    if name != "run" and (whole < UNKNOWN).any():
        raise StepCreditError(f"{name}: got {int(whole.min())}, expected a step from 0 on, -1 (none) or -2 (unknown)")
    return whole


def _ratio(won: Any, of: Any) -> float:
    return float(won) / float(of) if of > 0 else float("nan")
