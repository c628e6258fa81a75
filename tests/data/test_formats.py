"""The set of formats: found by walking, detected from the first row, and none that falls over any JSON."""

import inspect
import json

import pytest
from fixtures import FILES, first_of, format_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepcredit.data import formats
from stepcredit.data.reading import Reading
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows, renamed
from stepcredit.errors import DataError, StepCreditError, UnknownName

FIRST = {format_of(path): first_of(path) for path in reversed(FILES)} | {
    "stepcredit": {"group": "p", "rollout": 0, "outcome": 1},
    "openai_chat": {"task_id": 1, "messages": []},
    "tau_bench": {"task_id": 0, "trial": 0, "reward": 1.0, "info": {}, "traj": []},
    "trl_completions": {"step": 1, "prompt": "p", "completion": "c", "correct": 1.0, "advantage": 0.0},
    "verl_rollout": {"input": "p", "output": "c", "gts": None, "score": 1.0, "step": 1},
    "game24_cot": {"puzzle": "1 5 6 9", "rollouts": [], "correct": []},
    "agentprocessbench": {"query_index": 0, "messages": [], "step_labels": {}, "final_label": 1},
}


def test_every_format_of_the_folder_is_detected_and_documented():
    assert set(FIRST) == set(formats.names())
    for name, first in FIRST.items():
        assert formats.detect(first, "x") == name
        assert list(formats.get(name).rollouts(Rows.of([first]))) is not None
        assert len(inspect.getdoc(formats.get(name))) > 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_trace_is_of_one_format_alone(path):
    """Its own, by the first row, as it is read from a file."""
    assert formats.detect(first_of(path), str(path)) == format_of(path)


def test_unknown_and_ambiguous_formats_name_the_choices():
    with pytest.raises(UnknownName, match="tau_bench"):
        formats.get("taubench")
    with pytest.raises(DataError, match=r"no format fits.*fields foo, bar.*game24_cot"):
        formats.detect({"foo": 1, "bar": 2}, "x.jsonl")
    with pytest.raises(DataError, match="several formats fit: tau_bench, trl_completions"):
        formats.detect(FIRST["tau_bench"] | FIRST["trl_completions"], "x.jsonl")


def test_a_plug_in_is_a_format(monkeypatch, tmp_path):
    class Point:
        name = "mine"

        def load(self):
            class Mine:
                FIELDS = ("line",)

                @staticmethod
                def fits(first, path):
                    return "line" in first

                @staticmethod
                def rollouts(rows, *, prefix="g"):
                    for row in rows:
                        with rows.guard(row):
                            yield Rollout(group=prefix + row.value["line"], rollout=0)

            return Mine

    monkeypatch.setattr(
        "stepcredit.plugins.entry_points", lambda group, name="mine": [Point()] if name == "mine" else []
    )
    (tmp_path / "x.jsonl").write_text('{"line": "a"}\n')
    assert "mine" in formats.names()
    assert [r.group for r in Reading(tmp_path / "x.jsonl")] == ["ga"]
    assert [r.group for r in Reading(tmp_path / "x.jsonl", prefix="h")] == ["ha"]
    with pytest.raises(UnknownName, match="option"):
        Reading(tmp_path / "x.jsonl", perfix="h")


def test_map_reads_dotted_paths_and_names_the_fields_there_are():
    assert renamed({"info": {"reward": 1}, "a.b": 2}, {"outcome": "info.reward", "x": "a.b"}) == {
        "info": {"reward": 1},
        "a.b": 2,
        "outcome": 1,
        "x": 2,
    }
    with pytest.raises(DataError, match=r"no field 'score' in 'info', expected one of: reward"):
        renamed({"info": {"reward": 1}}, {"outcome": "info.score"})


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
words = st.sampled_from(
    [
        "role",
        "content",
        "assistant",
        "tool",
        "user",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "1",
        "-1",
        "Answer: 1",
        "4 + 1 = 5 (left: 5 6)",
        "{}",
        "[{'role': 'assistant', 'content': 'x'}]",
        "a_0_1",
        "(left: 1/0)",
        "1/0 = 1",
        "NaN",
    ]
)
anything = st.recursive(
    scalars | words,
    lambda s: st.lists(s, max_size=4) | st.dictionaries(words | st.text(max_size=3), s, max_size=5),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["assistant", "tool", "user"])},
        optional=dict.fromkeys(("content", "tool_calls", "function_call", "name", "tool_call_id"), anything),
    )
    | anything,
    max_size=4,
)


@pytest.mark.parametrize("name", sorted(FIRST))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_gives_rollouts_or_a_stepcredit_error(name, data):
    module = formats.get(name)
    fields = [*module.FIELDS, "group", "rollout", "outcome"]
    value = st.dictionaries(st.sampled_from(fields), anything | messages, max_size=4)
    changed = data.draw(st.lists(value, min_size=1, max_size=3))
    given_rows = [FIRST[name] | c for c in changed]
    for row in given_rows:
        for other in FIRST:
            assert formats.get(other).fits(row, "x") in (True, False)
    rows = Rows.of(given_rows, on_error="skip")
    for rollout in module.rollouts(rows):
        assert isinstance(rollout, Rollout)
        assert type(rollout.group) in (str, int) and type(rollout.rollout) in (str, int)
        assert rollout.outcome is None or type(rollout.outcome) is float
    assert all(isinstance(e, StepCreditError) and e.row for e in rows.skipped)


@pytest.mark.parametrize("name", sorted(set(FIRST) - {"stepcredit"}))
def test_deep_nesting_is_a_data_error(name):
    deep = json.loads("[" * 400 + "]" * 400)
    for _ in range(400):
        deep = [deep]
    for field in formats.get(name).FIELDS:
        rows = Rows.of([FIRST[name] | {field: deep}], on_error="skip")
        list(formats.get(name).rollouts(rows))
