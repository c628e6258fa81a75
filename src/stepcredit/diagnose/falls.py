"""Which ways out of a state cost successes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats


def falls(
    success: Floats, nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]
) -> list[float | None]:
    """How many successes each edge cost: those that its rollouts lack against all that were where it begins.

        fall(e) = sum over the rollouts r that took e of (m(from e) - success r),   m the share of success of a node

    Args:
        success: [R] from 0 to 1, NaN where the outcome is not known; those rollouts are left out.
        nodes, edges: as `Graph.to_dict` makes them, rollouts named by their index.

    Returns:
        One number per edge; negative where the edge led to more successes than others, None where nothing is known.
    """
    share = {node["id"]: node["success"] for node in nodes}
    out: list[float | None] = []
    for edge in edges:
        took = success[sorted({rollout for rollout, _ in edge["steps"]})]
        known = took[~np.isnan(took)]
        start = share[edge["from"]]
        out.append(None if start is None or not known.size else float((start - known).sum()))
    return out
