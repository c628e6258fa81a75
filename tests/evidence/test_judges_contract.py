"""What every kind of evidence by a judge promises, measured on one batch that has all that any of them needs."""

import numpy as np
import pytest
from judged_batches import Scripted, batch, call, rollout, tree

import stepcredit as sc
from stepcredit.data.columns import column
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence import get
from stepcredit.evidence.registry import systems

JUDGED = ["judge_steps", "judge_turn", "judge_dimensions", "rubric", "subgoals", "tool_classes", "reflect"]
WRITES_FIRST = {"subgoals": {"subgoals": "goals"}}
KINDS = [n for base in JUDGED for n in (base, *(f"{base}@{label}" for label in get(base).presets))]
each = pytest.mark.parametrize("name", KINDS)


def everything():
    extra = {"gold": "8", "rubric": ["a", "b"], "goals": ["x", "y"]}
    first = ("<search>q</search>", "Doc 1(Title: a) b\nDoc 2(Title: c) d")
    return batch(
        rollout(0, first, call("search", q="x"), "<answer>8</answer>", outcome=1.0, **extra),
        rollout(1, first, "thinking", outcome=0.0, **extra),
        rollout(2, outcome=0.0, **extra),
        rollout(3, "alone", group="q", task="Another?", outcome=1.0, **extra),
    )


def run(name, records, judge, **more):
    kind = get(name)
    return kind.function(records, judge, **{**kind.options, **WRITES_FIRST.get(kind.base, {}), **more})


def missing(values):
    return values < 0 if values.dtype.kind in "ib" else np.isnan(values)


@each
def test_the_card_says_what_it_adds_and_what_it_costs(name):
    kind = get(name)
    assert kind.models == ("judge",) and kind.kind == "evidence"
    assert all(column(n) for n in kind.card.adds) and kind.card.departures and "judge call" in kind.card.cost
    if kind.preset:
        assert kind.preset.source and set(kind.preset.options) <= set(get(kind.base).options)


@each
@pytest.mark.parametrize("retries", [0, 2])
def test_the_cost_is_known_before_and_is_what_is_spent(name, retries):
    kind = get(name)
    options = {**kind.options, **WRITES_FIRST.get(kind.base, {}), "retries": retries}
    silent = Scripted(None)
    kind.function(everything(), silent, **options)
    said = kind.cost(everything(), **options)
    assert said.calls == {"judge": len(silent.prompts)}
    assert said.at_most == (retries > 0 or kind.base == "subgoals")
    with pytest.raises(UnknownName, match=f"no option of {kind.base} named 'verbose'"):
        kind.cost(everything(), verbose=True)


@each
@pytest.mark.parametrize("reply", [None, "", "I cannot judge this.", "<think>", "{}", "<score></score>"])
def test_a_judge_that_says_nothing_judges_nothing(name, reply):
    kind = get(name)
    made = run(name, everything(), Scripted(reply), retries=0)
    unread = kind.options.get("unread")
    kept = {"outcome", "reward.outcome", "reward"}
    for added in set(made.columns) - set(everything().columns) - kept:
        values = made[added]
        if unread in (None, "not_judged"):
            # Nothing to ask about is no failure: no tool call, no share; no open subgoal, none reached.
            assert missing(values).any() and not np.any(values[~missing(values)])
        else:
            assert not np.isnan(values).all()
    assert kind.base in made.notes[-1] and ("not judged" in made.notes[-1] or "taken as" in made.notes[-1])


@each
def test_inputs_are_left_alone_and_prompts_are_the_same_each_time(name):
    records = everything()
    before = {n: v.copy() for n, v in records.columns.items()}
    first, second = Scripted("x"), Scripted("x")
    run(name, records, first)
    run(name, records, second)
    assert first.prompts == second.prompts and len(first.prompts) > 0
    assert records.columns.keys() == before.keys()
    for n, v in before.items():
        np.testing.assert_array_equal(records[n], v)


@each
def test_the_prompt_of_a_rollout_does_not_depend_on_the_others(name):
    alone, among = Scripted("x"), Scripted("x")
    records = everything()
    run(name, records.take(np.array([0, 1, 2])), alone, retries=0)
    run(name, records, among, retries=0)
    assert set(alone.prompts) <= set(among.prompts)


@each
def test_nothing_in_nothing_out(name):
    judge = Scripted("x")
    run(name, everything().take(np.array([], np.int64)), judge)
    run(name, batch(rollout(0, outcome=1.0, gold="8", rubric=["a"], goals=["x"])), judge)
    assert not judge.prompts


@each
def test_a_tree_is_judged_and_nothing_is_judged_twice(name):
    records = tree()
    for record in records.records:
        record.extra.update(gold="8", rubric=["a"], goals=["x"])
    judge = Scripted(None)
    made = run(name, records, judge, retries=0)
    assert made.layout is records.layout
    assert len(set(judge.prompts)) == len(judge.prompts)


@each
def test_arrays_have_no_texts(name):
    bare = sc.from_arrays(group=["p"], rollout=["a"], outcome=[1.0])
    with pytest.raises(StepCreditError, match="reads the texts of rollouts"):
        run(name, bare, Scripted("x"))


def test_published_systems_are_found_by_their_own_names():
    assert {"calm": "subgoals@calm", "rrm_rubric": "rubric@rrm"}.items() <= systems().items()
    assert {"scope_ttrl": "vote_confidence@scope", "ttrl": "vote_confidence@ttrl"}.items() <= systems().items()


@each
@pytest.mark.parametrize(
    ("judge", "options", "says"),
    [
        (None, {}, "cannot do without a judge"),
        (lambda prompts: [7] * len(prompts), {}, "a reply of type int"),
        (lambda prompts: [None] * len(prompts), {"retries": -1}, "retries must be 0 or more; got -1"),
    ],
)
def test_what_is_no_judge_is_refused(name, judge, options, says):
    with pytest.raises(StepCreditError, match=says):
        run(name, everything(), judge, **options)
