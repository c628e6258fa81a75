"""What the screens of training and of boards are told: of runs, of training folders, of results of suites."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from stepcredit.app.view.answers import Head
from stepcredit.app.view.boards import boards
from stepcredit.app.view.dynamics import CHECKPOINTS, POINTS, SERIES, dynamics
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.page import as_json
from stepcredit.app.view.rows import part
from stepcredit.bench.ranking import BOARDS, ROWS
from stepcredit.credit import assign
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e" + "x" * 500


def memory(rollouts, methods=("grpo",)):
    batch = Batch.from_records(rollouts)
    made = part(batch, [assign(batch, m) for m in methods], names=list(methods))
    return Memory([made], Head())


def rollout(version, task, number, outcome, *, steps=2, **more):
    return Rollout(
        group=f"{task} at {version}",
        rollout=f"{version}.{task}.{number}",
        task=task,
        outcome=outcome,
        policy_version=version,
        steps=[Step(state=f"s{k}", action=f"a{number}.{k}") for k in range(steps)],
        **more,
    )


def course_of(versions, tasks=12):
    return [rollout(v, f"task {t}", n, float(n <= v % 2)) for v in versions for t in range(tasks) for n in range(3)]


def metric(told, name):
    return next(m for m in told["metrics"] if m["name"] == name)


def train_folder(tmp_path, lines, name="run"):
    folder = tmp_path / name
    folder.mkdir()
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def test_nothing_has_no_checkpoints():
    for answers in (None, Memory([], Head()), memory([Rollout(group="a", rollout=1, outcome=1.0, steps=[Step()])])):
        told = dynamics(answers, [])
        assert told["checkpoints"] == []
        assert told["metrics"] == []
        as_json(told)


def test_runs_are_told_by_policy_version():
    told = dynamics(memory(course_of([10, 11, 12])), [])
    assert told["checkpoints"] == [10, 11, 12]
    assert told["axis"] == "policy version"
    success = metric(told, "success")["series"][0]
    np.testing.assert_allclose(success["values"], [1 / 3, 2 / 3, 1 / 3], rtol=1e-5)
    assert all(low < v < high for low, v, high in zip(success["low"], success["values"], success["high"], strict=True))
    assert metric(told, "dead")["series"][0]["values"] == [0, 0, 0]
    assert metric(told, "steps")["series"][0]["values"] == [2, 2, 2]
    drift = metric(told, "drift")["series"][0]
    assert drift["name"] == "grpo"
    assert drift["values"][0] is None
    assert drift["n"] == [0, 72, 72]
    histogram = told["histograms"][0]
    assert [sum(row) for row in histogram["counts"]] == [72, 72, 72]
    as_json(told)


def test_batches_stand_in_where_no_policy_is_told_and_runs_without_either_are_named():
    runs = [Rollout(group=f"g{b}", rollout=f"{b}{n}", outcome=float(n), batch=b) for b in range(2) for n in range(2)]
    told = dynamics(memory(runs), [])
    assert told["axis"] == "batch"
    assert told["checkpoints"] == [0, 1]
    told = dynamics(memory([*course_of([1]), Rollout(group="z", rollout="z", outcome=0.0, steps=[Step()])]), [])
    assert told["checkpoints"] == [1]
    assert "1 of 37 runs do not say which policy version" in told["notes"][0]


def test_one_checkpoint_has_no_drift_and_unknown_outcomes_stay_unknown():
    runs = [rollout(3, HOSTILE, n, None if n < 2 else 1.0) for n in range(3)]
    told = dynamics(memory(runs), [])
    assert told["checkpoints"] == [3]
    assert metric(told, "success")["series"][0]["n"] == [1]
    assert metric(told, "dead")["series"][0]["values"] == [None]  # one known outcome says nothing of a task
    assert metric(told, "drift")["series"][0]["values"] == [None]
    as_json(told)


def test_runs_without_any_credit_still_tell_their_outcomes():
    told = dynamics(memory([rollout(v, "t", 0, None) for v in (1, 2)], methods=()), [])
    assert told["methods"] == told["histograms"] == []
    assert metric(told, "success")["series"][0]["values"] == [None, None]
    assert told["notes"] == ["no method has given these runs credit"]


def test_many_checkpoints_are_told_together():
    runs = [rollout(v, f"t{v % 7}", 0, 1.0, steps=1) for v in range(500)]
    told = dynamics(memory(runs), [])
    assert len(told["checkpoints"]) == CHECKPOINTS
    assert any("500 checkpoints" in n for n in told["notes"])
    assert len(json.dumps(told)) < 300_000


def test_a_training_folder_is_told_by_its_metrics(tmp_path):
    lines = [
        {
            "step": 0,
            "rollouts": 0,
            "seconds": 0,
            "eval_success": 0.5,
            "eval_success_low": 0.4,
            "eval_success_high": 0.6,
        },
        {"step": 1, "rollouts": 8, "seconds": 1, "loss": 0.25, "rollouts/success": 0.5, "epoch": 0.1, "word": "x"},
        {"step": 2, "rollouts": 16, "seconds": 2, "loss": float("nan"), "rollouts/success": 1.0, HOSTILE: 3, "b": True},
    ]
    told = dynamics(None, [train_folder(tmp_path, lines)])
    assert told["checkpoints"] == [0, 1, 2]
    success = metric(told, "eval_success")
    assert (success["part"], success["unit"]) == ("outcomes", "share")
    assert success["series"] == [{"name": "run", "at": [0], "values": [0.5], "low": [0.4], "high": [0.6]}]
    assert metric(told, "loss")["series"][0]["at"] == [1]
    names = {m["name"] for m in told["metrics"]}
    assert names == {"eval_success", "rollouts/success", "loss", HOSTILE[:80]}
    as_json(told)


def test_two_folders_are_two_lines_and_what_is_no_line_is_named(tmp_path):
    one = train_folder(tmp_path, [{"step": 1, "loss": 1.0}, "no json", {"step": 2, "loss": 2.0}, '{"step": 3, "lo'])
    two = train_folder(tmp_path, [{"step": 1, "loss": 3.0}, {"step": 10**400, "loss": 1}, [1]], "other")
    told = dynamics(None, [one, two, tmp_path / "none.jsonl"])
    assert [s["name"] for s in metric(told, "loss")["series"]] == ["run", "other"]
    assert metric(told, "loss")["series"][0]["values"] == [1, 2]
    assert len(told["notes"]) == 2
    assert "1 lines" in told["notes"][0]
    as_json(told)


def test_long_logs_and_many_metrics_are_cut(tmp_path):
    lines = [{"step": k, "loss": float(k % 10)} for k in range(5000)]
    lines.append({"step": 5000, **{f"m{k}": k for k in range(300)}})
    told = dynamics(None, [train_folder(tmp_path, lines)])
    loss = metric(told, "loss")["series"][0]
    assert len(loss["at"]) == POINTS
    assert max(loss["high"]) == 9
    assert len(told["metrics"]) == SERIES
    assert "301 metrics" in told["notes"][0]


def written(tmp_path, value, name="board.json"):
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_the_shipped_figures_are_boards():
    told = boards([Path(str(files("stepcredit.bench") / "measured.json"))])
    place = [b for b in told["boards"] if b["figure"] == "worlds rank"]
    assert {b["better"] for b in place} == {"lower"}
    assert place[0]["rows"] == sorted(place[0]["rows"], key=lambda r: r["value"])
    reached = next(b for b in told["boards"] if b["figure"] == "rho")
    assert "8 rollouts" in reached["where"]
    assert all(r["low"] <= r["value"] <= r["high"] for r in reached["rows"])
    assert next(r for r in reached["rows"] if r["name"] == "same edge")["baseline"]
    as_json(told)


def test_rows_of_a_suite_are_boards_by_figure_and_place(tmp_path):
    rows = [
        {"part": "a", "data": d, "method": m, "kind": k, "runs": 9, "exact": v, "exact_interval": [v - 0.1, v + 0.1]}
        for d in ("one", "two")
        for m, k, v in (("x", "method", 0.5), ("last step", "baseline", 0.7), ("y", "method", 0.9))
    ]
    rows[0]["mse"], rows[0]["mse_interval"] = 2.0, [None, None]
    told = boards([written(tmp_path, {"suite": "diagnose", "date": "2026-01-01", "rows": rows})])
    assert [(b["figure"], b["where"]) for b in told["boards"]] == [
        ("exact", "a, one"),
        ("mse", "a, one"),
        ("exact", "a, two"),
    ]
    exact, mse, _ = told["boards"]
    assert [r["name"] for r in exact["rows"]] == ["y", "last step", "x"]
    assert [r["baseline"] for r in exact["rows"]] == [False, True, False]
    assert (exact["interval"], mse["interval"], mse["better"]) == ("90%", "", "lower")
    assert mse["rows"][0] == {"name": "x", "value": 2, "low": None, "high": None, "baseline": False}
    assert exact["source"] == "board.json"


def test_what_is_no_board_is_named_and_hostile_names_are_only_text(tmp_path):
    bad = [{"method": HOSTILE, "same": "0.5", "same_interval": [0, 1]}, {"method": HOSTILE, "same": True}, 7]
    good = [{"method": HOSTILE, "same": 0.5, "same_interval": "wide"}, {"same": 1e308, "same_interval": [0, 10**400]}]
    given = [
        written(tmp_path, "{", "cut.json"),
        written(tmp_path, "[]", "list.json"),
        written(tmp_path, {"suite": "s", "rows": bad}, "bad.json"),
        written(tmp_path, {"suite": HOSTILE, "rows": good}, "good.json"),
        tmp_path / "absent.json",
    ]
    told = boards(given)
    assert len(told["notes"]) == 4
    (board,) = told["boards"]
    assert [(r["value"], r["low"]) for r in board["rows"]] == [(1e308, None), (0.5, None)]
    assert "<" not in as_json(told)


@pytest.mark.parametrize("empty", [{"suite": "s", "rows": []}, {"scores": {}, "settings": []}, {"scores": {"a": 1}}])
def test_an_empty_result_has_no_boards(tmp_path, empty):
    told = boards([written(tmp_path, empty)])
    assert told["boards"] == []
    assert told["notes"] == ["board.json: no figures with rows"]
    assert boards([]) == {"boards": [], "notes": []}


def test_a_huge_result_is_cut_and_says_so(tmp_path):
    rows = [
        {"method": f"m{k}", "setting": f"w{s}", "same": k / 1000, "same_interval": [0, 1]}
        for s in range(BOARDS + 5)
        for k in range(ROWS + 1 if s == 0 else 1)
    ]
    told = boards([written(tmp_path, {"suite": "mdp", "rows": rows})])
    assert len(told["boards"]) == BOARDS
    assert len(told["boards"][0]["rows"]) == ROWS
    assert len(told["notes"]) == 2
