"""Chats and logs of calls, in whatever dialect: how messages, and calls that go on from one another, make rollouts.

A log holds one request and its response a row. A request that begins with all that an earlier call of the file sent
and got back goes on from it: together they are one rollout. What it got back may come again shortened (thoughts cut
out, spaces stripped) if its tool calls are the same. A request that was sent again after an error is one step.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby, islice, takewhile
from typing import Any, NamedTuple

from stepcredit.data.formats._calls import OF_A_CALL
from stepcredit.data.formats._fields import key, one_of, rest, text
from stepcredit.data.formats._messages import calls, context, message_of, opening, turns, words
from stepcredit.data.formats._traces import OUTCOMES, UNNAMED, Made, by_opening, digest, outcome_of
from stepcredit.data.records import Origin, Rollout, Step, Tokens
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

GROUPS = ("group", "prompt_id", "task_id")
WISHES = ("rollout_id", "run_id", "conversation_id", "session_id", "litellm_trace_id", "trace_id", "id")
FIELDS = ("messages", "rollout", "task", *GROUPS, *OUTCOMES)

Sent = Mapping[str, Any]
_TELLING = 20  # characters that are enough to know an answer by its beginning or end
_TRIED = 100  # of the conversations with one opening, how many are compared with an answer that came back shortened


class Chat(NamedTuple):
    """A row that is a whole conversation. used: fields of the row that are read. fields: those that stand for them."""

    messages: list[Sent]
    used: tuple[str, ...] = ("messages",)
    fields: Mapping[str, Any] = {}


class Said(NamedTuple):
    """A row that is a part of a conversation: with the others of its file it makes one. plain: reads them together;
    split: into several conversations, each with fields of its own, whose messages `plain` reads."""

    parts: list[Any]
    plain: Callable[[list[Any]], list[Sent]]
    split: Callable[[list[Any]], list[tuple[dict[str, Any], list[Any]]]] | None = None


class Answer(NamedTuple):
    """What came back for a request; several where several were asked for."""

    messages: list[Sent]
    origin: Origin | None = None
    tokens: Tokens | None = None


class Exchange(NamedTuple):
    """A row that logs a call.

    messages: what was sent. previous: id of the response that it goes on from, where the server keeps the conversation.
    error: why nothing came back. used: fields of the row that are read.
    """

    messages: list[Sent]
    answers: list[Answer]
    previous: str | None = None
    error: str | None = None
    used: tuple[str, ...] = ()


Read = Callable[[dict[str, Any]], Chat | Said | Exchange]


@dataclass
class _Talk:
    """A conversation in the making."""

    row: Row
    fields: dict[str, Any]
    used: tuple[str, ...]
    messages: list[Sent] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    failures: dict[int, list[str]] = field(default_factory=dict)
    ends: tuple[str, str, str] = ("", "", "")


def made(rows: Rows, read: Read) -> Iterator[Made]:
    """The rollouts of the rows: of each that is a chat; of each file's messages; of each conversation of a log."""
    for _, found in groupby(rows, key=lambda row: row.file):
        talks: list[_Talk] = []
        log = _Log(talks)
        said: _Talk | None = None
        last: Said = Said([], list)
        for row in found:
            with rows.guard(row):
                part = read(row.value)
                if isinstance(part, Chat):
                    yield _finish(_Talk(row, {**row.value, **part.fields}, part.used, part.messages), rows)
                    continue
                if isinstance(part, Exchange):
                    log.add(row, part)
                    continue
                last = part
                _check([m for _, parts in _split(part.parts, part) for m in part.plain(parts)])
                if said is None:
                    said = _Talk(row, {}, ())
                    talks.append(said)
                said.messages.extend(part.parts)
        if said is not None and last.split is not None:
            with rows.guard(said.row):
                talks += [_Talk(said.row, f, (), parts) for f, parts in _split(said.messages, last)]
            talks.remove(said)
        ids = Counter(wish for talk in talks if (wish := _wish(talk.fields)) is not None)
        for talk in talks:
            with rows.guard(talk.row):
                if talk is said or (said is not None and last.split is not None and talk.row is said.row):
                    talk.messages = last.plain(talk.messages)
                one = _finish(talk, rows)
                yield one._replace(wish=None) if one.wish is not None and ids[one.wish] > 1 else one


def _split(parts: list[Any], said: Said) -> list[tuple[dict[str, Any], list[Any]]]:
    return [({}, parts)] if said.split is None else said.split(parts)


class _Log:
    """Finds, for a request, the conversation that it goes on from."""

    def __init__(self, talks: list[_Talk]) -> None:
        self._talks = talks
        self._ends: defaultdict[str, dict[int, _Talk]] = defaultdict(dict)  # by hashes of all that was said
        self._asked: defaultdict[str, dict[int, _Talk]] = defaultdict(dict)  # by the hash of what was sent
        self._responses: dict[str, _Talk] = {}

    def add(self, row: Row, part: Exchange) -> None:
        """Take a call into its conversation, or begin one."""
        heads = _heads("", part.messages)
        for answer in part.answers:
            _check(answer.messages)
        talk, known = self._before(part, heads)
        _check(part.messages[known:])
        if talk is None:
            talk = _Talk(row, dict(row.value), (*part.used, *OF_A_CALL))
            self._talks.append(talk)
        else:
            self._forget(talk)
            told = ("rollout", *GROUPS, *OUTCOMES)
            talk.fields |= {k: v for k, v in row.value.items() if k in told and v is not None}
        talk.messages.extend(part.messages[known:])
        if not part.answers:
            talk.failures.setdefault(len(talk.messages), []).append(part.error or "no response")
            self._remember(talk, heads[-1], heads[-1], heads[-1])
        others = [self._copy(talk) for _ in part.answers[1:]]
        for one, answer in zip([talk, *others], part.answers, strict=bool(part.answers)):
            at = len(one.messages)
            one.messages.extend(answer.messages)
            one.answers[next((at + i for i, m in enumerate(answer.messages) if m.get("role") == "assistant"), at)] = (
                answer
            )
            ends = _heads(heads[-1], answer.messages)
            self._remember(one, ends[-1], _bare(ends[-2:-1], answer.messages[-1:]) or ends[-1], heads[-1])
            if answer.origin is not None and answer.origin.response:
                self._responses[answer.origin.response] = one

    def _before(self, part: Exchange, heads: list[str]) -> tuple[_Talk | None, int]:
        """The conversation that a request goes on from, and how many of its messages that knows already."""
        if part.previous is not None and part.previous in self._responses:
            talk = self._responses[part.previous]
            both = zip(part.messages, talk.messages, strict=False)
            again = takewhile(lambda pair: pair[0] == pair[1] and pair[0].get("role") == "system", both)
            return talk, sum(1 for _ in again)
        for n in range(len(part.messages), 0, -1):
            for end in (heads[n], _bare(heads[n - 1 : n], part.messages[n - 1 : n])):
                if end and self._ends.get(end):
                    return next(iter(self._ends[end].values())), n
            if n < len(part.messages) and heads[n] in self._asked:
                for talk in islice(reversed(self._asked[heads[n]].values()), _TRIED):
                    if _shortened(talk.messages[-1], part.messages[n]):
                        return talk, n + 1
        return None, 0

    def _remember(self, talk: _Talk, end: str, bare: str, asked: str) -> None:
        talk.ends = (end, bare, asked)
        self._ends[end][id(talk)] = self._ends[bare][id(talk)] = self._asked[asked][id(talk)] = talk

    def _forget(self, talk: _Talk) -> None:
        for by, end in zip((self._ends, self._ends, self._asked), talk.ends, strict=True):
            by[end].pop(id(talk), None)

    def _copy(self, talk: _Talk) -> _Talk:
        twin = replace(
            talk,
            fields=dict(talk.fields),
            messages=list(talk.messages),
            answers=dict(talk.answers),
            failures=dict(talk.failures),
        )
        self._talks.append(twin)
        return twin


def _bare(head: list[str], last: list[Sent]) -> str:
    """A hash of what was said before, and of the last message without its thoughts and the space around it."""
    if not head or not last or last[0].get("role") != "assistant":
        return ""
    said = (words(last[0].get("content")) or "").rpartition("</think>")[2].strip()
    return digest(repr((*head, said, [(c.id, c.name) for c in calls(last[0])])))


def _shortened(answer: Sent, again: Sent) -> bool:
    """Is a message that is sent again an answer with something cut out? Its calls tell; else its beginning or end."""
    if answer.get("role") != "assistant" or again.get("role") != "assistant":
        return False
    before, after = calls(answer), calls(again)
    if before or after:
        return [(c.id, c.name) for c in before] == [(c.id, c.name) for c in after]
    whole, left = ((words(m.get("content")) or "").strip() for m in (answer, again))
    return len(left) >= _TELLING and (whole.startswith(left) or whole.endswith(left))


def _heads(start: str, messages: Iterable[Sent]) -> list[str]:
    """A hash for each beginning of a conversation, the empty one first."""
    out = [start]
    for i, message in enumerate(messages):
        try:
            role = message["role"]
            asked = [(c.id, c.name, c.arguments) for c in calls(message)] if role == "assistant" else []
            said = (role, words(message.get("content")) or "", message.get("tool_call_id"), asked)
        except (KeyError, TypeError, AttributeError):
            raise DataError(f"message {i} must be an object with a role", got=message, expected="{...}") from None
        out.append(digest(out[-1] + repr(said)))
    return out


def _check(messages: list[Sent]) -> None:
    """Messages are read when they come, so that an error is placed on their row."""
    turns(messages)
    for message in messages:
        message_of(message)


def _finish(talk: _Talk, rows: Rows) -> Made:
    row = talk.fields
    found = turns(talk.messages)
    for turn in found:
        answer = talk.answers.get(turn.at)
        if answer is not None:
            turn.step.origin, turn.step.tokens = answer.origin, answer.tokens
        elif isinstance(told := talk.messages[turn.at].get("origin"), Origin):  # no file can hold one
            turn.step.origin = told
            turn.step.extra.pop("source.origin", None)
        if turn.at in talk.failures:
            turn.step.extra = {**turn.step.extra, "failures": talk.failures[turn.at]}
    steps = [turn.step for turn in found]
    last = talk.failures.get(len(talk.messages))
    if last is not None:
        steps.append(Step(origin=Origin(error=last[-1])))
    before = context(talk.messages)
    group_field, group = one_of(row, GROUPS)
    outcome_field, outcome = outcome_of(row)
    used = (*talk.used, "rollout", "task", group_field, outcome_field)
    rollout = Rollout(
        group=(by_opening(before, rows) or _custom(row, rows)) if group_field is None else key(group, "group"),
        rollout=key(row["rollout"], "rollout") if "rollout" in row else UNNAMED,
        outcome=outcome,
        task=text(row.get("task"), "task") or opening(talk.messages),
        context=before,
        steps=steps,
        extra=rest(row, [u for u in used if u], Rollout.__struct_fields__),
    )
    return Made(talk.row, rollout, _wish(row))


def _custom(row: Mapping[str, Any], rows: Rows) -> str:
    """A group for a line of a batch's output, which lacks what was sent."""
    name = row.get("custom_id")
    if not isinstance(name, str):
        return UNNAMED
    rows.note("the requests of the batch are not in the file: each line is a group, by its custom_id")
    return name


def _wish(row: Mapping[str, Any]) -> str | int | None:
    values = (row.get(name) for name in WISHES)
    return next((v for v in values if isinstance(v, str | int) and not isinstance(v, bool) and v != ""), None)
