"""What a model server can do, found out with a handful of tiny requests rather than believed.

print(asyncio.run(probe("http://localhost:8000")))
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from stepcredit.errors import StepCreditError
from stepcredit.llm.client import base_of, key_of
from stepcredit.llm.sending import NEED, said
from stepcredit.llm.wire import BadReply, models
from stepcredit.plugins import extra

ASKED = "Count: 1, 2, 3,"


class Capabilities(msgspec.Struct, frozen=True):
    """What was seen. Each is True, or why it is not so.

    stop: strings end a text. seed: at temperature 1, equal seeds gave equal texts and others another one. echo:
    log-probabilities of a given text. continue_final_message: a chat goes on with an answer that was begun.
    """

    url: str
    model: str
    models: tuple[str, ...]
    chat: bool | str
    completions: bool | str
    n: bool | str
    logprobs: bool | str
    top_logprobs: bool | str
    stop: bool | str
    seed: bool | str
    echo: bool | str
    continue_final_message: bool | str

    def __str__(self) -> str:
        lines = [f"{self.url}, model {self.model} of: {', '.join(self.models) or 'none listed'}"]
        for name in self.__struct_fields__[3:]:
            seen = getattr(self, name)
            lines.append(f"  {name:<22} {'yes' if seen is True else f'no: {seen}'}")
        return "\n".join(lines)


async def probe(
    url: str, model: str | None = None, *, asked: str = ASKED, key_env: str = "OPENAI_API_KEY", timeout: float = 60.0
) -> Capabilities:
    """Ask a server about a dozen requests of at most 8 tokens. They are outside of any budget, cache and journal.

    Args:
        asked: what is asked; a model that has nothing to say to it cannot show what it can do.

    Raises:
        StepCreditError: no server there, or no model named where it lists several.
    """
    http = extra("aiohttp", NEED, name="http")
    base, key = base_of(url), key_of(key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with http.ClientSession(headers=headers, timeout=http.ClientTimeout(total=timeout)) as session:
        ask = _Asker(session, base, http.ClientError, key, asked)
        names = await ask.models()
        ask.model = model or (names[0] if len(names) == 1 else "")
        if not ask.model:
            raise StepCreditError(f"which model? {base} lists {', '.join(names) or 'none'}", hint="--model NAME")
        chat, completions = await asyncio.gather(ask.chat(), ask.complete())
        plain = completions if isinstance(completions, dict) else chat
        send = ask.complete if isinstance(completions, dict) else ask.chat
        seen: tuple[bool | str, bool | str] = tuple(r if isinstance(r, str) else True for r in (chat, completions))  # type: ignore[assignment]
        if isinstance(plain, str):
            return Capabilities(base, ask.model, tuple(names), *seen, *[f"no endpoint answers: {plain}"] * 7)
        top = {"logprobs": True, "top_logprobs": 2} if send == ask.chat else {"logprobs": 2}
        text = _text(plain)
        if not text:
            silent = "cannot be told: the model writes nothing; ask it something else"
            return Capabilities(base, ask.model, tuple(names), *seen, *[silent] * 7)
        character = text[len(text) // 2 :][:1]
        several, told, cut, first, again, other, third, forced = await asyncio.gather(
            send(n=2, temperature=1.0),
            send(**top),
            send(stop=[character]),
            *(send(seed=seed, temperature=1.0) for seed in (7, 7, 8, 9)),
            ask.complete(echo=True, logprobs=1, max_tokens=1),
        )
        goes_on = await ask.goes_on()
    return Capabilities(
        base,
        ask.model,
        tuple(names),
        *seen,
        _seen(several, lambda r: len(r["choices"]) == 2, "2 were asked for and {} came", lambda r: len(r["choices"])),
        _seen(told, _has_logprobs, "it is ignored: the reply has none"),
        _seen(told, _has_top, "it is ignored: the reply has none"),
        _seen(cut, lambda r: character not in _text(r)[:-1], "it is ignored: the text goes on past the string"),
        _seed(first, again, other, third),
        _seen(forced, lambda r: _has_echo(r, asked), "it is ignored: no log-probabilities of the prompt come back"),
        goes_on,
    )


class _Asker:
    """Tiny requests. A reply is the JSON of a good one, else why there is none."""

    def __init__(self, session: Any, base: str, wrong: Any, key: str | None, asked: str) -> None:
        self._session, self._base, self._wrong, self._key, self.model = session, base, wrong, key, ""
        self._asked = asked

    async def models(self) -> list[str]:
        try:
            async with self._session.get(f"{self._base}/models", allow_redirects=False) as response:
                return models(await response.read()) if response.status == 200 else []
        except BadReply:
            return []
        except (self._wrong, TimeoutError) as error:
            raise StepCreditError(f"no server at {self._base}: {error}") from None

    async def chat(self, messages: Any = None, **more: Any) -> dict[str, Any] | str:
        given = messages or [{"role": "user", "content": self._asked}]
        return await self._post("/chat/completions", {"messages": given, "max_tokens": 8, "temperature": 0.0, **more})

    async def complete(self, **more: Any) -> dict[str, Any] | str:
        return await self._post("/completions", {"prompt": self._asked, "max_tokens": 8, "temperature": 0.0, **more})

    async def goes_on(self) -> bool | str:
        """A server that ignores the flag writes a new answer: seen by the tokens that it reads."""
        asked = [{"role": "user", "content": self._asked}, {"role": "assistant", "content": "4, 5,"}]
        flags = {"continue_final_message": True, "add_generation_prompt": False}
        with_it, without = await asyncio.gather(self.chat(asked, **flags), self.chat(asked))
        if isinstance(with_it, str):
            return with_it
        if isinstance(without, str):
            return True  # refuses such a chat unless it is to go on
        on, off = ((r.get("usage") or {}).get("prompt_tokens") for r in (with_it, without))
        if not isinstance(on, int) or not isinstance(off, int):
            return "it is accepted, and whether it is heeded cannot be told: the server counts no tokens"
        return True if on < off else "it is ignored: the prompt is read as if a new answer began"

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | str:
        try:
            async with self._session.post(
                self._base + path, json={"model": self.model, **body}, allow_redirects=False
            ) as response:
                data = await response.read()
        except (self._wrong, TimeoutError, OSError) as error:
            return f"no reply: {error or type(error).__name__}"
        text = said(data, self._key)
        if response.status != 200:
            return f"{response.status}: {text}"
        try:
            reply = msgspec.json.decode(data)
            _text(reply)
        except (msgspec.DecodeError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
            return f"no reply of this kind: {text}"
        return reply  # type: ignore[no-any-return]


def _seen(
    reply: dict[str, Any] | str, good: Callable[[Any], bool], why: str, figure: Callable[[Any], Any] | None = None
) -> bool | str:
    if isinstance(reply, str):
        return reply
    try:
        return True if good(reply) else why.format(figure(reply) if figure else "")
    except (KeyError, IndexError, TypeError, AttributeError):
        return why.format("none")


def _seed(*replies: dict[str, Any] | str) -> bool | str:
    """Of two equal seeds and two others."""
    wrong = next((r for r in replies if isinstance(r, str)), None)
    if wrong is not None:
        return wrong
    first, again, *others = map(_text, replies)
    if first != again:
        return "equal seeds gave different texts"
    if all(text == first for text in others):
        return "cannot be told: all seeds gave one text at temperature 1; does it draw at all?"
    return True


def _text(reply: Any) -> str:
    choice = reply["choices"][0]
    return str(choice["text"] if "text" in choice else choice["message"]["content"] or "")


def _logprobs(reply: Any) -> Any:
    return reply["choices"][0].get("logprobs") or {}


def _has_logprobs(reply: Any) -> bool:
    found = _logprobs(reply)
    return bool(found.get("content") or found.get("token_logprobs"))


def _has_top(reply: Any) -> bool:
    found = _logprobs(reply)
    rows = found.get("top_logprobs") or [t.get("top_logprobs") for t in found.get("content") or []]
    return any(len(row or ()) >= 2 for row in rows)


def _has_echo(reply: Any, asked: str) -> bool:
    logp = _logprobs(reply).get("token_logprobs") or []
    return len(logp) > 2 and any(x is not None for x in logp[:-1]) and _text(reply).startswith(asked)
