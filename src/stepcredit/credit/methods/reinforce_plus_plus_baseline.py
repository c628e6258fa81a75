"""REINFORCE++-baseline: the outcome minus the prompt's mean, whitened over the tokens of the batch."""

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.credit.methods.reinforce_plus_plus import BIBTEX
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops.center import Lone

CARD = Card(
    title="REINFORCE++-baseline",
    paper="arXiv:2501.03262",
    bibtex=BIBTEX,
    code="https://github.com/OpenRLHF/OpenRLHF, https://github.com/verl-project/verl",
    evidence="official code executed",
    per="token",
    needs="one outcome per rollout, several rollouts per prompt; sampled tokens (a step counts as one without them)",
    bias="The prompt's mean does not depend on actions (but holds the rollout's own outcome). The whitening counts "
    "tokens, so its mean is not 0 where better rollouts are longer, and long rollouts weigh more.",
    departures="A lone rollout gets 0 before whitening; verl keeps its reward: preset verl. Its reward sums over "
    "tokens are the outcome here.",
    holds=frozenset({"scale", "shift"}),
    waives={"other_prompts": "the whitening is that of the batch"},
)

PRESETS = {
    "verl": Preset({"lone": "raw"}, "verl 0.9.1 core_algos.compute_reinforce_plus_plus_baseline_outcome_advantage"),
}


def reinforce_plus_plus_baseline(layout: Layout, outcome: Floats, *, lone: Lone = "zero") -> Floats:
    """Credit of every token of rollout i: its outcome minus its prompt's mean, over the spread of the batch's tokens.

        A_k = (a_i - mean) / sqrt(sample variance + 1e-8)       mean and variance over the sampled tokens of the batch
        a_i = R_i - mean_g

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        lone: what a_i is for the only rollout of a prompt: "zero", "raw" (its outcome, as in verl), "nan".

    Returns:
        [K] credit, in units of the batch's spread; NaN for a token of no step.

    >>> import numpy as np
    >>> two = Layout(np.array([0, 0]), np.array([0, 1]), token_step=np.array([0, 0, 1]))
    >>> reinforce_plus_plus_baseline(two, np.array([1.0, 0.0])).round(4)
    array([ 0.5774,  0.5774, -1.1547])
    """
    paths = ops.token_paths(layout)
    rollout = ops.center(outcome, layout.group, spread="none", lone=lone)[paths.rollout]
    return ops.whiten(ops.merge_tokens(layout, paths, rollout), ops.token_batch(layout))
