"""What broken files did to `stepcredit diagnose`, and must not do again."""

import json

import pytest
from cli_runner import runner


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
