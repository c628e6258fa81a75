"""Segmenters on texts that models wrote (STEPCREDIT_DATA names the folder)."""

import pytest
from segment_texts import puzzles, rows, solutions

from stepcredit import segment


@pytest.mark.parametrize("texts", [solutions, puzzles])
def test_one_step_for_each_line_that_is_not_blank(texts, data):
    count = 0
    for text in texts(data):
        want = [line.strip() for line in text.split("\n") if line.strip()]
        assert [text[start:end] for start, end in segment.get("lines")(text)] == want
        count += len(want)
    assert count > 10_000


def test_real_tool_calls_find_their_answers(data):
    runs = rows(data / "tau_airline/gpt4o_airline.jsonl.gz")
    answered = 0
    for run in runs:
        chat = run["traj"]
        turns = segment.get("tool_calls")(chat)
        assert turns.message.tolist() == [i for i, message in enumerate(chat) if message["role"] == "assistant"]
        for call, observed in zip(turns.call, turns.observations, strict=True):
            answered += call >= 0 and any(chat[i]["role"] == "tool" for i in observed)
    assert answered == sum(message["role"] == "tool" for run in runs for message in run["traj"])
