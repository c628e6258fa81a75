"""`stepcredit diagnose --world`: runs replayed in a world; who acts, what it costs, what cannot be replayed."""

import json

import pytest
from cli_runner import runner, save

import stepcredit as sc
from stepcredit.app._diagnose_world import _policy, amounts
from stepcredit.data import Reading
from stepcredit.envs import text
from stepcredit.envs.play import expert, noisy, play
from stepcredit.errors import StepCreditError

ROOMS = text.get("key_door_rooms")(size=2, horizon=8)
WORLD = ("--world", "key_door_rooms:size=2:horizon=8")
SEARCH = ("-M", "decisive_search")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def runs(tmp_path):
    """Twelve runs, some of which failed."""
    path = tmp_path / "runs.jsonl"
    sc.write(play(ROOMS.episode, noisy(expert, 0.5, seed=3), seeds=range(4), n=3), path)
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def first_failed(path):
    return next(row for row in rows(path) if row["outcome"] == 0)


def can_still(seed, actions):
    """[S + 1] whether the expert succeeds after so many of the actions."""
    episode, out = ROOMS.episode(), []
    episode.reset(seed=seed)
    for action in [*actions, None]:
        twin = episode.fork()
        while not twin.ended:
            twin.step(twin.expert())
        out.append(twin.outcome >= 1)
        if action is not None:
            episode.step(action)
    return out


def test_the_step_is_found_from_which_the_expert_can_no_longer_succeed(run, runs):
    ran = run("diagnose", runs, *SEARCH, *WORLD, "--json")
    assert ran.status == 1, ran.err
    told = {one["rollout"]: one["verdicts"][0] for one in ran.json()["runs"]}
    failed = [row for row in rows(runs) if row["outcome"] == 0]
    assert len(told) == len(failed) > 3
    for row in failed:
        can, verdict = can_still(int(row["group"]), [s["action"] for s in row["steps"]]), told[row["rollout"]]
        last = max((t for t in range(len(row["steps"])) if can[t]), default=None)
        assert (verdict["status"], verdict["step"]) == (("unknown", None) if last is None else ("found", last))
    assert {verdict["status"] for verdict in told.values()} >= {"found"}
    assert "the world's expert acts" in ran.err
    assert ran.json()["spent"].keys() == {"world_steps", "episodes"}


def test_chances_have_their_intervals_in_words(run, runs):
    name = first_failed(runs)["rollout"]
    ran = run("diagnose", runs, "-M", "counterfactual_replay", *WORLD, "--policy", "expert:noise=0.2", "--run", name)
    (line,) = [line for line in ran.out.splitlines() if line.startswith("  chance of success: ")]
    assert "of 16 tries" in line and line.count("[") >= 1 and "%, " in line


def test_the_dry_run_tells_the_most_and_plays_nothing(run, runs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("stepcredit.envs.text_world.Episode.step", None)
        dry = run("diagnose", runs, *SEARCH, *WORLD, "--dry-run", "--json")
    assert dry.status == 0, dry.err
    most = dry.json()["most"]
    failed = [row for row in rows(runs) if row["outcome"] == 0]
    assert dry.json()["runs"] == len(failed) and most["episodes"] == 32 * 4 * len(failed)
    assert most["steps of the world"] == 8 * most["episodes"]
    spent = run("diagnose", runs, *SEARCH, *WORLD, "--json").json()["spent"]
    assert 0 < spent["episodes"] <= most["episodes"] + len(failed)
    assert 0 < spent["world_steps"] <= most["steps of the world"] + 8 * len(failed)
    table = run("diagnose", runs, *SEARCH, "-M", "last_step", *WORLD, "--dry-run")
    assert f"steps of the world\t0\t{8 * int(most['episodes']):,}\n" in table.out


def test_a_sampler_is_counted_beside_the_world(run, runs):
    dry = run("diagnose", runs, *SEARCH, *WORLD, "--server", "http://127.0.0.1:9/v1", "--dry-run", "--json")
    most = dry.json()["most"]
    assert most["calls"] == most["calls to the sampler"] == most["steps of the world"]
    assert most["tokens written, at most"] == 64 * most["calls"]


def test_a_budget_of_steps_is_kept_and_leaves_the_rest_unknown(run, runs):
    whole = run("diagnose", runs, *SEARCH, *WORLD, "--json").json()
    half = whole["spent"]["world_steps"] // 2
    some = run("diagnose", runs, *SEARCH, *WORLD, "--budget", f"{half}steps", "--json").json()
    assert some["spent"]["world_steps"] == half
    assert 0 < some["counts"]["found"] < whole["counts"]["found"]
    verdicts = [one["verdicts"][0] for one in some["runs"]]
    assert f"the budget is spent: {half:,} steps of the world" in [v["reason"] for v in verdicts]
    none = run("diagnose", runs, *SEARCH, *WORLD, "--budget", "1steps", "--json").json()
    assert none["spent"]["world_steps"] == 1 and none["counts"]["unknown"] == none["counts"]["diagnosed"]


def test_budgets_are_split_between_models_and_the_world():
    assert amounts(None) == (None, None)
    assert amounts("20calls") == ("20calls", None)
    assert amounts("2ksteps, 3Mtokens,5min") == (" 3Mtokens,5min", 2000)
    for wrong in ("3steps,4steps", "1.5steps"):
        with pytest.raises(StepCreditError):
            amounts(wrong)


# what cannot be replayed


def spoiled(path, change):
    """The runs, the first that failed changed."""
    made = rows(path)
    change(next(row for row in made if row["outcome"] == 0))
    return save(path.with_name("spoiled.jsonl"), *made)


def fly(row):
    row["steps"][1]["action"] = "fly"
    row["steps"][2]["state"] = "You are at a9."


def elsewhere(row):
    row["steps"][0]["state"] = "You are at a9."


def nowhere(row):
    row["group"] = "cups"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fly, ["step 1: ", "another state than the record after step 1; it does not take 'fly': there is no action"]),
        (elsewhere, ["step 0: ", "the world begins in another state"]),
        (nowhere, ["the group 'cups' is not the number of a task", "a field `seed`"]),
    ],
)
def test_a_run_that_the_world_does_not_replay_is_named_with_file_row_and_step(run, runs, change, said):
    path = spoiled(runs, change)
    row = next(i for i, one in enumerate(rows(path), 1) if one["outcome"] == 0)
    ran = run("diagnose", path, runs.with_name("none.jsonl"), *SEARCH, *WORLD)
    assert ran.status == 2
    ran = run("diagnose", path, *SEARCH, *WORLD, "-o", "out.jsonl")
    assert ran.status == 2 and ran.out == ""
    name = rows(path)[row - 1]["rollout"]
    for text_ in (f"spoiled.jsonl, row {row}, rollout '{name}'", "key_door_rooms", "hint: ", *said):
        assert text_ in ran.err, ran.err
    assert not runs.with_name("out.jsonl").exists()


def test_the_file_is_named_where_there_are_several(run, runs, tmp_path):
    other = save(tmp_path / "other.jsonl", {**rows(spoiled(runs, elsewhere))[0], "group": "9", "rollout": "odd"})
    changed = {**first_failed(runs), "group": "9", "rollout": "odd"}
    elsewhere(changed)
    save(other, changed)
    ran = run("diagnose", runs, other, *SEARCH, *WORLD)
    assert ran.status == 2 and "other.jsonl, row 1, rollout 'odd', step 0" in ran.err


def test_such_runs_can_be_left_out(run, runs):
    ran = run("diagnose", spoiled(runs, fly), *SEARCH, *WORLD, "--on-error", "skip", "--json")
    failed = sum(row["outcome"] == 0 for row in rows(runs))
    assert ran.status == 1 and ran.json()["counts"]["diagnosed"] == failed - 1
    assert "left out 1 runs that key_door_rooms does not replay:" in ran.err and "'fly'" in ran.err


@pytest.mark.parametrize("world", ["key_door_rooms:size=3:horizon=8", "key_door_rooms:size=2:horizon=3", "frozen_lake"])
def test_another_world_and_other_options_are_told(run, runs, world):
    ran = run("diagnose", runs, *SEARCH, "--world", world)
    assert ran.status == 2 and "does not replay it" in ran.err and "rollout " in ran.err


def test_a_world_that_goes_on_behind_the_end_is_told(run, runs):
    ran = run("diagnose", runs, *SEARCH, "--world", "key_door_rooms:size=2:horizon=20")
    assert ran.status == 1 and "key_door_rooms goes on behind the end of" in ran.err
    assert "goes on" not in run("diagnose", runs, *SEARCH, *WORLD).err


def test_chance_is_no_error_and_another_task_is(run, tmp_path):
    lake = text.get("frozen_lake")(size=4, slip=0.2)
    path = tmp_path / "lake.jsonl"
    sc.write(play(lake.episode, noisy(expert, 0.4, seed=0), seeds=range(2), n=3), path)
    ran = run("diagnose", path, *SEARCH, "--world", "frozen_lake:slip=0.2", "--json")
    assert ran.status == 1 and ran.json()["counts"]["found"] > 0
    wrong = run("diagnose", path, *SEARCH, "--world", "frozen_lake:slip=0.2:size=5")
    assert wrong.status == 2 and "tells another task" in wrong.err


def test_a_field_says_the_number_of_the_task(run, runs, tmp_path):
    made = [{**row, "group": f"10/{row['group']}", "seed": int(row["group"])} for row in rows(runs)]
    plain = run("diagnose", runs, *SEARCH, *WORLD, "--json").json()
    named = run("diagnose", save(tmp_path / "named.jsonl", *made), *SEARCH, *WORLD, "--json").json()
    pick = [[(one["rollout"], one["verdicts"][0]["step"]) for one in told["runs"]] for told in (plain, named)]
    assert pick[0] == pick[1]


# who acts


def test_chance_alone_finds_less_than_the_expert(run, runs):
    found = {
        who: run("diagnose", runs, *SEARCH, *WORLD, "--policy", who, "--json").json()["counts"]["found"]
        for who in ("expert", "random")
    }
    assert found["random"] < found["expert"]


def test_a_function_acts_and_a_sampler_acts(run, runs, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from types import SimpleNamespace as Sample\n"
        "asked = []\n"
        "def policy(episodes, read):\n"
        "    return [episode.expert() for episode in episodes]\n"
        "def sampler(prompts, *, n, max_tokens, temperature, stop):\n"
        "    asked.extend((p, max_tokens, temperature) for p in prompts)\n"
        "    assert all(p.startswith('Two rooms') and p.endswith('> ') for p in prompts)\n"
        "    assert (max_tokens, temperature) == (5, 0.5)\n"
        "    return [[Sample(text='go north')] * n for _ in prompts]\n"
    )
    by_expert = run("diagnose", runs, *SEARCH, *WORLD, "--json").json()["runs"]
    assert run("diagnose", runs, *SEARCH, *WORLD, "--policy", "mine.py:policy", "--json").json()["runs"] == by_expert
    given = ("--with", "sampler=mine.py:sampler", "-s", "max_tokens=5", "-s", "temperature=0.5")
    ran = run("diagnose", runs, *SEARCH, *WORLD, *given, "--json")
    assert ran.status == 0 and "the sampler acts" in ran.err
    assert all("from the task alone" in one["verdicts"][0]["reason"] for one in ran.json()["runs"])
    lost = run("diagnose", runs, *SEARCH, *WORLD, "--policy", "sampler")
    assert lost.status == 2 and "--server URL" in lost.err


class Silent(ROOMS.__class__):
    """Rooms that list nothing and have no expert."""

    def actions(self, state):
        return []

    def expert(self, state):
        return None


def test_who_is_not_there_cannot_act():
    silent = Silent(2, 8)
    for who, said in (("expert", "has no expert"), ("random", "has no list of actions")):
        with pytest.raises(StepCreditError, match=said):
            _policy(who, "silent", silent)


def test_agents_are_put_right_in_the_world(run, tmp_path):
    pair = text.get("hand_off")(shelves=3, gates=2)
    path = tmp_path / "pair.jsonl"
    sc.write(play(pair.episode, noisy(expert, 0.4, seed=1), seeds=range(3), n=4), path)
    ran = run("diagnose", path, "-M", "cdc_mas", "--world", "hand_off:shelves=3:gates=2", "-o", tmp_path / "out.jsonl")
    assert ran.status == 1, ran.err
    blamed = [run.blame[0] for run in Reading(str(tmp_path / "out.jsonl")) if run.blame]
    assert blamed and all(one.by == "cdc_mas" and one.agent for one in blamed)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--policy", "expert"), "--world NAME"),
        (("--budget", "5steps"), "--world NAME"),
        ((*WORLD, "--states", "last"), "states are those of the world"),
        ((*WORLD, "--policy", "nobody"), "expert:noise=0.3"),
        ((*WORLD, "--policy", "expert:noise=2"), "from 0 to 1"),
        ((*WORLD, "--policy", "expert:nose=2"), "expert:noise=0.3"),
        ((*WORLD, "--budget", "xsteps"), "no server is asked"),
        ((*WORLD, "--budget", "9steps,30min"), "--budget 30min: no server is asked"),
        ((*WORLD, "--budget", "1.5steps"), "'1.5steps' is not a whole number of steps"),
        (("--world", "key_dor_rooms"), "did you mean 'key_door_rooms'"),
        (("--world", "key_door_rooms:siez=2"), "did you mean 'size'"),
        (("--world", "key_door_rooms:size=many"), "size='many'"),
        (("--world", "key_door_rooms:size=99"), "2 <= size <= 13"),
    ],
)
def test_wrong_options_say_what_is_right(run, runs, argv, said):
    ran = run("diagnose", runs, *SEARCH, *argv)
    assert ran.status == 2 and said in ran.err and ran.out == ""


def test_a_method_that_does_not_replay_is_told_which_do(run, runs):
    ran = run("diagnose", runs, "-M", "contrast", *WORLD)
    assert ran.status == 2 and "contrast does not replay" in ran.err and "-M decisive_search" in ran.err


@pytest.mark.parametrize("body", ["None", "[]", "'go'", "iter(())"])
def test_a_policy_that_does_not_give_an_action_each_is_told_so(run, runs, tmp_path, body):
    (tmp_path / "mine.py").write_text(f"def act(episodes, read):\n    return {body}\n")
    ran = run("diagnose", runs, *SEARCH, *WORLD, "--policy", f"{tmp_path / 'mine.py'}:act")
    assert ran.status == 2 and "the policy gave" in ran.err and "a list: one for each episode" in ran.err


def test_a_very_long_action_is_told_in_short(run, runs):
    told = rows(runs)
    bad = next(row for row in told if row["outcome"] == 0)
    bad["steps"][0]["action"] = bad["steps"][0]["text"] = "A" * 100_000
    save(runs, told)
    ran = run("diagnose", runs, *SEARCH, *WORLD)
    assert ran.status == 2 and "it does not take" in ran.err and len(ran.err) < 2_000
