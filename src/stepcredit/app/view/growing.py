"""An index that is still being made while it is looked at, and one of the same files as they have become."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepcredit.app.view.looking import Looking, Reading, same
from stepcredit.app.view.marks import Marks
from stepcredit.app.view.news import News
from stepcredit.app.view.query import Query
from stepcredit.app.view.store import Store
from stepcredit.errors import StepCreditError


@dataclass
class _Seen:
    parts: int = 0
    stage: str = ""
    done: bool = False


class Growing(Looking):
    """An index of the cache, from its first part on; another takes its place when files are read again.

    Args:
        anew: makes (index to be, other files by kind) of the files as they are when it is called. news: tells what of
            them is new.
    """

    def __init__(
        self,
        store: Store,
        marks: Marks | None = None,
        files: Mapping[str, Sequence[Path]] | None = None,
        clean: Callable[[Any], Any] = same,
        *,
        anew: Callable[[], tuple[Store, Mapping[str, Sequence[Path]]]] | None = None,
        news: News | None = None,
    ) -> None:
        super().__init__(None, marks, files, clean)
        self.store, self._seen = store, _Seen()
        self.reading = Reading(done=False, share=None, what="opening the files")
        self._anew, self._news = anew, news
        self._next: tuple[Store, Mapping[str, Sequence[Path]], News] | None = None
        self._before: list[Query] = []

    def refresh(self) -> None:
        if self._seen.done:
            return
        with self.lock:
            if self._next is not None:
                self._follow(*self._next)
                return
            try:
                kept = self.store.look()
            except StepCreditError as error:
                self.error, self._seen.done = error, True
                self.reading = Reading(True, None, "", str(error))
                return
            if kept is None:
                return
            now = _Seen(len(kept.first) - 1, kept.stage, kept.done)
            if now == self._seen:
                return
            if self.answers is None and (now.parts or now.done):
                self.answers = Query(self.store.folder, self.store.root)
            elif isinstance(self.answers, Query):
                self.answers.move(self.store.folder)
            self._seen = now
            what = f"{kept.stage}: {kept.first[-1]:,} runs so far" if kept.stage else ""
            self.reading = Reading(kept.done, kept.share, what)

    def news(self) -> dict[str, Any]:
        told = super().news()
        waits = self._seen.done and self._anew is not None and self._news is not None
        return {**told, "traces": self._news.said() if waits and self._news is not None else None}

    def again(self) -> dict[str, Any]:
        if self._anew is None or self._news is None:
            return super().again()
        with self.lock:
            if self._seen.done:
                now = News(self._news.names)  # before the files are looked into; counts once they are read
                made, files = self._anew()
                now.sort(made.order.files, (path for paths in files.values() for path in paths))
                made.start()
                self._next, self._seen = (made, files, now), _Seen()
                self.reading = Reading(done=False, share=None, what="reading again")
        return self.news()

    def _follow(self, made: Store, files: Mapping[str, Sequence[Path]], now: News) -> None:
        """Look at the index in the making; it takes the place of the other when it is whole."""
        try:
            kept = made.look()
        except StepCreditError as error:
            made.drop()
            self._next, self._seen.done = None, True
            self.reading = Reading(True, None, "", f"the files were not read again: {error}")
            return
        if kept is None or not kept.done:
            runs = 0 if kept is None else kept.first[-1]
            self.reading = Reading(False, None, f"reading again: {runs:,} runs so far")
            return
        # Answers that are being made go on in the index that they began in.
        if isinstance(self.answers, Query):
            self._before.append(self.answers)
        for old in self._before[:-1]:
            old.close()
        del self._before[:-1]
        self.answers = Query(made.folder, made.root)
        before, self.store = self.store, made
        before.drop()
        self.files, self.error, self._next, self._seen = dict(files), None, None, _Seen(done=True)
        self._news = now
        self.version += 1
        self.reading = Reading(True, kept.share, "")

    def close(self) -> None:
        """End the making, let the engine go."""
        self.store.drop()
        if self._next is not None:
            self._next[0].drop()
        for one in (self.answers, *self._before):
            if isinstance(one, Query):
                one.close()
