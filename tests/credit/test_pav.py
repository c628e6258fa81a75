"""PAV at its edges: provers that see nothing, provers half given."""

import pytest

from stepcredit.credit import on_columns
from stepcredit.errors import MissingColumn

GIVEN = {"rollout": [0, 0], "value": [0.5, 0.25], "next_value": [0.25, 1.0]}


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_prover_that_always_or_never_succeeds_sees_no_progress(level):
    same = {"prover_value": [level] * 2, "next_prover_value": [level] * 2}
    assert on_columns("pav@progress", {**GIVEN, **same}).tolist() == [0, 0]


def test_the_base_policy_as_its_own_prover_adds_its_own_advantage():
    made = on_columns("pav", GIVEN, k=1, alpha=2.0)
    assert made.tolist() == [0.25 + 2 * -0.25, 1.0 + 2 * 0.75]


@pytest.mark.parametrize("one", ["prover_value", "next_prover_value"])
def test_half_a_prover_is_refused_by_name(one):
    other = "next_prover_value" if one == "prover_value" else "prover_value"
    with pytest.raises(MissingColumn, match=f"'{other}' is not there"):
        on_columns("pav", {**GIVEN, one: [0.5, 0.5]})
    assert on_columns("pav@spo", {**GIVEN, one: [0.5, 0.5]}).tolist() == on_columns("pav@spo", GIVEN).tolist()


def test_a_step_without_siblings_makes_no_progress_among_them():
    assert on_columns("pav@progress", GIVEN, before="siblings").tolist() == [0, 0]
