"""Over many diagnosed runs: which kinds of steps, tools and agents fail most, and which failures are alike.

    seen = Seen()
    for found in diagnose(rollouts):
        seen.add(found.rollout, found.verdicts["combined"])
    seen.rates("tool"), seen.clusters()

Counts alone, no model: failures are alike where error type, tool and signature are equal, and a signature is what
failed with names, numbers and quotations taken out.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.features import complaint, line_of
from stepcredit.ops.tries import wilson

By = Literal["kind", "tool", "agent"]
EXAMPLES = 3
LONGEST = 90  # characters of a signature
_READ = 2000  # characters of a text that are looked at for one
_ARGUMENTS = 1 << 16  # characters of a call's arguments that are read
_Z = 1.6448536269514722  # of a 90% interval

_TAKEN_OUT = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"https?://\S+", "URL"),
        (r"(?<![\w/])(?:~|\.{1,2})?(?:/[\w.\-+@]+){2,}/?|\b[a-z]:\\[\w.\-\\]+", "PATH"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f\-]{12,}\b|\b(?=\w*\d)[0-9a-f]{12,}\b|\b0x[0-9a-f]+", "ID"),
        (r"\"[^\"\n]{0,200}\"|(?<!\w)'[^'\n]{0,200}'(?!\w)|`[^`\n]{0,200}`", "…"),
        (r"\d+(?:[.,:]\d+)*", "#"),
    )
)
_SPACE = re.compile(r"\s+")


class Rate(NamedTuple):
    """How often one kind of step (tool, agent) was to blame.

    blamed: steps found to blame. steps: all such steps of the diagnosed runs. share: blamed / steps, low, high: its 90%
    interval (Wilson's). of_all: share of all blamed steps. runs: runs with such a step.
    """

    name: str | None
    blamed: int
    steps: int
    share: float
    low: float
    high: float
    of_all: float
    runs: int


class Cluster(NamedTuple):
    """Failures that are alike. agents: who took the steps, most frequent first. examples: (group, rollout, step)."""

    error: str | None
    tool: str | None
    signature: str
    size: int
    of_all: float
    agents: tuple[str, ...]
    examples: tuple[tuple[str | int, str | int, int], ...]


class Seen:
    """What was diagnosed, as columns: every step of every run once, and the steps found to blame."""

    def __init__(self) -> None:
        self._names: dict[By, list[Any]] = {"kind": [], "tool": [], "agent": []}
        self._rows: dict[By, list[int]] = {"kind": [], "tool": [], "agent": []}
        self._blamed: dict[By, list[int]] = {"kind": [], "tool": [], "agent": []}
        self._keys: list[tuple[str | None, str | None, str]] = []
        self._who: list[str | None] = []
        self._at: list[tuple[str | int, str | int, int]] = []
        self._runs = 0

    def add(self, rollout: Rollout, verdict: Verdict) -> None:
        """Count a run and its verdict."""
        last = len(rollout.steps) - 1
        for t, step in enumerate(rollout.steps):
            blamed = verdict.status == "found" and verdict.step == t
            who = None if step.agent is None else str(step.agent)
            for by, names in (("kind", [kind(step, t == last)]), ("tool", tools(step)), ("agent", [who])):
                self._count(by, names, blamed)  # type: ignore[arg-type]
            if blamed:
                tool = failing_tool(step)
                self._keys.append((verdict.error, tool, signature(step)))
                self._who.append(verdict.agent or who)
                self._at.append((rollout.group, rollout.rollout, t))
        self._runs += 1

    def _count(self, by: By, names: Sequence[str | None], blamed: bool) -> None:
        for name in names:
            self._names[by].append(name)
            self._rows[by].append(self._runs)
            self._blamed[by].append(int(blamed))

    @property
    def found(self) -> int:
        """Steps found to blame."""
        return len(self._keys)

    def rates(self, by: By) -> list[Rate]:
        """Those of which at least one step was to blame, the most blamed first; steps without a name are one line
        (None) where others have one."""
        names, of = _codes(self._names[by])
        if not any(name is not None for name in names):
            return []
        run, blamed = np.array(self._rows[by], np.int64), np.array(self._blamed[by], float)
        steps, hit = np.bincount(of, minlength=len(names)), np.bincount(of, blamed, len(names))
        pairs = np.unique(np.stack((of, run)), axis=1)[0]
        runs = np.bincount(pairs, minlength=len(names))
        low, high = wilson(hit, steps, z=_Z)
        order = [int(i) for i in np.lexsort((-hit / np.maximum(steps, 1), -hit)) if hit[i]]
        return [
            Rate(
                names[i],
                int(hit[i]),
                int(steps[i]),
                float(hit[i] / steps[i]),
                float(low[i]),
                float(high[i]),
                float(hit[i] / max(self.found, 1)),
                int(runs[i]),
            )
            for i in order
        ]

    def clusters(self) -> list[Cluster]:
        """The clusters, the largest first; of equal ones that which was met first."""
        keys, of = _codes(self._keys)
        count = np.bincount(of, minlength=len(keys)) if keys else np.zeros(0, np.int64)
        by_key = np.argsort(of, kind="stable")
        start = np.cumsum(count) - count
        out = []
        for i in np.argsort(-count, kind="stable").tolist():
            members = by_key[start[i] : start[i] + count[i]].tolist()
            agents = Counter(who for m in members if (who := self._who[m]) is not None)
            error, tool, text = keys[i]
            shown = tuple(self._at[m] for m in members[:EXAMPLES])
            most = tuple(name for name, _ in agents.most_common())
            out.append(Cluster(error, tool, text, int(count[i]), float(count[i] / self.found), most, shown))
        return out


def kind(step: Step, last: bool = False) -> str:
    """What kind of step it is: "tool call", "code", "answer" (the last one, in words), "message", "action", "empty".

    >>> kind(Step(text="42"), last=True), kind(Step(text="```sh\\nls\\n```")), kind(Step(action="go"))
    ('answer', 'code', 'action')
    """
    if step.tool_calls:
        return "tool call"
    if step.text and "```" in step.text:
        return "code"
    if step.text and step.action is None:
        return "answer" if last else "message"
    return "empty" if step.text is None and step.action is None else "action"


def tools(step: Step) -> list[str]:
    """The tools that a step calls, each once."""
    return list(dict.fromkeys(call.name for call in step.tool_calls))


def failing_tool(step: Step) -> str | None:
    """The tool whose reply says that it failed; else the first that was called; None where none was."""
    names = {call.id: call.name for call in step.tool_calls if call.id is not None}
    found = complaint(step)
    if found is not None and found.reply is not None:
        return names.get(found.reply.call or "", found.reply.name) or next(iter(tools(step)), None)
    return next(iter(tools(step)), None)


def signature(step: Step) -> str:
    """What failed, without what differs from case to case: the line that reports an error (`features.complaint`); else
    the call; else the first words.

    >>> from stepcredit.data.records import ToolCall
    >>> call = ToolCall(name="open", arguments={"path": "/tmp/a"})
    >>> signature(Step(tool_calls=[call], observation="Error 404: '/tmp/a/b.txt' not found"))
    'error #: … not found'
    >>> signature(Step(tool_calls=[call], observation="fine")), signature(Step(action="go"))
    ('open(path)', 'go')
    """
    found = complaint(step)
    if found is not None:
        line = line_of(found.words)
        return skeleton((found.words if line is None else line[1])[:_READ])
    if step.tool_calls:
        call = step.tool_calls[0]
        return _cut(f"{call.name}({', '.join(_parameters(call.arguments))})")
    text = step.text if step.text is not None else step.action
    return skeleton("" if text is None else str(text)[:_READ])


def _parameters(arguments: Any) -> list[str]:
    """Names of what a call was given, as an object or as the text of one."""
    if isinstance(arguments, str) and arguments[:1] == "{" and len(arguments) <= _ARGUMENTS:
        with suppress(msgspec.DecodeError, RecursionError):
            arguments = msgspec.json.decode(arguments)
    return sorted(map(str, arguments)) if isinstance(arguments, dict) else []


def skeleton(text: str) -> str:
    """The first line with addresses, paths, ids, quotations and numbers as placeholders, in lower case, cut.

    >>> skeleton("KeyError: 'user_17' at line 12 of /srv/app/main.py")
    'keyerror: … at line # of PATH'
    """
    line = next((one for one in text.splitlines() if one.strip()), "")
    line = line.casefold()
    for pattern, by in _TAKEN_OUT:
        line = pattern.sub(by, line)
    return _cut(_SPACE.sub(" ", line).strip())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _codes(keys: Sequence[Hashable]) -> tuple[list[Any], Ints]:
    """Distinct keys in the order in which they are met, and each key's place among them."""
    place: dict[Hashable, int] = {}
    of = np.fromiter((place.setdefault(key, len(place)) for key in keys), np.int64, len(keys))
    return list(place), of
