"""ProRAG: a discounted tree, and pairs of siblings that a judge tells apart."""

import numpy as np
import pytest
from given import Writer, labelled, rollout

from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable
from stepcredit.label._grow import State
from stepcredit.label.systems.prorag import pair_prompt, read_pair
from stepcredit.llm.scripted import Scripted

TREE = Writer({"": ["a", "b"], "a\n": ["so 24"], "b\n": ["so 7"]}, {"a\n": ["x\nso 24"], "b\n": ["so 7"]})


def run(reply="<pair>1, 2</pair>", **options):
    judge = Scripted(reply if isinstance(reply, list) else {"": reply})
    options = {"simulations": 6, **options}
    return labelled("prorag", rollout("z"), {"sampler": TREE.sampler, "judge": judge.judge}, **options), judge


def test_the_chosen_step_is_right_the_rejected_wrong_and_all_others_are_not_judged():
    rows, judge = run("<pair>2, 1</pair>")
    told = {r.steps: r for r in rows}
    better = {steps: one for steps, one in told.items() if one.facts["pairs"]}
    assert len({steps[0] for steps in better}) == 1
    for one in better.values():
        (pair,) = one.facts["pairs"]
        assert pair["step"] == 0 and pair["chosen"] == one.steps[0] and one.label[0] == 1
        assert np.isnan(one.label[1:]).all()
    (rejected,) = {one.facts["pairs"][0]["rejected"] for one in better.values()}
    assert all(one.label[0] == 0 for one in told.values() if one.steps[0] == rejected)
    assert rows[0].spent["judge"] == len(judge.asked) == 1


def test_a_reward_is_worth_less_with_every_level_and_simulations_are_greedy():
    only = Writer({"": ["a"]}, TREE.rests)
    rows = labelled(
        "prorag", rollout("z"), {"sampler": only.sampler, "judge": Scripted([None]).judge}, simulations=1, gamma=0.5
    )
    assert rows[1].steps == ("a", "x", "so 24") and rows[1].value[0] == 1.0 and np.isnan(rows[1].value[1:]).all()
    assert only.heats == [0.0]
    right = labelled(
        "prorag", rollout("z", "y", outcome=1.0), {"sampler": Writer({}).sampler, "judge": None}, gamma=0.5
    )
    assert right.value.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("reply", ["<pair>1, 9</pair>", "<pair>1, 1</pair>", "1 is better", None])
def test_where_the_judge_cannot_be_read_nothing_is_judged(reply):
    rows, judge = run(reply, retries=1)
    assert all(np.isnan(r.label).all() for r in rows) and rows[1].reasons[0]
    assert len(judge.asked) == 2
    rows, _ = run("<pair>none</pair>")
    assert all(np.isnan(r.label).all() and not r.facts["pairs"] for r in rows)


def test_a_judge_asked_again_may_answer():
    rows, _ = run(["?", "<pair>1, 2</pair>"], retries=1)
    assert sorted({r.label[0] for r in rows if r.label[0] == r.label[0]}) == [0, 1]


def test_the_prompt_holds_no_verdict_and_options_have_their_ranges():
    prompt = pair_prompt("Q", ["before"], [State(("a",), total=1.0, visits=2), State(("b",))])
    assert "mean reward 0.500, 2 visits" in prompt
    with pytest.raises(Unreadable):
        read_pair(prompt, 2)
    with pytest.raises(StepCreditError):
        run(expand=0)
