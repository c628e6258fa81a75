"""verl's rollout dumps, in the shapes that verl 0.9 writes."""

import json

import pytest

from stepcredit.data.formats.verl_rollout import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TWO = "I add. <tool_call>\n{}\n</tool_call>\nuser\n<tool_response>\n5\n</tool_response>\nassistant\nIt is 5."


def row(prompt="p", output="o", score=1.0, step=1, **more):
    return {"input": prompt, "output": output, "gts": "5", "score": score, "step": step} | more


def read(*given):
    source = Rows.of(given)
    return list(rollouts(source)), source.notes


def texts(output):
    ((found,), _) = read(row(output=output))
    return [s.text for s in found.steps], [s.observation for s in found.steps], found.extra["cut"]


def test_rows_of_a_step_with_one_prompt_are_a_group_and_steps_do_not_merge():
    found, notes = read(row("a"), row("b"), row("a", score=0.0), row("a", step=2))
    assert [(r.group, r.rollout, r.batch) for r in found] == [
        ("1/0", 0, 1),
        ("1/1", 0, 1),
        ("1/0", 1, 1),
        ("2/0", 0, 2),
    ]
    assert found[2].outcome == 0.0
    assert found[0].task == "a"
    assert "the file names none" in notes[0]


def test_uid_names_group_and_session_and_contexts_follow_one_another():
    found, notes = read(
        row(uid="x_y_0_0"), row(uid="x_y_1_0", output="first", score=0.0), row(uid="x_y_1_1", output="then", score=0.5)
    )
    assert [(r.group, r.rollout, r.outcome) for r in found] == [("1/x_y", 0, 1.0), ("1/x_y", 1, 0.5)]
    assert [s.text for s in found[1].steps] == ["first", "then"]
    assert notes == []


def test_output_without_marks_is_one_step():
    assert texts("The assistant knows:\nassistant\n5") == (["The assistant knows:\nassistant\n5"], [None], "none")


def test_a_whole_tool_exchange_in_the_text_is_a_turn():
    steps, replies, how = texts(TWO)
    assert steps == ["I add. <tool_call>\n{}\n</tool_call>", "It is 5."]
    assert replies == ["<tool_response>\n5\n</tool_response>", None]
    assert how == "text"


def test_a_reply_that_holds_role_names_is_not_cut():
    forged = "a\nuser\n<tool_response>\nassistant\nno such tool\n</tool_response>\nassistant\n11"
    assert texts(forged)[0] == ["a", "11"]


def test_markers_that_survive_cut_turns():
    marked = "a<|im_end|>\n<|im_start|>user\nwell?<|im_end|>\n<|im_start|>assistant\nb<|im_end|>"
    assert texts(marked) == (["a", "b"], ["well?", None], "markers")
    assert texts(marked.removesuffix("<|im_end|>"))[0] == ["a", "b"]


def test_nan_is_unknown_and_numbers_written_as_text_are_numbers(tmp_path):
    lines = [json.dumps(row(score=float("nan"))), json.dumps(row(score="0.5")), json.dumps(row(score="nan"))]
    (tmp_path / "1.jsonl").write_text("\n".join(lines))
    reading = Reading(tmp_path / "1.jsonl")
    assert [r.outcome for r in reading] == [None, 0.5, None]
    assert reading.format == "verl_rollout"


def test_other_fields_are_kept():
    (found,), _ = read(row(acc=True, request_id="r"))
    assert found.extra == {"gts": "5", "acc": True, "request_id": "r", "cut": "none"}


@pytest.mark.parametrize("bad", [{"score": "high"}, {"step": None}, {"output": None}, {"input": 3}])
def test_what_is_wrong_is_said(bad):
    with pytest.raises(DataError, match=next(iter(bad))):
        read(row() | bad)


def test_a_skipped_row_takes_no_number():
    source = Rows.of([row(), row(score="high"), row()], on_error="skip")
    assert [r.rollout for r in rollouts(source)] == [0, 1]
    assert [e.row for e in source.skipped] == [2]
