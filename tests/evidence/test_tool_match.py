"""Tool calls against a reference's."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import read
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.errors import DataError, UnknownName
from stepcredit.evidence._calls import Call, plain, read_gold
from stepcredit.evidence._match import best_pairs, greedy_pairs, transport
from stepcredit.evidence.tool_match import call_rewards, similarity, tool_match

GOLD = [{"name": "search", "arguments": {"q": "x"}}]
tables = st.integers(1, 5).flatmap(
    lambda n: st.integers(1, 5).flatmap(
        lambda m: st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=n * m, max_size=n * m).map(
            lambda v: np.array(v).reshape(n, m)
        )
    )
)


def of(*steps, gold=GOLD, **extra):
    extra = {"gold_calls": gold, "answer": "two", **extra}
    return Batch.from_records([Rollout(group="g", rollout="a", steps=list(steps), extra=extra)])


def calls(*arguments, name="search"):
    return Step(tool_calls=[ToolCall(name=name, arguments=a) for a in arguments])


def rewards(batch, **options):
    return tool_match(batch, **options)["reward"].tolist()


@pytest.mark.parametrize("broken", ["{", "[1]", '"x"', "null", "1", [1], 3, '{"a": ' * 5000])
def test_a_call_whose_arguments_are_no_object_matches_nothing_and_is_counted(broken):
    batch = tool_match(of(calls(broken), calls({"q": "x"})))
    assert batch["reward"].tolist() == [0, 1]
    assert "1 of them unreadable" in batch.notes[-1]
    assert rewards(of(calls(broken), calls({"q": "x"})), unmatched=-1) == [-1, 1]


def test_arguments_that_are_text_are_read_and_none_are_none():
    assert rewards(of(calls('{"q": "x"}'))) == [1]
    none = [{"name": "now"}]
    assert rewards(of(calls(None, name="now"), gold=none)) == [1]
    assert rewards(of(calls("", name="NOW"), gold=none)) == [1]
    assert rewards(of(calls({"tz": "UTC"}, name="now"), gold=none)) == [0.5]


def test_without_reference_calls_every_call_is_unmatched():
    assert rewards(of(calls({}), gold=[]), unmatched=-0.5) == [-0.5]
    assert rewards(of(calls({}), gold=[]), assign="transport") == [0]


def test_without_calls_only_the_answer_earns():
    assert rewards(of(Step(text="hm"), Step(text="<answer>Two!</answer>"))) == [0, 1]
    assert rewards(of(Step(text="<answer>Two!</answer>")), answer=None) == [0]
    assert Batch.from_records([]).layout.S == tool_match(Batch.from_records([]))["reward"].size == 0


def test_the_answer_is_asked_for_only_where_a_turn_answers():
    extra = {"gold_calls": GOLD}
    silent = Batch.from_records([Rollout(group="g", rollout="a", steps=[calls({"q": "x"})], extra=extra)])
    assert rewards(silent) == [1]
    spoken = Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(text="<answer>1</answer>")], extra=extra)])
    with pytest.raises(DataError, match="needs the field 'answer'") as error:
        tool_match(spoken)
    assert "answer=None" in error.value.hint


def test_the_calls_of_a_turn_that_answers_do_not_count():
    step = Step(text="<answer>x</answer>", tool_calls=[ToolCall(name="search", arguments={"q": "x"})])
    assert rewards(of(step, calls({"q": "x"}))) == [0, 1]


def test_a_shared_step_gets_the_mean_over_its_rollouts():
    gold = [{"name": "f", "arguments": {"a": 1}}]
    extra = {"gold_calls": gold, "answer": ""}
    tree = Batch.from_records(
        [
            Rollout(group="g", rollout=0, steps=[calls({"a": 2}, name="f")], extra=extra),
            Rollout(group="g", rollout=1, steps=[calls({"a": 1}, name="f")], extra=extra),
        ]
    )
    assert rewards(tree) == [2 / 3, 1]
    first = Step(id="s", tool_calls=[ToolCall(name="f", arguments={"a": 2})])
    shared = Batch.from_records(
        [
            Rollout(group="g", rollout=0, steps=[first], extra=extra),
            Rollout(group="g", rollout=1, prefix=["s"], steps=[calls({"a": 1}, name="f")], extra=extra),
        ]
    )
    # Alone the first call is the best there is (2/3); beside the exact one it is unmatched.
    assert rewards(shared) == [1 / 3, 1]


def test_references_in_every_shape_in_use():
    want = [Call("f", {"a": 1})]
    for given_ in (
        [{"name": "f", "arguments": {"a": 1}}],
        [{"name": "f", "parameters": {"a": 1}}],
        [{"name": "f", "kwargs": {"a": 1}}],
        [{"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        '[{"name": "f", "arguments": {"a": 1}}]',
        [ToolCall(name="f", arguments={"a": 1})],
    ):
        assert read_gold(given_, "x") == want
    for wrong in ("{", {"name": "f"}, [{"arguments": {}}], [{"name": "f", "arguments": "{"}], ["f"], 3):
        with pytest.raises(DataError):
            read_gold(wrong, "x")
    with pytest.raises(DataError, match="needs the field 'gold_calls'"):
        tool_match(Batch.from_records([Rollout(group="g", rollout="a", steps=[Step()])]))
    with pytest.raises(UnknownName, match="greedy"):
        tool_match(of(calls({})), assign="gredy")


def test_values_are_equal_as_json_has_them():
    assert similarity(Call("f", {"a": 1.0}), Call("f", {"a": 1})) == 1
    assert similarity(Call("f", {"a": "1"}), Call("f", {"a": 1})) == pytest.approx(2 / 3)
    nan = float("nan")
    assert similarity(Call("f", {"a": nan}), Call("f", {"a": float("nan")})) == pytest.approx(2 / 3)


@given(tables)
def test_greedy_takes_the_most_similar_free_pair(table):
    left, want = table.copy(), np.full(table.shape[0], -1)
    while left.max() > 0:
        i, j = divmod(int(left.argmax()), table.shape[1])
        want[i] = j
        left[i], left[:, j] = 0, 0
    np.testing.assert_array_equal(greedy_pairs(table), want)


@given(tables)
def test_hungarian_has_the_largest_total(table):
    pytest.importorskip("scipy")
    n, m = table.shape
    wide = table if n <= m else table.T
    best = max(sum(wide[i, j] for i, j in enumerate(p)) for p in permutations(range(max(n, m)), min(n, m)))
    to = best_pairs(table)
    paired = to >= 0
    assert table[np.flatnonzero(paired), to[paired]].sum() == best
    assert len(set(to[paired].tolist())) == paired.sum() and (table[np.flatnonzero(paired), to[paired]] > 0).all()


@given(tables, st.sampled_from([0.01, 0.1, 1.0]))
def test_a_transport_plan_moves_every_mass(table, reg):
    plan = transport(table, reg)
    n, m = table.shape
    np.testing.assert_allclose(plan.sum(axis=1), 1 / n, atol=1e-3)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / m, atol=1e-9)
    assert (plan >= 0).all()


def test_a_small_entropy_does_not_overflow_and_comes_to_the_best_pairing():
    table = np.array([[0.9, 0.8], [0.8, 0.0]])
    plan = transport(table, 1e-3)
    np.testing.assert_allclose(plan, [[0, 0.5], [0.5, 0]], atol=1e-4)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(json_values | st.text(max_size=12), max_size=4), st.sampled_from(["greedy", "transport"]))
def test_no_arguments_break_the_match(arguments, assign):
    got = rewards(of(*[calls(a) for a in arguments]), assign=assign)
    assert len(got) == len(arguments) and all(0 <= r <= 1 for r in got)
    assert plain(arguments) == plain(plain(arguments))


def test_a_reference_matches_itself_and_expected_actions_of_tau_bench_are_found(data):
    batch = read(data / "tau_airline" / "gpt4o_airline.jsonl.gz")
    own = tool_match(batch, reference=lambda r: [c for s in r.steps for c in s.tool_calls], answer=None)
    has_calls = np.array([bool(s.tool_calls) for r in batch.records for s in r.steps])
    readable = own["reward"][has_calls]
    assert (readable == 1).all() and (own["reward"][~has_calls] == 0).all()

    def expected(record):
        return record.extra["info"]["task"]["actions"]

    found = tool_match(batch, reference=expected, answer=None)
    soft = tool_match(batch, reference=expected, answer=None, assign="transport")
    wanted = np.array([len(expected(r)) for r in batch.records])
    share = found.layout.total(found["reward"]) / np.maximum(wanted, 1)
    won, some = batch["outcome"] == 1, wanted > 0
    assert share[won & some].mean() > 0.85 > 0.7 > share[~won & some].mean()
    assert ((found["reward"] >= 0) & (found["reward"] <= 1)).all() and np.isfinite(soft["reward"]).all()


def test_call_rewards_are_those_of_the_specification():
    gold = [Call("search", {"q": "x", "n": 3}), Call("calc", {"e": "1+1"})]
    made = [Call("search", {"q": "x", "n": 5}), Call("search", {"q": "x", "n": 3}), Call("calc", {"e": "2"})]
    np.testing.assert_allclose(call_rewards(made, gold), [0, 1, 2 / 3])
    np.testing.assert_allclose(call_rewards(made, gold, assign="transport"), [0.1401, 0.3132, 0.2222], atol=5e-5)
