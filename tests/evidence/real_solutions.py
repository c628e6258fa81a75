"""Solutions that models wrote (STEPCREDIT_DATA names the folder)."""

import gzip
import json


def solutions_by_task(data):
    """(right answer, texts of four models) of each problem."""
    with gzip.open(data / "gsm8k/model_solutions.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts = [answer["solution"] for answer in row.values() if isinstance(answer, dict)]
            yield row["ground_truth"].rpartition("A: ")[2].strip(), texts
