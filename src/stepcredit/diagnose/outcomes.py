"""What the outcomes of a task's runs say of a rule that finds something in some of them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stepcredit.diagnose.case import Case
from stepcredit.diagnose.features import kept


def succeeded(case: Case) -> bool:
    """Whether the run is known to have succeeded."""
    return bool(case.group.succeeded[case.index])


def agent_of(case: Case, step: int) -> str | None:
    """Who took a step."""
    agent = case.steps[step].agent
    return None if agent is None else str(agent)


class Exposure(NamedTuple):
    """The other runs of known outcome in which a rule finds something, and those in which it finds nothing; how many of
    them failed."""

    found: int
    found_failed: float
    free: int
    free_failed: float

    @property
    def blame(self) -> float | None:
        """The chance that what the rule finds is what made a run fail: the probability of causation

            max(0, 1 - p0 / p1),  p1 = (found_failed + 1/2) / (found + 1),  p0 = (free_failed + 1/2) / (free + 1)

        None where no other run shows what the rule finds: nothing is known then.
        """
        if not self.found:
            return None
        p1, p0 = (self.found_failed + 0.5) / (self.found + 1), (self.free_failed + 0.5) / (self.free + 1)
        return max(0.0, 1 - p0 / p1)

    def words(self, what: str) -> str:
        """The counts as a clause, empty where there are no other runs."""
        if not self.found:
            return f"; none of the {self.free} other runs with a known outcome has {what}" if self.free else ""
        return (
            f"; of the other runs {self.found_failed:g} of {self.found} with {what} failed, and "
            f"{self.free_failed:g} of {self.free} without"
        )


def exposure(case: Case, name: str, found: Callable[[Case], bool]) -> Exposure:
    """How the other runs fared with and without what a rule finds."""
    group = case.group
    flags = kept(group, ("found", name), lambda: [found(Case(group, i)) for i in range(len(group.rollouts))])
    flag, success = np.array(flags, bool), group.graph.success
    known = ~np.isnan(success)
    known[case.index] = False
    yes, no = flag & known, ~flag & known
    return Exposure(int(yes.sum()), float((1 - success[yes]).sum()), int(no.sum()), float((1 - success[no]).sum()))
