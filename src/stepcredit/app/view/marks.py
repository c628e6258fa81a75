"""Marks of people on steps: one line each in a file that is only ever added to.

    {"group": "p1", "rollout": "3", "step": 4, "rater": "anna", "label": -1, "error": "...", "note": "", "time": 1.7e9}

The last line of a rater on a step counts; one without label, error and note takes the mark back. Several raters may
write into one file, or each into one of their own. A last line that a crash tore is left out; the next starts anew.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import has_magic
from itertools import combinations
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from stepcredit.app.view.answers import Answers
from stepcredit.data.records import Blame, Rollout
from stepcredit.data.storage import placed
from stepcredit.diagnose.agreement import agreement
from stepcredit.errors import DataError, StepCreditError

LONGEST = 10_000
LABELS = (-1, 0, 1, None)
_LAST = 200
_Place = tuple[str, str, int]


class Mark(msgspec.Struct, kw_only=True):
    """What a rater says of a step. label: 1 right, 0 neutral, -1 wrong, None = no verdict, a note alone."""

    group: str
    rollout: str
    step: int
    rater: str
    label: int | None = None
    error: str | None = None
    note: str | None = None
    time: float | None = None

    @property
    def place(self) -> _Place:
        return self.group, self.rollout, self.step

    @property
    def empty(self) -> bool:
        return self.label is None and not self.error and not self.note


class Marks:
    """The marks of some files. The first is written to, the others are only read.

    Args:
        files: names of the files; they need not exist. rater: who marks, where a mark does not say.

    Attributes:
        bad: lines that were no marks, by file.

    Raises:
        DataError: a file cannot be read.
    """

    def __init__(self, files: Sequence[Path], rater: str = "me") -> None:
        if not files:
            raise StepCreditError("marks need a file")
        self.files, self.rater = list(files), rater
        self.bad: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._read = dict.fromkeys(self.files, 0)
        self._last: dict[Path, tuple[int, bytes]] = {}
        self._marks: dict[tuple[str, _Place], Mark] = {}
        self.all()

    @property
    def writable(self) -> bool:
        """Whether a mark can be kept."""
        first = self.files[0]
        return os.access(first if first.exists() else first.parent, os.W_OK) and not first.is_dir()

    def all(self) -> list[Mark]:
        """The marks that count now, oldest first; what others have written since is read, and all of it anew where a
        file is another now."""
        with self._lock:
            if not all(self._goes_on(file) for file in self.files):
                self._read = dict.fromkeys(self.files, 0)
                for kept in (self._last, self._marks, self.bad):
                    kept.clear()
            for file in self.files:
                self._catch_up(file)
            return [m for m in self._marks.values() if not m.empty]

    def add(self, mark: Mark) -> Mark:
        """Keep a mark: on disk when this returns.

        Raises:
            StepCreditError: no such label, too long a note. DataError: the file cannot be written, the disk is full.
        """
        if mark.label not in LABELS:
            raise StepCreditError(f"label: got {mark.label!r}, expected 1 (right), 0 (neutral), -1 (wrong) or null")
        if max(len(mark.note or ""), len(mark.error or ""), len(mark.rater)) > LONGEST or not mark.rater.strip():
            raise StepCreditError(f"a mark needs the name of its rater, and no text over {LONGEST:,} characters")
        mark = msgspec.structs.replace(mark, time=round(time.time(), 3) if mark.time is None else mark.time)
        try:
            line = msgspec.json.encode(mark) + b"\n"
        except UnicodeEncodeError:
            raise StepCreditError("a mark holds half a character: it cannot be kept") from None
        with self._lock, placed(self.files[0]), self.files[0].open("a+b", buffering=0) as file, _alone(file):
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # half a line of a full disk
                raise
        self.all()
        return mark

    def _goes_on(self, file: Path) -> bool:
        """Whether what was read of a file still stands there: nobody has put another in its place."""
        number, last = self._last.get(file, (0, b""))
        if not last:
            return True
        if not file.is_file():
            return False
        with placed(file), file.open("rb") as stream:
            stream.seek(self._read[file] - len(last))
            return os.fstat(stream.fileno()).st_ino == number and stream.read(len(last)) == last

    def _catch_up(self, file: Path) -> None:
        if not file.is_file():
            return
        with placed(file), file.open("rb") as stream:
            number = os.fstat(stream.fileno()).st_ino
            stream.seek(self._read[file])
            data = stream.read()
        whole, end, rest = data.rpartition(b"\n")
        self._read[file] += len(whole) + len(end)
        if rest and self._decoded(rest) is not None:
            whole, end, self._read[file] = data, b"", self._read[file] + len(rest)
        before = self._last.get(file, (0, b""))[1]
        self._last[file] = number, (before + whole + end)[-_LAST:]
        for line in whole.split(b"\n"):
            mark = self._decoded(line) if line.strip() else None
            if mark is not None:
                key = (mark.rater, mark.place)
                self._marks.pop(key, None)
                self._marks[key] = mark
            elif line.strip():
                self.bad[str(file)] += 1

    @staticmethod
    def _decoded(line: bytes) -> Mark | None:
        try:
            mark = msgspec.json.decode(line, type=Mark)
        except (ValueError, RecursionError):
            return None
        return mark if mark.label in LABELS and mark.step >= -1 else None

    def agreement(self, given: Sequence[Mark] | None = None) -> dict[str, Any]:
        """`/api/agreement`: raters, pairs (steps that both labeled), counts of labels by rater.

        Args:
            given: the marks that are compared; all of them if not given.
        """
        marks = [m for m in (self.all() if given is None else given) if m.label is not None]
        raters = sorted({m.rater for m in marks})
        said = {r: {m.place: m.label for m in marks if m.rater == r} for r in raters}
        pairs = []
        for a, b in combinations(raters, 2):
            both = sorted(said[a].keys() & said[b].keys())
            if both:
                found = agreement([said[a][p] for p in both], [said[b][p] for p in both], [p[:2] for p in both])
                numbers = {n: None if v != v else v for n, v in found._asdict().items()}
                pairs.append({"a": a, "b": b, **numbers})
        counts = {r: {str(k): n for k, n in Counter(said[r].values()).items()} for r in raters}
        return {"raters": raters, "pairs": pairs, "counts": counts}


def default_file(paths: Sequence[str]) -> Path:
    """Where marks on these files are kept: beside them. The name's suffix keeps it from being read as data.

    >>> str(default_file(["logs/runs.jsonl"]))
    'logs/runs.jsonl.marks'
    """
    first = paths[0] if paths else "-"
    if first == "-" or "://" in first:
        return Path("stepcredit.marks")
    at = Path(first)
    if at.is_dir():
        return at / "stepcredit.marks"
    return at.with_name("stepcredit.marks" if has_magic(first) and not at.exists() else at.name + ".marks")


class Placed:
    """Marks as the page knows them: by number of the run.

    Looks runs up by their names, so that marks outlive an index. A mark on a run that is not here, on a step that the
    run does not have, or on a name that several runs have (1 and "1") is nobody's: it stays in its file.
    """

    def __init__(self, marks: Marks, answers: Answers) -> None:
        self._marks = marks
        columns = answers.columns()
        self._names = list(zip(columns["group"], columns["rollout"], strict=True))
        self._steps = dict(zip(columns["id"], columns["steps"], strict=True))
        self._ids: dict[tuple[str, str], int | None] = {}
        for id, name in zip(columns["id"], self._names, strict=True):
            self._ids[name] = None if name in self._ids else id
        self.size = len(self._names)

    def marks(self) -> list[Mark]:
        """Marks on steps that are here."""
        return [m for m in self._marks.all() if self._fits(m)]

    def strays(self) -> int:
        """How many marks are on none."""
        return sum(not self._fits(m) for m in self._marks.all())

    def all(self) -> list[dict[str, Any]]:
        """Marks on steps that are here: id, step, label, error, note, rater, time."""
        return [self.shown(m) for m in self.marks()]

    def of(self, id: int) -> list[dict[str, Any]]:
        """The marks on one run."""
        return [m for m in self.all() if m["id"] == id]

    def counts(self) -> list[int]:
        """Marks on each run."""
        found = Counter(m["id"] for m in self.all())
        return [found[i] for i in range(self.size)]

    def name(self, id: int) -> tuple[str, str] | None:
        """Task and name of a run."""
        return self._names[id] if 0 <= id < self.size else None

    def alone(self, id: int) -> bool:
        """Whether no other run has the name of this one."""
        return self._ids[self._names[id]] == id

    def shown(self, mark: Mark) -> dict[str, Any]:
        """A mark for the page."""
        out: dict[str, Any] = msgspec.structs.asdict(mark)
        return {"id": self._ids.get((mark.group, mark.rollout)), **out}

    def _fits(self, mark: Mark) -> bool:
        id = self._ids.get((mark.group, mark.rollout))
        return id is not None and mark.step < self._steps[id]


def labeled(rollouts: Sequence[Rollout], marks: Sequence[Mark]) -> Iterator[Rollout]:
    """The rollouts that have marks, with a `Blame` of each, and the evidence `label` that most raters gave a step.

    Raters who are evenly divided leave a step without label.
    """
    by_run: dict[tuple[str, str], list[Mark]] = {}
    for mark in marks:
        by_run.setdefault((mark.group, mark.rollout), []).append(mark)
    for rollout in rollouts:
        mine = [m for m in by_run.get((str(rollout.group), str(rollout.rollout)), []) if m.step < len(rollout.steps)]
        if not mine:
            continue
        votes: dict[int, Counter[int]] = {}
        for mark in mine:
            if mark.label is not None and mark.step >= 0:
                votes.setdefault(mark.step, Counter())[mark.label] += 1
        steps = list(rollout.steps)
        for at, given in votes.items():
            ranked = given.most_common(2)
            if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
                steps[at] = msgspec.structs.replace(
                    steps[at], evidence={**steps[at].evidence, "label": float(ranked[0][0])}
                )
        said = [_blame(m, rollout) for m in mine]
        yield msgspec.structs.replace(rollout, steps=steps, blame=[*rollout.blame, *said])


def _blame(mark: Mark, rollout: Rollout) -> Blame:
    return Blame(
        by=mark.rater,
        step=None if mark.step < 0 else mark.step,
        agent=None if mark.step < 0 else rollout.steps[mark.step].agent,
        label=None if mark.label is None else float(mark.label),
        error=mark.error,
        reason=mark.note,
        evidence={"rater": True} if mark.time is None else {"rater": True, "time": mark.time},
    )


@contextmanager
def _alone(file: BinaryIO) -> Iterator[None]:
    """The file for this process alone, where the system can do that."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def check_file(path: Path) -> None:
    """Raises: DataError: marks cannot be kept in this file."""
    if path.is_dir():
        raise DataError("is a folder", file=path, expected="the name of a file for marks")
    if not path.parent.is_dir():
        raise DataError("there is no such folder", file=path.parent, hint="make it first")
