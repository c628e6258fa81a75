"""Asking a judge which step is to blame: strict reading, tries again, votes, and what was heard kept as evidence."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.diagnose._log import Log, speaker
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.metrics import agent_name
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable, spoken
from stepcredit.llm.requests import Ask, Failed, Plan, draw_of, side_by_side

T = TypeVar("T")


class NotRead(Failed, frozen=True):
    """There is a reply, and it cannot be read."""


NAN = float("nan")
KEPT = 2_000
"""Characters of a reply that are kept as evidence."""
_LAST = 5  # replies that are kept: those that the verdict hangs on come last


@dataclass(frozen=True)
class Question(Generic[T]):
    """A prompt, and what reads the reply to it (raising Unreadable where it cannot)."""

    prompt: str
    read: Callable[[str], T]


@dataclass
class Judge:
    """One vote: asks, and keeps what it heard. calls: questions asked, those asked again included."""

    retries: int = 0
    seed: int = 0
    vote: int = 0
    calls: int = 0
    replies: list[str] = field(default_factory=list)

    def ask(self, questions: Sequence[Question[T]]) -> Plan[list[T | Failed]]:
        """What each reply says; `Failed` where none can be read after as many more tries as allowed."""
        found: list[T | Failed] = [Failed("nobody was asked")] * len(questions)
        left = list(range(len(questions)))
        for attempt in range(self.retries + 1):
            if not left:
                break
            draw = draw_for(self.seed, self.vote, attempt)
            replies = yield [Ask(questions[i].prompt, draw) for i in left]
            self.calls += len(left)
            for i, reply in zip(left, replies, strict=True):
                found[i] = self._read(reply, questions[i].read)
            left = [i for i in left if isinstance(found[i], Failed)]
        return found

    def _read(self, reply: Any, read: Callable[[str], T]) -> T | Failed:
        if isinstance(reply, Failed):
            return reply
        if not isinstance(reply, str):
            raise StepCreditError(
                f"the judge gave {reply!r:.80}; expected its reply as text",
                hint="where there is none: None from a function, stepcredit.llm.requests.Failed(reason) from a door",
            )
        more = len(reply) - KEPT
        self.replies.append(reply[:KEPT] + (f" [... {more:,} more characters]" if more > 0 else ""))
        del self.replies[:-_LAST]
        try:
            return read(reply)
        except Unreadable as error:
            return NotRead(f"the judge's reply could not be read: {error}")


def draw_for(seed: int, vote: int, attempt: int) -> int:
    """The draw of a vote's questions, the first time (attempt 0) or asked again."""
    return draw_of("diagnose", seed, vote, attempt)


Vote = Callable[[Judge], Plan[Verdict]]


def voted(case: Case, one: Vote, *, votes: int, retries: int, seed: int) -> Plan[Verdict]:
    """The verdict of the majority of `votes` independent verdicts; its confidence is its share of all that were asked.

    Of equally many votes the earlier step wins, and "clean" loses. Scores are means over the votes that judged a step.

    Raises:
        StepCreditError: votes < 1 or retries < 0.
    """
    if votes < 1 or retries < 0:
        raise StepCreditError(f"votes is at least 1, retries at least 0; got {votes}, {retries}")
    if not case.steps:
        return case.unknown("the run has no steps")
    judges = [Judge(retries, seed, i) for i in range(votes)]
    said = yield from side_by_side(one(judge) for judge in judges)
    evidence: dict[str, Any] = {
        "calls": sum(j.calls for j in judges),
        "replies": [r for j in judges for r in j.replies],
    }
    if votes == 1:
        return replace(said[0], evidence={**said[0].evidence, **evidence})
    keys = [(v.status, v.step) for v in said]
    count = Counter(key for key in keys if key[0] != "unknown")
    evidence["votes"] = {("unknown" if k[0] == "unknown" else _word(k)): n for k, n in Counter(keys).items()}
    scores = mean_known([v.scores for v in said])
    if not count:
        why = Counter(v.reason or "no reason" for v in said).most_common(1)[0][0]
        return Verdict("unknown", scores, reason=f"none of {votes} votes can be told: {why}", evidence=evidence)
    best = min(count, key=lambda k: (-count[k], len(case.steps) if k[1] is None else k[1]))
    mine = [v for v, key in zip(said, keys, strict=True) if key == best]
    agents, errors = Counter(v.agent for v in mine), Counter(v.error for v in mine)
    told = f"{count[best]} of {votes} votes. {mine[0].reason or ''}".strip()
    return replace(
        mine[0],
        scores=scores,
        agent=agents.most_common(1)[0][0],
        error=errors.most_common(1)[0][0],
        reason=told,
        confidence=count[best] / votes,
        evidence={**mine[0].evidence, **evidence},
    )


def most_questions(n: int, options: Mapping[str, Any]) -> dict[str, int]:
    """The most that n questions per vote come to, those asked again included."""
    return {"questions": n * options["votes"] * (1 + options["retries"])}


def _word(key: tuple[str, int | None]) -> str:
    return key[0] if key[1] is None else str(key[1])


def mean_known(rows: Sequence[Floats]) -> Floats:
    """[S] mean of each column over the rows that are not NaN there."""
    table = np.array(rows, float)
    known = ~np.isnan(table)
    total, n = np.where(known, table, 0.0).sum(0), known.sum(0)
    mean: Floats = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    return mean


class Said(NamedTuple):
    """What a judge says of a run. step: None: no step is wrong."""

    step: int | None
    agent: str | None = None
    error: str | None = None
    reason: str | None = None


def block(reply: str, tag: str) -> str:
    """What stands in the last `<tag>...</tag>` of a reply, the form that was asked for passed over.

    Raises:
        Unreadable: there is none, or the last one is not closed.
    """
    said = spoken(reply)
    begins = [m.end() for m in re.finditer(f"<{tag}>", said, _ASCII)]
    end = len(said)
    for begin in reversed(begins):
        closed = re.compile(f"</{tag}>", _ASCII).search(said, begin, end)
        if closed is None:
            raise Unreadable("its answer is cut off")
        body = said[begin : closed.start()].strip()
        if not _FORM.match(body):
            return body
        end = begin - len(tag) - 2
    raise Unreadable("it holds no answer of the form asked for")


_ASCII = re.IGNORECASE | re.ASCII  # as the tag was chosen: an "ı" of the log is no "i"
_FORM = re.compile(r"(?:(?:step|signatures|chance|1)\s*:\s*)?(?:NUMBER|ANSWER)\b")
_FIELDS = ("step", "agent", "error", "reason", "fix", "chance")


def fields(body: str, names: Sequence[str] = _FIELDS) -> dict[str, str]:
    """The lines "name: text" of an answer; a line without a name goes on with the one before.

    >>> fields("step: 3\\nreason: it forgot\\nthe unit")
    {'step': '3', 'reason': 'it forgot\\nthe unit'}
    """
    begins = re.compile(rf"[\s*_`>#-]*({'|'.join(names)})[\s*_`]*:[\s*`]*(.*?)[\s*`]*", re.IGNORECASE)
    out: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        found = begins.fullmatch(line)
        if found and (name := found[1].lower()) not in out:
            out[name] = found[2].strip()
        elif name:
            out[name] += "\n" + line
    return {k: v.strip() for k, v in out.items()}


_STEP = re.compile(r"(?:step\s*)?#?(\d{1,9})\.?", re.IGNORECASE | re.ASCII)


def step_in(text: str | None, first: int, last: int) -> int | None:
    """The step that a text names; None for "none".

    Raises:
        Unreadable: another thing than a step from first to last, or "none".
    """
    plain = (text or "").strip().strip("*`\"'")
    if plain.lower().rstrip(".") == "none":
        return None
    found = _STEP.fullmatch(plain)
    if found is None:
        raise Unreadable("it names no step")
    step = int(found[1])
    if not first <= step <= last:
        raise Unreadable(f"it names step {step}, and it was shown steps {first} to {last}")
    return step


def told_in(text: str | None) -> str | None:
    """A text of the judge's; None where it says that there is none."""
    return None if not text or text.strip().lower().strip(".") in ("none", "unknown", "-", "n/a") else text.strip()


def known_agent(case: Case, said: str | None) -> str | None:
    """The name of the run's own agent that the judge means: the one that is written so, else the first that is taken to
    be the same (`agent_name`); None where no agent bears it."""
    names = [who for step in case.steps if (who := speaker(step)) is not None] if said is not None else []
    if said in names:
        return said
    return next((who for who in names if agent_name(who) == agent_name(said)), None)


def blamed(log: Log, said: Said, scores: Floats | None = None, *, as_named: bool = False, **evidence: Any) -> Verdict:
    """The verdict that goes with what a judge said. Without scores: 1 for the step to blame, 0 for the others.

    The agent is who took the step, where the judge names them, in whatever spelling, or nobody of the run; else the one
    of the run that it names. as_named: the name that the judge uses, whatever it is.
    """
    case = log.case
    if scores is None:
        scores = np.zeros(len(case.steps))
        if said.step is not None:
            scores[said.step] = 1.0
    if log.cuts:
        evidence["cut"] = log.cuts
    if said.step is None:
        return Verdict("clean", scores, reason=said.reason or "the judge finds no step wrong", evidence=evidence)
    taker = speaker(case.steps[said.step])
    same = taker is not None and agent_name(taker) == agent_name(said.agent)
    agent = said.agent if as_named else taker if same else known_agent(case, said.agent) or taker
    if said.agent and agent != said.agent:
        evidence["named"] = said.agent
    return Verdict(
        "found",
        scores,
        step=said.step,
        agent=agent,
        error=said.error,
        reason=said.reason,
        remarks={said.step: said.reason} if said.reason else {},
        evidence=evidence,
    )


def not_judged(log: Log, why: str, scores: Floats | None = None, **evidence: Any) -> Verdict:
    """The verdict that nothing can be told, with the scores there are."""
    scores = np.full(len(log.case.steps), NAN) if scores is None else scores
    return Verdict("unknown", scores, reason=why, evidence=evidence)
