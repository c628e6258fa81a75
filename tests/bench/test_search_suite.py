"""The suite of search policies: the whole shelf, the same figures again, intervals."""

import asyncio
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from conftest import skip_or_fail
from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import _consistency as votes
from stepcredit.bench.suites import _gym_tasks as gym
from stepcredit.bench.suites import _search_cells as make
from stepcredit.bench.suites import _search_models as models
from stepcredit.bench.suites import _search_policies as policies
from stepcredit.bench.suites import _search_report as report
from stepcredit.bench.suites import search as suite
from stepcredit.bench.suites._search_claims import NO, NOT, OPEN, YES
from stepcredit.bench.suites._search_curves import Curve, factor
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Continue

SMALL = replace(
    suite.Settings(),
    puzzles=8,
    noise=(0.0,),
    n=(1, 4),
    budgets=(),
    tau=(),
    gym=0,
    votes=0,
    repeats=1,
    model_steps=0,
    methods=("beam",),
)
PLAY = make.Play(None, 20, 0)


@pytest.fixture(scope="module")
def measured():
    cells = suite.cells(SMALL)
    return cells, measure(cells, Store(None, {}))


def test_every_policy_of_the_shelf_is_measured_or_has_a_reason():
    missing = policies.uncovered()
    assert not missing, f"new policies: measure {missing} in _search_policies.CHOICES, or say why not in CANNOT"


def test_a_policy_that_cannot_be_measured_is_an_error_with_the_reason():
    with pytest.raises(StepCreditError, match="every number"):
        suite.cells(replace(SMALL, methods=("fobar",)))


def test_cells_are_the_same_again(measured):
    cells, values = measured
    again = measure(cells, Store(None, {}))
    assert again == values


def test_figures_have_intervals_and_a_yardstick(measured):
    _, values = measured
    found = suite.result(SMALL, values)
    beams = [r for r in found.rows if str(r.get("policy", "")).startswith("beam")]
    assert beams
    for row in beams:
        low, high = row["accuracy_interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert row["calls"] > 0 and row["tokens"] > 0
    assert found.tables and all(len(r) == len(t.columns) for t in found.tables for r in t.rows)


def test_a_quick_run_of_every_part_tells_what_papers_claim():
    settings = replace(
        SMALL, puzzles=3,
        noise=(5.0,), budgets=(400,), tau=(6,), methods=("beam", "dvts", "particle_filter", "bavt", "rsd",
        "early_rejection", "arbitrage", "majority", "step_q", "best_of_n", "swe_search"),
    )  # fmt: skip
    found = suite.result(settings, measure(suite.cells(settings), Store(None, {})))
    claims = [r for r in found.rows if r["part"] == "claims"]
    told = {(r["paper"], r["world"], r["noise"]) for r in claims}
    assert {("Rollout Roulette", "able", 5.0), ("BAVT", "twin", 5.0), ("Early rejection", "able", 5.0)} <= told
    assert {r["holds"] for r in claims} <= {YES, NO, OPEN, NOT}
    for row in claims:
        assert (row["value"] is None) == (row["holds"] == NOT)
        if row["between"] is not None:
            low, high = row["between"]
            assert not low > high
    assert all(len(r) == len(t.columns) for t in found.tables for r in t.rows)
    assert {"arbitrage", "rsd"} <= {c.policy.partition("@")[0] for c in policies.CHOICES if c.asks == "small"}
    assert any(t.title.startswith("Two models") for t in found.tables)


def test_an_exact_scorer_makes_search_beat_a_sample():
    found = {name: make.policy_cell(PLAY, "able", 0.0, name) for name in ("beam 16/4", "BAVT 50", "PRISM 10x5")}
    one = make.curve_cell(PLAY, "able", 0.0, (1,))["best"]["1"]
    for value in found.values():
        assert np.mean(value["solved"]) > np.mean(one["solved"]) + 0.2


def test_a_scorer_that_knows_nothing_is_no_help():
    curve = make.curve_cell(PLAY, "able", float("inf"), (1, 16))
    assert abs(np.mean(curve["best"]["16"]["solved"]) - np.mean(curve["best"]["1"]["solved"])) < 0.3
    assert np.mean(curve["majority"]["16"]["solved"]) > np.mean(curve["best"]["16"]["solved"])


def test_bavt_keeps_to_a_quarter_of_the_tokens():
    spent = make.quarter_cell(PLAY, "twin", 0.0, 400)["tokens"]
    assert 0 < max(spent) <= 100


def test_rejecting_early_costs_fewer_tokens_than_whole_steps():
    early, whole = (make.reject_cell(PLAY, "able", 0.0, tau, 8) for tau in (6, suite.WHOLE))
    assert np.mean(early["tokens"]) < 0.8 * np.mean(whole["tokens"])


def test_a_verdict_errs_as_often_as_the_noise_says():
    truth = models.model(None, "able", 0)
    steps = [(t.prompt, truth.sampler([t.prompt], stop=("\n",), seed=1)[0][0].text) for t in make.tasks(60, 0)]
    clear, noisy = (models.Critic(truth, noise, 0) for noise in (0.0, float("inf")))
    wrong = np.mean([noisy._right(*one) != clear._right(*one) for one in steps])
    assert 0.3 < wrong < 0.7
    assert 0 == models.error(0.0) < models.error(2.0) < models.error(5.0) < models.error(float("inf")) == 0.5


def test_a_critique_is_heeded():
    truth = models.model(None, "able", 0)
    task = make.tasks(1, 0)[0].prompt
    attempt = truth.sampler([task], seed=3)[0][0].text.strip()
    shown = quoted(("task", task), ("attempt 1", attempt), ("critique of attempt 1", "Step 1: +1\nStep 2: -1"))
    asked = Continue(f"{shown}\n\nSolve the task anew and improve.\n\n{task}", draw=5)
    ((anew, _),) = [asyncio.run(models.Writer(truth).each(Continue(asked.prompt, n=2, draw=5)))]
    first = attempt.split("\n")[0]
    assert anew.text.startswith(first + "\n") and anew.written > len(first.split())


def test_votes_are_counted_from_the_first_seen_and_adaptive_ones_save_samples():
    drawn = np.array([[0, 1, 1, 0, *[1] * (votes.N[-1] - 4)], [1, 0, *[0] * (votes.N[-1] - 2)]])
    assert votes._votes(drawn, 2)[:4].tolist() == [[0, 1], [0, 1], [1, 0], [0, 0]]
    family = "two answers, margin .4"
    plain = np.mean(votes.known_cell(family, "", 40, 1, 0), axis=1)
    assert plain[0] == pytest.approx(0.7, abs=0.08) and plain[-1] > 0.99
    found = votes.known_cell(family, "ASC .95, at most 40", 40, 1, 0)
    cells = {"": votes.known_cell(family, "", 40, 1, 0), "ASC": found}
    row = next(r for r in report.vote_rows(family, cells, 0) if r["way"] == "ASC")
    assert row["times_fewer"] > 1.5 and row["times_fewer_interval"][0] < row["times_fewer"]


def test_a_curve_is_read_both_ways():
    weight = np.ones((2, 4))
    curve = Curve([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]], [[1.0] * 4, [4.0] * 4, [16.0] * 4], weight)
    np.testing.assert_allclose(curve.at(np.array([2.0, 100.0])), [0.375, 0.5])
    np.testing.assert_allclose(curve.needs(np.array([0.375, 0.5])), [2.0, 4.0], rtol=1e-6)
    assert curve.times(np.array([0.75, 0.5]), np.array([1.0, 2.0])).tolist() == [np.inf, pytest.approx(2.0)]
    told = factor("x", np.array([np.inf, 3.0, np.inf]), np.array([4.0]))
    assert told["x"] == 4.0 and told["x_at_least"] and told["x_interval"][1] == np.inf


@pytest.mark.parametrize("family", gym.FAMILIES)
def test_reasoning_gym_is_played_and_scored(family):
    if find_spec("reasoning_gym") is None:
        skip_or_fail("reasoning_gym", "reasoning_gym is not installed")
    curve = make.gym_cell(family, 0.0, "", 4, (1, 4), 0)
    found = make.gym_cell(family, 0.0, "DVTS 4/4", 4, (), 0)
    assert np.mean(found["solved"]) >= np.mean(curve["best"]["1"]["solved"])
    assert np.mean(curve["best"]["4"]["solved"]) >= np.mean(curve["best"]["1"]["solved"])
    assert min(found["tokens"]) > 0
