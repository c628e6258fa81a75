"""An unmodified OpenAI client gets searched answers by changing its base URL."""

import pytest

from conftest import skip_or_fail
from stepcredit.envs import game24
from stepcredit.envs.game24 import Policy
from stepcredit.errors import StepCreditError
from stepcredit.llm.server import running
from stepcredit.llm.tabular import Tabular
from stepcredit.search import Writing
from stepcredit.search.gateway import over_search

PUZZLE = "4 5 6 10"
PROMPT = f"Make 24 from {PUZZLE}, each number once."


@pytest.fixture(scope="module")
def model():
    return Tabular(Policy(skill=1.0), seed=3)


@pytest.fixture(scope="module")
def gateway(model):
    heard = []
    models = {"sampler": model, "scorer": model.scorer()}
    manner = Writing(max_tokens=64, depth=8, ends="^Answer:")
    with running(over_search("beam", models, writing=manner, n=16, heard=heard.append), ["searched"]) as url:
        yield url, heard


@pytest.fixture(scope="module")
def client(gateway):
    try:
        import openai
    except ImportError:
        skip_or_fail("openai", "the openai client is not installed")
    with openai.OpenAI(base_url=gateway[0], api_key="none", max_retries=0) as client:
        yield client


def chat(client, **more):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    return client.chat.completions.create(model="searched", messages=messages, temperature=1.0, **more)


def test_the_answer_is_better_than_a_sample(client, model, gateway):
    alone = [model.solved(s.text, PUZZLE) for s in model.sampler([PROMPT + "\n"], n=200)[0]]
    reply = chat(client, n=5, seed=1)
    texts = [choice.message.content for choice in reply.choices]
    solved = [model.solved(text, PUZZLE) for text in texts]
    assert sum(solved) / 5 > sum(alone) / 200 + 0.2
    assert all(game24.parse(text.splitlines()[0], PUZZLE) for text in texts)
    spent = sum(one.ledger.tokens for one in gateway[1][-5:])
    assert reply.usage.completion_tokens == spent > 5 * 16
    assert gateway[1][-1].task.history == (("system", "Be brief."),)


def test_a_seed_gives_the_same_answer_and_none_a_new_one(client):
    same = {chat(client, seed=7).choices[0].message.content for _ in range(3)}
    assert len(same) == 1
    assert len({chat(client).choices[0].message.content for _ in range(12)}) > 1


def test_completions_and_streams(client, model):
    reply = client.completions.create(model="searched", prompt=[PROMPT + "\n"] * 2, max_tokens=100, seed=2)
    assert [model.solved(c.text, PUZZLE) for c in reply.choices]
    whole = chat(client, seed=7).choices[0].message.content
    parts = [c.choices[0].delta.content or "" for c in chat(client, seed=7, stream=True) if c.choices]
    assert "".join(parts) == whole


def test_what_a_search_cannot_tell_is_refused(client):
    import openai

    for more in ({"logprobs": True}, {"extra_body": {"logprobs": True}}):
        with pytest.raises(openai.BadRequestError, match="log-probabilities"):
            chat(client, **more)
    with pytest.raises(openai.NotFoundError, match="there are: searched"):
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])


def test_a_model_that_never_answers_is_an_error_not_an_empty_answer():
    import openai

    def dead(prompts, **_):
        return [None] * len(prompts)

    with running(over_search("best_of_n", {"sampler": dead, "scorer": lambda p, s: []})) as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        with pytest.raises(openai.InternalServerError, match=r"found nothing.*did not answer"):
            client.completions.create(model="stepcredit", prompt="x")


def test_a_model_server_that_is_gone_is_no_fault_of_the_request():
    import openai

    class Gone:
        async def each(self, request):
            raise StepCreditError("no server at http://h/v1", hint="is it running?")

    with running(over_search("best_of_n", {"sampler": Gone(), "scorer": lambda p, s: []})) as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        with pytest.raises(openai.InternalServerError, match="the search ended: no server at"):
            client.completions.create(model="stepcredit", prompt="x")


def test_what_a_search_cannot_keep_is_refused(client):
    import openai

    with pytest.raises(openai.BadRequestError, match="max_tokens 3 is less than one step may have, 64"):
        chat(client, max_tokens=3)
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="calls no tools"):
        chat(client, tools=[tool])
    assert client.completions.create(model="searched", prompt=PROMPT + "\n", seed=1).choices[0].text.count("\n") >= 2
