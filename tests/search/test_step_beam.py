import pytest
from said import run, says, scorer, texts

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted


def test_candidates_compete_over_all_beams():
    """The spec of OVM: A1 .62, A2 .35, B1 .70, B2 .66 with two beams keep B1 and B2."""
    model = Scripted({"A\n": ["A1\n", "A2\n"], "B\n": ["B1\n", "B2\n"], "?": ["A\n", "B\n", "A\n", "B\n"]})
    worth = scorer({"A": 0.8, "B": 0.7, "A1": 0.62, "A2": 0.35, "B1": 0.70, "B2": 0.66})
    found = run("ovm", {"sampler": model.sampler, "scorer": worth}, beams=2, expand=2, limits={"calls": 8})
    assert [n.text for n in found.tree.nodes if n.kept and n.depth == 2] == ["B1", "B2"]
    assert found.stopped == "budget" and found.node is None


def test_an_answer_takes_its_beam_along():
    """The spec of AlphaMath: of .9, .4, .7 two go on; the first is an answer, so that one beam is left."""
    model = Scripted({"open\n": ["x\n", "x\n", "Answer: 2"], "?": ["Answer: 1", "low\n", "open\n"]})
    worth = scorer({"Answer: 1": 0.9, "low": 0.4, "open": 0.7, "x": 0.1, "Answer: 2": 0.3})
    found = run("step_beam", {"sampler": model.sampler, "scorer": worth}, beams=2, expand=3)
    assert [n.text for n in found.tree.leaves()] == ["Answer: 1", "Answer: 2"] and found.answer == "1"
    assert texts(found)[3:] == ["x", "x", "Answer: 2"]
    assert [n.status for n in found.tree.nodes[4:]] == ["ok", "missing", "ok"], "a repetition is not asked about"


def test_a_complete_solution_without_an_answer_is_dropped_with_its_beam():
    worth = scorer({"": 0.9, "Answer: 2": 0.2, "on": 0.1})
    found = run("alphamath_sbs", {"sampler": says("", "Answer: 2", "on\n").sampler, "scorer": worth}, expand=3)
    assert found.ledger.calls == 3 and not found.tree.leaves()
    assert found.node is found.tree.nodes[1] and found.answer is None


@pytest.mark.parametrize(("repeats", "kept"), [("keep", ["a", "a"]), ("last", ["a", "b"]), ("drop", ["a", "b"])])
def test_repetitions_keep_their_place_or_stand_back(repeats, kept):
    model, worth = says("a\n", "a\n", "b\n", "b\n"), scorer({"a": 0.9, "b": 0.5})
    given = {"beams": 2, "expand": 2, "repeats": repeats, "limits": {"calls": 4}}
    found = run("ovm", {"sampler": model.sampler, "scorer": worth}, **given)
    assert [n.text for n in found.tree.root.children if n.kept] == kept


def test_what_was_thrown_away_is_answered_where_nothing_else_is_complete():
    worth = scorer({"on": 0.9, "Answer: 1": 0.2})
    found = run(
        "step_beam", {"sampler": says("on\n", "Answer: 1").sampler, "scorer": worth}, expand=2, limits={"calls": 2}
    )
    assert found.answer == "1" and not found.node.kept and found.stopped == "budget"


def test_a_candidate_without_a_value_is_never_kept():
    worth = scorer({"a": float("nan"), "Answer: 1": 0.0})
    assert run("step_beam", {"sampler": says("a\n", "Answer: 1").sampler, "scorer": worth}, expand=2).answer == "1"
    assert run("step_beam", {"sampler": says("a\n").sampler, "scorer": worth}).node is None


def test_beams_must_be_positive():
    with pytest.raises(StepCreditError, match="at least 1"):
        run("step_beam", {"sampler": says("x").sampler, "scorer": scorer({})}, expand=0)
