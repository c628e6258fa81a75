"""An index in memory: what a program has just made, or a few rollouts for a page of their own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepcredit.app.view import shown
from stepcredit.app.view.answers import Answers, Head
from stepcredit.app.view.rows import RUN_COLUMNS, Part, Run
from stepcredit.app.view.stopping import Stop
from stepcredit.data.records import Step, replies_of

_AROUND = 60


class Memory(Answers):
    """An index of parts that are held in memory."""

    def __init__(self, parts: Sequence[Part], head: Head) -> None:
        self.parts, self.head = list(parts), head
        self._runs = [run for part in self.parts for run in part.runs]
        self._tasks: dict[int, list[Run]] = {}
        for run in self._runs:
            self._tasks.setdefault(run.gid, []).append(run)

    def counts(self) -> dict[str, int]:
        return {"groups": len(self._tasks), "runs": len(self._runs), "steps": sum(r.n for r in self._runs)}

    def columns(self) -> dict[str, list[Any]]:
        lines = [run.line() for run in self._runs]
        return {n: [line[n] for line in lines] for n in RUN_COLUMNS if n != "marks"}

    def get(self, id: int) -> Run | None:
        return self._runs[id] if 0 <= id < len(self._runs) else None

    def method_notes(self, run: Run) -> Mapping[str, Sequence[str]]:
        return self.parts[run.part].notes

    def numbers(self, id: int) -> dict[str, list[Any]]:
        run = self._runs[id]
        mine = slice(run.first, run.first + run.n)
        return {
            n: v[mine].tolist() if v.dtype.kind == "O" else shown.numbers(v[mine])
            for n, v in self.parts[run.part].numbers.items()
        }

    def steps(self, id: int, start: int, stop: int) -> list[Step]:
        run = self._runs[id]
        return list(self.parts[run.part].steps[run.first + start : run.first + min(stop, run.n)])

    def members(self, gid: int) -> list[Run]:
        return self._tasks.get(gid, [])

    def mates(self, gid: int) -> list[dict[str, Any]]:
        return [
            {"id": r.id, "rollout": str(r.record.rollout), "outcome": r.record.outcome, "steps": r.n}
            for r in self.members(gid)
        ]

    def find(self, words: str, limit: int, stop: Stop | None = None) -> dict[str, Any]:
        hits: list[dict[str, Any]] = []
        total = 0
        for run in self._runs if words else []:
            if stop is not None:
                stop.look()
            for i, step in enumerate(self.steps(run.id, 0, run.n)):
                found = next(((w, t) for w, t in texts(step) if words.lower() in t.lower()), None)
                if found is not None:
                    total += 1
                    if len(hits) < limit:
                        hits.append({"id": run.id, "step": i, "where": found[0], "snippet": snippet(found[1], words)})
        return {"hits": hits, "total": total, "cut": total > len(hits)}


def texts(step: Step) -> Iterator[tuple[str, str]]:
    """The texts of a step that a search looks into, by name."""
    for name in ("text", "reasoning", "observation"):
        value = getattr(step, name)
        if isinstance(value, str):
            yield name, value
    for call in step.tool_calls:
        yield "calls", f"{call.name} {' '.join(shown.strings(call.arguments))}"
    for message in replies_of(step):
        if message.content:
            yield "replies", message.content


def snippet(text: str, words: str) -> list[str]:
    """What stands before, the words as they are written there, what follows.

    >>> snippet("The Answer is 42.", "answer")
    ['The ', 'Answer', ' is 42.']
    """
    at = text.lower().find(words.lower())
    if at < 0 or len(text.lower()) != len(text):  # a letter that is two in lower case: places would shift
        at = max(text.find(words), 0)
    end = at + len(words)
    before, after = text[max(at - _AROUND, 0) : at], text[end : end + _AROUND]
    return [("…" if at > _AROUND else "") + before, text[at:end], after + ("…" if end + _AROUND < len(text) else "")]
