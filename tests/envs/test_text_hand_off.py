"""Two agents: who sees what, whose mistake breaks the run, and how records name who acts."""

import numpy as np
import pytest
from text_worlds import begun

import stepcredit as sc
from stepcredit.envs import tabular, text
from stepcredit.envs.play import expert, noisy, play


def does(episode, *actions):
    return [episode.step(action) for action in actions][-1]


def plan(episode):
    return episode._state.plan


def wrong(episode):
    """A shelf that is not asked for."""
    return next(s for s in "ABCD" if s != plan(episode).shelf)


def test_the_worker_sees_the_note_and_not_the_order():
    world = text.get("hand_off")()
    seen = set()
    for seed in range(12):
        episode = world.episode()
        episode.reset(seed=seed)
        seen.add(does(episode, "note B", "note 2")[0])
    assert seen == {"You are the worker. The note is 'B2'. You are at the door."}


def test_each_agent_has_tools_of_its_own():
    episode = begun("hand_off")
    assert does(episode, "go to shelf A")[4]["reason"] == "you are the planner"
    does(episode, "note a", "note 1")
    assert does(episode, "note A")[4]["reason"] == "you are the worker"


def test_info_names_who_acts_next():
    episode = begun("hand_off")
    agents = [episode.reset(seed=0)[1]["agent"]]
    while not episode.ended:
        agents.append(episode.step(episode.expert())[4].get("agent"))
    assert agents == ["planner", "planner", "worker", "worker", "worker", "worker", None]


def test_a_world_of_one_agent_names_none():
    episode = begun("frozen_lake")
    assert episode.agent is None
    assert "agent" not in episode.reset(seed=0)[1]


def test_a_wrong_note_breaks_the_run_though_the_worker_errs_in_nothing():
    episode = begun("hand_off")
    episode.step(f"note {wrong(episode)}")
    while not episode.ended:
        episode.step(episode.expert())
    assert episode.outcome == 0


def test_a_worker_at_the_wrong_shelf_breaks_a_right_note():
    episode = begun("hand_off")
    does(episode, f"note {plan(episode).shelf}", f"note {plan(episode).gate}")
    does(episode, f"go to shelf {wrong(episode)}", "take", f"go to gate {plan(episode).gate}")
    assert does(episode, "drop")[1:3] == (0, True)


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        (["note 1"], "none of A, B, C, D"),
        (["note A", "note A"], "none of 1, 2"),
        (["note A", "note 1", "take"], "at no shelf"),
        (["note A", "note 1", "go to shelf E"], "no place 'shelf E'"),
        (["note A", "note 1", "go to gate 1", "drop"], "hold no box"),
        (["note A", "note 1", "go to shelf A", "take", "drop"], "at no gate"),
        (["note A", "note 1", "go to shelf A", "take", "take"], "hold a box"),
    ],
)
def test_what_cannot_be_done_says_why(actions, why):
    assert why in does(begun("hand_off"), *actions)[4]["reason"]


def test_records_and_tables_say_who_took_the_step():
    world = text.get("hand_off")()
    runs = play(world.episode, noisy(expert, 0.3, seed=0), seeds=range(3), n=3)
    for run in runs:
        assert [s.agent for s in run.steps] == ["planner"] * 2 + ["worker"] * (len(run.steps) - 2)
    assert set(sc.Batch.from_records(runs).keys["agent"]) == {"planner", "worker"}
    drawn = tabular.sample([tabular.mistakes(world.table(0), 0.3)], 20, seed=0)
    who = np.array(drawn.keys["agent"])[drawn.columns["agent"]]
    np.testing.assert_array_equal(who[drawn.layout.turn < 2], "planner")
    np.testing.assert_array_equal(who[drawn.layout.turn >= 2], "worker")
