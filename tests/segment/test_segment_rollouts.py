"""Records cut into finer steps."""

import pytest

from stepcredit import segment
from stepcredit.data.records import Rollout, Step, Tokens
from stepcredit.errors import DataError, StepCreditError


def rollout(*steps):
    return Rollout(group="g", rollout=0, outcome=1.0, steps=list(steps))


def test_what_is_known_goes_where_it_happened():
    step = Step(text="a\n\nb\nc", state="s", observation="o", reward=0.5, agent="x", evidence={"value": 1.0})
    got = segment.cut(rollout(step), segment.get("lines"))
    assert [s.text for s in got.steps] == ["a", "b", "c"]
    assert [s.state for s in got.steps] == ["s", None, None]
    assert [s.observation for s in got.steps] == [None, None, "o"]
    assert [s.reward for s in got.steps] == [None, None, 0.5]
    assert {s.agent for s in got.steps} == {"x"} and not any(s.evidence for s in got.steps)
    assert got.outcome == 1.0


def test_a_step_that_is_not_cut_stays_as_it_is():
    steps = [Step(text="one line", evidence={"value": 0.5}), Step(state="no text"), Step(text="")]
    assert segment.cut(rollout(*steps), segment.get("lines")).steps == steps


def test_tokens_and_shared_steps_are_refused():
    for step in (Step(text="a\nb", tokens=Tokens(n=3)), Step(text="a\nb", id="n")):
        with pytest.raises(DataError, match="cannot be cut as text"):
            segment.cut(rollout(step), segment.get("lines"))


def test_a_message_segmenter_is_refused():
    with pytest.raises(StepCreditError, match="takes messages"):
        segment.cut(rollout(), segment.get("tool_calls"))
