"""The methods in examples/ keep the contract that they show."""

from pathlib import Path

import pytest

from stepcredit.testing import CHECKS, check, check_goldens

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("preset", ["", "@quality"])
@pytest.mark.parametrize("property", CHECKS)
def test_contract(property, preset):
    check(f"{ROOT}/examples/stepcredit_graph.py{preset}", property, range(12))


def test_goldens(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert {"strength", "alias"} <= check_goldens("examples/stepcredit_graph.golden.json")
