"""What has changed on disk since it was read."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from stepcredit.data.storage import sources
from stepcredit.errors import DataError

Stamps = dict[str, tuple[int, int]]
"""Path of a file -> its size, and when it last changed."""
EVERY = 3.0
"""Seconds between two looks at the files."""


def stamps(names: Iterable[str | Path]) -> Stamps:
    """The files that names stand for now; what is not there is left out."""
    out: Stamps = {}
    for name in names:
        try:
            found = [s.path for s in sources(name) if s.path is not None]
        except (DataError, OSError):
            continue
        for path in found:
            try:
                told = path.stat()
            except OSError:
                continue
            out[str(path)] = told.st_size, told.st_mtime_ns
    return out


def stamp(paths: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    """What tells whether any of these files, or of the files in these folders, is another now."""
    out: list[tuple[int, int]] = []
    for path in paths:
        try:
            within = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
            out += [(told.st_size, told.st_mtime_ns) for told in (p.stat() for p in within)]
        except OSError:
            out.append((0, 0))
    return tuple(out)


class News:
    """The traces as they were when they were read, against what there is now.

    Args:
        names: of files, folders and globs, as they were given. runs: those that are traces. but: files and folders
            that are no traces, or are read again by themselves.
    """

    def __init__(self, names: Sequence[str], runs: Sequence[str] = (), but: Iterable[Path] = ()) -> None:
        self.names = list(names)
        self.sort(runs, but)
        self.read()

    def sort(self, runs: Sequence[str], but: Iterable[Path]) -> None:
        """Which of the files are traces."""
        self._runs, self._but = set(runs), [str(b) for b in but]

    def read(self) -> None:
        """They are read as they are now."""
        self._known = stamps(self.names)
        self._said: str | None = None
        self._looked = time.monotonic()

    def said(self) -> str | None:
        """What is new, in words; None: nothing. Looks at the files every few seconds at most."""
        if time.monotonic() - self._looked >= EVERY:
            self._said, self._looked = self._told(stamps(self.names)), time.monotonic()
        return self._said

    def _told(self, now: Stamps) -> str | None:
        now, known = ({n: s for n, s in one.items() if not self._apart(n)} for one in (now, self._known))
        both = now.keys() & known.keys()
        counts = (
            (len(now.keys() - known.keys()), "is new", "are new"),
            (sum(now[n][0] > known[n][0] for n in both), "has grown", "have grown"),
            (sum(now[n] != known[n] and now[n][0] <= known[n][0] for n in both), "has changed", "have changed"),
            (len(known.keys() - now.keys()), "is gone", "are gone"),
        )
        parts = [f"{n:,} {'file' if n == 1 else 'files'} {one if n == 1 else many}" for n, one, many in counts if n]
        return ", ".join(parts) or None

    def _apart(self, name: str) -> bool:
        if name in self._runs:
            return False
        return any(name == b or (name.startswith(f"{b}/") and b not in self._runs) for b in self._but)
