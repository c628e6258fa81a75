"""The suite `drift`: each knob does what it says and nothing else."""

import math

import numpy as np
import pytest

from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import drift
from stepcredit.envs import worlds
from stepcredit.envs.tabular import sample


@pytest.fixture(scope="module")
def made():
    return [worlds.get("layered")(seed=i, horizon=10) for i in range(4)]


def names(batch, column):
    return np.array(batch.keys[column], object)[batch[column]]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_unique_state_is_one_in_both_places_and_nowhere_else(made, share):
    batch = sample(made, 8, 0)
    new = drift.unique_states(batch, share, np.random.default_rng(0))
    lay = batch.layout
    changed = names(new, "next_state") != names(batch, "next_state")
    assert changed.mean() == pytest.approx(share, abs=0.05)
    inner = lay.previous >= 0
    np.testing.assert_array_equal(new["state"][inner], new["next_state"][lay.previous[inner]])
    np.testing.assert_array_equal(new["final_state"], new["next_state"][lay.last])
    np.testing.assert_array_equal(names(new, "state")[~inner], names(batch, "state")[~inner])
    made_up = new["next_state"][changed]
    assert np.unique(made_up).size == made_up.size
    assert not np.isin(made_up, new["next_state"][~changed]).any()
    assert new["outcome"] is batch["outcome"] and new["truth.q"] is batch["truth.q"]


def test_a_verifier_that_errs_flips_outcomes_and_no_truth(made):
    batch = sample(made, 200, 0)
    new = drift.flipped(batch, 0.2, np.random.default_rng(0))
    wrong = new["outcome"] != batch["outcome"]
    assert wrong.mean() == pytest.approx(0.2, abs=0.05) and set(new["outcome"]) == {0.0, 1.0}
    np.testing.assert_array_equal(new["truth.advantage"], batch["truth.advantage"])
    np.testing.assert_array_equal(drift.flipped(batch, 0.0, np.random.default_rng(0))["outcome"], batch["outcome"])


def test_merged_states_change_labels_inside_a_layer_and_no_rollout(made):
    batch = sample(made, 8, 0)
    whole = sample([drift.merged(world, 1.0, np.random.default_rng(0)) for world in made], 8, 0)
    assert set(names(whole, "state")) == {"0:3", *(f"{t}:?" for t in range(1, 10))}
    np.testing.assert_array_equal(whole["truth.advantage"], batch["truth.advantage"])
    half = drift.merged(made[0], 0.5, np.random.default_rng(0))
    same = [a == b for a, b in zip(half.labels, made[0].labels, strict=True)]
    assert np.mean(same) == pytest.approx(0.5, abs=0.15)


def test_plain_group_advantage_is_deaf_to_states_and_its_difference_from_itself_is_zero():
    easy = drift.measure_one("unique", 0.0, ("grpo", "q_minus_v"), 4, 2, 0)
    hard = drift.measure_one("unique", 1.0, ("grpo", "q_minus_v"), 4, 2, 0)
    np.testing.assert_equal(easy["grpo"], hard["grpo"])
    assert set(easy["grpo"]["minus_grpo"]) == {0.0}
    assert np.mean(easy["q_minus_v"]["pearson"]) > np.mean(hard["q_minus_v"]["pearson"]) + 0.1


def test_the_run_holds_a_row_per_knob_position_and_method_and_failures(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(
        "from stepcredit.credit.card import Card\n"
        "CARD = Card('b', 'p', 'b', 'derived', 'n', 'b', 'd')\n"
        "def broken(layout, outcome):\n"
        "    if layout.S > 200: raise RuntimeError('too long')\n"
        "    return outcome[layout.rollout] + layout.turn\n"
    )
    settings = drift.Settings(worlds=2, methods=("salt", str(path)), draws=2)
    cells = drift.cells(settings)
    store = Store(tmp_path / "store", {"suite": "drift"})
    measure(cells[:3], store)
    values = measure(cells, Store(tmp_path / "store", {"suite": "drift"}))
    np.testing.assert_equal(values[cells[1].key], cells[1].make())
    result = drift.result(settings, values)
    rows = {(r["sweep"], r["x"], r["method"]): r for r in result.rows}
    assert len(rows) == len(result.rows) == 2 * sum(len(sweep.positions) for sweep in drift.SWEEPS.values())
    assert rows["horizon", 100, str(path)]["error"] == "RuntimeError: too long"
    for row in result.rows:
        if "error" not in row and not math.isnan(row["minus_grpo"]):
            low, high = row["minus_grpo_interval"]
            assert low <= row["minus_grpo"] <= high
    assert [plot.name for plot in result.plots] == [f"drift_{name}" for name in drift.SWEEPS]
    assert result.tables[-1].title == "Failed"
