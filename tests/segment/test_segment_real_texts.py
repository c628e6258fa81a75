"""Segmenters on texts that models wrote (STEPCREDIT_DATA names the folder)."""

import gzip
import json
import os
from pathlib import Path

import pytest

from stepcredit import segment

DATA = os.environ.get("STEPCREDIT_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="STEPCREDIT_DATA is not set")


def rows(name):
    path = Path(DATA or "") / name
    if not path.exists():
        pytest.skip(f"no {name}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def solutions():
    for row in rows("gsm8k/model_solutions.jsonl.gz"):
        yield row["ground_truth"]
        yield from (answer["solution"] for answer in row.values() if isinstance(answer, dict))


def puzzles():
    for row in rows("game24/gpt4_cot_rollouts.jsonl.gz"):
        yield from row["rollouts"]


@pytest.mark.parametrize("texts", [solutions, puzzles])
def test_one_step_for_each_line_that_is_not_blank(texts):
    count = 0
    for text in texts():
        want = [line.strip() for line in text.split("\n") if line.strip()]
        assert [text[start:end] for start, end in segment.get("lines")(text)] == want
        count += len(want)
    assert count > 10_000


def test_real_tool_calls_find_their_answers():
    runs = rows("tau_airline/gpt4o_airline.jsonl.gz")
    answered = 0
    for run in runs:
        chat = run["traj"]
        turns = segment.get("tool_calls")(chat)
        assert turns.message.tolist() == [i for i, message in enumerate(chat) if message["role"] == "assistant"]
        for call, observed in zip(turns.call, turns.observations, strict=True):
            answered += call >= 0 and any(chat[i]["role"] == "tool" for i in observed)
    assert answered == sum(message["role"] == "tool" for run in runs for message in run["traj"])
