"""The suite of methods that ask for evidence."""

from dataclasses import replace

import numpy as np
import pytest

from stepcredit.bench.suites import _evidence, evidence
from stepcredit.bench.suites._worlds import SETTINGS
from stepcredit.credit import get
from stepcredit.envs.tabular import sample

SMALL = replace(evidence.Settings(), worlds=3, draws=2, puzzles=8, samplings=1, methods=("gae", "pure"))


@pytest.fixture(scope="module")
def batch():
    return sample([SETTINGS["10 sto"](i) for i in range(30)], 32, 0)


def test_values_are_unbiased_and_end_at_the_outcome(batch):
    made = [_evidence.equip(batch, np.random.default_rng(i)) for i in range(40)]
    mean = np.mean([m["value"] for m in made], axis=0)
    spread = np.sqrt(batch["truth.value"] * (1 - batch["truth.value"]) / (_evidence.K * len(made)))
    assert np.mean(np.abs(mean - batch["truth.value"]) < 4 * spread + 1e-12) > 0.995
    last = batch.layout.last
    np.testing.assert_array_equal(made[0]["next_value"][last], batch["outcome"])
    inner = batch.layout.paths.left > 0
    np.testing.assert_array_equal(made[0]["next_value"][inner], made[0]["value"][np.flatnonzero(inner) + 1])


def test_judges_are_wrong_as_often_as_stated(batch):
    made = _evidence.equip(batch, np.random.default_rng(1))
    right = np.where(batch["truth.good"] > 0, 1, -1)[:, None]
    wrong = float(np.mean(made["votes"] != right))
    assert abs(wrong - _evidence.WRONG) < 0.01
    np.testing.assert_array_equal(made["label"], made["votes"][:, 0])
    np.testing.assert_array_equal(made["score"], (made["votes"] > 0).mean(1))


def test_contributions_sum_to_the_outcome(batch):
    made = _evidence.equip(batch, np.random.default_rng(2))
    np.testing.assert_allclose(batch.layout.total(made["contribution"]), batch["outcome"])


def test_only_methods_that_ask_for_evidence_are_taken():
    (cell, *_) = evidence.cells(evidence.Settings())
    taken = cell.make.args[1]
    assert {"gae", "pure", "prime", "a2tgpo"} <= set(taken)
    assert not {"salt", "hgpo", "spo_tree"} & set(taken)
    assert set(evidence.BESIDE) <= set(taken)
    assert "value" in get("gae").needs


def test_the_table_holds_methods_their_evidence_and_baselines():
    cells = {c.key: c for c in evidence.cells(SMALL)}
    values = {key: cell.make() if key in ("world 5 det", "game24 0") else None for key, cell in cells.items()}
    one = values["world 5 det"]
    values = {key: value or one for key, value in values.items()}
    table = evidence.result(SMALL, values).tables[0]
    names = [row[0] for row in table.rows]
    assert {"gae", "pure", "grpo", "q_minus_v", *evidence.OWN, "random", "constant"} <= set(names)
    by_name = {row[0]: dict(zip(table.columns[1:6], row[1:6], strict=True)) for row in table.rows}
    assert float(by_name[evidence.DIFFERENCE]["worlds: r"]) > float(by_name["grpo"]["worlds: r"])


def test_a_method_that_fails_is_a_row(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(
        "from stepcredit.credit import Card\n"
        "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd')\n"
        "def broken(layout, value):\n    raise RuntimeError('no')\n"
    )
    settings = replace(SMALL, methods=(str(path),))
    cells = {c.key: c for c in evidence.cells(settings)}
    made = cells["world 5 det"].make()
    game = cells["game24 0"].make()
    values = {key: made if key.startswith("world") else game for key in cells}
    failed = evidence.result(settings, values).tables[1]
    assert failed.rows[0][0] == str(path) and "RuntimeError: no" in failed.rows[0][1]
