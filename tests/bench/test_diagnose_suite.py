"""The suite of diagnosis: faults that stand out by exact values, baselines by hand, a judge that errs as told."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import _diagnose_judge as judging
from stepcredit.bench.suites import _diagnose_planted as planted
from stepcredit.bench.suites import _diagnose_real as real
from stepcredit.bench.suites import _diagnose_replay as replaying
from stepcredit.bench.suites import _diagnose_report as report
from stepcredit.bench.suites import _planted as faults
from stepcredit.bench.suites import diagnose as suite
from stepcredit.data.records import Blame, Rollout, Step
from stepcredit.diagnose import METHODS, Case, Group
from stepcredit.diagnose.metrics import NONE
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.llm.requests import Ask

SMALL = replace(
    suite.Settings(), seeds=2, siblings=(1, 4), errors=(0.2,), draws=50, methods=("contrast", "repeats", "all_at_once")
)
NAN = float("nan")


@pytest.fixture(scope="module")
def measured():
    cells = suite.cells(SMALL)
    return cells, measure(cells, Store(None, {}))


# planted faults


@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_planted_step_is_the_greatest_loss_of_its_run(kind):
    found = faults.plants(kind, range(3), 4)
    assert found
    for one in found:
        _, value, q, *_ = faults.made(kind, one.seed)
        s, a = one.failed.state[one.step], one.failed.action[one.step]
        before, after = value[one.step, s], q[one.step, s, a]
        assert before >= faults.LIKELY and after <= before / 2
        lost = np.array(one.failed.lost)
        assert lost[one.step] == pytest.approx(before - after)
        assert (np.delete(lost, one.step) <= lost[one.step] / 2).all()
        assert one.failed.won <= 0 and len(one.siblings) == 4


def test_plants_are_the_same_again_and_more_siblings_append():
    (one,), (again,) = (faults.plants("layered", [3], n) for n in (2, 5))
    assert one.siblings == again.siblings[:2] and one.seed == again.seed
    assert faults.plants("layered", [3], 5)[0] == again


def test_what_a_method_sees_holds_no_truth():
    (one,) = faults.plants("hand_off", [0], 2)
    for view in faults.VIEWS:
        runs = one.rollouts(2, view)
        assert [r.outcome for r in runs] == [0.0, *(float(w.won > 0) for w in one.siblings)]
        for run in runs:
            assert set(run.evidence) == {"truncated"} and not run.blame and not run.extra and not run.rewards
            for step in run.steps:
                assert not step.evidence and not step.extra and step.reward is None
                assert (step.state is None) == (view != "states")
    words = [step.text for run in one.rollouts(2, "free texts") for step in run.steps]
    assert len(set(words)) == len(words)


def test_a_fault_is_covered_once_a_sibling_that_succeeded_did_something_else_there():
    (one,) = faults.plants("all_of", [1], 16)
    s, a = one.failed.state[one.step], one.failed.action[one.step]
    by_hand = [
        any(
            w.won > 0 and (s, a) not in zip(w.state, w.action, strict=False) and s in w.state[:-1]
            for w in one.siblings[:n]
        )
        for n in range(17)
    ]
    assert [one.covered(n) for n in range(17)] == by_hand and by_hand[0] is False and by_hand[16] is True


def test_contrast_finds_every_fault_that_siblings_show_where_states_repeat():
    for kind in ("all_of", "threshold", "dead_end"):
        cell = planted.cell(kind, 8, (16,), "states", ("contrast",))
        said, step = np.array(cell["said"]["contrast"]["16"]), np.array(cell["step"])
        shown = np.array(cell["covered"]["16"], bool)
        assert (said == step)[shown].mean() > 0.8 and shown.mean() > 0.8


# baselines


def test_a_random_step_by_hand():
    told = real.drawn([2, 4], np.array([0, 3]), [["A", "B"], ["A", "A", "B", "B"]], ["A", "B"])
    assert told.exact.tolist() == [1 / 2, 1 / 4] and told.near.tolist() == [1.0, 2 / 4]
    assert told.agent.tolist() == [1 / 2, 2 / 4]


def test_the_constant_of_the_other_logs_never_saw_the_log():
    assert real.left_out(np.array([1, 1, 2])).tolist() == [1, 1, 1]
    assert real.left_out(np.array([1, 2])).tolist() == [2, 1]
    assert real.left_out(np.array([0, 0, 1, 1])).tolist() == [1, 1, 0, 0]


def test_a_method_that_names_no_agent_is_given_the_speaker_of_its_step():
    cell = {
        "step": [0, 1],
        "agent": ["A", "B"],
        "speakers": [["A", "B"], ["A", "B (thought)"]],
        "methods": {
            "m": {"said": [1, 1], "agent": [None, None], "scores": []},
            "none": {"said": [-1, -2], "agent": [None, None], "scores": []},
            "broken": {"error": "no"},
        },
    }
    rows = {row["method"]: row for row in report.log_rows(cell, 20, 0)}
    assert (rows["m"]["exact"], rows["m"]["agent"], rows["m"]["near"]) == (0.5, 0.5, 1.0)
    assert (rows["none"]["exact"], rows["none"]["agent"], rows["none"]["unknown"]) == (0.0, 0.0, 0.5)
    assert rows[report.HINDSIGHT]["exact"] == 0.5 and rows[report.OTHERS]["exact"] == 0
    assert rows[report.LEGACY]["legacy"] == 1.0 and rows[report.LEGACY]["exact"] == 0  # 0 and 1 are in 150
    assert "broken" not in rows
    table = report.log_table("x", list(rows.values()), cell)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_first_errors_and_areas_by_hand():
    cell = {
        "question": [0, 0, 1],
        "outcome": [0.0, 1.0, 0.0],
        "labels": [[1, -1, -1], [1, 1], [0, None, -1]],
        "judges": {"J": [[1, -1, 1], [-1, 1], [None, None, None]]},
        "methods": {
            "m": {"said": [1, NONE, -2], "agent": [None] * 3, "scores": [[0, 1, 0.5], [None, None], [0, 0, 0]]}
        },
    }
    rows = {row["method"]: row for row in report.people_rows(cell, 20, 0)}
    assert rows["m"]["first"] == pytest.approx(2 / 3) and rows["m"]["unknown"] == pytest.approx(1 / 3)
    assert (rows["m"]["with_error"], rows["m"]["without_error"], rows["m"]["failed"]) == (0.5, 1.0, 0.5)
    assert rows["m"]["auroc_inside"] == pytest.approx((1.0 + 0.5) / 2) and rows["m"]["judged"] == pytest.approx(5 / 7)
    assert rows["J"]["first"] == pytest.approx(1 / 3)  # of the third run it said nothing, and there is an error
    assert rows[report.NOTHING]["first"] == pytest.approx(1 / 3) and rows[report.NOTHING]["auroc"] == 0.5
    assert rows[report.LAST]["first"] == pytest.approx(1 / 3)
    assert rows[report.BY_OUTCOME[0]]["first"] == pytest.approx(2 / 3)


def test_people_are_hidden_from_methods():
    run = Rollout(
        group="g",
        rollout="r",
        outcome=0.0,
        evidence={"mistake": 3},
        blame=[Blame(by="people", step=0)],
        extra={"ground_truth": "42", "mistake_step": "0", "is_correct": False},
        steps=[Step(text="a", evidence={"label": -1.0}, extra={"message": 2})],
    )
    seen = real.blind(run)
    assert not seen.blame and seen.extra == {"ground_truth": "42"} and not seen.evidence
    assert seen.steps[0].text == "a" and not seen.steps[0].evidence and not seen.steps[0].extra
    assert run.blame and run.steps[0].evidence  # and the run itself is as it was


# the simulated judge


def test_every_method_that_asks_a_judge_is_measured_or_has_a_reason():
    missing = judging.uncovered()
    assert not missing, f"new methods: measure {missing} in _diagnose_judge.ASKED, or say why not in NOT_SIMULATED"


def test_a_judge_that_never_errs_gives_every_method_the_fault():
    cell = judging.cell(0.0, 1, list(judging.ASKED), 0)
    for name, told in cell["said"].items():
        assert told["said"] == cell["step"], name
        assert told["calls"] >= 1
    assert cell["said"]["binary_search"]["calls"] <= np.ceil(np.log2(cell["size"])).mean() + 1e-9
    assert cell["said"]["all_at_once 5 votes"]["calls"] == 5


@pytest.mark.parametrize("error", [0.2, 0.5, 1.0])
def test_a_judge_errs_as_often_as_told_half_of_it_whatever_the_draw(error):
    judge = judging.SimulatedJudge({f"task {i}": judging.Fault(2, 9) for i in range(600)}, error, seed=1)

    def names(i, draw):
        reply = judge.reply(f"Succeed in task {i}.\n... <verdict0> ...", draw)
        return int(reply.split("step: ")[1].split("\n")[0])

    wrong = np.array([[names(i, draw) != 2 for draw in range(6)] for i in range(600)])
    assert wrong.mean() == pytest.approx(error, abs=0.04)
    always = wrong.all(1).mean()
    anew = error / 2 / (1 - error / 2)
    assert always == pytest.approx(error / 2 + (1 - error / 2) * anew**6, abs=0.05)


def test_a_question_of_another_kind_is_an_error():
    judge = judging.SimulatedJudge({}, 0.0)
    with pytest.raises(StepCreditError, match="knows no such question"):
        judge.reply(Ask("Who are you?").prompt)


# replay


def test_an_exact_sampler_succeeds_as_often_as_the_values_say():
    (one,) = faults.plants("layered", [0], 0)
    (run,) = one.rollouts(0, "states")
    exact = replaying.ExactReplay({run.group: one})
    case = Case(Group([run]), 0)
    kept = list(range(len(run.steps) + 1))
    plan = exact.tries(case, kept, 4000)
    with pytest.raises(StopIteration) as ended:
        next(plan)
    won = [tries.won / tries.told for tries in ended.value.value]
    value = faults.made("layered", 0).value
    assert won[:-1] == pytest.approx([value[k, one.failed.state[k]] for k in kept[:-1]], abs=0.04)
    assert won[-1] == 0 and exact.spent == 4000 * len(kept)
    assert won[one.step] - won[one.step + 1] == max(a - b for a, b in pairwise(won))


def test_replay_finds_the_faults_with_tries_enough_and_says_what_it_took():
    names = ["counterfactual_replay@largest, 16 tries", "decisive_search, 128 tries"]
    cell = replaying.cell("all_of", 4, names, 0)
    for name in names:
        assert cell["said"][name]["said"] == cell["step"]
    assert cell["said"][names[0]]["tries"] == 16 * 8
    assert cell["said"][names[1]]["tries"] <= 128 * (1 + 3)
    rows = replaying.rows({"all_of": cell}, 20, 0)
    assert {row["luck"] for row in rows} == {"all", "none"}
    table = replaying.table(rows)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_replay_in_a_world_of_two_agents_names_the_one_that_it_was():
    cell = replaying.agent_cell(6, ("contrast",), 0)
    rows = {row["method"]: row for row in replaying.agent_rows(cell, 20, 0)}
    assert rows[replaying.CDC]["agent"] >= 5 / 6 and rows["contrast"]["agent"] >= 5 / 6
    planner, worker = rows["always the planner"]["agent"], rows["always the worker"]["agent"]
    assert planner + worker == pytest.approx(1) and set(cell["agent"]) <= {"planner", "worker"}
    table = replaying.agent_table(list(rows.values()))
    assert all(len(row) == len(table.columns) for row in table.rows)


# the whole suite


def test_cells_hold_json_and_are_the_same_again(measured):
    cells, values = measured
    assert json.loads(json.dumps(values)) == values
    assert measure(cells, Store(None, {})) == values
    assert {c.key.partition("/")[0] for c in cells} == {"planted", "judge"}


def test_every_figure_has_an_interval_and_stands_beside_baselines(measured):
    found = suite.result(SMALL, measured[1])
    assert found.tables and all(len(row) == len(t.columns) for t in found.tables for row in t.rows)
    for row in found.rows:
        low, high = row["exact_interval"]
        assert 0 <= low <= row["exact"] <= high <= 1
    for view in faults.VIEWS:
        names = {row["method"] for row in found.rows if row.get("view") == view}
        assert names == {"contrast", "repeats", planted.LAST, planted.FIRST, planted.CONSTANT, planted.RANDOM}
    assert {row["method"] for row in found.rows if row["part"] == "judge"} == {
        "all_at_once",
        "all_at_once 5 votes",
        judging.LAST,
        judging.RANDOM,
    }
    assert len(found.plots) == len(faults.VIEWS)


def test_a_method_that_breaks_is_a_line_and_the_others_go_on(monkeypatch):
    def broken(case):
        raise StepCreditError("out of order")

    planner = METHODS.get("last_step")
    monkeypatch.setattr(real.METHODS.__class__, "get", lambda self, name: replace(planner, function=broken))
    told = real.verdicts([[Rollout(group=0, rollout=0, steps=[Step(text="a")])]], ["last_step"])
    assert told == {"last_step": {"error": "out of order"}}


def test_methods_are_those_that_ask_no_model_without_the_baselines():
    names = real.methods(())
    assert {"contrast", "combined", "credit"} <= set(names)
    assert not {"last_step", "random_step", "constant", "all_at_once", "decisive_search"} & set(names)
    with pytest.raises(UnknownName):
        real.methods(("contras",))


# real data


def test_who_and_when_and_its_baselines(data):
    cell = real.who_and_when(str(data / "who_and_when" / "algorithm-generated.jsonl.gz"), ("repeats",))
    assert len(cell["step"]) == 126 and all(
        0 <= t < len(who) for t, who in zip(cell["step"], cell["speakers"], strict=True)
    )
    rows = {row["method"]: row for row in report.log_rows(cell, 50, 0)}
    assert (
        rows[report.HINDSIGHT]["exact"] == pytest.approx(34 / 126) and rows[report.HINDSIGHT]["best"] == "always step 1"
    )
    assert rows[report.LEGACY]["legacy"] == pytest.approx(68 / 126)
    assert rows[report.RANDOM]["exact"] == pytest.approx(0.120, abs=0.001)
    assert rows[report.OTHERS]["exact"] <= rows[report.HINDSIGHT]["exact"]
    assert rows["repeats"]["runs"] == 126


def test_agentprocessbench_and_its_judges(data):
    home = data / "agentprocessbench"
    cell = real.people(str(home / "hotpotqa.jsonl.gz"), str(home / "judges" / "hotpotqa"), ("repeats",))
    rows = {row["method"]: row for row in report.people_rows(cell, 50, 0)}
    published = {"GPT-5.2-Thinking_medium": 0.732, "DeepSeek-V3.2": 0.652, "Llama-3.2-3B-Instruct": 0.584}
    for name, first in published.items():
        assert rows[name]["first"] == pytest.approx(first, abs=0.0005)
    assert (
        rows[report.NOTHING]["first"] == pytest.approx(0.584) and sum(r["kind"] == "judge" for r in rows.values()) == 20
    )
    assert rows["repeats"]["steps"] == 734 and rows["repeats"]["with_error_n"] == 104


def test_where_there_are_no_such_runs_a_table_shows_a_dash():
    cell = {"labels": [[1, 1], [1, -1.0]], "question": [0, 1], "outcome": [1.0, 1.0], "methods": {}, "judges": {}}
    found = report.people_rows(cell, 50, 0)
    assert all(np.isnan(row["failed"]) and row["failed_n"] == 0 for row in found)
    table = report.people_table("x", found, cell)
    at = table.columns.index("failed")
    assert {tuple(row[at : at + 2]) for row in table.rows} == {("–", "–")}
    assert "nan" not in str(table.rows)
    (wrong,) = {row["with_error"] for row in found if row["method"] == report.NOTHING}
    assert wrong == 0 and report.people_rows(cell | {"labels": [[1], [1]]}, 9, 0)[0]["without_error_n"] == 2
    logs = {"step": [-2, 1], "agent": [None, None], "speakers": [["A"] * 3] * 2, "methods": {}}
    logs["methods"] = {"m": {"said": [0, 1], "agent": [None] * 2, "scores": []}}
    shown = report.log_table("x", report.log_rows(logs, 20, 0), logs)
    assert "nan" not in str(shown.rows) and any("–" in row for row in shown.rows)
