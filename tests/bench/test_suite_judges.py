"""LLM judges against people: the benchmark's scores on small cases, the constants, the published files."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.bench import metrics
from stepcredit.bench.suites import judges
from stepcredit.bench.suites._agentprocessbench import Said, files, home, said
from stepcredit.errors import DataError, StepCreditError

NAN = float("nan")
ONCE = np.ones((1, 1))
labels = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=5)
benchmarks = st.lists(st.tuples(st.integers(0, 2), labels), min_size=1, max_size=6)


def people(*rollouts):
    """Rollouts of one question: message -> label."""
    return judges.arrange({(0, i): Said(one, NAN) for i, one in enumerate(rollouts)})


def benchmark(drawn):
    return judges.arrange({(q, i): Said(dict(enumerate(one)), NAN) for i, (q, one) in enumerate(drawn)})


def scored(truth, *judge):
    given = {(0, i): Said(one, NAN) for i, one in enumerate(judge) if one is not None}
    tally = judges.tally(truth, *judges.aligned(truth, given))
    return {name: float(x[0]) for name, x in judges.scores(tally, ONCE).items()}


def whole(tally):
    return {name: float(x[0]) for name, x in judges.scores(tally, np.ones((1, tally.first.size))).items()}


def save(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def row(sample, steps, query=0, **more):
    return {"query_index": query, "sample_index": sample, "step_labels": steps} | more


def measured(data, **fields):
    settings = judges.Settings(str(data), **fields)
    return judges.result(settings, {c.key: json.loads(json.dumps(c.make())) for c in judges.cells(settings)})


# the two scores


def test_half_of_the_steps_right_and_another_first_error():
    found = scored(people({2: 1, 4: 0, 6: -1, 8: -1}), {2: 1, 4: -1, 6: -1, 8: 1})
    assert (found["step_accuracy"], found["first_error_accuracy"]) == (2 / 4, 0)


def test_a_rollout_not_judged_agrees_only_where_there_is_no_error():
    for nothing in (None, {}, {2: NAN, 4: NAN}):
        found = scored(people({2: 1, 4: 1}), nothing)
        assert (found["step_accuracy"], found["first_error_accuracy"]) == (0, 1)
        assert scored(people({2: 1, 4: -1}), nothing)["first_error_accuracy"] == 0


def test_not_judged_is_not_zero():
    found = scored(people({2: 0, 4: 1}), {2: NAN, 4: 1})
    assert found["step_accuracy"] == 0.5 and found["recall_neutral"] == 0


def test_only_the_first_error_counts_and_messages_count_as_numbers():
    assert scored(people({2: -1, 10: -1}), {2: -1, 10: 1})["first_error_accuracy"] == 1
    assert scored(people({2: 1, 10: -1}), {2: -1, 10: -1})["first_error_accuracy"] == 0


def test_an_error_at_a_message_that_people_did_not_label_is_another_first_error():
    found = scored(people({4: -1}), {2: -1, 4: -1})
    assert (found["step_accuracy"], found["first_error_accuracy"]) == (1, 0)


def test_steps_are_counted_alike_and_so_are_rollouts():
    found = scored(people({2: 1, 4: 1, 6: 1}, {2: -1}), {2: 1, 4: 1, 6: 1}, {2: 0})
    assert (found["step_accuracy"], found["first_error_accuracy"]) == (3 / 4, 1 / 2)


# the scores beside them


def test_kappa_and_balanced_by_hand():
    found = scored(people({1: 1, 2: 1, 3: -1, 4: -1}), {1: 1, 2: 1, 3: -1, 4: 1})
    assert found["balanced"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["kappa"] == pytest.approx((3 / 4 - (2 * 3 + 2 * 1) / 16) / (1 - 8 / 16))
    assert np.isnan(found["recall_neutral"])


@given(benchmarks, st.data())
def test_auroc_equals_the_metric(drawn, data):
    truth = benchmark(drawn)
    size = truth.label.size
    judge = np.array(data.draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0, NAN]), min_size=size, max_size=size)))
    sure = truth.label != 0
    found = whole(judges.tally(truth, judge, judges.first_error(truth, judge)))["auroc"]
    np.testing.assert_allclose(found, metrics.auroc(judge[sure], truth.label[sure] > 0).value, rtol=1e-12)


@given(benchmarks)
def test_people_themselves_score_one(drawn):
    truth = benchmark(drawn)
    found = whole(judges.tally(truth, truth.label, truth.first))
    assert found["step_accuracy"] == found["first_error_accuracy"] == found["balanced"] == 1


@given(benchmarks, st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_a_weight_is_how_often_a_question_stands_there(drawn, times):
    truth = benchmark(drawn)
    questions = sorted({q for q, _ in drawn})
    weight = np.array([times[q] for q in questions], float)
    again = benchmark([(10 * q + k, one) for q, one in drawn for k in range(times[q])])
    for name, tally in judges.constants(truth).items():
        if name in judges.CONSTANTS and again.keys:
            mine, repeated = judges.scores(tally, weight[None]), whole(judges.constants(again)[name])
            for score, value in repeated.items():
                np.testing.assert_allclose(mine[score][0], value, atol=1e-12, err_msg=f"{name} {score}")


# constants


@given(benchmarks)
def test_constants_score_what_they_must(drawn):
    truth = benchmark(drawn)
    found = {name: whole(one) for name, one in judges.constants(truth).items()}
    for name, label in (("always +1", 1), ("always 0", 0), ("always -1", -1)):
        assert found[name]["step_accuracy"] == pytest.approx(np.mean(truth.label == label))
        assert found[name]["balanced"] == pytest.approx(1 / len(set(truth.label.tolist())) * (label in truth.label))
        assert found[name]["auroc"] == 0.5 or np.isnan(found[name]["auroc"])
        assert found[name]["kappa"] == pytest.approx(0, abs=1e-12) or np.isnan(found[name]["kappa"])
    clean = np.mean(truth.first == -1)
    for name in ("always +1", "always 0", "empty file"):
        assert found[name]["first_error_accuracy"] == pytest.approx(clean)
    assert found["empty file"]["step_accuracy"] == 0 and np.isnan(found["empty file"]["auroc"])


def test_always_wrong_finds_errors_of_first_steps():
    found = judges.constants(people({2: -1, 4: 1}, {2: 1, 4: -1}))["always -1"]
    assert whole(found)["first_error_accuracy"] == 0.5


def test_random_labels_score_their_expectation():
    truth = people({2: 1, 4: 1, 10: -1}, {2: 1, 4: 0}, {2: -1})
    p = np.array([2, 1, 3]) / 6
    found = whole(judges.constants(truth)[judges.EXPECTED])
    assert found["step_accuracy"] == pytest.approx((p**2).sum())
    first = ((1 - p[0]) ** 2 * p[0], (1 - p[0]) ** 2, p[0])
    assert found["first_error_accuracy"] == pytest.approx(np.mean(first))
    assert found["kappa"] == pytest.approx(0) and found["auroc"] == pytest.approx(0.5)


def test_majority_per_position_says_what_most_people_say_there():
    truth = people({2: 1, 4: -1}, {2: 1, 4: -1}, {3: -1, 4: 1, 9: 0})
    assert whole(judges.constants(truth)[judges.BY_POSITION])["step_accuracy"] == 5 / 7


# files


def test_the_newest_row_of_a_rollout_counts(tmp_path):
    old, new = "2026-02-05T04:38:12Z", "2026-02-05T05:00:00+00:00"
    for rows in ((old, new), (new, old), (None, new), (new, None)):
        given = [row(0, {"2": 1 if date == new else 0}, **({"updated_at": date} if date else {})) for date in rows]
        assert said(save(tmp_path / "a.jsonl", *given))[0, 0].labels == {2: 1.0}
    with pytest.raises(DataError, match=r"a\.jsonl, row 2: two rows for query 0, sample 0"):
        said(save(tmp_path / "a.jsonl", row(0, {}), row(0, {})))


def test_labels_may_be_a_literal_and_null_is_not_judged(tmp_path):
    found = said(save(tmp_path / "a.jsonl", row(0, "{'2': 1, '4': None}", final_label=0), row(1, None)))
    assert found[0, 0].labels[2] == 1 and np.isnan(found[0, 0].labels[4]) and np.isnan(found[0, 0].verdict)
    assert found[0, 1].labels == {}


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (row(1, {"2": 2}), "message 2: no label; got 2, expected -1, 0, 1"),
        (row(1, {"2": True}), "no label; got True"),
        (row(1, {"two": 1}), "must point to a message; got 'two'"),
        (row(1, [1]), "'step_labels' must be an object"),
        (row(1, {}, final_label="yes"), "'final_label' must be a verdict"),
        (row(1, {}, updated_at="today"), "'updated_at' must be a date"),
        ({"sample_index": 1}, "field 'query_index' is missing"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, bad, what):
    with pytest.raises(DataError, match=f"j.jsonl, row 2: .*{what}"):
        said(save(tmp_path / "j.jsonl", row(0, {"2": 1}), bad))


def test_a_folder_without_the_files_says_what_is_wanted(tmp_path):
    with pytest.raises(StepCreditError, match="no data folder was given") as error:
        judges.cells(judges.Settings())
    assert "STEPCREDIT_DATA" in error.value.hint
    with pytest.raises(DataError, match=f"{tmp_path}: no folder 'agentprocessbench'"):
        judges.cells(judges.Settings(str(tmp_path)))
    save(tmp_path / "agentprocessbench" / "judges" / "tau2" / "J.jsonl", row(0, {}))
    with pytest.raises(DataError, match=r"no subset has both .*labels of none; judges of tau2"):
        judges.cells(judges.Settings(str(tmp_path)))


def test_every_subset_is_taken_and_pooled_by_steps(tmp_path):
    at = tmp_path / "agentprocessbench"
    save(at / "a_labels.jsonl", row(0, {"2": 1, "4": 1, "6": 1}))
    save(at / "b.jsonl", row(0, {"2": -1}))
    save(at / "judges" / "a" / "J.v1.jsonl", row(0, {"2": 1, "4": 1, "6": None}))
    save(at / "judges" / "a" / "L.jsonl", row(0, {}))
    save(at / "judges" / "b" / "J.v1.jsonl", row(0, {"2": 1}))
    save(at / "judges" / "b" / "K.jsonl", row(0, {"2": -1}))
    found = {(r["subset"], r["judge"]): r for r in measured(tmp_path).rows}
    assert found["a", "J.v1"]["step_accuracy"] == 2 / 3 and found["a", "J.v1"]["missing"] == 1
    assert found["pooled", "J.v1"]["step_accuracy"] == 2 / 4
    assert ("pooled", "K") not in found and ("pooled", "L") not in found and ("b", "K") in found
    assert found["pooled", "always +1"]["step_accuracy"] == 3 / 4
    assert found["pooled", "J.v1"]["minus_constant"] == pytest.approx(2 / 4 - 3 / 4)


# the published files

PUBLISHED = {
    "Gemini-3-Flash-Preview": (76.7, 70.0, 54.8),
    "DeepSeek-V3.2": (74.4, 65.2, 60.4),
    "GPT-5.2-Thinking_medium": (72.3, 73.2, 57.0),
    "GPT-5.2-Chat": (71.4, 70.0, 67.5),
    "Qwen3-30B-A3B-Thinking-2507": (70.0, 64.8, 45.0),
    "Qwen3-8B": (60.4, 57.2, 43.4),
    "Llama-3.3-70B-Instruct": (46.3, 60.0, 44.5),
    "Llama-3.2-3B-Instruct": (44.3, 58.4, 40.2),
}


@pytest.fixture(scope="module")
def hotpotqa(data):
    if "hotpotqa" not in files(home(str(data))):
        pytest.skip("the data folder has no hotpotqa")
    return [r for r in measured(data).rows if r["subset"] == "hotpotqa"]


def test_scores_of_the_published_files_to_the_digit(hotpotqa):
    found = {r["judge"]: r for r in hotpotqa}
    for name, want in PUBLISHED.items():
        got = [round(100 * found[name][s], 1) for s in ("step_accuracy", "first_error_accuracy", "balanced")]
        assert tuple(got) == want, name
    assert round(100 * found["always +1"]["step_accuracy"], 1) == 68.0
    assert round(100 * found["empty file"]["first_error_accuracy"], 1) == 58.4


def test_how_many_judges_the_constants_beat(hotpotqa):
    of = [r for r in hotpotqa if r["kind"] == "judge"]
    assert len(of) == 20 and sum(r["minus_constant"] < 0 for r in of) == 10
    assert sum(r["first_error_minus_constant"] <= 0 for r in of) == 6
    assert all(r["minus_constant_interval"][0] <= r["minus_constant"] <= r["minus_constant_interval"][1] for r in of)
