"""Batches from flat columns: rows in any order, names in any group, trees by parent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import Batch, from_columns
from stepcredit.data.layout import Tree
from stepcredit.errors import LayoutError


def of(**columns):
    return from_columns(columns)[0]


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from(["a", "b", 1])), max_size=12), st.booleans())
def test_rows_are_sorted_by_rollout_and_told_apart_by_group(rows, arrays):
    names = list(dict.fromkeys(rows))
    number = [names.index(r) for r in rows]
    columns = {
        "rollout": [r for _, r in rows],
        "group": [g for g, _ in rows],
        "reward": np.arange(len(rows)) if arrays else list(range(len(rows))),
        "outcome": [float(n) for n in number],
    }
    batch, order = from_columns(columns)
    assert order.tolist() == sorted(range(len(rows)), key=number.__getitem__)
    assert batch.layout.rollout.tolist() == sorted(number)
    assert batch["reward"].tolist() == order.tolist()
    assert batch["outcome"].tolist() == list(range(len(names)))
    assert [(batch.group_name(int(g)), batch.rollout_name(r)) for r, g in enumerate(batch.layout.group)] == names


def test_rollout_columns_per_rollout_are_in_order_of_first_appearance():
    batch = of(rollout=["b", "a", "b"], group=["q", "p"], outcome=[2, 1], weight=(0.5, 1), batch=[7, 9])
    assert batch.keys["rollout"] == ["b", "a"] and batch.keys["group"] == ["q", "p"]
    assert batch["outcome"].tolist() == [2, 1] and batch["weight"].tolist() == [0.5, 1]
    assert batch.layout.batch.tolist() == [7, 9] and "batch" not in batch


def test_one_prompt_where_no_group_is_given():
    assert of(rollout=[3, 3, 1]).layout.group.tolist() == [0, 0]


def test_missing_values_stay_missing():
    batch = of(rollout=[0, 0], outcome=[None, None], state=["s", None], match=[None, True], reward=[None, 1])
    assert np.isnan(batch["outcome"]).all() and np.isnan(batch["reward"][0])
    assert batch["match"].tolist() == [-1, 1]
    assert batch.keys["state"] == ["s", None]
    assert of(rollout=[0, 0], match=np.array([np.nan, 0.0]))["match"].tolist() == [-1, 0]


def test_text_that_looks_like_a_number_stays_text():
    batch = of(rollout=[0, 1], state=["1", 1], final_state=["1", "1"])
    assert batch.keys["state"] is batch.keys["final_state"] and batch.keys["state"] == ["1", 1]
    assert batch["final_state"].tolist() == [0, 0]


def test_tokens_follow_their_rows():
    batch = of(rollout=["a", "b", "a"], token_step=[2, 1, 0, -1], token_logp=[1, 2, 3, 4])
    assert batch.layout.token_step.tolist() == [1, 2, 0, -1]
    assert batch["token_logp"].tolist() == [1, 2, 3, 4]


class Series:
    """What is no array but can become one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def test_series_are_read_as_arrays():
    batch = of(rollout=Series([5, 5, 6]), group=Series([0, 0, 1]), reward=Series([1.0, 2, 3]), outcome=Series([1, 0]))
    assert batch.layout.rollout.tolist() == [0, 0, 1] and batch["outcome"].tolist() == [1, 0]


def test_tensors_are_read_as_arrays(torch):
    half = torch.tensor([1.0, 0.0], dtype=torch.bfloat16, requires_grad=True)
    names = [torch.tensor(r) for r in (5, 5, 6)]
    batch = of(rollout=names, group=torch.tensor([0, 0, 1]), reward=[torch.tensor(1.0), 2, 3], outcome=half)
    assert batch.layout.rollout.tolist() == [0, 0, 1] and batch["outcome"].tolist() == [1, 0]
    assert batch["reward"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"reward": [1]}, "columns need 'rollout'"),
        ({"rollout": ["a", None]}, "row 1 names no rollout"),
        ({"rollout": [0, 0, 1], "group": [0, 0, 0, 0]}, r"group must hold one entry per step row \(3\) or per rollout"),
        ({"rollout": [0, 0, 1], "reward": [1, 2]}, r"'reward' must hold one entry per step row \(3\); got 2"),
        ({"rollout": [0, 0, 1], "outcome": [1]}, r"'outcome' must hold .* \(3\) or per rollout \(2\); got 1"),
        ({"rollout": [0, 0, 1], "prior_value": [1, 2]}, r"'prior_value' must hold one entry per task \(1\); got 2"),
        ({"rollout": ["x", "x"], "outcome": [1, 2]}, "varies inside rollout 'x': 1 and 2"),
        ({"rollout": [0, 0], "token_step": [-2]}, r"token_step must lie in -1..1; got -2..-2"),
        ({"rollout": [0, 0], "token_step": [2]}, r"token_step must lie in -1..1; got 2..2"),
        ({"rollout": [0, 0], "reward": ["a", "b"]}, "'reward' must hold numbers"),
        ({"rollout": [0, 0], "match": [0.5, 1]}, "'match' must hold whole numbers"),
        ({"rollout": [0, 0], "match": [256, 1]}, r"'match' must hold numbers in -1..1 \(-1 = missing\); got 256"),
        ({"rollout": [0, 0], "policy_version": [2**63, 2**63]}, "'policy_version' must hold numbers in .*; got 9"),
        ({"rollout": [0, 0], "state": [{}, {}]}, "key 0 is a dict"),
        ({"parent": [-1, 0], "rollout": [0, 0]}, "both 'parent' and 'rollout'"),
        ({"parent": [-1, 2]}, r"parent must be a row index in -1..1"),
        ({"parent": [1, 0, -1]}, "parents form a loop; node 0"),
        ({"parent": [2, 0, 1, -1, 3]}, "parents form a loop"),
        ({"parent": [0]}, "parents form a loop"),
        ({"parent": [-1, 0], "group": ["p", "q"]}, "node 1 and its parent 0 are of two groups"),
        ({"parent": [-1, 0], "group": ["p"]}, r"group must hold one entry per node \(2\); got 1"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns, says):
    with pytest.raises(LayoutError, match=says):
        from_columns(columns)


@st.composite
def parents(draw):
    """Parents of a random forest whose rows stand in any order."""
    n = draw(st.integers(1, 14))
    up = [draw(st.integers(-1, i - 1)) for i in range(n)]
    place = draw(st.permutations(range(n)))
    shuffled = [0] * n
    for i, p in enumerate(up):
        shuffled[place[i]] = -1 if p < 0 else place[p]
    return shuffled


@given(parents())
def test_a_tree_by_parents_has_a_rollout_per_leaf(parent):
    batch, order = from_columns({"parent": parent, "outcome": list(range(len(parent)))})
    leaves = [i for i in range(len(parent)) if i not in parent]
    ways = []
    for leaf in leaves:
        way = [leaf]
        while parent[way[0]] >= 0:
            way.insert(0, parent[way[0]])
        ways.append(way)
    paths = batch.layout.paths
    assert [order[paths.rows[a:b]].tolist() for a, b in zip(paths.start, paths.start[1:], strict=False)] == ways
    assert batch.keys["rollout"] == leaves and batch["outcome"].tolist() == leaves
    up = Tree.of(batch.layout).parent
    assert [-1 if p >= len(parent) else int(order[p]) for p in up] == [parent[i] for i in order]
    assert batch.layout.rollout.tolist() == [min(r for r, w in enumerate(ways) if i in w) for i in order]


def test_nothing_is_a_batch():
    for empty in (of(rollout=[]), of(rollout=[], group=[], reward=[], state=[], outcome=[]), of(parent=[])):
        assert (empty.layout.R, empty.layout.S) == (0, 0)
    assert of(parent=[], outcome=[]).layout.is_tree


def test_a_million_steps_in_one_rollout_or_one_chain_need_no_grid_of_levels():
    n = 1_000_000
    batch = of(rollout=np.zeros(n, int), reward=np.ones(n), state=np.arange(n))
    chain = of(parent=np.arange(n) - 1)
    assert isinstance(batch, Batch) and batch.layout.turn[-1] == chain.layout.turn[-1] == n - 1
