"""What an action did to a page, by rules: a small penalty where it did nothing that could help."""

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools
from stepcredit.errors import MissingColumn
from stepcredit.evidence._fields import step_flags, step_values
from stepcredit.evidence.card import EvidenceCard

CARD = EvidenceCard(
    title="OpAgent: rule-based decision tree (RDT) of step penalties",
    paper="arXiv:2602.13559",
    bibtex="""@misc{guo2026opagent,
  title={OpAgent: Operator Agent for Web Navigation},
  author={Guo, Yuyu and Yang, Wenjie and Yang, Siyuan and Liu, Ziyang and Chen, Cheng and Wei, Yuan and Hu, Yun and
    Huang, Yang and Hao, Guoliang and Yuan, Dongsheng and Wang, Jianming and Chen, Xin and Yu, Hang and Lei, Lei and
    Di, Peng},
  eprint={2602.13559}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/codefuse-ai/OpAgent",
    evidence="official code read",
    adds=("score",),
    needs="per action: did it run, the address after it, was a control hit, did the screen stay the same, did it look "
    "like progress (a judge's verdict, if the tree comes so far)",
    departures="Where the tree comes to the judge and there is no verdict, the step is not judged; the official code "
    "asks a model there and takes any reply without 'Final Answer: Yes' as no.",
)

PRESETS = {
    "success-only": Preset({"rules": False}, "OpAgent without 'wPRALL': whatever ran is worth 0"),
}


def rule_tree(
    batch: Batch,
    *,
    success: str = "success",
    url: str = "url",
    start_url: str | None = "start_url",
    hit: str = "on_element",
    same: str = "same_screen",
    progress: str = "looks_like_progress",
    penalty: float = 0.001,
    rules: bool = True,
) -> Batch:
    """The batch with a `score` that is 0 or -penalty; the first rule that fires decides.

        1. it did not run, or nothing says that it did      -penalty
        2. the address changed                               0
        3. a control was hit                                 0
        4. the screen stayed the same                       -penalty
        5. it looks like progress                            0
        6. else                                             -penalty

    Args:
        success: name (a column, a field of the steps) of "did the action run".
        url: the address after the step. What was before is that of the step before, at first `start_url`.
        start_url: field of the rollouts; None or missing: a first step changes the address, as in the official code,
            unless it has none itself.
        hit: did the point lie on a control; missing counts as no (other actions have no point).
        same: is the screen as it was; missing counts as changed.
        progress: did the screens show progress; missing where it is needed: not judged.
        penalty: what a useless action costs.
        rules: False: only the first; what ran is worth 0.

    A name that no step has counts as missing everywhere, but for `success`.

    Raises:
        MissingColumn: nothing says whether actions ran. DataError: a flag that is no truth value.
    """
    ran, _ = step_flags(batch, success, "rule_tree")
    score = np.where(ran, 0.0, -penalty)
    unjudged = np.zeros(batch.layout.S, bool)
    if rules:
        moved = _address_changed(batch, url, start_url)
        control, _ = _flags(batch, hit)
        still, _ = _flags(batch, same)
        better, asked = _flags(batch, progress)
        open_ = ran & ~moved & ~control
        unjudged = open_ & ~still & ~asked
        score = np.where(open_ & (still | ~better), -penalty, score)
        score[unjudged] = np.nan
    note = f"score: {int(np.sum(score < 0))} of {batch.layout.S} steps penalized"
    if unjudged.any():
        note += f", {int(unjudged.sum())} not judged: no {progress!r} where the rules ask for it"
    return batch.with_columns(score=score, note=note)


def _flags(batch: Batch, name: str) -> tuple[Bools, Bools]:
    try:
        return step_flags(batch, name, "rule_tree")
    except MissingColumn:
        none = np.zeros(batch.layout.S, bool)
        return none, none


def _address_changed(batch: Batch, url: str, start_url: str | None) -> Bools:
    """[S] known now or before, and not the same; both unknown: it did not change."""
    try:
        now = step_values(batch, url, "rule_tree")
    except MissingColumn:
        now = [None] * batch.layout.S
    first = [None] * batch.layout.R
    if start_url is not None and batch.records is not None:
        first = [r.extra.get(start_url) for r in batch.records]
    owner, previous = batch.layout.rollout.tolist(), batch.layout.previous.tolist()
    before = [now[p] if p >= 0 else first[owner[s]] for s, p in enumerate(previous)]
    return np.array([a != b for a, b in zip(before, now, strict=True)], bool)
