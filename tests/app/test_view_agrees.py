"""The page and `stepcredit diagnose` name the same step, by the same numbers."""

import json

import pytest
from cli_runner import runner, save
from view_kit import needed

from stepcredit.app.view.building import Order
from stepcredit.app.view.query import Query
from stepcredit.app.view.store import Store, cache_folder


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


def chat(task, name, outcome, *said):
    """A chat without states: what is done and what comes back."""
    turns = [{"role": "user", "content": f"Do {task}."}]
    for i, (tool, reply) in enumerate(said):
        call = {"id": f"c{i}", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        turns += [{"role": "assistant", "content": None, "tool_calls": [call]}]
        turns += [{"role": "tool", "tool_call_id": f"c{i}", "content": reply}]
    return {"id": name, "messages": turns, "success": outcome}


ROWS = [
    chat("a", "bad", 0, ("look", "a room"), ("jump", "a pit"), ("wait", "dark")),
    *(chat("a", f"good{i}", 1, (f"peek{i}", "a room"), ("open", "a door"), ("leave", "sun")) for i in range(3)),
    chat("b", "fails", 0, ("find", "error: no such file"), ("say", "ok")),
    chat("c", "loops", 0, ("ping", "none"), ("ping", "none"), ("ping", "none")),
]


def test_the_page_says_what_the_command_says(run, tmp_path):
    needed()
    path = save(tmp_path / "runs.jsonl", *ROWS)
    told = json.loads(run("diagnose", path, "--json").out)["runs"]
    root = cache_folder(tmp_path / "cache")
    made = Store(Order((str(path),), diagnose=("combined",)), root)
    made.here()
    query = Query(made.folder, root)
    columns = query.columns()
    query.close()
    made.drop()
    page = {
        name: (columns["worst"][i], columns["confidence"][i], columns["error"][i])
        for i, name in enumerate(columns["rollout"])
    }
    said = {one["rollout"]: one["verdicts"][0] for one in told}
    assert len(said) == 3 and any(one["step"] is not None for one in said.values())
    for name, one in said.items():
        assert page[name] == (one["step"], pytest.approx(one["confidence"]), one["error"])
