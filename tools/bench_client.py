"""What the client of model servers costs per call, beside bare loops of other libraries in the same run.

    python tools/bench_client.py [--calls 4000] [--at-once 256] [--kept 100000]

A server in a process of its own answers every request at once with the same bytes, so that the time is that of the
clients. Every client sends the same bodies and reads the reply as JSON; ours keeps each reply on disk besides.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

from stepcredit.llm.client import Client
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Ask

MODEL = "a-model"
TEXT = " ".join(f"word{i}" for i in range(60))
REPLY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 70, "total_tokens": 90},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(REPLY)


class Answering(asyncio.Protocol):
    """Just enough of HTTP: a whole request in, the reply out."""

    def __init__(self):
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            size = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.data) < end + 4 + size:
                return
            self.data = self.data[end + 4 + size :]
            self.transport.write(HEAD + REPLY)


def serve(pipe):
    async def main():
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def prompts(n, name):
    return [f"{name} {i}: is this step right? {TEXT}" for i in range(n)]


def body(prompt):
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 64, "temperature": 0.0}


async def all_of(one, texts, at_once):
    """The seconds that so many workers take."""
    coming = iter(texts)

    async def work():
        for text in coming:
            assert await one(text) == TEXT

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.perf_counter() - began


async def bare_aiohttp(url, texts, at_once):
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(text):
            async with session.post(f"{url}/v1/chat/completions", json=body(text)) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        await all_of(one, texts[:at_once], at_once)
        return await all_of(one, texts, at_once)


async def bare_httpx(url, texts, at_once):
    import httpx2

    limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as session:

        async def one(text):
            response = await session.post(f"{url}/v1/chat/completions", json=body(text))
            return response.json()["choices"][0]["message"]["content"]

        await all_of(one, texts[:at_once], at_once)
        return await all_of(one, texts, at_once)


async def bare_openai(url, texts, at_once):
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x") as session:

        async def one(text):
            reply = await session.chat.completions.create(**body(text))
            return reply.choices[0].message.content

        await all_of(one, texts[:at_once], at_once)
        return await all_of(one, texts, at_once)


def client(url, at_once, folder, name):
    return Client(url, MODEL, api="chat", concurrency=at_once, store=folder / f"{name}.db", answer_tokens=64)


def warm(texts):
    return [f"warm {t}" for t in texts]


async def ours(url, texts, at_once, folder, name):
    async with client(url, at_once, folder, name) as model:

        async def one(text):
            return await model.each(Ask(text))

        await all_of(one, warm(texts[:at_once]), at_once)
        return await all_of(one, texts, at_once)


def ours_list(url, texts, at_once, folder, name):
    with client(url, at_once, folder, name) as model:
        model.judge(warm(texts[:at_once]))
        began = time.perf_counter()
        assert model.judge(texts) == [TEXT] * len(texts)
        return time.perf_counter() - began


def ours_drive(url, texts, at_once, folder, name):
    with client(url, at_once, folder, name) as model:
        model.judge(warm(texts[:at_once]))
        began = time.perf_counter()
        assert sum(1 for _ in drive(map(plan, texts), {"judge": model.judge}, at_once=at_once)) == len(texts)
        return time.perf_counter() - began


def plan(text):
    (reply,) = yield [Ask(text)]
    return reply


def kept(folder, n, at_once):
    """Seconds for n replies from the file: as a list, by plans."""
    texts = prompts(n, "kept")
    with client("http://127.0.0.1:9", at_once, folder, "kept") as model:
        from stepcredit.llm.store import Entry
        from stepcredit.llm.wire import Draft, Reply, call_of, pack

        reply = pack(Reply((Draft(TEXT),), 20, 70))
        keys = [call_of(Ask(t), model._setting, "chat").key for t in texts]
        for at in range(0, n, 1000):
            model._store.write([Entry(k, 0, "answered", reply=reply) for k in keys[at : at + 1000]])
    found = []
    for way in ("list", "plans"):
        with client("http://127.0.0.1:9", at_once, folder, "kept") as model:
            began = time.perf_counter()
            if way == "list":
                assert len(model.judge(texts)) == n
            else:
                assert sum(1 for _ in drive(map(plan, texts), {"judge": model.judge})) == n
            found.append(time.perf_counter() - began)
    return found


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=4000)
    options.add_argument("--at-once", type=int, default=256)
    options.add_argument("--kept", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    logging.disable(logging.WARNING)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url, texts = f"http://127.0.0.1:{mine.recv()}", prompts(given.calls, "ask")
    with tempfile.TemporaryDirectory() as name:
        folder, best = Path(name), {}
        for i in range(given.rounds):
            rows = {
                "aiohttp, bare": lambda: asyncio.run(bare_aiohttp(url, texts, given.at_once)),
                "httpx2, bare": lambda: asyncio.run(bare_httpx(url, texts, given.at_once)),
                "openai, bare": lambda: asyncio.run(bare_openai(url, texts, given.at_once)),
                "stepcredit, in the loop": lambda i=i: asyncio.run(ours(url, texts, given.at_once, folder, f"each{i}")),
                "stepcredit, list": lambda i=i: ours_list(url, texts, given.at_once, folder, f"list{i}"),
                "stepcredit, plans": lambda i=i: ours_drive(url, texts, given.at_once, folder, f"plans{i}"),
            }
            for row, measure in rows.items():
                best[row] = min(best.get(row, float("inf")), measure())
        print(f"{given.calls:,} calls, {given.at_once} at once, best of {given.rounds}")
        print(f"{'':<26}{'us a call':>10}{'/ aiohttp':>11}{'/ httpx2':>10}{'/ openai':>10}")
        for row, seconds in best.items():
            ratios = [seconds / best[f"{other}, bare"] for other in ("aiohttp", "httpx2", "openai")]
            print(
                f"{row:<26}{seconds / given.calls * 1e6:>10.0f}{ratios[0]:>11.2f}{ratios[1]:>10.2f}{ratios[2]:>10.2f}"
            )
        if given.kept:
            for way, seconds in zip(("list", "plans"), kept(folder, given.kept, given.at_once), strict=True):
                print(f"{given.kept:,} kept replies, {way}: {given.kept / seconds:,.0f} a second")
    server.terminate()


if __name__ == "__main__":
    main()
