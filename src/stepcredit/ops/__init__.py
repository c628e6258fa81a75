"""Pure array primitives in NumPy. They know nothing of LLMs: arrays in, arrays out, inputs untouched."""

from stepcredit.ops.beta import chance_above, log_beta
from stepcredit.ops.cells import (
    Merge,
    back,
    cells,
    merge_rate,
    random_cells,
    sibling_cells,
    state_cells,
    turn_cells,
    windows,
)
from stepcredit.ops.center import cell_mean, center, shrink, unit_range, whiten
from stepcredit.ops.chance import pass_at_k
from stepcredit.ops.classification import Confusion, confusion
from stepcredit.ops.correlation import correlation, ranks
from stepcredit.ops.graph import Graph, Walk, state_graph
from stepcredit.ops.james_stein import JamesStein, blend_risk, james_stein
from stepcredit.ops.order import cell_range, place
from stepcredit.ops.pareto import pareto_front
from stepcredit.ops.returns import (
    ahead,
    at_last,
    behind,
    difference,
    earlier,
    future_min,
    gae,
    increment,
    max_abs,
    returns,
    rollout_mean,
    runs,
    scan,
    softmin_weight,
)
from stepcredit.ops.tokens import (
    merge_tokens,
    on_last_token,
    step_mean,
    step_pool,
    step_sum,
    to_tokens,
    token_batch,
    token_paths,
    token_rollout,
)
from stepcredit.ops.top import top_share
from stepcredit.ops.tree import NodeValues, backup, edge_advantage, outcome_ahead, weighted_backup

__all__ = [
    "Confusion",
    "Graph",
    "JamesStein",
    "Merge",
    "NodeValues",
    "Walk",
    "ahead",
    "at_last",
    "back",
    "backup",
    "behind",
    "blend_risk",
    "cell_mean",
    "cell_range",
    "cells",
    "center",
    "chance_above",
    "confusion",
    "correlation",
    "difference",
    "earlier",
    "edge_advantage",
    "future_min",
    "gae",
    "increment",
    "james_stein",
    "log_beta",
    "max_abs",
    "merge_rate",
    "merge_tokens",
    "on_last_token",
    "outcome_ahead",
    "pareto_front",
    "pass_at_k",
    "place",
    "random_cells",
    "ranks",
    "returns",
    "rollout_mean",
    "runs",
    "scan",
    "shrink",
    "sibling_cells",
    "softmin_weight",
    "state_cells",
    "state_graph",
    "step_mean",
    "step_pool",
    "step_sum",
    "to_tokens",
    "token_batch",
    "token_paths",
    "token_rollout",
    "top_share",
    "turn_cells",
    "unit_range",
    "weighted_backup",
    "whiten",
    "windows",
]
