"""PRL: the outcome, less what the policy has still to depart from its reference."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="PRL: Process Reward Learning",
    paper="arXiv:2601.10201",
    bibtex="""@article{yao2026prl,
  title={PRL: Process Reward Learning Improves LLMs' Reasoning Ability and Broadens the Reasoning Boundary},
  author={Yao, Jiarui and Wang, Ruida and Zhang, Tong},
  journal={arXiv:2601.10201}, year={2026}}""",
    code="https://github.com/MaxwellJryao/Process-Reward-Learning",
    evidence="official code executed",
    per="token",
    needs="log-probabilities of the sampled tokens under the sampling policy and a frozen reference, one outcome per "
    "rollout, several rollouts per prompt",
    bias="The baseline is that of GRPO: action-independent, but it holds the own outcome (prm mode has none). The "
    "log-ratio still ahead is not centered: it charges early tokens for everything to come, so long rollouts that "
    "drift from the reference lose most where they begin.",
    departures="A step's end value reaches its own tokens; the code fills zeros from the right, so a value of exactly "
    "0 is overwritten by the next step's. The code's steps end every 64 or 256 tokens, or at a newline: "
    "here they are the batch's steps. Its script run_grpo.sh names the estimator grpo, which skips all of this.",
    cost="one forward pass of the reference",
    waives={"equal_rollouts": "tokens are also charged for their departure from the reference"},
)

PRESETS = {
    "prm": Preset(
        {"mode": "prm"},
        "Process-Reward-Learning ray_trainer.py, prm.adv=prm (runs/run_grpo-3.sh): per token, no baseline",
    ),
}


def prl(
    layout: Layout,
    token_old_logp: Floats,
    token_ref_logp: Floats,
    outcome: Floats,
    *,
    eta: float = 200.0,
    mode: Literal["orm", "prm"] = "orm",
    spread: Spread = "sample",
    eps: float = 1e-6,
    lone: Lone = "raw",
) -> Floats:
    """Credit of a token: how its rollout did, minus the log-ratio from its step's last token on.

        A_k = a_i - S_e / eta        e = the last token of the step of k
        S_k = l_k + S_{k+1},  l_k = log p_k - log ref_k
        a_i = (R_i - mean_g) / (std_g + eps)

    Args:
        token_old_logp, token_ref_logp: [K] log-probability under the sampling policy and under the reference.
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        eta: inverse weight of the departure from the reference: 200 (3B) and 100 (7B) in the paper's runs.
        mode: "orm" as above; "prm": a_i = R_i and e = k, at every token and without a baseline.
        spread: "sample" divides by the spread, "none" only centers. eps: added to the spread.
        lone: what a_i is for the only rollout of a prompt: "raw" (its outcome / (1 + eps), as in the code), "zero".

    Returns:
        [K] credit; NaN for a token of no step.

    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0]), token_step=np.array([0, 0, 1, 1]))
    >>> old = np.array([0.5, -0.2, 0.3, 0.4])
    >>> prl(one, old, np.zeros(4), np.array([1.0]), eta=2.0).round(4)
    array([0.75, 0.75, 0.8 , 0.8 ])
    """
    paths = ops.token_paths(layout)
    drift = (token_old_logp - token_ref_logp)[paths.rows]
    ahead = ops.scan(drift, 1.0, paths.left)
    if mode == "prm":
        verdict = outcome
    else:
        verdict = ops.center(outcome, layout.group, spread=spread, eps=eps, lone=lone)
        step = layout.tokens[paths.rows]
        last = np.append(step[1:] != step[:-1], True)[: step.size] | (paths.left == 0)
        ahead = ahead[ops.ahead(last, paths.left)]
    return ops.merge_tokens(layout, paths, verdict[paths.rollout] - ahead / eta)
