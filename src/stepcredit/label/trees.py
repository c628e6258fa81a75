"""What a label system looked at, as rows of a file of trees: one a task where it grew a tree, else one a rollout."""

from collections.abc import Iterator, Sequence
from typing import Any

from stepcredit.label._grow import Grown, State, Steps
from stepcredit.label.work import Work

ASKED = "sampler"
"""Who draws what a tree is made of: systems that ask none leave no trees."""


def tree_rows(unit: Sequence[Work], system: str) -> Iterator[dict[str, Any]]:
    """Rows `{"tree": 1, "kind": "label", "system", "task", "group", "prompt", "nodes"}`.

    Where the system grew a tree over the task, its states and the solutions through them; else, for each rollout behind
    whose steps completions were drawn, its steps with these completions below. A node has its parent and text; what is
    known of value (share right, or mean of what was backed up), visits, won, drawn, outcome, ended, given (a step of a
    given rollout), reason.
    """
    grown: Grown | None = unit[0].grown
    if grown is not None:
        yield _row(unit[0], system, _grown(grown))
        return
    for work in unit:
        if work.samples:
            yield {**_row(work, system, _completed(work)), "rollout": work.record.rollout}


def _row(work: Work, system: str, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    group = work.record.group
    head = {"tree": 1, "kind": "label", "system": system, "task": str(group), "group": group}
    return {**head, "prompt": work.prompt, "nodes": nodes}


def _grown(tree: Grown) -> list[dict[str, Any]]:
    known = dict(tree.solutions())
    given = {steps[: t + 1] for steps, _ in tree.given() for t in range(len(steps))}
    place: dict[Steps, int] = {(): 0}
    for steps in (*tree.states, *known):
        for t in range(len(steps)):
            place.setdefault(steps[: t + 1], len(place))
    nodes = []
    for steps, number in place.items():
        state = tree.states.get(steps) or State(steps)
        right = known.get(steps, state.right)
        value = state.won / state.drawn if state.drawn else state.mean
        nodes.append(
            _node(
                node=number,
                parent=place[steps[:-1]] if steps else None,
                text=steps[-1] if steps else "",
                value=right if value != value and steps in known else value,
                visits=state.visits or state.drawn or None,
                won=state.won if state.drawn else None,
                drawn=state.drawn or None,
                outcome=right,
                ended=state.ended or steps in known or None,
                given=steps in given or None,
                reason=state.reason,
            )
        )
    return nodes


def _completed(work: Work) -> list[dict[str, Any]]:
    last = len(work.steps) - 1
    nodes = []
    for t in range(-1, last + 1):
        drawn = int(work.drawn[t + 1])
        nodes.append(
            _node(
                node=t + 1,
                parent=None if t < 0 else t,
                text="" if t < 0 else work.steps[t],
                value=work.share(t),
                visits=drawn or None,
                won=int(work.won[t + 1]) if drawn else None,
                drawn=drawn or None,
                outcome=work.outcome if t == last else None,
                ended=t == last or None,
                given=True if t >= 0 else None,
                reason=next(reversed(work.failed.get(t, [])), None),
            )
        )
    for t, samples in sorted(work.samples.items()):
        for sample, right in samples:
            nodes.append(_node(node=len(nodes), parent=t + 1, text=sample.text, value=right, outcome=right, ended=True))
    return nodes


def _node(**known: Any) -> dict[str, Any]:
    """What is known of a node; NaN is not known."""
    return {k: v for k, v in known.items() if (v is not None and v == v) or k == "parent"}
