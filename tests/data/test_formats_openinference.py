"""OpenInference: OTLP with its attributes, the SDK's spans, and Phoenix's table."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats._otlp import nested
from stepcredit.data.formats.openinference import rollouts
from stepcredit.data.rows import Rows

TRACES = Path(__file__).parent / "traces"
FILES = ("openinference_otlp.jsonl", "openinference_sdk.jsonl", "openinference_phoenix.jsonl")


@pytest.mark.parametrize("file", FILES)
def test_a_run_reads_alike_from_every_shape(file):
    reading = Reading(TRACES / file)
    (one,) = reading
    assert reading.format == "openinference"
    assert [s.agent for s in one.steps] == ["reporter", "reporter", "reporter", "adviser"]
    assert [s.text for s in one.steps][2:] == ["Lyon: 12 C and rain. Oslo: 5 C.", "Take an umbrella."]
    assert [(r.name, r.call, r.content, r.error) for s in one.steps for r in replies_of(s)] == [
        ("weather", "call_0", "12 C, rain", None),
        ("weather", "call_1", "error: no station in Oslo", True),
    ]
    assert (one.steps[0].origin.input_tokens, one.steps[0].origin.model) == (22, "scripted-1")
    assert one.steps[0].origin.response == "chatcmpl-2"


def test_the_shapes_tell_of_one_rollout():
    found = [next(iter(Reading(TRACES / f))) for f in FILES]
    for one in found:
        for step in one.steps:
            step.origin.start = step.origin.seconds = None
    assert found[0] == found[1] == found[2]


def test_phoenix_as_parquet(tmp_path):
    rows = [json.loads(line) for line in (TRACES / FILES[2]).read_text().splitlines()]
    for row in rows:
        row.pop("events")
    pq.write_table(
        pa.Table.from_pylist(rows, pa.unify_schemas([pa.Table.from_pylist([r]).schema for r in rows])),
        tmp_path / "p.parquet",
    )
    reading = Reading(tmp_path / "p.parquet")
    (one,) = reading
    assert (reading.format, len(one.steps)) == ("openinference", 4)
    assert one.steps[0].tool_calls[0].name == "weather"


def test_annotations_of_a_span_are_evidence_and_blame():
    row = json.loads((TRACES / FILES[1]).read_text().splitlines()[0])
    row["attributes"] |= {
        "annotations.0.annotation.name": "correctness",
        "annotations.0.annotation.score": 0.0,
        "annotations.0.annotation.label": "incorrect",
        "annotations.0.annotation.explanation": "wrong city",
        "annotations.0.annotation.annotator_kind": "HUMAN",
    }
    (one,) = rollouts(Rows.of([row]))
    assert one.steps[0].evidence == {"correctness": 0.0}
    assert [(b.by, b.step, b.label, b.reason) for b in one.blame] == [("HUMAN", 0, -1, "wrong city")]


def test_parts_with_images_are_read():
    row = json.loads((TRACES / FILES[1]).read_text().splitlines()[0])
    start = "llm.input_messages.1.message"
    row["attributes"].pop(f"{start}.content")
    row["attributes"] |= {
        f"{start}.contents.0.message_content.type": "text",
        f"{start}.contents.0.message_content.text": "what is this?",
        f"{start}.contents.1.message_content.type": "image",
        f"{start}.contents.1.message_content.image.image.url": "https://example.org/cat.png",
    }
    (one,) = rollouts(Rows.of([row]))
    assert (one.context[1].content, one.context[1].images) == (
        "what is this?[image_url]",
        ["https://example.org/cat.png"],
    )


def test_flattened_names_are_put_together():
    assert nested({"a.1.b": 2, "a.0": {"b.c": 1}, "x": 0}, "a") == [{"b": {"c": 1}}, {"b": 2}]
    assert nested({"a.x": 1, "a.0": 2}, "a") == {"x": 1, "0": 2}
    assert nested({}, "a") is None


@pytest.mark.parametrize("file", ["openinference_phoenix_rest.json", "openinference_phoenix_table.json"])
def test_what_a_phoenix_server_gives_back_of_the_run(file):
    reading = Reading(TRACES / file)
    (one,) = reading
    assert reading.format == "openinference"
    assert [s.agent for s in one.steps] == ["reporter", "reporter", "reporter", "adviser"]
    assert [s.text for s in one.steps][2:] == ["Lyon: 12 C and rain. Oslo: 5 C.", "Take an umbrella."]
    assert [(c.name, c.arguments, c.id) for s in one.steps for c in s.tool_calls] == [
        ("weather", '{"city": "Lyon"}', "call_0"),
        ("weather", '{"city": "Oslo"}', "call_1"),
    ]
    assert [(r.name, r.call, r.content, r.error) for s in one.steps for r in replies_of(s)] == [
        ("weather", "call_0", "12 C, rain", None),
        ("weather", "call_1", "error: no station in Oslo", True),
    ]
    assert (one.steps[0].origin.input_tokens, one.steps[0].origin.model) == (22, "scripted-1")
    assert 0 < one.steps[0].origin.seconds < 5


def test_a_page_of_phoenix_in_the_shape_of_otlp_has_all_kinds_of_values_and_all_but_one_are_null():
    reading = Reading(TRACES / "openinference_phoenix_otlpv1.json")
    (one,) = reading
    (step,) = one.steps
    assert (reading.format, step.agent, step.tool_calls[0].id) == ("openinference", "reporter", "call_1")
    assert (step.origin.input_tokens, step.origin.response) == (24, "chatcmpl-4")
    assert [r.error for r in replies_of(step)] == [True]


def test_spans_of_such_a_page_are_read_as_rows_too(tmp_path):
    page = json.loads((TRACES / "openinference_phoenix_otlpv1.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps(page["data"]))
    assert list(Reading(tmp_path / "p.json")) == list(Reading(TRACES / "openinference_phoenix_otlpv1.json"))


def test_annotations_that_phoenix_exports_beside_its_spans_reach_their_step():
    names = ("openinference_phoenix_rest.json", "openinference_phoenix_annotations.json")
    (one,) = Reading([TRACES / n for n in names])
    assert [s.evidence for s in one.steps] == [{}, {}, {}, {"helpful": 0.0}]
    assert [(b.by, b.step, b.label, b.reason) for b in one.blame] == [("HUMAN", 3, -1, "nobody asked")]


def test_annotations_as_a_table_reach_their_step():
    page = json.loads((TRACES / "openinference_phoenix_rest.json").read_text())
    told = json.loads((TRACES / "openinference_phoenix_annotations.json").read_text())["data"][0]
    row = {"span_id": told["span_id"], "annotation_name": told["name"], "annotator_kind": "HUMAN"}
    row |= {f"result.{k}": v for k, v in told["result"].items()}
    (one,) = rollouts(Rows.of([row, page]))
    assert one.steps[3].evidence == {"helpful": 0.0}


def test_annotations_without_their_spans_are_counted():
    reading = Reading(TRACES / "openinference_phoenix_annotations.json")
    assert list(reading) == []
    assert any("whose trace is not there" in n for n in reading.notes)
