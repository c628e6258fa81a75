"""An OpenAI-compatible server, asked over HTTP by the official client and by hand."""

import asyncio
import json
import math
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from conftest import skip_or_fail
from stepcredit.envs.game24 import Policy
from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.llm.server import WireError, over_local, over_sampler, render, running, serve
from stepcredit.llm.tabular import Tabular
from stepcredit.protocols import Sample

TASK = "Make 24 from 4 5 6 10, each number once.\n"
POLICY = Policy(skill=4.0)


def package(name):
    try:
        return import_module(name)
    except ImportError:
        return skip_or_fail(name, f"{name} is not installed")


@pytest.fixture(scope="module", autouse=True)
def aiohttp():
    return package("aiohttp")


@pytest.fixture(scope="module")
def model():
    return Tabular(POLICY)


@pytest.fixture(scope="module")
def url(model):
    with running(over_sampler(model.sampler, read=model.read), ["tabular", "other"]) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    with package("openai").OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def http(url, body=None, *, headers=None, method=None):
    """(status, JSON), whatever the status."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_completions_are_those_of_the_model(client, model):
    prompts = [TASK, TASK + "10 - 4 = ", "What?"]
    found = client.completions.create(
        model="tabular", prompt=prompts, n=3, max_tokens=100, seed=5, logprobs=2, stop=["left"], temperature=0.7
    )
    direct = model.sampler(prompts, n=3, max_tokens=100, seed=5, stop=["left"], temperature=0.7)
    flat = [s for n in direct for s in n]
    assert [c.text for c in found.choices] == [s.text for s in flat]
    assert [c.index for c in found.choices] == list(range(9))
    for choice, sample in zip(found.choices, flat, strict=True):
        assert choice.finish_reason == ("stop" if sample.finished else "length")
        assert tuple(choice.logprobs.tokens) == sample.tokens
        np.testing.assert_array_equal(choice.logprobs.token_logprobs, sample.logp)
        for told, tokens, values in zip(choice.logprobs.top_logprobs, sample.top_tokens, sample.top_logp, strict=True):
            assert told == dict(list(zip(tokens, values.tolist(), strict=True))[:2])
    assert found.usage.prompt_tokens == sum(n[0].read for n in direct)
    assert found.usage.completion_tokens == sum(s.written for s in flat)


def test_a_chat_is_answered_and_goes_on(client, model):
    ask = [{"role": "user", "content": TASK.strip()}]
    found = client.chat.completions.create(
        model="tabular", messages=ask, n=2, seed=1, logprobs=True, top_logprobs=3, max_completion_tokens=90
    )
    direct = model.sampler([TASK], n=2, seed=1, max_tokens=90)[0]
    assert [c.message.content for c in found.choices] == [s.text for s in direct]
    for choice, sample in zip(found.choices, direct, strict=True):
        assert sum(t.logprob for t in choice.logprobs.content) == pytest.approx(sample.logp.sum())
        assert [len(t.top_logprobs) for t in choice.logprobs.content] == [min(len(t), 3) for t in sample.top_tokens]
    begun = [*ask, {"role": "assistant", "content": [{"type": "text", "text": "10 - 4 = 6 (le"}]}]
    more = client.chat.completions.create(
        model="tabular", messages=begun, stop="\n", extra_body={"continue_final_message": True}
    )
    assert more.choices[0].message.content == "ft: 5 6 6)" and more.choices[0].stop_reason == "\n"


@pytest.mark.parametrize("logprobs", [False, True])
def test_streams_say_the_same(client, logprobs):
    setting = {"model": "tabular", "messages": [{"role": "user", "content": TASK}], "n": 2, "seed": 3}
    setting["logprobs"] = logprobs
    whole = client.chat.completions.create(**setting)
    chunks = list(client.chat.completions.create(**setting, stream=True, stream_options={"include_usage": True}))
    texts, reasons = ["", ""], [None, None]
    for choice in (c for chunk in chunks for c in chunk.choices):
        texts[choice.index] += choice.delta.content or ""
        reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [c.message.content for c in whole.choices] and reasons == ["stop", "stop"]
    assert chunks[-1].usage == whole.usage and len(chunks) > 5
    told = [t for chunk in chunks for c in chunk.choices if c.logprobs for t in c.logprobs.content]
    assert len(told) == (whole.usage.completion_tokens if logprobs else 0)


def test_completions_stream(client):
    setting = {"model": "tabular", "prompt": TASK, "seed": 3, "max_tokens": 99}
    parts = [c.choices[0].text for c in client.completions.create(**setting, stream=True)]
    assert len(parts) > 2 and "".join(parts) == client.completions.create(**setting).choices[0].text


def test_echo_tells_the_log_probabilities_of_what_is_given(client, model):
    text = "10 - 4 = 6 (left: 5 6 6)\n6 * 5 = 30 (left: 6 30)\n"
    found = client.completions.create(model="tabular", prompt=TASK + text, max_tokens=0, echo=True, logprobs=1)
    (choice,) = found.choices
    assert choice.text == TASK + text and "".join(choice.logprobs.tokens) == choice.text
    values = [
        v for v, at in zip(choice.logprobs.token_logprobs, choice.logprobs.text_offset, strict=True) if at >= len(TASK)
    ]
    np.testing.assert_allclose(values, model.forcer([TASK], [text])[0])
    more = client.completions.create(model="tabular", prompt=TASK, max_tokens=20, echo=True, logprobs=1, seed=1)
    assert len(more.choices[0].logprobs.top_logprobs) == len(more.choices[0].logprobs.tokens)
    assert more.choices[0].logprobs.token_logprobs[0] is None
    plain = client.completions.create(model="tabular", prompt=TASK, max_tokens=20, echo=True, seed=1)
    assert plain.choices[0].text == more.choices[0].text


def test_what_is_never_written_is_a_number_on_the_wire(client):
    found = client.completions.create(model="tabular", prompt=TASK + "Hello", max_tokens=0, echo=True, logprobs=0)
    assert found.choices[0].logprobs.token_logprobs[-1] == -9999.0


def test_models_and_health(client, url):
    assert [m.id for m in client.models.list()] == ["tabular", "other"]
    assert client.models.retrieve("other").id == "other"
    assert http(url.removesuffix("/v1") + "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("path", "body", "status", "match"),
    [
        ("completions", b"{", 400, "no JSON"),
        ("completions", [], 400, "no JSON object"),
        ("completions", b'{"prompt": "a\\ud800"}', 400, "no JSON"),
        ("completions", b'{"prompt": "a", "temperature": NaN}', 400, "no JSON"),
        ("completions", {"prompt": "a", "max_tokens": 1.5}, 400, "max_tokens: got float"),
        ("completions", {}, 400, "prompt"),
        ("completions", {"prompt": [1, 2]}, 400, "token ids"),
        ("completions", {"prompt": "a", "n": 0}, 400, "n: expected 1"),
        ("completions", {"prompt": "a", "n": True}, 400, "n: got bool"),
        ("completions", {"prompt": "a", "temperature": -1}, 400, "temperature"),
        ("completions", {"prompt": "a", "max_tokens": 0}, 400, "only with echo"),
        ("completions", {"prompt": "a", "max_tokens": "9"}, 400, "max_tokens"),
        ("completions", {"prompt": "a", "stop": [3]}, 400, "stop"),
        ("completions", {"prompt": "a", "logprobs": 99}, 400, "logprobs"),
        ("completions", {"prompt": "a", "model": "gpt"}, 404, "there are: tabular, other"),
        ("chat/completions", {"messages": []}, 400, "messages"),
        ("chat/completions", {"messages": [{"content": "a"}]}, 400, "role"),
        ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "text"),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": "a"}], "continue_final_message": True},
            400,
            "assistant",
        ),
        ("embeddings", {}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_an_error_as_openai_writes_it(url, path, body, status, match):
    got, told = http(f"{url}/{path}", body)
    assert got == status and match in told["error"]["message"]
    assert told["error"]["type"] in ("invalid_request_error", "not_found_error")


def test_the_client_raises_its_own_errors(client):
    openai = package("openai")
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        client.completions.create(model="gpt", prompt="a")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completions.create(model="tabular", prompt="a", temperature=1000)


def test_a_foreign_host_name_is_turned_away_unless_it_is_told():
    answer = over_sampler(Scripted({"": "x"}).sampler)
    with running(answer) as url:
        assert http(url + "/models", headers={"Host": "evil.example"})[0] == 403
        for name in ("localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"):
            assert http(url + "/models", headers={"Host": name})[0] == 200
        assert http(url + "/models", headers={"Origin": "https://evil.example"})[0] == 403
        assert http(url + "/models", headers={"Origin": "http://localhost:3000"})[0] == 200
        for page in ("null", "file://"):  # a sandboxed page of anybody's
            assert http(url + "/models", headers={"Origin": page})[0] == 403
    with running(answer, hosts=["good.example"]) as url:
        assert http(url + "/models", headers={"Host": "good.example:80"})[0] == 200
    with running(answer, hosts=["*"]) as url:
        assert http(url + "/models", headers={"Host": "any.example"})[0] == 200


def test_a_key_is_asked_for():
    with running(over_sampler(Scripted({"": "x"}).sampler), key="secret") as url:
        status, told = http(url + "/models")
        assert status == 401 and told["error"]["code"] == "invalid_api_key"
        assert http(url + "/models", headers={"Authorization": "Bearer wrong"})[0] == 401
        assert http(url + "/models", headers={"Authorization": "Bearer secret"})[0] == 200
        assert http(url.removesuffix("/v1") + "/health")[0] == 200


def test_a_body_that_is_too_long_is_refused():
    with running(over_sampler(Scripted({"": "x"}).sampler), most_bytes=1000) as url:
        assert http(url + "/completions", {"prompt": "a" * 100})[0] == 200
        assert http(url + "/completions", {"prompt": "a" * 2000})[0] == 413


def test_requests_that_wait_go_into_one_call():
    calls, entered, go = [], threading.Event(), threading.Event()

    def sampler(prompts, *, n, max_tokens, temperature, stop):
        calls.append(list(prompts))
        entered.set()
        go.wait(30)
        return [[Sample(p + "!")] * n for p in prompts]

    inner, arrived = over_sampler(sampler), threading.Semaphore(0)

    async def answer(asked):
        arrived.release()
        return await inner(asked)

    with running(answer) as url, ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(http, url + "/completions", {"prompt": "first"})]
        assert entered.wait(30)
        asked += [pool.submit(http, url + "/completions", {"prompt": f"p{i}", "n": 1 + i % 2}) for i in range(8)]
        assert all(arrived.acquire(timeout=30) for _ in range(9))
        go.set()
        texts = [one.result()[1]["choices"][0]["text"] for one in asked]
    assert texts == ["first!", *(f"p{i}!" for i in range(8))]
    assert calls[0] == ["first"] and sorted(map(len, calls[1:])) == [4, 4]


def test_a_seed_makes_the_answer_depend_on_the_request_alone(url, model):
    bodies = [{"prompt": TASK, "seed": s % 5, "max_tokens": 99} for s in range(40)]
    with ThreadPoolExecutor(20) as pool:
        texts = [t["choices"][0]["text"] for _, t in pool.map(lambda b: http(url + "/completions", b), bodies)]
    assert texts == [model.sampler([TASK], seed=s % 5, max_tokens=99)[0][0].text for s in range(40)]


def test_an_error_of_the_model_reaches_the_one_who_asked():
    def sampler(prompts, *, n, max_tokens, temperature, stop):
        if max_tokens == 1:
            raise RuntimeError("out of memory")
        if max_tokens == 2:
            return []
        raise StepCreditError("too long")

    with running(over_sampler(sampler)) as url:
        status, told = http(url + "/completions", {"prompt": "a", "max_tokens": 1})
        assert status == 500 and told["error"] == {
            "message": "RuntimeError: out of memory",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        assert "0 replies to 1" in http(url + "/completions", {"prompt": "a", "max_tokens": 2})[1]["error"]["message"]
        assert http(url + "/completions", {"prompt": "a"})[0] == 400
        status, told = http(url + "/completions", {"prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 0})
        assert status == 400 and "echo" in told["error"]["message"]


def test_any_function_may_answer():
    """As a gateway does: whole bodies, or errors."""

    async def answer(asked):
        if asked.n > 1:
            raise WireError(429, "come back later", code="rate_limit_exceeded")
        call = {"id": "c1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {
            "id": "mine",
            "object": "chat.completion",
            "created": 1,
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "tools": len(asked.body["tools"]),
        }

    body = {"messages": [{"role": "user", "content": "go"}], "model": "m", "tools": [{}]}
    openai = package("openai")
    with running(answer, ["m"]) as url, openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        status, told = http(url + "/chat/completions", body)
        assert status == 200 and told["id"] == "mine" and told["tools"] == 1
        chunks = list(client.chat.completions.create(**body, stream=True))
        (call,) = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or []]
        assert call.function.name == "go" and call.index == 0
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
        with pytest.raises(openai.RateLimitError, match="later"):
            client.chat.completions.create(**body, n=2)


def test_what_is_not_known_is_not_told():
    def sampler(prompts, *, n, max_tokens, temperature, stop):
        return [[Sample("x")] * n for _ in prompts]

    with running(over_sampler(sampler)) as url:
        told = http(url + "/completions", {"prompt": "a", "logprobs": 1, "stop": ["y", "z"]})[1]
    assert told["usage"] is None and told["choices"][0]["logprobs"] is None and "stop_reason" not in told["choices"][0]


def test_messages_as_one_text():
    chat = [{"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "Go"}, {"role": "assistant"}]
    assert render(chat[:2], False) == "Be brief.\nGo\n"
    assert render([*chat[:2], {"role": "assistant", "content": "I"}], True) == "Be brief.\nGo\nI"
    assert render(chat, True) == "Be brief.\nGo\n"


def test_a_local_model_is_served(engine):
    engine = replace(engine, top=3)
    prompt = "2 + 3 = "
    with running(over_local(engine)) as url:
        body = {"prompt": prompt, "max_tokens": 6, "temperature": 0, "logprobs": 3, "echo": True}
        told = http(url + "/completions", body)[1]["choices"][0]
        (sample,) = engine.sampler([prompt], max_tokens=6, temperature=0)[0]
        assert told["text"] == prompt + sample.text
        values = told["logprobs"]["token_logprobs"]
        np.testing.assert_allclose(values[len(values) - len(sample.logp) :], sample.logp, atol=1e-5)
        given = engine.forcer([prompt[:1]], [prompt[1:]])[0]
        np.testing.assert_allclose(
            values[len(values) - len(sample.logp) - len(given) :][: len(given)], given, atol=1e-4
        )
        chat = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 6, "temperature": 0}
        assert http(url + "/chat/completions", chat)[0] == 200


def test_a_chat_template_is_used(engine):
    package("jinja2")
    engine.tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% if not loop.last %} + {% endif %}{% endfor %}"
        "{% if add_generation_prompt %} = {% endif %}"
    )
    two, three = ({"role": role, "content": text} for role, text in (("user", "2"), ("assistant", "3")))
    with running(over_local(engine)) as url:
        for messages, more, prompt in (
            ([two, three], {}, "2 + 3 = "),
            ([two, three], {"continue_final_message": 1}, ""),
        ):
            body = {"messages": messages, "max_tokens": 4, "temperature": 0, **dict.fromkeys(more, True)}
            status, told = http(url + "/chat/completions", body)
            (sample,) = engine.sampler([prompt or "2 + 3"], max_tokens=4, temperature=0)[0]
            assert status == 200 and told["choices"][0]["message"]["content"] == sample.text


def test_a_port_that_is_taken_is_said(url):
    port = int(url.split(":")[2].split("/")[0])
    with pytest.raises(StepCreditError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(over_sampler(Scripted({"": "x"}).sampler), port=port)
    with pytest.raises(StepCreditError, match="at least one model"), running(asyncio.sleep, []):
        pass


def test_the_chance_of_a_right_answer_is_the_same_over_http(url, model):
    n = 1000
    told = http(url + "/completions", {"prompt": TASK, "n": n, "max_tokens": 200, "seed": 2})[1]
    share = sum(model.solved(c["text"], TASK) for c in told["choices"]) / n
    value = model.value(TASK)
    assert abs(share - value) < 4 * math.sqrt(value * (1 - value) / n)


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_our_own_client_gets_what_the_model_says(url, model, api):
    from stepcredit.llm.client import Client

    text = "10 - 4 = 6 (left: 5 6 6)\n6 * 5 = 30 (left: 6 30)\n"
    with Client(url, "tabular", api=api, logprobs=2) as client:
        (samples,) = client.sampler([TASK], n=40, max_tokens=60, stop=["\n"])
        (forced,) = client.forcer([TASK], [text])
    np.testing.assert_allclose(forced, model.forcer([TASK], [text])[0])
    assert len({s.text for s in samples}) > 5
    for sample in samples:
        np.testing.assert_allclose(sample.logp, model.forcer([TASK], [sample.text])[0])
        assert sample.finished and sample.ended is False and "".join(sample.tokens) == sample.text
