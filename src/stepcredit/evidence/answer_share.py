"""Which rollouts of a task say the same in the end, and how many do."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._answers import Answers, answers_of
from stepcredit.evidence._ways import ways
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Equivalence

CARD = EvidenceCard(
    title="SIOP's outcome modes: final answers clustered by meaning",
    paper="arXiv:2605.04984",
    bibtex="""@article{hu2026siop,
  title={Self-Induced Outcome Potential: Turn-Level Credit Assignment for Agents without Verifiers},
  author={Hu, Senkang and Dai, Yong and Han, Xudong and Fang, Zhengru and Zhao, Yuzhi and Kwong, Sam and Fang, Yuguang},
  journal={arXiv:2605.04984}, year={2026}}""",
    code="https://github.com/dl-m9/SIOP",
    evidence="official code executed",
    adds=("answer_share", "answer_cluster"),
    needs="several rollouts per task with a final answer each",
    cost="a comparison of each answer with the first of every cluster before its own; equal texts are not compared",
    departures="Answers of equal text are one without asking; the official code asks the model. Clusters depend on the "
    "order of rollouts: an answer joins the first cluster whose first member it is equivalent to, as published. The "
    "official code clusters the texts with `strict` two-way entailment or a loose test: that choice is the function's. "
    "It takes the first <answer> of a whole response; here the last of its last text.",
)

PRESETS = {
    "siop": Preset({"eta": 1.0}, "SIOP train_siop.sh: eta 1; it needs `entailment`"),
}

Entailment = Callable[[Sequence[str], Sequence[str]], Floats]


def answer_share(
    batch: Batch,
    equivalence: Equivalence,
    *,
    eta: float = 0.0,
    entailment: Entailment | None = None,
    longest: int = 2000,
    question: bool = True,
    answers: Answers = None,
) -> Batch:
    """The batch with the share of the task's answers that say the same as the rollout's.

        answer_share q(c) = m(c)                                    m(c): rollouts in the cluster / rollouts that answer
        q(c) = m(c) exp(eta * r(c)) / sum_c' m(c') exp(eta * r(c'))       eta > 0 and more than one cluster
        r(c) = mean over rollouts of c of the mean over their observations o of entailment(o, first answer of c)

    Args:
        equivalence: whether two texts say the same, each entailing the other.
        eta: how much evidence for an answer in the environment's replies counts.
        entailment: (premises, hypotheses) -> [n] in 0..1; asked for eta > 0.
        longest: characters of an observation that are read.
        question: whether answers are compared with the task before them ("task answer").
        answers: final answers: a field of the record, one per rollout, a function of the record; None: from <answer>,
            \\boxed or "Answer:" in the last text.

    Returns:
        answer_share [R]: 0 for a rollout without an answer. answer_cluster [R]: the number of its cluster (of all tasks
        together), NaN without an answer.

    Raises:
        StepCreditError: eta > 0 without entailment.
    """
    if eta and entailment is None:
        raise StepCreditError("eta weighs observations that entail an answer: it needs entailment=", hint="or eta=0")
    said = _said(batch, answers)
    tasks = [(r.task or "") + " " if question else "" for r in _texts.records(batch, "answer_share")]
    group = batch.layout.group
    cluster = _clusters([t + a for t, a in zip(tasks, said, strict=True)], said, group, equivalence)
    known, place = cluster >= 0, np.maximum(cluster, 0)
    size = np.bincount(cluster[known], minlength=1)[place]
    weight = np.where(known, size, 0.0)
    if eta and entailment is not None:
        reliable = _reliability(batch, said, cluster, entailment, longest)
        weight = weight * np.exp(eta * (reliable - reliable.max(initial=0.0)))
    # Each cluster counts once: its weight stands on every one of its rollouts.
    total = np.bincount(group, weights=weight / np.maximum(size, 1), minlength=batch.layout.G)[group]
    share = np.divide(weight, total, out=np.zeros(group.size), where=known)
    note = f"answer_share: {int(cluster.max(initial=-1)) + 1:,} different answers of {int(known.sum()):,} rollouts"
    named = np.where(known, cluster, np.nan)
    return batch.with_columns(axis="R", answer_share=share, answer_cluster=named, note=note)


def cost(batch: Batch, *, answers: Answers = None) -> Cost:
    """At most one comparison of every two different answers of a task."""
    said = _said(batch, answers)
    distinct = {(g, a) for g, a in zip(batch.layout.group.tolist(), said, strict=True) if a}
    n = np.bincount([g for g, _ in distinct], minlength=1)
    return Cost({"compare": int((n * (n - 1) // 2).sum())}, at_most=True)


def _said(batch: Batch, answers: Answers) -> list[str]:
    """[R] final answers, "" where there is none."""
    return [(a or "").strip() for a in answers_of(batch, answers, "answer_share")]


def _clusters(texts: Sequence[str], said: Sequence[str], group: Ints, equivalence: Equivalence) -> Ints:
    """[R] cluster of each answer, -1 without one. In each task in turn: the first answer that is in none begins one,
    and takes in those of the others that are equivalent to it."""
    distinct, which = _queries.once(list(zip(group.tolist(), texts, strict=True)))
    open_ = {w: None for w, a in zip(which.tolist(), said, strict=True) if a}
    of = np.full(len(distinct), -1, np.int64)
    number = 0
    while open_:
        first: dict[int, int] = {}
        for w in open_:
            first.setdefault(distinct[w][0], w)
        for w in first.values():
            of[w], number = number, number + 1
        rest = [w for w in open_ if of[w] < 0]
        lead = [first[distinct[w][0]] for w in rest]
        same = equivalence([distinct[w][1] for w in lead], [distinct[w][1] for w in rest]) if rest else []
        for w, v, yes in zip(
            rest, lead, _queries.answered(same, len(rest), "the equivalence of answer_share"), strict=True
        ):
            if yes:
                of[w] = of[v]
        open_ = {w: None for w in rest if of[w] < 0}
    answered = np.array([bool(a) for a in said], bool)
    return np.where(answered, of[which], -1)


def _reliability(batch: Batch, said: Sequence[str], cluster: Ints, entailment: Entailment, longest: int) -> Floats:
    """[R] of each rollout's cluster: how far what its rollouts saw entails its first answer; 0 if they saw nothing."""
    first: dict[int, str] = {}
    for a, c in zip(said, cluster.tolist(), strict=True):
        first.setdefault(c, a)
    pairs = [
        (r, str(step.observation).strip()[:longest])
        for r, way in enumerate(ways(batch, "answer_share"))
        for step in way
        if cluster[r] >= 0 and step.observation is not None and str(step.observation).strip()
    ]
    hypotheses = [first[int(cluster[r])] for r, _ in pairs]
    scores = np.asarray(entailment([o for _, o in pairs], hypotheses) if pairs else (), float)
    _queries.answered(scores.tolist(), len(pairs), "the entailment of answer_share")
    own = _mean_of(scores, np.array([r for r, _ in pairs], np.int64), cluster.size)
    seen = ~np.isnan(own)
    of_cluster = _mean_of(own[seen], np.maximum(cluster, 0)[seen], int(cluster.max(initial=0)) + 1)
    return np.nan_to_num(of_cluster)[np.maximum(cluster, 0)]


def _mean_of(x: Floats, by: Ints, size: int) -> Floats:
    n = np.bincount(by, minlength=size)
    mean: Floats = np.divide(np.bincount(by, weights=x, minlength=size), n, out=np.full(size, np.nan), where=n > 0)
    return mean


def semantic_entropy(cluster: Floats, group: Ints) -> Floats:
    """[G] entropy of what is said: -sum_c m(c) log m(c) over the clusters of each task, NaN where nothing is.

    Args:
        cluster: [n] cluster of each answer (or of each phrase that was found), NaN = none.
        group: [n] task of each; zeros for one batch.

    >>> semantic_entropy(np.array([0.0, 0.0, 1.0, 1.0, np.nan, 5.0]), np.array([0, 0, 0, 0, 0, 1])).round(4)
    array([0.6931, 0.    ])
    """
    size = int(group.max(initial=-1)) + 1
    known = ~np.isnan(cluster)
    pairs, counts = np.unique(np.stack([group[known], cluster[known]]), axis=1, return_counts=True)
    of = pairs[0].astype(np.int64)
    total = np.bincount(of, weights=counts, minlength=size)
    share = counts / total[of]
    spread = np.bincount(of, weights=-share * np.log(share), minlength=size)
    return np.where(total > 0, spread, math.nan)
