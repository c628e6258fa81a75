"""The client against `transformers serve`, which knows neither log-probabilities nor n."""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import served

from conftest import skip_or_fail
from stepcredit.llm import local, tiny
from stepcredit.llm.client import Client
from stepcredit.llm.probing import probe
from stepcredit.llm.requests import Ask, Continue, Failed, Force

NEEDS = ("accelerate", "fastapi", "openai", "rich", "uvicorn")  # transformers[serving]
TASKS = [chain.task for chain in tiny.data(4, seed=41)]
PROMPTS = [f"{task}\n" for task in TASKS]


@pytest.fixture(scope="module")
def program():
    """`transformers`, with what it needs to serve."""
    path = Path(sys.executable).with_name("transformers")
    if not path.exists() or not all(map(find_spec, NEEDS)):
        skip_or_fail("transformers_serve", "transformers[serving] is not installed")
    return path


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
    """A model that calculates, mostly right."""
    model, words = tiny.build(0, steps=150)
    words.chat_template = served.TEMPLATE
    # Without this its server takes the likeliest token whatever the temperature.
    model.generation_config.do_sample = True
    return tiny.save(tmp_path_factory.mktemp("served"), model, words)


@pytest.fixture(scope="module")
def server(program, folder, tmp_path_factory):
    """It, served."""
    command = [program, "serve", folder, "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    server = served.Server(command, tmp_path_factory.mktemp("serve") / "log").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def greedy(folder):
    """What the model says likeliest, by transformers itself."""
    return [s.text for (s,) in local.load(folder).sampler(PROMPTS, temperature=0, max_tokens=60)]


@pytest.fixture
def client(server, folder):
    """Of that server, by completions."""
    with Client(server.url, str(folder), api="completions") as client:
        yield client


def test_n_samples_are_asked_for_one_by_one(client):
    rows = client.sampler(PROMPTS, n=5, max_tokens=60, temperature=1.5)
    assert [len(row) for row in rows] == [5] * len(PROMPTS)
    assert all(len({s.text for s in row}) > 1 for row in rows)
    assert client.spent.used.calls == 5 * len(PROMPTS)
    assert len(client.notes) == 1 and "one by one" in client.notes[0]


def test_a_stop_string_that_it_leaves_in_the_text_is_taken_out(client, greedy):
    found = client.sampler(PROMPTS, temperature=0, max_tokens=60, stop=["\n"])
    assert [s.text for (s,) in found] == [text.split("\n")[0] for text in greedy]
    assert {(s.finished, s.ended) for (s,) in found} == {(True, False)}
    (cut,) = client.sampler(PROMPTS[:1], temperature=0, max_tokens=2, stop=["\n"])[0]
    assert cut.text == greedy[0][:2] and not cut.finished


def test_log_probs_that_it_leaves_out_are_missing_and_said_to_be(server, folder, greedy):
    with Client(server.url, str(folder), api="completions", logprobs=2) as client:
        found = client.sampler(PROMPTS, temperature=0, max_tokens=60)
        (forced,) = client.all([Force(PROMPTS[0], "3")])
    assert [s.text for (s,) in found] == greedy
    assert all(s.logp is None and s.tokens == () and s.top_logp == () for (s,) in found)
    assert len(client.notes) == 1 and "logprobs" in client.notes[0]
    assert isinstance(forced, Failed) and "log-probabilities" in forced.reason


def test_its_counts_of_tokens_are_what_is_charged(client, greedy):
    client.sampler(PROMPTS, temperature=0, max_tokens=60)
    used = client.spent.used
    assert (used.prompt, used.completion) == (sum(map(len, PROMPTS)), sum(len(text) + 1 for text in greedy))


def test_a_prefix_is_gone_on_from_where_there_is_no_chat(client, greedy):
    cuts = [text.index("\n") + 1 for text in greedy]
    requests = [Continue(p, t[:i], 1, 60, 0.0) for p, t, i in zip(PROMPTS, greedy, cuts, strict=True)]
    assert [row[0].text for row in client.all(requests)] == [t[i:] for t, i in zip(greedy, cuts, strict=True)]


def test_a_chat_answers_and_a_beginning_of_an_answer_that_it_cannot_take_fails(server, folder, greedy):
    with Client(server.url, str(folder), api="chat", answer_tokens=60) as client:
        answer, begun = client.all([Ask(TASKS[0]), Continue(TASKS[0], greedy[0][:2], temperature=0.0)])
    assert answer == greedy[0]
    assert isinstance(begun, Failed) and "continue_final_message" in begun.reason


def test_the_name_of_its_model_is_found(server, greedy):
    with Client(server.url, answer_tokens=60) as client:
        assert client.judge(TASKS) == greedy


def test_a_probe_finds_what_it_leaves_out(server, folder):
    found = asyncio.run(probe(server.url))
    assert found.model == str(folder)
    assert (found.chat, found.completions, found.stop) == (True, True, True)
    assert found.n == "2 were asked for and 1 came"
    assert "ignored" in found.logprobs and "ignored" in found.top_logprobs and "ignored" in found.echo
    assert "continue_final_message" in found.continue_final_message
