"""Verdicts on the sides of a step."""

import numpy as np
import pytest
from judged_batches import Scripted, batch, call, rollout, tree

from stepcredit.data.records import Step
from stepcredit.errors import DataError, UnknownName
from stepcredit.evidence import get
from stepcredit.evidence.judge_dimensions import cost, judge_dimensions, sort_of

nan = np.nan
SEARCH, ANSWER, OTHER = "<think>t</think><search>q</search>", "<think>u</think><answer>a</answer>", "thinking"


def verdicts(*values):
    return Scripted(*(None if v is None else f"<score>{v:+d}</score>" for v in values))


def test_what_a_step_does():
    assert sort_of(Step(text=SEARCH)) == ("search", "q") and sort_of(Step(text=ANSWER)) == ("answer", "a")
    assert sort_of(Step(text="<answer>a")) == ("answer", "a") and sort_of(Step(text=OTHER)) == ("other", "")
    assert sort_of(call("lookup", x=1)) == ("search", "lookup: {'x': 1}")
    assert sort_of(Step(text="<tool_call> f </tool_call><answer>4</answer>")) == ("answer", "4")
    assert sort_of(Step()) == ("other", "")


# Executed: algoprog/SLATE cbab153 LLMJudgeReward.compute_step_reward_search and compute_step_reward_answer.
@pytest.mark.parametrize(("think", "query", "want"), [(1, 1, 2), (1, -1, 0), (0, -1, -1)])
def test_a_search_step_gets_reasoning_and_query(think, query, want):
    made = judge_dimensions(batch(rollout(0, SEARCH)), verdicts(think, query))
    assert made["score"].tolist() == [want]


@pytest.mark.parametrize(
    ("think", "answer", "step", "want"), [(1, 1, 0, 2.1), (1, 1, 1, 2.075), (0, -1, 3, -0.975), (1, 0, 2, 1.05)]
)
def test_an_answer_step_gets_reasoning_answer_and_the_bonus_of_the_official_code(think, answer, step, want):
    kind = get("judge_dimensions@slate-code")
    records = batch(rollout(0, *[OTHER] * step, ANSWER, gold="a"))
    judge = verdicts(*[0] * step, think, answer)
    made = kind.function(records, judge, **kind.options)
    np.testing.assert_allclose(made["score"], [*[0.0] * step, want])


def test_steps_count_from_one_as_the_equation_has_it():
    """lambda (B - t) / B with t = 1 at the first step: by hand 1 + 1 + .1 * 3/4."""
    kind = get("judge_dimensions@slate")
    made = kind.function(batch(rollout(0, ANSWER, gold="a")), verdicts(1, 1), **kind.options)
    np.testing.assert_allclose(made["score"], [2.075])
    other = judge_dimensions(batch(rollout(0, ANSWER, gold="a")), verdicts(1, 1), bonus=0.5, budget=8, first=1)
    np.testing.assert_allclose(other["score"], [2.4375])  # executed: compute_step_reward_answer(1, 1, 1, 8, .5)
    late = judge_dimensions(batch(rollout(0, ANSWER, gold="a")), verdicts(1, 1), budget=1, first=3)
    np.testing.assert_allclose(late["score"], [1.8])


def test_candidates_of_the_worked_example():
    """SLATE's spec: rewards 1, 0, 1, -1 of four candidates after one prefix, advantages by the sample spread."""
    records = batch(*(rollout(i, SEARCH) for i in range(4)))
    score = judge_dimensions(records, verdicts(1, 0, 1, -1, 0, 1, -1, 0))["score"]
    assert score.tolist() == [1, 0, 1, -1]
    np.testing.assert_allclose(
        (score - score.mean()) / score.std(ddof=1), [0.7833, -0.2611, 0.7833, -1.3056], atol=5e-5
    )


def test_one_side_not_judged_is_a_step_not_judged():
    made = judge_dimensions(batch(rollout(0, SEARCH, SEARCH, OTHER)), verdicts(1, None, None, 1, 1), parts=True)
    np.testing.assert_array_equal(made["score"], [nan, nan, 1])
    np.testing.assert_array_equal(made["score_reasoning"], [1, nan, 1])
    np.testing.assert_array_equal(made["score_query"], [nan, 1, nan])
    np.testing.assert_array_equal(made["score_answer"], [nan] * 3)
    assert "2 of 5 not judged (no reply 2)" in made.notes[-1]


def test_what_each_side_sees():
    judge = verdicts(0)
    judge_dimensions(batch(rollout(0, (SEARCH, "found it"), ANSWER, gold="right")), judge)
    reasoning, query, more, answer = judge.prompts
    assert "found it" not in reasoning + query and "query]]\nq" in query
    assert "result of step 1]]\nfound it" in more and "right answer]]\nright" in answer and "right answer" not in more


def test_progress_is_seen_in_the_result():
    kind = get("judge_dimensions@hi-agent")
    judge = verdicts(1, -1)
    made = kind.function(batch(rollout(0, ("tap", "screen 2"), "wait")), judge, **kind.options)
    assert made["score"].tolist() == [1, -1]
    assert "result of the step]]\nscreen 2" in judge.prompts[0] and "(none)" in judge.prompts[1]


def test_chosen_dimensions_alone():
    made = judge_dimensions(batch(rollout(0, SEARCH, OTHER)), verdicts(-1), dimensions=("query",))
    np.testing.assert_array_equal(made["score"], [-1, nan])
    with pytest.raises(UnknownName, match="no dimension named 'clarity'"):
        judge_dimensions(batch(rollout(0, OTHER)), verdicts(0), dimensions=("clarity",))


def test_a_rule_of_ones_own_for_what_a_step_does():
    made = judge_dimensions(batch(rollout(0, OTHER)), verdicts(1, 1), sort=lambda step: ("search", "all of it"))
    assert made["score"].tolist() == [2]


def test_answers_need_a_right_one():
    with pytest.raises(DataError, match="judge_dimensions needs a reference"):
        judge_dimensions(batch(rollout(0, ANSWER)), verdicts(0))
    made = judge_dimensions(batch(rollout(0, ANSWER, key="a")), verdicts(0), reference="key")
    np.testing.assert_allclose(made["score"], [0.075])
    assert judge_dimensions(batch(rollout(0, ANSWER)), verdicts(0), dimensions=("reasoning",))["score"].tolist() == [0]


def test_costs_and_shared_steps():
    records = batch(rollout(0, SEARCH, ANSWER, OTHER, gold="a"))
    assert cost(records).calls == {"judge": 5} and cost(records, retries=1).calls == {"judge": 10}
    assert cost(tree()).calls == {"judge": 3}
    assert judge_dimensions(tree(), verdicts(1, 0, -1))["score"].tolist() == [1, 0, -1]
