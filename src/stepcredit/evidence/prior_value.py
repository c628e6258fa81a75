"""The chance of success on a task before any rollout, from how the policy did on other tasks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import cell_mean
from stepcredit.plugins import extra
from stepcredit.protocols import Embedder

CARD = EvidenceCard(
    title="V0: a generalist value model at state zero",
    paper="arXiv:2602.03584",
    bibtex="""@article{zhang2026v0,
  title={V_0: A Generalist Value Model for Any Policy at State Zero},
  author={Zhang, Yi-Kai and Yao, Zhiyuan and Hao, Hongyan and Sun, Yueqing and Gu, Qi and Su, Hui and Cai, Xunliang and
    Zhan, De-Chuan and Ye, Han-Jia},
  journal={arXiv:2602.03584}, year={2026}}""",
    code="https://github.com/Now-Join-Us/V0",
    evidence="official code read",
    adds=("prior_value",),
    needs="tasks as texts; scores of this policy on some tasks: given, or the outcomes of the batch's other tasks",
    cost="one embedding per distinct text; a small fit",
    departures="The published model embeds with a trained adapter and classifies in context with TabPFN; here both are "
    "arguments, and logistic regression is the default. A context of one class has its rate as the answer. Scores are "
    "cut at one half, as published.",
)

PRESETS = {
    "v0": Preset({"scores": "signed"}, "V0 v0_core/data/dataset.py: scores in -1..1, cut at 0, 256 of the context"),
    "v0.5": Preset({"scores": "signed", "signed": True}, "V0.5's rewards are -1 or 1, so the prior is 2 p - 1"),
}

Context = Mapping[str, float] | Sequence[tuple[str, float]] | None


def prior_value(
    batch: Batch,
    embedder: Embedder,
    *,
    context: Context = None,
    scores: Literal["unit", "signed"] = "unit",
    signed: bool = False,
    support: int = 256,
    folds: int = 5,
    classifier: Callable[[], Any] | None = None,
    seed: int = 0,
) -> Batch:
    """The batch with the chance of success on each task, told from tasks that the policy was scored on.

        prior_value = P(y = 1 | embedding of the task)          y = 1 where a task's score is at least one half
        prior_value = 2 P - 1                                   signed

    Args:
        embedder: of the tasks' texts.
        context: (task, this policy's mean score) pairs; None: the mean outcomes of the batch's other tasks, in parts
            (`folds`), so that no task is told from its own rollouts.
        scores: "unit", in 0..1; "signed", in -1..1 (then the half is 0). What is beyond counts as the end.
        signed: whether the value is in -1..1.
        support: pairs that are used, at most; drawn at random.
        classifier: makes one with fit(X, y) and predict_proba(X), as in scikit-learn; None: its logistic regression.
        seed: of the parts and draws.

    Returns:
        prior_value [G]; NaN where no pair is known.

    Raises:
        DataError: a task without text. MissingColumn: no context and no outcomes. MissingExtra: scikit-learn is not
            installed, and no classifier given.
    """
    if support < 1 or folds < 2:
        raise StepCreditError(f"support must be at least 1 and folds 2; got {support}, {folds}")
    tasks = _tasks(batch)
    random = np.random.default_rng(seed)
    made = np.full(len(tasks), np.nan)
    if context is None:
        if "outcome" not in batch:
            raise missing("outcome", batch, "prior_value without a context")
        lay = batch.layout
        score = cell_mean(batch["outcome"], lay.group)
        points = _embedded(embedder, tasks)
        part = random.permutation(len(tasks)) % folds
        for fold in range(folds):
            mine, known = np.flatnonzero(part == fold), np.flatnonzero((part != fold) & ~np.isnan(score))
            made[mine] = _told(points[known], _unit(score[known], scores), points[mine], support, classifier, random)
        note = f"prior_value: of {int((~np.isnan(score)).sum()):,} tasks of the batch, in {folds} parts"
    else:
        pairs = [(t, s) for t, s in (context.items() if isinstance(context, Mapping) else context) if s == s]
        texts, which = _queries.once([*tasks, *(t for t, _ in pairs)])
        points = _embedded(embedder, texts)[which]
        here = points[: len(tasks)]
        given = _unit(np.array([s for _, s in pairs], float), scores)
        made = _told(points[len(tasks) :], given, here, support, classifier, random)
        note = f"prior_value: {len(pairs):,} scored tasks"
    return batch.with_columns(prior_value=2 * made - 1 if signed else made, note=note)


def cost(batch: Batch, *, context: Context = None) -> Cost:
    """One embedding per distinct text."""
    given = () if context is None else context if isinstance(context, Mapping) else [t for t, _ in context]
    return Cost({"embed": len({*_tasks(batch), *given})})


def _tasks(batch: Batch) -> list[str]:
    """[G] text of each task: that of the first rollout that tells it."""
    found = [""] * batch.layout.G
    records = _texts.records(batch, "prior_value")
    for g, record in zip(batch.layout.group.tolist(), records, strict=True):
        found[g] = found[g] or record.task or ""
    for g, text in enumerate(found):
        if not text:
            raise DataError("prior_value reads the tasks' texts", got=f"task {batch.group_name(g)!r} without one")
    return found


def _embedded(embedder: Embedder, texts: Sequence[str]) -> Floats:
    distinct, which = _queries.once(texts)
    if not distinct:
        return np.zeros((0, 1))
    points = np.asarray(embedder(distinct), float)
    if points.ndim != 2 or len(points) != len(distinct):
        raise StepCreditError(f"prior_value asks for [{len(distinct)}, width] embeddings; got shape {points.shape}")
    return np.asarray(points[which])


def _unit(scores: Floats, scale: str) -> Floats:
    return (np.clip(scores, -1, 1) + 1) / 2 if scale == "signed" else np.clip(scores, 0, 1)


def _told(
    points: Floats,
    scores: Floats,
    asked: Floats,
    support: int,
    classifier: Callable[[], Any] | None,
    random: np.random.Generator,
) -> Floats:
    """[n] chance of success at the points asked for."""
    if len(points) > support:
        chosen: Ints = np.sort(random.choice(len(points), support, replace=False))
        points, scores = points[chosen], scores[chosen]
    label = scores >= 0.5
    if len(points) == 0 or len(asked) == 0 or label.all() or not label.any():
        rate = float(label.mean()) if label.size else np.nan
        return np.full(len(asked), rate)
    fitted = _logistic() if classifier is None else classifier()
    fitted.fit(points, label.astype(np.int64))
    return np.asarray(fitted.predict_proba(asked), float)[:, 1]


def _logistic() -> Any:
    """Logistic regression on features in units of their spread: embeddings of length 1 vary little."""
    need = "prior_value without a classifier"
    linear, scale, join = (
        extra(f"sklearn.{part}", need, name="evidence") for part in ("linear_model", "preprocessing", "pipeline")
    )
    return join.make_pipeline(scale.StandardScaler(), linear.LogisticRegression(max_iter=1000))
