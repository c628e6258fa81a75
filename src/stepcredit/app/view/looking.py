"""What is looked at: an index that may still be in the making, the marks on it, and the screens that it allows."""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from stepcredit import __version__
from stepcredit.app.view import boards, dynamics, graphs, trees
from stepcredit.app.view.answers import Answers
from stepcredit.app.view.marks import Mark, Marks, Placed
from stepcredit.app.view.news import stamp
from stepcredit.diagnose.errors import ERRORS
from stepcredit.errors import StepCreditError


def same(value: Any) -> Any:
    """A value as it is."""
    return value


Mode = Literal["server", "export"]


@dataclass
class Reading:
    """How far the index is. done: nothing more comes. share: of the input, 0 to 1, None = not known. what: in words.
    error: why it stopped."""

    done: bool = True
    share: float | None = 1.0
    what: str = ""
    error: str | None = None


class Looking:
    """An index under the eyes of people.

    Args:
        answers: None as long as there is nothing to see. marks: of people; None: nobody can mark.
        files: what else was given, by kind: "trees", "dynamics", "bench". clean: takes secrets out of what is made of
            those; the index is clean or not by itself.

    Attributes:
        token: that a page of ours shows with what it writes.
    """

    def __init__(
        self,
        answers: Answers | None,
        marks: Marks | None = None,
        files: Mapping[str, Sequence[Path]] | None = None,
        clean: Callable[[Any], Any] = same,
    ) -> None:
        self.answers, self.marks, self.files, self.clean = answers, marks, dict(files or {}), clean
        self.reading = Reading()
        self.error: StepCreditError | None = None
        self.token = secrets.token_urlsafe(24)
        self.lock = threading.RLock()
        self.version = 0
        self._placed: tuple[Answers, int, Placed] | None = None
        self._made: dict[str, tuple[Any, Any]] = {}

    def refresh(self) -> None:
        """See what is new. Nothing here: what is in memory does not grow."""

    def news(self) -> dict[str, Any]:
        """`/api/news`. version: of the index; it rises with each one that took another's place. traces: what of the
        files is new since, in words. files: another whenever a file of trees, training or boards is.
        """
        self.refresh()
        return {"version": self.version, "traces": None, "files": self._stamps()}

    def again(self) -> dict[str, Any]:
        """Read the traces as they are now: `POST /api/again`. Answers `news`.

        Raises:
            StepCreditError: what is in memory has no files.
        """
        raise StepCreditError("these runs were not read from files")

    def there(self) -> Answers:
        """The index.

        Raises:
            StepCreditError: nothing is read yet.
        """
        self.refresh()
        if self.answers is None:
            raise StepCreditError(self.reading.error or "the runs are still being read")
        return self.answers

    def state(self, mode: Mode = "server") -> dict[str, Any]:
        """`/api/state`."""
        self.refresh()
        head = None if self.answers is None else self.answers.head
        return {
            "title": "stepcredit" if head is None else head.title,
            "source": "" if head is None else head.source,
            "version": __version__,
            "mode": mode,
            "reading": dict(self.reading.__dict__),
            "read": self.version,
            "counts": {"groups": 0, "runs": 0, "steps": 0} if self.answers is None else self.answers.counts(),
            "methods": [] if head is None else head.methods,
            "diagnosers": [] if head is None else head.diagnosers,
            "evidence": [] if head is None else head.evidence,
            "left_out": None if head is None else head.left_out,
            "notes": [
                *([] if head is None else head.notes),
                *self._notes_on_marks(),
                *trees.notes(self.files.get("trees", ())),
            ],
            "lint": [] if head is None else head.lint,
            "comparison": [] if head is None else head.comparison,
            "pages": self.pages(),
            "rater": None if self.marks is None else self.marks.rater,
            "error_types": [{"name": e.name, "title": e.title, "doc": e.doc} for e in ERRORS.values()],
            "writable": mode == "server" and self.marks is not None and self.marks.writable,
            "token": self.token if mode == "server" else None,
            "redacted": None if head is None else head.redacted,
        }

    def pages(self) -> dict[str, bool]:
        """Which screens have something to show."""
        some = self.answers is not None and bool(self.answers.counts()["runs"])
        return {
            "runs": some or not any(self.files.values()) or not self.reading.done,
            "groups": some,
            "trees": bool(self.trees()),
            "dynamics": bool(self.dynamics().get("checkpoints")),
            "bench": bool(self.boards().get("boards")),
        }

    def runs(self) -> dict[str, Any]:
        """`/api/runs`."""
        table = self.there().runs()
        marked = self.placed()
        counts = marked.counts() if marked is not None else []
        if len(counts) == table["total"]:
            table["columns"]["marks"] = counts
        return table

    def run(self, id: int) -> dict[str, Any] | None:
        """`/api/run/ID`."""
        found = self.there().run(id)
        marked = self.placed()
        if found is not None and marked is not None:
            found["marks"] = [
                {n: m[n] for n in ("rater", "step", "label", "error", "note", "time")} for m in marked.of(id)
            ]
        return found

    def group(self, gid: int) -> dict[str, Any] | None:
        """`/api/group/GID`."""
        answers = self.there()
        found: dict[str, Any] | None = self._once(f"group {gid}", lambda: graphs.group(answers, gid))
        return found

    def trees(self) -> list[dict[str, Any]]:
        """`/api/trees`."""
        found: list[dict[str, Any]] = self._once(
            "trees", lambda: self.clean(trees.trees(self.answers, self.files.get("trees", ()))), "trees"
        )
        return found

    def tree(self, id: str) -> dict[str, Any] | None:
        """`/api/tree/ID`."""
        found: dict[str, Any] | None = self.clean(trees.tree(self.answers, self.files.get("trees", ()), id))
        return found

    def dynamics(self) -> dict[str, Any]:
        """`/api/dynamics`."""
        found: dict[str, Any] = self._once(
            "dynamics",
            lambda: self.clean(dynamics.dynamics(self.answers, self.files.get("dynamics", ()))),
            "dynamics",
        )
        return found

    def boards(self) -> dict[str, Any]:
        """`/api/bench`."""
        found: dict[str, Any] = self._once(
            "bench", lambda: self.clean(boards.boards(self.files.get("bench", ()))), "bench"
        )
        return found

    def mark(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a mark: `POST /api/marks`.

        Raises:
            StepCreditError: there is no such step, the fields are none, marks cannot be kept. DataError: of the disk.
        """
        marked = self.placed()
        if self.marks is None or marked is None:
            raise StepCreditError("marks are not kept here", hint="stepcredit view --marks FILE")
        id, step = given.get("id"), given.get("step")
        texts = [given.get(n) for n in ("error", "note", "rater")]
        name = marked.name(id) if isinstance(id, int) and not isinstance(id, bool) else None
        run = None if name is None else self.there().get(int(id or 0))
        if name is None or run is None:
            raise StepCreditError(f"there is no run {id!r} to mark")
        if not isinstance(step, int) or isinstance(step, bool) or not -1 <= step < run.n:
            raise StepCreditError(f"run {id} has {run.n} steps; got {step!r}")
        if any(given.get(n, told) != told for n, told in zip(("group", "rollout"), name, strict=True)):
            raise StepCreditError(
                f"run {id} is now {' / '.join(name)}", hint="the traces were read again: load the page"
            )
        if not marked.alone(run.id):
            raise StepCreditError(
                f"several runs are called {' / '.join(name)}, and a mark names its run",
                hint="give each a name of its own",
            )
        if not all(t is None or isinstance(t, str) for t in texts):
            raise StepCreditError("error, note and rater are texts")
        label = given.get("label")
        error, note, rater = texts
        made = Mark(
            group=name[0],
            rollout=name[1],
            step=step,
            rater=(rater or "").strip() or self.marks.rater,
            label=label if label is None or type(label) is int else 99,
            error=error or None,
            note=note or None,
        )
        return marked.shown(self.marks.add(made))

    def agreement(self) -> dict[str, Any]:
        """`/api/agreement`, over the steps that are here."""
        marked = self.placed()
        if self.marks is None or marked is None:
            return {"raters": [], "pairs": [], "counts": {}}
        return self.marks.agreement(marked.marks())

    def placed(self) -> Placed | None:
        """The marks by number of the run."""
        if self.marks is None or self.answers is None:
            return None
        with self.lock:
            size = self.answers.counts()["runs"]
            if self._placed is None or self._placed[:2] != (self.answers, size):
                self._placed = (self.answers, size, Placed(self.marks, self.answers))
            return self._placed[2]

    def close(self) -> None:
        """Nothing to let go."""

    def _notes_on_marks(self) -> list[str]:
        if self.marks is None:
            return []
        out = [f"{n} lines of {f} are no marks" for f, n in self.marks.bad.items()]
        marked = self.placed() if self.reading.done else None  # before, their runs may still come
        strays = 0 if marked is None else marked.strays()
        if strays:
            one = strays == 1
            names = ", ".join(map(str, self.marks.files))
            said = f"{strays:,} mark{'' if one else 's'} in {names} {'is' if one else 'are'} on no step of these runs"
            out.append(f"{said}: kept there, not shown")
        return out

    def _stamps(self) -> str:
        told = {kind: stamp(paths) for kind, paths in self.files.items()}
        return blake2b(repr(told).encode(), digest_size=8).hexdigest()

    def _once(self, name: str, make: Callable[[], Any], kind: str = "") -> Any:
        """What was made of the index as it is, and of the files of a kind; made anew when these are others."""
        counts = () if self.answers is None else (self.reading.done, *self.answers.counts().values())
        version = (self.version, *counts, stamp(self.files.get(kind, ())))
        known = self._made.get(name)
        if known is None or known[0] != version:
            with self.lock:
                if len(self._made) > 50:
                    self._made.clear()
                known = self._made[name] = (version, make())
        return known[1]
