"""What every world to act in keeps to, and many of them side by side."""

import time

import pytest

import stepcredit as sc
from stepcredit.envs import text
from stepcredit.envs.play import expert, noisy, play
from stepcredit.envs.text_world import Tool, walk
from stepcredit.envs.vector import Vector


def test_slips_are_in_the_table_with_their_chances():
    world = text.get("frozen_lake")(size=3, holes=0.0, slip=0.5)
    table = world.table(0)
    east = table.actions.index("go east")
    assert sorted(table.chance[0, east].tolist()) == [0.25, 0.25, 0.5]


def test_what_cannot_be_done_spends_a_step_and_says_why():
    episode = text.get("key_door_rooms")().episode()
    episode.reset(seed=0)
    before = episode.state
    for done in (
        episode.step("fly home\x00🐦"),
        episode.step("open door"),
        episode.call("go", {}),
        episode.call("fly", {}),
    ):
        observation, reward, terminated, _, info = done
        assert observation.startswith("Nothing happens: ")
        assert (reward, terminated, info["valid"]) == (0, False, False)
        assert info["reason"]
        assert episode.state == before
    assert episode.steps == 4


def test_tool_calls_and_text_are_the_same_actions():
    world = text.get("frozen_lake")(size=3, holes=0.0)
    by_text, by_call = world.episode(), world.episode()
    by_text.reset(seed=0)
    by_call.reset(seed=0)
    assert by_text.step("go east") == by_call.call("go", {"way": "east"})


def test_schemas_are_json_schema_functions():
    function = text.get("frozen_lake")().episode().tools[0]["function"]
    assert function["name"] == "go"
    assert function["parameters"]["properties"]["way"]["enum"] == ["north", "east", "south", "west"]


def test_a_fork_goes_its_own_way_with_the_same_luck():
    world = text.get("frozen_lake")(size=4, holes=0.0, slip=0.6)
    one = world.episode()
    one.reset(seed=1, options={"luck": 3})
    one.step("go east")
    two = one.fork()
    assert [one.step("go south")[0] for _ in range(4)] == [two.step("go south")[0] for _ in range(4)]
    assert one.steps == two.steps == 5


def test_luck_differs_and_repeats():
    world = text.get("frozen_lake")(size=4, holes=0.0, slip=0.6)

    def states(luck):
        return [s for s, _, _ in walk(world.episode(), lambda e: "go east", seed=1, luck=luck)]

    assert states(0) == states(0)
    assert len({tuple(states(k)) for k in range(5)}) > 1


def test_a_form_reads_what_it_writes():
    put = Tool("put", "put {thing} in {place}", "", {"thing": "", "place": ""})
    arguments = {"thing": "red cup", "place": "box in the hall"}
    assert put.read(put.write(arguments)).arguments == arguments
    assert put.read("put in") is None


def test_an_ended_episode_says_so():
    world = text.get("frozen_lake")(size=2, holes=0.0, horizon=1)
    episode = world.episode()
    with pytest.raises(sc.StepCreditError, match="no episode has begun"):
        episode.step("go east")
    episode.reset(seed=0)
    assert episode.step("go east")[3]
    with pytest.raises(sc.StepCreditError, match="ended"):
        episode.step("go east")


class Broken:
    """An episode of a lake that raises at its second step where the seed is 1, and hangs there where it is 2."""

    def __init__(self):
        self.lake = text.get("frozen_lake")(size=4, holes=0.0).episode()

    def __getattr__(self, name):
        return getattr(self.lake, name)

    def step(self, action):
        if self.lake.steps == 1 and self.lake.seed == 1:
            raise RuntimeError("out of ice")
        if self.lake.steps == 1 and self.lake.seed == 2:
            time.sleep(1.0)
        return self.lake.step(action)


def test_one_that_raises_or_hangs_ends_and_its_outcome_is_unknown():
    runs = play(Broken, expert, seeds=[0, 1, 2, 3], seconds=0.3)
    assert [r.outcome for r in runs] == [1.0, None, None, 1.0]
    assert "out of ice" in runs[1].extra["failure"]
    assert "no answer within 0.3 s" in runs[2].extra["failure"]
    assert [len(r.steps) for r in runs][1:3] == [2, 2]


def test_a_broken_episode_is_replaced_at_the_next_reset():
    many = Vector(Broken, 2)
    many.reset([1, 0])
    many.step(["go east"] * 2)
    assert many.step(["go east"] * 2).failed.tolist() == [True, False]
    assert many.reset([0, 0])[0].startswith("Walk")
    assert many.failures == [None, None]


def test_rollouts_of_play_are_records_with_states(tmp_path):
    runs = play(text.get("key_door_rooms")(size=2).episode, noisy(expert, 0.4, seed=0), seeds=range(4), n=4)
    sc.write(runs, tmp_path / "runs.jsonl")
    batch = sc.read(tmp_path / "runs.jsonl")
    assert (batch.layout.G, batch.layout.R) == (4, 16)
    assert sc.assign(batch, "gigpo").values.size == batch.layout.S
