"""What rows of a verl batch become, without verl: arrays alone."""

import math

import numpy as np
import pytest

import stepcredit as sc
from stepcredit.integrations._verl_credit import fill
from stepcredit.integrations._verl_rows import Rows, columns
from stepcredit.integrations._verl_settings import own_name, read_settings


def asked(name="step_grpo", **settings):
    return read_settings(name, {"gamma": 1.0, "lam": 1.0, "stepcredit": settings})


def test_a_reward_beside_the_sampled_tokens_goes_to_the_one_before():
    mask = np.array([[0, 1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0]])
    rewards = np.array([[8.0, 0, 1, 2, 0, 0, 4], [0, 0, 16, 0, 0, 0, 0]])
    out = columns(Rows(["p", "p"], mask, rewards), asked())
    assert out["outcome"].tolist() == [15, 16]
    assert out["reward"] == [[11, 4], []]
    token = columns(Rows(["p", "p"], mask, rewards), asked("reinforce_plus_plus"))["token_reward"]
    assert token[0].tolist() == [0, 8, 3, 0, 0, 4, 0]


def test_rewards_that_are_not_numbers_stay_in_their_row():
    rewards = np.array([[0, math.nan], [0, 1.0]])
    out = columns(Rows(["p", "p"], np.array([[1, 0], [1, 1]]), rewards), asked())
    assert np.isnan(out["outcome"]).tolist() == [True, False]
    assert math.isnan(out["reward"][0][0])
    assert out["reward"][1] == [1.0]


def test_copied_scores_count_once_and_penalties_always():
    mask = np.ones((3, 2), int)
    scores = np.array([[0, 1.0], [0, 1.0], [0, 0.5]])
    rows = Rows(["p"] * 3, mask, scores - 0.1, scores, ["a", "a", "b"], np.array([1, 0, 0]), copied=True)
    out = columns(rows, asked())
    assert out["outcome"] == pytest.approx([0.6, 0.6, 0.3])
    assert [r[0] for r in out["reward"]] == pytest.approx([0.8, -0.2, 0.3])
    own = columns(rows, asked(row_scores="own"))
    assert own["outcome"] == pytest.approx([1.6, 1.6, 0.3])


def test_rows_of_a_rollout_agree_on_what_is_said_of_it():
    mask = np.ones((3, 1), int)
    rows = Rows(["p"] * 3, mask, np.zeros((3, 1)), None, ["a", "a", "b"], [0, 1, 0], copied=True,
                extra=[{"stepcredit": {"pivot": 1}}, {"stepcredit": {}}, {"stepcredit": {"pivot": 0}}])  # fmt: skip
    assert columns(rows, asked("r3l"))["pivot"] == [1, 1, 0]
    rows.extra[1]["stepcredit"]["pivot"] = 2
    with pytest.raises(sc.LayoutError, match="row 1 says 2"):
        columns(rows, asked("r3l"))


def test_columns_of_tasks_are_one_per_task():
    rows = Rows(["q", "p", "q"], np.ones((3, 1), int), np.zeros((3, 1)), lists={"hope": [0.5, 0.25, 0.5]})
    out = columns(rows, asked("v05", columns={"prior_value": "hope"}))
    assert out["prior_value"] == [0.5, 0.25]


def test_tokens_may_be_lists_of_their_rows_length():
    rows = Rows(["p", "p"], np.array([[1, 1, 0], [1, 1, 1]]), np.zeros((2, 3)),
                extra=[{"stepcredit": {"token_plan": [1, 0]}}, {"stepcredit": {"token_plan": [0, 1, 1]}}])  # fmt: skip
    assert columns(rows, asked("hicra"))["token_plan"].tolist() == [[1, 0, 0], [0, 1, 1]]
    rows.extra[0]["stepcredit"]["token_plan"] = [1, 0, 0, 0]
    with pytest.raises(sc.LayoutError, match=r"token_plan, row 0.*at most 3"):
        columns(rows, asked("hicra"))


def test_a_seat_that_does_not_see_the_loss_asks_for_it(tmp_path):
    file = tmp_path / "heavy.py"
    file.write_text(
        "from stepcredit.credit import Card, Result\n"
        "CARD = Card(title='', paper='', bibtex='', evidence='derived', needs='', bias='', departures='')\n"
        "def heavy(layout, outcome):\n"
        "    return Result(outcome[layout.rollout], loss_weight=2.0 + layout.turn)\n"
    )
    rows = Rows(["p", "p"], np.array([[1, 0, 1], [1, 1, 0]]), np.array([[0, 0, 1.0], [0, 0, 0]]))
    with pytest.raises(sc.StepCreditError, match=r"loss_weight(.|\n)*stepcredit.loss=vanilla"):
        fill(rows, asked(str(file), lint_every=0), carry="", can_mask=True)
    out = fill(rows, asked(str(file), lint_every=0, loss="gspo"), carry="", can_mask=True)
    assert out.advantages.tolist() == [[2, 0, 3], [0, 0, 0]]


@pytest.mark.parametrize(
    ("estimator", "name"), [("stepcredit.gigpo@roll", "gigpo@roll"), ("grpo", None), (None, None), ("stepcredit", None)]
)
def test_names_of_others_are_not_ours(estimator, name):
    assert own_name(estimator) == name


def test_settings_that_are_no_group_are_an_error():
    with pytest.raises(sc.StepCreditError, match="group of settings"):
        read_settings("grpo", {"stepcredit": "gamma"})


def test_options_given_as_text_or_numbers_are_the_same():
    assert read_settings("gigpo", {"stepcredit": {"gamma": "0.9"}}).gamma == 0.9
    assert read_settings("gigpo", {"stepcredit": {"gamma": 0.9}}).gamma == 0.9
