"""Pages of the inspector for browser tests: answers in the shapes that the page asks for, in one exported file."""

from stepcredit.app.view.page import as_json, page


def step(text=None, *, agent=None, calls=(), replies=(), **more):
    """One step as `/api/run/ID/steps` tells it."""
    plain = dict.fromkeys(("reasoning", "observation", "action", "reward", "origin"))
    calls = [{"name": name, "arguments": arguments, "id": f"c{k}"} for k, (name, arguments) in enumerate(calls)]
    return (
        plain
        | {
            "text": text,
            "agent": agent,
            "calls": calls,
            "replies": list(replies),
            "images": [],
            "evidence": {},
            "extra": {},
            "cut": {},
        }
        | more
    )


def message(role, content, **more):
    return {"role": role, "content": content, "name": None, "call": None, "error": None, "images": []} | more


def blame(by, at, **more):
    plain = dict.fromkeys(("agent", "error", "reason", "confidence", "scores"))
    kind = {"people": "people", "judge": "judge"}.get(by, "method")
    status = "clean" if at is None else "found"
    return (
        plain
        | {"by": by, "kind": kind, "status": status, "step": at, "label": -1, "remarks": {}, "evidence": {}}
        | more
    )


def run(group, rollout, outcome, steps, *, credit=None, **more):
    """A run: its row of `/api/runs`, its own answer and its steps are made of it by `site`."""
    return {"group": group, "rollout": rollout, "outcome": outcome, "steps": steps, "credit": credit or {}} | more


def site(runs, **state):
    """path -> answer, of everything that a page of these runs asks for."""
    gids = {}
    for r in runs:
        gids.setdefault(r["group"], f"g{len(gids)}")
    parts, rows = {}, []
    for i, r in enumerate(runs):
        rows.append(_row(i, r, gids[r["group"]]))
        parts[f"/api/run/{i}"] = _run(i, r, rows[-1], runs)
        steps = [s | {"i": k} for k, s in enumerate(r["steps"])]
        parts[f"/api/run/{i}/steps"] = {"from": 0, "to": len(steps), "steps": steps}
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {"id": []}
    counts = {"groups": len(gids), "runs": len(runs), "steps": sum(len(r["steps"]) for r in runs)}
    parts["/api/runs"] = {"total": len(runs), "columns": columns}
    parts["/api/marks"], parts["/api/agreement"] = [], {"raters": [], "pairs": [], "counts": {}}
    parts["/api/state"] = {
        "title": "Runs of a test",
        "version": "1",
        "mode": "export",
        "reading": {"done": True, "share": 1, "what": ""},
        "counts": counts,
        "methods": [],
        "diagnosers": [{"name": "contrast", "title": "Contrast", "doc": ""}],
        "evidence": [],
        "left_out": None,
        "notes": [],
        "pages": {},
        "rater": "",
        "writable": False,
        "token": "",
        "redacted": False,
        "error_types": [
            {"name": "loop", "title": "Repeated a failed call"},
            {"name": "claim", "title": "Claimed without support"},
        ],
    } | state
    return parts


def write(path, parts, mode="export"):
    """The page of these parts, as a file; its URL."""
    path.write_text(page("Runs of a test", {k: as_json(v) for k, v in parts.items()}, mode=mode), "utf-8")
    return path.as_uri()


def _first(r):
    return next((b for b in r.get("blame", []) if b["step"] is not None), None)


def _row(i, r, gid):
    first, steps = _first(r), r["steps"]
    return {
        "id": i,
        "gid": gid,
        "group": r["group"],
        "rollout": r["rollout"],
        "outcome": r["outcome"],
        "steps": len(steps),
        "tokens": r.get("tokens"),
        "cost": r.get("cost"),
        "seconds": r.get("seconds"),
        "started": None,
        "model": None,
        "agents": sorted({s["agent"] for s in steps if s["agent"]}),
        "tools": sorted({c["name"] for s in steps for c in s["calls"]}),
        "worst": first and first["step"],
        "worst_by": first and first["by"],
        "worst_score": first and first["confidence"],
        "confidence": first and first["confidence"],
        "error": first and first["error"],
        "lint": len(r.get("lint", [])),
        "marks": 0,
        "task": r.get("task", f"task of {r['group']}"),
    }


def _run(i, r, row, runs):
    n = len(r["steps"])
    mates = [k for k, other in enumerate(runs) if other["group"] == r["group"] and k != i]
    return {
        **{k: row[k] for k in ("id", "gid", "group", "rollout", "outcome", "task")},
        "rewards": {},
        "evidence": {},
        "extra": {},
        "cut": {},
        "context": r.get("context", []),
        "n": n,
        "blame": r.get("blame", []),
        "lint": r.get("lint", []),
        "marks": [],
        "numbers": {
            "agent": [s["agent"] for s in r["steps"]],
            "reward": None,
            "evidence": r.get("evidence", {}),
            "state": None,
        },
        "credit": {
            k: {"sd": None, "notes": []} | (v if isinstance(v, dict) else {"values": v}) for k, v in r["credit"].items()
        },
        "siblings": [
            {"id": k, "rollout": runs[k]["rollout"], "outcome": runs[k]["outcome"], "steps": len(runs[k]["steps"])}
            for k in mates
        ],
        "jumps": {"worst": row["worst"], "divergence": None, "disagreements": []} | r.get("jumps", {}),
        "prev": i - 1 if i else None,
        "next": i + 1 if i + 1 < len(runs) else None,
    }
