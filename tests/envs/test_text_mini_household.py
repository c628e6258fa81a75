"""The kitchen: what is hidden, what is refused, each kind of chore."""

import pytest
from text_worlds import begun

import stepcredit as sc
from stepcredit.envs import text
from stepcredit.envs.text.mini_household import MIDDLE, TASKS, Kitchen, Plan, Thing
from stepcredit.envs.text_world import walk


def kitchen(task="put", target="drawer", **places):
    """A world, and an episode in a kitchen with these things."""
    episode = text.get("mini_household")().episode()
    episode.reset(seed=0)
    plan = Plan(("sink", "microwave", "fridge", "table", "drawer"), task, "cup", target)
    things = tuple(Thing(name.replace("_", " "), place) for name, place in places.items())
    episode._state = Kitchen(plan, MIDDLE, frozenset(), things)
    return episode


def does(episode, *actions):
    return [episode.step(action) for action in actions][-1]


def test_what_is_closed_hides_its_contents():
    episode = kitchen(cup="fridge", egg="fridge")
    assert does(episode, "go to fridge")[0] == "You are at the fridge. It is closed."
    assert does(episode, "take cup")[4]["reason"] == "you see no 'cup' here"
    assert does(episode, "open fridge")[0] == "You are at the fridge. You see: cup, egg."
    assert does(episode, "go to table", "go to fridge")[0] == "You are at the fridge. You see: cup, egg."


def test_states_that_look_alike_but_hide_other_things_have_other_ids():
    one, two = kitchen(cup="fridge"), kitchen(cup="drawer")
    assert does(one, "go to microwave")[0] == does(two, "go to microwave")[0]
    assert one.state != two.state


@pytest.mark.parametrize(
    ("task", "place", "made"), [("clean", "sink", "clean"), ("heat", "microwave", "hot"), ("cool", "fridge", "cold")]
)
def test_a_thing_must_be_made_ready_first(task, place, made):
    episode = kitchen(task, "table", cup="sink")
    assert episode.world.instruction(episode._state).endswith(f"Put a {made} cup on the table.")
    does(episode, "go to sink", "take cup", "go to table")
    assert does(episode, "put cup")[1:3] == (0, False)
    does(episode, "take cup", f"go to {place}", f"{task} cup", "go to table")
    observation, reward, terminated, _, _ = does(episode, "put cup")
    assert (observation, reward, terminated) == (f"You are at the table. You see: {made} cup.", 1, True)


def test_the_last_treatment_counts():
    episode = kitchen("heat", "table", cup="sink")
    does(episode, "go to sink", "take cup", "go to microwave", "heat cup", "go to sink", "clean cup", "go to table")
    assert does(episode, "put cup")[2] is False


def test_two_of_a_kind_are_told_apart_and_both_wanted():
    episode = kitchen("two", "table", cup_1="sink", cup_2="sink")
    does(episode, "go to sink", "take cup 1", "go to table")
    assert does(episode, "put cup 1")[1:3] == (0, False)
    does(episode, "go to sink", "take cup 2", "go to table")
    assert does(episode, "put cup 2")[1:3] == (1, True)


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        (["go to moon"], "no place 'moon'"),
        (["open fridge"], "not at the fridge"),
        (["go to table", "open table"], "table is open"),
        (["go to sink", "take cup", "go to drawer", "put cup"], "drawer is closed"),
        (["go to sink", "take cup", "take egg"], "hold something"),
        (["go to sink", "take cup", "heat cup"], "not at the microwave"),
        (["go to sink", "clean cup"], "do not hold 'cup'"),
        (["put cup"], "do not hold 'cup'"),
    ],
)
def test_what_cannot_be_done_says_why(actions, why):
    assert why in does(kitchen(cup="sink", egg="sink"), *actions)[4]["reason"]


def test_names_are_read_in_any_case():
    assert does(kitchen(cup="sink"), "GO TO Sink", "Take CUP")[4]["valid"]


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_does_every_chore_from_anywhere(task):
    """Also after another thing was taken, and from the middle of a chore."""
    world = text.get("mini_household")(task=task, horizon=60)
    for seed in range(10):
        episode = world.episode()
        episode.reset(seed=seed)
        for _ in range(12):
            if not episode.ended:
                actions = episode.actions()
                episode.step(actions[(seed * 7 + episode.steps * 5) % len(actions)])
        while not episode.ended:
            episode.step(episode.expert())
        assert episode.outcome == 1


def test_all_chores_are_drawn():
    world = text.get("mini_household")()
    assert {world.start(seed).plan.task for seed in range(60)} == set(TASKS)


def test_a_chore_that_is_none_is_named():
    with pytest.raises(sc.StepCreditError, match="task='fly'"):
        text.get("mini_household")(task="fly")
    with pytest.raises(sc.StepCreditError, match="2 <= things"):
        text.get("mini_household")(task="two", things=1)


def test_nothing_is_done_at_the_start():
    for seed in range(50):
        assert not begun("mini_household", seed, places=3, things=6).ended


def test_looking_around_spends_a_step_alone():
    episode = kitchen(cup="sink")
    before = episode.state
    assert does(episode, "look")[4]["valid"]
    assert (episode.state, episode.steps) == (before, 1)
    assert len(list(walk(episode, lambda e: "look", seed=0))) == episode.world.horizon
