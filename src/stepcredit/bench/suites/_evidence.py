"""Evidence of known quality about the steps of a batch whose truth is known: what methods that ask for it are given.

It stands in for models: fresh rollouts from every state passed (Monte Carlo values), and judges that are wrong once in
five times. All columns come from those two, so that methods differ by what they make of the same evidence.
"""

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.ops import cells, windows

K = 4  # fresh rollouts from every state passed
WRONG = 0.2  # how often a judge is wrong about a step
CRITICS = 4
ABOUT = (
    f"Columns made from {K} fresh rollouts from every state passed: `value`, `next_value` (shares won; the outcome at "
    "the end), `answer_prob` (`next_value`), `confidence` (how far it is from one half), `gain` (change of the log of "
    "the share, each share drawn to one half by one rollout), `logratio`, and as log-ratios of tokens too (change of "
    "the share), `contribution` (the same, the first step's with the share at the start), `token_value` (`value`), "
    "`prior_value` (the share at the start). Columns made from "
    f"{CRITICS} judges, each wrong about a step with chance {WRONG:g}: `votes`, `label` (the first of them), `match`, "
    "`grounded` and `subgoal` (likewise), `score` and `useful` (share of them that call the step right). "
    "`answer_share`: share of the task's rollouts with the same outcome. Methods that read what only a model has "
    "(token phrases, hidden states) are not here."
)


def equip(batch: Batch, random: np.random.Generator) -> Batch:
    """The batch with columns of evidence. It needs `truth.value` and `truth.good`."""
    lay = batch.layout
    value = random.binomial(K, np.clip(batch["truth.value"], 0, 1)) / K
    after = np.append(value[1:], 0.0)
    after[lay.last[lay.last >= 0]] = batch["outcome"][lay.last >= 0]
    right = np.where(batch["truth.good"] > 0, 1.0, -1.0)[:, None]
    votes = np.where(random.random((lay.S, CRITICS)) < WRONG, -right, right)
    share = (votes > 0).mean(1)
    first = votes[:, 0] > 0
    change = after - value
    prior = np.zeros(lay.G)
    begins = np.flatnonzero(lay.turn == 0)
    prior[lay.step_group[begins]] = value[begins]
    part = np.where(lay.turn == 0, after, change)
    like = np.stack([windows(lay, batch["action"], m) for m in (1, 2, 3, lay.S + 1)], axis=1)
    made = batch.with_columns(
        value=value,
        next_value=after,
        answer_prob=after,
        confidence=np.abs(2 * after - 1),
        gain=_log(after) - _log(value),
        logratio=change,
        contribution=part,
        prior_value=prior,
        votes=votes,
        label=votes[:, 0],
        match=first,
        grounded=first,
        subgoal=first,
        score=share,
        useful=share,
        cluster=like,
    )
    same = cells(lay.group, np.unique(batch["outcome"], return_inverse=True)[1])
    share_of_answer = np.bincount(same)[same] / np.bincount(lay.group)[lay.group]
    return made.with_columns(
        token_value=value,
        token_logratio=change,
        token_old_logp=-1 + change / 2,
        token_ref_logp=-1 - change / 2,
        truncated=np.zeros(lay.R, np.int64),
        answer_share=share_of_answer,
    )


def _log(share: Floats) -> Floats:
    drawn: Floats = np.log((K * np.clip(share, 0, 1) + 0.5) / (K + 1))
    return drawn
