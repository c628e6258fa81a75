"""Requests as JSON, JSON as replies: what is read, what is refused, whatever comes."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.errors import StepCreditError
from stepcredit.llm._samples import forced_of, samples_of
from stepcredit.llm.budget import Use
from stepcredit.llm.requests import Ask, Check, Continue, Force, Score
from stepcredit.llm.wire import BadReply, Reply, Setting, call_of, models, pack, read, unpack

SETTING = Setting("m", logprobs=2)


def reply(request, choices, kind="completions", setting=SETTING, **usage):
    body = {"choices": choices} | ({"usage": usage} if usage else {})
    return read(call_of(request, setting, kind), json.dumps(body).encode())


def sample(request, choice, kind="completions", setting=SETTING, **usage):
    return samples_of([reply(request, [choice], kind, setting, **usage)])[0]


PLAIN = Setting("m")


@pytest.mark.parametrize(
    ("choice", "stop", "finished", "ended"),
    [
        ({"finish_reason": "length"}, ("\n",), False, False),
        ({"finish_reason": "stop", "stop_reason": None}, ("\n",), True, True),
        ({"finish_reason": "stop", "stop_reason": "\n"}, ("\n",), True, False),
        ({"finish_reason": "stop", "stop_reason": 128009}, ("\n",), True, True),
        ({"finish_reason": "stop", "matched_stop": 151645}, ("\n",), True, True),
        ({"finish_reason": "stop", "matched_stop": "\n"}, ("\n",), True, False),
        ({"finish_reason": "stop"}, ("\n",), True, None),
        ({"finish_reason": "stop"}, (), True, True),
        ({"finish_reason": "content_filter"}, (), False, False),
        ({"finish_reason": None}, (), False, False),
    ],
)
def test_how_a_text_ended(choice, stop, finished, ended):
    got = sample(Continue("p", stop=stop), {"text": "t"} | choice, setting=PLAIN)
    assert (got.finished, got.ended) == (finished, ended)


def test_a_stop_string_that_a_server_leaves_in_is_cut_off_with_its_tokens():
    logprobs = {"tokens": ["a", "b", "\n", "c"], "token_logprobs": [-1, -2, -3, -4]}
    got = sample(Continue("p", stop=("\n",)), {"text": "ab\nc", "finish_reason": "length", "logprobs": logprobs})
    assert (got.text, got.tokens, got.logp.tolist()) == ("ab", ("a", "b"), [-1, -2])
    assert got.finished and got.ended is False


def test_the_token_that_ended_a_text_is_not_one_of_it():
    logprobs = {"tokens": ["a", "</s>"], "token_logprobs": [-1, -2]}
    got = sample(Continue("p"), {"text": "a", "finish_reason": "stop", "logprobs": logprobs})
    assert got.tokens == ("a",) and got.logp.tolist() == [-1]
    got = sample(Continue("p"), {"text": "", "finish_reason": "stop", "logprobs": logprobs})
    assert got.tokens == () and got.logp.tolist() == []


def test_the_likeliest_tokens_come_sorted_from_both_endpoints():
    top = [{"token": "x", "logprob": -2.0}, {"token": "y", "logprob": -0.5}]
    chat = {
        "message": {"content": "x"},
        "logprobs": {"content": [{"token": "x", "logprob": -2.0, "top_logprobs": top}]},
    }
    plain = {
        "text": "x",
        "logprobs": {"tokens": ["x"], "token_logprobs": [-2.0], "top_logprobs": [{"x": -2, "y": -0.5}]},
    }
    for choice, kind in ((chat, "chat"), (plain, "completions")):
        got = sample(Continue("p"), choice, kind)
        assert got.top_tokens == (("y", "x"),) and got.top_logp[0].tolist() == [-0.5, -2.0]
        assert got.logp.tolist() == [-2.0]


def test_tokens_are_counted_so_that_sums_are_right():
    found = samples_of(
        [reply(Continue("p", n=2), [{"text": "a"}, {"text": "b"}], prompt_tokens=7, completion_tokens=5)]
    )
    assert [(s.read, s.written) for s in found] == [(7, 2), (0, 3)]
    assert sample(Continue("p"), {"text": "a"}, prompt_tokens=7, completion_tokens=5).written == 5
    assert sample(Continue("p"), {"text": "a"}).read is None


def test_choices_are_put_in_order_and_no_more_than_asked_for():
    found = reply(Continue("p", n=2), [{"text": t, "index": i} for i, t in ((2, "c"), (1, "b"), (0, "a"))])
    assert [d.text for d in found.drafts] == ["a", "b"]


@pytest.mark.parametrize(
    ("tokens", "offsets", "found"),
    [
        (["the", " end", " is", " x"], None, [-2.0]),
        (["<s>", "the", " end", " is", " x"], None, [-3.0]),
        (["the", " e", "nd is", " x"], None, [-2.0]),
        (["the", " en", "d", " is", " x"], [0, 3, 6, 7, 10], [-3.0]),
        (["t", "?", "?", " is", " x"], [0, 1, 4, 7, 10], [-3.0]),
    ],
    ids=[
        "plain",
        "begins with a start token",
        "across the boundary",
        "offsets",
        "texts of tokens that are not the text",
    ],
)
def test_the_tokens_of_a_continuation_are_found(tokens, offsets, found):
    logp = [None, *(-float(i) for i in range(1, len(tokens)))]
    logprobs = {"tokens": tokens, "token_logprobs": logp, "text_offset": offsets}
    got = reply(Force("the end", " is"), [{"text": "the end is x", "logprobs": logprobs}], "echo")
    assert forced_of(got).tolist() == found


@pytest.mark.parametrize(
    ("text", "logprobs", "says"),
    [
        ("the end is", None, "gives no log-probabilities of a prompt"),
        (" x", {"tokens": [" x"], "token_logprobs": [-1.0]}, "not the text that was sent"),
    ],
)
def test_a_server_that_does_not_echo_is_told_so_and_not_asked_again(text, logprobs, says):
    with pytest.raises(BadReply, match=says) as told:
        reply(Force("the end", " is"), [{"text": text, "logprobs": logprobs}], "echo")
    assert not told.value.again


def test_a_first_token_has_no_probability():
    logprobs = {"tokens": ["a", "b", "c"], "token_logprobs": [None, -1.0, -2.0]}
    with pytest.raises(BadReply, match="nothing stands before"):
        reply(Force("", "ab"), [{"text": "abc", "logprobs": logprobs}], "echo")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-1, -2]}}, "1 tokens have 2"),
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [None]}}, "no log-probability"),
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [0.5]}}, "log-probability of 0.5"),
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": ["x"]}}, "not what it should be"),
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{}, {}]}}, "2 lists"),
        ({"text": None}, "has no text"),
        ({"message": {"content": "a"}}, "has no text"),
    ],
)
def test_what_is_no_reply_is_refused(choice, says):
    with pytest.raises(BadReply, match=says):
        reply(Continue("p"), [choice])


def test_negative_counts_of_tokens_are_refused():
    with pytest.raises(BadReply, match="fewer than 0"):
        reply(Continue("p"), [{"text": "a"}], prompt_tokens=-1)


def test_without_a_count_the_worst_case_is_charged():
    worst = Use(1, 100, 50)
    assert reply(Continue("p"), [{"text": "a"}]).use(worst) == worst
    assert reply(Continue("p"), [{"text": "a"}], prompt_tokens=3, completion_tokens=2).use(worst) == Use(1, 3, 2)


def test_requests_that_differ_have_keys_that_differ():
    several = [
        Continue("a"),
        Continue("a", draw=1),
        Continue("a", n=2),
        Continue("a", stop=("b",)),
        Continue("a", "b"),
        Continue("ab", max_tokens=1),
        Ask("a"),
        Ask("a", draw=1),
    ]
    keys = {
        call_of(r, s, k).key for r in several for s in (SETTING, PLAIN, Setting("n")) for k in ("chat", "completions")
    }
    # An Ask never has probabilities, so that two of the settings are one to it.
    assert len(keys) == 6 * 3 * 2 + 2 * 2 * 2
    assert call_of(Continue("a", to="x"), SETTING, "chat").key == call_of(Continue("a"), SETTING, "chat").key


def test_what_no_server_answers_is_refused():
    with pytest.raises(StepCreditError, match="got Check"):
        call_of(Check("a", "b"), PLAIN, "chat")


def test_the_worst_case_holds_n_answers_and_a_token_per_byte():
    assert call_of(Continue("é" * 10, n=3, max_tokens=7), PLAIN, "completions").worst == Use(1, 36, 21)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3)
    | st.dictionaries(st.sampled_from(["choices", "text", "message", "content", "logprobs", "tokens", "usage",
                                       "token_logprobs", "index", "prompt_tokens", "finish_reason"]), x, max_size=4),
    max_leaves=12,
)  # fmt: skip
REQUESTS = [(Continue("p", n=2), "completions"), (Ask("p"), "chat"), (Force("a", "b"), "echo")]


@given(st.binary(max_size=60) | JSON.map(lambda x: json.dumps(x).encode()), st.sampled_from(REQUESTS))
def test_whatever_comes_is_a_reply_or_a_bad_one(data, asked):
    call = call_of(asked[0], SETTING, asked[1])
    try:
        got = read(call, data)
    except BadReply as bad:
        assert bad.reason
    else:
        assert unpack(pack(got)) == got and samples_of([got])


CHOICES = st.lists(
    st.fixed_dictionaries(
        {"text": st.text(max_size=5), "finish_reason": st.sampled_from(["stop", "length", None])},
        optional={
            "index": st.integers(0, 3),
            "stop_reason": st.none() | st.integers() | st.text(max_size=2),
            "logprobs": st.lists(st.tuples(st.text(max_size=3), st.floats(-50, 0)), max_size=4).map(
                lambda x: {"tokens": [t for t, _ in x], "token_logprobs": [p for _, p in x]}
            ),
        },
    ),
    min_size=1,
    max_size=3,
)


@given(CHOICES)
def test_good_replies_survive_being_kept(choices):
    got = reply(Continue("p", n=3), choices)
    assert unpack(pack(got)) == got
    for one in samples_of([got]):
        assert one.logp is None or len(one.logp) == len(one.tokens)


def test_the_models_of_a_server():
    assert models(b'{"object": "list", "data": [{"id": "a"}, {"id": "b"}]}') == ["a", "b"]
    with pytest.raises(BadReply, match="list of models"):
        models(b"<html>")


def test_a_kept_reply_is_json_that_people_can_read():
    assert msgspec.json.decode(pack(Reply((), 1, 2))) == {"drafts": [], "read": 1, "written": 2}


def test_where_a_forced_text_is_cut_is_part_of_its_name():
    one, other = (call_of(Force(*cut), Setting("m"), "echo") for cut in (("1", "2"), ("", "12")))
    assert one.body == other.body and one.key != other.key


def test_no_more_of_the_likeliest_are_kept_than_asked_for():
    """vLLM lists the drawn token too where it is not among them."""
    top = [{"a": -0.1, "b": -3.0, "c": -4.0}]
    choice = {"text": "c", "logprobs": {"tokens": ["c"], "token_logprobs": [-4.0], "top_logprobs": top}}
    got = sample(Continue("p"), choice, "completions")
    assert got.top_tokens == (("a", "b"),)


def test_a_score_is_one_call():
    found = call_of(Score("a", "b"), Setting("m"), "pooling")
    assert found.worst.completion == 0 and found.n == 1
    assert read(found, b'{"data":[{"data":[[0.9,0.1],[0.3,0.7]]}],"usage":{"prompt_tokens":2}}').score == 0.7
    for bad in (b'{"data":[]}', b'{"data":[{"data":[]}]}', b'{"data":[{"data":[[]]}]}', b"[]"):
        with pytest.raises(BadReply):
            read(found, bad)
