"""All model-free methods as one opinion. About 4 s."""

import numpy as np
import pytest
from made_runs import case, chat, covered, run, spoiled

from stepcredit.diagnose import diagnose
from stepcredit.diagnose.methods.combined import MEMBERS, UNTESTED, combined
from stepcredit.diagnose.run import METHODS
from stepcredit.errors import UnknownName

GOOD = [run(f"good{i}", ["a", "b", "c"], 1.0, ["s", "t", "u", "won"]) for i in range(6)]
BAD = run("bad", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"])
FAILS = ("try", "get", {"id": 1}, "Error: no order 1")
SAYS = ("Your order is on its way.", None, None, None)


def test_it_says_which_members_spoke_and_how_strongly():
    said = combined(case(BAD, *GOOD))
    assert (said.status, said.step) == ("found", 1)
    told = said.evidence["members"]
    assert set(MEMBERS) - set(told) == {"credit", "other_answer", "spectrum", "horizon"}  # contrast has told
    assert told["contrast"]["status"] == "found" and told["carried"]["status"] == "unknown"
    assert "6 of 6" in said.reason and f"(contrast, {told['contrast']['confidence']:.2f})" in said.reason


def test_the_opinion_is_the_mean_of_what_members_say_weighted_by_their_confidence():
    # Two rules that nobody could test: both count a half, and both name step 1.
    said = combined(case(chat("a", [FAILS, FAILS])))
    told = {n: m for n, m in said.evidence["members"].items() if m["status"] == "found"}
    assert {n: m["step"] for n, m in told.items()} == {"tool_errors": 0, "ignored_observation": 1, "repeats": 1}
    assert said.step == 1 and said.confidence == pytest.approx((2 * UNTESTED**2 + 0.75 * UNTESTED**2) / (3 * UNTESTED))
    assert "untested" in said.reason and "Otherwise: step 0 (tool_errors, 0.50)" in said.reason
    assert said.scores == pytest.approx([UNTESTED / 3, said.confidence])


def test_credit_is_heard_where_contrast_cannot_tell():
    both = combined(case(BAD, *GOOD), members=("contrast", "credit"))
    alone = combined(case(BAD, *GOOD), members=("contrast",))
    assert set(both.evidence["members"]) == {"contrast"} == set(alone.evidence["members"])
    assert both.confidence == alone.confidence and both.scores.tolist() == alone.scores.tolist()
    heard = 0
    for one, _ in spoiled("search"):
        said = combined(one)
        told = said.evidence["members"]
        if told["contrast"]["status"] == "unknown" and told["credit"]["status"] == "found":
            heard += said.step == told["credit"]["step"]
    assert heard >= 2


def test_what_is_as_frequent_in_successful_runs_has_no_say():
    turns = [FAILS, ("look", "find", {}, "page"), ("same", "find", {}, "page"), SAYS]
    said = combined(case(chat("a", turns), *(chat(f"won{i}", turns, 1.0) for i in range(5))))
    assert said.status == "unknown" and said.evidence["members"]["repeats"]["confidence"] == 0


def test_a_run_that_succeeded_is_blamed_only_for_given_labels():
    won = chat("won", [FAILS, FAILS, SAYS], 1.0)
    assert combined(case(won)).status == "clean"
    won.steps[1].evidence = {"label": -1.0}
    assert combined(case(won)).step == 1


def test_if_nobody_finds_a_step_it_says_why_each_does_not():
    said = combined(case(chat("a", [SAYS])))
    assert said.status == "unknown" and said.reason.startswith("no step stands out")
    assert all(said.evidence["members"][name]["reason"] for name in MEMBERS)


def labeled(name, labels, outcome=0.0, source="label"):
    one = run(name, "abcd"[: len(labels)], outcome)
    for step, value in zip(one.steps, labels, strict=True):
        step.evidence = {source: value}
    return one


EARLY = [labeled(i, [-1.0, 1.0, 1.0]) for i in range(8)]


def test_the_runs_own_labels_are_not_outvoted_by_anything():
    said = combined(case(labeled("own", [1.0, 1.0, -1.0]), *EARLY))
    assert said.step == 2 and "horizon" not in said.evidence["members"]
    loud = chat("a", [FAILS, FAILS, SAYS])
    loud.steps[2].evidence = {"label": -1.0}
    assert combined(case(loud)).step == 2 and "Otherwise: step" in combined(case(loud)).reason


def test_scores_of_a_model_are_one_opinion_among_others():
    loud = chat("a", [FAILS, FAILS, SAYS])
    loud.steps[2].evidence = {"score": 0.1}
    assert combined(case(loud)).step == 1


def test_the_position_alone_is_asked_where_nobody_else_finds_a_step():
    said = combined(case(run("bad", "abc", 0.0), *EARLY))
    assert said.evidence["members"]["horizon"]["status"] == "found" and said.step == 0


def test_a_run_without_steps_is_said_to_have_none():
    assert combined(case(chat("a", []))).reason == "the run has no steps"


def test_members_can_be_chosen():
    assert combined(case(chat("a", [FAILS, FAILS])), members=("tool_errors",)).step == 0
    with pytest.raises(UnknownName, match="nonesuch"):
        combined(case(BAD), members=("nonesuch",))


def test_it_is_what_diagnose_asks_by_default():
    told = list(diagnose([BAD, *GOOD, run("other", ["b"], 0.0, group="h")]))
    assert [(d.rollout.rollout, d.verdicts["combined"].step) for d in told] == [("bad", 1), ("other", None)]
    assert set(MEMBERS) <= set(METHODS.names())


def test_planted_faults_are_found_where_states_repeat():
    hits = []
    for family in ("layered", "dead_end", "all_of", "threshold"):
        hits += [combined(one).step == step for one, step in spoiled(family) if covered(one, step)]
    assert len(hits) > 100 and np.mean(hits) >= 0.9


def test_it_sends_to_the_winner_with_the_longest_way_in_common():
    mine = run("mine", ["a", "b", "c"], 0.0)
    early, late = run("early", ["a", "x"], 1.0), run("late", ["a", "b", "y"], 1.0)
    assert "run late succeeded: read the two side by side, they part at step 2" in combined_words(mine, early, late)
    on = run("on", ["a", "b", "c", "d"], 1.0)
    assert "run on succeeded: read the two side by side, it goes on where this one ends" in combined_words(mine, on)
    assert "read the two" not in combined_words(mine, run("lost", ["a"], 0.0))


def combined_words(*runs):
    return combined(case(*runs), members=("tool_errors",)).reason
