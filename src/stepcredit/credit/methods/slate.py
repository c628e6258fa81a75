"""SLATE: candidates for one next step, sampled from the same prefix, are compared by a judge's marks."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops import cells, center, sibling_cells, state_cells
from stepcredit.ops.center import Spread

CARD = Card(
    title="SLATE: Truncated Step-Level Sampling with Process Rewards for Retrieval-Augmented Reasoning",
    paper="arXiv:2602.23440",
    bibtex="""@article{samarinas2026slate,
  title={Truncated Step-Level Sampling with Process Rewards for Retrieval-Augmented Reasoning},
  author={Samarinas, Chris and Chang, Haw-Shiuan and Zamani, Hamed},
  journal={arXiv:2602.23440}, year={2026}}""",
    code="https://github.com/algoprog/SLATE",
    evidence="official code executed",
    needs="a mark for each candidate step (`score`: the judge's -1, 0, +1 for the reasoning plus that for the query or "
    "the answer), candidates that share their prefix (a tree, or equal `state`); for the bonus of early answers, which "
    "rollouts were cut rather than ended by an answer (`truncated`)",
    bias="The baseline is the mean over candidates of one prefix: it does not depend on the action, but holds the "
    "candidate's own mark. Marks are quality as a judge sees it, not success: nothing after the step counts. Answers "
    "and searches share one scale unless types='apart'; the bonus pays answering early.",
    departures="In the paper the first step is t = 1; the code counts from 0, so its bonus is bonus / budget larger: "
    "preset official. A candidate without siblings has 0 here (NaN in the code), a failed judgment is not judged "
    "(0 in the code). The released trainer stores these advantages and then trains on outcomes. Which candidate goes "
    "on (softmax of A / 0.7) is the sampler's.",
    cost="two judge calls per candidate step",
)

PRESETS = {
    "official": Preset({"first_turn": 0}, "algoprog/SLATE cbab153 step_level_algos.py, llm_judge.py: turns from 0"),
}


def grouping(
    layout: Layout,
    state: Ints | None = None,
    truncated: Ints | None = None,
    *,
    types: Literal["together", "apart"] = "together",
) -> dict[str, Ints]:
    """Where candidates are compared: steps that follow the same step of a tree; else steps from the same state."""
    if layout.is_tree:
        prefix = sibling_cells(layout)
    elif state is not None:
        prefix = state_cells(layout, state)
    else:
        raise MissingColumn(
            "slate compares candidates of one prefix: it needs rollouts that share steps (a tree), or column 'state' "
            "[S], equal where the prefix is; the batch has neither",
            hint="store candidates as rollouts with a `prefix`, or name their prefix as `state`",
        )
    return {"prefix": prefix if types == "together" else cells(prefix, _answers(layout, truncated).astype(np.int64))}


def slate(
    layout: Layout,
    score: Floats,
    state: Ints | None = None,
    truncated: Ints | None = None,
    *,
    bonus: float = 0.1,
    budget: int = 4,
    first_turn: int = 1,
    types: Literal["together", "apart"] = "together",
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of a step: its mark, compared with those of the other candidates for the same next step.

        A(x) = (r(x) - mean r) / (std r + eps)                 over the candidates of one prefix
        r(x) = score(x) + bonus * (budget - t) / budget        the second part for answers, at turn t <= budget

    Args:
        score: [S] the judge's marks of the step, summed; NaN = not judged, left out.
        state: [S] id of the prefix that the step follows, where rollouts share no step; in a tree it is not asked.
        truncated: [R] 1 = the rollout was cut after its last step (a candidate that was not taken up), 0 = the last
            step is an answer, -1 = not known: such a last step is not judged if there is a bonus.
        bonus: for the earliest answer; 0 if the score holds it, or there is none.
        budget: most turns. first_turn: number of the first one.
        types: searches and answers are compared "together", or each only with its like ("apart").
        spread: of the comparison. eps: added to it.

    Returns:
        [S] credit. A lone candidate gets 0.

    Raises:
        MissingColumn: neither a tree nor a state; a bonus, or types="apart", without `truncated`.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 1]))
    >>> slate(two, np.array([2.0, 1.0]), np.array([7, 7]), bonus=0.0, spread="none")
    array([ 0.5, -0.5])
    """
    (prefix,) = grouping(layout, state, truncated, types=types).values()
    reward = np.asarray(score, float)
    if bonus:
        early = np.maximum(budget - first_turn - layout.turn, 0) / budget
        reward = reward + bonus * early * _answers(layout, truncated)
        if truncated is not None:
            reward[layout.last[(layout.last >= 0) & (truncated < 0)]] = np.nan
    return center(reward, prefix, spread=spread, eps=eps)


def _answers(layout: Layout, truncated: Ints | None) -> Bools:
    """[S] the last step of a rollout that was not cut."""
    if truncated is None:
        raise MissingColumn(
            "slate needs to know which last steps are answers: column 'truncated' [R], 1 where a rollout was cut "
            "before an answer; the batch does not hold it",
            hint="add the column, or set bonus=0 and types='together'",
        )
    answer = np.zeros(layout.S, bool)
    answer[layout.last[(layout.last >= 0) & (truncated == 0)]] = True
    return answer
