"""Ragged rows of a trainer: what every list adapter shares."""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

import stepcredit as sc
from stepcredit.integrations._rows import (
    Row,
    assign_rows,
    assigner,
    patched,
    refuse_dropped,
    refuse_extras,
    refuse_part,
    side,
)

GIGPO = {"gamma": 1.0, "spread": "none"}
ROWS = [
    Row("p", [2, 3], 1.0, columns={"state": ["s", "u"]}),
    Row("p", [2], 0.0, columns={"state": ["s"]}),
]


def test_rows_get_what_padded_arrays_get():
    credits, out = assign_rows(assigner("gigpo", "write it down", GIGPO), ROWS)
    assert [c.advantages for c in credits] == [[1.0, 1.0, 0.5, 0.5, 0.5], [-1.0, -1.0]]
    batch = sc.from_arrays(
        group=["p", "p"],
        turn_ids=[[0, 0, 1, 1, 1], [0, 0, -1, -1, -1]],
        outcome=[1.0, 0.0],
        state=[["s", "u"], ["s"]],
    )
    assert sc.assign(batch, "gigpo", **GIGPO).advantages() == [c.advantages for c in credits]
    assert out.report is not None


def test_parts_of_a_rollout_are_one_rollout_in_the_order_of_their_places():
    rows = [
        Row("p", [3], 1.0, "a", {"state": ["u"]}, 1),
        Row("p", [2], 1.0, "a", {"state": ["s"]}, 0),
        Row("p", [2], 0.0, "b", {"state": ["s"]}, 0),
    ]
    credits, _ = assign_rows(assigner("gigpo", "", GIGPO), rows)
    assert [c.advantages for c in credits] == [[0.5] * 3, [1.0] * 2, [-1.0] * 2]


def test_a_turn_without_tokens_leaves_with_its_values():
    rows = [Row("p", [2, 0, 3], 1.0, columns={"state": ["s", "lost", "u"]}), ROWS[1]]
    credits, _ = assign_rows(assigner("gigpo", "", GIGPO), rows)
    assert credits[0].advantages == [1.0, 1.0, 0.5, 0.5, 0.5]


def test_a_reward_on_a_turn_without_tokens_is_not_lost():
    rows = [Row("p", [2, 0], 1.0, columns={"reward": [0.0, 1.0]}), Row("p", [2], 0.0, columns={"reward": [0.0]})]
    with pytest.raises(sc.LayoutError, match=r"row 0, turn 1 has reward 1.0 and no sampled token"):
        assign_rows(assigner("step_grpo", "", {}), rows)


def test_a_row_without_tokens_still_counts_in_its_group():
    rows = [Row("p", [2], 1.0), Row("p", [], 0.0)]
    credits, _ = assign_rows(assigner("dr_grpo", "", {}), rows)
    assert [c.advantages for c in credits] == [[0.5, 0.5], []]


def test_columns_of_tasks_and_tokens_reach_the_method():
    rows = [Row(g, [2], 1.0, columns={"prior_value": v}) for g, v in [("a", 0.25), ("b", 0.5), ("a", 0.25)]]
    credits, _ = assign_rows(assigner("v05", "", {}), rows)
    batch = sc.from_arrays(
        group=["a", "b", "a"], response_mask=np.ones((3, 2), int), outcome=[1, 1, 1], prior_value=[0.25, 0.5]
    )
    assert [c.advantages for c in credits] == sc.assign(batch, "v05").advantages()
    values = [Row("p", [1, 2], 1.0, columns={"token_value": [0.1, 0.2, 0.3]})]
    credits, _ = assign_rows(assigner("gae_token", "", {"lam": 1.0}), values)
    assert credits[0].advantages == pytest.approx([0.9, 0.8, 0.7])


def test_what_is_not_judged_is_not_kept_and_a_trainer_without_mask_refuses_it():
    rows = [Row("p", [2], 1.0), Row("p", [1], None), Row("p", [1], 0.0)]
    credits, _ = assign_rows(assigner("dr_grpo", "", {}), rows)
    assert [c.keep for c in credits] == [[True, True], [False], [True]]
    assert credits[1].advantages == [0.0]
    with pytest.raises(sc.StepCreditError, match=r"1 sampled tokens are not judged \(the first in row 1\), and X"):
        refuse_dropped(credits, "X", "raise")
    assert refuse_dropped(credits, "X", "zero") == 1


def test_a_missing_column_names_the_trainers_place_for_it():
    with pytest.raises(sc.MissingColumn, match=r"state(.|\n)*write it down"):
        assign_rows(assigner("gigpo", "write it down", {}), [Row("p", [1], 1.0), Row("p", [1], 0.0)])


def test_extras_that_a_trainer_cannot_carry_are_refused():
    rows = [Row("p", [2], v, columns={"gain": [0.1], "answer_prob": [0.5]}) for v in (1.0, 0.0)]
    credits, out = assign_rows(assigner("a2tgpo", "", {}), rows)
    assert credits[0].clip_scale is not None
    with pytest.raises(sc.StepCreditError, match="a2tgpo returns clip_scale, and X has no field"):
        refuse_extras(out, "X")
    refuse_extras(out, "X", {"clip_scale"})


def test_methods_that_pool_are_refused_where_the_hook_sees_a_part():
    refuse_part(assigner("dr_grpo", "", {}), "X", "one group")
    with pytest.raises(sc.StepCreditError, match="X hands over one group at a time"):
        refuse_part(assigner("reinforce_plus_plus", "", {}), "X", "one group")


def test_rows_without_any_token_are_refused():
    with pytest.raises(sc.LayoutError, match="no row has a sampled token"):
        assign_rows(assigner("dr_grpo", "", {}), [Row("p", [], 1.0)])


def test_metadata_that_is_no_dict_of_columns_is_refused():
    with pytest.raises(sc.LayoutError, match="must be a dict of columns; got list"):
        side({"stepcredit": ["s"]})


@pytest.mark.parametrize(
    "adapter, module, name",
    [
        ("openrlhf", "openrlhf.trainer.ppo_trainer", "RemoteExperienceMaker"),
        ("roll", "roll.pipeline.agentic.agentic_pipeline", "agentic_compute_advantage"),
        ("nemo_rl", "nemo_rl.algorithms.grpo", "_create_advantage_estimator"),
    ],
)
def test_install_puts_credit_in_the_trainers_place(adapter, module, name, monkeypatch):
    parts = module.split(".")
    for at in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:at]), ModuleType(".".join(parts[:at])))
    here = sys.modules[module]
    before = type("Maker", (), {})
    setattr(here, name, before)
    import_module(f"stepcredit.integrations.{adapter}").install("gigpo", gamma=0.9)
    assert getattr(here, name) is not before
    with pytest.raises(sc.UnknownName, match="gamm"):
        import_module(f"stepcredit.integrations.{adapter}").install("gigpo", gamm=0.9)


def test_another_version_of_a_trainer_is_told():
    with pytest.raises(sc.StepCreditError, match=r"math has no compute(.|\n)*another version"):
        patched(import_module("math"), "compute", len)
