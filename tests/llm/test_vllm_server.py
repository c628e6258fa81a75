"""The client against a real vLLM on this machine, and that against the same weights in transformers."""

import asyncio
import re
import sys
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest
import served

from conftest import skip_or_fail
from stepcredit.errors import StepCreditError
from stepcredit.llm import local, tiny
from stepcredit.llm.client import Client
from stepcredit.llm.drive import drive
from stepcredit.llm.probing import probe
from stepcredit.llm.requests import Ask, Continue, Failed, Force, Score
from stepcredit.llm.seeded import seeded
from stepcredit.llm.store import Store

TASKS = [chain.task for chain in tiny.data(5, seed=41)]
PROMPTS = [f"{task}\n" for task in TASKS]
NEWLINE = ("\n",)
CAN = ("chat", "completions", "n", "logprobs", "top_logprobs", "stop", "seed", "echo", "continue_final_message")


@pytest.fixture(scope="module")
def installed():
    """That there is a vLLM."""
    if find_spec("vllm") is None:
        skip_or_fail("vllm", "vllm is not installed")


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
    """A model that calculates. vLLM on a CPU takes heads of width 32 and more."""
    model, words = tiny.build(0, steps=250, width=128, lr=0.004)
    words.chat_template = served.TEMPLATE
    return tiny.save(tmp_path_factory.mktemp("served"), model, words)


@pytest.fixture(scope="module")
def engine(folder):
    """The same model in transformers."""
    return local.load(folder, top=3)


@pytest.fixture(scope="module")
def vllm(installed, folder, tmp_path_factory):
    """It, served."""
    server = start(folder, tmp_path_factory.mktemp("vllm") / "log")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def rater(torch, transformers, tmp_path_factory):
    """A reward model of two labels, with weights at random, and its folder."""
    names = {"\n": "Ċ", " ": "Ġ"}  # as the tokenizer of its kind writes bytes
    vocabulary = [tiny.PAD, tiny.END, tiny.UNKNOWN, *(names.get(c, c) for c in tiny.ALPHABET)]
    special = {"pad_token": tiny.PAD, "eos_token": tiny.END, "unk_token": tiny.UNKNOWN}
    words = transformers.Qwen2Tokenizer(vocab={t: i for i, t in enumerate(vocabulary)}, merges=[], **special)
    config = transformers.Qwen2Config(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        initializer_range=0.2,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        num_labels=2,
    )
    with seeded(torch, 0):
        model = transformers.Qwen2ForTokenClassification(config).eval()

    def rate(text):
        with torch.no_grad():
            return float(model(**words(text, return_tensors="pt")).logits[0, -1].softmax(-1)[1])

    return rate, tiny.save(tmp_path_factory.mktemp("rater"), model, words)


@pytest.fixture(scope="module")
def rating(installed, rater, tmp_path_factory):
    """It, served."""
    server = start(rater[1], tmp_path_factory.mktemp("rating") / "log", "--runner", "pooling")
    yield server
    server.stop()


def start(folder, log, *more):
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "tiny"]
    command += ["--max-model-len", "256", "--dtype", "float32", "--enforce-eager", *more]
    kept = f"{sys.prefix}/torchinductor"  # what it compiles, for the next run
    server = served.Server(
        command, log, VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", TORCHINDUCTOR_CACHE_DIR=kept
    )
    return server.start() if more else warmed(server.start())


def warmed(server):
    """What comes first compiles for long: not in the time of a request."""
    status, body = served.post(f"{server.url}/completions", 300, model="tiny", prompt="1", max_tokens=2, logprobs=1)
    assert status == 200, body
    return server


def counted(server):
    """What the server says it has done: (requests, tokens read, tokens written)."""
    text = served.get(f"{server.root}/metrics")[1]
    names = ("request_success_total", "prompt_tokens_total", "generation_tokens_total")
    return np.array([sum(map(float, re.findall(rf"^vllm:{name}{{.*}} (\S+)$", text, re.M))) for name in names])


@pytest.fixture
def client(vllm):
    """Of that server, by completions."""
    with Client(vllm.url, "tiny", api="completions", logprobs=3) as client:
        yield client


def test_samples_end_by_themselves_or_at_a_stop_string_or_at_the_limit(client):
    whole, lines, cut = (
        [s for row in client.sampler(PROMPTS, n=4, **how) for s in row]
        for how in ({"max_tokens": 60}, {"max_tokens": 60, "stop": NEWLINE}, {"max_tokens": 4})
    )
    assert len(whole) == len(lines) == len(cut) == 4 * len(PROMPTS)
    assert {(s.finished, s.ended) for s in whole} == {(True, True)}
    assert {(s.finished, s.ended) for s in lines} == {(True, False)}
    assert {(s.finished, s.ended, len(s.tokens)) for s in cut} == {(False, False, 4)}
    assert all("\n#" in s.text for s in whole) and not any("\n" in s.text for s in lines)
    assert all("".join(s.tokens) == s.text and len(s.tokens) == len(s.logp) for s in whole + lines + cut)
    assert len({s.text for s in whole}) > len(PROMPTS)


def test_a_stop_string_of_several_tokens_and_what_comes_after_it_are_left_out(client, engine):
    want = engine.sampler(PROMPTS, temperature=0, max_tokens=60, stop=["\n#"])
    found = client.sampler(PROMPTS, temperature=0, max_tokens=60, stop=["\n#"])
    for (one,), (other,) in zip(found, want, strict=True):
        assert (one.text, one.tokens, one.ended) == (other.text, other.tokens, False)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_log_probs_are_those_of_the_model_in_transformers(client, engine, temperature):
    rows = client.sampler(PROMPTS, n=3, max_tokens=25, temperature=temperature)
    flat = [(p, s) for p, row in zip(PROMPTS, rows, strict=True) for s in row]
    assert len(flat) == 3 * len(PROMPTS)
    # A special token that was drawn (<unk>) is no part of the text, so that the text alone does not tell what was read.
    flat = [(p, s) for p, s in flat if "".join(s.tokens) == s.text]
    assert len(flat) > 2 * len(PROMPTS)
    want = engine.forcer([p for p, _ in flat], [s.text for _, s in flat])
    for (_, sample), logp in zip(flat, want, strict=True):
        np.testing.assert_allclose(sample.logp, logp, atol=1e-3)


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_the_likeliest_tokens_are_those_of_the_model_in_transformers(vllm, engine, api):
    with Client(vllm.url, "tiny", api=api, logprobs=3) as client:
        found = client.sampler(TASKS if api == "chat" else PROMPTS, temperature=0, max_tokens=60)
    for (one,), (other,) in zip(found, engine.sampler(PROMPTS, temperature=0, max_tokens=60), strict=True):
        assert (one.text, one.tokens, one.ended) == (other.text, other.tokens, True)
        assert one.top_tokens == other.top_tokens
        np.testing.assert_allclose(one.logp, other.logp, atol=1e-3)
        np.testing.assert_allclose(one.top_logp, other.top_logp, atol=1e-3)


def test_as_many_of_the_likeliest_are_kept_though_another_was_drawn(client):
    samples = [s for row in client.sampler(PROMPTS, n=4, max_tokens=25, temperature=2.0) for s in row]
    assert {len(top) for s in samples for top in s.top_logp} == {3}
    assert any(logp < top[-1] for s in samples for logp, top in zip(s.logp, s.top_logp, strict=True))


def test_forcing_gives_the_log_probs_of_the_model_in_transformers(client, engine):
    prefixes = [*PROMPTS, "3+4*2=?\n3+4=", "1"]
    texts = [*("3+4=7\n7*2=4\n#4" for _ in PROMPTS), "7\n", "2"]
    for one, other in zip(client.forcer(prefixes, texts), engine.forcer(prefixes, texts), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert client.forcer(["1"], [""])[0].shape == (0,)


def test_where_a_text_is_cut_tells_which_of_its_tokens_are_forced(client, engine):
    (whole,) = engine.forcer(["3"], ["+4=7\n"])
    for i in range(5):
        (found,) = client.forcer([f"3{'+4=7'[:i]}"], [f"{'+4=7'[i:]}\n"])
        np.testing.assert_allclose(found, whole[i:], atol=1e-3)
    (nothing,) = client.all([Force("", "3+4=7\n")])
    assert isinstance(nothing, Failed) and "nothing stands before" in nothing.reason


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_prefix_is_gone_on_from(vllm, engine, api):
    prefixes = ["", "3+4=", "3+4=7\n", "3+4=7\n7*2=4\n"]
    prompt = "3+4*2=?" if api == "chat" else "3+4*2=?\n"
    with Client(vllm.url, "tiny", api=api) as client:
        found = client.all([Continue(prompt, prefix, temperature=0.0, max_tokens=60) for prefix in prefixes])
    want = engine.sampler([f"3+4*2=?\n{prefix}" for prefix in prefixes], temperature=0, max_tokens=60)
    assert [one.text for (one,) in found] == [other.text for (other,) in want]
    assert [one.read for (one,) in found] == [len(f"3+4*2=?\n{prefix}") for prefix in prefixes]


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_what_was_said_before_is_read_too(vllm, engine, api):
    said = (("user", "1+1+1=?"), ("assistant", "1+1=2\n2+1=3\n#3"))
    prompt = "3+4*2=?" if api == "chat" else "3+4*2=?\n"
    whole = "1+1+1=?\n1+1=2\n2+1=3\n#3\n3+4*2=?\n"
    with Client(vllm.url, "tiny", api=api, logprobs=0) as client:
        ((found,),) = client.all([Continue(prompt, max_tokens=60, temperature=0.0, history=said)])
    ((want,),) = engine.sampler([whole], temperature=0, max_tokens=60)
    assert (found.text, found.read) == (want.text, len(whole))
    np.testing.assert_allclose(found.logp, want.logp, atol=1e-3)


def test_a_model_with_a_chat_template_is_talked_to_as_a_chat(vllm, engine):
    with Client(vllm.url, answer_tokens=60) as client:  # no name: the only model there
        found = client.judge(TASKS)
    assert found == [s.text for (s,) in engine.sampler(PROMPTS, temperature=0, max_tokens=60)]


def test_the_likeliest_text_is_n_equal_samples(client):
    (row,) = client.sampler(PROMPTS[:1], n=3, temperature=0, max_tokens=60)
    assert len(row) == 3 and len({s.text for s in row}) == 1


def test_a_seed_draws_the_same_again_and_another_draw_other_texts(vllm):
    def texts(draws, **options):
        requests = [Continue(PROMPTS[0], n=8, temperature=2.0, max_tokens=12, draw=draw) for draw in draws]
        with Client(vllm.url, "tiny", api="completions", **options) as client:
            return [[s.text for s in row] for row in client.all(requests)]

    first = texts(range(4))
    assert texts(range(4)) == first and texts(range(4), seed=1) != first
    assert len({text for row in first for text in row}) == 32


def test_what_is_charged_is_what_the_server_counts(vllm, client):
    before = counted(vllm)
    client.sampler(PROMPTS, n=3, max_tokens=60)
    client.sampler(PROMPTS, max_tokens=60, stop=NEWLINE)
    client.forcer(PROMPTS, ["3"] * len(PROMPTS))
    used, (_, read, written) = client.spent.used, counted(vllm) - before
    assert used.calls == 3 * len(PROMPTS)
    assert used.completion == written
    once = sum(map(len, PROMPTS))
    assert used.prompt == 3 * once + len(PROMPTS)
    assert read == used.prompt + 2 * once  # it counts a prompt for each of n


def test_another_models_name_is_an_error_that_names_those_there(vllm):
    with Client(vllm.url, "nosuch") as client, pytest.raises(StepCreditError, match=r"nosuch.*tiny"):
        client.sampler(PROMPTS)


def test_a_request_that_the_server_refuses_fails_alone_and_says_why(client):
    long, hot, good = client.all(
        [Continue("1" * 300), Continue(PROMPTS[0], temperature=3.0), Continue(PROMPTS[0], max_tokens=60)]
    )
    assert isinstance(long, Failed) and "maximum context length is 256" in long.reason
    assert isinstance(hot, Failed) and "temperature must be in [0, 2]" in hot.reason
    assert good[0].finished


def test_a_probe_finds_all_that_vllm_can_do(vllm):
    found = asyncio.run(probe(vllm.url))
    assert (found.model, found.models) == ("tiny", ("tiny",))
    assert {name: getattr(found, name) for name in CAN} == dict.fromkeys(CAN, True)
    assert "continue_final_message yes" in str(found)


def test_plans_side_by_side_meet_the_model_as_they_would_in_transformers(client, engine):
    def line_by_line(prompt):
        text = prompt
        for _ in range(6):
            (row,) = yield [Continue(text, stop=NEWLINE, max_tokens=30, temperature=0.0)]
            text += row[0].text
            if row[0].ended:
                return text
            text += "\n"
        return text

    tasks = [f"{chain.task}\n" for chain in tiny.data(20, seed=42)]
    found = dict(drive(map(line_by_line, tasks), {"sampler": client.sampler}))
    want = engine.sampler(tasks, temperature=0, max_tokens=60)
    assert [found[i] for i in range(20)] == [t + s.text for t, (s,) in zip(tasks, want, strict=True)]


def test_a_killed_server_stops_the_run_and_what_it_answered_is_not_asked_again(vllm, tmp_path):
    requests = [Continue(p, draw=draw, max_tokens=60) for draw in range(40) for p in PROMPTS]
    requests.append(Ask(TASKS[0]))
    file, store = tmp_path / "replies.sqlite", Store(tmp_path / "replies.sqlite", run="one")
    how = {"api": "completions", "answer_tokens": 60, "run": "one"}
    client = Client(vllm.url, "tiny", concurrency=2, retries=2, backoff=0.05, **how, store=store)

    def kill():
        while store.count().get("answered", 0) < 30:
            time.sleep(0.01)
        vllm.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with client, pytest.raises(StepCreditError, match=r"no server at .* heard nothing"):
        client.all(requests)
    killer.join()
    answered = store.count()["answered"]
    store.close()
    assert 30 <= answered < len(requests)

    warmed(vllm.start())
    before = counted(vllm)[0]
    with Client(vllm.url, "tiny", **how, store=file) as again:
        replies = again.all(requests)
        used = again.spent.used
    assert not any(isinstance(reply, Failed) for reply in replies)
    assert counted(vllm)[0] - before == len(requests) - answered
    journal = Store(file)
    events = journal.count()
    journal.close()
    assert events["answered"] == len(requests)
    assert used.calls == sum(events[kind] for kind in ("answered", "failed", "lost") if kind in events)


STEPS = ["3+4=7", "7*2=4", "#4"]


def before(i, separator):
    """What stands before step i of a solution."""
    return "".join(f"{step}{separator}" for step in ["3+4*2=?", *STEPS[:i]])


@pytest.mark.parametrize("separator", ["\n", " ;"])
def test_a_served_reward_model_scores_steps_as_it_does_in_transformers(rating, rater, separator):
    prefixes = [before(i, separator) for i in range(len(STEPS))]
    want = [rater[0](f"{prefix}{step}{separator}") for prefix, step in zip(prefixes, STEPS, strict=True)]
    with Client(rating.url, "tiny") as client:
        door = client.rewards(separator)
        found = door(prefixes, STEPS)
        used = client.spent.used
        ((alone,),) = [again for _, again in drive([asked(before(1, separator), STEPS[1])], {"scorer": door})]
    np.testing.assert_allclose(found, want, atol=1e-3)
    assert np.ptp(want) > 0.1
    assert alone == found[1]
    assert (used.calls, used.prompt) == (3, sum(len(p + s + separator) for p, s in zip(prefixes, STEPS, strict=True)))


def asked(prefix, step):
    return (yield [Score(prefix, step)])


def test_what_a_reward_model_cannot_read_has_no_score(rating):
    with Client(rating.url, "tiny") as client:
        found = client.rewards("\n")(["1" * 300, "1"], ["1", "1"])
        assert np.isnan(found[0]) and found[1] > 0
        assert "maximum context length" in client.notes[0]


def test_a_server_of_a_reward_model_does_not_continue(rating):
    with Client(rating.url, "tiny") as client, pytest.raises(StepCreditError, match="404"):
        client.sampler(PROMPTS)
