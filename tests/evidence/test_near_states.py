"""Near-duplicate observations as one state."""

from itertools import combinations

import numpy as np
import pytest
from evidence_goldens import cases
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import read
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence._near import _candidates, by_minhash, by_vectors, components, jaccard, shingles
from stepcredit.evidence.state import cost, merge_of, state, with_states

KITCHEN = "You are in the kitchen. You see a mug, a plate, a knife and a sink. The fridge is closed."


def of(*rollouts, groups=None):
    return Batch.from_records(
        Rollout(group=groups[i] if groups else "g", rollout=i, steps=[Step(observation=o) for o in seen])
        for i, seen in enumerate(rollouts)
    )


def ids(batch):
    return batch["state"].tolist()


def first(values):
    number = {}
    return [number.setdefault(v, len(number)) for v in values]


def brute(texts, threshold, kind="char", size=5):
    """All pairs, joined through any chain."""
    sets = {t: shingles(t, kind, size) for t in texts}
    near = [(a, b) for a, b in combinations(sorted(sets), 2) if jaccard(sets[a], sets[b]) >= threshold]
    label = {t: t for t in sets}
    for _ in sets:
        for a, b in near:
            label[a] = label[b] = min(label[a], label[b])
    return [label[t] for t in texts]


@pytest.mark.parametrize("case", cases("near_states"), ids=lambda c: f"{c['near']}-{c['threshold']}")
def test_groups_are_those_of_the_official_code(case):
    # The last observation of a rollout is before no step, so one more stands behind them.
    batch = of([*case["texts"], "end"])
    made = state(batch, near=case["near"], threshold=case["threshold"])
    assert first(ids(made)[1:]) == case["want"]


@given(st.lists(st.text(alphabet="ab ", max_size=9), max_size=9), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_minhash_finds_what_all_pairs_find(texts, threshold):
    for kind, size in (("char", 3), ("word", 1)):
        assert by_minhash(texts, threshold, kind=kind, size=size) == brute(texts, threshold, kind, size)


def test_many_near_texts_are_found_whatever_their_order():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(150):
        letters = list(KITCHEN)
        for at in rng.integers(0, len(letters), rng.integers(0, 5)):
            letters[at] = "abc"[rng.integers(3)]
        texts.append("".join(letters))
    for threshold in (0.5, 0.7, 0.85, 0.95):
        want = brute(texts, threshold)
        assert by_minhash(texts, threshold) == want
        order = rng.permutation(len(texts))
        assert by_minhash([texts[i] for i in order], threshold) == [want[i] for i in order]
    sets = [shingles(t, "char", 5) for t in sorted(set(texts))]
    assert len(_candidates(sets, 0.95)) < len(sets) * (len(sets) - 1) / 4


def test_labels_do_not_depend_on_the_machine():
    assert by_minhash(["a b c d", "a b c e", "x"], 0.5, kind="word", size=1) == ["a b c d", "a b c d", "x"]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12))
def test_components_are_joined_through_any_chain(pairs):
    got = components(8, pairs)
    want = list(range(8))
    for _ in range(8):
        for i, j in pairs:
            want[i] = want[j] = min(want[i], want[j])
    assert got.tolist() == want


def test_near_observations_are_one_state_in_a_task_and_not_across_tasks():
    seen = [[KITCHEN, "x"], [KITCHEN.replace("a mug", "a cup"), "x"]]
    assert ids(of(*seen) and state(of(*seen))) == [0, 1, 0, 2]
    assert ids(state(of(*seen), near="minhash", threshold=0.7)) == [0, 1, 0, 1]
    apart = state(of(*seen, groups=["g", "h"]), near="minhash", threshold=0.7)
    assert ids(apart)[1] != ids(apart)[3]
    note = state(of(*seen), near="minhash", threshold=0.7).notes[-1]
    assert note == "state: last observation (exact), near duplicates by minhash of 0.7: 2 texts became 1"


def test_history_and_set_are_made_of_near_observations():
    seen = [["a b c d e", "x", "-"], ["a b c d f", "x", "-"]]
    for source in ("history", "set"):
        s = ids(state(of(*seen), source=source, near="minhash", shingle="word", size=1, threshold=0.6))
        assert s[2] == s[5] and s[1] == s[4]
        exact = ids(state(of(*seen), source=source))
        assert exact[2] != exact[5]


def test_missing_observations_stay_alone_and_keys_that_are_no_text_as_they_are():
    batch = of(["same text", None, "-"], ["same text!", None, "-"])
    made = state(batch, near="minhash", threshold=0.5)
    assert ids(made)[1] == ids(made)[4] and ids(made)[2] != ids(made)[5]
    numbers = Batch.from_records([Rollout(group="g", rollout=0, steps=[Step(observation=1), Step(observation=2.5)])])
    assert ids(state(numbers, near="minhash")) == [0, 1]


def test_a_column_may_hold_near_texts():
    batch = Batch.from_records(
        Rollout(group="g", rollout=i, steps=[Step(extra={"page": p})]) for i, p in enumerate([KITCHEN, KITCHEN + "!"])
    )
    assert ids(state(batch, source="column:page", near="ratio")) == [0, 0]
    assert ids(state(batch, source="column:page")) == [0, 1]


def embed(texts):
    return np.array([[1.0, 0.0] if "cat" in t or "kitten" in t else [0.0, 1.0] for t in texts])


def test_an_embedder_decides_what_is_near():
    batch = of(["a cat", "-"], ["a kitten", "-"], ["a key", "-"])
    made = state(batch, embed, near="embedding")
    assert ids(made)[1] == ids(made)[3] != ids(made)[5]
    assert merge_of(made).cells == 3
    assert cost(batch, near="embedding").calls == {"embed": 4} and not cost(batch).calls
    with pytest.raises(StepCreditError, match="needs an embedder"):
        state(batch, near="embedding")


@given(st.permutations(range(5)))
def test_vectors_are_joined_through_any_chain_whatever_the_order(order):
    angle = {"a": 0.0, "b": 0.3, "c": 0.6, "d": 2.0, "e": 2.2}
    texts = [list(angle)[i] for i in order]
    got = by_vectors(texts, lambda ts: np.array([[np.cos(angle[t]), np.sin(angle[t])] for t in ts]), np.cos(0.31))
    assert got == ["a" if t in "abc" else "d" for t in texts]


def test_wrong_ways_are_refused():
    with pytest.raises(UnknownName, match="minhash"):
        state(of(["x"]), near="minhsh")
    with pytest.raises(StepCreditError, match="a function says itself"):
        state(of(["x"]), source=lambda r: [1], near="ratio")


def test_without_near_duplicates_it_is_what_it_was():
    batch = of(["x", "y"], ["x", "z"])
    for source in ("last", "history", "set"):
        old, new = with_states(batch, source, normalize=["case"]), state(batch, source=source, normalize=["case"])
        assert ids(old) == ids(new) and old.notes == new.notes


def test_replies_of_a_search_tool_merge_more_where_near_ones_count(data):
    batch = read(data / "agentprocessbench" / "hotpotqa.jsonl.gz")
    told = batch.with_columns(
        observation=["".join(m.content or "" for m in s.replies) or None for r in batch.records for s in r.steps]
    )
    exact, near = (merge_of(state(told, near=n, threshold=0.5)) for n in (None, "minhash"))
    assert near.merged > exact.merged and near.cells < exact.cells
