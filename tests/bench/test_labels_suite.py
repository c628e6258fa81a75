"""The suite of label systems: what it counts, how it compares, what its cells find."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from conftest import skip_or_fail
from stepcredit.app.leaderboard import run_suite
from stepcredit.bench.suites import _label_claims as claims
from stepcredit.bench.suites import _label_gsm8k as gsm8k
from stepcredit.bench.suites import _label_report as report
from stepcredit.bench.suites import _label_shelf as shelf
from stepcredit.bench.suites import _label_sources as sources
from stepcredit.bench.suites import labels as suite
from stepcredit.bench.suites._label_counts import Told, count, scores
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.label import SYSTEMS, Work

SMALL = replace(suite.Settings(), puzzles=6, rollouts=2, chains=20, k=(2, 4), some=(4,), http=False)


def test_every_system_of_the_shelf_is_measured_or_has_a_reason():
    missing, gone = set(SYSTEMS.names()) - shelf.covered(), shelf.covered() - set(SYSTEMS.names())
    assert not missing, (
        f"new label systems: measure {sorted(missing)} in _label_shelf.SOURCES, or say why not in CANNOT"
    )
    assert not gone, f"no label systems any more: {sorted(gone)}"


def test_a_system_that_is_not_there_or_not_measured_is_an_error():
    with pytest.raises(UnknownName, match="no_such"):
        suite.cells(replace(SMALL, methods=("no_such",)))
    with pytest.raises(StepCreditError, match="Lean"):
        suite.cells(replace(SMALL, methods=("safe_lean",)))


def test_a_system_is_chosen_by_its_own_name_and_by_that_of_its_file():
    assert {s.system for s in shelf.chosen(("mm_prm",))} == {"mm_prm"}
    assert {"omegaprm", "omegaprm@tree", "mm_prm"} <= {s.system for s in shelf.chosen(("omegaprm",))}


def solution(group, rollout, good, outcome):
    steps = [Step(text=f"line {t}", evidence={"truth.good": float(g)}) for t, g in enumerate(good)]
    return Rollout(group=group, rollout=rollout, task="t", outcome=outcome, steps=steps)


GIVEN = [
    solution("a", "0", [1, 0, 0], 0.0),
    solution("a", "1", [1, 1, 1], 1.0),
    solution("b", "0", [0, 0, 0], 0.0),
]


def said(record, label, first, **facts):
    work = Work(record, None, ())
    work.book("sample", 5)
    work.book("verify", 100)
    return work.labels(label=np.array(label, float), first_error=first, facts=facts)


def test_labels_are_counted_against_the_truth():
    told = count(
        [
            said(GIVEN[0], [1, 0, 0], 1),  # right in all
            said(GIVEN[1], [0.4, 1, np.nan], 0),  # a right step called wrong
            said(GIVEN[2], [0, 0, 0], 0, kept=False),  # left out, and paid for
        ],
        GIVEN,
    )
    by_name = {name: getattr(told, name).tolist() for name in Told._fields}
    assert by_name["steps"] == [5, 0] and by_name["all_steps"] == [6, 3]
    assert by_name["steps_right"] == [4, 0]
    np.testing.assert_allclose(by_name["distance"], [0.6, 0])
    assert by_name["kept"] == [2, 0] and by_name["first_right"] == [1, 0]
    assert by_name["named"] == [2, 0] and by_name["named_wrong"] == by_name["named_exact"] == [1, 0]
    assert by_name["called_wrong"] == [2, 0]  # the third step of the first is behind the error that it names
    assert by_name["rightly_wrong"] == [1, 0]
    assert by_name["calls"] == [10, 5]


def test_a_source_that_names_no_first_errors_has_no_such_score():
    found = scores(count([said(r, [0.9, 0.4, 0.2], None) for r in GIVEN], GIVEN), np.ones((1, 2)))
    assert np.isnan(found["first_error"][0]) and np.isnan(found["named_exact"][0])
    assert found["steps"][0] == pytest.approx((3 + 1 + 2) / 9)


def test_constants_score_what_they_must():
    score = {
        name: {k: v[0] for k, v in scores(count([say(r) for r in GIVEN], GIVEN), np.ones((1, 2))).items()}
        for name, say in sources.CONSTANTS.items()
    }
    assert score["(all right)"]["steps"] == pytest.approx(4 / 9)
    assert score["(all right)"]["first_error"] == pytest.approx(1 / 3)
    assert score["(all wrong)"]["steps"] == pytest.approx(5 / 9)
    assert score["(all wrong)"]["named_exact"] == pytest.approx(1 / 3)
    assert score["(the outcome, all steps)"]["steps"] == pytest.approx(8 / 9)
    assert score["(the outcome, last step)"]["named_wrong"] == 1.0
    assert score["(the outcome, last step)"]["named_exact"] == 0.0


@pytest.mark.parametrize("http", [False, True])
def test_a_cell_measured_twice_is_the_same(http):
    if http and find_spec("aiohttp") is None:
        skip_or_fail("http", "aiohttp is not installed")
    settings = replace(SMALL, http=http, puzzles=3)
    for name in ("consensus", "AlphaMath's tree"):
        one, two = (suite.game24_cell(settings, "able", name, 4 * (name == "consensus")) for _ in range(2))
        assert one == two
        assert sum(one["sums"]["calls"]) > 0


def test_monte_carlo_finds_the_truth_with_many_completions_and_never_errs_to_the_late_side():
    found = suite.game24_cell(replace(SMALL, puzzles=8), "able", shelf.PLAIN, 128)
    assert sum(found["sums"]["first_right"]) >= 0.95 * sum(found["sums"]["solutions"])
    few = suite.game24_cell(replace(SMALL, puzzles=8), "twin", shelf.PLAIN, 2)["noise"]
    assert sum(kinds["over"] + kinds["none"] + kinds["unknown"] for kinds in few.values()) == 0
    assert sum(kinds["under"] for kinds in few.values()) > 0


def test_sources_see_the_same_completions():
    every, until = (suite.game24_cell(SMALL, "able", s, 4)["sums"] for s in (shelf.PLAIN, shelf.FIRST_ZERO))
    assert every["first_right"] == until["first_right"] and every["named_exact"] == until["named_exact"]
    assert sum(until["calls"]) < sum(every["calls"])


@pytest.mark.parametrize("finder", suite.FINDERS)
@pytest.mark.parametrize("length", [8, 16])
def test_the_error_of_a_chain_is_found_with_many_completions(finder, length):
    found = suite.chain_cell("skill .9", length, finder, 12, 0, k=100)
    assert found["hit"] == [1.0] * 12


def test_halving_costs_the_logarithm_and_completions_err_to_both_sides():
    every, halved = (suite.chain_cell("skill .97", 8, f, 30, 0) for f in ("math_shepherd", "omegaprm"))
    assert set(every["calls"]) == {56} and set(halved["calls"]) == {24}
    weak = suite.chain_cell("skill .9", 32, "math_shepherd", 30, 0)
    assert sum(weak["under"]) > 10 and sum(weak["over"]) == 0
    repaired = suite.chain_cell("skill .97, repair .05", 8, "math_shepherd", 30, 0)
    assert sum(repaired["over"]) > 5
    assert all(sum(row) == 1 for row in zip(*(weak[n] for n in ("hit", "under", "over", "unknown")), strict=True))


def at(calls, exact, tasks=50):
    score = {name: np.array([exact, exact - 0.01, exact + 0.01]) for name in (*report.GAINS, "kept")}
    return {**score, "calls": np.full(3, float(calls)), "tasks_named": np.full(3, float(tasks))}


def test_a_filter_is_compared_with_the_cheapest_monte_carlo_that_costs_no_less():
    found = {("able", shelf.PLAIN, k): at(3 * k, 0.5) for k in (1, 2, 4, 8)}
    found |= {("able", "consensus", 4): at(7, 0.7), ("able", "self-denoising", 64): at(90, 0.4)}
    rows = {r["source"]: r for r in report.equal_cost(found)}
    assert rows["consensus"]["against_k"] == 4 and not rows["consensus"]["cheaper"]
    assert rows["consensus"]["named_exact_gain"] == pytest.approx(0.2)
    assert rows["consensus"]["named_exact_says"] == "raises"
    assert rows["self-denoising"]["against_k"] == 8 and rows["self-denoising"]["cheaper"]
    assert rows["self-denoising"]["named_exact_says"] == "lowers"
    assert report.says([-0.1, 0.1], 50) == "cannot be told"
    assert report.says(None, 50) == report.says([0.1, 0.2], report.FEW - 1) == "too few"


def test_claims_hold_by_their_intervals():
    found = {("able", shelf.PLAIN, 8): at(24, 0.5), ("able", "consensus", 8): at(20, 0.7)}
    rows = claims.rows(found, report.equal_cost(found), [], [])
    by_claim = {r["claim"][:25]: r["holds"] for r in rows}
    assert by_claim["the first error named is "] == "yes"
    assert by_claim["about 40% of the solution"] == "no"
    assert rows[-1]["holds"] == "not comparable"


def test_a_filter_that_keeps_next_to_nothing_proves_nothing():
    found = {("able", shelf.PLAIN, 8): at(24, 0.5), ("able", "self-denoising", 8): at(20, 1.0, tasks=3)}
    rows = [r for r in claims.rows(found, report.equal_cost(found), [], []) if r["paper"] == "SCAN"]
    assert len(rows) == 2 and {r["holds"] for r in rows} == {"not comparable"}
    assert all("too few" in r["remark"] for r in rows)


@pytest.mark.parametrize(
    ("share", "gain", "holds"),
    [
        ([0.42, 0.44], [-0.01, 0.02], "yes"),
        ([0.42, 0.44], [-0.05, 0.02], "cannot be told"),
        ([0.42, 0.44], [-0.09, -0.05], "no"),
        ([0.45, 0.55], [0.0, 0.1], "cannot be told"),
        ([0.51, 0.55], [0.0, 0.1], "no"),
    ],
)
def test_a_search_must_be_both_cheap_and_no_less_accurate(share, gain, holds):
    row = {"source": "omegaprm", "length": 8, "k": 8, "kind": "skill .97", "first_error": 0.9, "of_every_step": 0.43}
    row |= {"of_every_step_interval": share, "gain_on_every_step": gain[0], "gain_on_every_step_interval": gain}
    assert claims.rows({}, [], [row], [])[0]["holds"] == holds


def test_the_whole_suite_makes_tables_and_rows_that_json_can_hold(tmp_path):
    given = {"puzzles": 4, "chains": 10, "k": (2,), "http": False, "methods": ("qwen_prm_lessons", "omegaprm", "capo")}
    store = tmp_path / "store.jsonl"
    head, done = run_suite("labels", given, quick=True, store=store)
    again = run_suite("labels", given, quick=True, store=store)[1]
    assert head["suite"] == "labels" and again.result.rows == done.result.rows
    titles = " ".join(t.title for t in done.result.tables)
    assert "Game of 24, twin" in titles and "chain" in titles and "Headlines" in titles and "not measured" in titles
    parts = {r["part"] for r in done.result.rows}
    assert parts == {"game24", "noise", "chains", "claims"}  # no plain Monte Carlo, so nothing at equal cost
    numbers = [x for r in done.result.rows for x in r.values() if isinstance(x, float)]
    assert numbers and not np.isnan(numbers).any()
    assert done.result.plots


@pytest.mark.parametrize(
    ("mark", "right"),
    [
        ("48/2=24", True),
        ("16-3=14", False),
        ("10/3=3.33", True),
        ("10/3=3.34", False),
        ("x+1=2", None),
        ("1/0=1", None),
    ],
)
def test_marks_are_judged_apart_from_the_checks(mark, right):
    assert gsm8k.holds(mark) is right


def test_a_text_that_says_another_number_than_its_mark_is_known():
    assert gsm8k.same("15 / 4 = <<15/4=3.75>>3.75 kg, so <<3.75*2=7.5>>7.50.")
    assert gsm8k.same("2/3=<<2/3=0.6666666666666666>>.67") and gsm8k.same("it is $<<5*200=1000>>1,000")
    assert not gsm8k.same("15 / 4 = <<15/4=3.75>>3 women") and not gsm8k.same("<<1+1=2>> two")


def test_checks_agree_with_the_marks_of_gsm8k(data):
    if find_spec("sympy") is None:
        skip_or_fail("sympy", "sympy is not installed")
    rows = gsm8k.rows(gsm8k.gsm8k_cell(str(data), 20), 100, 0)
    assert [r["source"] for r in rows] == list(gsm8k.CHECKS)
    for row in rows:
        assert row["steps"] > 300 and row["agreement"] > 0.97 and row["judged"] > 0.85
        assert row["agreement_same_text"] > 0.99
    assert len(gsm8k.table(rows).rows) == 2
    assert gsm8k.file(None) is None and gsm8k.file(str(data / "gsm8k")) is None
