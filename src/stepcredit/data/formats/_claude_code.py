"""Sessions of Claude Code, as it keeps them (`~/.claude/projects/*/*.jsonl`): rows of a session to conversations.

An answer of the model comes as several rows, a block each, with one `message.id`; results of tools may stand between
them. A prompt whose parent is not the row before it begins a branch: both branches are conversations. So is what a
subagent did (`isSidechain`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from stepcredit.data.formats._traces import a_map, a_str, origin, seconds, whole
from stepcredit.data.records import Origin

_KEPT = ("type", "uuid", "parentUuid", "isSidechain", "agentId", "sessionId", "timestamp", "message")
_SYNTHETIC = "<synthetic>"


def is_session(row: Mapping[str, Any]) -> bool:
    """Is this a row of a session? Never raises."""
    kind = row.get("type")
    if not isinstance(kind, str) or not kind.islower() or {"traceId", "trace_id", "role"} & row.keys():
        return False
    return "sessionId" in row or "leafUuid" in row or (kind == "file-history-snapshot" and "snapshot" in row)


def slim(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is read of a row; of one that is no message, its place alone."""
    said = row.get("type") in ("user", "assistant") and isinstance(row.get("message"), Mapping)
    return {k: row[k] for k in _KEPT if k in row and (said or k != "message")}


@dataclass
class _Talk:
    """A conversation in the making. order: ids of its rows, and how many messages there were after each. answers: by
    the ids of the model's responses. spoke: messages up to the last of the model."""

    fields: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)
    order: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    spoke: int = 0


def conversations(rows: list[Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The conversations in the rows of a file, each with the fields that name it."""
    talks: list[_Talk] = []
    now: dict[str, _Talk] = {}
    roots: dict[str, str] = {}
    for row in rows:
        name, parent = a_str(row.get("uuid")), a_str(row.get("parentUuid"))
        key = ""
        if row.get("isSidechain") is True:
            key = a_str(row.get("agentId")) or roots.get(parent or "") or name or ""
            roots[name or ""] = key
        talk = now.get(key)
        if talk is None or _branches(row, talk, parent):
            talk = (
                _Talk(_fields(row, key))
                if talk is None
                else _branch(talk, parent or "", _fields(row, name or "branch"))
            )
            talks.append(talk)
            now[key] = talk
        if isinstance(row.get("message"), Mapping):
            _add(row, talk)
        if name:
            talk.order[name] = len(talk.messages)
        if isinstance(row.get("sessionId"), str):
            talk.fields.setdefault("session_id", row["sessionId"])
    return [(t.fields, t.messages) for t in talks if t.messages]


def _fields(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    session = a_str(row.get("sessionId"))
    if key:
        return {"session_id": f"{session}/{key}", "session": session} if session else {"session_id": key}
    return {"session_id": session} if session else {}


def _branches(row: Mapping[str, Any], talk: _Talk, parent: str | None) -> bool:
    """Is this a prompt that goes on from before something that the model said?"""
    message = row.get("message")
    if row.get("type") != "user" or not isinstance(message, Mapping) or parent not in talk.order:
        return False
    content = message.get("content")
    results = [b for b in content if a_map(b).get("type") == "tool_result"] if isinstance(content, list) else []
    return not results and talk.order[parent] < talk.spoke


def _branch(talk: _Talk, parent: str, fields: dict[str, Any]) -> _Talk:
    """What was said up to a row, to go on from."""
    kept = talk.order[parent]
    order = {k: n for k, n in talk.order.items() if n <= kept}
    messages = [
        {**m, "content": list(c)} if isinstance(c := m["content"], list) else dict(m) for m in talk.messages[:kept]
    ]
    told = ((m, m.get("origin")) for m in messages)
    answers = {o.response: m for m, o in told if isinstance(o, Origin) and o.response}
    spoke = max((i for i, m in enumerate(messages, 1) if m["role"] == "assistant"), default=0)
    return _Talk(fields, messages, order, answers, spoke)


def _add(row: Mapping[str, Any], talk: _Talk) -> None:
    message = row["message"]
    role = "assistant" if row.get("type", message.get("role")) == "assistant" else "user"
    content = message.get("content")
    if role == "user":
        talk.messages.append({"role": role, "content": content})
        return
    told = _origin(row, message)
    if message.get("model") == _SYNTHETIC:
        said = [t for b in content if (t := a_str(a_map(b).get("text")))] if isinstance(content, list) else []
        talk.messages.append({"role": role, "content": None, "origin": Origin(error="\n".join(said) or "no answer")})
        talk.spoke = len(talk.messages)
        return
    blocks = list(content) if isinstance(content, list) else [{"type": "text", "text": content}]
    name = a_str(message.get("id"))
    before = talk.answers.get(name) if name else None
    if before is None:
        talk.messages.append({"role": role, "content": blocks, "origin": told})
        talk.answers |= {name: talk.messages[-1]} if name else {}
        talk.spoke = len(talk.messages)
        return
    before["content"] += blocks
    if told is not None and isinstance(begun := before["origin"], Origin):  # what it took is known at its end
        before["origin"] = replace(begun, input_tokens=told.input_tokens, output_tokens=told.output_tokens)


def _origin(row: Mapping[str, Any], message: Mapping[str, Any]) -> Origin | None:
    usage = a_map(message.get("usage"))
    sent = [whole(usage.get(f"{kind}input_tokens")) for kind in ("", "cache_read_", "cache_creation_")]
    return origin(
        id=a_str(row.get("uuid")),
        trace=a_str(row.get("sessionId")),
        response=a_str(message.get("id")),
        model=a_str(message.get("model")),
        start=seconds(row.get("timestamp")),
        input_tokens=sum(n for n in sent if n) if sent[0] is not None else None,
        output_tokens=whole(usage.get("output_tokens")),
    )
