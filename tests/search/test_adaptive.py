import numpy as np
import pytest
from said import lake, run, says

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Search, Task, Writing
from stepcredit.search.policies.adaptive import allocate, blend, confidences

A, B = "Answer: a", "Answer: b"


def sampler(*replies):
    return {"sampler": says(*replies).sampler}


def test_confidences_of_the_spec():
    """blend-asc spec: (4,0), (3,1), (2,2), (6,2), (10,1): ASC, and the density that PPR reads."""
    drawn = ["a" * a + "b" * b for a, b in ((4, 0), (3, 1), (2, 2), (6, 2), (10, 1))]
    assert confidences(drawn) == pytest.approx([0.96875, 0.8125, 0.5, 0.9102, 0.9968], abs=5e-5)
    assert 1 - confidences(drawn, "ppr") == pytest.approx([0.3125, 1.0, 1.0, 0.9844, 0.0645], abs=5e-5)
    assert confidences(["", "a"]).tolist() == pytest.approx([0.5, 0.75])


def test_blended_early_the_one_counts_and_late_the_other():
    asc, ppr = confidences(["aaaa"])[0], confidences(["aaaa"], "ppr")[0]
    assert confidences(["aaaa"], "blend", budget=16)[0] == pytest.approx(0.75 * asc + 0.25 * ppr)
    assert confidences(["aaaa"], "blend", budget=4)[0] == pytest.approx(ppr)


@pytest.mark.parametrize(("policy", "calls"), [("adaptive", 4), ("adaptive@ppr", 7), ("adaptive@esc", 5)])
def test_unanimous_answers_stop_early(policy, calls):
    """blend-asc spec: ASC(.95) at 4, PPR (.1, K = 2) at 7; ESC's window is 5."""
    found = run(policy, sampler(A))
    assert (found.answer, found.ledger.calls, found.stopped) == ("a", calls, "done")


def test_what_is_undecided_takes_all_and_the_first_seen_wins():
    found = run("adaptive", sampler(B, A), most=10)
    assert (found.answer, found.ledger.calls) == ("b", 10)
    assert found.tree.root.facts["confidence"] == pytest.approx(0.5)


def test_an_early_window_is_broken_by_one_other_answer():
    found = run("esc", sampler(A, A, B, A, A, A, A, A, A, A))
    assert found.ledger.calls == 10


def test_a_solution_without_an_answer_unsettles_the_vote_and_has_none():
    found = run("adaptive", sampler("", "", A, A, A, A, A), most=7)
    assert (found.answer, found.ledger.calls) == ("a", 7)


def test_a_sampler_that_always_fails_is_asked_no_more_than_may_be():
    found = run("adaptive", {"sampler": lambda prompts, **_: [None] * len(prompts)}, most=3)
    assert found.answer is None and len(found.notes) == 3


def test_a_spent_budget_still_votes():
    found = run("adaptive@blend", sampler(B, A, A), limits={"calls": 3})
    assert (found.answer, found.stopped) == ("a", "budget")


def test_the_next_sample_goes_where_the_vote_is_settled_least():
    assert allocate(["aaaa", "aabb", "aaab"]).tolist() == [0, 1, 0]
    assert allocate(["aaaa", "aabb", "aaab"], draws=2).tolist() == [0, 1, 1]
    assert allocate(["aaaa", "aabb", "aaab"], closed=[1]).tolist() == [0, 0, 1]
    assert allocate(["aaaa", "aabb", "aaab"], most=4).tolist() == [0, 0, 0]
    assert allocate(["ab", "aabb"]).tolist() == [1, 0]  # as unsettled, with fewer samples


def test_first_all_get_their_least_and_never_more_than_the_budget_holds():
    assert allocate(["", "aa", ""], least=2).tolist() == [2, 0, 2]
    assert allocate(["", "a", ""], least=2, budget=1).tolist() == [2, 0, 0]
    assert allocate(["ab", "ab"], budget=2, draws=2).tolist() == [0, 0]
    assert allocate(["ab", "abc"], budget=3, rule="threshold", confidence="asc").tolist() == [1, 0]
    assert allocate([]).tolist() == []


def test_a_threshold_leaves_the_settled_alone_and_nobody_starves():
    more = allocate(["aaaa", "aabb", "aaab"], rule="threshold", confidence="asc")
    assert more.tolist() == [0, 1, 1]


def tasks():
    return [Task("Which one?\n", "easy"), Task("Which of both?\n", "hard")]


def shared(limits=None, models=None, **options):
    searches = [Search(t, Writing(), limits=limits) for t in tasks()]
    given = models or {"sampler": Scripted({"one": A, "both": [A, B]}).sampler}
    return dict(drive([blend(searches, **options)], given))[0]


def test_many_tasks_share_a_budget():
    easy, hard = shared(budget=5)
    assert easy.ledger.calls + hard.ledger.calls == 10 and hard.ledger.calls > easy.ledger.calls
    assert (easy.answer, hard.answer) == ("a", "a")
    assert easy.tree.root.facts["confidence"] > hard.tree.root.facts["confidence"]


def test_no_task_takes_more_than_the_most_of_one():
    easy, hard = shared(budget=6, most=7)
    assert (easy.ledger.calls, hard.ledger.calls) == (5, 7)


def test_what_is_asked_for_several_tasks_goes_out_together():
    sizes = []

    def counted(prompts, **setting):
        sizes.append(len(prompts))
        return Scripted({"one": A, "both": B}).sampler(prompts, **setting)

    shared(budget=3, draws=2, models={"sampler": counted})
    assert sizes == [2, 2, 2]


def test_a_search_that_has_spent_its_own_limit_leaves_the_rest_to_the_others():
    searches = [Search(t, Writing(), limits={"calls": 2 if t.name == "hard" else 9}) for t in tasks()]
    given = {"sampler": Scripted({"one": A, "both": [A, B]}).sampler}
    easy, hard = dict(drive([blend(searches, budget=4)], given))[0]
    assert (easy.ledger.calls, hard.ledger.calls) == (6, 2)
    assert (easy.stopped, hard.stopped) == ("done", "budget")
    assert hard.answer == "a"


def test_walks_in_a_live_environment_vote_and_share():
    task, way = lake()
    walk = Scripted(lambda p: way[min(sum(p.count(a + "\n") for a in set(way)), 3)] + "\n")
    searches = [Search(task, Writing()), Search(task, Writing(), seed=1)]
    found = dict(drive([blend(searches, budget=2)], {"sampler": walk.sampler}))[0]
    assert [f.node.outcome for f in found] == [1.0, 1.0]
    assert sum(f.ledger.tool for f in found) == 4 * len(way)
    assert run("adaptive", {"sampler": walk.sampler}, task).ledger.tool == 4 * len(way)


def test_the_same_budget_answers_more_than_an_equal_share():
    """Questions of chance .9 and .6 for the right answer: what the easy ones need not is worth more to the others."""
    right = {"shared": 0.0, "equal": 0.0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chance = np.where(np.arange(20) < 10, 0.95, 0.65)
        pool = rng.random((20, 200)) < chance[:, None]
        drawn = ["" for _ in chance]
        while (more := allocate(drawn, budget=7, rule="threshold", confidence="asc", settled=0.9)).any():
            drawn = [d + "".join("ab"[int(x)] for x in pool[i, len(d) : len(d) + more[i]]) for i, d in enumerate(drawn)]
        right["shared"] += np.mean([d.count("b") > d.count("a") for d in drawn])
        right["equal"] += np.mean(pool[:, :7].sum(1) > 3)
    assert right["shared"] > right["equal"]


def test_what_makes_no_sense_is_an_error():
    with pytest.raises(StepCreditError, match="most and batch"):
        run("adaptive", sampler(A), most=0)
    with pytest.raises(StepCreditError, match="draws"):
        shared(draws=0)
