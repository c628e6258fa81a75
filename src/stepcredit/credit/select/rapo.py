"""RAPO: drop solved prompts, and put a stored success into a group that failed."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cell_mean, cells, nth

CARD = Card(
    title="RAPO: Reward-Aware Policy Optimization (Fathom-DeepResearch), its pruning and its replay",
    paper="arXiv:2509.24107",
    bibtex="""@article{singh2025fathom,
  title={Fathom-DeepResearch: Unlocking Long Horizon Information Retrieval and Synthesis for SLMs},
  author={Singh, Shreyas and Singh, Kunal and Moturi, Pradeep},
  journal={arXiv:2509.24107}, year={2025}}""",
    evidence="paper",
    per="rollout",
    needs="one outcome per rollout, several rollouts per prompt; for replay, which prompts have a stored success",
    bias="A stored success was sampled by an older policy: its tokens need their own old log-probabilities. A failed "
    "group that gets one learns as if the policy solved one in n.",
    departures="None from its equations 5 and its text on replay. The paper prunes at the end of an epoch: a pruned "
    "prompt has priority 0 here, and its rollouts stay. The store, and a floor of prompts to keep, are the caller's. "
    "The scaling of advantages is the method `fathom_rapo`.",
    waives={
        "other_prompts": "which failed rollout is replaced is drawn, for the whole batch",
        "other_batches": "which failed rollout is replaced is drawn, for the whole batch",
        "permutation": "which failed rollout is replaced is drawn",
    },
)


def rapo(
    layout: Layout,
    outcome: Floats,
    stored: Ints | None = None,
    *,
    prune: float = 0.9,
    solved: float = 0.0,
    success: float = 0.5,
    seed: int = 0,
) -> Selection:
    """Rate solved prompts 0, others 1; where all rollouts of a prompt failed, a stored success replaces one of them.

        priority_g = [mean_i [R_i > solved] < prune]
        replay_i = stored_g   for one i of g, drawn evenly, where R_j <= success for all j of g

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: it counts nowhere and is not replaced.
        stored: [G] where the caller's store holds the latest success of each prompt; -1 = it holds none.
        prune: share of solved rollouts from which a prompt is not drawn again.
        solved: outcome above which a rollout counts as solved (the paper has 0: with a reward for format alone, say
            how much that is).
        success: outcome above which a rollout is a success: none of the group may have it, and what is stored has it.
        seed: of the random draws.

    Returns:
        Selection with priority [G] (NaN for a prompt without a known outcome) and, if `stored` is given, replay [R].

    >>> two = Layout(group=np.array([0, 0, 1, 1]), rollout=np.arange(4))
    >>> made = rapo(two, np.array([1.0, 1.0, 0.0, 0.0]), np.array([-1, 7]))
    >>> made.priority, np.sort(made.replay), made.counts
    (array([0., 1.]), array([-1, -1, -1,  7]), {'a stored success takes its place': 1})
    """
    unknown = np.isnan(outcome)
    rate = cell_mean(np.where(unknown, np.nan, outcome > solved), layout.group)
    priority = np.where(np.isnan(rate), np.nan, rate < prune - 1e-9)
    why, reasons = np.zeros(layout.R, np.int64), ("a stored success takes its place",)
    if stored is None:
        return Selection(why, reasons, priority=priority)
    best = np.full(layout.G, -np.inf)
    np.maximum.at(best, layout.group[~unknown], outcome[~unknown])
    dead = np.isfinite(best) & (best <= success) & (stored >= 0)
    judged = np.bincount(layout.group, weights=~unknown, minlength=layout.G)
    drawn = np.floor(np.random.default_rng(seed).random(layout.G) * judged)
    turn = nth(cells(layout.group, unknown.astype(np.int64)))
    gone = ~unknown & dead[layout.group] & (turn == drawn[layout.group])
    why[gone] = 1
    return Selection(why, reasons, priority=priority, replay=np.where(gone, stored[layout.group], -1))
