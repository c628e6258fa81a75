"""Every selector meets the contract and its goldens. A new selector adds no code here."""

from pathlib import Path

import pytest
from shelf_checks import every_option_and_preset_has_a_golden, says_what_it_must

from stepcredit.credit.registry import SELECTORS
from stepcredit.testing import held
from stepcredit.testing.selectors import SELECT_CHECKS, check_select_goldens, check_selector

GOLDENS = Path(__file__).parent / "goldens_select"
MEMBERS = [n for n in SELECTORS.names() if SELECTORS.get(n).kind == "selector"]


@pytest.mark.parametrize("property", SELECT_CHECKS)
@pytest.mark.parametrize("name", SELECTORS.names(presets=True))
def test_contract(name, property):
    held(SELECTORS.get(name), property, SELECT_CHECKS[property], range(60))


@pytest.mark.parametrize("name", MEMBERS)
def test_goldens_hold_and_use_every_option_and_preset(name):
    path = GOLDENS / f"{name}.json"
    every_option_and_preset_has_a_golden(SELECTORS.get(name), path, check_select_goldens(path))


@pytest.mark.parametrize("name", MEMBERS)
def test_cards_say_what_they_must(name):
    card = SELECTORS.get(name).card
    says_what_it_must(name, card)
    assert set(card.waives) <= set(SELECT_CHECKS)


@pytest.mark.parametrize(
    ("system", "member"),
    [
        ("dapo", "accuracy_band"),
        ("prime_filter", "accuracy_band"),
        ("v0", "v0_budget"),
        ("adaptive_consistency", "blend_asc"),
        ("esc", "blend_asc"),
        ("ppr_1v1", "blend_asc"),
    ],
)
def test_systems_are_found_by_their_own_names(system, member):
    assert SELECTORS.get(system).base == member and system in SELECTORS.names()


FAULTS = {
    "every_rollout_has_a_reason": [
        "Selection(outcome * 0)",
        "Selection(np.ones(layout.R, int), ('',))",
        "Selection(np.zeros(layout.R, int), ('twice', 'twice'))",
        "Selection(np.full(layout.R, 2), ('one',))",
        "Selection(np.zeros(layout.R + 1, int))",
        "Selection(np.zeros(layout.R, int), more=np.full(layout.G, -1))",
        "Selection(np.zeros(layout.R, int), more=np.ones(layout.G))",
        "Selection(np.zeros(layout.R, int), replay=np.zeros(layout.R, int))",
        "Selection(np.zeros(layout.R, int), resume=layout.steps + 1)",
        "Selection(np.zeros(layout.R, int), train_mask=np.ones(layout.S, int))",
        "Selection(np.random.default_rng().integers(0, 2, layout.R), ('drawn',))",
        "outcome.__setitem__(0, 1) or Selection(np.zeros(layout.R, int))",
    ],
    "unknown_is_left_aside": ["Selection((outcome != outcome.max()).astype(int), ('less than the best',))"],
    "other_prompts": ["Selection((outcome < np.mean(outcome)).astype(int), ('below the mean',))"],
    "other_batches": ["Selection((outcome < np.mean(outcome)).astype(int), ('below the mean',))"],
    "permutation": ["Selection(np.arange(layout.R) % 2, ('every other',))"],
    "nothing_in_nothing_out": ["Selection((outcome < outcome.max()).astype(int), ('less than the best',))"],
}


@pytest.mark.parametrize(("property", "body"), [(p, b) for p, bodies in FAULTS.items() for b in bodies])
def test_seeded_faults_are_found(tmp_path, body, property):
    path = tmp_path / "faulty.py"
    path.write_text(
        "from stepcredit.credit import Card\nfrom stepcredit.credit.selection import Selection\nimport numpy as np\n"
        "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd')\n"
        f"def faulty(layout, outcome):\n    return {body}\n"
    )
    with pytest.raises((AssertionError, ValueError)):
        held(SELECTORS.get(str(path)), property, SELECT_CHECKS[property], range(40))


def test_a_waiver_that_is_not_needed_is_caught(tmp_path):
    path = tmp_path / "idle.py"
    path.write_text(
        "from stepcredit.credit import Card\nfrom stepcredit.credit.selection import Selection\nimport numpy as np\n"
        "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd', waives={'other_prompts': 'no reason'})\n"
        "def idle(layout, outcome):\n    return Selection(np.zeros(layout.R, np.int64))\n"
    )
    with pytest.raises(AssertionError, match="held on every batch"):
        check_selector(str(path))
