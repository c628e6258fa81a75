"""Episodes of rLLM."""

import copy
import json

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.rllm import rollouts
from stepcredit.data.records import Tokens, reference_of, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FULL = json.loads((TRACES / "rllm.json").read_text())


def read(change=None, **changes):
    row = copy.deepcopy(FULL) | changes
    if change:
        change(row)
    return next(iter(rollouts(Rows.of([row]))))


def test_an_episode_of_two_agents():
    (one,) = fixtures.read("rllm.json")
    assert (one.group, one.rollout, one.outcome, one.policy_version) == ("seats-3", "1", 1.0, 2)
    assert (one.task, reference_of(one), one.rewards) == (
        "How many seats are left?",
        "4",
        {"solver": 1.0, "judge": 0.0},
    )
    look, answer, judge = one.steps
    assert [s.agent for s in one.steps] == ["solver", "solver", "judge"]
    assert (look.reasoning, look.tool_calls[0].name, look.action) == ("Look.", "seats", '[{"name": "seats"}]')
    assert [(m.role, m.call, m.content) for m in replies_of(look)] == [("tool", "c0", "4")]
    assert look.tokens == Tokens(id=[3, 4, 5], old_logp=[-0.1, -0.2, -0.3])
    assert (answer.text, answer.reward, answer.observation, judge.text) == ("4 seats.", 1.0, None, "yes")
    assert [m.role for m in one.context] == ["system", "user"]


def test_what_an_agent_saw_before_a_step_is_what_followed_the_one_before():
    (one,) = fixtures.read("rllm_logger.json")
    assert (one.group, one.rollout, one.outcome) == ("0a1b2c3d", "5d0c", 0.0)
    assert [s.observation for s in one.steps] == ['{"tool_outputs": {"c0": "4"}}', None]
    assert one.context[0].content == '{"question": "How many seats are left?"}'


def test_rewards_that_are_all_zero_are_none_at_all():
    (one,) = fixtures.read("rllm_logger.json")
    assert [s.reward for s in one.steps] == [None, None]
    (one,) = fixtures.read("rllm.json")
    assert [s.reward for s in one.steps] == [0.25, 1.0, 0.0]
    assert [s.evidence for s in one.steps] == [{"mc_return": 1.25}, {"mc_return": 0.0}, {"mc_return": 0.0}]


def test_the_task_is_named_by_the_id_of_the_episode_or_of_the_task():
    assert read(id="a:b:2").group == "a:b" and read(id="a:b:2").rollout == "2"
    named = read(id="x", task={"id": 5, "question": "q"})
    assert (named.group, named.rollout) == (5, "x")
    assert read(id="x").group == read(id="y").group != read(id="x", task="other").group


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.update(trajectories=[3]), "trajectory 0 must be an object"),
        (lambda row: row["trajectories"][0].update(steps={}), "'steps' must be a list"),
        (lambda row: row["trajectories"][0]["steps"][0].update(chat_completions=[{}]), "an object with a role"),
        (lambda row: row["trajectories"][0]["steps"][0].update(logprobs=[-1.0]), "differ in number"),
        (lambda row: row["trajectories"][0]["steps"][0].update(response_ids=["x"]), "must be numbers"),
        (lambda row: row["trajectories"][0]["steps"][0].update(reward="high"), "finite number"),
        (lambda row: row.update(is_correct="yes"), "finite number"),
    ],
)
def test_what_is_wrong_is_said(change, says):
    with pytest.raises(DataError, match=says) as error:
        read(change)
    assert error.value.row == 1
