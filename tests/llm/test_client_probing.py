"""What a server can do is found out, not believed."""

import asyncio
import json

import model_server as fake
import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm.probing import probe

pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def running():
    with fake.running() as server:
        yield server


def answering(change):
    """A server whose requests are changed before it heeds them, or refused (a string)."""

    def faults(number, body):
        changed = change(dict(body))
        if isinstance(changed, str):
            return fake.status(422, text=changed)

        async def reply(request, _):
            good = fake.good(changed, "messages" in changed)
            if "messages" in changed:
                good["usage"]["prompt_tokens"] = 20 - 3 * ("continue_final_message" in changed)
            stop = (changed.get("stop") or ["no such string"])[0]
            for choice in good["choices"]:
                holder, name = (choice["message"], "content") if "message" in choice else (choice, "text")
                holder[name] = holder[name].split(stop)[0]
            return fake.web.Response(body=json.dumps(good).encode(), content_type="application/json")

        return reply

    return faults


def test_a_server_that_does_everything(running):
    running.faults = answering(lambda body: body | ({"logprobs": 1} if body.get("logprobs") == 2 else {}))
    seen = asyncio.run(probe(running.url))
    assert seen.model == fake.MODEL
    for name in ("chat", "completions", "n", "logprobs", "stop", "seed", "echo", "continue_final_message"):
        assert getattr(seen, name) is True, name
    assert "it is ignored" in seen.top_logprobs  # this one lists one token where two are asked for


def test_a_server_that_ignores_what_it_does_not_know_as_transformers_serve_does(running):
    ignored = ("n", "logprobs", "top_logprobs", "echo")

    def change(body):
        if "continue_final_message" in body:
            return "Unexpected fields in the request: {'continue_final_message'}"
        return {k: v for k, v in body.items() if k not in ignored}

    running.faults = answering(change)
    seen = asyncio.run(probe(running.url, fake.MODEL))
    assert seen.n == "2 were asked for and 1 came"
    assert "it is ignored" in seen.logprobs and "it is ignored" in seen.top_logprobs and "it is ignored" in seen.echo
    assert seen.continue_final_message.startswith("422: Unexpected fields")
    report = str(seen)
    assert "logprobs               no: it is ignored" in report and "chat                   yes" in report


def test_a_server_that_ignores_stop_seed_and_the_flag(running):
    calls = iter(range(1000))  # as if each request had a seed of its own

    def change(body):
        body = {k: v for k, v in body.items() if k not in ("stop", "continue_final_message")}
        return body | {"seed": next(calls)} if "seed" in body else body

    running.faults = answering(change)
    seen = asyncio.run(probe(running.url))
    assert "goes on past the string" in seen.stop
    assert seen.seed == "equal seeds gave different texts"
    assert "as if a new answer began" in seen.continue_final_message


def test_a_server_that_leaves_the_stop_string_in_and_never_draws(running):
    def faults(number, body):
        async def reply(request, _):
            text = "4, 5, 6"
            if "stop" in body:
                text = text[: text.index(body["stop"][0]) + 1]
            return fake.web.json_response({"choices": [{"text": text, "message": {"content": text}}]})

        return reply

    running.faults = faults
    seen = asyncio.run(probe(running.url))
    assert seen.stop is True
    assert "does it draw at all" in seen.seed
    assert "counts no tokens" in seen.continue_final_message


def test_a_server_with_one_endpoint(running):
    running.faults = answering(lambda body: "no chat here" if "messages" in body else body)
    seen = asyncio.run(probe(running.url))
    assert seen.chat == "422: no chat here" and seen.completions is True and seen.n is True
    running.faults = answering(lambda body: "nothing here")
    assert "no endpoint answers" in asyncio.run(probe(running.url)).stop


def test_no_server(running):
    with fake.running() as gone:
        url = gone.url
    with pytest.raises(StepCreditError, match="no server at"):
        asyncio.run(probe(url))


def test_a_reply_nested_without_end_is_no_reply(running):
    running.faults = lambda number, body: fake.raw(b"[" * 100_000)
    seen = asyncio.run(probe(running.url))
    assert seen.chat.startswith("no reply of this kind") and seen.completions.startswith("no reply of this kind")
