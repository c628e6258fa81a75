"""center against a plain loop over cells, in every combination of its readings."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcredit.ops import cell_mean, cell_variance, center, log_mean_exp, shrink, unit_range, whiten

LOCATIONS = ("mean", "others", "median")
SPREADS = ("sample", "population", "others", "mad", "none")


def mean(pairs):
    return sum(x * w for x, w in pairs) / sum(w for _, w in pairs)


def variance(pairs, ddof):
    counted = [p for p in pairs if p[1] > 0]
    ways = sum(w for _, w in counted) - ddof
    if ways <= 0 or len({x for x, _ in counted}) == 1:
        return 0.0
    m = mean(counted)
    return sum(w * (x - m) ** 2 for x, w in counted) / ways


def lower_median(values):
    return sorted(values)[(len(values) - 1) // 2]


def width(i, members, spread):
    if spread == "mad":
        middle = lower_median([x for x, _ in members.values()])
        return 1.4826 * lower_median([abs(x - middle) for x, _ in members.values()])
    if spread == "others":
        return math.sqrt(variance([p for j, p in members.items() if j != i], 1))
    return math.sqrt(variance(list(members.values()), 1 if spread == "sample" else 0))


def plain(x, by, location, spread, spread_by, eps, eps_at, floor, lone, weight):
    """One value at a time, as the docstring says."""
    weight = [1] * len(x) if weight is None else weight
    judged = [i for i in range(len(x)) if not math.isnan(x[i] + weight[i])]
    out = [math.nan] * len(x)
    for i in judged:
        cell = {j: (x[j], weight[j]) for j in judged if by[j] == by[i]}
        others = [p for j, p in cell.items() if j != i]
        rest = sum(w for _, w in others)
        if rest == 0 and weight[i] <= 1:
            scaled = 1 if spread == "none" else 1 + eps
            out[i] = {"zero": 0.0, "raw": x[i] / scaled, "nan": math.nan}[lone]
            continue
        if location == "median":
            place = lower_median([v for v, _ in cell.values()])
        elif location == "others":
            place = mean(others) if rest else x[i]
        else:
            place = mean(cell.values())
        out[i] = x[i] - place
        if spread != "none":
            where = by if spread_by is None else spread_by
            wide = width(i, {j: (x[j], weight[j]) for j in judged if where[j] == where[i]}, spread)
            if max(wide, floor) > 0:
                out[i] /= max(wide, floor) + eps if eps_at == "spread" else max(math.sqrt(wide**2 + eps), floor)
    return out


@st.composite
def cases(draw):
    n = draw(st.integers(1, 12))
    quarters = st.integers(-4, 4).map(lambda v: v / 4)

    def rows(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    return {
        "x": rows(st.one_of(quarters, quarters, st.just(math.nan))),
        "by": rows(st.sampled_from([0, 1, 7])),
        "location": draw(st.sampled_from(LOCATIONS)),
        "spread": draw(st.sampled_from(SPREADS)),
        "spread_by": draw(st.one_of(st.none(), st.just(rows(st.sampled_from([2, 3]))))),
        "eps": draw(st.sampled_from([1e-6, 0.0, 0.5])),
        "eps_at": draw(st.sampled_from(["spread", "variance"])),
        "floor": draw(st.sampled_from([0.0, 0.75])),
        "lone": draw(st.sampled_from(["zero", "raw", "nan"])),
        "weight": draw(st.one_of(st.none(), st.just(rows(st.sampled_from([0, 1, 1, 2, 3, math.nan]))))),
    }


@settings(max_examples=1500, deadline=None)
@given(cases())
def test_every_reading_equals_the_plain_loop(case):
    want = plain(**case)
    arrays = {k: np.array(case[k]) for k in ("x", "by")}
    arrays |= {k: None if case[k] is None else np.array(case[k]) for k in ("spread_by", "weight")}
    for a in arrays.values():
        if a is not None:
            a.flags.writeable = False
    np.testing.assert_allclose(center(**{**case, **arrays}), want, rtol=1e-9, atol=1e-9)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(-8, 8), st.sampled_from([0, 3]), st.integers(1, 4)), min_size=1, max_size=8),
    st.sampled_from(["sample", "population", "none"]),
)
def test_weights_are_repeated_rows(rows, spread):
    x, by, w = (np.array(c) for c in zip(*rows, strict=True))
    weighted = center(x, by, spread=spread, lone="raw", weight=w)
    repeated = center(np.repeat(x, w), np.repeat(by, w), spread=spread, lone="raw")
    np.testing.assert_allclose(np.repeat(weighted, w), repeated, atol=1e-12)


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("value", "n"), [(0.81, 5), (0.1, 7), (0.7, 7), (1e308, 4), (1e-308, 3), (-1 / 3, 11)])
def test_equal_values_give_exactly_zero(location, spread, value, n):
    mixed = np.array([value] * n + [1.0, 2.0] + [value] * n)
    by = np.array([4] * n + [0, 0] + [2] * n)
    y = center(mixed, by, location=location, spread=spread)
    assert not y[by > 0].any()
    assert not center(mixed[by > 0], location=location, spread=spread, weight=np.arange(2 * n)).any()
    beside = np.array([value + 0.25 * abs(value)] + [value] * n)
    assert not center(beside, spread="none", weight=[0] + [1] * n)[1:].any()


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=20), st.sampled_from(LOCATIONS), st.sampled_from(SPREADS))
def test_a_shift_changes_nothing(values, location, spread):
    x = np.array(values) / 8
    np.testing.assert_allclose(
        center(x + 2.0**40, location=location, spread=spread), center(x, location=location, spread=spread), atol=1e-9
    )


def test_small_differences_on_a_large_offset_keep_their_precision():
    small = np.array([0.25, 0.5, 0.0, 0.125])
    np.testing.assert_array_equal(center(1e9 + small), center(small))
    np.testing.assert_allclose(center(1e9 + small, spread="others"), center(small, spread="others"), rtol=1e-12)


def test_an_infinite_value_spoils_its_own_cell_only():
    x, by = np.array([np.inf, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    with np.errstate(invalid="ignore"):
        y = center(x, by)
    assert not np.isfinite(y[:2]).any()
    np.testing.assert_array_equal(y[2:], center(x[2:], by[2:]))


def test_a_value_apart_from_equal_counted_ones_is_only_centered():
    np.testing.assert_array_equal(center(np.array([0.0, 0.0, 1.0]), weight=np.array([1, 1, 0])), [0, 0, 1])
    equal, apart = center(np.array([0.0, 0.0, 1.0]), spread="others")[1:]
    assert equal == pytest.approx(-1 / 3 / (np.sqrt(0.5) + 1e-6))
    assert apart == pytest.approx(2 / 3)


def test_nothing_gives_nothing():
    none = np.zeros(0)
    assert center(none, np.zeros(0, int)).size == whiten(none).size == cell_mean(none, np.zeros(0, int)).size == 0
    assert np.isnan(center(np.full(3, np.nan))).all()


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 2)), min_size=2, max_size=20))
def test_whiten_is_the_usual_masked_whitening(rows):
    x, by = (np.array(c, float) for c in zip(*rows, strict=True))
    for cell in set(by):
        mine = by == cell
        if mine.sum() > 1 and np.ptp(x[mine]) > 0:
            want = (x[mine] - x[mine].mean()) / np.sqrt(x[mine].var(ddof=1) + 1e-8)
            np.testing.assert_allclose(whiten(x, by.astype(int))[mine], want, atol=1e-12)


def test_cell_mean_leaves_out_what_is_not_judged():
    x, by = np.array([1.0, np.nan, 3.0, np.nan, 5.0]), np.array([0, 0, 0, 2, 4])
    np.testing.assert_array_equal(cell_mean(x, by), [2, np.nan, np.nan, np.nan, 5])
    np.testing.assert_array_equal(cell_mean(x, by, weight=np.array([3, 1, 1, 1, 0])), [1.5, *[np.nan] * 4])


def test_shrink_pulls_toward_the_prior_and_is_it_without_values():
    got = shrink(np.array([1.0, np.nan, 0.0]), np.array([3, 0, 1]), 0.5, 1.0)
    np.testing.assert_array_equal(got, [3.5 / 4, 0.5, 0.25])
    assert np.isnan(shrink(np.array([1.0]), np.array([0]), 0.5, 0.0)).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.integers(-5, 5), st.just(math.nan))), max_size=12))
def test_unit_range_puts_each_cell_between_0_and_1(pairs):
    by, x = np.array([c for c, _ in pairs], np.int64), np.array([v for _, v in pairs], float)
    want = []
    for c, v in zip(by, x, strict=True):
        known = [u for d, u in zip(by, x, strict=True) if d == c and u == u]
        wide = bool(known) and max(known) > min(known)
        want.append(v * 0.0 if not wide else (v - min(known)) / (max(known) - min(known)))
    np.testing.assert_array_equal(unit_range(x, by), np.array(want, float))


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.81, -1.0, 0.25, 3.0, math.nan])), max_size=12))
def test_the_variance_of_a_cell_is_that_of_its_judged_values(rows):
    by, x = np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], float)
    got = cell_variance(x, by)
    for cell in range(got.size):
        judged = [v for c, v in rows if c == cell and not math.isnan(v)]
        if not judged:
            assert math.isnan(got[cell])
        else:
            np.testing.assert_allclose(got[cell], variance([(v, 1) for v in judged], 0), atol=1e-9)
            assert got[cell] == 0 or len(set(judged)) > 1


def test_the_log_of_the_mean_exponential_lies_between_mean_and_maximum():
    x, by = np.array([0.0, 1.0, math.nan, 2.0, 2.0, math.nan]), np.array([0, 0, 0, 1, 1, 3])
    got = log_mean_exp(x, by, 0.5)
    np.testing.assert_allclose(got, [0.5 * math.log((1 + math.exp(2)) / 2), 2, math.nan, math.nan])
    assert got[1] == 2
    np.testing.assert_allclose(log_mean_exp(x, by, 1e-3)[0], 1, atol=1e-3)
    np.testing.assert_allclose(log_mean_exp(x, by, 1e6)[0], 0.5, atol=1e-5)
    np.testing.assert_allclose(log_mean_exp(1000 * x[:2], by[:2], 1.0), 1000 - math.log(2))
