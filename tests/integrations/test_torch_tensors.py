"""Padded tensors in, padded tensors out."""

import numpy as np
import pytest

import stepcredit as sc
from stepcredit.credit.run import applicable
from stepcredit.integrations._padded import Assigner, LintFailed, credit_stats, serves

MASK = np.array([[1, 1, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
STATES = [["start", "open"], ["start"]]


@pytest.fixture
def bridge(torch):
    from stepcredit.integrations import torch as bridge

    return bridge


def test_tensors_hold_what_arrays_hold(bridge, torch):
    out = bridge.assign("gigpo", group=["p", "p"], response_mask=torch.tensor(MASK), outcome=torch.tensor([1.0, 0.0]),
                        state=STATES, options={"gamma": 1.0, "spread": "none"})  # fmt: skip
    expected = [[1, 1, 0, 0.5, 0.5, 0], [-1, -1, -1, 0, 0, 0]]
    assert out.advantages.tolist() == expected
    assert out.mask.tolist() == MASK.astype(bool).tolist()
    assert out.advantages.dtype == torch.float32


def test_what_is_not_judged_leaves_the_mask_and_is_not_zero_inside_it(bridge, torch):
    out = bridge.assign("dr_grpo", group=["p"] * 3, response_mask=torch.ones(3, 2, dtype=torch.long),
                        outcome=[1.0, None, 0.0])  # fmt: skip
    assert out.mask.tolist() == [[True] * 2, [False] * 2, [True] * 2]
    assert out.advantages.tolist() == [[0.5] * 2, [0.0] * 2, [-0.5] * 2]


def test_a_loop_of_ten_lines_learns(bridge, torch):
    """REINFORCE on two-token answers: the second token decides."""
    torch.manual_seed(0)
    logits = torch.zeros(2, 4, requires_grad=True)
    credit = bridge.CreditFunction("rloo", lint_every=1)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(40):
        policy = torch.distributions.Categorical(logits=logits)
        answers = policy.sample((16,))
        out = credit(group=[0] * 16, response_mask=torch.ones_like(answers), outcome=(answers[:, 1] == 3).float())
        loss = -(policy.log_prob(answers) * out.advantages)[out.mask].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert logits[1].softmax(-1)[3] > 0.9


def test_the_linter_stops_a_run_whose_spread_is_dust():
    """Outcomes that differ by rounding alone become advantages of full size."""
    given = {"group": [0, 0], "response_mask": MASK, "outcome": [1.0, 1.0 + 1e-9]}
    with pytest.raises(LintFailed, match="std_dust") as caught:
        Assigner("grpo", lint_every=1, fail_on="warning", options={"eps": 0.0})(**given)
    assert caught.value.report.worst
    out = Assigner("grpo", lint_every=1, fail_on="never", options={"eps": 0.0})(**given)
    assert out.stats["lint_errors"] + out.stats["lint_warnings"] > 0


def test_the_linter_runs_every_k_calls():
    assigner = Assigner("dr_grpo", lint_every=3)
    reports = [assigner(group=[0, 0], response_mask=MASK, outcome=[1, 0]).report for _ in range(7)]
    assert [r is not None for r in reports] == [True, False, False, True, False, False, True]


def test_a_missing_column_says_where_this_trainer_carries_it():
    assigner = Assigner("gigpo", carry="return it from my_rollout")
    with pytest.raises(sc.MissingColumn, match=r"state(.|\n)*return it from my_rollout"):
        assigner(group=[0, 0], response_mask=MASK, outcome=[1, 0])


def test_extras_travel_in_the_same_shape():
    out = Assigner("a2tgpo")(
        group=[0, 0], response_mask=MASK, outcome=[1, 0], gain=[[0.3, 0.1], [0.2]], answer_prob=[[0.5, 0.6], [0.3]]
    )
    assert out.clip_scale is not None
    assert out.clip_scale.shape == MASK.shape
    assert (out.clip_scale[~out.mask] == 1).all()
    assert out.clip_scale[0, 0] == out.clip_scale[0, 1]


def test_stats_tell_dead_tasks():
    batch = sc.from_arrays(group=["a", "a", "b", "b"], response_mask=np.ones((4, 2), int), outcome=[1, 0, 1, 1])
    stats = credit_stats(sc.assign(batch, "dr_grpo"))
    assert stats["dead_groups"] == 0.5
    assert stats["zero"] == 0.5
    assert stats["judged"] == 1


def test_what_serves_says_is_what_applies():
    """With outcome and state alone, on rows of two turns."""
    batch = sc.from_arrays(group=[0, 0], response_mask=MASK, outcome=[1, 0], state=STATES)
    from stepcredit.credit import get, names

    apply = {n for n in names() if applicable(get(n), batch) is None}
    told = set(serves(["outcome", "state"]))
    assert apply <= told
    assert all("tree" in str(applicable(get(n), batch)) for n in told - apply)


def test_states_that_never_recur_are_told_once(caplog):
    assigner = Assigner("gigpo", lint_every=0)
    given = {"group": [0, 0], "response_mask": MASK, "outcome": [1, 0]}
    for _ in range(2):
        out = assigner(**given, state=[["a", "b"], ["c"]])
    assert out.stats["compared"] == 0
    assert [record.message.startswith("gigpo compares steps") for record in caplog.records] == [True]
    assert assigner(**given, state=STATES).stats["compared"] == pytest.approx(2 / 3)
