"""The cache of indices: one folder each, named by what was read and how; made by a process of its own.

A folder takes its name once it is whole, so that an unfinished one is never used; two at once make one each, and the
first one there stays. The least recently used are removed once there are too many or they are too large.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from stepcredit import __version__
from stepcredit.app.view import files
from stepcredit.app.view.building import Building, Order
from stepcredit.app.view.files import Kept, read_head, write_head
from stepcredit.data.storage import placed, sources
from stepcredit.errors import DataError, StepCreditError

MOST, MOST_BYTES = 20, 8 << 30
_NEW, _BUILDING = ".new-", ".making-"
_DAY = 86_400.0


def cache_folder(given: Path | None = None) -> Path:
    """Where indices are kept: as given, else `stepcredit/view` of the user's cache folder; made if it is not there.

    Raises:
        DataError: it cannot be made.
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    at = Path(home) / "stepcredit" / "view" if given is None else given
    with placed(at):
        at.mkdir(parents=True, exist_ok=True, mode=0o700)
    return at.resolve()


def identity(order: Order) -> str:
    """A name for what is read and how: equal for the same files (place, size, time of change) and options.

    Raises:
        DataError: there is no such file.
    """
    told: list[Any] = [__version__, _code(), files.VERSION, {**asdict(order), "files": None}]
    digests = dict(zip(order.files, order.digests, strict=bool(order.digests)))
    for source in sources([f for f in order.files if not digests.get(f)]):
        if source.path is None:
            raise DataError("standard input is read before it is looked at", file=source.name)
        with placed(source.name):
            found = source.path.stat()
        told.append([str(source.path.resolve()), found.st_size, found.st_mtime_ns])
    for option in (order.states, order.segment, *order.methods):
        code = Path((option or "").partition(".py")[0] + ".py")
        if option and ".py" in option and code.is_file():
            told.append([str(code.resolve()), code.stat().st_size, code.stat().st_mtime_ns])
    return blake2b(json.dumps(told, default=str).encode("utf-8", "replace"), digest_size=16).hexdigest()


@cache
def _code() -> str:
    """Size and time of change of every file of the package: what another version found is not shown as this one's."""
    package = Path(__file__).parents[2]
    found = sorted((str(p.relative_to(package)), p.stat().st_size, p.stat().st_mtime_ns) for p in package.rglob("*.py"))
    return blake2b(repr(found).encode(), digest_size=8).hexdigest()


class Store:
    """One index of the cache: there already, or in the making.

    Args:
        order: what to read. root: of the cache. title, source: of the page.

    Attributes:
        folder: of the index, as it is now.
    """

    def __init__(self, order: Order, root: Path, title: str = "stepcredit", source: str = "") -> None:
        self.order, self.root, self.title, self.source = order, root, title, source
        self._final = root / identity(order)
        self._process: subprocess.Popen[bytes] | None = None
        self._held: Any = _hold(self._final)  # before it is read: what is held stays
        kept = read_head(self._final)
        self.ready = kept is not None and kept.done
        self.folder = self._final if self.ready else root / f"{_BUILDING}{self._final.name}-{secrets.token_hex(4)}"
        if self.ready:
            self._use()
        else:
            self._let_go()

    def start(self) -> None:
        """Make the index, in a process of its own, unless it is there."""
        if self.ready or self._process is not None:
            return
        cache_folder(self.root)  # somebody may have removed it
        tidy(self.root)
        self._make_folder()
        words = {"title": self.title, "source": self.source}
        job = {"order": asdict(self.order), "folder": str(self.folder), **words}
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stepcredit.app.view.store"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(json.dumps(job).encode())

    def here(self) -> None:
        """Make the index in this process, and wait.

        Raises:
            DataError and others of reading; the disk is full.
        """
        if self.ready:
            return
        cache_folder(self.root)
        tidy(self.root)
        self._make_folder()
        try:
            make(self.order, self.folder, self.title, self.source)
        except BaseException:
            self.drop()
            raise
        self._settle()

    def look(self) -> Kept | None:
        """How far it is; takes its name when it is done.

        Raises:
            StepCreditError: it ended with an error.
        """
        # Asked first: what a process wrote before its end is there once it has ended.
        status = None if self._process is None else self._process.poll()
        kept = read_head(self.folder)
        if self.ready:
            return kept
        if kept is not None and kept.error is not None:
            raise StepCreditError(kept.error, hint=kept.hint)
        if kept is not None and kept.done:
            if self._process is not None:
                self._process.wait()
            self._settle()
            return read_head(self.folder)
        if status is not None:
            told = (self.folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()
            raise StepCreditError(
                f"reading ended before it was done (status {status})", hint=told[-1][:300] if told else None
            )
        return kept

    def drop(self) -> None:
        """End the making, and remove what is unfinished."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if not self.ready:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._let_go()

    def _make_folder(self) -> None:
        """The folder takes its name once it is held: under that name, one that nobody holds is swept away."""
        new = self.root / f"{_NEW}{secrets.token_hex(8)}"
        with placed(self.root):
            new.mkdir(mode=0o700)
            self._held = _hold(new)
            new.rename(self.folder)

    def _settle(self) -> None:
        """The name of a whole index; another's of the same name stays, and this one goes."""
        made = self.folder
        try:
            made.rename(self._final)
        except OSError:  # not empty: there is one
            other = read_head(self._final)
            if other is not None and other.done:
                shutil.rmtree(made, ignore_errors=True)
            else:
                shutil.rmtree(self._final, ignore_errors=True)
                made.rename(self._final)
        before, self._held = self._held, _hold(self._final)
        if before is not None:
            before.close()
        self.folder, self.ready = self._final, True
        self._use()

    def _use(self) -> None:
        with suppress(OSError):
            os.utime(self.folder)

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def make(order: Order, folder: Path, title: str = "stepcredit", source: str = "") -> None:
    """Make an index in a folder: parts as they come, then the verdicts of each.

    Raises:
        DataError and others of reading; the disk is full.
    """
    building = Building(order, title, source)
    kept = Kept(head=building.head, stage="reading")
    write_head(folder, kept)
    groups: set[int] = set()
    for number, (part, batch) in enumerate(building.parts()):
        files.write_steps(folder, number, part)
        files.write_runs(folder, number, part)
        groups.update(r.gid for r in part.runs)
        kept.first = [*kept.first, building.runs]
        kept.notes = [*kept.notes, part.notes]
        kept.steps, kept.groups = building.steps, len(groups)
        kept.stage = "comparing runs" if order.diagnose else "reading"
        write_head(folder, kept)
        if order.diagnose:
            building.judge(part, batch)
            files.write_runs(folder, number, part, judged=True)
            kept.judged, kept.stage = number + 1, "reading"
            write_head(folder, kept)
    kept.stage, kept.done, kept.share = "", True, 1.0
    write_head(folder, kept)


def tidy(root: Path, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
    """Remove what an ended process left unfinished, and the least recently used indices beyond the bounds."""
    whole = []
    for folder in root.iterdir():
        with suppress(OSError):
            if not folder.is_dir():
                continue
            if folder.name.startswith((_NEW, _BUILDING)):
                _remove(folder)
            elif (folder / "head.json").is_file():
                with _alone(folder) as free:
                    if free:
                        size = sum(f.stat().st_size for f in folder.iterdir())
                        whole.append((folder.stat().st_mtime, size, folder))
    whole.sort(reverse=True)
    total = 0
    for k, (_, size, folder) in enumerate(whole):
        total += size
        if k >= most - 1 or total > most_bytes:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder that nobody uses."""
    with suppress(OSError), _alone(folder) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path) -> Any:
    """A lock that ends with this process: the folder is in use."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        file = (folder / "in-use").open("ab")
    except OSError:  # a cache of somebody else
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody uses the folder; who wants to waits until this is done."""
    at = folder / "in-use"
    age = time.time() - folder.stat().st_mtime
    if folder.name.startswith(_NEW) or not at.exists():  # just made, and not held yet
        yield age >= 60
        return
    try:
        import fcntl
    except ImportError:
        yield age >= _DAY
        return
    with at.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Errors go into the head: who waits reads them there."""
    try:
        yield
    except Exception as error:
        message, hint = getattr(error, "message", None), getattr(error, "hint", None)
        kept = read_head(folder)
        from stepcredit.app.view.answers import Head

        kept = Kept(head=Head()) if kept is None else kept
        kept.error, kept.hint = message or f"{type(error).__name__}: {error}", hint
        with suppress(StepCreditError):
            write_head(folder, kept)
        raise


def _main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    order = msgspec.convert(job["order"], Order)
    folder = Path(job["folder"])
    with _told(folder):
        make(order, folder, job["title"], job["source"])


if __name__ == "__main__":
    _main()
