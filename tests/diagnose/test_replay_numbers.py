"""What replay says of shares that are given: places that stay open, drops too small, sureness. Under 1 s."""

import numpy as np
import pytest
from judges import case_of, run_of

from stepcredit.diagnose import METHODS
from stepcredit.diagnose.replay import Tries, z_of
from stepcredit.diagnose.run import _checked
from stepcredit.llm.drive import drive
from stepcredit.ops import chance_above, wilson


class Given:
    """Draws tries of which a given share succeeds with so many steps kept; None: they fail to be told."""

    def __init__(self, *p):
        self.p, self.drawn = p, []

    def tries(self, case, kept, n, *, draw=0):
        yield []
        self.drawn += [(k, n) for k in kept]
        return [Tries(failed=("no",)) if self.p[k] is None else Tries(float(round(self.p[k] * n)), n) for k in kept]

    def cost(self, case, kept, n):
        return {"samples": n * len(kept)}


def said(name, given, **options):
    planner, case = METHODS.get(name), case_of(run_of(len(given.p) - 1))
    ((_, verdict),) = drive([planner.function(case, **planner.check_options({"replayer": given, **options}))], {})
    return _checked(verdict, case, planner)


def test_a_place_that_stays_open_hides_only_what_comes_after_it():
    before = said("counterfactual_replay", Given(0.9, None, 0.9, 0.1, 0.0), n=100)
    assert before.status == "unknown" and "with 1 steps kept no try could be told" in before.reason
    after = said("counterfactual_replay", Given(0.9, 0.1, None, 0.1, 0.0), n=100)
    assert (after.status, after.step) == ("found", 0)
    largest = said("counterfactual_replay", Given(0.9, None, 0.9, 0.1, 0.0), n=100, rule="largest")
    assert (largest.status, largest.step) == ("found", 2)


def test_a_small_chance_from_the_task_is_said_to_be_small_and_not_none():
    few = said("counterfactual_replay", Given(0.19, 0.25, 0.19, 0.0), n=100)
    assert few.status == "unknown" and few.reason == (
        "from the task alone 19% of the tries succeed, less than the 25% that is to be lost; no step lowers the chance "
        "of success by 25% and more than chance; most does step 2, 19%"
    )
    none = said("counterfactual_replay", Given(0.0, 0.0, 0.0), n=100)
    assert none.reason == "from the task alone none of the tries succeeds: there is no chance that a step could lose"
    even = said("counterfactual_replay", Given(0.5, 0.4, 0.3, 0.2, 0.1, 0.0), n=100)
    assert even.reason.startswith("no step lowers the chance of success by 25%")


def test_of_one_step_the_search_looks_at_no_place_and_is_sure_of_nothing():
    for p in (1 / 32, 0.5):
        one = said("decisive_search", Given(p, 0.0))
        assert (one.status, one.step, one.confidence) == ("found", 0, None)
        assert one.reason.endswith("; there is no other step")
    two = said("decisive_search", Given(0.5, 0.5, 0.0))
    assert two.confidence is not None and "no other step" not in two.reason


def test_the_search_is_as_sure_as_of_all_its_places_together():
    given = Given(0.8, 0.75, 0.5, 0.3, 0.0)
    found = said("decisive_search", given, batch=20, most=20)
    assert found.step == 2 and [k for k, _ in given.drawn] == [0, 2, 3]
    sides = [float(chance_above(0.4, 11.0, 11.0)), 1 - float(chance_above(0.4, 7.0, 15.0))]
    assert found.confidence == pytest.approx(np.prod(sides)) and found.confidence < min(sides)


def test_the_search_looks_until_it_is_sure_for_all_of_its_looks_together():
    level, most, batch = 0.9, 80, 8
    given = Given(0.8, 0.6, 0.6, 0.6, 0.0)
    said("decisive_search", given, batch=batch, most=most, level=level)
    z = z_of(level, 2 * most // batch)

    def looks(z):
        won = 0.0
        for n in range(1, most // batch + 1):
            won += round(0.6 * batch)
            low, high = wilson(won, n * batch, z=z)
            if low > 0.4 or high < 0.4:
                return n
        return most // batch

    assert sum(k == 2 for k, _ in given.drawn) == looks(z) == 5
    assert (looks(z_of(level, most // batch)), looks(z_of(level, 2)), looks(z_of(level))) == (4, 3, 2)
