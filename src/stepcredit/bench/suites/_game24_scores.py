"""Every method on one sample of rollouts, at all bootstrap weights; and samples added up."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from stepcredit.bench import metrics, paired
from stepcredit.bench.entries import QUALITY, Judged, judge
from stepcredit.bench.suites._figures import Z
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import StepCreditError

CONSTANT_PER_DEPTH, CONSTANT, RANDOM = BASELINES = ("constant per depth", "constant", "random")
METRICS = ("same_mixed", "pooled_mixed", "pooled_all", "strat_mixed", "rho_mixed")
EXACT = (*METRICS, "mse_mixed")
DIGITS = 6

Values: TypeAlias = dict[str, Floats]  # a quantity -> [1] or [1 + B] values, NaN where undefined
Tally: TypeAlias = dict[
    str, dict[str, list[list[float]]]
]  # method -> quantity -> its sums over samples, and of how many


class Sample(NamedTuple):
    """Rollouts that methods see, and the truth about their steps [S].

    decision, good: see `_game24_worlds.Real`. state: ids for `same`. truth: true advantage, NaN where not known or not
    asked for. exact: the truth is exact, so that errors and intervals can be judged by it.
    """

    batch: Batch
    decision: Bools
    good: Bools
    state: Ints
    truth: Floats
    exact: bool

    @property
    def mixed(self) -> Bools:
        """[G] prompts with successes and failures."""
        lay, outcome = self.batch.layout, self.batch["outcome"]
        won, lost = (np.bincount(lay.group, x, minlength=lay.G) for x in (outcome > 0, outcome <= 0))
        mixed: Bools = (won > 0) & (lost > 0)
        return mixed


def credits(names: Iterable[str], batch: Batch) -> tuple[dict[str, Judged], dict[str, str]]:
    """Credit by each method, and why some failed: one that fails must not cost the others their figures."""
    made, failed = {}, {}
    for name in names:
        try:
            found = judge(name, batch)
            made[name] = found._replace(sd=None) if name.endswith(QUALITY) else found
        except StepCreditError as error:
            failed[name] = error.message
    return made, failed


def scores(sample: Sample, made: Mapping[str, Judged], weight: Floats) -> dict[str, Values]:
    """Each credit against the truth, at all weights [1 + B, G]."""
    return {name: _values(sample, one, weight) for name, one in made.items()}


def baselines(sample: Sample, weight: Floats, seed: Sequence[int]) -> dict[str, Values]:
    """What knows nothing of the steps: a constant per depth (which sees the labels), a constant, random numbers."""
    lay = sample.batch.layout
    at = np.flatnonzero(sample.decision)
    good, depth = sample.good[at], lay.turn[at]
    inside = sample.mixed[lay.step_group[at]]
    everywhere, mixed = np.full((2, lay.S), np.nan)
    everywhere[at] = metrics.per_depth(good, depth)
    mixed[at[inside]] = metrics.per_depth(good[inside], depth[inside])
    over_all = _values(sample, Judged(everywhere), weight)
    return {
        CONSTANT_PER_DEPTH: {
            **_values(sample, Judged(mixed), weight),
            **{name: over_all[name] for name in ("pooled_all", "unjudged")},
        },
        CONSTANT: _values(sample, Judged(np.zeros(lay.S)), weight),
        RANDOM: _values(sample, Judged(np.random.default_rng(seed).normal(size=lay.S)), weight),
    }


def _values(sample: Sample, made: Judged, weight: Floats) -> Values:
    lay, mixed = sample.batch.layout, sample.mixed
    inside, at = weight * mixed, np.flatnonzero(sample.decision)
    c, good, prompt, size = made.credit[at], sample.good[at], lay.step_group[at], lay.G
    pooled = paired.pooled(c, good, prompt, size)
    within = mixed[prompt]
    same = paired.same(c[within], good[within], sample.state[at][within], prompt[within], size)
    known = np.flatnonzero(mixed[lay.step_group])
    judged = made.credit[known], sample.truth[known], lay.step_group[known], size
    values = {
        "same_mixed": same.at(inside),
        "pooled_mixed": pooled.at(inside),
        "pooled_all": pooled.at(weight),
        "strat_mixed": paired.strat(c, good, lay.turn[at], prompt, size).at(inside),
        "rho_mixed": paired.rho(*judged).at(inside),
        "mixed": np.array([mixed.sum()]),
        "pairs": np.array([same.n]),
        "unjudged": np.array([pooled.unjudged]),
    }
    if not sample.exact:
        return values
    values["mse_mixed"] = paired.scaled_error(*judged).at(inside)
    return values if made.sd is None else {**values, **_coverage(made, sample.truth, known)}


def _coverage(made: Judged, truth: Floats, rows: Ints) -> Values:
    """How often credit +- 1.645 sd holds the true advantage, and how wide it is."""
    sd = np.asarray(made.sd, float)
    rows = rows[~np.isnan(made.credit[rows]) & ~np.isnan(sd[rows])]
    wide, true = Z * sd[rows], truth[rows]
    holds = np.abs(made.credit[rows] - true) <= wide
    parts = {"covered": holds, "covered_nonzero": holds[true != 0], "width": 2 * wide}
    return {name: np.array([x.mean() if x.size else np.nan]) for name, x in parts.items()}


def tally(samples: Iterable[dict[str, Values]]) -> Tally:
    """Sums of what is defined, as JSON holds them."""
    out: dict[str, dict[str, Any]] = {}
    for sample in samples:
        for name, values in sample.items():
            mine = out.setdefault(name, {})
            for quantity, x in values.items():
                had = mine.get(quantity, np.zeros((2, x.size)))
                mine[quantity] = had + np.stack((np.nan_to_num(x), ~np.isnan(x)))
    return {
        name: {q: [np.round(sums, DIGITS).tolist(), n.astype(int).tolist()] for q, (sums, n) in mine.items()}
        for name, mine in out.items()
    }


def means(tallies: Iterable[Tally]) -> dict[str, Values]:
    """Method -> quantity -> its mean over the samples of all tallies, NaN where none is defined."""
    sums: dict[str, dict[str, Floats]] = {}
    for one in tallies:
        for name, mine in one.items():
            into = sums.setdefault(name, {})
            for quantity, x in mine.items():
                into[quantity] = into.get(quantity, 0) + np.array(x)
    return {name: {q: _divide(x) for q, x in mine.items()} for name, mine in sums.items()}


def _divide(x: Floats) -> Floats:
    mean: Floats = np.divide(x[0], x[1], out=np.full(x.shape[1], np.nan), where=x[1] > 0)
    return mean
