"""Batches: columns on axes, records there and back, taking rollouts, cutting steps anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.credit import assign
from stepcredit.data import Batch, Layout, Paths, Rollout, Step, Tokens, from_columns
from stepcredit.data.records import check, rollout_from_dict, rollout_to_dict
from stepcredit.errors import DataError, LayoutError, MissingColumn

A = np.array
numbers = st.one_of(st.none(), st.integers(-4, 4).map(lambda v: v / 4))
keys = st.one_of(st.none(), st.sampled_from(["s", "t", "1", 1, True, 2.5]))


@st.composite
def steps(draw):
    n = draw(st.integers(0, 3))
    tokens = st.builds(
        Tokens,
        n=st.sampled_from([None, n]),
        logp=st.one_of(st.none(), st.lists(numbers, min_size=n, max_size=n)),
        id=st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=n, max_size=n)),
    ).filter(lambda t: t.n is not None or t.lists())
    return Step(
        state=draw(keys),
        action=draw(keys),
        next_state=draw(keys),
        observation=draw(st.sampled_from([None, "seen"])),
        agent=draw(st.sampled_from([None, "a"])),
        reward=draw(numbers),
        match=draw(st.sampled_from([None, True, False])),
        evidence=draw(
            st.fixed_dictionaries(
                {}, optional={"value": numbers, "own": numbers, "votes": st.lists(numbers, min_size=2, max_size=2)}
            )
        ),
        credit=draw(st.fixed_dictionaries({}, optional={"grpo": numbers})),
        tokens=draw(st.one_of(st.none(), tokens)),
        text=draw(st.sampled_from([None, "wrote"])),
        extra=draw(st.sampled_from([{}, {"z": 1, "a": [2]}])),
    )


@st.composite
def records(draw):
    return [
        Rollout(
            group=draw(st.sampled_from(["p", 1, "1"])),
            rollout=i,
            outcome=draw(numbers),
            weight=draw(st.sampled_from([None, 2.0])),
            batch=draw(st.sampled_from([None, 3])),
            policy_version=draw(st.sampled_from([None, 4])),
            rewards=draw(st.fixed_dictionaries({}, optional={"format": numbers})),
            final_state=draw(keys),
            steps=draw(st.lists(steps(), max_size=3)),
            extra={"id": i},
        )
        for i in range(draw(st.integers(0, 5)))
    ]


@given(records())
def test_records_come_back_as_they_were(given_):
    back = Batch.from_records(given_).to_records()
    assert [rollout_to_dict(r) for r in back] == [rollout_to_dict(r) for r in given_]
    for r in back:
        check(r)


@given(records())
def test_columns_written_over_records_are_read_again(given_):
    batch = Batch.from_records(given_)
    value = np.arange(batch.layout.S) / 8
    changed = batch.with_columns(value=value, reward=value, outcome=np.arange(len(given_)), state=["x"] * value.size)
    again = Batch.from_records(rollout_from_dict(rollout_to_dict(r)) for r in changed.to_records())
    for name in again.columns:
        if name in again.keys:
            assert key_list(again, name) == key_list(changed, name)
        else:
            np.testing.assert_array_equal(again[name], changed[name], err_msg=name)
    lost = {n for n in changed.columns if n not in again and changed[n].size}
    assert not lost


def key_list(batch, name):
    return [batch.keys[name][i] for i in batch[name]]


def step_rows(**columns):
    return from_columns(columns)[0]


def test_bare_arrays_make_records_that_make_them_again():
    batch = step_rows(
        rollout=["a", "b", "a"],
        group=["p", "q", "p"],
        outcome=[1, None],
        reward=[0.5, None, 1],
        state=["s", None, "t"],
        token_step=[0, 2, 1, 1],
        token_logp=[-1, None, -2, -3],
    )
    again = Batch.from_records(batch.to_records())
    assert again.keys["rollout"] == ["a", "b"] and again.keys["group"] == ["p", "q"]
    for name in batch.columns:
        np.testing.assert_array_equal(again[name], batch[name], err_msg=name)
    np.testing.assert_array_equal(again.layout.token_step, batch.layout.token_step)


def shared_records():
    """0-1-2 and 0-1-3 of task p; another rollout of p that ends at 1; one of q."""
    trunk = [Step(id="a", reward=0.0), Step(id="b", reward=0.0)]
    return [
        Rollout(group="p", rollout=0, outcome=1.0, steps=[*trunk, Step(reward=1.0)]),
        Rollout(group="q", rollout=0, outcome=0.0, steps=[Step(id="a", reward=0.0)]),
        Rollout(group="p", rollout=1, outcome=0.0, prefix=["a", "b"], steps=[Step(reward=0.0)]),
        Rollout(group="p", rollout=2, outcome=0.5, prefix=["a", "b"]),
    ]


def test_prefixes_are_shared_paths():
    batch = Batch.from_records(shared_records())
    assert batch.layout.is_tree and batch.layout.rollout.tolist() == [0, 0, 0, 1, 2]
    paths = batch.layout.paths
    assert [paths.rows[a:b].tolist() for a, b in zip(paths.start, paths.start[1:], strict=False)] == [
        [0, 1, 2],
        [3],
        [0, 1, 4],
        [0, 1],
    ]
    assert batch.to_records() == shared_records()


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([Rollout(group="p", rollout="x", prefix=["a"])], "rollout 'x': prefix names step 'a', which no earlier"),
        (
            [Rollout(group="p", rollout=0, steps=[Step(id="a")]), Rollout(group="q", rollout="x", prefix=["a"])],
            "no earlier rollout of group 'q' holds",
        ),
        ([*shared_records(), Rollout(group="p", rollout="x", steps=[Step(id="a")])], "holds two steps with id 'a'"),
        (
            [*shared_records(), Rollout(group="p", rollout="x", prefix=["b"])],
            "'x': prefix comes to step 'b' by",
        ),
        ([*shared_records(), Rollout(group="p", rollout="x", prefix=["b", "a"])], "expected every shared step from"),
        ([Rollout(group="p", rollout="x")] * 2, "rollout 'x': group 'p' holds two rollouts of this name"),
        ([Rollout(group=0, rollout=0, steps=[Step(evidence={"outcome": 1.0})])], "evidence 'outcome' has the name of"),
        ([Rollout(group=0, rollout=0, evidence={"truncated": 300})], "'truncated' must be 0 or 1; got 300"),
        ([Rollout(group=0, rollout=0, evidence={"stored": 0.5})], "'stored' must be a whole number; got 0.5"),
        ([Rollout(group=0, rollout=0, steps=[Step(evidence={"v": []})])], "evidence 'v' of a step is an empty list"),
        ([Rollout(group=0, rollout=0, steps=[Step(evidence={"reward": 1.0})])], "evidence 'reward' has the name of"),
        (
            [Rollout(group=0, rollout=0, steps=[Step(evidence={"v": [1.0]}), Step(evidence={"v": 1.0})])],
            r"evidence 'v' must have one width; got \[0, 1\]",
        ),
    ],
)
def test_records_that_do_not_fit_together_are_refused(records, says):
    with pytest.raises(DataError, match=says):
        Batch.from_records(records)


def test_a_tree_of_bare_arrays_becomes_records_with_prefixes():
    batch = step_rows(parent=[-1, 0, 0, 1], outcome=[None, None, 1, 0])
    again = Batch.from_records(batch.to_records())
    np.testing.assert_array_equal(again.layout.paths.rows, batch.layout.paths.rows)
    np.testing.assert_array_equal(again["outcome"], batch["outcome"])


def test_silence_among_rewards_is_zero_and_a_silent_rollout_is_unknown():
    given_ = [
        Rollout(group=0, rollout=0, steps=[Step(), Step(reward=1.0)]),
        Rollout(group=0, rollout=1, steps=[Step(), Step()]),
    ]
    batch = Batch.from_records(given_)
    np.testing.assert_array_equal(batch["reward"], [0, 1, np.nan, np.nan])
    told = batch.with_columns(reward=[0, 1, 0, 0]).to_records()
    assert [s.reward for r in told for s in r.steps] == [None, 1, 0, 0]


def test_states_before_and_after_a_step_have_one_set_of_ids():
    batch = Batch.from_records(
        [Rollout(group=0, rollout=0, final_state="end", steps=[Step(state="a", next_state="b"), Step(state="b")])]
    )
    assert batch["next_state"][0] == batch["state"][1] and batch.keys["final_state"][batch["final_state"][0]] == "end"
    again = batch.with_columns(state=["b", "end"])
    assert again["state"].tolist() == [batch["state"][1], batch["final_state"][0]]
    assert again.keys["state"] is again.keys["next_state"]


def test_columns_know_their_axes():
    batch = step_rows(rollout=[0, 0, 1]).with_columns(outcome=[1, 0], mine=[1, 2, 3])
    batch = batch.with_columns(axis="R", theirs=[1, 2], note="made").with_note("made")
    assert [batch.axis(n) for n in ("outcome", "mine", "theirs", "reward.format", "credit.grpo")] == list("RSRRS")
    assert batch.notes == ("made",) and "mine" in batch and "nothing" not in batch
    with pytest.raises(LayoutError, match=r"'outcome' stands on \[R\] and must hold 2 values; got 3"):
        batch.with_columns(outcome=[1, 2, 3])
    with pytest.raises(LayoutError, match="'group' makes the layout"):
        batch.with_columns(group=[0, 0])
    with pytest.raises(MissingColumn, match=r"column 'state' \[S\] .*the batch holds: mine, outcome, theirs") as error:
        batch["state"]
    assert "stepcredit state" in error.value.hint


def test_replaced_ids_lose_their_old_keys():
    batch = step_rows(rollout=[0, 0], state=["a", "b"]).with_columns(state=A([5, 6]))
    assert [s.state for s in batch.to_records()[0].steps] == [5, 6]


def test_batches_go_to_the_layout():
    batch = step_rows(rollout=[0, 1]).with_columns(batch=[4, None])
    assert batch.layout.batch.tolist() == [4, -1] and [r.batch for r in batch.to_records()] == [4, None]


@st.composite
def batches(draw):
    n = draw(st.integers(1, 5))
    counts = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    total = sum(counts)
    tokens = draw(st.one_of(st.none(), st.lists(st.integers(-1, total - 1), max_size=8)))
    layout = Layout(
        A(draw(st.lists(st.sampled_from([0, 1, 4]), min_size=n, max_size=n))),
        np.repeat(np.arange(n), counts),
        token_step=None if tokens is None else A(tokens, int),
        batch=np.arange(n),
    )
    sizes = {"prior_value": layout.G, "outcome": n, "reward": total, "token_logp": layout.K}
    return Batch(layout, {name: np.arange(size) + 0.5 for name, size in sizes.items()}, {"rollout": list(range(n))})


@given(batches(), st.data())
def test_taking_rollouts_cuts_every_axis(batch, data):
    lay = batch.layout
    chosen = sorted(data.draw(st.sets(st.integers(0, lay.R - 1))))
    got = batch.take(A(chosen, int))
    rows = [s for s in range(lay.S) if lay.rollout[s] in chosen]
    assert got.keys["rollout"] == chosen and got["outcome"].tolist() == [r + 0.5 for r in chosen]
    assert got["reward"].tolist() == [s + 0.5 for s in rows]
    assert got.layout.rollout.tolist() == [chosen.index(lay.rollout[s]) for s in rows]
    tokens = [k for k, s in enumerate(lay.tokens.tolist()) if s in rows]
    assert got["token_logp"].tolist() == [k + 0.5 for k in tokens]
    assert got.layout.tokens.tolist() == [rows.index(lay.tokens[k]) for k in tokens]
    groups = sorted({int(lay.group[r]) for r in chosen})
    assert got["prior_value"].tolist() == [g + 0.5 for g in groups]
    assert got.layout.group.tolist() == [groups.index(lay.group[r]) for r in chosen]
    assert got.layout.batch.tolist() == chosen


def test_a_tree_is_taken_with_the_rollouts_that_store_its_steps():
    batch = Batch.from_records(shared_records()).with_columns(mine=[1.0, 2, 3, 4, 5])
    got = batch.take(A([0, 2, 3]))
    assert got["mine"].tolist() == [1, 2, 3, 5] and got.to_records()[1].prefix == ["a", "b"]
    np.testing.assert_array_equal(got.layout.total(got["mine"]), [6, 8, 3])
    assert batch.take(A([1]))["mine"].tolist() == [4]
    with pytest.raises(LayoutError, match="share steps that other rollouts store"):
        batch.take(A([2]))


@pytest.mark.parametrize("rollouts", [[1, 0], [0, 0], [0, 2], [-1], [True, False]])
def test_only_ascending_rollouts_can_be_taken(rollouts):
    with pytest.raises(LayoutError, match="rollouts must be"):
        step_rows(rollout=[0, 1]).take(A(rollouts))


@st.composite
def cuts(draw):
    """A batch with tokens in the order of their steps, and new steps that never decrease inside a rollout."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    rollout = np.repeat(np.arange(len(counts)), counts)
    tokens = np.repeat(
        np.arange(rollout.size), draw(st.lists(st.integers(1, 3), min_size=rollout.size, max_size=rollout.size))
    )
    layout = Layout(np.zeros(len(counts), int), rollout, token_step=tokens)
    grow = draw(st.lists(st.integers(0, 1), min_size=tokens.size, max_size=tokens.size))
    return Batch(layout, {"reward": np.arange(rollout.size) + 1.0, "state": rollout * 0 + 7}), np.cumsum(grow)


@given(cuts())
def test_cutting_steps_anew_keeps_rewards_tokens_and_the_way_back(case):
    batch, segment = case
    new = batch.resegment(segment)
    owner = batch.layout.rollout[batch.layout.tokens]
    np.testing.assert_array_equal(new.layout.total(new["reward"]), batch.layout.total(batch["reward"]))
    assert new.layout.K == batch.layout.K
    np.testing.assert_array_equal(new.layout.rollout[new.layout.tokens], owner)
    runs = list(dict.fromkeys(zip(owner.tolist(), segment.tolist(), strict=True)))
    assert [runs[s] for s in new.layout.tokens] == list(zip(owner.tolist(), segment.tolist(), strict=True))
    credit = assign(new.with_columns(outcome=np.arange(batch.layout.R)), "grpo", spread="none", lone="raw")
    np.testing.assert_array_equal(credit.tokens, credit.values[new.layout.tokens])
    fresh = new["state"] != 7
    starts = A([np.flatnonzero(new.layout.tokens == s)[0] for s in range(new.layout.S)])
    old = batch.layout.tokens
    np.testing.assert_array_equal(fresh, [k > 0 and old[k] == old[k - 1] for k in starts])
    assert np.unique(new["state"][fresh]).size == fresh.sum()


def test_tokens_cut_out_of_every_step_stay_in_their_rollout():
    batch = step_rows(rollout=[0, 0, 1], reward=[1, 2, 4], token_step=[0, 0, 1, 1, 2], outcome=[1.0, 0.0])
    new = batch.resegment([0, 0, 0, -1, 5])
    np.testing.assert_array_equal(new["reward"], [3, 4])
    assert assign(new, "grpo", spread="none").advantages() == [[0.5, 0.5, 0.5, None], [-0.5]]
    again = new.resegment([0, 1, 1, 1, 1])
    assert again.layout.token_step.tolist() == [0, 1, 1, -1, 2]


def test_a_step_that_goes_on_behind_a_gap_does_not_begin_there():
    batch = step_rows(rollout=[0, 0], state=["a", "b"], token_step=[0, -1, 0, 1])
    assert batch.resegment([0, 0, 1, 2]).keys["state"] == ["a", "b", None]


def test_without_tokens_neighboring_steps_merge():
    batch = step_rows(rollout=[0, 0, 0, 1], reward=[1, 2, 4, 8], state=[3, 4, 5, 6])
    new = batch.resegment([0, 0, 1, 1])
    assert new["reward"].tolist() == [3, 4, 8] and new.layout.rollout.tolist() == [0, 0, 1]
    assert [new.keys["state"][i] for i in new["state"]] == [3, 5, 6]
    assert new.layout.tokens.tolist() == [0, 0, 1, 2] and "4 steps became 3" in new.notes[-1]


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        ([0, 0], r"one integer per token \(4\); got int64 \(2,\)"),
        ([0.0] * 4, "one integer per token"),
        ([1, 0, 0, 0], "must not decrease inside a rollout; token 1 does"),
        ([0, 0, -1, -1], "step 1 has a reward but no token in any new step"),
    ],
)
def test_cuts_that_do_not_fit_are_named(segment, says):
    with pytest.raises(LayoutError, match=says):
        step_rows(rollout=[0, 0], reward=[0, 1], token_step=[0, 0, 1, 1]).resegment(segment)


def test_trees_and_unordered_tokens_cannot_be_cut_anew():
    with pytest.raises(LayoutError, match="rollouts share cannot be cut anew"):
        Batch.from_records(shared_records()).resegment([0] * 5)
    with pytest.raises(LayoutError, match="in the order of their steps"):
        step_rows(rollout=[0, 0], token_step=[1, 0]).resegment([0, 1])


def test_a_resegmented_batch_has_no_records():
    given_ = [Rollout(group=0, rollout=0, steps=[Step(tokens=Tokens(n=2))])]
    batch = Batch.from_records(given_).resegment([0, 1])
    assert batch.records is None and len(batch.to_records()[0].steps) == 2


def test_nothing_is_a_batch():
    empty = Batch.from_records([])
    assert empty.to_records() == [] and empty.layout.S == 0
    assert empty.take(A([], int)).layout.R == 0 and empty.resegment(A([], int)).layout.S == 0
    assert assign(empty.with_columns(outcome=[]), "grpo").advantages() == []
    assert Batch(Layout([0], [], Paths(A([0, 0]), A([], int))), {}).to_records()[0].steps == []


def test_silence_among_rewards_is_0_and_is_said():
    steps = [Step(reward=None), Step(reward=1.0)]
    batch = Batch.from_records([Rollout(group=0, rollout=0, steps=steps), Rollout(group=0, rollout=1, steps=[Step()])])
    assert batch["reward"][:2].tolist() == [0.0, 1.0] and np.isnan(batch["reward"][2])
    assert batch.notes == ("reward: 1 steps without one, in rollouts whose other steps have some, count as 0",)


def test_a_step_that_starts_inside_an_old_one_is_in_no_known_state():
    steps = [Step(state="a", tokens=Tokens(n=2))]
    batch = Batch.from_records([Rollout(group=0, rollout=0, steps=steps, final_state="end")])
    cut = batch.resegment([0, 1])
    assert cut["state"][0] == batch["state"][0] and cut["state"][1] not in (batch["state"][0], batch["final_state"][0])
    assert cut.keys["state"][cut["state"][1]] is None
