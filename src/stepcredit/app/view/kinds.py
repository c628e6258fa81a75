"""What files are for: runs, trees, training, boards; told by their first rows, and of folders by what is in them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stepcredit.data.storage import Source, rows, sources
from stepcredit.errors import DataError

KINDS = ("runs", "trees", "dynamics", "bench")
METRICS = "metrics.jsonl"
"""What a folder of `stepcredit train` holds."""
_WHOLE = (b"PAR1", b"PK\x03\x04")
_ROWS = (".jsonl", ".ndjson", ".parquet", ".gz", ".zst")


def kinds_of_files(files: Sequence[str]) -> dict[str, list[str]]:
    """kind -> what of it there is among files, folders and globs: "runs", "trees", "dynamics", "bench".

    A folder of runs is named as a whole, and so is one of `stepcredit train` ("dynamics"; rollouts in it are runs as
    well); of others each file. What cannot be read or is not known counts as runs: whoever reads those says
    what is wrong. Runs that say which policy they are of ("policy_version", "batch") are dynamics too.
    """
    found: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    for name in files:
        for kind, part in _of(name):
            found[kind][part] = None
    return {kind: list(parts) for kind, parts in found.items()}


def kinds_of_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of a file whose first row this is.

    >>> kinds_of_row({"tree": 1, "nodes": []}), kinds_of_row({"step": 1, "rollouts": 8, "seconds": 2.5})
    (('trees',), ('dynamics',))
    >>> kinds_of_row({"suite": "mdp", "rows": []}), kinds_of_row({"group": "a", "steps": [], "policy_version": 3})
    (('bench',), ('runs', 'dynamics'))
    """
    if isinstance(row.get("nodes"), list) and ("tree" in row or "chosen" in row):
        return ("trees",)
    if isinstance(row.get("suite"), str) and isinstance(row.get("rows"), list):
        return ("bench",)
    if isinstance(row.get("scores"), dict) and isinstance(row.get("settings"), list):  # measured.json
        return ("bench",)
    if _number(row.get("step")) and _number(row.get("seconds")) and _number(row.get("rollouts")):
        return ("dynamics",)
    if "steps" in row and (row.get("policy_version") is not None or row.get("batch") is not None):
        return ("runs", "dynamics")
    return ("runs",)


def _of(name: str) -> Iterable[tuple[str, str]]:
    at = Path(name)
    if at.is_dir():
        return list(_of_folder(name, at))
    try:
        found = sources(name)
    except DataError:
        return [("runs", name)]
    return _together(name, [str(s.path) for s in found if s.path is not None])


def _of_folder(name: str, at: Path) -> Iterable[tuple[str, str]]:
    trained = sorted(p.parent for p in (*at.glob(METRICS), *at.glob(f"*/{METRICS}")))
    if not trained:
        try:
            found = [str(s.path) for s in sources(name)]
        except DataError:
            return [("runs", name)]
        return _together(name, found)
    out = [("dynamics", str(p)) for p in trained]
    for folder in dict.fromkeys((at, *trained)):
        beside = sorted(p for p in folder.iterdir() if p.suffix in _ROWS and p.name != METRICS and p.is_file())
        out += [pair for p in beside for pair in _of(str(p))]
    return out


def _together(name: str, files: Sequence[str]) -> list[tuple[str, str]]:
    """The files by kind; the name for all of them where all are of runs: of others each file is read by itself."""
    each = [(file, _kinds(Path(file))) for file in files]
    if len({kinds for _, kinds in each}) == 1 and "runs" in each[0][1]:
        return [(kind, name) for kind in each[0][1]]
    return [(kind, file) for file, kinds in each for kind in kinds]


def _kinds(path: Path) -> tuple[str, ...]:
    if not path.is_file():  # a pipe can be read once
        return ("runs",)
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith((*_WHOLE, b"[")):
            return ("runs",)
        # A row that cannot be used is left out here; who reads the file says so.
        first = next(rows(Source(path, str(path)), bad=lambda _: None, nan=True), None)
    except (OSError, DataError):
        return ("runs",)
    return ("runs",) if first is None else kinds_of_row(first.value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
