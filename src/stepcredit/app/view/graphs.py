"""The runs of one task as a graph of states, for the page."""

from typing import Any

from stepcredit.app.view.answers import Answers
from stepcredit.diagnose.graph import state_graph


def group(answers: Answers, gid: int) -> dict[str, Any] | None:
    """`/api/group/GID`; None: there is no such task."""
    ids, rollouts = answers.rollouts(gid)
    if not ids:
        return None
    return {
        "gid": gid,
        "group": str(rollouts[0].group),
        "task": next((r.task for r in rollouts if r.task is not None), None),
        "runs": answers.mates(gid),
        "graph": state_graph(rollouts).to_dict(ids=ids),
    }
