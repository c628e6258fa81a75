"""`stepcredit llm`: servers started as a user starts them, and asked over HTTP."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib import import_module

import pytest
from typer.testing import CliRunner

from conftest import skip_or_fail
from stepcredit.app.llm import app
from stepcredit.envs.game24 import Policy
from stepcredit.errors import DataError, StepCreditError
from stepcredit.llm.tabular import Tabular

TASK = "Make 24 from 4 5 6 10, each number once.\n"


@pytest.fixture(scope="module", autouse=True)
def aiohttp():
    try:
        return import_module("aiohttp")
    except ImportError:
        return skip_or_fail("aiohttp", "aiohttp is not installed")


@contextmanager
def started(*argv, **variables):
    """The URL that a server prints."""
    program = "from stepcredit.app.llm import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *argv, "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read()
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "Traceback" not in said


def ask(url, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as reply:
        return json.loads(reply.read())


def test_the_tabular_model_is_served():
    with started("serve-tabular", "--skill", "4", "--seed", "3", "--name", "twin") as url:
        told = ask(url + "/completions", {"prompt": TASK, "max_tokens": 99, "seed": 8, "model": "twin"})
    (sample,) = Tabular(Policy(seed=3, skill=4.0), 3).sampler([TASK], max_tokens=99, seed=8)[0]
    assert told["choices"][0]["text"] == sample.text


def test_the_tabular_model_is_fitted_to_rollouts(tmp_path):
    rows = [{"puzzle": "4 5 6 10", "rollouts": ["10 - 4 = 6 (left: 5 6 6)\n5 * 6 = 30\n30 - 6 = 24"], "correct": [1]}]
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    with started("serve-tabular", "--data", str(path)) as url:
        told = ask(url + "/completions", {"prompt": TASK, "n": 50, "stop": "\n", "seed": 1})
    assert not [c for c in told["choices"] if c["text"].startswith("Answer")]  # nobody gave up in that file


def test_replies_from_a_file_are_served_to_who_has_the_key(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text('{"prompt_contains": "2 + 2", "reply": "4"}\n', "utf-8")
    body = {"messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    with started("serve-scripted", str(path), "--key-env", "MY_KEY", MY_KEY="secret") as url:
        told = ask(url + "/chat/completions", body, Authorization="Bearer secret")
        assert told["choices"][0]["message"]["content"] == "4" and told["model"] == "scripted"
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            ask(url + "/chat/completions", body)
        refused.value.close()


def test_a_model_of_transformers_is_served(tiny_model):
    with started("serve-local", str(tiny_model), "--name", "tiny") as url:
        assert [m["id"] for m in ask(url + "/models")["data"]] == ["tiny"]
        told = ask(url + "/completions", {"prompt": "2 + 3 = ", "max_tokens": 3, "temperature": 0, "logprobs": 2})
    assert told["choices"][0]["text"] and len(told["choices"][0]["logprobs"]["top_logprobs"][0]) == 2


def test_what_a_server_can_do_is_tried_out():
    with started("serve-tabular") as url:
        said = CliRunner().invoke(app, ["probe", url])
        told = CliRunner().invoke(app, ["probe", url, "--json"])
    assert said.exit_code == 0 and len(said.stdout.splitlines()) > 3, said.exception
    assert isinstance(json.loads(told.stdout), dict)


@pytest.mark.parametrize(
    ("argv", "error", "match"),
    [
        (["serve-scripted", "{empty}"], DataError, "no replies"),
        (["serve-scripted", "{empty}", "--key-env", "NO_SUCH_KEY"], StepCreditError, "--key-env NO_SUCH_KEY"),
        (["serve-tabular", "--data", "{empty}"], StepCreditError, "empty"),
        (["serve-local", "{empty}"], StepCreditError, "no model can be loaded"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path, argv, error, match):
    (tmp_path / "empty.jsonl").write_text("")
    argv = [a.replace("{empty}", str(tmp_path / "empty.jsonl")) for a in argv]
    ended = CliRunner().invoke(app, argv)
    assert isinstance(ended.exception, error)
    assert match in str(ended.exception)


@pytest.mark.parametrize("name", ["serve-tabular", "serve-scripted", "serve-local", "probe"])
def test_help_shows_an_example(name):
    ended = CliRunner().invoke(app, [name, "--help"])
    assert ended.exit_code == 0 and f"Example: stepcredit llm {name}" in ended.stdout
