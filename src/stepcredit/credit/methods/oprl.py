"""OPRL (iStar): outcomes and implicit step rewards, each compared within the prompt, then added."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops.center import Lone

CARD = Card(
    title="OPRL / iStar: Agentic Reinforcement Learning with Implicit Step Rewards",
    paper="arXiv:2509.19199",
    bibtex="""@inproceedings{liu2026istar,
  title={Agentic Reinforcement Learning with Implicit Step Rewards},
  author={Liu, Xiaoqian and Wang, Ke and Wu, Yuchuan and Huang, Fei and Li, Yongbin and Zhang, Junge and Jiao, Jianbin},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/Tongyi-ConvAI/Qwen-Character (CharacterRL-iStar)",
    evidence="official code executed",
    needs="log-ratio of an implicit process reward model to its reference per step (or per token), one outcome per "
    "rollout, several rollouts per prompt",
    bias="Both baselines are means of the prompt's others: action-independent, but step rewards are compared across "
    "states, and with steps of the own rollout. A rollout of many steps with rewards above the mean has more credit in "
    "total. The released baseline of steps is the mean of first steps: later ones are measured against those.",
    departures="The paper's equations divide both terms by their spread (preset paper-grpo); its scripts run RLOO, "
    "the default. The documented baseline of a step is all steps of the prompt's rollouts; the released code "
    "takes only each rollout's first row (a guard against counting outcomes twice was left in): presets with "
    "baseline='first'. Adding outcome and step reward before one comparison, as in the code's combined variant, "
    "is the same as preset released by linearity. Where all first steps of a prompt have one reward the code's "
    "grpo-std divides later steps by its epsilon (about 1e5); here nothing is divided by a spread of 0. The "
    "model's online update (trajectory DPO) and its optional scaling by the batch are not here.",
    pools={"kind": "reinforce++"},
    waives={"equal_rollouts": "a step's reward is also compared with those of its own rollout"},
    cost="one forward pass of the implicit reward model and of its reference",
)

_RELEASED = {"baseline": "first"}
PRESETS = {
    "paper-grpo": Preset(
        {"kind": "std"}, "the paper's equations as a review quotes them: both terms over their spread, all steps"
    ),
    "released": Preset(_RELEASED, "istar/core_istar.py compute_istar_rloo_advantage"),
    "process-only": Preset({**_RELEASED, "outcome_weight": 0.0}, "istar/core_istar.py, use_process_only=True"),
    "grpo-mean": Preset({**_RELEASED, "kind": "mean"}, "istar/core_istar.py compute_istar_grpo_advantage, mean_norm"),
    "grpo-std": Preset({**_RELEASED, "kind": "std"}, "istar/core_istar.py compute_istar_grpo_advantage, mean_std_norm"),
    "reinforce++": Preset(
        {**_RELEASED, "kind": "reinforce++"},
        "istar/core_istar.py compute_istar_reinforce_plus_baseline_advantage",
    ),
}

Kind = Literal["rloo", "mean", "std", "reinforce++"]


def oprl(
    layout: Layout,
    outcome: Floats,
    logratio: Floats,
    *,
    beta: float = 0.05,
    step_weight: float = 1.0,
    outcome_weight: float = 1.0,
    baseline: Literal["steps", "first"] = "steps",
    kind: Kind = "rloo",
    eps: float = 1e-6,
    lone: Lone = "raw",
) -> Floats:
    """Credit of a step: how its rollout did, plus how it did itself as the implicit reward model sees it.

        A_t = outcome_weight * compare(R_i)  +  step_weight * compare(r_t),      r_t = beta * q_t
        compare(x) = n / (n - 1) * (x - mean)        over the n rollouts, or steps, of the prompt

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: left out everywhere and not judged.
        logratio: [S] q_t, log-probability of the step under the model minus that under its reference.
        beta: of the implicit reward model.
        step_weight, outcome_weight: weights of the two terms.
        baseline: mean and n of the step term: of all "steps" of the prompt's rollouts, or of their "first" steps only.
        kind: "rloo" as above; "mean", without n / (n - 1); "std", over the sample spread + eps; "reinforce++": "mean",
            then each term minus its mean over sqrt(sample variance + 1e-8), over the sampled tokens of the batch.
        eps: added to the spread.
        lone: a value that has none to be compared with: "raw" (itself, as in the code), "zero", "nan".

    Returns:
        [S] credit, in units of the outcome for "rloo" and "mean".

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 1, 1]))
    >>> q = np.array([0.30, 0.10, -0.05, -0.10, 0.05])
    >>> oprl(two, np.array([1.0, 0.0]), q, beta=1.0)
    array([ 1.3   ,  1.05  ,  0.8625, -1.2   , -1.0125])
    """
    paths = layout.paths
    unknown = layout.merge(np.where(np.isnan(outcome), np.nan, 0.0)[paths.rollout])
    verdict = _compare(outcome, layout.group, np.ones(layout.R), kind, eps, lone)
    rollout = layout.merge(verdict[paths.rollout])
    counted = np.ones(layout.S) if baseline == "steps" else (layout.turn == 0).astype(float)
    step = _compare(beta * logratio + unknown, layout.step_group, counted, kind, eps, lone)
    if kind == "reinforce++":
        batch = layout.batches[layout.rollout]
        rollout, step = (ops.whiten(x, batch, weight=layout.step_tokens) for x in (rollout, step))
    return outcome_weight * rollout + step_weight * step


def _compare(x: Floats, by: Ints, counted: Floats, kind: Kind, eps: float, lone: Lone) -> Floats:
    """[n] each value against the counted ones of its cell."""
    n = np.bincount(by, weights=counted * ~np.isnan(x), minlength=1)[by]
    apart = ops.center(x, by, spread="sample" if kind == "std" else "none", eps=eps, weight=counted)
    if kind == "rloo":
        apart = apart * np.divide(n, n - 1, out=np.zeros_like(x), where=n > 1)
    alone = {"raw": x / (1 + eps) if kind == "std" else x, "zero": 0.0 * x, "nan": np.full_like(x, np.nan)}[lone]
    return np.where(n > 1, apart, alone)
