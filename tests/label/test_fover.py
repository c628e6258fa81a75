"""FoVer: local labels by entailment, merged steps, prefixes balanced by their last label."""

from importlib.util import find_spec

import numpy as np
import pytest
from judged_work import rollout, told

from conftest import skip_or_fail
from stepcredit.errors import StepCreditError
from stepcredit.label.systems.fover import last_step_balanced, random_merge

STEPS = ("A & (A->B) -> B", "B -> C", "C -> C", "The final answer is PROVED")


class Joins:
    """Random numbers that merge exactly these steps with the one before."""

    def __init__(self, *steps):
        self.steps = steps

    def random(self, n):
        return np.array([0.0 if t in self.steps else 1.0 for t in range(n)])


@pytest.fixture
def labels():
    if find_spec("z3") is None:
        skip_or_fail("z3", "z3 is not installed")
    return told("fover@local", rollout(*STEPS, outcome=0.0))[0]


def test_a_step_is_judged_by_its_own_premises_and_the_last_by_the_outcome(labels):
    """methods/fover, worked example."""
    assert labels.label.tolist() == [1, 0, 1, 0] and labels.first_error == 1
    assert labels.reasons[1] == "z3_check: B -> C: not where B = True, C = False"


def test_merged_steps_are_right_if_all_are(labels):
    """methods/fover, worked example: steps 1 and 2 merged."""
    merged = random_merge(labels, 0.5, Joins(1))
    assert merged.label.tolist() == [0, 1, 0] and merged.first_error == 0
    assert merged.steps[0] == f"{STEPS[0]}\n{STEPS[1]}"
    assert random_merge(labels, 1.0, Joins(0, 1, 2, 3)).steps == merged.steps


def test_merged_solutions_come_beside_the_given_ones(labels):
    found = told("fover", rollout(*STEPS, outcome=0.0), rollout(*STEPS, name=1, outcome=1.0), options={"merge": 1})
    assert [one.rollout for one in found] == [0, 1, "p/drawn-0", "p/drawn-1"]
    assert [len(one) for one in found] == [4, 4, 3, 3]
    assert found[2].facts == {"merged_from": 0} and found[3].label.tolist() == [0, 1, 1]


def test_one_step_that_is_not_read_drops_the_solution_if_all_are_wanted(labels):
    given = rollout(STEPS[0], "in words", STEPS[2], "end", outcome=1.0)
    kept, dropped = (told("fover@local", given, options={"whole": w})[0] for w in (False, True))
    assert np.array_equal(kept.label, [1, np.nan, 1, 1], equal_nan=True)
    assert np.isnan(dropped.label).all() and dropped.reasons[1] == "z3_check: no formula"
    assert dropped.first_error is None


def test_prefixes_are_balanced_by_their_last_label(labels):
    rng = np.random.default_rng(0)
    right = told("fover@local", rollout(*STEPS, outcome=1.0))[0]
    found = last_step_balanced([labels, right], rng)
    last = [one.label[-1] for one in found]
    assert sorted(last) == [0, 0, 0, 1, 1, 1]
    assert all(np.isnan(one.label[:-1]).all() for one in found)
    assert sorted(one.label[-1] for one in found if len(one) == 4) == [0, 1]
    assert len(last_step_balanced([labels, right], rng, most=4)) == 4


def test_a_chance_is_between_0_and_1():
    with pytest.raises(StepCreditError, match="from 0 to 1"):
        told("fover", rollout("a"), options={"merge": 2})
