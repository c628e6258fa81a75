"""A policy fitted to lines that a model wrote."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stepcredit.envs import game24
from stepcredit.envs.game24_fit import OPTIONS, _marginal, _table, fit
from stepcredit.errors import StepCreditError

PUZZLES = [str(p) for p in np.random.default_rng(0).permutation(game24.puzzles())[:60]]


def written(policy, n=60):
    return [(r.puzzle, [s.text for s in r.steps]) for r in game24.sample(PUZZLES, n, policy, seed=1)]


@pytest.mark.parametrize(
    "policy",
    [
        game24.Policy(seed=1, skill=3.0, minus=1.0, times=-0.5, divide=-1.0, size=-0.4, quirk=1.0, slip=0.1, stop=0.05),
        game24.Policy(seed=2, skill=0.5, minus=-0.5, times=0.5, size=0.2, negative=-1.0, fraction=-1.0, quirk=0.5),
    ],
)
def test_a_policy_is_found_again_from_its_rollouts(policy):
    found = fit(written(policy), seed=5)
    assert found.seed == 5 and found.plus == 0
    for name, within in (("slip", 0.02), ("stop", 0.01), ("quirk", 0.2), ("size", 0.1)):
        assert getattr(found, name) == pytest.approx(getattr(policy, name), abs=within), name
    for name in ("skill", "minus", "times", "divide", "negative", "fraction"):
        assert getattr(found, name) == pytest.approx(getattr(policy, name), abs=0.45), name


def test_choices_that_concentrate_give_a_strong_quirk():
    weak, strong = (fit(written(game24.Policy(seed=3, quirk=q), n=40)).quirk for q in (0.5, 2.0))
    assert weak < 0.8 and strong > 1.5


def test_what_counts_as_a_slip_and_as_giving_up():
    right = ["10 - 4 = 6 (left: 5 6 6)", "5 * 6 = 30 (left: 6 30)", "30 - 6 = 24 (left: 24)", "Answer: done"]
    wrong = [*right[:2], "30 - 6 = 23 (left: 23)", "23 + 1 = 24"]
    early = [right[0], "Answer: no solution"]
    at_once = ["(10 - 4) * 5 - 6 = 24"]
    found = fit([("4 5 6 10", lines) for lines in (right, wrong, early, at_once)])
    assert found.slip == pytest.approx(1 / 8) and found.stop == pytest.approx(1 / 8)
    assert all(np.isfinite(getattr(found, name)) for name in OPTIONS)


def test_the_marginal_is_that_of_the_quirks_integrated_out():
    """Against the mean over many draws of the quirks: up to a constant of the state, which cancels."""
    first = game24.actions("4 6")[0].key
    option, rng = np.zeros(len(OPTIONS)), np.random.default_rng(0)
    exact, found = [], []
    for n in (0, 1, 4):
        table = _table(["4 6"], {"4 6": Counter({first: n})})
        e = rng.logistic(size=(200_000, table.legal.sum()))
        p = np.exp(1.5 * e)
        exact.append(np.log(np.mean((p[:, 0] / p.sum(1)) ** n)))
        found.append(_marginal(table, option, 1.5, np.zeros_like(table.chosen))[0])
    np.testing.assert_allclose(np.diff(found), np.diff(exact), atol=0.1)


def test_fitted_twins_do_as_the_policy_does():
    policy = game24.Policy(seed=4, skill=3.0)
    twin = replace(fit(written(policy)), seed=4)

    def alive(one):
        steps = [s for r in game24.sample(PUZZLES, 30, one, seed=2) for s in r.steps if s.alive_before]
        return np.mean([s.alive_after for s in steps])

    assert alive(twin) == pytest.approx(alive(policy), abs=0.06)


def test_nothing_to_fit_is_refused():
    with pytest.raises(StepCreditError, match="no policy to fit"):
        fit([("4 5 6 10", ["There is no way."])])


def test_a_real_model(data):
    from stepcredit.data.reading import Reading

    batch = Reading(data / "game24" / "gpt4_cot_rollouts.jsonl.gz").read()
    found = fit([(str(r.group), [s.text or "" for s in r.steps]) for r in batch.records])
    assert found.skill > 0.5 and found.quirk > 1 and 0.05 < found.slip < 0.2
    puzzles = [str(p) for p in np.random.default_rng(0).permutation(game24.puzzles())[:150]]
    made = game24.sample(puzzles, 20, found, seed=0)

    def together(firsts):
        """How often two rollouts of a puzzle begin alike: not fitted."""
        count = np.unique(firsts, return_counts=True)[1]
        return (count * (count - 1)).sum() / (len(firsts) * (len(firsts) - 1))

    theirs = np.mean(
        [together([s.next_state for s in (r.steps[0] for r in made[i : i + 20])]) for i in range(0, 3000, 20)]
    )
    firsts = {}
    for r in batch.records:
        firsts.setdefault(r.group, []).append(r.steps[1].state or "lost")
    assert theirs == pytest.approx(np.mean([together(x) for x in firsts.values()]), abs=0.1)
