import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcredit.envs.game24 import (
    Policy,
    actions,
    answer,
    evaluate,
    key,
    parse,
    puzzles,
    sample,
    solvable,
    solves,
    truth,
)
from stepcredit.errors import StepCreditError

ALL = puzzles()
ENDS = {"solved": 1.0, "failed": 0.0}
chances = st.floats(0, 0.4)
policies = st.builds(
    Policy, seed=st.integers(-3, 3), skill=st.floats(-1, 5), quirk=st.floats(0, 3), slip=chances, stop=chances
)
states = st.lists(st.integers(1, 13), min_size=1, max_size=3).map(key)


def chance_by_enumeration(state, policy):
    """Sum over every path to an end of its probability, with no caching and no pruning."""
    if state in ENDS:
        return ENDS[state]
    here = evaluate(state, policy)
    return math.fsum(
        p * chance_by_enumeration(ahead, policy)
        for p, ahead in zip(here.probability, here.next_states, strict=True)
        if p > 0
    )


@settings(deadline=None, max_examples=25)
@given(states, policies)
def test_value_is_the_chance_over_all_paths(state, policy):
    assert evaluate(state, policy).value == pytest.approx(chance_by_enumeration(state, policy), abs=1e-12)


@given(states, policies, st.booleans())
def test_probabilities_sum_to_one_and_advantages_to_zero_under_them(state, policy, lost):
    here = evaluate(state + " !" * lost, policy)
    assert here.probability.min() >= 0 and here.probability.sum() == pytest.approx(1, abs=1e-12)
    assert here.probability @ here.advantage == pytest.approx(0, abs=1e-12)
    assert len(set(here.actions)) == len(here.actions) == len(here.next_states) == here.q.size
    for q, ahead in zip(here.q, here.next_states, strict=True):
        assert q == (ENDS[ahead] if ahead in ENDS else evaluate(ahead, policy).value)


def test_values_agree_with_a_large_sample():
    policy = Policy(seed=5, skill=8.0)
    rollouts = sample(["4 5 6 10", "1 1 4 6"], 20_000, policy, seed=1)
    seen = {}
    for rollout in rollouts:
        for step in rollout.steps:
            seen.setdefault((rollout.puzzle, step.state, step.action, step.q), []).append(rollout.outcome)
    for puzzle in ("4 5 6 10", "1 1 4 6"):
        won = np.mean([r.outcome for r in rollouts if r.puzzle == puzzle])
        value = evaluate(puzzle, policy).value
        assert 0.02 < value < 0.98
        assert abs(won - value) < 4.5 * math.sqrt(value * (1 - value) / 20_000)
    checked = 0
    for (*_, q), outcomes in seen.items():
        if len(outcomes) >= 200 and 0 < q < 1:
            checked += 1
            assert abs(np.mean(outcomes) - q) < 4.5 * math.sqrt(q * (1 - q) / len(outcomes))
    assert checked > 10


def test_actions_are_drawn_with_their_probability():
    policy, n = Policy(seed=2), 20_000
    first = [rollout.steps[0].action for rollout in sample(["3 4 8"], n, policy, seed=0)]
    here = evaluate("3 4 8", policy)
    for action, p in zip(here.actions, here.probability, strict=True):
        assert abs(first.count(action) / n - p) < 4.5 * math.sqrt(p * (1 - p) / n) + 1e-9


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"skill": 2.0}, {"plus": 1.0}, {"minus": -1.0}, {"times": 2.0}, {"divide": 1.0}),
        *({"size": 0.5}, {"negative": 1.0}, {"fraction": 1.0}, {"slip": 0.3}, {"stop": 0.2}),
    ],
)
def test_policy_is_the_documented_softmax(options):
    plain = dict.fromkeys(("skill", "plus", "minus", "times", "divide", "size", "negative", "fraction"), 0.0)
    policy = Policy(**{**plain, "quirk": 0.0, "slip": 0.1, "stop": 0.05, **options})
    operators = {"+": policy.plus, "-": policy.minus, "*": policy.times, "/": policy.divide}
    for state in ("4 6", "2 3 8"):
        weight = {
            a.key: math.exp(
                policy.skill * solvable(a.after) + operators[a.op] + policy.size * math.log2(1 + abs(a.result))
                + policy.negative * (a.result < 0) + policy.fraction * (a.result.denominator != 1)
            )
            for a in actions(state)
        }  # fmt: skip
        here = evaluate(state, policy)
        n, total = len(weight), sum(weight.values())
        share = np.array(list(weight.values())) / total
        assert here.actions[:n] == tuple(weight)
        np.testing.assert_allclose(here.probability[:n], (1 - policy.slip - policy.stop) * share, rtol=1e-12)
        np.testing.assert_allclose(here.probability[n:-1], policy.slip * share, rtol=1e-12)
        assert here.actions[-1] == "stop" and here.probability[-1] == policy.stop


def test_quirks_are_fixed_per_seed_state_and_action():
    def odds(seed, state="3 4 8"):
        return evaluate(state, Policy(seed=seed)).probability

    np.testing.assert_array_equal(odds(1), odds(1))
    assert not np.allclose(odds(1), odds(2))
    logits = [np.log(evaluate(p, Policy(skill=0, quirk=1, size=0)).probability) for p in ALL[:200]]
    spread = np.concatenate([x[:-1] - x[:-1].mean() for x in logits])
    assert 1.5 < spread.std() < 4  # logistic noise (1.8), operators, fractions and slips on top


def test_a_slip_writes_a_wrong_result_and_loses_the_rollout():
    here = evaluate("4 6", Policy())
    at = here.actions.index("6 - 4 = 24")
    assert here.next_states[at] == "24 !" and here.q[at] == 0
    assert "6 * 4 = 25" in here.actions
    assert "3 + 1 = 5" in evaluate("1 3 8", Policy()).actions
    assert evaluate("24 !", Policy()).next_states == ("failed",)
    lost, sound = evaluate("4 6 !", Policy()), evaluate("4 6", Policy())
    assert lost.actions == sound.actions and sound.value > 0
    assert lost.value == 0 and not lost.q.any() and set(lost.next_states) == {*(
        name.removesuffix(" !") + " !" for name in sound.next_states if name not in ENDS
    ), "failed"}  # fmt: skip


def test_steps_tell_the_truth_about_themselves():
    policy = Policy(seed=3, skill=4.0, slip=0.2, stop=0.1)
    kinds = set()
    for rollout in sample(ALL[::40], 16, policy, seed=0):
        state = rollout.puzzle
        for step in rollout.steps:
            assert step.state == state
            state = step.next_state
            here = evaluate(step.state, policy)
            at = here.actions.index(step.action)
            assert (step.value, step.q, step.advantage) == (here.value, here.q[at], here.advantage[at])
            assert step.next_state == here.next_states[at]
            known = None if step.state.endswith("!") else step.state
            written = answer(step.text)
            if written is None:
                line = parse(step.text, known)
                assert (step.alive_before, step.alive_after) == truth(known, step.text)
                assert step.text.startswith(step.action) and step.observation == step.next_state.removesuffix(" !")
                if known:
                    assert (line.fault is not None) == step.next_state.endswith("!")
                    assert step.alive_after == (step.q > 0) and step.alive_before == (step.value > 0)
                kinds.add("slip" if line.fault else "right")
            else:
                assert solves(rollout.puzzle, written) == rollout.outcome == step.alive_after == step.q
                assert (key(step.state.removesuffix(" !")) == "24") == ("= 24" in written)
                assert step.observation == ("correct" if rollout.outcome else "incorrect")
                kinds.add((step.action, "= 24" in written, rollout.outcome))
        assert state == ("solved" if rollout.outcome else "failed")
        assert sum(answer(step.text) is not None for step in rollout.steps) == 1
    assert kinds == {
        "slip", "right", ("stop", False, 0.0), ("answer", False, 0.0), ("answer", True, 0.0), ("answer", True, 1.0),
    }  # fmt: skip


def test_sampling_is_reproducible_and_each_puzzle_on_its_own():
    policy = Policy()
    both = sample(["4 5 6 10", "3 3 8 8"], 8, policy, seed=7)
    assert both == sample(["4 5 6 10", "3 3 8 8"], 8, policy, seed=7)
    assert both[8:] == sample(["8 3 8 3"], 8, policy, seed=7)
    assert both[:3] == sample(["4 5 6 10"], 3, policy, seed=7)
    assert both != sample(["4 5 6 10", "3 3 8 8"], 8, policy, seed=8)


def test_draws_do_not_depend_on_process_or_platform():
    rollout = sample(["4 5 6 10"], 1, Policy(), seed=0)[0]
    assert [step.text for step in rollout.steps] == [
        "10 - 6 = 4 (left: 4 4 5)",
        "5 * 4 = 20 (left: 4 20)",
        "20 + 4 = 24 (left: 24)",
        "Answer: (5 * 4) + (10 - 6) = 24",
    ]


def test_defaults_resemble_a_language_model():
    rollouts = sample(ALL[::14], 16, Policy(), seed=0)
    choices = [(step.state, step.alive_after) for r in rollouts for step in r.steps if step.alive_before]
    open_states = [(state, good) for state, good in choices if " " in state]
    assert 0.02 < np.mean([r.outcome for r in rollouts]) < 0.1
    assert 0.25 < np.mean([good for _, good in open_states]) < 0.5
    distinct = [len({r.steps[0].action for r in rollouts[i : i + 16]}) for i in range(0, len(rollouts), 16)]
    assert 3 < np.mean(distinct) < 6


@pytest.mark.parametrize(
    "options", [{"slip": -0.1}, {"slip": 0.6, "stop": 0.6}, {"skill": math.inf}, {"stop": math.nan}]
)
def test_what_is_no_policy_is_refused(options):
    with pytest.raises(StepCreditError, match="not a policy"):
        Policy(**options)


def test_repeated_puzzles_and_negative_counts_are_refused():
    with pytest.raises(StepCreditError, match="twice"):
        sample(["1 2 3 4", "4 3 2 1"], 1, Policy(), seed=0)
    with pytest.raises(StepCreditError, match="got -1"):
        sample(["1 2 3 4"], -1, Policy(), seed=0)
