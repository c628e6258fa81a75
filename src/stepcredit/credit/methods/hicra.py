"""HICRA: tokens that plan are credited more for success and charged less for failure."""

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Bools, Floats, Ints, Layout, Paths
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.ops.center import Spread

CARD = Card(
    title="HICRA: Hierarchy-Aware Credit Assignment",
    paper="arXiv:2509.03646",
    bibtex="""@inproceedings{wang2026emergent,
  title={Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning},
  author={Wang, Haozhe and Xu, Qixin and Liu, Che and Wu, Junhong and Lin, Fangzhen and Chen, Wenhu},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/TIGER-AI-Lab/Hierarchical-Reasoner",
    evidence="secondary text",
    per="token",
    needs="which tokens are part of a strategic phrase, one outcome per rollout, several rollouts per prompt; for the "
    "released variant the entropy of each token",
    bias="The baseline is the mean over the prompt's rollouts: action-independent, but it holds the own outcome. What "
    "is added depends on the token: planning is rewarded for its own sake, on average over successes and failures, so "
    "the phrases themselves are reinforced. The released variant favors rollouts longer than their prompt's mean.",
    departures="Only the mean is subtracted (the paper's formula; whether its main runs divide by the spread is not "
    "established). The released variant is as a port to TRL reads it, which was executed; as the port tells, the "
    "released code writes into a copy, so that it trains as plain GRPO.",
    holds=frozenset({"shift"}),
)

PRESETS = {
    "released": Preset(
        {"entropy_top": 0.3},
        "Hierarchical-Reasoner's verl branch by its port to TRL: uncertain tokens of correct, long rollouts as well",
    ),
}


def hicra(
    layout: Layout,
    outcome: Floats,
    token_plan: Ints,
    token_entropy: Floats | None = None,
    *,
    alpha: float = 0.2,
    entropy_top: float = 0.0,
    spread: Spread = "none",
    eps: float = 1e-6,
) -> Floats:
    """Credit of a token: how its rollout did, raised where the token plans.

        A_k = a_i + alpha * |a_i| [k plans]
        a_i = R_i - mean_g

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the mean and not judged.
        token_plan: [K] 1 = the token is part of a strategic phrase, 0 = it is not, -1 = not known: not judged.
        token_entropy: [K] entropy of the next-token distribution; only for entropy_top.
        alpha: how much is added; successes count 1 + alpha, failures 1 - alpha.
        entropy_top: above 0, the tokens among this share of their rollout's largest entropies count as planning too,
            in rollouts with a_i > 0 that have more tokens than the mean of their prompt's.
        spread: "none" only centers, "sample" divides by the spread. eps: added to the spread.

    Returns:
        [K] credit, in units of the outcome unless divided; NaN for a token of no step.

    Raises:
        MissingColumn: entropy_top without token_entropy. StepCreditError: alpha above 1 would turn failures around.

    >>> two = Layout(np.array([0, 0]), np.array([0, 1]), token_step=np.array([0, 0, 1, 1]))
    >>> hicra(two, np.array([1.0, 0.0]), np.array([1, 0, 1, 0]))
    array([ 0.6,  0.5, -0.4, -0.5])
    """
    if alpha > 1:
        raise StepCreditError(f"hicra got alpha={alpha:g}; above 1 failures would be praised", hint="the paper has 0.2")
    verdict = ops.center(outcome, layout.group, spread=spread, eps=eps)
    paths = ops.token_paths(layout)
    a, plan = verdict[paths.rollout], token_plan[paths.rows]
    raised = plan > 0
    if entropy_top > 0:
        raised |= _uncertain(layout, paths, verdict, token_entropy, entropy_top)
    credit = np.where(raised, a + alpha * np.abs(a), np.where(plan < 0, np.nan, a))
    return ops.merge_tokens(layout, paths, credit)


def _uncertain(layout: Layout, paths: Paths, verdict: Floats, entropy: Floats | None, share: float) -> Bools:
    """[token paths] tokens of high entropy in correct rollouts that are longer than their prompt's mean."""
    if entropy is None:
        raise MissingColumn("hicra with entropy_top needs column 'token_entropy'", hint="or set entropy_top=0")
    length = paths.length.astype(float)
    chosen = (verdict > 0) & (length > ops.cell_mean(length, layout.group)[layout.group])
    return chosen[paths.rollout] & ops.top_share(entropy[paths.rows], paths.rollout, share)
