import math
import re

import pytest
from said import lake, run, texts

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search._swe_terms import Weights, mean_reward, terms
from stepcredit.search.tree import Tree


def judge(values, choices=("1",)):
    """Knows the value of steps; in a debate it says the choices in turn."""
    turn = iter(choices)

    def reply(prompt):
        if "Choice:" in prompt:
            return f"Choice: {next(turn)}"
        steps = re.findall(r"\[\[\d+ step \d+\]\]\n(.*)", prompt)
        return f"because of {steps[-1]}. Reward: {values.get(steps[-1], 0)}"

    return Scripted(reply)


def step(tree, parent, text, score, visits=1, **facts):
    return tree.add(parent, text, score=float(score), status="ok", visits=visits, facts=facts)


@pytest.fixture
def tree():
    tree = Tree()
    tree.root.visits = 10
    return tree


def test_the_score_of_the_spec(tree):
    above = step(tree, tree.root, "look", 55, visits=10)
    node = step(tree, above, "read", 60, visits=3)
    step(tree, node, "x", 10)
    assert terms(node, Weights(), tree).total == pytest.approx(59.745, abs=5e-4)
    assert terms(tree.root, Weights(), tree).explore == 0
    assert terms(tree.root, Weights(root_bonus=10.0), tree).total == pytest.approx(10 * math.exp(0.8))
    assert terms(node, Weights(root_bonus=10.0), tree).root == 0


def test_the_terms_of_the_official_code(tree):
    w = Weights()
    leaf = step(tree, tree.root, "edit a", 60)
    assert terms(leaf, w, tree).promising_leaf == 50
    step(tree, leaf, "edit b", -10)
    assert terms(leaf, w, tree).bad_child == 5 * 70 and terms(leaf, w, tree).promising_leaf == 0
    low = step(tree, leaf, "look", -20)
    assert terms(low, w, tree).great_parent == 70
    solved = step(tree, leaf, "finish", 100)
    solved.ended = True
    assert terms(leaf, w, tree).great_child == -5 and terms(leaf, w, tree).finished == -50
    assert terms(tree.add(leaf, "new"), w, tree).total == float("inf")


def test_refused_and_repeated_actions(tree):
    refused = step(tree, tree.root, "look", 0, valid=False)
    assert terms(refused, Weights(), tree).correction == 50
    step(tree, refused, "look a", 0, valid=False)
    step(tree, refused, "look b", 0, duplicate=True)
    step(tree, refused, "look c", 0, duplicate=True)
    of = terms(refused, Weights(), tree)
    assert (of.correction, of.duplicate_child, of.duplicate_kind) == (5, -100, -200)
    assert terms(refused.children[0], Weights(), tree).correction == 0
    assert terms(refused, Weights(), tree, world=False).duplicate_kind == 0


def test_diversity_is_what_others_have_not_in_view(tree):
    a, b = step(tree, tree.root, "a", 0), step(tree, tree.root, "b", 0)
    view = {"a": {"x", "y"}, "b": {"y", "z"}, "": set(), "c": {"q"}}
    w = Weights(context=lambda n: view[n.text])
    assert terms(b, w, tree).diversity == pytest.approx(100)
    step(tree, a, "c", 0)
    assert terms(b, w, tree).diversity == pytest.approx(100 * (1 - (0 + 1 / 3) / 2))
    assert terms(tree.root, w, tree).diversity == 0


def test_the_mean_reward_is_over_the_trajectory_and_the_task(tree):
    tree.root.value = 200.0
    node = step(tree, tree.root, "a", 0)
    node.value = 60.0
    assert mean_reward(node) == 40.0 and mean_reward(tree.add(node, "b")) == 40.0


def searched(values, *steps, choices=("1",), **options):
    sampler, said = Scripted({"": list(steps)}), judge(values, choices)
    policy = options.pop("policy", "swe_search")
    found = run(policy, {"sampler": sampler.sampler, "judge": said.judge}, "Q\n", **options)
    return found, sampler, said


def test_hindsight_of_siblings_stands_before_the_task():
    values = {"a": 60, "b": -10, "Answer: 5": 90}
    found, sampler, _ = searched(values, "a\n", "b\n", "Answer: 5", iterations=4)
    assert found.answer == "5" and [n.depth for n in found.tree.nodes] == [0, 1, 2, 2]
    assert "value -10: because of b." in sampler.asked[2] and sampler.asked[2].endswith("Q\na\n")
    assert "[[" not in sampler.asked[1] and "value" not in searched(values, "a\n", "b\n", hindsight=False)[1].asked[-1]
    assert found.tree.root.visits == 3 and found.tree.root.value == 140.0


def test_a_promising_step_is_followed_and_a_good_end_ends_the_search():
    found, *_ = searched({"a": 60, "Answer: 5": 100}, "a\n", "Answer: 5", enough=100)
    assert [n.text for n in found.node.path] == ["a", "Answer: 5"] and len(found.tree.nodes) == 3
    assert found.tree.nodes[1].facts["terms"]["promising_leaf"] == 50


def test_a_repeated_step_is_not_asked_about_and_a_failed_value_is_not_expanded():
    found, _, said = searched({"a": "none"}, "a\n", iterations=10, expansions=2)
    assert texts(found) == ["a", "a"] and len(said.asked) == 1
    assert found.tree.nodes[1].status == "failed" and not found.tree.nodes[2].kept


def test_it_goes_straight_on_until_one_is_finished():
    found, *_ = searched({"a": -90}, "a\n", "b\n", "Answer: 5", iterations=4, finish_first=20)
    assert [n.depth for n in found.tree.nodes] == [0, 1, 2, 3]


def test_the_choice_is_by_mean_final_reward_or_debate():
    steps = ("Answer: 1", "b\n", "Answer: 2")
    values = {"Answer: 1": 70, "b": 51, "Answer: 2": 80}
    assert searched(values, *steps, iterations=4, choose="final")[0].answer == "2"
    debate, _, said = searched(
        values, *steps, iterations=4, policy="swe_search@debate", agents=2, rounds=2, choices="22221"
    )
    assert debate.answer == "1" and len(said.asked) == 3 + 5
    unsettled, *_ = searched(values, *steps, iterations=4, choose="debate", agents=3, rounds=1, choices="2129")
    assert unsettled.answer == "2" and "without a choice" in unsettled.notes[0]


def test_it_acts_in_a_live_environment():
    task, way = lake()
    sampler = Scripted(lambda p: way[min(p.count("\ngo "), 3)] + "\n")
    said = judge({"go east": 60, "go south": 70})
    found = run("swe_search@moatless", {"sampler": sampler.sampler, "judge": said.judge}, task)
    assert found.node.outcome == 1.0 and found.ledger.tool == 4


def test_what_ends_the_search():
    steps, values = ("Answer: 1", "Answer: 2", "b\n", "Answer: 3"), {"Answer: 1": 90, "Answer: 2": 90, "Answer: 3": 95}
    assert len(searched(values, *steps, most_finished=1)[0].tree.nodes) == 2
    two, *_ = searched(values, *steps, enough=90, least_finished=2)
    assert len({n.parent for n in two.tree.leaves()}) == 2
    with pytest.raises(StepCreditError, match="iterations"):
        searched(values, *steps, iterations=0)


def test_steps_of_little_reward_are_not_expanded():
    found, *_ = searched({"a": -90, "b": -80}, "a\n", "b\n", "c\n", iterations=4, floor=0.0)
    assert [n.depth for n in found.tree.nodes] == [0, 1, 1, 1]


def test_a_softmax_draws_by_the_scores():
    found, *_ = searched({"a": 1, "b": 1}, "a\n", "b\n", "c\n", policy="swe_search@softmax", iterations=12, seed=1)
    best, *_ = searched({"a": 1, "b": 1}, "a\n", "b\n", "c\n", iterations=12, seed=1)
    assert [n.parent.place for n in found.tree.nodes[1:]] != [n.parent.place for n in best.tree.nodes[1:]]


def test_weights_scale_their_terms(tree):
    node = step(tree, tree.root, "write a", 60, visits=2)
    node.value = 20.0
    of = terms(node, Weights(exploit=2.0, explore=3.0, depth=0.5, use_mean=True), tree)
    assert of.exploit == 2 * (10 + 0) / 2 and of.depth == -0.5
    assert of.explore == pytest.approx(3 * (math.log(10) / 2) ** 0.5)
    step(tree, node, "look", -5)
    assert terms(node, Weights(edits=re.compile("^write")), tree).bad_child == 0
    assert terms(node, Weights(edits=re.compile("^look")), tree).bad_child == 5 * 65
