"""Contrast with successful siblings. About 5 s."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from made_runs import case, cases, chat, covered, run, spoiled

from stepcredit.diagnose import Case, Group
from stepcredit.diagnose.methods.contrast import contrast
from stepcredit.errors import StepCreditError

GOOD = [run(f"good{i}", ["a", "b", "c"], 1.0, ["s", "t", "u", "won"]) for i in range(6)]
BAD = run("bad", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"])


def test_the_step_that_left_the_way_of_the_successful_runs_is_to_blame_with_the_numbers_in_words():
    said = contrast(case(BAD, *GOOD))
    assert (said.status, said.step, said.error) == ("found", 1, "wrong_turn")
    assert said.reason == (
        "no other run took this step, and this one failed; from the same state, other steps led to success in "
        "6 of 6 [0.61, 1.00]; run good0 instead: b (its step 1)"
    )
    assert int(np.argmax(said.scores)) == 1 and said.confidence > 0.85
    assert said.evidence["example"] == {"run": 1, "rollout": "good0", "action": "b", "step": 1}
    assert said.evidence["others_did"] == [{"action": "b", "runs": 6, "successes": 6.0}]


def test_the_counts_after_the_step_are_quoted_where_other_runs_took_it_too():
    lost = [run(f"lost{i}", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"]) for i in range(5)]
    said = contrast(case(BAD, *lost, *GOOD, run("unlucky", ["a", "b", "c"], 0.0, ["s", "t", "u", "lost"])))
    assert said.step == 1
    assert said.reason.startswith("after this step 0 of 5 other runs succeeded; from the same state, other steps led")
    assert "6 of 7 [0.49, 0.97]" in said.reason


def test_who_ended_there_took_no_other_step():
    more = run("more", ["a", "b", "c"], 0.0, ["s", "t", "u", "lost"])
    short = [run(f"short{i}", ["a", "b"], 1.0, ["s", "t", "u"]) for i in range(4)]
    said = contrast(case(more, *short))
    assert said.step == 2 and said.evidence["others_ended"] == 4 and said.evidence["others_did"] == []
    assert "from the same state, others ended, and 4 of 4 [0.51, 1.00] succeeded; run short0 instead: ended there" in (
        said.reason
    )
    mixed = contrast(case(more, *short, run("on", ["a", "b", "d"], 1.0, ["s", "t", "u", "won"])))
    assert "other steps led to success in 5 of 5 [0.57, 1.00], 4 of which ended there; run" in mixed.reason


def test_where_others_took_the_step_and_succeeded_it_is_less_sure():
    again = run("again", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"])
    rare, third = (run("rare", ["a", "x", "out"], o, ["s", "t", "v", end]) for o, end in ((1.0, "won"), (0.0, "lost")))
    one, other = (contrast(case(BAD, twin, again, *GOOD)) for twin in (rare, third))
    assert one.step == other.step == 1 and other.confidence > 0.95
    # What the other steps are worth is as sure as before; what this one is worth is not.
    assert one.confidence < 0.8


def test_a_detour_that_comes_back_is_not_blamed_but_the_step_after_it_that_does_not():
    bad = run("bad", ["d", "e", "x"], 0.0, ["s", "far", "u", "lost"])
    assert contrast(case(bad, *GOOD)).step == 2


def test_the_step_that_costs_most_is_blamed_and_not_the_last_chance():
    # After "x" one of three runs still gets out: "c" fails again, but most was lost before.
    rare = run("rare", ["a", "x", "out"], 1.0, ["s", "t", "v", "won"])
    assert contrast(case(BAD, rare, run("again", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"]), *GOOD)).step == 1


def test_a_run_that_stops_where_others_go_on_to_succeed_stopped_too_early():
    said = contrast(case(run("short", ["a", "b"], 0.0, ["s", "t", "u"]), *GOOD))
    assert (said.step, said.error) == (1, "stopped_early")
    assert said.reason.startswith("the run stopped here; from the same state others went on, and 6 of 6")


def test_a_run_whose_steps_ran_out_is_blamed_for_the_step_that_left_too_few():
    loop = run("slow", ["a", "w", "w", "b"], 0.0, ["s", "t", "t", "t", "u"], evidence={"truncated": True})
    said = contrast(case(loop, *GOOD))
    assert said.step == 2 and said.evidence["out_of_steps"]
    assert "6 of 6 [0.61, 1.00] in the steps that were left; run good0 instead: b" in said.reason


def test_what_chance_did_is_no_steps_fault():
    slipped = run("slipped", ["a", "b"], 0.0, ["s", "hole", "lost"])
    stuck = run("stuck", ["a", "b"], 0.0, ["s", "hole", "lost"])
    said = contrast(case(slipped, stuck, *GOOD))
    assert said.status == "unknown" and "chance" in said.reason and said.evidence["luck"] > 0.5


def test_a_run_that_did_as_successful_ones_did_is_not_blamed_anywhere():
    same = run("same", ["a", "b", "c"], 0.0, ["s", "t", "u", "won"])
    said = contrast(case(same, *GOOD))
    assert said.status == "unknown" and "did nothing that the 6 of 6 runs" in said.reason


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([BAD], "there is no other run"),
        ([BAD, run("open", "ab", None)], "there is no other run of the task with a known outcome"),
        ([BAD, run("failed", "ab", 0.0)], "none of 1 other runs"),
        ([run("empty", "", 0.0), *GOOD], "no steps"),
        ([chat("bad", [("one", None, None, None)] * 3), chat("good", [("two", None, None, None)], 1.0)], "nothing in"),
    ],
)
def test_without_a_run_to_compare_with_it_says_so(runs, words):
    said = contrast(case(*runs))
    assert said.status == "unknown" and words in said.reason and said.step is None
    assert np.isnan(said.scores).all() and said.scores.shape == (len(runs[0].steps),)


def test_a_run_that_succeeded_is_clean_and_an_unknown_outcome_counts_as_a_failure():
    assert contrast(case(*GOOD)).status == "clean"
    asked = run("asked", ["a", "x", "c"], None, ["s", "t", "v", "lost"])
    assert contrast(case(asked, *GOOD)).step == 1


def test_equal_beginnings_are_compared_where_states_are_not_known():
    good = [run(f"good{i}", ["a", "b", "c"], 1.0) for i in range(4)]
    said = contrast(case(run("bad", ["a", "x", "c", "c"], 0.0), *good))
    assert said.step == 1 and "after the same actions, other steps led to success in 4 of 4" in said.reason


def test_the_longer_a_run_goes_on_alone_the_less_sure_is_the_step_that_left():
    def sure(more):
        return contrast(case(run("bad", ["a", "x", *"pqrstuv"[:more]], 0.0), *good)).confidence

    good = [run(f"good{i}", ["a", f"b{i}", "c"], 1.0) for i in range(4)]
    assert sure(0) > sure(2) > sure(6) > 0


def test_more_siblings_make_it_surer():
    sure = [contrast(case(BAD, *GOOD[:n])).confidence for n in (1, 2, 6)]
    assert sure[0] < sure[1] < sure[2]


def test_the_order_of_siblings_and_a_second_look_change_nothing():
    others = [*GOOD[:2], run("odd", ["a", "x", "y"], 1.0, ["s", "t", "v", "won"])]
    told = [contrast(case(BAD, *order)) for order in permutations(others)]
    told.append(contrast(case(BAD, *others)))
    for said in told:
        assert said.scores.tolist() == told[0].scores.tolist()
        assert (said.step, said.confidence, said.reason) == (told[0].step, told[0].confidence, told[0].reason)


def test_its_own_place_in_the_group_does_not_matter():
    runs = [*GOOD, BAD]
    last, first = contrast(case(*runs, index=6)), contrast(case(BAD, *GOOD))
    assert last.step == first.step and last.scores.tolist() == first.scores.tolist()


def test_steps_stored_with_another_run_are_not_counted_as_its_own():
    stored = [run("a", ["a", "b"], 1.0, ["s", "t", "won"])]
    stored[0].steps[0].id = "1"
    own = run("b", ["x", "y"], 0.0, ["t", "v", "lost"], prefix=["1"])
    said = contrast(case(*stored, own, index=1))
    assert said.step == 0 and said.scores.shape == (2,)
    others = [run(f"z{i}", ["q", "r"], 1.0, ["s", "w", "won"]) for i in range(4)]
    stored[0].outcome = 0.0
    blamed = contrast(case(*stored, *others, run("c", ["b"], 0.0, ["t", "lost"], prefix=["1"]), index=5))
    assert blamed.status == "unknown" and "stored with another run" in blamed.reason


@pytest.mark.parametrize(
    ("family", "options"),
    [("layered", {"horizon": 8}), ("dead_end", {}), ("all_of", {"horizon": 6}), ("threshold", {}), ("stop", {})],
)
def test_the_one_step_that_lost_the_success_is_found_in_worlds_whose_values_are_exact(family, options):
    found = [(contrast(c).step == step, covered(c, step)) for c, step in spoiled(family, **options)]
    seen = [hit for hit, known in found if known]
    assert len(seen) >= 15 and np.mean(seen) >= 0.9


def test_it_is_no_surer_than_it_is_right_and_surer_where_it_is_right_more_often():
    sure, right = [], []
    for family in ("layered", "dead_end", "threshold"):
        for one, step in spoiled(family, n=5, seeds=120):
            said = contrast(one)
            if said.status == "found":
                sure.append(said.confidence)
                right.append(said.step == step)
    assert len(right) > 100 and np.mean(right) - 0.25 < np.mean(sure) < np.mean(right) + 0.05
    high = np.array(sure) > 0.8
    assert np.mean(np.array(right)[high]) > np.mean(np.array(right)[~high])


def test_a_run_of_10_000_steps_is_compared():
    steps = [f"s{i}" for i in range(10_001)]
    long = [run(f"good{i}", ["go"] * 10_000, 1.0, steps) for i in range(3)]
    wrong = ["go"] * 7_000 + ["off"] + ["go"] * 2_999
    lost = steps[:7_001] + [f"lost{i}" for i in range(3_000)]
    assert contrast(case(run("bad", wrong, 0.0, lost), *long)).step == 7_000


def test_outcomes_of_another_scale_are_read_between_the_least_and_the_most():
    good = [run(f"good{i}", ["a", "b"], 12.5, ["s", "t", "won"]) for i in range(3)]
    assert contrast(case(run("bad", ["a", "x"], -3.0, ["s", "t", "lost"]), *good)).step == 1


def test_every_failed_run_of_a_group_is_judged_apart():
    group = Group([BAD, *GOOD, run("bad2", ["y", "b", "c"], 0.0, ["s", "w", "w2", "lost"])])
    assert [contrast(Case(group, i)).step for i in (0, 7)] == [1, 0]
    assert len(cases(*GOOD)) == 6


def test_a_strong_prior_draws_falls_to_what_all_runs_say():
    mixed = [*GOOD, *(run(f"lost{i}", ["a", "x", "c"], 0.0, ["s", "t", "v", "lost"]) for i in range(6))]
    weak, strong = (contrast(case(BAD, *mixed), prior=p) for p in (0.1, 50.0))
    assert weak.step == strong.step == 1 and strong.evidence["fall"] < weak.evidence["fall"]
    assert weak.evidence["fall"] == pytest.approx((1 - 7 / 13) * (6 + 0.05) / 6.1, abs=1e-3)


def slow_falls(runs, me, limited):
    """Falls at each place and [S] scores of the docstring, by loops over runs; states are known."""
    others = [r for i, r in enumerate(runs) if i != me and r.outcome is not None]
    mean = (sum(r.outcome for r in others) + 0.5) / (len(others) + 1)

    def places(r):
        return [*(s.state for s in r.steps), r.final_state]

    here, size = places(runs[me]), len(runs[me].steps)
    did = [*(s.action for s in runs[me].steps), None]

    def rows(t):
        for r in others:
            at = [k for k, x in enumerate(places(r)) if x == here[t]]
            if at:
                k = at[-1]
                step, ahead = (r.steps[k].action, len(r.steps) - k) if k < len(r.steps) else (None, 0)
                after = places(r)[k + 1] if k < len(r.steps) else None
                yield step, after, r.outcome if not limited or ahead <= size - t else 0.0

    def worth(some):
        return (sum(w for *_, w in some) + mean) / (len(some) + 1)

    scores, value = [], 0.0
    for t in range(size, -1, -1):
        every = list(rows(t))
        same = [row for row in every if row[0] == did[t]]
        to = [row for row in same if t == size or row[1] == here[t + 1]]
        p, q = (len(same) + 1) / (len(every) + 1), (len(to) + 1) / (len(same) + 1)
        other = worth([row for row in every if row[0] != did[t]])
        if t == size:
            after = sum(w for *_, w in same) / (len(same) + 1)
        else:
            after = q * value + (1 - q) * worth([row for row in same if row not in to])
        value = after if t == size and limited else p * after + (1 - p) * other
        scores.insert(0, value - after)
    last = max(t for t in range(size + 1) if list(rows(t)))
    took = Counter(row[0] for row in rows(last))
    v = (sum(n == 1 for n in took.values()) + 0.5) / (took.total() + 1)
    told = np.array(scores[:-1])
    told[-1] += max(scores[-1], 0)
    if size - last > 1 and scores[last] > 0:
        told[last] = scores[last] / (1 + (size - last - 1) * v)
        told[last + 1 :] += told[last] * v
    return np.array(scores), told


@pytest.mark.parametrize("fractions", [False, True])
def test_falls_are_those_of_a_loop_over_the_runs(fractions):
    rng, checked = np.random.default_rng(int(fractions)), {True: 0, False: 0}
    for _ in range(400):
        runs = []
        for i in range(int(rng.integers(3, 8))):
            state, path, states = 0, [], [0]
            for _ in range(int(rng.integers(1, 6))):
                path.append(str(rng.integers(0, 2)))
                state = int((state + int(path[-1]) + rng.integers(0, 2)) % 4)
                states.append(state)
            outcome = float(rng.integers(0, 6) / 5) if fractions else [0.0, 1.0, None][rng.integers(0, 3)]
            runs.append(run(i, path, outcome, states, evidence={"truncated": bool(rng.random() < 0.4)}))
        group = Group(runs)
        for me, one in enumerate(runs):
            told = contrast(Case(group, me))
            if told.status != "found":
                continue
            limited = bool(one.evidence["truncated"])
            fall, scores = slow_falls(runs, me, limited)
            assert told.scores == pytest.approx(scores)
            assert told.evidence["fall"] == pytest.approx(fall.max())
            assert not limited or fall[-1] == 0
            checked[limited] += 1
    assert min(checked.values()) > 30


def test_the_fall_after_which_a_run_is_alone_is_shared_by_hand():
    """Of four others three did alike where it left, one alone another thing: v = (1 + 1/2) / (4 + 1)."""
    others = [*(run(f"good{i}", ["a", "b"], 1.0) for i in range(3)), run("odd", ["a", "c"], 1.0)]
    told = contrast(case(run("bad", ["a", "x", "p", "q"], 0.0), *others))
    v = 1.5 / 5
    assert told.step == 1 and told.scores[2:] == pytest.approx(told.scores[1] * v * np.ones(2))
    assert told.scores[1] == pytest.approx(told.evidence["fall"] / (1 + 2 * v))
    last = contrast(case(run("bad", ["a", "x"], 0.0), *others))
    assert told.confidence == pytest.approx(last.confidence / (1 + 2 * v))


def test_the_end_of_a_run_that_used_up_its_steps_is_no_rival():
    out = run("out", "ab", 0.0, evidence={"truncated": 1.0})
    others = [run("on1", "abc", 1.0), run("on2", "abc", 1.0), run("other", "az", 1.0)]
    said = contrast(case(out, *others))
    assert said.step == 1 and said.confidence == 1.0 and said.evidence["out_of_steps"] is True


def test_where_outcomes_lie_between_means_are_told_and_not_successes():
    states = ["s", "t", "end"]
    low, mid, high = (run(str(o), ["a", "b"], o, states) for o in (0.2, 0.55, 0.9))
    said = contrast(case(run("bad", ["a", "x"], 0.1, states), run("too", ["a", "x"], 0.3, states), low, mid, high))
    assert said.reason.startswith(
        "after this step mean outcome 0.30 over 1 other run; from the same state, other steps"
    )
    assert "led to mean outcome 0.55 over 3 other runs [" in said.reason and "succeeded" not in said.reason
    assert said.reason.endswith("(outcomes from 0 to 1); run 0.2 instead: b (its step 1)")
    points = [run(str(o), ["a", "b"], o, states) for o in (20.0, 55.0, 90.0)]
    told = contrast(Case(Group([run("bad", ["a", "x"], 10.0, states), *points], success=50.0), 0)).reason
    assert "from 0, the task's least, to 1, its most" in told
    same = contrast(case(run("bad", ["a", "b"], 0.1, states), low, mid, high))
    assert "that fared better did not do" in same.reason and "succeeded" not in same.reason
    short = contrast(case(run("short", ["a"], 0.0, ["s", "t"]), low, mid, high))
    assert short.reason.startswith(
        "the run stopped here; from the same state, going on led to mean outcome 0.55 over 3"
    )


def test_of_two_outcomes_of_any_scale_runs_are_counted():
    good = [run(f"good{i}", ["a", "b"], 100.0, ["s", "t", "won"]) for i in range(3)]
    assert "success in 3 of 3" in contrast(case(run("bad", ["a", "x"], 0.0, ["s", "t", "lost"]), *good)).reason


@pytest.mark.parametrize("prior", [0, -2.0, float("nan"), float("inf")])
def test_a_prior_of_no_runs_is_refused(prior):
    with pytest.raises(StepCreditError, match="prior="):
        contrast(case(BAD, *GOOD), prior=prior)
