"""Rollouts of a task that began alike, as a tree: what methods on trees are given where rollouts were drawn apart."""

from typing import NamedTuple

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Ints, Layout, Paths
from stepcredit.ops import cells


class Branches(NamedTuple):
    """batch: the tree. node: [S of the rollouts] which of its steps each step became."""

    batch: Batch
    node: Ints


def branches(batch: Batch) -> Branches:
    """Steps that were taken in equal states, did the same and came after the same become one step.

    Columns of a step that several rollouts share are those of the first of them; tokens are left out.

    Raises:
        MissingColumn: there is no state, or no action.
    """
    lay = batch.layout
    key = cells(lay.step_group, batch["state"], batch["action"])
    number = np.full(lay.S, -1, np.int64)
    for turn in range(int(lay.turn.max(initial=-1)) + 1):
        rows = np.flatnonzero(lay.turn == turn)
        before = number[lay.previous[rows]] if turn else np.zeros(rows.size, np.int64)
        # A node is named by the first row that came to it.
        number[rows] = rows[_first(cells(before, key[rows]))]
    kept, node = np.unique(number, return_inverse=True)
    shared = Paths(lay.paths.start, node[lay.paths.rows])
    layout = Layout(lay.group, lay.rollout[kept], shared=shared, batch=lay.batch)
    columns = {n: v[kept] if batch.axis(n) == "S" else v for n, v in batch.columns.items() if batch.axis(n) != "K"}
    keys = {n: k for n, k in batch.keys.items() if n in columns or n in ("group", "rollout")}
    return Branches(Batch(layout, columns, keys, batch.axes), node)


def _first(cell: Ints) -> Ints:
    """[n] position of the first member of each row's cell."""
    _, first, place = np.unique(cell, return_index=True, return_inverse=True)
    return first[place]
