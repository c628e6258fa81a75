import numpy as np
import pytest
from said import run, says
from worlds import WRITING, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.search import solve
from stepcredit.search.policies.majority import consistency, tied


def test_the_most_frequent_answer_wins_and_the_root_tells_how_much_they_agree():
    found = run("majority", {"sampler": says(*[f"Answer: {a}" for a in "AABAC"]).sampler}, n=5)
    assert found.answer == "A" and found.node is found.tree.nodes[1]
    assert found.tree.root.facts == {"consistency": 0.6, "entropy": 0.950271}


def test_of_equally_frequent_answers_the_first_wins_or_any_solution_of_theirs():
    said = [f"Answer: {a}" for a in ("7", "8", "8", "7", "9")]
    assert run("majority", {"sampler": says(*said).sampler}, n=5).answer == "7"
    drawn = [run("majority@its-hub", {"sampler": says(*said).sampler}, n=5, seed=i).node.place for i in range(40)]
    assert set(drawn) == {1, 2, 3, 4} == {1 + i for i in tied(["7", "8", "8", "7", "9"])}


def test_no_answers_are_no_agreement():
    assert np.isnan(consistency([None, None])).all() and tied([None]) == []
    assert consistency(["a", None, "a"]) == (1.0, 0.0)
    with pytest.raises(StepCreditError, match="at least 1"):
        run("majority", {"sampler": says("x").sampler}, n=0)


def test_a_majority_is_right_more_often_than_a_sample():
    tasks = sums(40, seed=1)
    right = {
        n: np.mean(
            [f.answer == tasks[i].reference for i, f in solve(tasks, "majority", models(), writing=WRITING, n=n)]
        )
        for n in (1, 15)
    }
    assert right[15] > right[1] + 0.2
