"""Every credit method meets the contract and its goldens. A new method adds no code here."""

from pathlib import Path

import pytest
from shelf_checks import every_option_and_preset_has_a_golden, says_what_it_must

from stepcredit import credit
from stepcredit.testing import CHECKS, check, check_goldens

GOLDENS = Path(__file__).parent / "goldens"
METHODS = [n for n in credit.names() if credit.get(n).kind == "method"]
EVERYTHING = credit.names(presets=True)


@pytest.mark.parametrize("property", CHECKS)
@pytest.mark.parametrize("name", EVERYTHING)
def test_contract(name, property):
    check(name, property)


@pytest.mark.parametrize("name", METHODS)
def test_goldens_hold_and_use_every_option_and_preset(name):
    path = GOLDENS / f"{name}.json"
    every_option_and_preset_has_a_golden(credit.get(name), path, check_goldens(path))


@pytest.mark.parametrize("name", METHODS)
def test_cards_say_what_they_must(name):
    says_what_it_must(name, credit.get(name).card)


def test_a_waiver_that_is_not_needed_is_caught(tmp_path):
    path = tmp_path / "idle.py"
    path.write_text(
        "from stepcredit.credit import Card\nimport numpy as np\n"
        "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd', waives={'other_prompts': 'no reason'})\n"
        "def idle(layout, outcome):\n    return np.zeros(layout.S)\n"
    )
    with pytest.raises(AssertionError, match="held on every batch"):
        check(str(path), "other_prompts")


@pytest.mark.parametrize(
    ("body", "property"),
    [
        ("outcome[layout.rollout] - np.mean(outcome)", "other_prompts"),
        ("outcome[layout.rollout] - np.mean(outcome)", "other_batches"),
        ("outcome[layout.rollout]", "equal_rollouts"),
        ("outcome[layout.rollout]", "unknown_is_not_judged"),  # a shared step is not only its first rollout's
        ("np.arange(layout.S, dtype=float)", "permutation"),
        ("np.nan_to_num(outcome)[layout.rollout] * 0", "unknown_is_not_judged"),
        ("np.full(layout.S, np.inf)", "finite_where_determined"),
        ("(outcome[layout.rollout] * 0).astype(np.float32)", "shape_and_inputs"),
        ("outcome.__setitem__(0, 1) or outcome[layout.rollout]", "shape_and_inputs"),
        ("outcome * 0", "shape_and_inputs"),
    ],
)
def test_seeded_faults_are_found(tmp_path, body, property):
    path = tmp_path / "faulty.py"
    path.write_text(
        "from stepcredit.credit import Card\nimport numpy as np\n"
        "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd')\n"
        f"def faulty(layout, outcome):\n    return {body}\n"
    )
    with pytest.raises((AssertionError, ValueError)):
        check(str(path), property)
