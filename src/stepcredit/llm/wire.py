"""The words of OpenAI-compatible servers: requests as JSON bodies, JSON as replies. Pure functions; nothing is sent.

call = call_of(Continue("2+2="), Setting("a-model"), "completions")
reply = read(call, data)           # of the bytes that came back; BadReply if they are not what was asked for
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeVar

import msgspec

from stepcredit.errors import StepCreditError
from stepcredit.llm.budget import Use
from stepcredit.llm.requests import Ask, Continue, Force, Score

Kind = Literal["chat", "completions", "echo", "pooling"]
Asked = Continue | Ask | Force | Score
T = TypeVar("T")

PATHS: Mapping[Kind, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "echo": "/completions",
    "pooling": "/pooling",
}
_MOST = 1 << 40  # tokens: a count beyond it is none, and many such would not fit the journal
_ENDED = ("stop", "eos", "eos_token", "stop_sequence", "end_turn")
_AROUND: Mapping[Kind, int] = {
    "chat": 256,
    "completions": 16,
    "echo": 16,
    "pooling": 16,
}  # tokens of a template, of a beginning


class Setting(msgspec.Struct, frozen=True):
    """What a client says with every request. seed: None = none is sent. logprobs: how many of the likeliest tokens to
    ask for, None = no probabilities. answer_tokens, answer_temperature: of an Ask."""

    model: str
    seed: int | None = 0
    logprobs: int | None = None
    system: str | None = None
    answer_tokens: int = 1024
    answer_temperature: float = 0.0


class Call(msgspec.Struct, frozen=True):
    """One HTTP request. key: its name in cache and journal. worst: the most it can cost, as one token is at least one
    byte of its text."""

    kind: Kind
    body: bytes
    key: bytes
    n: int
    worst: Use
    request: Asked
    logprobs: int | None


class Draft(msgspec.Struct, frozen=True, omit_defaults=True):
    """One choice of a reply, as it is kept. top: per token its likeliest (text, log-probability)."""

    text: str
    tokens: tuple[str, ...] = ()
    logp: tuple[float, ...] | None = None
    top: tuple[tuple[tuple[str, float], ...], ...] = ()
    finished: bool = True
    ended: bool | None = None


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a server said. read, written: its own count of tokens, None if it gives none. missing: why there are no
    probabilities though they were asked for. score: of a reward model."""

    drafts: tuple[Draft, ...]
    read: int | None = None
    written: int | None = None
    missing: str = ""
    score: float | None = None

    def use(self, worst: Use) -> Use:
        """What it cost; the worst case where the server does not count."""
        if self.read is None or self.written is None:
            return worst
        return Use(1, self.read, self.written)


class BadReply(Exception):
    """Bytes that are no reply to the call. again: whether another try may help."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.again = reason, again


def call_of(request: Asked, setting: Setting, kind: Kind, *, part: int = 0) -> Call:
    """A request as an HTTP call.

    Args:
        kind: "echo" for a Force, else which endpoint.
        part: 0, or which of the single draws that make up for a server that gave fewer than n.

    The seed is 31 bits of a hash of (seed of the client, draw, prompt, part): equal requests draw the same again, each
    draw of one prompt another.

    Raises:
        StepCreditError: another kind of request; a temperature below 0, infinite or NaN.
    """
    if not isinstance(request, Continue | Ask | Force | Score):
        raise StepCreditError(f"a model server answers Continue, Ask, Force and Score; got {type(request).__name__}")
    body: dict[str, Any] = {"model": setting.model}
    if isinstance(request, Score):
        text = request.prefix + request.step
        data = msgspec.json.encode(body | {"input": text, "task": "token_classify"})
        key = blake2b(kind.encode() + data, digest_size=20).digest()
        return Call(kind, data, key, 1, Use(1, len(text.encode()) + _AROUND[kind], 0), request, None)
    if isinstance(request, Force):
        text, n, most, draw = request.prefix + request.continuation, 1, 1, 0
        # One token is written and dropped, and one alternative asked for: some servers refuse 0, or read it as "no".
        body |= {"prompt": text, "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
        size = len(text.encode())
        logprobs: int | None = 1
    else:
        ask = isinstance(request, Ask)
        prefix, stop = ("", ()) if isinstance(request, Ask) else (request.prefix, request.stop)
        n = 1 if isinstance(request, Ask) or part or request.temperature == 0 else request.n  # all would be the same
        most = setting.answer_tokens if isinstance(request, Ask) else request.max_tokens
        temperature = setting.answer_temperature if isinstance(request, Ask) else request.temperature
        logprobs, draw = None if ask else setting.logprobs, request.draw
        history = () if isinstance(request, Ask) else request.history
        if not 0 <= temperature < math.inf:
            raise StepCreditError(f"a temperature of {temperature}; expected 0 or more, and finite")
        given = _prompt(kind, request.prompt, prefix, setting.system, history)
        size = len(((setting.system or "") + "".join(t for _, t in history) + request.prompt + prefix).encode())
        size += 16 * len(history)
        body |= given | {"max_tokens": most, "temperature": temperature}
        body |= ({"n": n} if n > 1 else {}) | ({"stop": list(stop)} if stop else {})
        if setting.seed is not None:
            body["seed"] = _seed(setting.seed, draw, request.prompt + prefix, part)
        if logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": logprobs} if kind == "chat" else {"logprobs": logprobs}
    data = msgspec.json.encode(body)
    # Where a text is cut is no part of what is sent, and of the reply only what follows is kept.
    cut = len(request.prefix) if isinstance(request, Force) else 0
    key = blake2b(msgspec.json.encode((kind, draw, part, cut, body)), digest_size=20).digest()
    worst = Use(1, size + _AROUND[kind], n * most)
    return Call(kind, data, key, n, worst, request, logprobs)


def _prompt(
    kind: Kind, prompt: str, prefix: str, system: str | None, history: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    if kind != "chat":
        before = "".join(f"{text}\n" for _, text in history)
        return {"prompt": (f"{system}\n\n" if system else "") + before + prompt + prefix}
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": role, "content": text} for role, text in history]
    messages.append({"role": "user", "content": prompt})
    if not prefix:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prefix})
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def _seed(seed: int, draw: int, prompt: str, part: int) -> int:
    named = msgspec.json.encode((seed, draw, prompt, part))
    return int.from_bytes(blake2b(named, digest_size=4).digest(), "little") & 0x7FFFFFFF


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: int | str | msgspec.UnsetType | None = msgspec.UNSET
    matched_stop: int | str | msgspec.UnsetType | None = msgspec.UNSET
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Rows(msgspec.Struct):
    data: list[list[float]]


class _Pooled(msgspec.Struct):
    """Of /pooling: per token a number per label."""

    data: list[_Rows]
    usage: _Usage | None = None


class _Likely(msgspec.Struct):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] | None = None


class _Logprobs(msgspec.Struct):
    """Of both endpoints: a chat has `content`, completions the others."""

    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def _decoded(data: bytes | msgspec.Raw, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReply(f"{what} is not what it should be: {error}") from None


def models(data: bytes) -> list[str]:
    """The names that `/v1/models` lists.

    Raises:
        BadReply: it is no list of models.
    """
    return [m.id for m in _decoded(data, _Models, "the list of models").data]


def read(call: Call, data: bytes) -> Reply:
    """The bytes of a reply, checked.

    Raises:
        BadReply: no JSON, a field missing or of another type, a probability that is none, no text.
    """
    if isinstance(call.request, Score):
        return _scored(data)
    body = _decoded(data, _Body, "the reply")
    choices = sorted(body.choices, key=lambda c: c.index)[: call.n]
    if not choices:
        raise BadReply("the reply has no choices")
    usage = _counted(body.usage)
    if isinstance(call.request, Force):
        drafts = [_forced(call.request, choices[0])]
    else:
        drafts = [_draft(call, c) for c in choices]
    missing = call.logprobs is not None and any(d.logp is None and d.text for d in drafts)
    return Reply(
        tuple(drafts),
        None if usage is None else usage.prompt_tokens,
        None if usage is None else usage.completion_tokens,
        f"logprobs were asked for at {PATHS[call.kind]}, and the server left them out" if missing else "",
    )


def _counted(usage: _Usage | None) -> _Usage | None:
    """Counts that can be."""
    if usage is not None and not all(0 <= n <= _MOST for n in (usage.prompt_tokens, usage.completion_tokens)):
        raise BadReply(f"the reply counts fewer than 0 tokens, or more than {_MOST:,}")
    return usage


def _scored(data: bytes) -> Reply:
    """The chance of the last label at the last token, of a reward model that tells both at each."""
    body = _decoded(data, _Pooled, "the reply")
    rows = body.data[0].data if body.data else []
    score = rows[-1][-1] if rows and rows[-1] else math.nan
    if not math.isfinite(score):
        raise BadReply("the reply has no score at its last token", again=False)
    used = _counted(body.usage)
    return Reply((), None if used is None else used.prompt_tokens, None if used is None else 0, score=score)


def _draft(call: Call, choice: _Choice) -> Draft:
    text = choice.text if call.kind != "chat" else None if choice.message is None else choice.message.content
    if text is None:
        raise BadReply(f"a choice has no text (finish_reason {choice.finish_reason!r})", again=False)
    stop = () if isinstance(call.request, Ask) else tuple(s for s in call.request.stop if s)  # type: ignore[union-attr]
    finished = choice.finish_reason in _ENDED
    ended: bool | None = False
    if finished:
        told = choice.stop_reason if choice.stop_reason is not msgspec.UNSET else choice.matched_stop
        # A number is the token that ended it, as of a chat's turn; without stop strings nothing else can have.
        ended = not isinstance(told, str) if told is not msgspec.UNSET else None if stop else True
    cut = min((at for s in stop if (at := text.find(s)) >= 0), default=None)
    if cut is not None:
        text, finished, ended = text[:cut], True, False
    found = None if call.logprobs is None else _decoded(choice.logprobs, _Logprobs | None, "logprobs")  # type: ignore[arg-type]
    if found is None:
        return Draft(text, finished=finished, ended=ended)
    tokens, logp, top = _tokens(found)
    if logp is None:
        return Draft(text, finished=finished, ended=ended)
    if any(x is None for x in logp):
        raise BadReply("a token has no log-probability")
    kept = _covering(tokens, text) if finished else len(tokens)
    return Draft(
        text,
        tokens[:kept],
        _checked(logp)[:kept],
        tuple(row[: call.logprobs] for row in top[:kept]) if call.logprobs else (),
        finished,
        ended,
    )


def _covering(tokens: Sequence[str], text: str) -> int:
    """How many tokens the text needs: servers also list the one that ended it, and those of the stop string."""
    if not "".join(tokens).startswith(text):
        return len(tokens)
    return sum(begin < len(text) for begin in accumulate(map(len, tokens[:-1]), initial=0)) if tokens else 0


def _tokens(
    found: _Logprobs,
) -> tuple[tuple[str, ...], tuple[float | None, ...] | None, tuple[tuple[tuple[str, float], ...], ...]]:
    """(texts, log-probabilities or None, likeliest) of either endpoint."""
    if found.content is not None:
        listed = [sorted(((x.token, x.logprob) for x in t.top_logprobs or ()), key=_rank) for t in found.content]
        logp: tuple[float | None, ...] = tuple(t.logprob for t in found.content)
        return tuple(t.token for t in found.content), logp, tuple(map(tuple, listed))
    if found.tokens is None or found.token_logprobs is None:
        return (), None, ()
    if len(found.tokens) != len(found.token_logprobs):
        raise BadReply(f"{len(found.tokens)} tokens have {len(found.token_logprobs)} log-probabilities")
    top = found.top_logprobs or []
    if top and len(top) != len(found.tokens):
        raise BadReply(f"{len(found.tokens)} tokens have {len(top)} lists of the likeliest")
    rows = tuple(tuple(sorted((t or {}).items(), key=_rank)) for t in top)
    return tuple(found.tokens), tuple(found.token_logprobs), rows


def _rank(one: tuple[str, float]) -> float:
    return -one[1]


def _checked(logp: Sequence[float | None]) -> tuple[float, ...]:
    for x in logp:
        if x is None or not math.isfinite(x) or x > 0.01:
            raise BadReply(f"a log-probability of {x}")
    return tuple(min(x, 0.0) for x in logp if x is not None)


def _forced(request: Force, choice: _Choice) -> Draft:
    """The tokens that hold a character of the continuation, found in the texts of the tokens, or else by the offsets
    that the server gives. One across the boundary counts whole."""
    found = _decoded(choice.logprobs, _Logprobs | None, "logprobs")  # type: ignore[arg-type]
    tokens, logp, _ = ((), None, ()) if found is None else _tokens(found)
    if found is None or logp is None:
        raise BadReply("the server gives no log-probabilities of a prompt (echo with logprobs)", again=False)
    text, begin = request.prefix + request.continuation, len(request.prefix)
    edges = [0, *accumulate(map(len, tokens))]
    shift = "".join(tokens).find(text)
    # A token that the tokenizer puts before a text is echoed too, and shifts all offsets by its length.
    if not tokens or shift not in (0, len(tokens[0])):
        edges = [*(found.text_offset or ()), len(choice.text or "")]
        shift = edges[0]
        if len(edges) != len(tokens) + 1 or not (choice.text or "").startswith(text):
            raise BadReply("the tokens that the server echoes are not the text that was sent", again=False)
    spans = list(pairwise(edges))
    mine = [i for i, (a, b) in enumerate(spans) if b > begin + shift and a < len(text) + shift]
    if mine and logp[mine[0]] is None:
        raise BadReply("nothing stands before the continuation, so its first token has no probability", again=False)
    return Draft(request.continuation, tuple(tokens[i] for i in mine), _checked([logp[i] for i in mine]))


def pack(reply: Reply) -> bytes:
    """A reply as it is kept: JSON, so that people can read the file."""
    return msgspec.json.encode(reply)


_unpack = msgspec.json.Decoder(Reply).decode


def unpack(data: bytes) -> Reply:
    """A reply that was kept."""
    return _unpack(data)
