"""Q - V by plain means: what a step is compared with if nothing is modeled."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cell_mean, cells

CARD = Card(
    title="Q - V by plain means",
    paper="none; the definition of the advantage, with means for expectations",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    needs="one outcome per rollout, several rollouts per prompt, the state each step was taken in",
    bias="The baseline holds the outcomes of all actions in the state, the own one too. Unbiased as visits grow if "
    "states say all that matters. A state or step met once has credit 0. Length is not rewarded.",
    departures="None: this is the definition.",
    holds=frozenset({"shift"}),
)


def q_minus_v(layout: Layout, outcome: Floats, state: Ints, next_state: Ints) -> Floats:
    """Credit of a step: how rollouts that made it did, less how all that were in its state did.

        A_t = mean{R_j : j took a step from s_t to s_{t+1}} - mean{R_j : j took a step in s_t}

    over the visits of the prompt's rollouts j; a step is the same if it leads from the same state to the same state.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of both means and not judged.
        state: [S] id of the state each step was taken in.
        next_state: [S] id of the state after the step.

    >>> import numpy as np
    >>> three = Layout(group=np.zeros(3, int), rollout=np.arange(3))
    >>> q_minus_v(three, np.array([1.0, 0.0, 0.0]), np.zeros(3, int), np.array([1, 1, 2])).round(3)
    array([ 0.167,  0.167, -0.333])
    """
    paths = layout.paths
    gained = np.asarray(outcome, float)[paths.rollout]
    place = cells(layout.group[paths.rollout], state[paths.rows])
    edge = cells(place, next_state[paths.rows])
    credit = cell_mean(gained, edge)[edge] - cell_mean(gained, place)[place]
    return layout.merge(np.where(np.isnan(gained), np.nan, credit))
