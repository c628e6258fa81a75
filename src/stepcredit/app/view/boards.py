"""Boards for the page: figures of suites, read from what `stepcredit bench SUITE --json` prints and from the figures of
the leaderboard."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepcredit.app.view.shown import numbers
from stepcredit.bench.ranking import Board
from stepcredit.bench.ranking import boards as made_of

BYTES = 64 << 20
"""Larger files are no boards."""
_LONG = 120


def boards(files: Sequence[Path]) -> dict[str, Any]:
    """`/api/bench`: the boards of all files in order, and what could not be read."""
    out: list[dict[str, Any]] = []
    notes: list[str] = []
    for path in map(Path, files):
        told = _read(path, notes)
        if told is None:
            continue
        found, said = made_of(told)
        notes += [f"{path.name}: {words}" for words in said]
        if not found:
            notes.append(f"{path.name}: no figures with rows")
        head = {"source": path.name[:_LONG], "date": _text(told.get("date")), "version": _text(told.get("version"))}
        out += [_shown(one) | head for one in found]
    return {"boards": out, "notes": notes}


def _shown(board: Board) -> dict[str, Any]:
    return {
        **{n: getattr(board, n)[:_LONG] for n in ("suite", "where", "figure", "metric")},
        "title": ", ".join(filter(None, (board.suite, board.where)))[: 2 * _LONG],
        "doc": board.doc,
        "better": board.better,
        "chance": board.chance,
        "interval": board.interval,
        "rows": [
            dict(zip(("value", "low", "high"), numbers([r.value, r.low, r.high]), strict=True))
            | {"name": r.name[:_LONG], "baseline": r.baseline}
            for r in board.rows
        ],
    }


def _read(path: Path, notes: list[str]) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > BYTES:
            notes.append(f"{path.name}: larger than {BYTES >> 20} MiB, not read")
            return None
        told = json.loads(path.read_bytes())
    except OSError as error:
        notes.append(f"{path.name}: {error.strerror}")
    except (ValueError, RecursionError):
        notes.append(f"{path.name}: cannot be read as JSON")
    else:
        if isinstance(told, dict):
            return told
        notes.append(f"{path.name}: holds no boards")
    return None


def _text(value: Any) -> str | None:
    return value[:40] if isinstance(value, str) else None
