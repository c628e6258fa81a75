"""SALT: steps that did the same in the same place share the mean of their rollouts' advantages."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops import cell_mean, cells, center, windows
from stepcredit.ops.center import Location, Spread

CARD = Card(
    title="SALT: Step-level Advantage Assignment for Long-horizon Agents via Trajectory Graph",
    paper="arXiv:2510.20022",
    bibtex="""@inproceedings{li2026salt,
  title={SALT: Step-level Advantage Assignment for Long-horizon Agents via Trajectory Graph},
  author={Li, Jiazheng and Wang, Yawei and Yan, Qiaojing and Tian, Yijun and Xu, Zhichao and Song, Huan and others},
  booktitle={Findings of EACL}, pages={4709--4725}, year={2026}}""",
    evidence="derived",
    needs="one outcome per rollout, several rollouts per prompt; what each step did (`action`), and what came of it: "
    "`observation`, or else `state` (the next step's state stands for it)",
    bias="The base advantage's baseline does not depend on actions (it holds the rollout's own outcome). Merging "
    "averages it over the rollouts that share a step: less variance, biased where the history beyond the window "
    "matters. The sum over all steps is kept. Each unmerged step gets its rollout's number, so long rollouts have "
    "more in total.",
    departures="No official code is public; the steps follow notes of a re-implementation of the paper's Algorithm "
    "1. Equality is exact: the embedding matcher of the paper's free-text benchmark is not published. A visit counts "
    "once per occurrence. The prompt stands for the root state.",
    holds=frozenset({"scale", "shift"}),
)

PRESETS = {"rloo": Preset({"location": "others", "spread": "none"}, "the paper's RLOO base")}


def grouping(
    layout: Layout, action: Ints, observation: Ints | None = None, next_state: Ints | None = None, *, history: int = 3
) -> dict[str, Ints]:
    """Which steps are one edge: equal last (action, observation) pairs, action and observation."""
    answer = next_state if observation is None else observation
    if answer is None:
        raise MissingColumn(
            "salt needs to know what came of each step: column 'observation' [S], or 'state' [S], whose next row "
            "stands for it; the batch holds neither",
            hint="map the environment's answers to `observation`, or add states with `stepcredit state`",
        )
    return {"edge": windows(layout, cells(action, answer), history + 1)}


def salt(
    layout: Layout,
    outcome: Floats,
    action: Ints,
    observation: Ints | None = None,
    next_state: Ints | None = None,
    *,
    history: int = 3,
    location: Location = "mean",
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of a step: the mean advantage over the rollouts of the prompt that took the same edge.

        A_i = center(R_i)   among the rollouts of the prompt
        e_t = (the last `history` (action, observation) pairs, a_t, o_t)
        c_t = mean of A_i over all steps of the prompt with the edge e_t

    A window that reaches back to the start of the rollout equals only windows that do so too.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of every mean and not judged.
        action: [S] id of what was done.
        observation: [S] id of what the environment answered. A missing one is an id of its own: not mergeable.
        next_state: [S] id of the state after the step, used where there is no observation.
        history: (action, observation) pairs before the step that must be equal; 0 = none.
        location, spread, eps: of the base advantage, as in grpo: mean and sample spread (GRPO), "others" and "none"
            (RLOO).

    Returns:
        [S] credit. Where no two steps match it is the base advantage.

    Raises:
        MissingColumn: neither observation nor next_state.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> salt(two, np.array([1.0, 0.0]), np.array([5, 6, 5, 7]), np.array([1, 2, 1, 3]), spread="none")
    array([ 0. ,  0.5,  0. , -0.5])
    """
    base = center(outcome, layout.group, location=location, spread=spread, eps=eps)[layout.paths.rollout]
    (edge,) = grouping(layout, action, observation, next_state, history=history).values()
    return np.where(np.isnan(layout.merge(base)), np.nan, cell_mean(base, layout.along(edge))[edge])
