"""What broken files did to `stepcredit diagnose`, and must not do again."""

import json

import pytest
from cli_runner import rollout, runner, save


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.mark.parametrize("options", [(), ("--on-error", "skip")])
def test_a_file_whose_rows_name_no_task_is_an_error_not_a_clean_bill(run, tmp_path, options):
    (tmp_path / "runs.jsonl").write_text(
        json.dumps({"group": {"a": 1}, "rollout": 1, "outcome": 0, "steps": []}) + "\n"
    )
    ran = run("diagnose", "runs.jsonl", *options)
    assert ran.status == 2 and "'group' has the wrong type" in ran.err


def test_who_asks_a_judge_is_named_and_nobody_else(run, tmp_path):
    runs = save(tmp_path / "runs.jsonl", rollout(outcome=0))
    ran = run("diagnose", runs, "-M", "spectrum", "-M", "all_at_once")
    assert ran.status == 2 and "error: all_at_once asks a judge" in ran.err


def test_where_no_run_says_whether_it_succeeded_that_is_what_is_asked_for(run, tmp_path):
    runs = save(tmp_path / "runs.jsonl", rollout(outcome=None))
    assert (
        "no run says whether it succeeded: name the field that does (--map outcome=FIELD)" in run("diagnose", runs).err
    )
