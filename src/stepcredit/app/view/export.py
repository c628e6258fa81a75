"""The page as one file: the same answers, embedded. No network, no server."""

import base64
import gzip
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stepcredit.app.view import page
from stepcredit.app.view.answers import Answers, Head
from stepcredit.app.view.building import methods, without_secret_names
from stepcredit.app.view.judging import FIRST, Verdicts, described, judge, told
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Marks, Placed, labeled
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import part
from stepcredit.app.view.shown import plain
from stepcredit.credit.run import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.redact import Redactor
from stepcredit.data.storage import placed
from stepcredit.data.writing import Writer, write_text
from stepcredit.errors import DataError, StepCreditError

LIMIT = 20_000
"""Most steps of a page, so that it opens."""
LONGEST = 10_000
"""Characters of a text in a page; the rest is left out, and its length told."""
_PACKED = 4_000
_GROUPS, _NODES = 500, 60_000


def export(
    path: str | os.PathLike[str],
    answers: Answers,
    marks: Marks | None = None,
    *,
    files: Mapping[str, Sequence[Path]] | None = None,
    limit: int = LIMIT,
    clean: Callable[[Any], Any] | None = None,
    clean_files: Callable[[Any], Any] | None = None,
) -> str | None:
    """Write the page of an index as one file, whole or not at all.

    Args:
        marks: of people, shown as they stand. files: of `Looking`. limit: most steps to embed. Whole tasks are taken in
            order; of a larger first task, the first runs (one at least).
        clean: takes secrets out of any answer, where the index still holds them. clean_files: of what is made of
            `files`.

    Returns:
        What was left out, in words; None: nothing.

    Raises:
        StepCreditError: limit below 1. DataError: a file of this name holds something else than a page; the folder is
            missing or read-only, the disk is full.
    """
    _check_page(Path(path))
    looking = Looking(answers, marks, files) if clean_files is None else Looking(answers, marks, files, clean_files)
    chosen = choose(answers, limit)
    parts = {}
    for name, value in _answers(looking, chosen).items():
        text = page.as_json(plain(value if clean is None else clean(value)))
        parts[name] = text if name == "/api/state" or len(text) < _PACKED else _packed(text)
    title = str(answers.head.title)
    write_text(page.page(title if clean is None else clean(title), parts, mode="export"), Path(path))
    return left_out(answers, chosen)


def write_page(
    path: str | os.PathLike[str],
    batch: Batch,
    credits: Sequence[Credit] = (),
    *,
    verdicts: Verdicts | None = None,
    findings: Sequence[Mapping[str, Any]] = (),
    comparison: Sequence[Mapping[str, Any]] = (),
    title: str = "Step credit",
    source: str = "",
    limit: int = LIMIT,
    redact: bool = True,
) -> Path:
    """Write the inspector with these rollouts as one self-contained HTML file. No network, no server.

    Args:
        batch: the rollouts; texts are shown where it was built from records. credits: of this batch.
        verdicts: (group, rollout) -> method -> Verdict; None: by the methods that ask no model.
        findings: rows of the linter: rule, severity ("error", "warning", "info", "not checked"), message, where, why.
        comparison: rows of a table, one per method: any columns, in order.
        title: heading of the page. source: where the rollouts came from.
        limit: most steps to embed. Whole tasks are taken in order; the page says what was left out.
        redact: take keys, tokens and passwords out of all texts.

    Raises:
        LayoutError: a credit of another batch. StepCreditError: limit below 1. DataError: the file cannot be written.
    """
    clean = Redactor()
    names = labels(credits)
    made = part(batch, credits, names=names, clean=clean.rollout if redact else None)
    if redact:
        made = without_secret_names(made, clean)
    rollouts = batch.to_records() if batch.records is None else batch.records
    if verdicts is None:
        judge(made, rollouts, (FIRST,))
    else:
        told(made, rollouts, verdicts)
    said = [FIRST] if verdicts is None else dict.fromkeys(name for given in verdicts.values() for name in given)
    head = Head(
        title=title,
        source=source,
        methods=methods(names, {}, sort=False),
        diagnosers=described(said),
        evidence=sorted(n.removeprefix("evidence.") for n in made.numbers if n.startswith("evidence.")),
        notes=[*batch.notes, *_unchecked(findings)],
        lint=[{**plain(dict(f)), "step": None} for f in findings if f.get("severity") != "not checked"],
        comparison=[plain(dict(row)) for row in comparison],
        forked=list(dict.fromkeys(r.gid for r in made.runs if r.shared)),
        redacted=None,
    )
    if redact:
        for run in made.runs:
            run.verdicts = clean.value(run.verdicts)
        for name in ("evidence", "notes", "lint", "comparison"):
            setattr(head, name, clean.value(getattr(head, name)))
        head.title, head.source, head.redacted = clean.text(title), clean.text(source), dict(clean.taken)
    export(path, Memory([made], head), limit=limit)
    return Path(path)


def _check_page(path: Path) -> None:
    """Traces are not to be lost to a page of the same name."""
    begins = b""
    if path.is_file() and path.suffix.lower() not in (".html", ".htm"):
        with placed(path), path.open("rb") as file:
            begins = file.read(64).lstrip()
    if begins and not begins.startswith(b"<"):
        raise DataError(
            "the file is there and is no page", file=path, got=begins[:16], hint="another name, or remove it first"
        )


def choose(answers: Answers, limit: int) -> list[int]:
    """Ids of the runs of the first tasks that hold at most `limit` steps; of a larger first task, the first runs.

    Raises:
        StepCreditError: limit below 1.
    """
    if limit < 1:
        raise StepCreditError(f"limit must be 1 or more; got {limit}")
    columns = answers.columns()
    tasks: dict[int, list[tuple[int, int]]] = {}
    for id, gid, steps in zip(columns["id"], columns["gid"], columns["steps"], strict=True):
        tasks.setdefault(gid, []).append((id, steps))
    chosen: list[int] = []
    total = 0
    for runs in tasks.values():
        size = sum(steps for _, steps in runs)
        if total + size > limit and chosen:
            break
        if size > limit:
            for id, steps in runs:
                if chosen and total + steps > limit:
                    break
                chosen.append(id)
                total += steps
            break
        chosen += [id for id, _ in runs]
        total += size
    return sorted(chosen)


def left_out(answers: Answers, chosen: Sequence[int]) -> str | None:
    """What the page does not hold, in words; None if it holds all."""
    total = answers.counts()
    if len(chosen) == total["runs"]:
        return None
    columns = answers.columns()
    place = {id: k for k, id in enumerate(columns["id"])}
    here = [place[id] for id in chosen]
    held = {
        "task": (len({columns["gid"][k] for k in here}), total["groups"]),
        "run": (len(here), total["runs"]),
        "step": (sum(columns["steps"][k] for k in here), total["steps"]),
    }
    parts = [f"{some:,} of {of:,} {name}s" for name, (some, of) in held.items()]
    return f"This page holds {', '.join(parts)}; the rest is left out."


def labels(credits: Sequence[Credit]) -> list[str]:
    """One name per credit; a method that occurs twice is told apart by its options."""
    names = [c.method for c in credits]
    return [
        f"{c.method} ({', '.join(f'{k}={v}' for k, v in c.options.items())})" if names.count(c.method) > 1 else c.method
        for c in credits
    ]


def export_labels(path: Path, answers: Answers, marks: Marks) -> int:
    """Write the marked runs, with the marks as blame and as evidence `label`; returns their number.

    Raises:
        StepCreditError: no run is marked. DataError: the file cannot be written.
    """
    given = Placed(marks, answers).marks()
    named = {(m.group, m.rollout) for m in given}
    columns = answers.columns()
    gids = dict.fromkeys(
        gid
        for gid, *name in zip(columns["gid"], columns["group"], columns["rollout"], strict=True)
        if tuple(name) in named
    )
    if not gids:
        strays = Placed(marks, answers).strays()
        raise StepCreditError(
            "no step of these runs is marked"
            + (f"; {strays:,} marks are on others: read them as they were marked (--format, --map)" if strays else ""),
            hint="stepcredit view, then mark steps; --marks FILE",
        )
    number = 0
    with Writer(path) as out:
        for gid in gids:
            made = list(labeled(answers.rollouts(gid)[1], given))
            number += len(made)
            out.write(made)
    return number


def _unchecked(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rules of the linter that could not run, as a note."""
    names = [str(f.get("rule")) for f in findings if f.get("severity") == "not checked"]
    return [f"lint did not check {', '.join(names)}: what they need is not there"] if names else []


def _answers(looking: Looking, chosen: Sequence[int]) -> dict[str, Any]:
    """path -> answer, of all that the page can ask for."""
    answers = looking.there()
    left, here = left_out(answers, chosen), set(chosen)
    table = looking.runs()
    kept = [k for k, id in enumerate(table["columns"]["id"]) if id in here]
    columns = {n: [values[k] for k in kept] for n, values in table["columns"].items()}
    marked = looking.placed()
    out: dict[str, Any] = {
        "/api/state": {**looking.state("export"), "left_out": left},
        "/api/runs": {"total": len(kept), "columns": columns},
        "/api/marks": {"marks": [] if marked is None else [m for m in marked.all() if m["id"] in here]},
        "/api/agreement": looking.agreement(),
        "/api/trees": looking.trees(),
        "/api/dynamics": looking.dynamics(),
        "/api/bench": looking.boards(),
    }
    for k, id in enumerate(chosen):
        run = looking.run(id)
        record = answers.get(id)
        assert run is not None and record is not None
        parting = run["jumps"]["divergence"]
        run["jumps"]["divergence"] = parting if parting is None or parting["sibling"] in here else None
        run["siblings"] = [s for s in run["siblings"] if s["id"] in here]
        run["prev"] = chosen[k - 1] if k else None
        run["next"] = chosen[k + 1] if k + 1 < len(chosen) else None
        out[f"/api/run/{id}"] = run
        out[f"/api/run/{id}/steps"] = {"from": 0, "to": run["n"], "steps": answers.shown(record, 0, run["n"], LONGEST)}
    for gid in list(dict.fromkeys(columns["gid"]))[:_GROUPS]:
        out[f"/api/group/{gid}"] = looking.group(gid)
    held, gids = [], {f"g{gid}" for gid in columns["gid"]}
    room = _NODES
    for tree in out["/api/trees"]:
        room -= tree["nodes"]
        if room < 0 or (tree["kind"] == "rollouts" and tree["id"] not in gids):
            continue
        found = looking.tree(tree["id"])
        if found is not None:
            out[f"/api/tree/{tree['id']}"] = found
            held.append(tree)
    _hold(out, held)
    return out


def _hold(out: dict[str, Any], held: list[dict[str, Any]]) -> None:
    """Only these trees are in the page, and it says so."""
    of = len(out["/api/trees"])
    if len(held) < of:
        told = out["/api/state"]["left_out"]
        more = f"This page holds {len(held):,} of {of:,} trees."
        out["/api/state"]["left_out"] = f"{told} {more}" if told else more
    out["/api/trees"] = held
    out["/api/state"]["pages"]["trees"] = bool(held)


def _packed(text: str) -> str:
    """JSON gzipped, as base64; `data:` says so."""
    return "data:" + base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
