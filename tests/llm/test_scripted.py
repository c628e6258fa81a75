"""Replies written beforehand."""

from dataclasses import replace

import pytest

from stepcredit.errors import DataError, StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Ask, Failed
from stepcredit.llm.scripted import Scripted, load


def test_the_first_key_in_the_prompt_has_the_reply():
    model = Scripted({"France": "Paris", "": "I do not know."})
    assert model.judge(["Capital of France?", "Of Spain?"]) == ["Paris", "I do not know."]
    assert model.asked == ["Capital of France?", "Of Spain?"]


def test_several_replies_come_in_turn():
    model = Scripted({"coin": ["heads", "tails", None]})
    assert model.judge(["coin"] * 4) == ["heads", "tails", None, "heads"]


def test_a_list_is_given_in_order_and_ends():
    model = Scripted(["one", None])
    assert model.judge(["a", "b"]) == ["one", None]
    with pytest.raises(StepCreditError, match="question 3, and 2 replies"):
        model.judge(["c"])


def test_a_function_is_asked():
    assert Scripted(str.upper).judge(["yes"]) == ["YES"]


def test_samples_stop_and_are_cut():
    model = Scripted({"": "one two\nthree four"})
    (whole, again), (other, _) = model.sampler(["a", "b"], n=2)
    assert whole == replace(again, read=1) and again.read == 0 and whole.text == other.text == "one two\nthree four"
    assert whole.tokens == ("one", " two", "\nthree", " four") and whole.ended and whole.written == 4
    (stopped,) = model.sampler(["a"], stop=["\n"])[0]
    assert stopped.text == "one two" and stopped.finished and stopped.ended is False
    (cut,) = model.sampler(["a"], max_tokens=3)[0]
    assert cut.text == "one two\nthree" and not cut.finished and cut.ended is False
    assert model.asked == ["a", "a", "b", "b", "a", "a"]


def test_a_prompt_without_a_reply_is_an_error_of_a_sampler_and_a_failed_judgment():
    model = Scripted({"France": "Paris"})
    with pytest.raises(StepCreditError, match="no reply is written"):
        model.sampler(["Of Spain?"])

    def plan():
        return (yield [Ask("Of France?"), Ask("Of Spain?")])

    ((_, replies),) = drive([plan()], {"judge": model.judge})
    assert replies[0] == "Paris" and isinstance(replies[1], Failed)


def test_replies_from_a_file(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text(
        '{"prompt_contains": "a", "reply": ["1", null]}\n\n{"prompt_contains": "", "reply": "x"}\n', "utf-8"
    )
    assert load(path).judge(["cat", "cat", "dog"]) == ["1", None, "x"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"prompt_contains": "a"}', "row 1.*reply"),
        ('{"prompt_contains": "a", "reply": "b"}\n[1]', "row 2"),
        ('{"prompt_contains": "a", "reply": 3}', "row 1"),
        ('{"prompt_contains": "a", "reply": "b", "stop": 1}', "row 1.*stop"),
        ('{"prompt_contains": "a", "reply": "b"}\n' * 2, "row 2: prompt_contains comes twice"),
        ("\n", "no replies"),
    ],
)
def test_a_wrong_file_is_refused_by_row(tmp_path, text, match):
    path = tmp_path / "replies.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=match):
        load(path)
