"""What every method without a model holds. About 3 s."""

import json
from itertools import permutations

import numpy as np
import pytest
from made_runs import case, chat, run

from stepcredit.data.records import Message, Rollout, Step, ToolCall
from stepcredit.diagnose import Case, Group, diagnose
from stepcredit.diagnose.errors import ERRORS, get
from stepcredit.diagnose.run import METHODS
from stepcredit.errors import UnknownName

FREE = (
    *("contrast", "credit", "repeats", "tool_errors", "ignored_observation", "horizon", "carried", "values", "agents"),
    *("other_answer", "combined", "constant", "random_step", "last_step"),
)
BASELINES = ("constant", "random_step", "last_step")


def strange():
    """Runs with all that logs can hold."""
    hostile = "\x1b[2J<script>alert(1)</script>\u202e\ud83d \0"
    call = ToolCall(name=hostile, arguments={"a": [None, float("nan"), {"b": hostile}]})
    steps = [
        Step(),
        Step(text="", agent="A", state="s"),
        Step(text=hostile, agent=3, state=float("nan"), tool_calls=[call, call], observation=hostile),
        Step(tool_calls=[ToolCall(name="f", arguments="{not json")], replies=[Message(role="tool")], observation="x"),
        Step(
            action=True,
            state=1,
            next_state="t",
            reward=1.0,
            match=False,
            evidence={"value": None, "votes": [0.0, None]},
        ),
        Step(text="7", evidence={"label": 0.0, "score": 0.5}, observation=12.5),
    ]
    yield Rollout(group="g", rollout="odd", outcome=0.0, steps=steps, final_state=0)
    yield Rollout(group="g", rollout="same", outcome=1.0, steps=steps)
    yield Rollout(group="g", rollout="none", outcome=None, steps=[])
    yield Rollout(group="g", rollout="short", outcome=0.5, steps=steps[1:2])


def plain():
    fails = ("try", "get", {"id": 1}, "Error: no order 1")
    yield chat("a", [("x", "f", {}, "1"), fails, fails, ("done", None, None, None)])
    for i in range(3):
        yield chat(f"b{i}", [("x", "f", {}, "1"), ("y", "g", {"i": i}, f"{i}")], 1.0)
    yield run("c", "pqr", 0.0)


def told(verdict):
    return {
        "scores": verdict.scores.tolist(),
        **{n: getattr(verdict, n) for n in ("status", "step", "agent", "error", "reason", "confidence", "remarks")},
    }


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("runs", [strange, plain], ids=["strange", "plain"])
def test_any_log_gets_a_verdict_of_the_right_shape_in_words_and_json(name, runs):
    function = METHODS.get(name).function
    group = Group(list(runs()))
    for i, rollout in enumerate(group.rollouts):
        said = function(Case(group, i))
        assert said.scores.shape == (len(rollout.steps),) and said.scores.dtype == float
        assert not np.isinf(said.scores).any() and (said.step is not None) == (said.status == "found")
        assert said.reason and "\x1b" not in said.reason and "\u202e" not in said.reason
        assert said.confidence is None or 0 <= said.confidence <= 1
        assert said.error is None or said.error in ERRORS
        assert set(said.remarks) <= set(range(len(rollout.steps)))
        json.dumps(said.evidence, allow_nan=False)
        if said.status == "found":
            agent = rollout.steps[said.step].agent
            assert said.agent == (None if agent is None else str(agent))
            assert said.scores[said.step] == np.nanmax(said.scores)


@pytest.mark.parametrize("name", FREE)
def test_a_second_look_says_the_same_and_records_stay_as_they_were(name):
    function = METHODS.get(name).function
    runs = list(plain())
    before = repr(runs)
    first, second = (told(function(Case(Group(runs), 0))) for _ in range(2))
    assert repr(first) == repr(second) and repr(runs) == before


@pytest.mark.parametrize("name", FREE)
def test_the_order_of_siblings_does_not_matter(name):
    function = METHODS.get(name).function
    mine, *others = plain()
    found = [told(function(case(mine, *order))) for order in list(permutations(others))[::5]]
    for one in found:
        assert one["status"] == found[0]["status"] and one["step"] == found[0]["step"]
        assert one["scores"] == pytest.approx(found[0]["scores"], nan_ok=True)
        assert one["confidence"] == pytest.approx(found[0]["confidence"])


@pytest.mark.parametrize("name", FREE)
def test_a_run_without_steps_or_of_one_step_alone_is_no_matter(name):
    function = METHODS.get(name).function
    assert function(case(run("empty", "", 0.0))).status == "unknown"
    assert function(case(run("one", "x", 0.0))).scores.shape == (1,)


@pytest.mark.parametrize("name", [n for n in FREE if n not in BASELINES])
def test_of_a_group_in_which_all_succeeded_nobody_is_blamed(name):
    function = METHODS.get(name).function
    said = function(case(*(run(f"good{i}", "abc", 1.0, "stuw") for i in range(4))))
    assert said.status in ("clean", "unknown") and said.step is None


@pytest.mark.parametrize("name", FREE)
def test_a_run_of_10_000_steps_gets_a_verdict(name):
    rng = np.random.default_rng(0)
    turns = [
        (f"word {rng.integers(50)}", "f", {"q": int(rng.integers(40))}, f"r{rng.integers(9)}") for _ in range(10_000)
    ]
    said = METHODS.get(name).function(case(chat("long", turns), chat("other", turns[:50], 1.0)))
    assert said.scores.shape == (10_000,)


def test_baselines_look_at_nothing():
    first, second = case(run("a", "abcd", 0.0)), case(run("b", "wxyz", 0.0))
    constant, last, drawn = (METHODS.get(n).function for n in BASELINES[::2] + BASELINES[1:2])
    assert (constant(first).step, constant(first, step=9).step, constant(first, step=-2).step) == (1, 3, 2)
    assert constant(first, step=-9).step == 0 and last(first).step == 3
    assert drawn(first).step == drawn(first).step and drawn(first).confidence == 0.25
    steps = {drawn(c, seed=s).step for c in (first, second) for s in range(40)}
    assert steps == {0, 1, 2, 3}


def test_random_steps_are_even():
    drawn = METHODS.get("random_step").function
    steps = [drawn(case(run(i, "abcd", 0.0))).step for i in range(2000)]
    assert np.all(np.abs(np.bincount(steps, minlength=4) / 2000 - 0.25) < 0.04)


def test_the_methods_run_together():
    found = list(diagnose(list(plain()), FREE))
    assert [d.rollout.rollout for d in found] == ["a", "c"] and all(set(d.verdicts) == set(FREE) for d in found)


def test_every_error_type_has_a_title_and_a_line_and_covers_the_published_ones():
    assert len({e.title for e in ERRORS.values()}) == len(ERRORS)
    assert all(e.doc.endswith(".") and len(e.doc) < 120 and n == e.name for n, e in ERRORS.items())
    modes = {m.split(" ")[0] for e in ERRORS.values() for m in e.mast}
    assert modes == {f"FM-{a}.{b}" for a, last in ((1, 5), (2, 6), (3, 3)) for b in range(1, last + 1)}
    with pytest.raises(UnknownName, match="wrong_tool"):
        get("wrong_tols")
