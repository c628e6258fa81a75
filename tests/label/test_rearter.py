"""ReARTeR: OmegaPRM's tree with lengths in steps, right rollouts too, and a stronger model."""

import numpy as np
import pytest
from given import Completer, labelled, rollout

from stepcredit.label._omega_tree import Shape


def test_the_worth_of_a_candidate_counts_steps():
    """MC .4, three steps: .5^.6 * .9^.5."""
    assert Shape(5, length=6, c=0, unit="steps").score(0.4, 3, 0, 0) == pytest.approx(0.625897, abs=1e-6)


def test_labels_are_true_above_half():
    given = [rollout("a", "b", "c", "d"), rollout("x", outcome=1.0, name=1)]
    model = Completer(4, 6, 2, 2, 2)
    one = labelled("rearter", given, {"sampler": model.sampler}, searches=1, n=2)[0]
    assert one.spent["sample"] >= 2 and one.label[-1] == 0
    assert set(one.drawn.tolist()) <= {0, 2}
    model = Completer(4, 5, 2, 2, 2)
    made = labelled("rearter", given, {"sampler": model.sampler}, n=8)[0]
    told = made.label[(made.drawn > 0) & (made.value <= 0.5)]
    assert told.size and (told == 0).all()


def test_a_state_that_is_always_solved_ends_the_search_and_right_rollouts_are_searched_too():
    given = [rollout(*"abcdefgh"), rollout(*"stuvwxyz", outcome=1.0, name=1)]
    model = Completer(4, *[8] * 8)
    labelled("rearter", given, {"sampler": model.sampler}, n=2)
    assert model.asked == [4, 4]  # both are halved once, and never again


def test_a_task_that_no_completion_solves_is_given_to_the_stronger_model():
    weak, strong = Completer(*[0] * 4), Completer(*[4] * 4)
    models = {"sampler": weak.sampler, "stronger": strong.sampler}
    plain = labelled("rearter", rollout("a", "b", "c"), {"sampler": weak.sampler})
    assert np.isnan(plain.label[:-1]).all() and "sampler" not in plain.facts
    one = labelled("rearter", rollout("a", "b", "c"), models, stronger=True)
    rows = one if isinstance(one, list) else [one]
    assert rows[0].facts["sampler"] == "stronger" and strong.asked[0] == 0
