"""Figures of worlds, against worlds small enough to count by hand."""

import pytest

import stepcredit as sc
from stepcredit.envs import text
from stepcredit.envs.survey import survey
from stepcredit.envs.text_world import Branch, TextWorld, Tool
from stepcredit.ops import wilson


class Line(TextWorld[int]):
    """Say a letter, three times; the state is how often, or what was said where `tells`."""

    name, horizon = "line", 3
    tools = (Tool("say", "say {letter}", "Say it.", {"letter": "a or b"}),)

    def __init__(self, *, tells=False, lists=True, knows=True, breaks=False):
        self.tells, self.lists, self.knows, self.breaks = tells, lists, knows, breaks

    def start(self, seed):
        return ""

    def instruction(self, state):
        return "Say a."

    def observe(self, state):
        return f"said {state if self.tells else len(state)}"

    def done(self, state):
        return False

    def act(self, state, action):
        if self.breaks and len(state) == 1:
            raise RuntimeError("lost")
        return [Branch(1.0, state + action.arguments["letter"], float(action.arguments["letter"] == "a") / 3)]

    def actions(self, state):
        return ["say a", "say b"] if self.lists else []

    def expert(self, state):
        return "say a" if self.knows else None


def line(**options):
    return lambda: Line(**options)


def test_states_that_all_rollouts_meet():
    found = survey(line(), seeds=range(3))
    assert (found.name, found.tasks, found.horizon) == ("line", 3, 3)
    assert (found.expert, found.steps, found.actions) == (1.0, 3.0, 2.0)
    assert (found.elsewhere, found.again, found.failures) == (1.0, 0.0, 0)


def test_states_that_tell_the_past_repeat_less():
    """With fair letters and 2 rollouts: the first state is shared, the second by chance 1/2, the third by 1/4."""
    found = survey(line(tells=True), seeds=range(400), n=2, epsilon=1.0)
    assert found.elsewhere == pytest.approx((1 + 1 / 2 + 1 / 4) / 3, abs=0.05)
    assert found.again == 0


def test_a_world_that_stands_still_meets_its_state_again():
    class Still(Line):
        def key(self, state):
            return "here"

    assert survey(Still, seeds=[0]).again == pytest.approx(2 / 3)


def test_free_text_has_no_noise_to_measure_with():
    found = survey(line(lists=False), seeds=range(3))
    assert (found.expert, found.actions, found.elsewhere, found.again) == (1.0, None, None, None)


def test_without_an_expert_every_action_is_drawn():
    found = survey(line(knows=False), seeds=range(3))
    assert (found.expert, found.interval, found.steps) == (None, None, None)
    assert (found.actions, found.elsewhere) == (2.0, 1.0)


def test_what_breaks_is_counted_and_no_outcome():
    found = survey(line(breaks=True), seeds=range(3), n=2)
    assert (found.failures, found.expert) == (9, None)


def test_intervals_are_wilsons_where_outcomes_are_0_or_1():
    found = survey(text.get("frozen_lake"), seeds=range(8))
    assert found.interval == tuple(map(float, wilson(8.0, 8.0)))


def test_the_same_seed_measures_the_same():
    make = text.get("mini_household")
    assert survey(make, range(3)) == survey(make, range(3))
    assert survey(make, range(3)) != survey(make, range(3), seed=1)


def test_nothing_to_measure_is_an_error():
    for arguments in ({"seeds": []}, {"seeds": [0], "n": 1}):
        with pytest.raises(sc.StepCreditError, match="survey: got"):
            survey(line(), **arguments)
