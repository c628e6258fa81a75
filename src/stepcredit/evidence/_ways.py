"""The steps of a rollout, shared ones included."""

from itertools import pairwise

from stepcredit.data.batch import Batch
from stepcredit.data.records import Step
from stepcredit.evidence import _texts


def ways(batch: Batch, who: str) -> list[list[Step]]:
    """[R] the steps on each rollout's way, in order."""
    steps, paths = _texts.steps(batch, who), batch.layout.paths
    return [[steps[s] for s in paths.rows[a:b].tolist()] for a, b in pairwise(paths.start.tolist())]
