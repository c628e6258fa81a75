"""OmegaPRM: the first error by halving, what misleads the search, the tree, and what it all costs."""

from functools import partial

import numpy as np
import pytest
from chains import Chains
from given import Completer, labelled, rollout, solves

from stepcredit.errors import StepCreditError
from stepcredit.label._omega_tree import OmegaTree, Shape, said
from stepcredit.label.labels import NONE, first_wrong
from stepcredit.label.run import SYSTEMS, label
from stepcredit.label.work import Setting, Work
from stepcredit.llm.tabular import Policy, Tabular

EIGHT = tuple("abcdefgh")


def test_three_probes_find_the_error_among_eight_steps():
    """The worked example of the notes: probes 3 (saved), 5 (lost), 4 (saved)."""
    model = Completer(*[4] * 6, 0, 0, 0)
    one = labelled("omegaprm", rollout(*EIGHT, outcome=None), {"sampler": model.sampler})
    assert model.asked == [4, 6, 5] and one.first_error == 5
    assert one.label.tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    assert one.drawn.tolist() == [0, 0, 0, 8, 8, 8, 0, 0] and one.value[3] == 0.5 and np.isnan(one.value[0])


def test_without_an_error_the_probes_go_to_the_end():
    model = Completer(*[4] * 9)
    one = labelled("omegaprm", rollout(*EIGHT, outcome=None), {"sampler": model.sampler})
    assert model.asked == [4, 6, 7, 8] and one.first_error == NONE and one.label.tolist() == [1] * 8


def test_a_right_solution_is_asked_nothing_and_a_wrong_one_errs_at_the_latest_at_its_end():
    model = Completer(*[4] * 9)
    right = labelled("omegaprm", rollout(*EIGHT, outcome=1.0), {"sampler": model.sampler})
    assert right.first_error == NONE and model.asked == []
    wrong = labelled("omegaprm", rollout(*EIGHT, outcome=0.0), {"sampler": model.sampler})
    assert wrong.first_error == 7 and model.asked == [4, 6, 7]


def test_labels_may_be_soft_or_have_a_threshold_and_then_what_was_passed_over_is_not_judged():
    model = {"sampler": Completer(*[4] * 4, 2, 2, 0, 0, 0).sampler}
    soft = labelled("omegaprm", rollout(*EIGHT), model, kind="soft")
    assert soft.first_error == 5
    np.testing.assert_array_equal(soft.label, [np.nan, np.nan, np.nan, 0.25, 0.25, 0, 0, 0])
    strict = labelled("omegaprm", rollout(*EIGHT), model, threshold=0.5)
    np.testing.assert_array_equal(strict.label, [np.nan, np.nan, np.nan, 0, 0, 0, 0, 0])
    assert strict.first_error is None


def test_an_unlucky_zero_misleads_whoever_trusts_it():
    given, lucky = rollout(*EIGHT), [2] * 7
    lucky[4] = [0, 2]
    model = Completer(*lucky, 0, 0)
    assert labelled("omegaprm", given, {"sampler": model.sampler}).first_error == 3
    assert model.asked == [4, 2, 3]
    model = Completer(*lucky, 0, 0)
    careful = labelled("omegaprm@careful", given, {"sampler": model.sampler})
    assert careful.first_error == 6 and careful.label.tolist() == [1] * 6 + [0, 0]
    assert model.asked == [4, 2, 3, 4, 6, 7, 7]
    assert careful.drawn.tolist() == [0, 8, 8, 14, 0, 8, 14, 0]  # 7 * 8 * 9 / (21 * 22 * 23) is the first below 0.05


def test_a_zero_says_nothing_of_a_task_that_is_never_solved():
    never = {"sampler": Completer(*[0] * 9).sampler}
    assert labelled("omegaprm", rollout(*EIGHT), never).first_error == 0
    careful = labelled("omegaprm@careful", rollout(*EIGHT), never)
    assert careful.first_error is None and np.isnan(careful.label).all()
    siblings = [rollout(*EIGHT), rollout("a", "z", outcome=1.0, name=1)]
    assert labelled("omegaprm@careful", siblings, never)[0].first_error == 0


def test_a_prefix_that_cannot_be_completed_ends_the_search_and_what_was_known_stands():
    model = Completer(*[4] * 6, None, 4, 4)
    one = labelled("omegaprm", rollout(*EIGHT), {"sampler": model.sampler})
    assert one.first_error is None and one.reasons[5] == "the sampler did not answer"
    np.testing.assert_array_equal(one.label, [1, 1, 1, 1, np.nan, np.nan, np.nan, 0])
    again = Completer(*[4] * 6, None, 4, 4)
    labelled("omegaprm", rollout(*EIGHT), {"sampler": again.sampler}, retries=2)
    assert again.asked == [4, 6, 6, 6] and model.asked == [4, 6]


@pytest.mark.parametrize("size, share", [(8, 1 / 2), (16, 1 / 3), (32, 1 / 3)])
@pytest.mark.parametrize("system", ["omegaprm", "omegaprm@careful"])
def test_at_no_less_accuracy_it_takes_at_most_this_share_of_the_calls(system, size, share):
    every, _, most = Chains(size, 0.5, 120).search("math_shepherd", n=8)
    _, _, ordered = Chains(size, 0.5, 120).search("math_shepherd@first-zero", n=8)
    found, unknown, calls = Chains(size, 0.5, 120).search(system, n=8)
    assert found >= every and unknown == 0
    assert calls <= share * most and calls < ordered


def test_where_completions_are_often_unlucky_the_careful_search_finds_more():
    plain, _, cheap = Chains(16, 0.25, 300).search("omegaprm", n=8)
    careful, _, dear = Chains(16, 0.25, 300).search("omegaprm@careful", n=8)
    assert careful > plain + 0.05 and dear < 2 * cheap


@pytest.mark.parametrize("share, size, q", [(0.25, 100, 0.582205), (0.75, 100, 0.823362), (0.75, 500, 0.756807)])
def test_the_worth_of_a_candidate(share, size, q):
    """Worked example of the notes."""
    assert Shape(8, c=0).score(share, size, 1, 4) == pytest.approx(q, abs=5e-7)
    assert Shape(8).score(share, size, 1, 4) == pytest.approx(q + 0.125, abs=5e-7)
    assert Shape(8).score(share, size, 3, 4) == pytest.approx(q + 0.0625, abs=5e-7)


def test_the_rows_of_mm_prm_have_the_values_of_the_nodes():
    """Worked example of the notes: root .5 -> a (.25) -> b (0); a right leaf."""
    tree = OmegaTree([Work(rollout("z"), "24", ())], Shape(4))
    for steps, won in {("a",): 1, ("a", "b"): 0}.items():
        tree.state(steps).won, tree.state(steps).drawn = won, 4
    rows = tree.labels([(("a", "b"), 0.0), (("c",), 1.0)], partial(said, tree, "soft", 0.0, True))
    assert [(r.label.tolist(), r.first_error) for r in rows[1:]] == [([0.25, 0.0], 1), ([1.0], NONE)]
    assert [r.rollout for r in rows] == [0, "p/drawn-0", "p/drawn-1"]


GAME = Tabular(Policy(skill=6.0))
TASK = "Make 24 from 2 4 6 6, each number once."


def game24(n=6):
    """Solutions of one task by the tabular model, and the truth about their steps."""
    (samples,) = GAME.sampler([TASK + "\n"], n=n, seed=3)
    given, truth = [], {}
    for i, sample in enumerate(samples):
        steps = sample.text.split("\n")[:-1]
        made = rollout(*steps, outcome=float(GAME.solved(sample.text, TASK)), name=i, group="2 4 6 6", reference=TASK)
        made.task = TASK
        given.append(made)
        truth[tuple(steps)] = right(steps)
    return given, truth


def right(steps):
    before = ["\n".join([TASK, *steps[:t]]) + "\n" for t in range(len(steps))]
    return np.array([float(GAME.step_is_right(b, s)) for b, s in zip(before, steps, strict=True)])


def test_the_tree_labels_what_it_drew_and_a_lost_game_is_never_called_right():
    given, _ = game24()
    models = {"sampler": GAME, "verifier": GAME}
    ((_, rows),) = label(given, "omegaprm@tree", models, n=16, searches=12, setting=Setting(max_tokens=128))
    assert len(rows) > len(given) and {r.spent.get("sample", 0) > 0 for r in rows[1:]} == {False}
    judged = [(x, y) for r in rows for x, y in zip(r.label, right(r.steps), strict=True) if x == x]
    assert not any(x == 1 and y == 0 for x, y in judged)
    assert np.mean([x == y for x, y in judged]) > 0.9
    known = [r for r in rows if r.first_error is not None]
    assert np.mean([r.first_error == first_wrong(right(r.steps)) for r in known]) > 0.8


def test_each_rollout_is_halved_once_and_the_budget_ends_the_tree():
    given, _ = game24(1)
    tree = OmegaTree([Work(r, TASK, (r.outcome,), Setting(max_tokens=128)) for r in given], Shape(8, searches=50))
    selected = []
    halve = tree._halve
    tree._halve = lambda state, attempt: selected.append((state.steps, attempt.steps)) or halve(state, attempt)
    run(tree.grow())
    assert len(selected) > 3 and len(set(selected)) == len(selected)
    ((_, rows),) = label(given, "omegaprm@tree", {"sampler": GAME, "verifier": GAME}, budget=7)
    assert rows[0].spent["sample"] == 7  # the given rollout is one of the eight


def run(plan):
    from stepcredit.llm.drive import drive

    ((_, result),) = drive([plan], {"sampler": GAME, "verifier": GAME})
    return result


def test_a_task_that_is_always_or_never_solved_is_left_out_where_it_is_asked_for():
    model = {"sampler": Completer(*[0] * 9).sampler}
    kept = labelled("omegaprm@tree", rollout(*EIGHT), model)
    dropped = labelled("mm_prm", rollout(*EIGHT), model)
    assert "kept" not in kept.facts and dropped.facts["kept"] is False


def test_presets_have_the_numbers_of_the_codes():
    assert SYSTEMS.get("mm_prm").options["n"] == 16 and SYSTEMS.get("mm_prm").name == "mm_prm"
    openr = SYSTEMS.get("omegaprm@openr").options
    assert (openr["searches"], openr["budget"], openr["threshold"]) == (10, 100, 0.5)


def test_numbers_out_of_range_and_options_of_the_other_search_are_refused():
    model = {"sampler": Completer(*[4] * 9).sampler, "verifier": solves}
    for wrong in ({"n": 0}, {"doubt": 1.0}, {"search": "tree", "doubt": 0.1}, {"length": 0}):
        with pytest.raises(StepCreditError):
            list(label([rollout(*EIGHT)], "omegaprm", model, **wrong))
