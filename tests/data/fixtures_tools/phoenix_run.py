"""What a Phoenix server gives back of the run that otel_run.py sent it:

python phoenix_run.py http://127.0.0.1:6006 FOLDER

Phoenix 20.26 with SQLite, its client 3.5. Out come pages of its REST API, and its client's table as pandas writes it.
"""

import json
import sys
from pathlib import Path
from urllib.request import urlopen

from keep import tidy
from phoenix.client import Client

BASE, OUT = sys.argv[1], Path(sys.argv[2])
DROPPED = ("llm.invocation_parameters", "llm.tools", "input.mime_type", "output.mime_type", "llm.finish_reason")


def lean(value):
    """Without what no reader needs, so that the file is small."""
    if isinstance(value, dict):
        return {k: lean(v) for k, v in value.items() if not k.removeprefix("attributes.").startswith(DROPPED)}
    if isinstance(value, list):
        return [lean(v) for v in value if not (isinstance(v, dict) and str(v.get("key")).startswith(DROPPED))]
    return value


def save(name, told):
    text = json.dumps(tidy(lean(told)), separators=(",", ":"))
    OUT.joinpath(f"openinference_phoenix_{name}.json").write_text(text + "\n", encoding="utf-8")


def page(path):
    with urlopen(f"{BASE}/v1/projects/default/{path}") as answer:
        return json.load(answer)


spans = page("spans?limit=100")
client = Client(base_url=BASE)
last = next(s for s in spans["data"] if "Take an umbrella." in str(s["attributes"]) and s["span_kind"] == "LLM")
client.spans.add_span_annotation(
    span_id=last["context"]["span_id"],
    annotation_name="helpful",
    annotator_kind="HUMAN",
    label="incorrect",
    score=0.0,
    explanation="nobody asked",
    sync=True,
)
save("rest", spans)
shapes = page("spans/otlpv1?limit=100")
failed = next(s for s in shapes["data"] if s["status"]["code"] == 2)  # it and two others, as these are long
asked = next(s for s in shapes["data"] if "chatcmpl-4" in str(s["attributes"]))
shapes["data"] = [s for s in shapes["data"] if s in (failed, asked) or s["name"] == "reporter"]
save("otlpv1", shapes)
save("annotations", page(f"span_annotations?span_ids={last['context']['span_id']}"))
table = client.spans.get_spans_dataframe(project_identifier="default")
save("table", json.loads(table.to_json(date_format="epoch")))
