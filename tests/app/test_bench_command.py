"""`stepcredit bench` and `stepcredit advise` as commands."""

import json

import pytest
from cli_runner import rollout, runner, save

from stepcredit.app import leaderboard
from stepcredit.bench.advice import measured
from stepcredit.bench.entries import entries

METHOD = '''
from stepcredit.credit import Card

CARD = Card("Mine", "none", "", "derived", needs="outcomes", bias="", departures="")


def mine(layout, outcome):
    """Half of the outcome."""
    return 0.5 * outcome[layout.rollout]
'''


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.delenv("STEPCREDIT_DATA", raising=False)
    return runner(monkeypatch, capsys)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD, "utf-8")
    return path


def small(suite):
    return {
        "game24": ("--puzzles", 12, "--draws", 1, "-n", 4),
        "mdp": ("--worlds", 2, "-n", 2),
        "drift": ("--worlds", 2, "--quick"),
    }[suite]


@pytest.mark.parametrize("suite", ["game24", "mdp", "drift"])
def test_a_method_from_a_file_is_measured_beside_others(run, mine, suite):
    found = run("bench", suite, *small(suite), "-M", mine, "-M", "grpo", "--json")
    assert found.status == 0, found.err
    told = found.json()
    assert told["suite"] == suite and told["settings"]["methods"] == [str(mine), "grpo"]
    assert {str(mine), "grpo"} <= {row["method"] for row in told["rows"]}


def test_tables_and_plots_for_people(run, tmp_path):
    found = run("bench", "drift", *small("drift"), "-M", "grpo", "-M", "salt", "--plots", tmp_path / "plots")
    assert found.status == 0
    assert "minus_grpo" not in found.out and "salt" in found.out
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 5


def test_an_interrupted_run_goes_on_and_equals_one_that_was_not(run, tmp_path):
    store, command = tmp_path / "store.jsonl", ("bench", "drift", *small("drift"), "-M", "grpo", "--json")
    whole = run(*command).json()
    run(*command, "--store", store)
    lines = store.read_text("utf-8").splitlines(keepends=True)
    store.write_text("".join(lines[:6]) + lines[6][:10], "utf-8")
    again = run(*command, "--store", store, "--jobs", 2).json()
    assert again["rows"] == whole["rows"]


@pytest.mark.parametrize("suite", ["people", "judges"])
def test_without_data_it_says_what_to_give(run, suite):
    found = run("bench", suite)
    assert found.status == 2
    assert "STEPCREDIT_DATA" in found.err


def test_a_leaderboard(run, mine, tmp_path, monkeypatch):
    sizes = {
        "simulated": {"simulated": True, "puzzles": 12, "draws": 1, "n": (4, 8)},
        "mdp": {"worlds": 2, "n": (8, 32), "draws": 1},
        "evidence": {"worlds": 2, "draws": 1, "puzzles": 12, "samplings": 1},
        "drift": {"worlds": 2, "draws": 1},
    }
    small = [s._replace(given=sizes[s.name]) for s in leaderboard.sections(None)]
    monkeypatch.setattr(leaderboard, "sections", lambda data: small)
    page, numbers = tmp_path / "board.md", tmp_path / "measured.json"
    names = [x for n in ("grpo", "salt", "stepcredit_graph", mine) for x in ("-M", n)]
    found = run("bench", "leaderboard", *names, "-o", page, "--measured", numbers)
    assert found.status == 0, found.err
    text = page.read_text("utf-8")
    assert "## Game of 24, simulated" in text and "own steps" not in text
    assert str(mine) in text
    plots = {line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert plots and all((tmp_path / plot).is_file() for plot in plots)
    settings = json.loads(numbers.read_text("utf-8"))["settings"]
    assert "ring, 8 rollouts" in {one["name"] for one in settings}
    assert all({"grpo", "salt", "stepcredit_graph", str(mine)} <= set(one["reached"]) for one in settings)


def runs(path, groups, states):
    rows = []
    for g in range(groups):
        for r in range(4):
            steps = [{"state": states(g, r, t), "action": f"a{(r + t) % 2}"} for t in range(5)]
            rows.append(rollout(f"g{g}", r, int((g + r) % 2), steps))
    return save(path, *rows)


def test_advice_for_states_that_come_back(run, tmp_path):
    found = run("advise", runs(tmp_path / "runs.jsonl", 6, lambda g, r, t: f"s{t}.{r // 2 if t else 0}"), "--json")
    told = found.json()
    assert told["profile"]["rollouts"] == 4 and told["profile"]["met"] == 1.0
    assert told["methods"][0]["method"] in ("stepcredit_graph", "q_minus_v")
    assert told["methods"][0]["rho"] > next(m["rho"] for m in told["methods"] if m["method"] == "grpo")
    assert any("tell steps apart" in reason for reason in told["reasons"])
    assert "pure" in told["lacking"]


def test_advice_for_states_that_do_not_come_back(run, tmp_path):
    found = run("advise", runs(tmp_path / "runs.jsonl", 6, lambda g, r, t: f"s{g}.{r}.{t}"), "--json")
    assert any("seldom come back" in reason for reason in found.json()["reasons"])


def test_advice_without_states(run, tmp_path):
    steps = [{"text": "one"}, {"text": "two"}]
    path = save(tmp_path / "runs.jsonl", *(rollout("g", r, r % 2, steps) for r in range(4)))
    told = run("advise", path, "--json").json()
    assert any("--states last" in reason for reason in told["reasons"])
    assert not {"gigpo", "salt", "stepcredit_graph"} & {m["method"] for m in told["methods"]}


def test_every_method_advised_can_be_assigned(run, tmp_path):
    path = runs(tmp_path / "runs.jsonl", 3, lambda g, r, t: f"s{t}")
    for one in run("advise", path, "--all", "--json").json()["methods"]:
        assert run("assign", path, "-M", one["method"], "-o", tmp_path / "out.jsonl").status == 0, one


def test_what_is_advised_was_measured_for_every_method_that_the_worlds_can_run():
    from stepcredit.envs import tabular, worlds

    able = set(entries(tabular.sample([worlds.get("ring")()], 2, seed=0))) - {"q_minus_v", "same edge"}
    assert all(able <= set(setting.reached) for setting in measured())


def test_advice_names_the_evidence_that_a_method_here_uses(run, tmp_path):
    steps = [{"text": t, "evidence": {"score": s}} for t, s in (("one", 0.2), ("two", 0.9))]
    path = save(tmp_path / "runs.jsonl", *(rollout("g", r, r % 2, steps) for r in range(4)))
    reasons = run("advise", path, "--json").json()["reasons"]
    (told,) = [reason for reason in reasons if reason.startswith("Evidence about steps is there: score (")]
    assert "pure" in told and "opagent" in told


def test_no_advice_where_nothing_can_be_said(run, tmp_path):
    steps = [{"state": "a"}, {"state": "b"}]
    one = run("advise", save(tmp_path / "one.jsonl", *(rollout(f"g{g}", 0, g % 2, steps) for g in range(4))), "--json")
    assert [m["method"] for m in one.json()["methods"]] == ["reinforce_plus_plus"]
    none = run("advise", save(tmp_path / "none.jsonl", *(rollout("g", r, None, steps) for r in range(4))), "--json")
    assert none.json()["methods"] == []
    assert "nothing that credit could be given for" in none.json()["reasons"][0]


def test_a_method_that_raises_is_a_row_and_the_others_go_on(run, tmp_path):
    path = tmp_path / "raises.py"
    path.write_text(METHOD.replace("mine", "raises").replace("return 0.5", "raise RuntimeError('no') #"), "utf-8")
    told = run("bench", "mdp", *small("mdp"), "-M", path, "-M", "grpo", "--json").json()
    assert {r["method"] for r in told["rows"] if "error" in r} == {str(path)}
    assert any(r["method"] == "grpo" and r["pearson"] is not None for r in told["rows"])


def test_advice_for_rollouts_of_one_step(run, tmp_path):
    path = save(tmp_path / "runs.jsonl", *(rollout("g", r, r % 2, [{"state": "a"}]) for r in range(4)))
    reasons = run("advise", path, "--json").json()["reasons"]
    assert any("No rollout has a second step" in reason for reason in reasons)
    assert not any("another rollout" in reason for reason in reasons)
