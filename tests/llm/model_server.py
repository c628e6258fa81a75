"""A model server for tests: replies made of a hash, faults as a script says, everything that came noted."""

import asyncio
import json
import threading
from contextlib import contextmanager
from hashlib import blake2b

from aiohttp import web

MODEL = "a-model"


def words(body, i):
    """A text of three words that depends on prompt, seed and which of n it is."""
    asked = body.get("prompt") or json.dumps(body.get("messages"))
    drawn = blake2b(f"{asked}|{body.get('seed')}|{i}".encode(), digest_size=3).hexdigest()
    return [f" {drawn[j : j + 2]}" for j in (0, 2, 4)]


def chat_choice(body, i):
    tokens = words(body, i)
    choice = {"index": i, "message": {"role": "assistant", "content": "".join(tokens)}, "finish_reason": "stop"}
    choice["stop_reason"] = None
    if body.get("logprobs"):
        likely = [{"token": " no", "logprob": -2.0}, {"token": " yes", "logprob": -0.5}][: body["top_logprobs"]]
        choice["logprobs"] = {"content": [{"token": t, "logprob": -0.25, "top_logprobs": likely} for t in tokens]}
    return choice


def plain_choice(body, i):
    tokens = words(body, i)
    text = "".join(tokens)
    choice = {"index": i, "text": text, "finish_reason": "stop", "stop_reason": None}
    logp = [-0.25] * len(tokens)
    if body.get("echo"):
        prompt = ["<s>", *body["prompt"].replace(" ", "\0 ").split("\0")]
        prompt = [t for t in prompt if t]
        tokens, text = [*prompt, " x"], body["prompt"] + " x"
        logp = [None, *(-0.5 * i for i in range(1, len(prompt))), -1.0]
        choice["text"] = text
    if body.get("logprobs") is not None:
        choice["logprobs"] = {"tokens": tokens, "token_logprobs": logp, "top_logprobs": [{t: -0.25} for t in tokens]}
    return choice


def good(body, chat):
    """The body of a good reply."""
    n = body.get("n", 1)
    choices = [(chat_choice if chat else plain_choice)(body, i) for i in range(n)]
    return {"choices": choices, "usage": {"prompt_tokens": 11, "completion_tokens": 3 * n}, "model": MODEL}


class Server:
    """url: where it is. faults: a function (number of the request, body) -> a fault, None for a good reply; a fault is
    a coroutine function (request, body) -> response. seen: all bodies; most: the most that were under way at once.
    listing: a fault in place of the list of models."""

    def __init__(self):
        self.faults = lambda number, body: None
        self.seen, self.paths, self.keys = [], [], []
        self.now = self.most = 0
        self.delay = 0.0
        self.listing = None

    def app(self):
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.post)
        app.router.add_post("/v1/completions", self.post)
        return app

    async def models(self, request):
        if self.listing is not None:
            return await self.listing(request, None)
        return web.json_response({"data": [{"id": MODEL}]})

    async def post(self, request):
        body = await request.json()
        self.seen.append(body)
        self.paths.append(request.path)
        self.keys.append(request.headers.get("Authorization"))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            fault = self.faults(len(self.seen), body)
            if fault is not None:
                return await fault(request, body)
            return web.json_response(good(body, "chat" in request.path))
        finally:
            self.now -= 1


@contextmanager
def running(port=0):
    """A server in a thread of its own."""
    server, loop = Server(), asyncio.new_event_loop()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1, handler_cancellation=True)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", port)
    loop.run_until_complete(site.start())
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(runner), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def stop(runner):
    await runner.cleanup()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def status(code, *, text="busy", **headers):
    async def fault(request, body):
        return web.json_response({"error": {"message": text}}, status=code, headers=headers)

    return fault


def raw(data):
    async def fault(request, body):
        return web.Response(body=data, content_type="application/json")

    return fault


async def truncated(request, body):
    data = json.dumps(good(body, "chat" in request.path)).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    request.transport.close()
    return response


async def half_open(request, body):
    await asyncio.sleep(60)


async def drops(request, body):
    request.transport.abort()
    return web.Response()


async def drips(request, body):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"choices": [')
    await asyncio.sleep(60)
    return response


async def endless(request, body):
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(b" " * 65536)
    return response
