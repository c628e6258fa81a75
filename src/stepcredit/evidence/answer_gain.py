"""Information gain: how much likelier does each step make the right answer, or the answer that its rollout gives?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import MissingColumn
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._answers import Answers, answers_of
from stepcredit.evidence._texts import JOINER, Reference
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Forcer

BRIDGE = "\nNow there's enough information to answer\n</think>\n<answer>\n"

CARD = EvidenceCard(
    title="Information gain about the answer",
    paper="arXiv:2510.14967",
    bibtex="""@inproceedings{wang2026igpo,
  title={Information Gain-based Policy Optimization: A Simple and Effective Approach for Multi-Turn LLM Agents},
  author={Wang, Guoqing and Dai, Sunhao and Ye, Guangze and Gan, Zeyu and Yao, Wei and Deng, Yong and others},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/GuoqingWang1/IGPO",
    evidence="official code read",
    adds=("gain",),
    needs="task and texts of the steps; the right answer per task, or the answers of the rollouts in clusters "
    "(`answer_cluster`)",
    cost="one forward pass per distinct prefix and answer: steps + 1 per rollout, times the answers of a cluster",
    departures="A prefix whose reply failed makes the gains before and after it NaN; A2TGPO's code keeps the earlier "
    "baseline, SIOP's counts 0. A gain of exactly 0 is a gain. Tokens of the bridge and of a closing tag are not "
    "scored, as in all three codes (IGPO's and A2TGPO's were read, SIOP's potentials executed). SIOP has no gain for "
    "rollouts of one turn; here they have one.",
)

PRESETS = {
    "igpo": Preset(
        {"measure": "prob", "answer_step": False},
        "IGPO's paper and scrl/llm_agent/generation.py: difference of exp(mean log-probability); from the task alone "
        "on; the answering turn has no gain",
    ),
    "a2tgpo": Preset(
        {"baseline": "first", "answer_step": False, "context": "but_last"},
        "A-TGPO ray_trainer._compute_igpo_reward: difference of mean log-probabilities; the first turn only gives the "
        "baseline; what the last search found is not read",
    ),
    "siop": Preset(
        {"target": "cluster", "eps": 1e-8, "context": "written", "references": 3, "unanswered": "zero"},
        "SIOP siop_process_reward.py and train_siop.sh: up to 3 wordings of the cluster's answer; a turn's context "
        "ends where the model stopped writing. To be multiplied by answer_share: the method does",
    ),
    "siop-gold": Preset(
        {"eps": 1e-8, "context": "written"}, "SIOP siop_process_reward.py with siop_use_gold_ref: the same of gold"
    ),
}

Context = Literal["observed", "written", "but_last"]


def answer_gain(
    batch: Batch,
    forcer: Forcer,
    *,
    target: Literal["gold", "cluster"] = "gold",
    measure: Literal["log", "prob"] = "log",
    baseline: Literal["task", "first"] = "task",
    answer_step: bool = True,
    context: Context = "observed",
    unanswered: Literal["nan", "zero"] = "nan",
    references: int = 1,
    eps: float = 0.0,
    bridge: str = BRIDGE,
    reference: Reference = None,
    answers: Answers = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with a `gain` per step: what it adds to the potential of the answer.

        gain_t = phi_t - phi_{t-1}
        phi_t  = log(p_t + eps)                  measure "log"; with one answer and eps 0 the mean log-probability
        phi_t  = p_t                             measure "prob"
        p_t    = mean_m exp(mean_k log pi(y_mk | task, steps up to t, bridge, y_m,<k))

    Args:
        target: y: "gold", the right answer of the task; "cluster", that of the rollout's cluster (`answer_cluster`).
        measure: of the potential.
        baseline: what the first gain is counted from: the "task" alone; or the "first" step, which has none.
        answer_step: whether a rollout's last step has a gain; False where it is the one that answers.
        context: up to where prefix t goes: "observed", the environment's answer to step t; "written", the step itself
            (what it found counts with the next one); "but_last", as "observed", but "written" at the last gain.
        unanswered: what the steps of a rollout have that gave no answer: "zero", so that they count in statistics.
        references: wordings of y, at most: different texts in the cluster, right answers in a list.
        eps: added to p.
        bridge: put between prefix and answer.
        reference: right answers, as elsewhere.
        answers: the rollouts' own answers, as in `answer_share`.
        joiner, observations: how prefixes are written.

    Returns:
        gain [S], NaN where there is none; a step that several rollouts share has the mean of its gains along them.

    Raises:
        MissingColumn: target="cluster" without `answer_cluster`. DataError: a rollout without a right answer.
    """
    wordings = _wordings(batch, target, references, reference, answers)
    plan = _plan(batch, wordings, baseline, answer_step, context, bridge, joiner, observations)
    logp = _queries.mean(_queries.forced(forcer, plan.pairs, "answer_gain"))
    phi = _potential(logp, plan.about, plan.places.size + plan.roots.size, measure, eps)
    paths = batch.layout.paths
    after, start = np.full(paths.rows.size, np.nan), np.full(batch.layout.R, np.nan)
    after[plan.places], start[plan.roots] = phi[: plan.places.size], phi[plan.places.size :]
    before = np.where(paths.turn > 0, np.append(np.nan, after)[:-1], start[paths.rollout])
    gain = after - before
    if unanswered == "zero":
        gain[~np.array([bool(w) for w in wordings], bool)[paths.rollout]] = 0.0
    whose = "the right answer" if target == "gold" else "the answer of the rollout's cluster"
    note = f"gain: about {whose}, forced after {plan.places.size + plan.roots.size:,} prefixes"
    return batch.with_columns(gain=batch.layout.merge(gain), note=note)


def cost(
    batch: Batch,
    *,
    target: Literal["gold", "cluster"] = "gold",
    baseline: Literal["task", "first"] = "task",
    answer_step: bool = True,
    context: Context = "observed",
    references: int = 1,
    reference: Reference = None,
    answers: Answers = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Cost:
    """One forward pass per distinct prefix and wording."""
    wordings = _wordings(batch, target, references, reference, answers)
    plan = _plan(batch, wordings, baseline, answer_step, context, "", joiner, observations)
    return Cost({"force": len(set(plan.pairs))})


@dataclass(frozen=True)
class _Plan:
    """places: [n] places on paths after which the answer is asked for. roots: [m] rollouts whose task alone is asked.
    pairs: (prefix, wording of the answer). about: which of the n + m contexts each pair is about."""

    places: Ints
    roots: Ints
    pairs: list[tuple[str, str]]
    about: Ints


def _plan(
    batch: Batch,
    wordings: Sequence[Sequence[str]],
    baseline: str,
    answer_step: bool,
    context: Context,
    bridge: str,
    joiner: str,
    observations: bool,
) -> _Plan:
    lay, paths = batch.layout, batch.layout.paths
    before, after = _texts.prefixes(batch, "answer_gain", joiner=joiner, observations=observations)
    told = np.array([len(w) > 0 for w in wordings], bool)
    asked = told[paths.rollout] & (paths.left > 0 if not answer_step else True)
    count = np.bincount(paths.rollout[asked], minlength=lay.R)
    if baseline == "first":
        asked &= count[paths.rollout] > 1
    bare = {"observed": np.zeros(asked.size, bool), "written": np.ones(asked.size, bool)}
    bare["but_last"] = paths.left == (0 if answer_step else 1)
    places = np.flatnonzero(asked)
    roots = np.flatnonzero(count > 0) if baseline == "task" else np.zeros(0, np.int64)
    steps = _texts.steps(batch, "answer_gain")
    contexts = []
    for s, alone in zip(paths.rows[places].tolist(), bare[context][places].tolist(), strict=True):
        contexts.append(joiner.join(x for x in (before[s], steps[s].text) if x) if alone else after[s])
    first = paths.rows[paths.start[:-1][roots]].tolist()
    contexts += [before[s] for s in first]
    rollouts = [*paths.rollout[places].tolist(), *roots.tolist()]
    pairs = [(text + bridge, y) for text, r in zip(contexts, rollouts, strict=True) for y in wordings[r]]
    about = np.repeat(np.arange(len(contexts)), [len(wordings[r]) for r in rollouts])
    return _Plan(places, roots, pairs, about)


def _potential(logp: Floats, about: Ints, size: int, measure: str, eps: float) -> Floats:
    """[size] of each context, from the mean log-probability of each wording."""
    most = np.full(size, -np.inf)
    np.maximum.at(most, about, np.where(np.isnan(logp), -np.inf, logp))
    share = np.bincount(about, weights=np.exp(logp - most[about]), minlength=size)
    log_p: Floats = most + np.log(share / np.bincount(about, minlength=size))
    if measure == "prob":
        return np.exp(log_p)
    return np.logaddexp(log_p, np.log(eps)) if eps else log_p


def _wordings(batch: Batch, target: str, most: int, reference: Reference, answers: Answers) -> list[Sequence[str]]:
    """[R] the texts of each rollout's y; none where it has no answer to gain on."""
    if target == "gold":
        return [w[:most] for w in _queries.golds(batch, reference, "answer_gain")]
    if "answer_cluster" not in batch:
        raise MissingColumn(
            "answer_gain of clusters needs column 'answer_cluster' [R]", hint="answer_share clusters the answers"
        )
    clusters = batch["answer_cluster"].tolist()
    members: dict[float, dict[str, None]] = {}
    for text, c in zip(answers_of(batch, answers, "answer_gain"), clusters, strict=True):
        if c == c and text and text.strip():
            members.setdefault(c, {})[text.strip()] = None
    return [list(members.get(c, {}))[:most] for c in clusters]
