"""Methods side by side."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.credit import applicable, get, names
from stepcredit.credit.compare import compare, correlations
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout
from stepcredit.errors import MissingColumn
from stepcredit.systems import cite
from stepcredit.testing import random_batch


def spearman(a, b):
    """By hand: Pearson of mean ranks."""

    def rank(x):
        return np.array([(np.sum(x < v) + np.sum(x <= v) - 1) / 2 for v in x])

    return np.corrcoef(rank(a), rank(b))[0, 1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_correlation_is_spearman(pairs):
    a, b = np.array(pairs, float).T
    got = correlations([a, b])[0, 1]
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(spearman(a, b))


def test_only_steps_that_both_judged_are_compared():
    a, b = np.array([1, 2, 3, np.nan]), np.array([1, 2, np.nan, -9])
    assert correlations([a, b])[0, 1] == pytest.approx(1)


def test_every_applicable_method_runs_and_the_others_say_what_they_lack():
    batch = Batch(Layout(np.array([0, 0]), np.array([0, 0, 1])), {}).with_columns(outcome=[1, 0], state=["s", "t", "s"])
    result = compare(batch)
    ran = {r.method for r in result.rows}
    assert {"grpo", "rloo", "gigpo", "hgpo"} <= ran and ran | set(result.skipped) == set(names())
    assert "value" in result.skipped["gae"]
    gigpo = next(r for r in result.rows if r.method == "gigpo")
    assert [m.singletons for m in gigpo.merge.values()] == [pytest.approx(1 / 3)]


def test_what_a_method_itself_finds_missing_is_a_reason_too():
    batch = Batch(Layout(np.array([0, 0]), np.array([0, 1])), {}).with_columns(outcome=[1, 0], action=["a", "b"])
    assert "observation" in compare(batch).skipped["salt"]


def test_a_method_named_explicitly_is_not_skipped_silently():
    batch = Batch(Layout(np.array([0, 0]), np.array([0, 1])), {}).with_columns(outcome=[1, 0])
    with pytest.raises(MissingColumn, match="gigpo needs column 'state'"):
        compare(batch, ["gigpo"])


def test_a_full_batch_lets_every_method_run_but_those_that_need_a_tree():
    batch = random_batch(3)
    trees = [n for n in names() if "tree" in inspect.signature(get(n).function).parameters]
    assert "spo_tree" in trees and "grpo" not in trees
    assert [n for n in names() if applicable(get(n), batch)] == trees


def test_cite_gives_each_entry_once():
    text = cite("gigpo", "gigpo@verl-agent", "rloo", "grpo")
    assert text.count("@") == 3 and "feng2025gigpo" in text and "ahmadian2024back" in text
