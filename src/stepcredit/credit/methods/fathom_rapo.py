"""RAPO: GRPO whose live groups make up for the dead ones, over a reward that steers the use of search tools."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops import cell_variance, center
from stepcredit.ops.center import Spread

CARD = Card(
    title="RAPO: Reward-Aware Policy Optimization (Fathom-DeepResearch)",
    paper="arXiv:2509.24107",
    bibtex="""@article{singh2025fathom,
  title={Fathom-DeepResearch: Unlocking Long Horizon Information Retrieval and Synthesis for SLMs},
  author={Singh, Shreyas and Singh, Kunal and Moturi, Pradeep},
  journal={arXiv:2509.24107}, year={2025}}""",
    evidence="paper",
    needs="one outcome per rollout, several rollouts per prompt; for the steered reward, what each tool call was "
    "(`tool_class`) and whether the rollout keeps the format (`well_formed`)",
    bias="The baseline does not depend on actions. The fewer groups are live, the more a live one counts: prompts of "
    "middling difficulty weigh more in batches of hard or easy ones. The steered reward pays wrong rollouts for new "
    "searches and pages up to a bound, and right ones for not repeating themselves: it rewards length up to there. "
    "Each step of a rollout gets the same number.",
    departures="Equations 3, 6, 7 and 8. No epsilon is given: 1e-6 is ours. The paper's tool calls are its rounds; a "
    "rollout without any is not redundant. Pruning and replay are the selector `rapo`.",
    waives={"other_prompts": "the share of live groups is that of the batch"},
)

PRESETS = {"steered": Preset({"steered": True}, "Fathom-DeepResearch, the second stage of training: equations 7 and 8")}


def fathom_rapo(
    layout: Layout,
    outcome: Floats,
    tool_class: Ints | None = None,
    well_formed: Ints | None = None,
    *,
    steered: bool = False,
    cap: float = float("inf"),
    spread: Spread = "population",
    eps: float = 1e-6,
    solved: float = 0.5,
    format_weight: float = 0.1,
    least_right: float = 0.5,
    search_weight: float = 0.2,
    query_weight: float = 0.2,
    searches: float = 8.0,
    queries: float = 16.0,
) -> Floats:
    """Credit of every step of rollout i: how its reward compares within its prompt, scaled up for dead prompts.

        A_i = min(cap, groups / live groups) * (r_i - mean_g) / (std_g + eps)       live: std_g > 0
        r_i = R_i                                                                   if not steered
        r_i = format_weight * F_i + max(1 - rho, least_right)                       where R_i > solved
        r_i = format_weight * F_i + search_weight * min(1, S / searches) + query_weight * min(1, Q / queries)   else
        rho = repeated calls / calls,   S = new - repeated searches,   Q = new pages + cross-checks - repeated queries

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out and not judged.
        tool_class: [S] what the step's tool call was: 0 new search, 1 repeated search, 2 new page, 3 cross-check of a
            fact on another page, 4 repeated query; -1 = no call, or not judged. Only for steered.
        well_formed: [R] F: 1 = the rollout keeps the format, 0 or -1 = it does not; None: no part of the reward. Only
            for steered.
        steered: whether the reward is made from the tool calls.
        cap: largest scale.
        spread: of the outcomes of a prompt. eps: added to it.
        solved: outcome above which a rollout is right.
        format_weight, search_weight, query_weight: weights in the steered reward.
        least_right: what a right rollout gets at least, however redundant.
        searches, queries: new searches and pages that earn credit.

    Returns:
        [S] credit. A dead prompt gets 0; where all are dead the scale is 1.

    Raises:
        MissingColumn: steered without `tool_class`.

    >>> two = Layout(group=np.array([0, 0, 1, 1]), rollout=np.arange(4))
    >>> fathom_rapo(two, np.array([1.0, 0.0, 0.0, 0.0]), eps=0.0)
    array([ 2., -2.,  0.,  0.])
    """
    reward = outcome
    if steered:
        if tool_class is None:
            raise MissingColumn(
                "steered asks what the tool calls were (column 'tool_class')", hint="give it, or do not ask"
            )
        calls = np.stack([_calls(layout, layout.along(tool_class) == k) for k in range(5)])
        redundant = (calls[1] + calls[4]) / np.maximum(calls.sum(0), 1.0)
        new_searches, new_pages = calls[0] - calls[1], calls[2] + calls[3] - calls[4]
        wrong = search_weight * np.minimum(1.0, new_searches / searches)
        wrong += query_weight * np.minimum(1.0, new_pages / queries)
        reward = np.where(outcome > solved, np.maximum(1.0 - redundant, least_right), wrong)
        reward += 0.0 if well_formed is None else format_weight * (well_formed == 1)
        reward[np.isnan(outcome)] = np.nan
    batch = np.zeros(layout.G, np.int64)
    batch[layout.group] = layout.batches
    variance = cell_variance(reward, layout.group)
    groups, live = (np.bincount(batch, weights=there, minlength=1) for there in (~np.isnan(variance), variance > 0))
    scale = np.minimum(cap, np.divide(groups, live, out=np.ones(groups.size), where=live > 0))[layout.batches]
    advantage = scale * center(reward, layout.group, spread=spread, eps=eps)
    return layout.merge(advantage[layout.paths.rollout])


def _calls(layout: Layout, mine: Bools) -> Floats:
    """[R] how many steps of the path are such calls."""
    return np.asarray(np.bincount(layout.paths.rollout, weights=mine, minlength=layout.R), float)
