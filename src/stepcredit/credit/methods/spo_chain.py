"""SPO-chain: a segment is worth what it changes of the measured value of its prefix; certain tokens stay out."""

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="SPO: Segment Policy Optimization (SPO-chain)",
    paper="arXiv:2505.23564",
    bibtex="""@inproceedings{guo2025spo,
  title={Segment Policy Optimization: Effective Segment-Level Credit Assignment in RL for Large Language Models},
  author={Guo, Yiran and Xu, Lijie and Liu, Jie and Ye, Dan and Qiu, Shuang},
  booktitle={NeurIPS}, year={2025}}""",
    code="https://github.com/AIFrameResearch/SPO",
    evidence="official code executed",
    per="token",
    needs="one outcome per rollout and the value of the prefix before each segment (fresh rollouts from there); "
    "log-probabilities under the sampling policy for the mask",
    bias="The baseline is the value of the prefix, fixed before the segment: action-independent, and as noisy as the "
    "rollouts behind it are few. Credits of measured segments sum to the outcome minus the first measured value, so "
    "length is not rewarded. What comes before the first measured value is not credited.",
    departures="Probabilities are compared as log-probabilities, so that exactly `certain` is neither certain nor "
    "trained, whatever exp rounds to. Whitening is over the batch; the code takes what its ranks hold at once. A "
    "rollout of unknown outcome is not judged, though its inner segments could be.",
    cost="fresh rollouts from each cut: 9 at every fifth token of probability below 0.9 (paper)",
    pools={"whiten": True},
    waives={"equal_rollouts": "a segment is compared with the value of its prefix, not with other rollouts"},
)

PRESETS = {
    "official": Preset({"whiten": True}, "SPO trainers/ppo_trainer.py with whiten_advantages, its scripts for GSM8K"),
    "vineppo": Preset(
        {"certain": None},
        "VinePPO: the same difference over reasoning steps, every prefix measured, all tokens trained",
        system="vineppo",
        title="VinePPO: Refining Credit Assignment in RL Training of LLMs",
        paper="arXiv:2410.01679",
        bibtex="""@inproceedings{kazemnejad2025vineppo,
  title={VinePPO: Refining Credit Assignment in RL Training of LLMs},
  author={Kazemnejad, Amirhossein and Aghajohari, Milad and Portelance, Eva and Sordoni, Alessandro and Reddy, Siva and
    Courville, Aaron and Le Roux, Nicolas},
  booktitle={ICML}, year={2025}}""",
        code="https://github.com/McGill-NLP/VinePPO",
        cost="fresh rollouts from every step: 9 in the paper",
        evidence="official code executed",
    ),
}


def spo_chain(
    layout: Layout,
    value: Floats,
    outcome: Floats,
    token_old_logp: Floats | None = None,
    *,
    certain: float | None = 0.9,
    whiten: bool = False,
) -> Result:
    """Credit of a token: what its segment changed of the value of the prefix, 0 where the token was all but certain.

        A_k  = V(end of the segment) - V(its start)       V at the end of the rollout is its outcome
        A_k := 0 where p_k > certain;  the token trains where p_k < certain

    Args:
        value: [S] value of the prefix before each segment (a step). NaN = not measured: the segment then belongs to
            the one before it; with no measured value before it, it gets 0.
        outcome: [R] verdict on each rollout; NaN = unknown: not judged.
        token_old_logp: [K] log p_k under the sampling policy; NaN = not judged. None: no token is left out.
        certain: probability from which on a token does not train; None: every token does.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over the tokens of the batch that train (all of
            them if none does).

    Returns:
        Result: credit [K], NaN for a token of no step; train_mask [K], only where there are probabilities.

    >>> two = Layout(np.array([0]), np.array([0, 0]), token_step=np.array([0, 0, 1, 1]))
    >>> p = np.array([0.95, 0.5, 0.6, 0.7])
    >>> made = spo_chain(two, np.array([0.4, 0.7]), np.array([1.0]), np.log(p))
    >>> made.credit.round(3), made.train_mask
    (array([0. , 0.3, 0.3, 0.3]), array([False,  True,  True,  True]))
    """
    paths, v = layout.paths, layout.along(value)
    known = ~np.isnan(v)
    start, end = ops.behind(known, paths.turn), np.full(v.size, -1)
    end[:-1] = ops.ahead(known, paths.left)[1:]
    after = np.where((end < 0) | (paths.left == 0), outcome[paths.rollout], v[end])
    change = np.where(start < 0, 0.0, after - v[start])
    change[np.isnan(outcome)[paths.rollout]] = np.nan
    credit = ops.to_tokens(layout, layout.merge(change))
    batch, trained = ops.token_batch(layout), None
    if token_old_logp is not None and certain is not None:
        limit = np.log(certain)
        credit = np.where(token_old_logp > limit, 0.0 * credit, np.where(np.isnan(token_old_logp), np.nan, credit))
        trained = (token_old_logp < limit) & ~np.isnan(credit)
    if whiten:
        counts = np.ones(layout.K) if trained is None else trained.astype(float)
        some = np.bincount(batch, weights=counts, minlength=1)[batch] > 0
        credit = ops.whiten(credit, batch, weight=np.where(some, counts, 1.0))
    return Result(credit, train_mask=trained)
