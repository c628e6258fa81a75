"""`stepcredit methods`, `select` and `evidence`."""

import json

import pytest
from cli_runner import rollout, runner, save, two_tasks

from stepcredit.data import read
from stepcredit.systems import KINDS, names


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def tasks(tmp_path):
    return two_tasks(tmp_path / "runs.jsonl")


@pytest.fixture
def texts(tmp_path):
    call = {"name": "add", "arguments": {"a": 1, "b": 2}}
    gold = [{"name": "add", "arguments": {"a": 1, "b": 2}}]
    steps = [{"text": "I add.", "tool_calls": [call]}, {"text": "<answer>3</answer>"}]
    rows = [rollout("p", r, r % 2, steps, task="1+2?", gold="3", gold_calls=gold) for r in range(2)]
    return save(tmp_path / "texts.jsonl", *rows)


def test_methods_lists_every_system_with_its_kind(run):
    listed = run("methods", "--json").json()
    assert [m["name"] for m in listed] == names()
    assert {m["kind"] for m in listed} == set(KINDS)
    for kind in KINDS:
        only = run("methods", "--kind", kind, "--json").json()
        assert only == [m for m in listed if m["kind"] == kind] and only


def test_a_card_says_what_it_costs_and_how_right_it_was(run):
    one = run("methods", "capo", "--json").json()
    assert "critique" in one["cost"] and one["paper"] == "arXiv:2508.02298"
    out = run("methods", "grpo").out
    assert "Cost:" in out and "median place" in out and "0.5 is chance" in out


def test_select_keeps_writes_and_counts(run, tmp_path):
    path = save(tmp_path / "a.jsonl", *(rollout(g, r, (r % 2) * (g == "p")) for g in "pq" for r in range(4)))
    kept = tmp_path / "kept.jsonl"
    ran = run("select", path, "--selector", "dapo", "-o", kept, "--json")
    told = ran.json()
    assert ran.status == 0 and told["kept"] == 4 and sum(told["left_out"].values()) == 4
    assert {r.group for r in read(kept).records} == {"p"}


def test_select_says_which_tasks_want_more(run, tasks, tmp_path):
    rows = [json.loads(line) for line in tasks.read_text().splitlines()]
    path = save(tmp_path / "b.jsonl", *({**r, "evidence": {"prior_value": 0.5}} for r in rows))
    out = run("select", path, "--selector", "v0", "--set", "budget=8").out
    assert "draw more" in out


def test_an_unknown_selector_names_the_nearest(run, tasks):
    ran = run("select", tasks, "--selector", "dapoo")
    assert ran.status == 2 and "dapo" in ran.err


def test_evidence_without_a_model_writes_its_column(run, texts, tmp_path):
    out = tmp_path / "matched.jsonl"
    ran = run("evidence", texts, "--kind", "tool_match", "--set", "answer=gold", "-o", out, "--json")
    assert ran.status == 0 and [row["column"] for row in ran.json()] == ["reward"]
    assert "no model calls" in ran.err
    assert read(out)["reward"].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_evidence_asks_a_function_of_yours_after_saying_the_price(run, texts, tmp_path):
    judge = tmp_path / "mine.py"
    judge.write_text("def ask(prompts):\n    return ['<wrong>2</wrong>'] * len(prompts)\n")
    dry = run("evidence", texts, "--kind", "judge_steps@capo", "--dry-run", "--json")
    assert dry.json() == {"calls": {"judge": 8}, "at_most": False}
    out = tmp_path / "judged.jsonl"
    ran = run("evidence", texts, "--kind", "judge_steps@capo", "--with", f"judge={judge}:ask", "-o", out)
    assert ran.status == 0 and "8 judge calls" in ran.err
    assert read(out)["votes"].tolist() == [[1] * 4, [-1] * 4] * 2
    assert run("assign", out, "--method", "capo").status == 0


def test_facts_about_rollouts_come_back_from_the_file(run, texts, tmp_path):
    out = tmp_path / "checked.parquet"
    ran = run("evidence", texts, "--kind", "outcome_check", "--set", "answers=true", "-o", out)
    assert ran.status == 0, ran.err
    back = read(out)
    assert back["answer_share"].tolist() == [1.0, 1.0] and back["answer"][0] == back["answer"][1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--kind", "judge_steps"], "asks for a judge"),
        (["--kind", "judge_steps", "--with", "sampler=x"], "judge_steps asks for judge"),
        (["--kind", "judge_steps", "--with", "judge=nowhere.py:f"], "no Python file"),
        (["--kind", "judge_steps", "--with", "judge=DIR"], "a local model is no judge"),
        (["--kind", "tool_matches"], "tool_match"),
        (["--kind", "tool_match", "--set", "nothing=1"], "no option of tool_match"),
    ],
)
def test_what_is_missing_for_evidence_is_said(run, texts, argv, said):
    ran = run("evidence", texts, *argv)
    assert ran.status == 2 and said in ran.err
