"""TRL's logged completions, in the shapes that TRL 1.16 writes."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stepcredit.data.formats.trl_completions import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import ToolCall
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError


def rows(*prompts, step=1, start=0, **columns):
    made = []
    for i, prompt in enumerate(prompts, start):
        row = {"step": step, "prompt": prompt, "completion": f"answer {i}", "correct": float(i % 2), "short": 0.5}
        made.append(row | {k: v[i - start] for k, v in columns.items()} | {"answer": "8", "advantage": 0.25})
    return made


def read(given, **options):
    source = Rows.of(given)
    return list(rollouts(source, **options)), source.notes


def test_runs_of_one_prompt_are_groups_and_rewards_add_up():
    found, notes = read(rows("a", "a", "b", "b", "a", "a"))
    assert [(r.group, r.rollout) for r in found] == [(f"1/{g}", i) for g in range(3) for i in range(2)]
    assert [r.outcome for r in found] == [0.5, 1.5] * 3
    assert found[1].rewards == {"correct": 1.0, "short": 0.5}
    assert (found[0].batch, found[0].task, found[0].extra) == (1, "a", {"answer": "8", "advantage": 0.25})
    assert notes == []


def test_num_generations_cuts_runs_and_a_note_says_where_it_may_be_needed():
    given = rows("a", "a", "b", "b", "b", "b")
    found, notes = read(given)
    assert [r.group for r in found] == ["1/0"] * 2 + ["1/1"] * 4
    assert "num_generations=2" in notes[0]
    found, notes = read(given, num_generations=2)
    assert [r.group for r in found] == ["1/0", "1/0", "1/1", "1/1", "1/2", "1/2"]
    assert notes == []
    with pytest.raises(DataError, match="got 2, expected 4"):
        read(given, num_generations=4)


def test_a_generation_that_was_logged_twice_is_read_once():
    once = rows("a", "a")
    found, notes = read(once + [r | {"step": 2} for r in once] + rows("a", "a", step=3, start=1))
    assert [r.group for r in found] == ["1/0"] * 2 + ["3/0"] * 2
    assert "training step 2 repeats" in notes[0]


def test_null_in_all_rewards_is_unknown_and_in_one_counts_nothing():
    given = rows("a", "a", correct=[None, 1.0], short=[None, None])
    found, _ = read(given, rewards="correct,short")
    assert [r.outcome for r in found] == [None, 1.0]
    assert found[1].rewards == {"correct": 1.0, "short": None}


def test_rewards_can_be_chosen_and_weighted():
    found, _ = read(rows("a", "a"), rewards="correct, short=2")
    assert [r.outcome for r in found] == [1.0, 2.0]
    found, _ = read(rows("a", "a"), rewards="correct")
    assert found[1].outcome == 1.0
    assert found[1].extra["short"] == 0.5
    with pytest.raises(DataError, match="no reward column 'accuracy'"):
        read(rows("a", "a"), rewards="accuracy")
    with pytest.raises(DataError, match="must list columns"):
        read(rows("a", "a"), rewards="correct=much")


def test_files_of_a_run_with_tools_read_in_order_and_never_merge(tmp_path):
    arguments = pa.struct([("a", pa.int64()), ("b", pa.int64())])
    function = pa.struct([("name", pa.string()), ("arguments", arguments)])
    call = pa.struct([("type", pa.string()), ("function", function)])
    message = pa.struct(
        [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(call)), ("name", pa.string())]
    )
    talk = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 4, "b": None}}}],
        },
        {"role": "tool", "content": "4", "name": "add"},
        {"role": "assistant", "content": "It is 4."},
    ]
    prompt = [{"role": "system", "content": "Add."}, {"role": "user", "content": "4+0="}]
    for step in (2, 10):
        n = 2
        table = pa.table(
            {
                "step": pa.array([step] * n, pa.int64()),
                "prompt": [prompt] * n,
                "completion": pa.array([talk, [talk[2] | {"content": str(step)}]], pa.list_(message)),
                "correct": [1.0, 0.0],
                "advantage": [0.7, -0.7],
            }
        )
        pq.write_table(table, tmp_path / f"completions_{step}.parquet")
    reading = Reading(tmp_path)
    batch = reading.read()
    assert reading.format == "trl_completions"
    assert [r.group for r in batch.records] == ["2/0", "2/0", "10/0", "10/0"]
    assert batch.layout.batch.tolist() == [2, 2, 10, 10]
    first = batch.records[0]
    assert [(s.text, s.observation) for s in first.steps] == [("", "4"), ("It is 4.", None)]
    assert first.steps[0].tool_calls == [ToolCall(name="add", arguments={"a": 4})]
    assert first.task == "4+0="
