"""Texts that open again and again what nothing closes: each is read in one walk, or these tests would not end."""

import pytest

from stepcredit.evidence import _signature, latent_reward, span_weights, tool_match, visual_match
from stepcredit.evidence._answers import final_answer
from stepcredit.evidence._prompts import Unreadable, dimensions, turn

MANY = 200_000


def test_final_answer():
    assert final_answer("\n" * MANY) is None
    assert final_answer("Answer:" + " " * MANY + "\n" * MANY) is None
    assert final_answer("A: 4" + " " * MANY + "x" + " " * MANY) == "4" + " " * MANY + "x"


def test_code():
    assert _signature.code_in("<code>" * MANY) == "<code>" * MANY
    assert _signature.code_in("```a\n" * MANY).startswith("```a")
    assert latent_reward._code("```\n" * (2 * MANY + 1)) == ""
    assert _signature.code_in("a\n~~~ sh\nls\n```\n~~~\n```\npwd\n``` \n````\nx\n```") == "ls\n```\npwd"


def test_tags_and_looks():
    assert tool_match._tagged("<answer>" * MANY, "answer") is None
    assert tool_match._tagged("<a><a>1</a></a>", "a") == "<a>1"
    for text in ("<think>", "<answer>", '"point_2d": ['):
        assert span_weights.spans(text * MANY) == []
    assert visual_match.looks("FIND_SEGMENT(" * MANY + ")=" * MANY) == []


def test_verdicts():
    for read, text in ((dimensions.read_ternary, "<score>"), (turn.read_value, "Expected value:")):
        with pytest.raises(Unreadable):
            read(text * MANY)
    with pytest.raises(Unreadable):
        dimensions.read_ternary("<score>VERDICT</score>" * MANY)
