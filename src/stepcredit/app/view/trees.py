"""Trees for the page: those in files of `stepcredit search --trees` and `stepcredit label --trees`, one row a tree, and
rollouts that share their beginnings."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stepcredit.app.view._tree_files import TREES, Listed, TreeFile
from stepcredit.app.view.answers import Answers
from stepcredit.app.view.rows import brief, key
from stepcredit.app.view.shown import strings
from stepcredit.data.records import Step
from stepcredit.ops.center import cell_mean

NODES = 20_000
"""Most nodes of an answer."""
TEXT, TEXTS = 8_000, 4_000_000
"""Most characters of a text of a node, and of all of a tree."""
_LABEL = 160
_FORKED = 200
"""Most tasks that are listed."""
_FACTS = ("system", "stopped", "answer", "right", "spent", "discarded", "notes", "rollout")


def trees(answers: Answers | None, files: Sequence[Path]) -> list[dict[str, Any]]:
    """`/api/trees`: of the files in order, then tasks whose rollouts are stored as a tree."""
    out = []
    for f, path in enumerate(files):
        at = TreeFile.of(path)
        out += [_line(f"f{f}-{k}", one, Path(path).name) for k, one in enumerate(at.listed)]
    return [*out, *_rollouts(answers)]


def tree(answers: Answers | None, files: Sequence[Path], id: str) -> dict[str, Any] | None:
    """`/api/tree/ID`; None: there is none of that name."""
    kind, number = id[:1], id[1:]
    if kind == "f":
        file, _, place = number.partition("-")
        if not _whole(file) or not _whole(place) or int(file) >= len(files):
            return None
        row = TreeFile.of(files[int(file)]).row(int(place))
        return None if row is None else _payload(id, row, Path(files[int(file)]).name)
    if kind == "g" and _whole(number) and answers is not None:
        return _shared(id, answers, int(number))
    return None


def notes(files: Sequence[Path]) -> list[str]:
    """What of the files could not be read."""
    out = []
    for path in files:
        at = TreeFile.of(path)
        if at.error:
            out.append(at.error)
        elif at.bad:
            out.append(f"{at.bad:,} rows of {Path(path).name} are no trees")
        if len(at.listed) >= TREES:
            out.append(f"{Path(path).name}: the first {TREES:,} trees")
    return out


def _line(id: str, one: Listed, source: str) -> dict[str, Any]:
    return {"id": id, "source": source} | msgspec.structs.asdict(one)


def _payload(id: str, row: Mapping[str, Any], source: str) -> dict[str, Any]:
    listed = Listed.of(row)
    given = [n for n in row.get("nodes", ()) if isinstance(n, Mapping)]
    return {
        "id": id,
        "kind": listed.kind,
        "title": listed.title,
        "source": source,
        "prompt": _text(row.get("prompt"))[:TEXT] or None,
        "facts": {n: row[n] for n in _FACTS if row.get(n) not in (None, [], {})},
        **_ordered(list(_nodes(given, row.get("chosen")))),
    }


def _nodes(given: Sequence[Mapping[str, Any]], chosen: Any) -> Iterator[dict[str, Any]]:
    """Nodes of a row in the page's words. A node without a name has that of its place."""
    for k, n in enumerate(given):
        name = n.get("node", n.get("id"))
        name = k if name is None else name
        said = _text(n.get("text"))
        seen = _text(n.get("observation"))
        score = _number(n.get("score"))
        value = _number(n.get("value"))
        yield {
            "id": name,
            "parent": n.get("parent"),
            "value": score if value is None else value,
            "score": score,
            "visits": _number(n.get("visits")),
            "won": _number(n.get("won")),
            "drawn": _number(n.get("drawn")),
            "outcome": _number(n.get("outcome")),
            "status": _status(n),
            "ended": n.get("ended") is True,
            "given": n.get("given") is True,
            "chosen": n.get("chosen") is True or (chosen is not None and name == chosen),
            "reason": _text(n.get("reason")) or None,
            "facts": n["facts"] if isinstance(n.get("facts"), Mapping) else {},
            "text": said,
            "observation": seen or None,
        }


def _status(node: Mapping[str, Any]) -> str:
    """ "dropped", "failed" (what was asked about it), "ended", "" for a step on the way; or a word of the file."""
    if node.get("kept") is False:
        return "dropped"
    told = node.get("status")
    if isinstance(told, str) and told not in ("ok", "missing"):
        return told
    return "ended" if node.get("ended") is True else ""


def _ordered(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Nodes from the root down, each child behind its parent, with places for names; what has no parent here, or is its
    own ancestor, stands at the top and says so.

    nodes: id and parent are places in this list. path: the chosen one's. cut: how many nodes were left out.
    """
    place: dict[str, int] = {}
    for k, n in enumerate(nodes):
        place.setdefault(str(n["id"]), k)
    below: dict[int | None, list[int]] = {}
    for k, n in enumerate(nodes):
        at = None if n["parent"] is None else place.get(str(n["parent"]))
        n["lost"] = n["parent"] is not None and (at is None or at == k)
        below.setdefault(None if n["lost"] else at, []).append(k)
    order, depth, above = _walk(below, len(nodes))
    for k in range(len(nodes)):  # in a circle: nothing leads to it from a root
        if k not in above:
            nodes[k]["lost"] = True
            some = _walk({**below, None: [k]}, len(nodes), set(above))
            order, depth, above = order + some[0], {**depth, **some[1]}, {**above, **some[2]}
    cut = max(0, len(order) - NODES)
    order = order[:NODES]
    number = {k: i for i, k in enumerate(order)}
    room, out = TEXTS, list[dict[str, Any]]()
    for i, k in enumerate(order):
        n = nodes[k]
        up = above[k]
        one = {**n, "name": n["id"], "id": i, "parent": None if up is None else number[up], "depth": depth[k]}
        one["label"] = _label(n)
        for field in ("text", "observation"):
            whole = n[field] or ""
            one[field] = whole[: max(0, min(TEXT, room))] or None
            room -= len(one[field] or "")
            if len(whole) > len(one[field] or ""):
                one[f"{field}_length"] = len(whole)
        out.append(one)
    path: list[int] = []
    at = next((n["id"] for n in out if n["chosen"]), None)
    while at is not None:
        path.append(at)
        at = out[at]["parent"]
    return {"nodes": out, "path": path[::-1], "cut": cut}


def _walk(
    below: Mapping[int | None, Sequence[int]], most: int, known: Iterable[int] = ()
) -> tuple[list[int], dict[int, int], dict[int, int | None]]:
    """Order, depth and parent of what can be reached from the top."""
    seen, order = set(known), list[int]()
    depth, above = dict[int, int](), dict[int, int | None]()
    stack: list[tuple[int, int, int | None]] = [(k, 0, None) for k in reversed(below.get(None, ()))]
    while stack and len(order) <= most:
        k, deep, up = stack.pop()
        if k in seen:
            continue
        seen.add(k)
        order.append(k)
        depth[k], above[k] = deep, up
        stack += [(child, deep + 1, k) for child in reversed(below.get(k, ()))]
    return order, depth, above


def _label(node: Mapping[str, Any]) -> str:
    return (brief(node["text"][: 8 * _LABEL]) or "")[:_LABEL]


def _rollouts(answers: Answers | None) -> list[dict[str, Any]]:
    """Tasks of which some rollouts share steps with others."""
    out = []
    for gid in [] if answers is None else answers.head.forked:
        assert answers is not None
        runs = answers.members(gid)
        first = runs[0].record
        out.append(
            {
                "id": f"g{gid}",
                "kind": "rollouts",
                "title": (brief(first.task) or str(first.group))[:_LABEL],
                "nodes": sum(r.n - r.shared for r in runs) + 1,
                "source": str(first.group),
                "system": None,
            }
        )
        if len(out) >= _FORKED:
            break
    return out


def _shared(id: str, answers: Answers, gid: int) -> dict[str, Any] | None:
    """The rollouts of a task as a tree of their steps: equal steps from the start on are one node."""
    runs = answers.members(gid)
    if not runs:
        return None
    nodes: list[dict[str, Any]] = [_step_node(0, None, "", None)]
    known: dict[tuple[int, str | None], int] = {}
    passed: list[tuple[int, float]] = []
    for run in runs:
        at = 0
        outcome = run.record.outcome
        reached = [0]
        for step in answers.steps(run.id, 0, run.n):
            name = (at, step.id or key((step.text, step.action, repr(step.tool_calls))))
            child = known.get(name)
            if child is None:
                child = known[name] = len(nodes)
                seen = None if step.observation is None else str(step.observation)
                nodes.append(_step_node(child, at, _done(step), seen))
            reached.append(child)
            at = child
        nodes[at].update(ended=True, outcome=outcome, run=run.id, status="ended")
        passed += [(k, math.nan if outcome is None else outcome) for k in reached]
    place, outcomes = (np.array(column) for column in zip(*passed, strict=True))
    for node, value, visits in zip(nodes, cell_mean(outcomes, place), np.bincount(place), strict=True):
        node.update(value=_number(float(value)), visits=int(visits))
    first = runs[0].record
    return {
        "id": id,
        "kind": "rollouts",
        "title": (brief(first.task) or str(first.group))[:_LABEL],
        "source": str(first.group),
        "prompt": (first.task or "")[:TEXT] or None,
        "facts": {"gid": gid},
        **_ordered(nodes),
    }


def _step_node(k: int, parent: int | None, text: str, observation: str | None) -> dict[str, Any]:
    empty = dict.fromkeys(("value", "score", "visits", "won", "drawn", "outcome", "reason"))
    said = {"id": k, "parent": parent, "text": text, "observation": observation}
    return {**empty, **said, "status": "", "ended": False, "given": True, "chosen": False, "facts": {}}


def _done(step: Step) -> str:
    """What a step says and does."""
    calls = (f"{c.name} {' '.join(strings(c.arguments))}" for c in step.tool_calls)
    parts = (step.text, *calls, None if step.text or step.tool_calls else step.action)
    return "\n".join(str(p) for p in parts if p not in (None, ""))


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _number(value: Any) -> float | int | None:
    some = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if some else None


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
