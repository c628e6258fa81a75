"""Texts that people and models wrote (STEPCREDIT_DATA names the folder)."""

import gzip
import json


def rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def solutions(data, questions=False):
    for row in rows(data / "gsm8k/model_solutions.jsonl.gz"):
        yield from [row["question"]] * questions
        yield row["ground_truth"]
        yield from (answer["solution"] for answer in row.values() if isinstance(answer, dict))


def puzzles(data):
    for row in rows(data / "game24/gpt4_cot_rollouts.jsonl.gz"):
        yield from row["rollouts"]
