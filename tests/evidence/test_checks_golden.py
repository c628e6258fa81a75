"""Evidence without a model: goldens, what every kind has to keep, options that some golden sets."""

import copy
import inspect
import json
import subprocess
import sys

import pytest
from evidence_goldens import FOLDER, assert_columns, batch_of, cases

from stepcredit import evidence
from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.errors import MissingExtra, StepCreditError
from stepcredit.plugins import extra

GOLDEN = [
    "action_clusters",
    "actions",
    "outcome_check",
    "progress_check",
    "retrieval",
    "rule_tree",
    "span_weights",
    "tool_match",
    "visual_match",
]
KINDS = [*GOLDEN, "oracle", "state"]
# Functions have no place in a file of goldens; tests of the kind set them.
BY_TEST = {("visual_match", "parse")}
NEEDS = {"units": "pint", "math": "math_verify", "shell": "tree_sitter_bash"}

each = pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind in GOLDEN for case in cases(kind)],
    ids=lambda value: value if isinstance(value, str) else value["source"][:60],
)


def run(kind, case, batch):
    if case["with"].get("how", "shell" if kind == "action_clusters" else "") in NEEDS:
        pytest.importorskip(NEEDS[case["with"].get("how", "shell")])
    if case["with"].get("assign") == "hungarian":
        pytest.importorskip("scipy")
    return evidence.get(kind).function(batch, *case.get("args", ()), **case["with"])


@each
def test_goldens(kind, case):
    assert_columns(run(kind, case, batch_of(case["rollouts"])), case["want"], case.get("within", 1e-9))


@each
def test_the_batch_that_was_given_stays_as_it_was(kind, case):
    batch = batch_of(case["rollouts"])
    before = copy.deepcopy((dict(batch.columns), dict(batch.keys), batch.records, batch.notes))
    out = run(kind, case, batch)
    assert (dict(batch.columns).keys(), dict(batch.keys), batch.records, batch.notes) == (before[0].keys(), *before[1:])
    assert set(out.columns) >= set(case["want"]) and out.records is batch.records


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_what_it_is_and_makes_columns_that_there_are(kind):
    found = evidence.get(kind)
    assert found.card.adds and all(column(name) for name in found.card.adds)
    assert bool(found.models) <= (found.cost is not None)
    for label, preset in found.presets.items():
        assert evidence.get(f"{kind}@{label}").options.items() >= preset.options.items()
    parameters = list(inspect.signature(found.function).parameters.values())
    assert parameters[0].name == "batch"
    assert all(p.annotation is not p.empty for p in parameters)


@pytest.mark.parametrize("kind", GOLDEN)
def test_every_option_is_set_by_some_golden_and_every_preset_is_in_one(kind):
    found, given = evidence.get(kind), [case["with"] for case in cases(kind)]
    options = {
        n: p.default for n, p in inspect.signature(found.function).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    unset = {n for n, default in options.items() if not any(n in one and one[n] != default for one in given)}
    assert unset <= {name for k, name in BY_TEST if k == kind}
    for preset in found.presets.values():
        wanted = {n: list(v) if isinstance(v, tuple) else v for n, v in preset.options.items()}
        plain = {n: v for n, v in wanted.items() if v != options[n]}
        assert any(plain.items() <= one.items() for one in given), preset


def test_every_golden_names_its_source():
    for path in FOLDER.glob("*.json"):
        made = json.loads(path.read_text(encoding="utf-8"))
        assert all(case["source"] for case in (made if isinstance(made, list) else [made]))


@pytest.mark.parametrize("kind", sorted(set(GOLDEN) - {"progress_check", "rule_tree", "retrieval"}))
def test_bare_arrays_have_no_texts(kind):
    bare = Batch(batch_of(cases(kind)[0]["rollouts"]).layout, {})
    with pytest.raises(StepCreditError, match="reads the texts of rollouts, and this batch holds arrays alone"):
        evidence.get(kind).function(bare, *cases(kind)[0].get("args", ()))


def test_a_package_that_is_missing_is_named_with_its_extra():
    with pytest.raises(MissingExtra, match=r"stepping needs no-such-package(.|\n)*stepcredit\[evidence\]"):
        extra("no_such_package", "stepping", name="evidence")


def test_no_optional_package_is_imported_with_the_kinds():
    heavy = ["scipy", "rapidfuzz", "math_verify", "tree_sitter", "pint", "sympy"]
    modules = ", ".join(f"stepcredit.evidence.{kind}" for kind in KINDS)
    code = f"import {modules}, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
