"""Options that policies share reach what they are for."""

import numpy as np
import pytest
from said import run, says, scorer
from worlds import BANK, WRITING, Toy, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Writing, solve
from stepcredit.search.policies.step_q import implicit_q

(ONE,) = sums(1, seed=4)
BY_LAST = Writing(answer=lambda text: text[-1])


class Heats(Toy):
    """Remembers at what temperatures it was asked."""

    def __init__(self):
        super().__init__(0.5)
        self.heats = set()

    def write(self, request, i):
        self.heats.add(request.temperature)
        return super().write(request, i)


@pytest.mark.parametrize(
    ("policy", "others"),
    [("arbitrage", set()), ("booststep", set()), ("fobar", set()), ("glimprouter", {0.0})],
)
def test_the_temperature_is_that_of_the_samples(policy, others):
    model = Heats()
    more = {"bank": BANK} if policy == "booststep" else {}
    dict(solve([ONE], policy, models(model), writing=WRITING, temperature=0.35, **more))
    assert model.heats == {0.35} | others


def two_ways():
    """A sampler of two solutions: one begins badly and ends well, the other is even."""
    table = {"bad\n": "Answer: 1", "even\n": "Answer: 2"}
    turn = iter("ab" * 40)

    def reply(prompt):
        last = prompt.splitlines(keepends=True)[-1]
        return table.get(last) or ("bad\n", "even\n")[next(turn) == "b"]

    return Scripted(reply)


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("beam", {"n": 2, "width": 1}),
        ("dvts", {"n": 2, "width": 1}),
        ("particle_filter", {"n": 2, "threshold": 0.0}),
        ("iterative_deepening", {"n": 2, "choose": "best"}),
        ("r2_llms@by-problem", {"bank": BANK, "expand": 2, "iterations": 4, "steps": 0, "c": 100.0}),
    ],
)
def test_how_scores_of_steps_make_one_of_a_solution(policy, options):
    given = {"scorer": scorer({"bad": 0.1, "Answer: 1": 0.9, "even": 0.7, "Answer: 2": 0.8})}
    for how, answer in (("last", "1"), ("min", "2")):
        assert run(policy, {**given, "sampler": two_ways().sampler}, "Q\n", how=how, **options).answer == answer, how


def test_how_scores_of_steps_make_one_of_whole_solutions():
    given = {
        "sampler": says("bad\nAnswer: 1", "even\nAnswer: 2").sampler,
        "scorer": scorer({"bad": 0.1, "Answer: 1": 0.9, "even": 0.7, "Answer: 2": 0.8}),
    }
    assert [run("best_of_n", given, n=2, how=how).answer for how in ("last", "min")] == ["1", "2"]


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("best_of_n", {"n": 3}),
        ("beam", {"n": 3, "width": 1}),
        ("dvts", {"n": 3, "width": 1}),
        ("early_rejection", {"n": 3, "width": 1}),
        ("gflownet", {"n": 3, "width": 1}),
        ("iterative_deepening", {"n": 3, "choose": "best"}),
        ("mcts", {"iterations": 1, "expand": 3}),
    ],
)
def test_one_good_solution_is_best_and_two_fair_ones_win_a_vote(policy, options):
    given = {
        "sampler": says("Answer: one 1", "Answer: so 2", "Answer: or 2").sampler,
        "scorer": scorer({"Answer: one 1": 0.9, "Answer: so 2": 0.6, "Answer: or 2": 0.6}),
    }
    assert run(policy, given, writing=BY_LAST, **options).answer == "1"
    assert run(policy, given, writing=BY_LAST, **{**options, "choose": "vote"}).answer == "2"


@pytest.mark.parametrize("policy", ["cosmos@no-curiosity", "r2_llms@by-problem"])
def test_c_widens_the_search(policy):
    more = {"bank": BANK} if policy.startswith("r2") else {}

    def widest(c):
        found = run(policy, models(Toy(0.6)), ONE, writing=WRITING, iterations=10, expand=3, c=c, seed=2, **more)
        return max(n.visits for n in found.tree.root.children)

    assert widest(0.0) > widest(50.0)


@pytest.mark.parametrize("policy", ["cosmos", "r2_llms"])
def test_a_tree_that_cannot_grow_is_told(policy):
    more = {"bank": BANK} if policy == "r2_llms" else {}
    for wrong in ({"iterations": 0}, {"expand": 0}):
        with pytest.raises(StepCreditError, match="at least 1"):
            run(policy, models(), ONE, **more, **wrong)


def test_a_streak_may_be_shorter_and_many_possible_answers_ask_for_more():
    same = {"sampler": says("Answer: 4").sampler}
    streak = {"confidence": "streak", "settled": 1.0}
    assert [run("adaptive", same, window=w, **streak).ledger.calls for w in (2, 5)] == [2, 5]
    few, many = (run("adaptive", same, confidence="ppr", categories=k).ledger.calls for k in (2, 50))
    assert few < many


def test_bavt_begins_and_ends_where_it_is_told_and_forces_the_answer_so():
    critic = Scripted(lambda prompt: "Gain: 5" if "step 1" in prompt else "a plan")
    sampler = Scripted(lambda p: " 7" if p.endswith("Thus:") else "on\n")
    found = run(
        "bavt", {"sampler": sampler.sampler, "judge": critic.judge}, most=2, start=2.0, high=6.0, forced="Thus:"
    )
    assert found.tree.root.value == 2.0 and max(n.value for n in found.tree.nodes) == 6.0
    assert found.node.text == "Thus: 7"


def test_code_is_tried_as_often_as_told_by_the_model_that_is_told():
    sampler = says("<algorithmic>1 + 1</algorithmic>\n", "Answer: 2")
    other, judge = says("no code"), says("unused")
    given = {"sampler": sampler.sampler, "judge": judge.judge, "coder": other.judge}
    found = run("chain_of_mindset@no-gate", given, tries=3, mindset_by="coder")
    assert len(other.asked) == 3 and not judge.asked
    assert found.tree.nodes[1].observation == "The algorithmic mindset failed."


def test_what_is_masked_and_how_it_is_asked_is_told():
    model = Scripted(lambda p: "Answer: 9" if "find x" in p else ["Answer: 4", "Answer: 5"][len(model.asked) % 2])
    run("fobar", {"sampler": model.sampler}, "There are 2 pears, and 31 more.\n", n=2, backward=1,
        numbers=r"\d\d", asked="It is {answer}: find x.")  # fmt: skip
    assert sorted(model.asked[2:]) == [f"There are 2 pears, and x more.\nIt is {a}: find x.\n" for a in "45"]


def test_a_large_beta_draws_the_best():
    given = {"sampler": says("Answer: 1", "Answer: 2").sampler, "scorer": scorer({"Answer: 1": 0.6, "Answer: 2": 0.5})}
    found = run("gflownet", given, n=4, width=2, beta=200.0)
    assert {n.text for n in found.tree.leaves()} == {"Answer: 1"} and found.node.facts["chance"] == 1.0
    even = run("gflownet", given, n=1, width=2, beta=0.0)
    assert {n.facts["chance"] for n in even.tree.root.children} == {0.5}


def test_the_trigger_and_where_it_stands_are_told():
    given = {"sampler": says("one two three\n", "four\n", "Answer: 5").sampler}
    found = run("iterative_deepening", given, n=1, first=2, trigger="Check.")
    assert [n.text for n in found.node.path][:2] == ["one two three", "Check."]


@pytest.mark.parametrize(("temperature", "answer"), [(0.01, "6"), (100.0, "5")])
def test_a_high_temperature_of_prism_accepts_a_worse_rewriting(temperature, answer):
    judge = Scripted(lambda prompt: f"Step 1: {'+1' if 'Answer: 6' in prompt else '0'}\nFINAL ANSWER CHECK: 0")
    sampler = Scripted({"what was found": "Answer: 5", "": "Answer: 6"})
    given = {"sampler": sampler.sampler, "judge": judge.judge}
    assert run("prism", given, n=1, rounds=1, temperature=temperature).answer == answer


def test_beta_scales_the_log_ratio():
    given = {
        "sampler": says("Answer: 1", "Answer: 2").sampler,
        "forcer": lambda p, c: [np.array([-3.0]) for _ in c],
        "reference": lambda p, c: [np.array([-5.0 if x.endswith("1") else -4.0]) for x in c],
    }
    found = run("step_q", given, n=2, beta=0.5)
    assert [n.score for n in found.tree.root.children] == [1.0, 0.5]
    assert implicit_q(np.array([-3.0]), np.array([-5.0]), 0.5).tolist() == [1.0]


def test_the_weights_of_swe_search_are_those_of_its_options():
    def searched(**options):
        sampler = says("edit a\n", "look b\n", "look c\n")
        judge = Scripted(lambda p: f"Reward: {-10 if 'look' in p else 60}")
        given = {"sampler": sampler.sampler, "judge": judge.judge}
        return [n.facts.get("terms") for n in run("swe_search", given, "Q\n", iterations=4, **options).tree.nodes]

    weights = {"exploit": 2.0, "explore": 0.0, "depth_weight": 0.5, "expansions": 1}
    _, first, second, _ = searched(context=lambda n: {n.text}, **weights)
    assert first == {"exploit": 120.0, "depth": -0.5, "promising_leaf": 50.0, "diversity": 100.0}
    assert second["exploit"] == -20.0
    assert searched(use_mean=True, **weights)[2]["exploit"] == pytest.approx(2 * (-10 + 25 + 25) / 3, abs=1e-6)
    assert searched(root_bonus=1000.0, **{**weights, "expansions": 2})[0]["root"] == pytest.approx(1000 * np.exp(0.5))
    whole = {**weights, "expansions": 3}
    assert "bad_child" not in searched(**whole)[1] and searched(edits="^look", **whole)[1]["bad_child"] == 5 * 130


@pytest.mark.parametrize(("completed", "parents"), [("aside", {"x", "y"}), ("compete", {"x"})])
def test_a_complete_solution_of_a_beam_takes_a_place_only_where_it_competes(completed, parents):
    table = {"x\n": "Answer: x", "y\n": "Answer: y"}
    turn = iter(["Answer: now", "x\n", "y\n", "z\n"] * 2)
    sampler = Scripted(lambda p: table.get(p.splitlines(keepends=True)[-1]) or next(turn))
    given = {"sampler": sampler.sampler, "scorer": scorer({"Answer: now": 0.95, "x": 0.9, "y": 0.8}, 0.1)}
    found = run("beam", given, "Q\n", n=4, width=2, completed=completed)
    assert {n.parent.text for n in found.tree.nodes if n.depth == 2} == parents
