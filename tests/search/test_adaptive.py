import numpy as np
import pytest
from said import run, says
from worlds import WRITING, Failing, Toy, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.search import Search
from stepcredit.search.policies.adaptive import more_samples, over_tasks


def counts(a, b):
    """Answers of which the leading one has a and the second b."""
    return ["x"] * a + ["y"] * b


@pytest.mark.parametrize(
    ("a", "b", "asc", "density"),
    [(4, 0, 0.9688, 0.3125), (3, 1, 0.8125, 1.25), (2, 2, 0.5, 1.875), (6, 2, 0.9102, 0.9844), (10, 1, 0.9968, 0.0645)],
)
def test_the_table_of_the_spec(a, b, asc, density):
    for confidence, value in (("asc", asc), ("ppr", 1 - min(1, density))):
        for off, open_ in ((-1e-4, 0), (1e-4, 1)):
            asked = {"rule": "threshold", "confidence": confidence, "settled": value + off}
            assert more_samples([counts(a, b)], **asked).tolist() == [open_]


@pytest.mark.parametrize(
    ("policy", "calls"), [("adaptive", 4), ("ppr_1v1", 7), ("esc", 5), ("adaptive_missing", None)][:3]
)
def test_unanimous_answers_settle(policy, calls):
    found = run(policy, {"sampler": says("Answer: 7").sampler})
    assert (found.answer, found.ledger.calls) == ("7", calls)


def test_two_answers_of_equal_chance_take_all_there_is():
    found = run("adaptive", {"sampler": says("Answer: 7", "Answer: 8").sampler}, n=20)
    assert found.ledger.calls == 20
    assert run("adaptive", {"sampler": says("Answer: 7").sampler}, n=20, batch=3).ledger.calls == 6
    assert run("adaptive", {"sampler": says("Answer: 7").sampler}, n=3, least=9).ledger.calls == 3


def test_blend_turns_from_the_first_rule_to_the_second_as_samples_are_spent():
    early = run("blend_asc", {"sampler": says("Answer: 7").sampler}, n=1000)
    late = run("blend_asc", {"sampler": says("Answer: 7").sampler}, n=8)
    assert early.ledger.calls == 5 and late.ledger.calls == 7


def test_a_shared_budget_goes_where_answers_are_settled_least():
    tasks = sums(6, seed=3)
    searches = [Search(t, WRITING, seed=i) for i, t in enumerate(tasks)]
    ((_, nodes),) = drive([over_tasks(searches, budget=8, most=20)], models(Toy(0.8)))
    calls = np.array([s.ledger.calls for s in searches])
    assert calls.sum() == 48 and calls.max() <= 20 and calls.min() < 8 < calls.max()
    share = [max(s.tree.leaves().count(x) for x in s.tree.leaves()) for s in searches]
    assert len(share) == len(nodes) == 6
    assert [s.answer(n) for s, n in zip(searches, nodes, strict=True)] == [t.reference for t in tasks]


def test_a_task_that_cannot_go_on_does_not_hold_up_the_others():
    tasks = sums(3, seed=3)
    searches = [Search(t, WRITING, limits={"calls": 2} if i == 0 else None) for i, t in enumerate(tasks)]
    ((_, nodes),) = drive([over_tasks(searches, budget=6, most=8)], models())
    assert [s.ledger.calls for s in searches] == [2, 8, 8] and None not in nodes
    searches = [Search(t, WRITING) for t in tasks]
    ((_, nodes),) = drive([over_tasks(searches, budget=6)], models(Failing(1.0, sampler=True)))
    assert nodes == [None, None, None]


def test_counts_must_be_positive():
    with pytest.raises(StepCreditError, match="at least 1"):
        run("adaptive", {"sampler": says("x").sampler}, batch=0)
