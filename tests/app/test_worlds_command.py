"""`stepcredit worlds`: the list with its figures, one world shown."""

import json

import pytest

import stepcredit as sc
from stepcredit.app.worlds import worlds
from stepcredit.envs import text
from stepcredit.errors import MissingExtra


@pytest.fixture
def few(monkeypatch):
    """Two worlds, and one whose package is missing."""

    def absent():
        raise MissingExtra("bm25s", "envs", "multi_hop_search")

    makers = {"frozen_lake": text.get("frozen_lake"), "hand_off": text.get("hand_off"), "multi_hop_search": absent}
    monkeypatch.setattr(text, "names", lambda: sorted(makers))
    monkeypatch.setattr(text, "get", makers.__getitem__)


def test_each_world_has_a_row_and_what_is_missing_is_said(few, capsys):
    worlds(tasks=3)
    out, err = capsys.readouterr()
    head, *rows = [row.split("\t") for row in out.splitlines()]
    assert head[:5] == ["world", "horizon", "expert", "steps", "actions"]
    assert [row[0] for row in rows] == ["frozen_lake", "hand_off"]
    assert rows[1][1:4] == ["12", "1 [0.438, 1]", "6"]
    assert "multi_hop_search needs bm25s" in err
    assert "pip install 'stepcredit[envs]'" in err


def test_figures_as_json(few, capsys):
    worlds(tasks=3, json=True)
    told = json.loads(capsys.readouterr().out)
    assert [w["name"] for w in told["worlds"]] == ["frozen_lake", "hand_off"]
    assert told["worlds"][1]["expert"] == 1
    assert list(told["absent"]) == ["multi_hop_search"]


def test_one_world_is_shown_with_its_tools_and_a_walk(capsys):
    worlds("hand_off", seed=3)
    out = capsys.readouterr().out
    assert "Options: shelves=4, gates=2, horizon=12" in out
    assert "Tool note(code): Planner:" in out
    assert "\nplanner> note " in out
    assert out.rstrip().endswith("Outcome: 1")


def test_one_world_as_json(capsys):
    worlds("frozen_lake", json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["tools"][0]["name"] == "go"
    assert sum(step["reward"] for step in told["expert"]) == 1


def test_a_world_that_is_not_there_names_the_nearest():
    with pytest.raises(sc.StepCreditError, match="frozen_lake"):
        worlds("frozen_lak")
