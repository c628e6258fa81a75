"""Scores of verdicts: the worked examples of the benchmarks, their traps, and slow loops that say the same."""

import gzip
import json
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.diagnose import metrics
from stepcredit.diagnose.metrics import NONE, UNKNOWN
from stepcredit.errors import LayoutError, StepCreditError

NAN = float("nan")
verdicts = st.integers(UNKNOWN, 6)


# worked examples


def test_who_and_when_a_twelve_is_no_one_but_contains_it():
    assert metrics.within([12], [1]).tolist() == [0]
    assert metrics.legacy([12], [1]).tolist() == [1]


def test_correct_accuracy_within_a_distance():
    said = [4, 5, 9]
    assert metrics.within(said, 5, 0).mean() == pytest.approx(1 / 3)
    assert metrics.within(said, 5, 1).mean() == pytest.approx(2 / 3)


def test_agentprocessbench_half_of_the_steps_and_another_first_error():
    true, said = [1, 0, -1, -1], [1, -1, -1, 1]  # messages 2, 4, 6, 8
    assert metrics.step_scores(said, true)["step"].value == 2 / 4
    first = [metrics.first_wrong(labels, np.zeros(4, int), 1)[0] for labels in (said, true)]
    assert first == [1, 2]
    assert metrics.within([first[0]], [first[1]]).tolist() == [0]


def test_agentprocessbench_an_empty_file_finds_no_error_where_there_is_none():
    true, said = [1.0, 1.0], [NAN, NAN]
    scores = metrics.step_scores(said, true)
    assert (scores["step"].value, scores["unknown"].value) == (0, 1)
    run = np.zeros(2, int)
    assert metrics.within(metrics.first_wrong(said, run, 1), metrics.first_wrong(true, run, 1)).tolist() == [1]
    assert metrics.within([UNKNOWN], [NONE]).tolist() == [0]  # what is not known is never right


def test_who_and_when_the_best_constants(data):
    with gzip.open(data / "who_and_when" / "algorithm-generated.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    true = np.array([int(row["mistake_step"]) for row in rows])
    exact = Counter(true.tolist())
    assert len(rows) == 126 and exact.most_common(1) == [(1, 34)]
    assert metrics.localization(np.full(126, 1), true)["exact"].value == pytest.approx(34 / 126)
    assert metrics.legacy([150] * 126, true.tolist()).sum() == 68
    guessed = np.mean([1 / len(row["history"]) for row in rows])
    assert guessed == pytest.approx(0.120, abs=0.0005)
    spoken = [row["history"][step].get("name") for row, step in zip(rows, true, strict=True)]
    assert sum(a != row["mistake_agent"] for a, row in zip(spoken, rows, strict=True)) == 3


# properties


@given(st.lists(st.tuples(verdicts, verdicts), min_size=1, max_size=12), st.integers(0, 3))
def test_localization_is_what_a_loop_counts(pairs, k):
    said, true = (np.array(column) for column in zip(*pairs, strict=True))
    known = [(s, t) for s, t in pairs if t != UNKNOWN]
    found = metrics.localization(said, true, near=(0, k))
    if not known:
        assert np.isnan(found["exact"].value) and found["exact"].n == 0
        return
    near = sum((s == t) or (s >= 0 and t >= 0 and abs(s - t) <= k) for s, t in known)
    name = f"within {k}" if k else "exact"
    assert found[name].value == pytest.approx(near / len(known))
    assert found["unknown"].value == pytest.approx(sum(s == UNKNOWN for s, _ in known) / len(known))
    assert found[name].n == len(known)
    for one in found.values():
        assert np.isnan(one.value) or (one.low <= one.value + 1e-12 and one.value <= one.high + 1e-12)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0, NAN]), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12
    )
)
def test_auroc_is_what_a_loop_counts(rows):
    x, wrong, cell = (np.array(column) for column in zip(*rows, strict=True))
    for cells in (None, cell):
        at = np.zeros(len(rows)) if cells is None else cells
        judged = np.flatnonzero(~np.isnan(x))
        pairs = [(a, b) for a, b in product(judged, judged) if wrong[a] and not wrong[b] and at[a] == at[b]]
        won = sum(float(x[a] > x[b]) + float(x[a] == x[b]) / 2 for a, b in pairs)
        found = metrics.auroc(x, wrong, cell=cells, draws=5)
        assert found.n == len(pairs)
        assert found.value == pytest.approx(won / len(pairs)) if pairs else np.isnan(found.value)


def test_an_order_that_never_errs_and_its_reverse():
    wrong = np.array([True, False, False, True])
    assert metrics.auroc([1, 0, 0, 1], wrong).value == 1
    assert metrics.auroc([0, 1, 1, 0], wrong).value == 0
    assert metrics.auroc(np.zeros(4), wrong).value == 0.5


def test_a_constant_gets_a_third_of_the_macro_recall():
    true = [1] * 8 + [0] * 1 + [-1] * 3
    scores = metrics.step_scores(np.ones(12), true)
    assert scores["step"].value == pytest.approx(8 / 12)
    assert scores["macro"].value == pytest.approx(1 / 3)
    assert [scores[name].value for name in ("wrong", "neutral", "right")] == [0, 0, 1]


def test_agents_are_compared_without_what_stands_in_parentheses():
    said = ["Orchestrator (thought)", "Websurfer", "a(b)c", "(only)", None, "Zoë"]
    true = ["Orchestrator (-> WebSurfer)", "WebSurfer", "a", "(only)", "x", "ZOË"]
    assert metrics.same_agent(said, true).tolist() == [1, 1, 0, 1, 0, 1]


def test_runs_of_a_task_are_drawn_together():
    said, true = np.tile([0, 1], 50).repeat(10), np.zeros(1000, int)
    alone = metrics.localization(said, true)["exact"]
    tasks = metrics.localization(said, true, cluster=np.arange(100).repeat(10))["exact"]
    assert alone.value == tasks.value == 0.5
    assert tasks.high - tasks.low > 2.5 * (alone.high - alone.low)


def test_errors_and_no_errors_apart():
    found = metrics.localization([NONE, NONE, 2, UNKNOWN], [NONE, 1, 2, NONE])
    assert (found["wrong"].value, found["right"].value, found["exact"].value) == (0.5, 0.5, 0.5)
    assert "wrong" not in metrics.localization([0], [0])


def test_nothing_gives_no_number():
    nothing = np.zeros(0, int)
    assert all(np.isnan(one.value) for one in metrics.localization(nothing, nothing).values())
    assert np.isnan(metrics.auroc([], []).value)
    assert np.isnan(metrics.step_scores([], [])["macro"].value)
    assert metrics.first_wrong([], nothing, 3).tolist() == [NONE] * 3


def test_a_step_is_a_whole_number_and_blame_is_finite():
    with pytest.raises(LayoutError, match="whole numbers"):
        metrics.within([0.5], [0])
    with pytest.raises(StepCreditError, match="got -3"):
        metrics.within([-3], [0])
    with pytest.raises(StepCreditError, match="infinite"):
        metrics.auroc([np.inf], [True])
    with pytest.raises(StepCreditError, match="within -1"):
        metrics.within([0], [0], -1)
    with pytest.raises(LayoutError, match="as many"):
        metrics.legacy([1, 2], [1])


@pytest.mark.parametrize("run", [[0, 1, 0, 1], [1, 0], [0, 0, 0, 2], [-1, 0, 0, 0], [0, 0, 1]])
def test_first_wrong_refuses_runs_that_are_not_together(run):
    with pytest.raises(LayoutError, match="from 0 to 1 for each of 4 labels"):
        metrics.first_wrong([1, 1, -1, -1], run, 2)
