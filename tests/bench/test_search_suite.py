"""The suite of search policies: the whole shelf, the same figures again, intervals."""

from dataclasses import replace

import pytest

from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import _search_policies as policies
from stepcredit.bench.suites import search as suite
from stepcredit.errors import StepCreditError

SMALL = replace(
    suite.Settings(),
    puzzles=8,
    noise=(0.0,),
    n=(1, 4),
    budgets=(),
    tau=(),
    gym=0,
    votes=0,
    repeats=1,
    model_steps=0,
    methods=("beam",),
)


@pytest.fixture(scope="module")
def measured():
    cells = suite.cells(SMALL)
    return cells, measure(cells, Store(None, {}))


def test_every_policy_of_the_shelf_is_measured_or_has_a_reason():
    missing = policies.uncovered()
    assert not missing, f"new policies: measure {missing} in _search_policies.CHOICES, or say why not in CANNOT"


def test_a_policy_that_cannot_be_measured_is_an_error_with_the_reason():
    with pytest.raises(StepCreditError, match="every number"):
        suite.cells(replace(SMALL, methods=("fobar",)))


def test_cells_are_the_same_again(measured):
    cells, values = measured
    again = measure(cells, Store(None, {}))
    assert again == values


def test_figures_have_intervals_and_a_yardstick(measured):
    _, values = measured
    found = suite.result(SMALL, values)
    beams = [r for r in found.rows if str(r.get("policy", "")).startswith("beam")]
    assert beams
    for row in beams:
        low, high = row["accuracy_interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert row["calls"] > 0 and row["tokens"] > 0
    assert found.tables and all(len(r) == len(t.columns) for t in found.tables for r in t.rows)
