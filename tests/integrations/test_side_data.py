"""What is known of rows beside their tokens: lists, tables by turn, logs of environments."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from stepcredit.errors import LayoutError
from stepcredit.integrations._side import EnvironmentLog, columns_of, count_turns, padded_ids

NAN = float("nan")


def columns(*rows, turns=(2, 1), lengths=(3, 2), groups=(0, 0), width=4):
    return columns_of(rows, turns, lengths, groups, width)


def test_turns_are_runs_of_ones_or_ids():
    mask = [[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]]
    assert count_turns(mask).tolist() == [2, 0, 2]
    assert count_turns(mask, [[0, 1, -1, 2], [-1] * 4, [4, -1, 4, 4]]).tolist() == [3, 0, 1]


def test_a_turn_without_an_entry_is_missing_and_not_0():
    made = columns({"gain": {1: 0.5}, "state": ["a", None]}, {})
    np.testing.assert_array_equal(np.concatenate(made["gain"]), [NAN, 0.5, NAN])
    assert made["state"] == [["a", None], [None]]


def test_several_numbers_per_turn_stay_together():
    made = columns({"votes": [[1, -1], None]}, {})
    np.testing.assert_array_equal(np.concatenate(made["votes"]), [[1, -1], [NAN, NAN], [NAN, NAN]])


def test_columns_of_tokens_tasks_and_rollouts_find_their_axis():
    made = columns(
        {"token_value": [0.1, None, 0.3], "prior_value": 0.5, "outcome": 1.0}, {"prior_value": 0.5, "outcome": None}
    )
    np.testing.assert_array_equal(made["token_value"], [[0.1, NAN, 0.3, NAN], [NAN] * 4])
    assert made["prior_value"] == [0.5]
    assert made["outcome"] == [1.0, None]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"gain": [1.0]}, "column 'gain', row 0: got 1 values, expected 2, the turns found in the row"),
        ({"gain": {2: 1.0}}, "column 'gain', row 0: has an entry for turn 2, expected 0 to 1"),
        ({"token_value": [1.0]}, "column 'token_value', row 0: got 1 values, expected 3, one for each token"),
        ({"outcome": [1.0, 0.0]}, "column 'outcome', row 0: got 2 values, expected one"),
        ({"prior_value": 0.5}, "'prior_value' says one thing of a task, but row 1 has None"),
    ],
)
def test_what_does_not_fit_says_where_and_what_was_expected(row, said):
    with pytest.raises(LayoutError, match=said):
        columns(row, {})


def test_turn_ids_must_reach_the_end_of_each_row():
    assert padded_ids([[0, 1], [0]], [2, 1], 3).tolist() == [[0, 1, -1], [0, -1, -1]]
    with pytest.raises(LayoutError, match="turn_ids, row 1: got none, expected 1"):
        padded_ids([[0, 1], None], [2, 1], 3)


class Logged:
    """An environment whose rollout is written down: each turn makes calls, each call notes something."""

    def __init__(self):
        self.turn, self.credit = 0, {"state": [], "reward": [], "score": []}
        self.log = EnvironmentLog(self, lambda: self.turn)
        self.act = self.log.watch(self._act)
        self.wait = self.log.watch(self._wait)

    def _act(self, state, reward, fail=False):
        self.credit["state"].append(state)
        if fail:
            raise RuntimeError("no such door")
        self.credit["reward"].append(reward)

    async def _wait(self, state, reward):
        await asyncio.sleep(0)
        self._act(state, reward)


def test_entries_belong_to_the_turn_whose_tool_noted_them():
    env = Logged()
    env.act("a", 1.0)
    env.act("b", 2.0)  # a second call of the same turn
    env.turn = 2  # turn 1 called a tool that does not exist
    with pytest.raises(RuntimeError, match="door"):
        env.act("c", 9.0, fail=True)
    env.turn = 3
    env.log.note()
    env.credit["reward"].append(5.0)  # by get_reward, when all is over
    got = env.log.columns(0, 4)
    assert got == {"state": {0: "a", 2: "c"}, "reward": {0: 3.0, 1: 0.0, 2: 0.0, 3: 5.0}, "score": {}}


def test_tools_that_run_at_the_same_time_belong_to_their_turn():
    env = Logged()

    async def both():
        await asyncio.gather(env.wait("a", 1.0), env.wait("a", 2.0))

    asyncio.run(both())
    env.turn = 1
    asyncio.run(env.wait("b", 4.0))
    assert env.log.columns(0, 3)["reward"] == {0: 3.0, 1: 4.0, 2: 0.0}


def test_the_state_after_a_turn_is_that_of_a_next_turn_that_noted_none():
    env = SimpleNamespace(credit={"state": ["a"], "next_state": ["b"], "outcome": 1.0})
    assert EnvironmentLog(env, lambda: 0).columns(0, 2) == {
        "state": {0: "a", 1: "b"}, "next_state": {0: "b"}, "outcome": 1.0
    }  # fmt: skip


def test_a_state_noted_before_and_in_the_first_turn_is_an_error():
    env = Logged()
    env.credit["state"].append("at reset")
    env.act("a", 1.0)
    with pytest.raises(LayoutError, match="row 7: the environment noted 'state' at reset and again"):
        env.log.columns(7, 1)


def test_an_environment_without_notes_has_no_columns():
    assert EnvironmentLog(object(), lambda: 0).columns(0, 3) == {}
