"""AlphaMath: what an expansion backs up, and the values that become labels."""

import numpy as np
import pytest
from given import Writer, labelled, rollout, solves

from stepcredit.errors import StepCreditError
from stepcredit.label._grow import Grown
from stepcredit.label.systems.alphamath import _expand
from stepcredit.label.work import Work
from stepcredit.llm.drive import drive

THREE = Writer({"": ["so 24", "so 7", "open"], "open\n": ["so 24", "so 7"]})


def value(prefixes, steps):
    return [0.2 if not s else 0.6 for s in steps]


def test_an_expansion_backs_up_what_ends_and_once_the_value_of_what_was_expanded():
    """Worked example of the notes: +1, -1 and the root's 0.2 make W = 0.2, N = 3."""
    models = {"sampler": THREE.sampler, "verifier": solves, "scorer": value}
    tree = Grown([Work(rollout("z"), "24", ())])
    list(drive([_expand(tree, tree.root, 3, 8, "scorer", "parent")], models))
    assert tree.root.visits == 3 and tree.root.mean == pytest.approx(0.2 / 3)
    assert [s.mean for s in tree.root.children[:2]] == [1.0, -1.0] and tree.root.children[2].visits == 0
    assert tree.root.children[0].prior == pytest.approx(np.exp(-0.5))
    by_child = Grown([Work(rollout("z"), "24", ())])
    list(drive([_expand(by_child, by_child.root, 3, 8, "scorer", "children")], models))
    assert by_child.root.mean == pytest.approx(0.6 / 3) and by_child.root.children[2].mean == 0.6


def test_labels_are_the_means_and_the_search_ends_when_nothing_is_open():
    given, right, wrong, deep, other = labelled("alphamath", rollout("open", "so 9"), {"sampler": THREE.sampler})
    assert (right.value.tolist(), wrong.value.tolist()) == ([1.0], [-1.0])
    assert right.label.tolist() == [1.0] and right.outcome == 1.0 and wrong.outcome == 0.0
    # "open" was backed up: -1 of the given rollout, +1 and -1 of its other children, 0 when it was expanded
    assert deep.steps == ("open", "so 24") and deep.value.tolist() == [-0.25, 1.0]
    assert other.label.tolist() == [0.375, 0.0] and given.value.tolist() == [-0.25, -1.0]
    assert given.first_error is None and given.spent == {"sample": 10, "verify": 4} and not right.spent


def test_given_rollouts_may_stay_outside():
    rows = labelled("alphamath", rollout("open", "so 9"), {"sampler": THREE.sampler}, given=False)
    np.testing.assert_array_equal(rows[0].value, [0.0, np.nan])


def test_a_solution_that_does_not_end_in_time_is_wrong():
    endless = Writer({"": ["a"], "a\n": ["a"]})
    _, one = labelled("alphamath", rollout("z"), {"sampler": endless.sampler}, depth=2)
    assert one.steps == ("a", "a") and one.value[1] == -1 and one.outcome == 0.0


def test_a_solution_to_which_the_model_has_nothing_to_add_is_complete():
    silent = Writer({"": ["= 24"], "= 24\n": ["  "]})
    _, one = labelled("alphamath", rollout("z"), {"sampler": silent.sampler})
    assert one.steps == ("= 24",) and one.outcome == 1.0 and one.value.tolist() == [1.0]


def test_values_may_come_from_the_model_of_the_round_before_and_failures_are_no_values():
    def failing(prefixes, steps):
        return [float("nan")] * len(steps)

    for scorer, root in ((value, 0.6), (failing, None)):
        models = {"sampler": Writer({"": ["a"], "a\n": ["b"]}).sampler, "scorer": scorer}
        one = labelled("alphamath@leaf-values", rollout("a", "b", outcome=None), models, iterations=1)
        np.testing.assert_array_equal(one.value, [np.nan if root is None else root, np.nan])


def test_verdicts_and_values_that_are_not_known_are_not_backed_up():
    def unsure(answers, references):
        return np.full(len(answers), np.nan)

    rows = labelled("alphamath", rollout("z", outcome=1.0), {"sampler": THREE.sampler, "verifier": unsure})
    assert rows.label.tolist() == [1.0] and rows.spent["sample"] == 10


def test_where_nothing_can_be_drawn_the_given_outcomes_are_no_values():
    one = labelled("alphamath", rollout("z", "y"), {"sampler": Writer({}).sampler})
    assert np.isnan(one.label).all() and one.reasons == ("the sampler did not answer",) * 2
    with pytest.raises(StepCreditError):
        labelled("alphamath", rollout("z"), {"sampler": THREE.sampler}, expand=0)
