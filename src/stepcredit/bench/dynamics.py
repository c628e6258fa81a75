"""How credit changes while a policy learns: its spread, what it leaves out, and how far it agrees with itself from one
checkpoint to the next.

Tasks, not steps, are drawn by chance: the steps of a task are alike, so that a share of 10,000 steps of 8 tasks rests
on 8 draws rather than 10,000. Intervals are 90%, over tasks; where a checkpoint has one task, over its rollouts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.bench.paired import interval, rho, weights
from stepcredit.bench.suites._figures import Z
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError
from stepcredit.ops import wilson

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that are told of credit."""
BINS, LEAST_CELLS, _FEW_TASKS = 31, 10, 5


class Runs(NamedTuple):
    """The rollouts of a training run, as columns.

    checkpoint: [R] ids 0..C - 1. task: [R] ids. outcome: [R], NaN = unknown. steps: [R] how many steps each has; the
    steps [S] of all stand one rollout after another. cell: [S] ids of equal (task, state, action), -1 = not known.
    """

    checkpoint: Ints
    task: Ints
    outcome: Floats
    steps: Ints
    cell: Ints


class Band(NamedTuple):
    """[C] a number at each checkpoint with its interval; NaN where there is none. n: [C] what it rests on."""

    value: Floats
    low: Floats
    high: Floats
    n: Ints


class Spread(NamedTuple):
    """Credit by one method.

    quantiles: [C, 5] at `LEVELS`. edges: [B + 1], the same for every checkpoint, 0 in the middle of a bin. counts:
    [C, B] judged steps whose credit is not exactly 0; the ends hold all beyond. zero: share of exactly 0 among the
    judged. unjudged: share of steps that are not. drift: rank correlation with the checkpoint before over equal cells,
    `n` of them.
    """

    quantiles: Floats
    edges: Floats
    counts: Ints
    zero: Band
    unjudged: Band
    drift: Band


class Course(NamedTuple):
    """What a training run did, checkpoint by checkpoint.

    success: share of the known outcomes above 0. dead: share of tasks whose known outcomes, two or more, are all equal:
    group advantage has nothing to say there. steps: mean per rollout. credits: by method.
    """

    success: Band
    dead: Band
    steps: Band
    credits: dict[str, Spread]


def course(runs: Runs, credits: Mapping[str, Floats], *, draws: int = 200, seed: int = 0) -> Course:
    """Measure a training run.

    Args:
        credits: method -> [S], NaN where not judged. draws: of the bootstrap of `drift`.

    Raises:
        LayoutError: columns of different lengths.
    """
    _check(runs, credits)
    at = runs.checkpoint
    size = int(at.max(initial=-1)) + 1
    cluster = _clusters(runs)
    known = ~np.isnan(runs.outcome)
    run = np.repeat(np.arange(at.size), runs.steps)
    return Course(
        share(runs.outcome[known] > 0, at[known], cluster[known], size),
        _dead(runs, size),
        _mean(runs.steps.astype(float), at, cluster, size),
        {
            name: _spread(runs, np.where(np.isfinite(c), c, np.nan), run, cluster, size, draws, seed)
            for name, c in credits.items()
        },
    )


def share(hit: Bools, at: Ints, cluster: Ints, size: int) -> Band:
    """[C] share of hits with Wilson's interval, at the number of independent tries that their clusters are worth.

        n_eff = p (1 - p) / var(p)    var(p) = G / (G - 1) sum_g (won_g - p n_g)^2 / n^2

    between the number of clusters G and of tries n; G where all or none hit, as then nothing tells how alike they are.

    Args:
        hit: [N] bool. at: [N] checkpoints. cluster: [N] ids of what is drawn by chance. size: C.

    >>> band = share(np.array([True, True, False, False]), np.zeros(4, int), np.array([0, 0, 1, 1]), 1)
    >>> [round(float(x[0]), 3) for x in band]  # two tasks, each all or nothing: as good as two tries
    [0.5, 0.121, 0.879, 4.0]
    """
    won, tries, groups, squares = _sums(hit.astype(float), np.ones(hit.size), at, cluster, size)
    p = _over(won, tries)
    variance = _over(groups, groups - 1) * _over(squares, tries**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where((p > 0) & (p < 1), p * (1 - p) / variance, groups)
    worth = np.clip(np.where(np.isnan(worth), groups, worth), groups, np.maximum(tries, groups))
    low, high = wilson(np.nan_to_num(p) * worth, worth, z=Z)
    none = tries == 0
    return Band(p, np.where(none, np.nan, low), np.where(none, np.nan, high), tries.astype(np.int64))


def merged(checkpoint: Ints, most: int) -> tuple[Ints, Ints]:
    """(names [C], ids [R]): checkpoints in order; of more than `most`, neighbours together, named by their first.

    >>> merged(np.array([30, 10, 20, 10]), 2)
    (array([10, 30]), array([1, 0, 0, 0]))
    """
    names, ids = np.unique(checkpoint, return_inverse=True)
    if names.size > most:
        part = np.arange(names.size) * most // names.size
        return names[np.unique(part, return_index=True)[1]], part[ids]
    return names, ids


def folded(at: Floats, values: Floats, most: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(at, mean, least, most) of a long series in at most `most` pieces of neighbours, NaN left out; `at` is the last
    of a piece.

    >>> [x.tolist() for x in folded(np.arange(4.0), np.array([1.0, 3.0, np.nan, 5.0]), 2)]
    [[1.0, 3.0], [2.0, 5.0], [1.0, 5.0], [3.0, 5.0]]
    """
    order = np.argsort(at, kind="stable")
    x, y = at[order], values[order]
    part = np.arange(x.size) * most // x.size if x.size > most else np.arange(x.size)
    pieces = int(part.max(initial=-1)) + 1
    there = np.isfinite(y)
    mean = _over(
        np.bincount(part[there], y[there], minlength=pieces), np.bincount(part[there], minlength=pieces).astype(float)
    )
    low, high = np.full(pieces, np.inf), np.full(pieces, -np.inf)
    np.minimum.at(low, part[there], y[there])
    np.maximum.at(high, part[there], y[there])
    last = np.zeros(pieces)
    last[part] = x
    return last, mean, np.where(np.isinf(low), np.nan, low), np.where(np.isinf(high), np.nan, high)


def _spread(runs: Runs, credit: Floats, run: Ints, cluster: Ints, size: int, draws: int, seed: int) -> Spread:
    at, of = runs.checkpoint[run], cluster[run]
    judged = ~np.isnan(credit)
    c, where = credit[judged], at[judged]
    _, power = np.frexp(np.max(np.abs(c), initial=0.0))
    c = np.ldexp(c, -power)  # by a power of 2, exactly: the distance of -1e308 and 1e308 is no number
    edges = _edges(c)
    width = edges[1] - edges[0]
    bins = edges.size - 1
    place = np.clip(((c - edges[0]) / width), 0, bins - 1).astype(np.int64)
    some = c != 0
    return Spread(
        np.ldexp(_quantiles(c, where, size), power),
        np.ldexp(edges, power),
        np.bincount((where * bins + place)[some], minlength=size * bins).reshape(size, bins),
        share(c == 0, where, of[judged], size),
        share(~judged, at, of, size),
        _drift(runs.cell[judged], c, where, runs.task[run][judged], size, draws, seed),
    )


def _edges(c: Floats) -> Floats:
    """[B + 1] bins of one width around 0 that hold 99% of the credit, to whichever side it lies."""
    low, high = np.quantile(c, [0.005, 0.995]).tolist() if c.size else (0.0, 0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    width = (high - low) / (BINS - 1) or 1.0
    below, above = int(np.ceil(-low / width - 0.5 - 1e-9)), int(np.ceil(high / width - 0.5 - 1e-9))
    return (np.arange(-below, above + 2) - 0.5) * width


def _quantiles(c: Floats, at: Ints, size: int) -> Floats:
    """[C, 5] linear between order statistics, as NumPy's; NaN where nothing is judged."""
    order = np.lexsort((c, at))
    count = np.bincount(at, minlength=size)
    first = np.cumsum(count) - count
    rank = np.maximum(count - 1, 0)[:, None] * np.array(LEVELS)
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    x = np.append(c[order], np.nan)
    there = count[:, None] > 0
    a, b = (x[np.where(there, first[:, None] + k, c.size)] for k in (low, high))
    return np.asarray(a + (b - a) * (rank - low))


def _drift(cell: Ints, c: Floats, at: Ints, task: Ints, size: int, draws: int, seed: int) -> Band:
    """Spearman's rank correlation of the mean credit of cells met at both of two neighbouring checkpoints."""
    value, low, high = np.full((3, size), np.nan)
    n = np.zeros(size, np.int64)
    known = cell >= 0
    span = int(cell.max(initial=-1)) + 1
    codes, first, ids = np.unique(at[known] * span + cell[known], return_index=True, return_inverse=True)
    mean = np.bincount(ids, c[known], minlength=codes.size) / np.maximum(np.bincount(ids, minlength=codes.size), 1)
    before = np.searchsorted(codes, codes - span)  # at most its own place, so that it is there
    met = np.flatnonzero((codes[before] == codes - span) & (codes >= span)) if codes.size else np.zeros(0, np.int64)
    when, of = codes[met] // max(span, 1), task[known][first[met]]
    for k in np.unique(when).tolist():
        mine = when == k
        n[k] = int(mine.sum())
        if n[k] < LEAST_CELLS:
            continue
        prompt = np.unique(of[mine], return_inverse=True)[1]
        if int(prompt.max()) + 1 < _FEW_TASKS:
            prompt = np.arange(n[k])
        prompts = int(prompt.max()) + 1
        found = rho(mean[before[met[mine]]], mean[met[mine]], prompt, prompts).at(weights(prompts, draws, seed))
        value[k] = found[0]
        low[k], high[k] = interval(found[1:])
    return Band(value, low, high, n)


def _dead(runs: Runs, size: int) -> Band:
    known = ~np.isnan(runs.outcome)
    x, at = runs.outcome[known], runs.checkpoint[known]
    pair = np.stack([at, runs.task[known]])
    groups, ids = np.unique(pair, axis=1, return_inverse=True)
    count = groups.shape[1]
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, ids.ravel(), x)
    np.maximum.at(high, ids.ravel(), x)
    two = np.bincount(ids.ravel(), minlength=count) > 1
    return share((low == high)[two], groups[0][two], np.arange(int(two.sum())), size)


def _mean(x: Floats, at: Ints, cluster: Ints, size: int) -> Band:
    total, n, groups, squares = _sums(x, np.ones(x.size), at, cluster, size)
    mean = _over(total, n)
    half = Z * np.sqrt(_over(groups, groups - 1) * _over(squares, n**2))
    return Band(mean, mean - half, mean + half, n.astype(np.int64))


def _sums(x: Floats, of: Floats, at: Ints, cluster: Ints, size: int) -> tuple[Floats, Floats, Floats, Floats]:
    """[C] sum of x, of `of`; clusters; sum over clusters of (x - mean of)^2."""
    total, n = (np.bincount(at, y, minlength=size).astype(float) for y in (x, of))
    span = int(cluster.max(initial=-1)) + 1
    codes, ids = np.unique(at * span + cluster, return_inverse=True)
    where = codes // max(span, 1)
    mine, tries = (np.bincount(ids, y, minlength=codes.size) for y in (x, of))
    rest = (mine - _over(total, n)[where] * tries) ** 2
    return total, n, np.bincount(where, minlength=size).astype(float), np.bincount(where, rest, size).astype(float)


def _clusters(runs: Runs) -> Ints:
    """[R] what is drawn by chance: the task, or the rollout where a checkpoint has but one task."""
    pair = np.unique(np.stack([runs.checkpoint, runs.task]), axis=1)
    tasks = np.bincount(pair[0].astype(np.int64), minlength=int(runs.checkpoint.max(initial=-1)) + 1)
    single = tasks[runs.checkpoint] == 1
    ids = np.unique(runs.task, return_inverse=True)[1]
    return np.where(single, np.arange(ids.size), ids)


def _over(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    out: Floats = np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)
    return out


def _check(runs: Runs, credits: Mapping[str, Floats]) -> None:
    size, total = runs.checkpoint.size, int(runs.steps.sum())
    for name, column in runs._asdict().items():
        want = total if name == "cell" else size
        if column.shape != (want,):
            raise LayoutError(f"{name}: got shape {column.shape}, expected ({want},)")
    for name, c in credits.items():
        if c.shape != (total,):
            raise LayoutError(f"credit {name!r}: got shape {c.shape}, expected one entry per step ({total},)")
