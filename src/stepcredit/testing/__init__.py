"""The contract of a credit method, as checks that any method can be put through, third parties' included.

    from stepcredit.testing import CHECKS, check_method

    def test_my_method_meets_the_contract():
        check_method("my_package_method")          # or "path/to/my_method.py"

Each check takes a method's name and a seed, and raises AssertionError with the batch's seed in its text. Selectors:
`stepcredit.testing.selectors`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.credit import Method, Result, get, on_columns
from stepcredit.credit.run import fill
from stepcredit.data.batch import Batch
from stepcredit.data.columns import TABLE
from stepcredit.data.layout import Bools, Floats, Ints, Layout, Paths
from stepcredit.ops import step_mean

SPANNED = ("outcome", "reward", "token_reward")


def random_batch(seed: int, *, empty: bool = True, tree: bool | None = None) -> Batch:
    """A small batch with every column of the table: ragged interleaved groups, lone rollouts, ties, repeated states,
    matches and non-matches; tokens on every other seed, some of no step; shared steps on every third; two training
    batches on half of them. A rollout never ends at a step that others go on from: its reward would be theirs too.

    Args:
        empty: some rollouts have no step, some steps no token.
        tree: whether rollouts share steps.
    """
    rng = np.random.default_rng(seed)
    rollouts = int(rng.integers(1, 9))
    group = rng.integers(0, 3, rollouts)
    steps = rng.integers(0 if empty else 1, 5, rollouts)
    shared = _prefixes(group, steps, rng) if (seed % 3 == 2 if tree is None else tree) else None
    batch = rng.choice([7, 4], 3)[group] if seed % 4 > 1 else None
    layout = Layout(group, np.repeat(np.arange(rollouts), steps), shared=shared, batch=batch)
    if seed % 2:
        token_step = np.repeat(np.arange(layout.S), rng.integers(0 if empty else 1, 4, layout.S))
        layout = layout.with_tokens(np.insert(token_step, rng.integers(0, token_step.size + 1, seed % 3), -1))
    return filled(layout, rng)


def _prefixes(group: Ints, steps: Ints, rng: np.random.Generator) -> Paths:
    """Paths on which the steps of a rollout come after some that an earlier one of its group took."""
    paths: list[list[int]] = []
    for r, (end, n) in enumerate(zip(np.cumsum(steps).tolist(), steps.tolist(), strict=True)):
        peers = np.flatnonzero(group[:r] == group[r])
        way = paths[rng.choice(peers)] if peers.size else []
        before = way[: rng.integers(1, len(way))] if n and len(way) > 1 else []
        paths.append([*before, *range(end - n, end)])
    start = np.cumsum([0, *map(len, paths)])
    return Paths(start, np.array([s for path in paths for s in path], np.int64))


def equal_rollouts(seed: int) -> Batch:
    """Groups of exact copies of one rollout whose states never repeat; each group has an outcome of its own."""
    rng = np.random.default_rng(seed)
    copies, steps = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    groups = int(rng.integers(1, 3))
    layout = Layout(np.repeat(np.arange(groups), copies), np.repeat(np.arange(groups * copies), steps))
    if seed % 2:
        layout = layout.with_tokens(np.repeat(np.arange(layout.S), 2))
    batch = filled(layout, rng)
    first = {
        "G": np.arange(layout.G),
        "R": np.repeat(np.arange(groups) * copies, copies),
        "S": (layout.step_group * copies * steps + layout.turn),
        "K": np.arange(layout.K) % max(layout.K // (groups * copies), 1)
        + (layout.K // groups) * layout.step_group[layout.tokens],
    }
    columns = {n: v[first[batch.axis(n)]] for n, v in batch.columns.items()}
    columns["state"] = layout.turn + 10 * layout.step_group
    columns["outcome"] = 0.81 * (layout.group + 1)
    columns["reward"] = np.where(layout.paths.left == 0, columns["outcome"][layout.rollout], 0.0)
    return Batch(layout, columns)


def filled(layout: Layout, rng: np.random.Generator) -> Batch:
    """A batch of this layout with every column of the table, few values each."""
    columns: dict[str, Any] = {}
    for c in TABLE:
        if c.name in ("group", "batch", "rollout", "parent", "token_step", "token_row", "token_position", "weight"):
            continue
        size = (getattr(layout, c.axis), 3) if c.wide else getattr(layout, c.axis)
        if c.name in ("label", "votes"):
            columns[c.name] = rng.integers(-1, 2, size).astype(float)
        elif c.kind == "float":
            columns[c.name] = rng.integers(0, 5, size) / 4
        elif c.kind == "id":
            columns[c.name] = rng.integers(0, 3, size)
        else:
            columns[c.name] = rng.integers(0, 2, size).astype(np.int64 if c.kind == "int" else np.int8)
    columns["token_logratio"] = rng.normal(size=layout.K)
    for name in ("token_logp", "token_old_logp", "token_ref_logp"):
        columns[name] = -columns[name]
    columns["outcome"] = np.where(layout.steps > 0, layout.total(columns["reward"]), columns["outcome"])
    for array in columns.values():
        array.flags.writeable = False
    return Batch(layout, columns)


def run(method: Method, batch: Batch) -> dict[str, Floats]:
    """credit and extras of a method on a batch, whose outcomes are the sums of its step rewards."""
    with np.errstate(invalid="ignore"):
        out = method.function(*fill(method, batch, None, []), **method.check_options({}))
    result = out if isinstance(out, Result) else Result(out)
    return {"credit": result.credit, **result.extras()}


def _axis(method: Method, layout: Layout) -> int:
    return layout.K if method.card.per == "token" else layout.S


def shape_and_inputs(method: Method, seed: int) -> None:
    """One float64 per step (or token); the inputs, which cannot be written to, are as before."""
    batch = random_batch(seed)
    before = {n: v.copy() for n, v in batch.columns.items()}
    for name, values in run(method, batch).items():
        assert values.shape == (_axis(method, batch.layout),), f"{name} has shape {values.shape}"
        assert name == "train_mask" or values.dtype == np.float64, f"{name} is {values.dtype}"
    for name, values in before.items():
        np.testing.assert_array_equal(batch[name], values, err_msg=f"{name} was changed")


def _pick(method: Method, layout: Layout, rows: Bools) -> Bools:
    """Which of the method's numbers belong to these steps; none of a token of no step."""
    return rows[layout.tokens] & (layout.tokens >= 0) if method.card.per == "token" else rows


def finite_where_determined(method: Method, seed: int) -> None:
    """Complete inputs give finite credit, in lone and empty groups too; NaN on tokens of no step."""
    batch = random_batch(seed)
    there = _pick(method, batch.layout, np.ones(batch.layout.S, bool))
    for name, values in run(method, batch).items():
        if name == "train_mask":
            assert not values[~there].any(), "a token of no step trains"
        else:
            np.testing.assert_array_equal(np.isfinite(values), there, err_msg=f"{name} is not finite")


def unknown_is_not_judged(method: Method, seed: int) -> None:
    """A rollout of unknown outcome and rewards is NaN, and only it: its peers are compared without it.

    A step that it shares with others is theirs too, and stays judged.
    """
    asks = set(method.needs) & set(SPANNED)
    batch = random_batch(seed, empty=False)
    if not asks:
        return
    lay, unknown = batch.layout, seed % batch.layout.R
    blank = {"R": np.arange(lay.R) == unknown, "S": (lay.rollout == unknown) & (lay.visits == 1)}
    blank["K"] = blank["S"][lay.tokens] | (lay.tokens < 0)
    columns = {n: np.where(blank[batch.axis(n)], np.nan, v) if n in SPANNED else v for n, v in batch.columns.items()}
    got = run(method, Batch(lay, columns))["credit"]
    np.testing.assert_array_equal(np.isnan(got), blank["K" if method.card.per == "token" else "S"])


def other_prompts(method: Method, seed: int) -> None:
    """Credit of a group computed alone equals its credit inside the batch."""
    batch = random_batch(seed)
    _same_alone(method, batch, batch.layout.group == batch.layout.group[0])


def other_batches(method: Method, seed: int) -> None:
    """Credit of a training batch computed alone equals its credit beside others: what pools, pools by `batch`."""
    batch = random_batch(seed)
    _same_alone(method, batch, batch.layout.batches == batch.layout.batches[0])


def _same_alone(method: Method, batch: Batch, mine: Bools) -> None:
    rows = _pick(method, batch.layout, mine[batch.layout.rollout])
    together = run(method, batch)
    for name, values in run(method, batch.take(np.flatnonzero(mine))).items():
        np.testing.assert_allclose(values, together[name][rows], atol=1e-9, err_msg=name)


def permutation(method: Method, seed: int) -> None:
    """Rollouts in another order get the same credit."""
    batch = random_batch(seed)
    order = np.random.default_rng(seed).permutation(batch.layout.R)
    other, rows = permuted(batch, order)
    straight = run(method, batch)
    pick = rows["K" if method.card.per == "token" else "S"]
    for name, values in run(method, other).items():
        np.testing.assert_allclose(values, straight[name][pick], atol=1e-9, err_msg=name)


def permuted(batch: Batch, order: Ints) -> tuple[Batch, dict[str, Ints]]:
    """The batch with its rollouts in this order, and which row of each axis stands there."""
    lay = batch.layout
    place = np.argsort(order)
    rows = np.argsort(place[lay.rollout], kind="stable")
    new = np.append(np.argsort(rows), -1)
    tokens = np.argsort(new[lay.tokens], kind="stable")
    pick = {"G": np.arange(lay.G), "R": order, "S": rows, "K": tokens}
    walks = np.argsort(place[lay.paths.rollout], kind="stable")
    layout = Layout(
        lay.group[order],
        place[lay.rollout[rows]],
        shared=Paths(np.cumsum([0, *lay.steps[order]]), new[lay.paths.rows[walks]]) if lay.is_tree else None,
        token_step=None if lay.token_step is None else new[lay.tokens[tokens]],
        batch=None if lay.batch is None else lay.batch[order],
    )
    return Batch(layout, {n: v[pick[batch.axis(n)]] for n, v in batch.columns.items()}), pick


def equal_rollouts_get_nothing(method: Method, seed: int) -> None:
    """Copies of one rollout have nothing to be compared for: 0."""
    np.testing.assert_allclose(run(method, equal_rollouts(seed))["credit"], 0, atol=1e-12)


def declared_invariances(method: Method, seed: int) -> None:
    """What is declared: "scale", rewards in larger units; "shift", outcomes plus a constant; "centered", mean 0 (where
    no step is shared: a shared one has the mean over its rollouts)."""
    batch = random_batch(seed, empty=False)
    straight = run(method, batch)["credit"]
    if "scale" in method.holds:
        larger = {n: v * 4 if n in SPANNED else v for n, v in batch.columns.items()}
        np.testing.assert_allclose(run(method, Batch(batch.layout, larger))["credit"], straight, rtol=2e-3, atol=2e-3)
    if "shift" in method.holds:
        moved = {n: v + 3 if n == "outcome" else v for n, v in batch.columns.items()}
        np.testing.assert_allclose(run(method, Batch(batch.layout, moved))["credit"], straight, atol=1e-9)
    if "centered" in method.holds:
        batch = random_batch(seed, empty=False, tree=False)
        straight = run(method, batch)["credit"]
        lay, steps = batch.layout, straight if method.card.per != "token" else step_mean(batch.layout, straight)
        rollouts = lay.total(steps) / lay.steps
        np.testing.assert_allclose(np.bincount(lay.group, weights=rollouts), 0, atol=1e-9)


def nothing_in_nothing_out(method: Method, seed: int) -> None:
    """No rollouts, or rollouts without steps, give no credit: an empty array, NaN on tokens of no step."""
    for group in (np.zeros(0, np.int64), np.zeros(seed % 3 + 1, np.int64)):
        layout = Layout(group, np.zeros(0, np.int64), token_step=np.full(seed % 2, -1))
        credit = run(method, filled(layout, np.random.default_rng(seed)))["credit"]
        assert credit.shape == (_axis(method, layout),) and np.isnan(credit).all()


Check = Callable[[Method, int], None]
CHECKS: Mapping[str, Check] = {
    "shape_and_inputs": shape_and_inputs,
    "finite_where_determined": finite_where_determined,
    "unknown_is_not_judged": unknown_is_not_judged,
    "other_prompts": other_prompts,
    "other_batches": other_batches,
    "permutation": permutation,
    "equal_rollouts": equal_rollouts_get_nothing,
    "declared_invariances": declared_invariances,
    "nothing_in_nothing_out": nothing_in_nothing_out,
}


def check(name: str, property: str, seeds: Iterable[int] = range(40)) -> None:
    """One property of the contract over many random batches. A property that the card waives must really be broken.

    Raises:
        AssertionError: the property is broken, or is waived although it held on every batch.
    """
    held(get(name), property, CHECKS[property], seeds)


def held(method: Method, property: str, test: Check, seeds: Iterable[int]) -> None:
    """One check over many batches: it holds, or it is waived and fails on one.

    Raises:
        AssertionError: neither.
    """
    if property not in method.waives:
        for seed in seeds:
            try:
                test(method, seed)
            except AssertionError as error:
                raise AssertionError(f"{method.name} breaks {property!r} on batch {seed}: {error}") from None
        return
    for seed in seeds:
        try:
            test(method, seed)
        except AssertionError:
            return
    raise AssertionError(f"{method.name} waives {property!r} ({method.waives[property]}), yet it held on every batch")


def check_method(name: str, seeds: Iterable[int] = range(40)) -> None:
    """The whole contract."""
    seeds = list(seeds)
    for property in CHECKS:
        check(name, property, seeds)


def check_goldens(path: str | Path) -> set[str]:
    """Every case of a golden file; returns the names of options that some case sets to a value of its own.

    A case: {"source", "method", "given": columns, "with": options, "want": credit, "also": {extra: values}, "atol"}.
    """
    used: set[str] = set()
    for case in json.loads(Path(path).read_text(encoding="utf-8")):
        options = case.get("with", {})
        out = on_columns(case["method"], case["given"], **options)
        text, atol = f"{case['method']}: {case['source']}", case.get("atol", 1e-9)
        want = np.array(case["want"], dtype=float)
        np.testing.assert_allclose(np.asarray(out), want, atol=atol, rtol=0, err_msg=text)
        for name, values in case.get("also", {}).items():
            assert isinstance(out, Result), f"{text}: there is no {name}"
            np.testing.assert_allclose(out.extras()[name], np.array(values, float), atol=atol, rtol=0, err_msg=text)
        method = get(case["method"])
        plain = get(method.base).options
        used |= {n for n, v in {**method.options, **options}.items() if n in plain and v != plain[n]}
    return used
