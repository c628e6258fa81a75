"""Replies and the journal of what was sent for them: one SQLite file that survives `kill -9` at any moment.

WAL with synchronous=NORMAL: a commit is in the hands of the operating system when it returns, so it outlives the
process (a power cut may take the last ones, and never harms the file), and costs no wait for the disk.

The file holds replies, names of models and counts; no key, no header.
"""

import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Literal

import msgspec

from stepcredit.errors import StepCreditError
from stepcredit.llm.budget import Use

Event = Literal["sent", "answered", "failed", "released", "lost"]
VERSION = 1
ROOM = 16 << 20  # free bytes below which nothing is sent: what is under way must still find place
_AT_ONCE = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY, process TEXT NOT NULL, run TEXT NOT NULL, attempt INTEGER NOT NULL, key BLOB NOT NULL,
    event TEXT NOT NULL, calls INTEGER NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL, at REAL NOT NULL,
    why TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_process ON journal (process, attempt);
CREATE TABLE IF NOT EXISTS processes (
    process TEXT PRIMARY KEY, run TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, born TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0);
"""


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal. attempt: counts the tries of this process; use: of `sent` and `lost` the worst case, of
    the others what it came to. reply: kept under the key when the event is `answered`."""

    key: bytes
    attempt: int
    event: Event
    use: Use = Use()
    reply: bytes | None = None
    why: str = ""


class Store:
    """The file, open. Safe among threads, and among processes that use one file at once.

    Args:
        path: made if it is not there; None = in memory, for as long as this object lives.
        run: whose journal this is; the spending of all processes of one run is told together. None = a run of its own.
        busy: seconds to wait while another process writes.

    Attributes:
        lost: (tries, their worst cases) that a killed process had under way, found when this one opened the file. They
            are told once, to whoever finds them.

    Raises:
        StepCreditError: the file cannot be made, written or read, is no store, or is one of a newer stepcredit.
    """

    def __init__(self, path: str | Path | None = None, *, run: str | None = None, busy: float = 30.0) -> None:
        self.path = None if path is None else Path(path)
        self.process = uuid.uuid4().hex
        self.run = run or self.process
        self._who = (self.process, self.run)
        self._lock = threading.RLock()
        self._unwritten: list[Entry] = []
        self._looked = 0.0
        self._open = True
        where = ":memory:" if self.path is None else self.path
        try:
            self._file = sqlite3.connect(where, timeout=busy, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._error(error, "cannot be opened") from None
        try:
            self._begin()
            self.lost = self._recover()
        except BaseException as error:
            self._file.close()
            if isinstance(error, sqlite3.Error):
                raise self._error(error, "cannot be opened") from None
            raise

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The replies that are there, by key."""
        found: dict[bytes, bytes] = {}
        with self._lock:
            try:
                if len(keys) == 1:
                    rows = self._file.execute("SELECT key, reply FROM replies WHERE key = ?", (keys[0],))
                    found.update(rows.fetchall())
                for at in range(0, len(keys) if len(keys) > 1 else 0, _AT_ONCE):
                    some = keys[at : at + _AT_ONCE]
                    marks = ",".join("?" * len(some))
                    found.update(self._file.execute(f"SELECT key, reply FROM replies WHERE key IN ({marks})", some))
            except sqlite3.Error as error:
                raise self._error(error, "cannot be read") from None
            found.update((e.key, e.reply) for e in self._unwritten if e.reply is not None)
        return found

    def check_room(self) -> None:
        """Before anything is paid for: is there place for what comes back?

        Raises:
            StepCreditError: the disk is full, or earlier replies could not be written. Those are kept in memory, and
                written with the next lines that can be.
        """
        with self._lock:
            if self._unwritten:
                self.write([])
            if self.path is None or time.monotonic() - self._looked < 1:
                return
            if (free := shutil.disk_usage(self.path.parent).free) < ROOM:
                raise StepCreditError(
                    f"{self.path}: the disk has {free:,} bytes left, so nothing more is sent",
                    hint=f"free {ROOM >> 20} MB or more and start again: what was answered is in the file",
                )
            self._looked = time.monotonic()

    def write(self, entries: Iterable[Entry]) -> None:
        """Add to the journal and keep replies, all in one commit; on return a kill takes nothing of it.

        Raises:
            StepCreditError: they could not be written. Answers stay in memory for the next try; what was to be sent
                must not be.
        """
        with self._lock:
            lines = [*self._unwritten, *entries]
            if not lines:
                return
            try:
                self._commit(lines)
                self._unwritten = []
            except sqlite3.Error as error:
                self._unwritten = [e for e in lines if e.event != "sent"]
                raise self._error(error, "cannot be written") from None

    def spent(self) -> Use:
        """What all processes of this run have spent so far, those that were killed included."""
        with self._lock:
            row = self._file.execute(
                "SELECT total(calls), total(prompt), total(completion) FROM journal WHERE run = ? AND event != 'sent'",
                (self.run,),
            ).fetchone()
        return Use(*map(int, row))

    def count(self) -> dict[str, int]:
        """How many lines the journal has of each event."""
        with self._lock:
            return dict(self._file.execute("SELECT event, count(*) FROM journal GROUP BY event"))

    def close(self) -> None:
        """Write what could not be written before, and let go of the file.

        Raises:
            StepCreditError: there are still replies that cannot be written.
        """
        with self._lock:
            if not self._open:
                return
            try:
                self.write([])
                self._file.execute("UPDATE processes SET ended = 1 WHERE process = ?", (self.process,))
            except sqlite3.Error as error:
                raise self._error(error, "cannot be written") from None
            finally:
                self._open = False
                self._file.close()

    def _begin(self) -> None:
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables >= {"replies", "journal", "processes"}:
            raise StepCreditError(f"{self.path} is a database of something else", hint="another file, or a new one")
        if self.path is not None and version <= VERSION:
            self._wal()
            self._file.execute("PRAGMA synchronous = NORMAL")
        if version > VERSION:
            raise StepCreditError(f"{self.path} was written by a newer stepcredit", hint="pip install -U stepcredit")
        if version < VERSION:
            self._file.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {VERSION};COMMIT;")
        pid = os.getpid()
        self._file.execute(
            "INSERT INTO processes VALUES (?, ?, ?, ?, ?, 0)", (self.process, self.run, _host(), pid, _born(pid) or "")
        )

    def _wal(self) -> None:
        """Of two processes that make the file at once, one is refused without a wait."""
        for last in [False] * 50 + [True]:
            try:
                self._file.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if last or "locked" not in str(error):
                    raise
            time.sleep(0.05)

    def _commit(self, lines: Sequence[Entry]) -> None:
        now = time.time()
        self._file.execute("BEGIN IMMEDIATE")
        try:
            self._file.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?)", _replies(lines))
            self._file.executemany(
                "INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*self._who, e.attempt, e.key, e.event, *astuple(e.use), now, e.why) for e in lines],
            )
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise

    def _recover(self) -> tuple[int, Use]:
        """Tries under way in processes that are no more become `lost`, at their worst case."""
        self._file.execute("BEGIN IMMEDIATE")
        rows = self._file.execute("SELECT process, host, pid, born FROM processes WHERE ended = 0").fetchall()
        tries, total = 0, Use()
        for process, host, pid, born in rows:
            if process == self.process or host != _host() or _alive(pid, born):
                continue
            open_ = self._file.execute(
                "SELECT run, attempt, key, calls, prompt, completion FROM journal AS sent WHERE process = ? AND event ="
                " 'sent' AND NOT EXISTS (SELECT 1 FROM journal AS closed WHERE closed.process = sent.process AND"
                " closed.attempt = sent.attempt AND closed.event != 'sent')",
                (process,),
            ).fetchall()
            for run, attempt, key, *use in open_:
                self._file.execute(
                    "INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, 'lost', ?, ?, ?, ?, 'the process was killed')",
                    (process, run, attempt, key, *use, time.time()),
                )
                tries, total = tries + 1, total + Use(*use)
            self._file.execute("UPDATE processes SET ended = 1 WHERE process = ?", (process,))
        self._file.execute("COMMIT")
        return tries, total

    def _error(self, error: sqlite3.Error, what: str) -> StepCreditError:
        kept = sum(e.reply is not None for e in self._unwritten)
        more = f"; {kept} replies are still in memory" if kept else ""
        hint = "is the disk full, the folder there and writable, the file a store of stepcredit?"
        return StepCreditError(f"{self.path} {what}: {error}{more}", hint=hint)


def _replies(lines: Iterable[Entry]) -> list[tuple[bytes, bytes]]:
    return [(e.key, e.reply) for e in lines if e.reply is not None]


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _born(pid: int) -> str | None:
    """When a process began, as the kernel counts; "" where there is no /proc, None where there is no such process."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else ""
    fields = line.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _alive(pid: int, born: str) -> bool:
    now = _born(pid)
    if now == "":
        if os.name == "nt":  # there, os.kill would end it
            return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
    return now is not None and now == born
