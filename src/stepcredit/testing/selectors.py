"""The contract of a selector, as checks that any selector can be put through, third parties' included.

from stepcredit.testing.selectors import check_selector

def test_my_selector_meets_the_contract():
    check_selector("my_package_selector")          # or "path/to/my_selector.py"
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.credit import Method
from stepcredit.credit.registry import SELECTORS
from stepcredit.credit.run import fill
from stepcredit.credit.selection import Selection, check_selection, select
from stepcredit.data.batch import Batch
from stepcredit.data.flat import from_columns
from stepcredit.data.layout import Bools, Layout
from stepcredit.ops import at_last
from stepcredit.testing import SPANNED, Check, filled, held, permuted, random_batch

_SAID = {"why": "R", "replay": "R", "resume": "R", "more": "G", "priority": "G", "train_mask": "S"}


def crowd(seed: int) -> Batch:
    """Two or three prompts with many rollouts each, some of which nothing solves; two training batches on half."""
    rng = np.random.default_rng(seed)
    groups, rollouts = int(rng.integers(2, 4)), int(rng.integers(12, 25))
    group = rng.permutation(np.concatenate((np.arange(groups), rng.integers(0, groups, rollouts - groups))))
    steps = rng.integers(1, 4, rollouts)
    batch = rng.choice([7, 4], groups)[group] if seed % 4 > 1 else None
    layout = Layout(group, np.repeat(np.arange(rollouts), steps), batch=batch)
    made = filled(layout, rng)
    outcome = (rng.integers(0, 2, rollouts) * rng.integers(0, 2, groups)[group]).astype(np.float64)
    return Batch(layout, {**made.columns, "outcome": outcome, "reward": at_last(layout, outcome)})


def _any_batch(seed: int, **options: Any) -> Batch:
    return crowd(seed) if seed % 5 > 2 else random_batch(seed, **options)


def choose(selector: Method, batch: Batch) -> Selection:
    """What a selector says of a batch, found to be well formed."""
    with np.errstate(invalid="ignore"):
        made: Selection = selector.function(*fill(selector, batch, None, []), **selector.check_options({}))
    check_selection(made, batch, selector.name)
    return made


def _same_selection(one: Selection, other: Selection, rows: Mapping[str, Any]) -> None:
    """One is what the other says of these rows of each axis."""
    assert one.reasons == other.reasons
    for name, axis in _SAID.items():
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None), f"{name} is said of one only"
        if mine is not None:
            np.testing.assert_allclose(mine, theirs[rows[axis]], atol=1e-9, err_msg=name)


def _chosen_alone(selector: Method, batch: Batch, mine: Bools) -> None:
    lay, stay = batch.layout, np.flatnonzero(mine)
    rows = {"G": np.unique(lay.group[mine]), "R": stay, "S": mine[lay.rollout]}
    _same_selection(choose(selector, batch.take(stay)), choose(selector, batch), rows)


def every_rollout_has_a_reason(selector: Method, seed: int) -> None:
    """Inputs are as before, equal calls say the same, and who leaves is counted under a reason in words."""
    batch = _any_batch(seed)
    before = {n: v.copy() for n, v in batch.columns.items()}
    made = choose(selector, batch)
    _same_selection(choose(selector, batch), made, dict.fromkeys("GRS", slice(None)))
    for name, values in before.items():
        np.testing.assert_array_equal(batch[name], values, err_msg=f"{name} was changed")
    assert int(made.keep.sum()) + sum(made.counts.values()) == batch.layout.R
    assert all(made.reasons) and len(set(made.reasons)) == len(made.reasons), f"reasons are {made.reasons}"


def unknown_is_left_aside(selector: Method, seed: int) -> None:
    """Peers of a rollout of unknown outcome and rewards are chosen as if it were not there."""
    batch = _any_batch(seed, empty=False, tree=False)
    if not set(selector.needs) & set(SPANNED) or batch.layout.R < 2:
        return
    gone = np.arange(batch.layout.R) == seed % batch.layout.R
    blank = {"R": gone, "S": gone[batch.layout.rollout], "K": np.zeros(batch.layout.K, bool)}
    columns = {n: np.where(blank[batch.axis(n)], np.nan, v) if n in SPANNED else v for n, v in batch.columns.items()}
    _chosen_alone(selector, Batch(batch.layout, columns), ~gone)


def chosen_in_any_order(selector: Method, seed: int) -> None:
    """Rollouts in another order are chosen alike."""
    batch = _any_batch(seed)
    other, rows = permuted(batch, np.random.default_rng(seed).permutation(batch.layout.R))
    _same_selection(choose(selector, other), choose(selector, batch), rows)


def nothing_to_choose_from(selector: Method, seed: int) -> None:
    """No rollouts, or rollouts without steps, are no error."""
    for group in (np.zeros(0, np.int64), np.zeros(seed % 3 + 1, np.int64)):
        layout = Layout(group, np.zeros(0, np.int64), token_step=np.full(seed % 2, -1))
        choose(selector, filled(layout, np.random.default_rng(seed)))


def _alone(by: str) -> Check:
    def test(selector: Method, seed: int) -> None:
        batch = _any_batch(seed)
        of = getattr(batch.layout, by)
        _chosen_alone(selector, batch, of == of[0])

    return test


SELECT_CHECKS: Mapping[str, Check] = {
    "every_rollout_has_a_reason": every_rollout_has_a_reason,
    "unknown_is_left_aside": unknown_is_left_aside,
    "other_prompts": _alone("group"),
    "other_batches": _alone("batches"),
    "permutation": chosen_in_any_order,
    "nothing_in_nothing_out": nothing_to_choose_from,
}


def check_selector(name: str, seeds: Iterable[int] = range(40)) -> None:
    """The whole contract of a selector. A property that the card waives must really be broken.

    Raises:
        AssertionError: a property is broken, or is waived although it held on every batch.
    """
    seeds = list(seeds)
    for property, test in SELECT_CHECKS.items():
        held(SELECTORS.get(name), property, test, seeds)


def check_select_goldens(path: str | Path) -> set[str]:
    """As `check_goldens`. A case: {"source", "selector", "given", "with", "want": {"kept": names of rollouts, "counts"
    that are not 0, "more", "priority", "replay", "resume", "train_mask"}}; rollouts in order of first appearance."""
    used: set[str] = set()
    for case in json.loads(Path(path).read_text(encoding="utf-8")):
        options, text = case.get("with", {}), f"{case['selector']}: {case['source']}"
        batch, order = from_columns(case["given"])
        made = select(batch, case["selector"], **options).selection
        assert case["want"], f"{text}: nothing is wanted"
        for name, want in case["want"].items():
            if name == "kept":
                got: Any = [batch.rollout_name(int(r)) for r in np.flatnonzero(made.keep)]
                assert got == want, f"{text}: kept {got}"
            elif name == "counts":
                assert {why: n for why, n in made.counts.items() if n} == want, f"{text}: {made.counts}"
            else:
                got = getattr(made, name)
                got = got[np.argsort(order)] if name == "train_mask" else got
                np.testing.assert_allclose(
                    got, np.array(want, float), atol=case.get("atol", 1e-9), rtol=0, err_msg=f"{text}: {name}"
                )
        found = SELECTORS.get(case["selector"])
        plain = SELECTORS.get(found.base).options
        used |= {n for n, v in {**found.options, **options}.items() if v != plain[n]}
    return used
