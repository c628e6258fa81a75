"""The step of least credit. About 3 s."""

import numpy as np
import pytest
from made_runs import case, chat, run, spoiled

from stepcredit.credit.run import assign
from stepcredit.data.batch import Batch
from stepcredit.diagnose.methods.credit import _sure, credit
from stepcredit.errors import MissingColumn, UnknownName

GOOD = [run(f"good{i}", ["a", "b", "c"], 1.0, ["s", "t", "u", "won"]) for i in range(5)]
BAD = run("bad", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"])


def test_it_is_the_step_with_the_least_credit_of_the_method():
    runs = [BAD, *GOOD]
    said = credit(case(*runs))
    whole = assign(Batch.from_records(runs), "stepcredit_graph")
    assert said.step == 1 and said.scores == pytest.approx(-whole.steps[:3])
    assert said.evidence["method"] == "stepcredit_graph" and 0.5 < said.confidence <= 1
    assert said.reason.startswith("stepcredit_graph, on the runs of this task, gives this step the credit -")


def test_any_credit_method_can_be_asked():
    said = credit(case(BAD, *GOOD), method="gigpo")
    assert said.step == 1 and said.confidence is None
    assert said.scores == pytest.approx(-assign(Batch.from_records([BAD, *GOOD]), "gigpo").steps[:3])
    with pytest.raises(UnknownName, match="nonesuch"):
        credit(case(BAD, *GOOD), method="nonesuch")
    with pytest.raises(MissingColumn, match="value"):
        credit(case(BAD, *GOOD), method="gae")


def test_states_and_actions_that_are_missing_are_places_of_the_graph():
    good = [chat(f"good{i}", [("x", "look", {}, "r"), ("y", "take", {}, "r")], 1.0) for i in range(4)]
    bad = chat("bad", [("x", "look", {}, "r"), ("z", "drop", {}, "r"), ("w", None, None, None)])
    assert credit(case(bad, *good)).status == "found"
    assert credit(case(bad, *good), method="salt").step == 1


def test_steps_of_equal_credit_name_nobody():
    assert credit(case(BAD, *GOOD), method="grpo").status == "unknown"
    assert "same credit" in credit(case(BAD, *GOOD), method="grpo").reason


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([BAD], "do not differ"),
        ([BAD, run("other", "ab", 0.0)], "do not differ"),
        ([run("empty", "", 0.0), *GOOD], "no steps"),
    ],
)
def test_without_outcomes_that_differ_it_says_so(runs, words):
    said = credit(case(*runs))
    assert said.status == "unknown" and words in said.reason and np.isnan(said.scores).all()


def test_a_run_that_no_other_met_after_its_first_step_gets_no_guess():
    alone = [chat(f"r{i}", [(f"word {i} {t}", None, None, None) for t in range(3)], float(i > 2)) for i in range(6)]
    assert "no other run was where this one was" in credit(case(*alone)).reason
    asked = credit(case(*alone), method="stepcredit_graph")
    assert asked.status == "unknown" and "below 0 by its standard error" in asked.reason


def test_values_serve_where_outcomes_do_not_differ():
    def valued(name, value):
        made = run(name, "abc", 0.0)
        for step, v in zip(made.steps, value, strict=True):
            step.evidence = {"value": v}
        return made

    said = credit(case(valued("a", [0.8, 0.9, 0.1]), valued("b", [0.5, 0.5, 0.5])))
    assert said.evidence["method"] == "gae" and said.status == "found"


def test_a_run_that_succeeded_is_clean():
    assert credit(case(*GOOD, BAD)).status == "clean"


@pytest.mark.parametrize(("family", "options"), [("all_of", {"horizon": 6}), ("search", {})])
def test_it_finds_the_step_that_lost_the_success_in_worlds_whose_values_are_exact(family, options):
    told = [(credit(one).step, step) for one, step in spoiled(family, **options)]
    hits = [said == step for said, step in told if said is not None]
    assert len(told) >= 15 and np.sum(hits) >= 0.7 * len(told) and np.mean(hits) >= 0.9


def test_the_order_of_siblings_changes_nothing():
    one, other = credit(case(BAD, *GOOD)), credit(case(BAD, *GOOD[::-1]))
    assert one.scores.tolist() == other.scores.tolist() and one.confidence == other.confidence


def test_the_confidence_counts_draws_that_are_below_0_and_least_of_all():
    sure = _sure(np.array([-0.1, 1.0, np.nan]), np.array([1.0, 0.0, 0.0]), 0)
    assert sure == pytest.approx(0.54, abs=0.08)  # the chance to be below 0; to be below 1 it would be 0.86
    assert _sure(np.array([-1.0, -2.0]), np.array([0.0, 0.0]), 1) == 1.0
    assert _sure(np.array([-1.0, -2.0]), np.array([0.0, 0.0]), 0) == 0.0


def test_a_credit_that_is_not_a_standard_error_below_0_names_nobody():
    def taken(name, action, outcome):
        return run(name, [action, "c"], outcome, ["s", f"after {action}", "won" if outcome else "lost"])

    runs = [taken(f"a{i}", "a", o) for i, o in enumerate((0.0, 1.0, 1.0, 0.0))]
    runs += [taken(f"b{i}", "b", o) for i, o in enumerate((1.0, 1.0, 0.0, 1.0))]
    said = credit(case(*runs))
    made = assign(Batch.from_records(runs), "stepcredit_graph")
    least, sd = made.steps[0], made.extras["sd"][0]
    assert -sd < least < 0
    assert said.status == "unknown" and np.isnan(said.scores).all()
    assert said.reason == (
        "stepcredit_graph gives no step a credit that is below 0 by its standard error: the least, of step 0, is "
        f"{least:+.3g} (standard error {sd:.2g})"
    )
    assert credit(case(*runs), method="salt").status == "found"  # gives no standard errors


def test_two_steps_that_are_as_bad_are_held_against_0_not_against_each_other():
    good = [run(f"good{i}", ["a", "b"], 1.0, ["s", "t", "won"]) for i in range(6)]
    good += [run(f"saved{i}", ["x", "b"], 1.0, ["s", "u", "won"]) for i in range(6)]
    bad = [run(f"bad{i}", ["x", "y"], 0.0, ["s", "u", "lost"]) for i in range(6)]
    said = credit(case(*bad, *good))
    assert said.status == "found" and said.scores[said.step] > 0
