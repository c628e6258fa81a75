"""A model server through the client: what is asked, kept, counted, and what is said when it goes wrong."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import model_server as fake
import numpy as np
import pytest

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.llm.budget import Budget, Use
from stepcredit.llm.client import Client
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Ask, BudgetSpent, Continue, Failed, Force, Score
from stepcredit.llm.store import Store

pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def running():
    with fake.running() as server:
        yield server


@pytest.fixture
def server(running):
    running.faults = lambda number, body: None
    running.delay, running.most = 0.0, 0
    running.seen.clear(), running.paths.clear(), running.keys.clear()
    return running


def client(server, **options):
    return Client(server.url, **({"model": fake.MODEL, "api": "completions", "backoff": 0.001} | options))


def first(fault, times=1):
    return lambda number, body: fault if number <= times else None


def test_it_is_a_sampler_a_judge_and_a_forcer(server):
    with client(server, logprobs=1) as model:
        (one, two), _ = model.sampler(["2+2=", "3+3="], n=2, max_tokens=7, temperature=0.5, stop=["\n"])
        assert server.seen[0] | {"seed": 0} == {
            "model": fake.MODEL,
            "prompt": "2+2=",
            "max_tokens": 7,
            "temperature": 0.5,
            "n": 2,
            "stop": ["\n"],
            "seed": 0,
            "logprobs": 1,
        }
        assert one.text == "".join(one.tokens) != two.text and one.finished and one.ended
        assert one.logp.tolist() == [-0.25] * 3 and one.top_tokens == tuple((t,) for t in one.tokens)
        assert (one.read, two.read, one.written) == (11, 0, 3)
        assert isinstance(model.judge(["right?"])[0], str)
        assert server.seen[-1]["temperature"] == 0.0
        (logp,) = model.forcer(["the begin"], [" and the end"])
        assert logp.tolist() == [-1.5, -2.0, -2.5]


def test_an_answer_that_was_begun_is_gone_on_with(server):
    with client(server, api="chat", system="Be brief.") as model:
        model.all([Continue("Why?", "Because")])
    body = server.seen[0]
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant"]
    assert body["messages"][-1]["content"] == "Because"
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False
    with client(server) as model:
        model.all([Continue("Why?", " Because")])
    assert server.seen[1]["prompt"] == "Why? Because"


def test_a_chat_that_cannot_go_on_with_an_answer_says_what_does(server):
    server.faults = first(fake.status(422, text="Unexpected fields"))
    with client(server, api="chat") as model:
        (reply,) = model.all([Continue("Why?", "Because")])
    assert reply.reason.startswith("the server answered 422: Unexpected fields; ")
    assert "api='completions'" in reply.reason


def test_the_same_draw_has_one_answer_and_another_draw_another_seed(server):
    with client(server) as model:
        same = model.all([Continue("a"), Continue("a"), Continue("a", draw=1)])
        assert len(server.seen) == 2
        assert same[0][0].text == same[1][0].text != same[2][0].text
        assert len({b["seed"] for b in server.seen}) == 2 and all(0 <= b["seed"] < 2**31 for b in server.seen)
        model.all([Continue("a")])
        assert len(server.seen) == 2
        assert model.sampler(["a"])[0][0].text != model.sampler(["a"])[0][0].text


def test_plans_and_event_loops_use_it_too(server):
    def plan(prompt):
        (samples, answer, score, logp) = yield [Continue(prompt), Ask(prompt), Score(prompt, "x"), Force(prompt, " x")]
        return samples[0].text, answer, score, logp.tolist()

    with client(server) as model:
        scorer = model.scorer(lambda prefix, step: f"{prefix}|{step}", lambda text: float(len(text)))
        models = {"sampler": model.sampler, "judge": model.judge, "scorer": scorer, "forcer": model.forcer}
        found = dict(drive((plan(f"{i} is") for i in range(40)), models))
        assert len(found) == 40 and found[3][2] == 9.0 and len(found[3][3]) == 1
        assert scorer(["3 is"], ["x"]).tolist() == [9.0]
        assert len(server.seen) == 160

        async def inside():
            return await model.each(Continue("3 is"))

        assert asyncio.run(inside())[0].text == found[3][0]

    async def home():
        async with client(server) as model:
            with pytest.raises(StepCreditError, match="wait for itself"):
                model.judge(["new"])
            return await asyncio.gather(*(model.each(Continue(f"{i} is")) for i in range(5)))

    assert asyncio.run(home())[3][0].text == found[3][0]


def test_no_more_requests_are_under_way_than_told(server):
    server.delay = 0.01
    with client(server, concurrency=8) as model:
        model.judge([str(i) for i in range(64)])
    assert server.most == 8


@pytest.mark.parametrize("doors", ["list", "each"])
def test_64_at_once_stop_exactly_at_the_budget(server, doors):
    server.delay = 0.002
    prompts = [f"{i:03}" for i in range(200)]
    budget = Budget(calls=150, completion_tokens=3 * 120 + 20)
    with client(server, budget=budget, answer_tokens=20) as model:

        async def one(prompt):
            try:
                return await model.each(Ask(prompt))
            except BudgetSpent:
                return None

        async def every():
            return await asyncio.gather(*map(one, prompts))

        if doors == "list":
            with pytest.raises(BudgetSpent, match="completion_tokens"):
                model.judge(prompts)
        else:
            assert sum(a is not None for a in asyncio.run(every())) == len(server.seen)
        # 20 tokens are set aside for each, 3 are used: the last that fits begins with 360 spent.
        assert len(server.seen) == 121
        assert model.spent.used == Use(121, 121 * 11, 121 * 3) and model.spent.reserved == Use()


def test_what_is_kept_costs_neither_budget_nor_calls(server, tmp_path):
    with client(server, store=tmp_path / "s.db") as model:
        before = model.sampler(["a", "b"], n=2)
    with client(server, store=tmp_path / "s.db", budget=Budget(calls=0)) as model:
        assert [[s.text for s in p] for p in model.sampler(["a", "b"], n=2)] == [[s.text for s in p] for p in before]
        with pytest.raises(BudgetSpent):
            model.sampler(["c"])
    assert len(server.seen) == 2


def test_a_run_of_one_name_goes_on_with_its_budget(server, tmp_path):
    with client(server, store=tmp_path / "s.db", run="one") as model:
        model.judge(["a", "b"])
    with client(server, store=tmp_path / "s.db", run="one", budget=Budget(calls=3)) as model:
        assert model.spent.used == Use(2, 22, 6)
    with client(server, store=tmp_path / "s.db", run="two") as model:
        assert model.spent.used == Use()


def test_equal_requests_at_once_are_sent_once(server):
    server.delay = 0.02
    with client(server) as model:

        async def main():
            return await asyncio.gather(*(model.each(Ask("same")) for _ in range(20)))

        assert len(set(asyncio.run(main()))) == 1
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        (fake.status(500), Use(1)),
        (fake.status(429), Use(1)),
        (fake.raw(b'{"choices": [{"text"'), None),
        (fake.raw(b'{"choices": []}'), None),
        (fake.raw(b'{"choices": [{"text": 5}]}'), None),
        (fake.raw(b'{"choices": [{"text": "a", "index": NaN}]}'), None),
        (fake.raw(b"\xff\xfe"), None),
        (fake.raw(b"[" * 100_000), None),
        (fake.truncated, None),
        (fake.drops, None),
        (fake.drips, None),
        (fake.half_open, None),
        (fake.endless, None),
    ],
    ids=[
        "500",
        "429",
        "cut-json",
        "no-choices",
        "wrong-type",
        "nan",
        "not-utf8",
        "deep",
        "truncated",
        "drops",
        "drips",
        "half-open",
        "endless",
    ],
)
def test_a_bad_reply_is_tried_again_and_every_try_is_charged(server, fault, charged):
    server.faults = first(fault)
    with client(server, timeout=0.5, idle=0.1, most=1 << 20, answer_tokens=50) as model:
        assert isinstance(model.judge(["question"])[0], str)
        worst = Use(1, len("question") + 16, 50) if charged is None else charged
        assert model.spent.used == worst + Use(1, 11, 3)
    assert len(server.seen) == 2


def test_what_fails_for_good_is_failed_with_the_reason(server):
    server.faults = first(fake.status(503, text="loading the model"), 100)
    with client(server, retries=2) as model:
        (reply,) = model.all([Ask("a")])
        assert reply == Failed("the server answered 503: loading the model (given up after 3 tries)")
        assert model.judge(["b"]) == [None] and model.sampler(["c"]) == [[]]
        assert np.isnan(model.forcer(["c"], ["d"])[0]).all()
        assert any("prompts without samples: the server answered 503" in note for note in model.notes)
    assert len(server.seen) == 12


def test_a_request_that_is_refused_is_not_tried_again(server):
    server.faults = first(fake.status(400, text="the prompt is too long"))
    with client(server) as model:
        assert model.all([Ask("a")]) == [Failed("the server answered 400: the prompt is too long")]
        assert model.spent.used == Use(1)
    assert len(server.seen) == 1


def test_failures_are_not_kept(server):
    server.faults = first(fake.status(400))
    with client(server) as model:
        assert isinstance(model.all([Ask("a")])[0], Failed)
        assert isinstance(model.all([Ask("a")])[0], str)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_ends_the_run_and_is_never_shown_or_kept(server, code, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("A_KEY", "sk-secret-1234")
    server.faults = lambda number, body: fake.status(code, text="no such key: sk-secret-1234") if number == 2 else None
    with client(server, key_env="A_KEY", store=tmp_path / "s.db") as model:
        model.judge(["a"])
        with pytest.raises(StepCreditError, match=r"no such key: \*\*\*") as told:
            model.judge(["b"])
        assert "A_KEY, which is set" in str(told.value)
        kept = b"".join(f.read_bytes() for f in tmp_path.iterdir())
        assert b"sk-secret" not in kept and b"no such key: ***" in kept
        assert "sk-secret" not in repr(model) + repr(vars(model)) + repr(vars(model._sender)) + caplog.text
    assert server.keys == ["Bearer sk-secret-1234"] * 2


def test_a_wrong_model_is_told_with_those_that_are_there(server):
    server.faults = first(fake.status(404, text="no such model"), 9)
    with client(server, model="another") as model, pytest.raises(StepCreditError, match="models there: a-model"):
        model.judge(["a"])
    assert len(server.seen) == 1


def test_the_only_model_of_a_server_need_not_be_named(server):
    with client(server, model=None) as model:
        model.judge(["a"])
    assert server.seen[0]["model"] == fake.MODEL


def test_retry_after_is_heeded(server, monkeypatch):
    waits, sleep = [], asyncio.sleep

    async def noted(seconds, *result):
        waits.append(seconds)
        return await sleep(0, *result)

    with client(server) as model:
        model.judge(["open"])
        server.seen.clear()
        server.faults = first(fake.status(429, **{"Retry-After": "7"}))
        monkeypatch.setattr("stepcredit.llm.sending.asyncio.sleep", noted)
        model.judge(["a"])
        monkeypatch.undo()
    assert waits and all(6 < w < 8 for w in waits)


def test_while_a_server_asks_to_wait_no_other_request_is_sent(server):
    times = []

    def faults(number, body):
        times.append(time.monotonic())
        return fake.status(429, **{"Retry-After": "0.2"}) if number == 1 else None

    server.faults = faults
    with client(server, concurrency=1) as model:
        assert None not in model.judge([str(i) for i in range(10)])
    assert len(times) == 11 and times[1] - times[0] >= 0.19


def test_retry_after_is_read_as_seconds_and_as_a_date():
    from stepcredit.llm.sending import retry_after

    now = datetime.now(UTC).replace(microsecond=0)
    assert retry_after("1.5") == 1.5 and retry_after("-3") == 0.0
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90.0
    assert retry_after("soon") is None and retry_after(None) is None and retry_after("inf") is None


def test_no_server_at_all_ends_the_run():
    with fake.running() as server:
        url = server.url
    with Client(url, "m", backoff=0.001, retries=1) as model:
        with pytest.raises(StepCreditError, match=f"no server at {url}/v1"):
            model.judge(["a"])
        assert model.spent.used == Use() and model.spent.reserved == Use()


def test_a_server_that_goes_away_ends_the_run_rather_than_to_fail_everything():
    with fake.running() as server:
        model = client(server, retries=1)
        model.judge(["a"])
    with pytest.raises(StepCreditError, match="3 requests in a row"):
        model.judge([str(i) for i in range(10)])
    with fake.running(int(server.url.rsplit(":")[-1])) as again:
        assert isinstance(model.judge(["b"])[0], str) and len(again.seen) == 1
    model.close()


def test_a_server_that_ignores_n_is_asked_for_the_others(server):
    def one(number, body):
        async def fault(request, body):
            return fake.web.json_response(fake.good(body | {"n": 1}, False))

        return fault

    server.faults = one
    with client(server) as model:
        (samples,) = model.sampler(["a"], n=4)
        assert len({s.text for s in samples}) == 4 and [s.read for s in samples] == [11] * 4
        assert model.spent.used == Use(4, 44, 12)
        assert len(model.notes) == 1 and "fewer samples than n" in model.notes[0]
        assert [s.text for s in model.all([Continue("a", n=4)])[0]] == [s.text for s in samples]
    assert len(server.seen) == 4


def test_missing_log_probabilities_are_told_once(server, caplog):
    def without(number, body):
        async def fault(request, body):
            return fake.web.json_response(fake.good(body | {"logprobs": None}, False))

        return fault

    server.faults = without
    with client(server, logprobs=2) as model:
        (one,), (_,) = model.sampler(["a", "b"])
        assert one.logp is None and one.tokens == ()
        assert model.notes == ["logprobs were asked for at /completions, and the server left them out"]
        assert sum("left them out" in r.message for r in caplog.records) == 1


def test_auto_finds_out_which_endpoint_there_is(server):
    with client(server, api="auto") as model:
        model.judge(["a", "b"])
    assert server.paths == ["/v1/chat/completions"] * 2
    server.paths.clear()
    server.faults = lambda number, body: fake.status(400, text="no chat template") if "messages" in body else None
    with client(server, api="auto") as model:
        assert None not in model.judge(["c", "d", "e"])
        assert model.spent.used.calls == 4
    assert server.paths == ["/v1/chat/completions"] + ["/v1/completions"] * 3


def test_an_empty_completion_is_a_sample(server):
    server.faults = first(
        fake.raw(b'{"choices": [{"text": "", "finish_reason": "stop"}], "usage": {"prompt_tokens": 4}}')
    )
    with client(server) as model:
        ((sample,),) = model.sampler(["a"])
    assert sample.text == "" and sample.finished and sample.ended and (sample.read, sample.written) == (4, 0)


def test_who_stops_waiting_for_an_answer_that_is_paid_for_leaves_it_in_the_store(server):
    server.delay = 0.05

    async def main():
        async with client(server) as model:
            waiting = asyncio.create_task(model.each(Ask("a")))
            while not server.seen:
                await asyncio.sleep(0.005)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            while model.spent.reserved.calls:
                await asyncio.sleep(0.005)
            return await model.each(Ask("a")), model.spent.used

    reply, used = asyncio.run(main())
    assert isinstance(reply, str) and used == Use(1, 11, 3) and len(server.seen) == 1


def test_what_is_given_up_under_way_is_charged_and_noted(server, tmp_path):
    server.delay = 1.0
    budget = Budget()

    async def main():
        async with client(server, store=tmp_path / "s.db", budget=budget, answer_tokens=9) as model:
            waiting = asyncio.create_task(model.each(Ask("a")))
            while not server.seen:
                await asyncio.sleep(0.005)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert budget.spent.used == Use(1, 17, 9) and budget.spent.reserved == Use()
    store = Store(tmp_path / "s.db")
    assert store.count() == {"sent": 1, "failed": 1} and store.lost == (0, Use())
    store.close()


def test_a_full_disk_ends_the_run_before_more_is_paid(server, tmp_path, monkeypatch):
    with client(server, store=tmp_path / "s.db", concurrency=1) as model:
        model.judge(["a"])
        monkeypatch.setattr("stepcredit.llm.store.ROOM", 1 << 60)
        model._store._looked = 0.0
        with pytest.raises(StepCreditError, match="nothing more is sent"):
            model.judge(["b", "c"])
        assert model.spent.used == Use(1, 11, 3) and model.spent.reserved == Use()
    assert len(server.seen) == 1


def test_a_disk_that_fills_up_ends_the_run_and_what_was_paid_is_written_later(server, tmp_path):
    model = client(server, store=tmp_path / "s.db", concurrency=4)
    file = model._store._file
    model.judge(["a"])
    file.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size for it
    with pytest.raises(StepCreditError, match="cannot be written"):
        model.judge([f"{i}" * 200 for i in range(1000)])
    with pytest.raises(StepCreditError, match="cannot be written"):  # a line or two may still find place
        model.judge([f"b{i}" * 200 for i in range(1000)])
    paid = len(server.seen)
    assert paid == model.spent.used.calls < 1000 and model.spent.reserved == Use()
    file.execute("PRAGMA max_page_count = 1000000")
    model.close()
    store = Store(tmp_path / "s.db")
    assert store.count()["answered"] == paid
    store.close()


LEAVES = """
import sys
from stepcredit.llm.client import Client
client = Client(sys.argv[1], "m", api="chat")
print(len(client.judge(["a", "b"])))
"""


def test_a_client_that_nobody_closes_keeps_no_program_from_ending(server):
    command = [sys.executable, "-X", "dev", "-c", LEAVES, server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("2\n", 0) and "Unclosed" not in ended.stderr


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(UnknownName, match="API"):
        Client("http://h", api="chats")
    with pytest.raises(StepCreditError, match="no URL"):
        Client("localhost:8000")
    with pytest.raises(StepCreditError, match="would be shown"):
        Client("http://me:pass@h")
    with pytest.raises(StepCreditError, match="concurrency=0"):
        Client("http://h", concurrency=0)


@pytest.mark.parametrize(
    "url", ["http://h/v1?key=secret", "ftp://me:secret@h", "me:secret@h", "http://h#secret", "http://me:secret@[::1"]
)
def test_what_may_be_a_secret_in_a_url_is_not_repeated(url):
    with pytest.raises(StepCreditError, match="would be shown") as told:
        Client(url)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["http://[::1", "http://h:99999", "http://h:abc", "http://", "", "http://h/\x1b[31m"])
def test_what_is_no_url_is_told(url):
    with pytest.raises(StepCreditError, match="is no URL of a server"):
        Client(url)


@pytest.mark.parametrize("before", [288, 294])
def test_not_even_the_beginning_of_a_key_is_left_where_a_long_error_is_cut(server, before, monkeypatch, tmp_path):
    monkeypatch.setenv("A_KEY", "sk-secret-1234")
    server.faults = lambda number, body: fake.status(400, text="x" * before + " sk-secret-1234")
    with client(server, key_env="A_KEY", store=tmp_path / "s.db") as model:
        (failed,) = model.all([Ask("a")])
    assert "sk-" not in failed.reason and b"sk-" not in (tmp_path / "s.db").read_bytes()


def test_what_a_server_says_drives_no_terminal(server):
    server.faults = lambda number, body: fake.status(400, text="no \x1b[31mred\x1b]0;title\x07")
    with client(server) as model:
        (failed,) = model.all([Ask("a")])
    assert failed.reason.isprintable() and "red" in failed.reason


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1.0])
def test_a_temperature_that_is_none_is_refused_before_it_is_sent(server, temperature):
    with client(server) as model, pytest.raises(StepCreditError, match="a temperature of"):
        model.all([Continue("a", temperature=temperature)])
    assert not server.seen


@pytest.mark.parametrize("n", [10**30, 2**63, 2**41])
def test_counts_that_cannot_be_are_a_bad_reply_and_the_journal_holds(server, n):
    lie = {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": {"prompt_tokens": n, "completion_tokens": 1}}
    server.faults = first(fake.raw(json.dumps(lie).encode()))
    with client(server) as model:
        assert isinstance(model.all([Ask("a")])[0], str)
        assert model._store.count() == {"sent": 2, "failed": 1, "answered": 1}


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_told_where_models_are_asked_for(monkeypatch, code):
    monkeypatch.setenv("A_KEY", "sk-secret-1234\n")
    with fake.running() as server:
        server.listing = fake.status(code, text="no such key: sk-secret-1234")
        with Client(server.url, key_env="A_KEY") as model, pytest.raises(StepCreditError) as told:
            model.resolve()
    assert told.match(rf"answered {code}: no such key: \*\*\*\n.*A_KEY, which is set")


def test_a_key_is_read_without_the_line_end_of_its_file_and_never_with_one_inside(server, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-secret-1234\n")
    with client(server, key_env="A_KEY") as model:
        model.judge(["a"])
    assert server.keys == ["Bearer sk-secret-1234"]
    monkeypatch.setenv("A_KEY", "sk-secret\n1234")
    with client(server, key_env="A_KEY") as model, pytest.raises(StepCreditError, match="A_KEY holds more") as told:
        model.judge(["b"])
    assert "secret" not in str(told.value)
