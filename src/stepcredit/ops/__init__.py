"""Pure array primitives in NumPy. They know nothing of LLMs: arrays in, arrays out, inputs untouched."""

from stepcredit.ops.beta import chance_above, log_beta
from stepcredit.ops.cells import Merge, back, cells, merge_rate, sibling_cells, state_cells, turn_cells, windows
from stepcredit.ops.center import cell_mean, center, shrink, whiten
from stepcredit.ops.correlation import correlation, ranks
from stepcredit.ops.graph import Graph, Walk, state_graph
from stepcredit.ops.rank import against_past, effective_rank
from stepcredit.ops.returns import (
    at_last,
    difference,
    future_min,
    gae,
    increment,
    max_abs,
    returns,
    scan,
    so_far,
    softmin_weight,
)
from stepcredit.ops.tokens import (
    merge_tokens,
    on_last_token,
    step_mean,
    to_tokens,
    token_batch,
    token_paths,
    token_rollout,
)
from stepcredit.ops.tree import NodeValues, backup, edge_advantage
from stepcredit.ops.tries import best_of, wilson

__all__ = [
    "Graph",
    "Merge",
    "NodeValues",
    "Walk",
    "against_past",
    "at_last",
    "back",
    "backup",
    "best_of",
    "cell_mean",
    "cells",
    "center",
    "chance_above",
    "correlation",
    "difference",
    "edge_advantage",
    "effective_rank",
    "future_min",
    "gae",
    "increment",
    "log_beta",
    "max_abs",
    "merge_rate",
    "merge_tokens",
    "on_last_token",
    "ranks",
    "returns",
    "scan",
    "shrink",
    "sibling_cells",
    "so_far",
    "softmin_weight",
    "state_cells",
    "state_graph",
    "step_mean",
    "to_tokens",
    "token_batch",
    "token_paths",
    "token_rollout",
    "turn_cells",
    "whiten",
    "wilson",
    "windows",
]
