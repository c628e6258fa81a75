import pytest
from said import run, says, scorer
from worlds import WRITING, chain, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Writing, solve
from stepcredit.search.policies.early_rejection import tokens_saved

LONG = Writing(max_tokens=10, longest=40)


def test_the_tokens_of_the_spec():
    assert 32 * 128 == 4096 and tokens_saved(32, 4, 128, 32) == pytest.approx(4096 / 1792)


def test_of_four_beginnings_two_are_completed():
    """The spec's p_tau .9, .2, .6, .55 with n = 4, width = 2: .9 and .6 survive."""
    ways = {w: f"{w} b c d e\n" for w in "PQRS"}
    model = Scripted(
        lambda p: next((t[3:] for t in ways.values() if p.endswith(t[:3])), ways["PQRS"[(len(model.asked) - 1) % 4]])
    )
    worth = scorer({"P b": 0.9, "Q b": 0.2, "R b": 0.6, "S b": 0.55})
    given = {"n": 4, "width": 2, "tau": 2, "writing": LONG, "limits": {"calls": 6}}
    found = run("early_rejection", {"sampler": model.sampler, "scorer": worth}, **given)
    begun, whole = found.tree.nodes[1:5], found.tree.nodes[5:]
    assert [n.text for n in begun] == ["P b", "Q b", "R b", "S b"] and not any(n.kept for n in begun)
    assert [(n.text, n.score, n.tokens) for n in whole] == [("P b c d e", 0.9, 5), ("R b c d e", 0.6, 5)]
    assert found.ledger.decode == 4 * 2 + 2 * 3


def test_a_beginning_that_is_a_whole_step_is_not_asked_to_go_on():
    worth = scorer({"Answer: 1": 0.3, "Answer: 2": 0.7})
    found = run("early_rejection", {"sampler": says("Answer: 1", "Answer: 2").sampler, "scorer": worth}, n=4, width=2)
    assert found.answer == "2" and found.ledger.calls == 4 and len(found.tree.leaves()) == 2


def test_a_whole_step_may_be_scored_again_and_the_code_starts_narrow():
    said = {"sampler": Scripted({"Answer: ": " by far", "?": ["Answer: 1 by far", "Answer: 2 by far"]}).sampler}
    worth = scorer({"Answer: 1": 0.9, "Answer: 2": 0.8, "Answer: 1 by far": 0.1, "Answer: 2 by far": 0.2})
    given = {"n": 4, "width": 2, "tau": 2, "writing": LONG}
    assert run("early_rejection", {**said, "scorer": worth}, **given).node.score == 0.9
    assert run("early_rejection@rescored", {**said, "scorer": worth}, **given).node.score == 0.1
    narrow = run("early_rejection@code", {**said, "scorer": worth}, **given, limits={"calls": 2})
    assert sum("partial" in n.facts for n in narrow.tree.nodes) == 2


def test_what_is_rejected_is_never_acted():
    found = dict(solve([chain()], "early_rejection", models(), writing=WRITING, n=8, width=4, tau=3))[0]
    acted = [n for n in found.tree.nodes if n.observation is not None]
    assert found.node.outcome == 1.0 and found.ledger.tool == len(acted) <= 3 * 2
    few = dict(solve([chain()], "early_rejection", models(), writing=WRITING, n=8, width=4, tau=3, limits={"tool": 1}))[
        0
    ]
    assert few.ledger.tool == 1 and few.stopped == "budget"


def test_it_writes_fewer_tokens_than_a_beam_of_equal_size():
    tasks = sums(10, seed=5, length=4)
    spent = {}
    for policy, more in (("beam", {}), ("early_rejection", {"tau": 2})):
        found = dict(solve(tasks, policy, models(), writing=WRITING, n=16, width=4, **more))
        assert all(f.answer == tasks[i].reference for i, f in found.items())
        spent[policy] = sum(f.ledger.decode for f in found.values())
    assert spent["early_rejection"] < 0.7 * spent["beam"]


def test_counts_must_fit():
    with pytest.raises(StepCreditError, match="multiple of width"):
        run("early_rejection", models(), n=6, width=4)
