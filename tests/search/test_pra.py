import numpy as np
import pytest
from said import run, says, scorer, texts

from stepcredit.llm.scripted import Scripted
from stepcredit.search.policies.pra import steered


def test_the_sum_of_the_spec():
    assert steered([np.array([0.9, 0.6]), np.array([0.8, 0.75])]).tolist() == pytest.approx([1.5, 1.55])
    assert np.isnan(steered([np.array([0.9, np.nan])])).all()


def models(asked=None):
    """Two ways: one that begins better, one that sums up to more. The scorer reads the documents."""
    steps = iter(["a\n", "b\n", "Answer: 1", "Answer: 1", "Answer: 2", "Answer: 2"])
    worth = {"a": 0.9, "b": 0.8, "Answer: 1": 0.6, "Answer: 2": 0.75}

    def score(prefixes, found):
        if asked is not None:
            asked.extend(prefixes)
        return np.array([worth[s] for s in found])

    return {
        "sampler": Scripted(lambda prompt: next(steps)).sampler,
        "scorer": score,
        "retriever": Scripted(lambda query: "known: " + query.splitlines()[-1]).judge,
    }


def test_each_step_is_judged_with_what_was_found_for_it_and_the_largest_sum_wins():
    asked = []
    found = run("pra", models(asked), "Q\n", beams=2, expand=2)
    assert found.answer == "2" and found.ledger.tool == 6
    assert all("known: " in prefix for prefix in asked) and asked[0].endswith("Q\n")
    assert found.tree.nodes[1].facts["documents"] == "known: a"


def test_without_a_search_nothing_is_shown():
    asked = []
    run("pra@no-search", models(asked), "Q\n", beams=2, expand=2)
    assert asked[:2] == ["Q\n", "Q\n"]


def test_the_gate_decides_whether_to_search():
    found = run("pra@adaptive", {**models(), "gate": scorer({"a": 0.9})}, "Q\n", beams=2, expand=2)
    assert [n.text for n in found.tree.nodes if "documents" in n.facts] == ["a"]


def test_the_mean_does_not_favor_a_longer_solution():
    def sampler():
        steps = iter(["Answer: short", "a\n", "Answer: long", "Answer: long"])
        return Scripted(lambda prompt: next(steps)).sampler

    worth = scorer({"Answer: short": 0.8, "a": 0.6, "Answer: long": 0.6})
    quiet = {"scorer": worth, "retriever": says("docs").judge}
    assert run("pra", {"sampler": sampler(), **quiet}, beams=2, expand=2).answer == "long"
    assert run("pra@mean", {"sampler": sampler(), **quiet}, beams=2, expand=2).answer == "short"


def test_a_retriever_that_failed_leaves_the_step_unjudged():
    found = run("pra", {**models(), "retriever": lambda q: [None] * len(q)}, "Q\n", beams=2, expand=1)
    assert {n.status for n in found.tree.nodes[1:]} == {"failed"}
    assert found.ledger.score == 0 and texts(found)
