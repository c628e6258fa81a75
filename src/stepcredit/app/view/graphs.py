"""The runs of one task as a graph of states, and as a tree of what they did, for the page."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from stepcredit.app.view.answers import Answers
from stepcredit.data.records import Rollout
from stepcredit.diagnose.falls import falls
from stepcredit.diagnose.graph import state_graph


def group(answers: Answers, gid: int) -> dict[str, Any] | None:
    """`/api/group/GID`; None: there is no such task.

    `graph` merges steps taken in equal states. `tree`, null where no states are known, takes no notice of them: runs
    stay together as long as they did the same.
    """
    ids, rollouts = answers.rollouts(gid)
    if not ids:
        return None
    graph = _told(rollouts, ids)
    return {
        "gid": gid,
        "group": str(rollouts[0].group),
        "task": next((r.task for r in rollouts if r.task is not None), None),
        "runs": answers.mates(gid),
        "graph": graph,
        "tree": _told(_stateless(rollouts), ids) if graph["kind"] == "states" else None,
    }


def _told(rollouts: Sequence[Rollout], ids: Sequence[int]) -> dict[str, Any]:
    """The graph as JSON; each edge says what it cost (`fall`)."""
    graph = state_graph(rollouts)
    found = graph.to_dict(ids=range(len(ids)))
    for edge, fall in zip(found["edges"], falls(graph.success, found["nodes"], found["edges"]), strict=True):
        edge["fall"] = fall
        edge["steps"] = [[ids[rollout], step] for rollout, step in edge["steps"]]
    for node in found["nodes"]:
        node["runs"] = [ids[rollout] for rollout in node["runs"]]
    return found


def _stateless(rollouts: Sequence[Rollout]) -> list[Rollout]:
    return [
        replace(r, final_state=None, steps=[replace(s, state=None, next_state=None) for s in r.steps]) for r in rollouts
    ]
