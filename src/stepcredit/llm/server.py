"""An OpenAI-compatible HTTP server over anything that answers: a sampler of ours, or a function of yours.

    with running(over_sampler(engine.sampler), models=["mine"]) as url:      # http://127.0.0.1:54321/v1
        client = openai.OpenAI(base_url=url, api_key="none")

Completions and chat, with n, stop, seed, log-probabilities, echo, streams. It listens to this machine alone, and to
requests that name this machine as their host and origin, unless told otherwise: a foreign page in a browser cannot
reach it.
"""

import asyncio
import hmac
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np

from stepcredit.errors import StepCreditError
from stepcredit.llm._server_queue import Queue
from stepcredit.llm._server_wire import WireError, WireRequest, chunks, reply, request, text_of
from stepcredit.plugins import extra
from stepcredit.protocols import Sample, Sampler

__all__ = [
    "Answer",
    "WireError",
    "WireRequest",
    "application",
    "over_local",
    "over_sampler",
    "render",
    "running",
    "serve",
]

Reply = Sequence[Sequence[Sample]] | Mapping[str, Any]
Answer = Callable[[WireRequest], Awaitable[Reply]]
Reader = Callable[[str], tuple[Sequence[str], Sequence[float | None]]]

MOST_BYTES = 8 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NEED = "a server"


def render(messages: Sequence[Mapping[str, Any]], goes_on: bool) -> str:
    """A chat as one text: the messages' texts, each with a line end behind it, but for one that is to go on."""
    texts = [text_of(m, i) for i, m in enumerate(messages)]
    last = texts.pop() if goes_on else ""
    return "".join(t if t.endswith("\n") else t + "\n" for t in texts) + last


def over_sampler(
    sampler: Sampler,
    *,
    render: Callable[[Sequence[Mapping[str, Any]], bool], str] = render,
    read: Reader | None = None,
) -> Answer:
    """An answer by a Sampler. Requests that come while it is at work go into its next call together.

    A seed reaches samplers that take one, in a call of its own: what is drawn then depends on the request alone.

    Args:
        render: messages, and whether the last one is to go on -> prompt; a model's chat template.
        read: text -> its tokens and their log-probabilities (None = not known), for `echo` with `logprobs`.
    """
    queue = Queue(sampler)

    async def answer(asked: WireRequest) -> Reply:
        prompts = asked.prompts if asked.kind == "completions" else (render(asked.messages, asked.goes_on),)
        if asked.max_tokens:
            found = await queue.ask(asked, prompts)
        else:
            found = [[Sample("", logp=np.zeros(0), finished=False, written=0)] * asked.n for _ in prompts]
        if not asked.echo:
            return found
        if asked.logprobs is None:
            return [[replace(s, text=p + s.text) for s in n] for p, n in zip(prompts, found, strict=True)]
        if read is None:
            raise WireError(400, "echo with logprobs: this model does not tell those of a prompt", param="echo")
        told = [await queue.run(partial(read, p)) for p in prompts]
        return [[_echoed(p, *t, s) for s in n] for p, t, n in zip(prompts, told, found, strict=True)]

    return answer


def over_local(engine: Any) -> Answer:
    """An answer by a `local.Local`, with the chat template of its tokenizer where it has one."""
    words = engine.tokenizer

    def chat(messages: Sequence[Mapping[str, Any]], goes_on: bool) -> str:
        plain = [{**m, "content": text_of(m, i)} for i, m in enumerate(messages)]
        text: str = words.apply_chat_template(
            plain, tokenize=False, add_generation_prompt=not goes_on, continue_final_message=goes_on
        )
        first, start = words("a")["input_ids"][:1], words.bos_token
        # The engine puts the start token before a text, and a template writes it too.
        return text.removeprefix(start) if start and first == [words.bos_token_id] else text

    def read(text: str) -> tuple[Sequence[str], Sequence[float | None]]:
        tokens = engine.pieces(text)
        try:
            return tokens, engine.forcer([""], [text])[0].tolist()
        except StepCreditError:  # no start token: nothing stands before the first
            rest = engine.forcer(tokens[:1], ["".join(tokens[1:])])[0].tolist()
        if len(rest) + 1 != len(tokens):
            raise WireError(400, "echo with logprobs: this prompt's tokens do not join to their text", param="echo")
        return tokens, [None, *rest]

    template = getattr(words, "chat_template", None)
    return over_sampler(engine.sampler, render=chat if template else render, read=read)


def _echoed(prompt: str, tokens: Sequence[str], logp: Sequence[float | None], sample: Sample) -> Sample:
    """A sample with its prompt before it."""
    told = np.array([np.nan if x is None else x for x in logp], float)
    return replace(
        sample,
        text=prompt + sample.text,
        tokens=(*tokens, *sample.tokens),
        logp=told if sample.logp is None else np.concatenate([told, sample.logp]),
        top_logp=(*(np.zeros(0) for _ in tokens), *sample.top_logp),
        top_tokens=(*((),) * len(tokens), *sample.top_tokens),
        read=len(tokens) if sample.read is None else sample.read,
        written=len(sample.tokens) if sample.written is None else sample.written,
    )


def application(
    answer: Answer,
    models: Sequence[str] = ("stepcredit",),
    *,
    hosts: Sequence[str] = (),
    key: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> Any:
    """An aiohttp application.

    Args:
        answer: request -> n samples of each prompt, or the whole body of a reply. It may raise WireError.
        models: their names; a request for another is refused, one that names none gets the first.
        hosts: names besides those of this machine under which it may be reached; "*" = any.
        key: what a client must send as its key. None = anything.
        most_bytes: longest body.

    Raises:
        MissingExtra: aiohttp is not installed.
    """
    web = extra("aiohttp.web", _NEED, name="http")
    if not models:
        raise StepCreditError("a server needs the name of at least one model")
    door = _Door(web, answer, tuple(models), (*LOOPBACK, *hosts), key)

    @web.middleware  # type: ignore[untyped-decorator]
    async def guard(http: Any, handler: Any) -> Any:
        return await door.guard(http, handler)

    app = web.Application(client_max_size=most_bytes, middlewares=[guard])
    app.router.add_get("/health", door.health)
    app.router.add_get("/v1/models", door.list_models)
    app.router.add_get("/v1/models/{model:.+}", door.one_model)
    app.router.add_post("/v1/completions", door.completions)
    app.router.add_post("/v1/chat/completions", door.chat)
    return app


class _Door:
    """The handlers."""

    def __init__(
        self, web: Any, answer: Answer, models: tuple[str, ...], hosts: Sequence[str], key: str | None
    ) -> None:
        self._web, self._answer, self._models, self._hosts, self._key = web, answer, models, frozenset(hosts), key

    async def guard(self, http: Any, handler: Any) -> Any:
        """Who may come in, and every error as OpenAI writes it."""
        try:
            self._admit(http)
            return await handler(http)
        except WireError as error:
            return self._error(error)
        except self._web.HTTPException as error:
            return self._error(WireError(error.status, error.reason))
        except StepCreditError as error:
            return self._error(WireError(400, str(error)))
        except Exception as error:
            return self._error(WireError(500, f"{type(error).__name__}: {error}"))

    def _admit(self, http: Any) -> None:
        # A sandboxed page of anybody's, and one of a file, have the origin "null".
        told = http.headers.get("Origin", "")
        for name in filter(None, (http.host, told.partition("://")[2] or told)):
            if not {"*", _host(name)} & self._hosts:
                raise WireError(403, f"this server is not for {name!r}; it may be told to answer to that name")
        if self._key is None or http.path == "/health":
            return
        given = http.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            raise WireError(401, "a key is required: Authorization: Bearer KEY", code="invalid_api_key")

    def _error(self, error: WireError) -> Any:
        return self._web.json_response(error.body(), status=error.status)

    async def health(self, http: Any) -> Any:
        """That it is there."""
        return self._web.json_response({"status": "ok"})

    async def list_models(self, http: Any) -> Any:
        """The models."""
        return self._web.json_response({"object": "list", "data": [_model(m) for m in self._models]})

    async def one_model(self, http: Any) -> Any:
        """One model."""
        return self._web.json_response(_model(self._named(http.match_info["model"])))

    async def completions(self, http: Any) -> Any:
        """A prompt goes on."""
        return await self._reply(http, request("completions", await _body(http)))

    async def chat(self, http: Any) -> Any:
        """A chat goes on."""
        return await self._reply(http, request("chat", await _body(http)))

    def _named(self, name: str | None) -> str:
        if name is not None and name not in self._models:
            raise WireError(404, f"no model {name!r}; there are: {', '.join(self._models)}", code="model_not_found")
        return self._models[0] if name is None else name

    async def _reply(self, http: Any, asked: WireRequest) -> Any:
        model = self._named(asked.model)
        found = await self._answer(asked)
        body = dict(found) if isinstance(found, Mapping) else reply(asked, found, model)
        if not asked.stream:
            return self._web.json_response(body)
        options = asked.body.get("stream_options")
        wanted = isinstance(options, dict) and options.get("include_usage") is True
        response = self._web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        )
        await response.prepare(http)
        with suppress(ConnectionError):  # who asked has left
            for event in chunks(body, usage=wanted):
                await response.write(event.encode())
            await response.write_eof()
        return response


def _host(name: str) -> str:
    """A name without its port."""
    host, _, port = name.rpartition(":")
    return (host if port.isdigit() and host else name).strip("[]").lower()


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "stepcredit"}


async def _body(http: Any) -> Any:
    try:
        return msgspec.json.decode(await http.read())  # refuses NaN and halves of characters, which json reads
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise WireError(400, "the body is no JSON") from None


def serve(
    answer: Answer,
    models: Sequence[str] = ("stepcredit",),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    started: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serve until interrupted.

    Args:
        host, port: where to listen; port 0 = a free one. Only 127.0.0.1 keeps other machines out.
        started: told the URL of the API once it listens.
        options: of `application`.
    """

    async def forever() -> None:
        url, stop = await _listen(application(answer, models, **options), host, port)
        try:
            if started is not None:
                started(url)
            await asyncio.Event().wait()
        finally:
            await stop()

    asyncio.run(forever())


@contextmanager
def running(
    answer: Answer, models: Sequence[str] = ("stepcredit",), *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[str]:
    """A server in a thread of its own, as long as the block lasts: the URL of its API. Arguments as of `serve`."""
    app = application(answer, models, **options)
    with in_thread(_listen(app, host, port), "stepcredit-server") as url:
        yield url


@contextmanager
def in_thread(listening: Coroutine[Any, Any, tuple[str, Callable[[], Awaitable[None]]]], name: str) -> Iterator[str]:
    """A server in a thread of its own, as long as the block lasts: its URL.

    Args:
        listening: starts it; returns its URL and what ends it. name: of the thread.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name, daemon=True)
    thread.start()

    def wait(what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, loop).result()

    stop: Callable[[], Any] | None = None
    try:
        url, stop = wait(listening)
        yield url
    finally:
        if stop is not None:
            wait(stop())
        wait(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(app: Any, host: str, port: int) -> tuple[str, Callable[[], Awaitable[None]]]:
    """(URL of the API, what ends it)."""
    web = extra("aiohttp.web", _NEED, name="http")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StepCreditError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", hint="--port 0 takes a free port"
        ) from None
    address = runner.addresses[0]
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{name}:{address[1]}/v1", runner.cleanup
