"""The first wrong step by given labels, and the steps that rest on it."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.outcomes import agent_of
from stepcredit.errors import LayoutError
from stepcredit.shelf import PlanCard

BIBTEX = """@misc{fan2026agentprocessbench,
  title={AgentProcessBench: Diagnosing Step-Level Process Quality in Tool-Using Agents},
  author={Fan, Shengda and Ye, Xuyan and Huo, Yupeng and Chen, Zhi-Yuan and Guo, Yiju and Yang, Shenzhi and
  Yang, Wenkai and Ye, Shuqi and Chen, Jingwen and Chen, Haotian and Cong, Xin and Lin, Yankai},
  year={2026}, eprint={2603.14465}, archivePrefix={arXiv}}"""

CARD = PlanCard(
    title="AgentProcessBench: the first error and the errors that rest on it",
    paper="arXiv:2603.14465",
    bibtex=BIBTEX,
    evidence="derived",
    asks=(),
    needs="what somebody said of each step: evidence `label`, `votes`, `score` or `match`",
    cost="nothing beyond that evidence",
    departures="The rule of propagation is the paper's in words; that a step judged right ends the chain, and the "
    "threshold of scores, are ours.",
    code="https://github.com/RUCBM/AgentProcessBench",
)

PRESETS = {
    "flagged": Preset(
        {"until": "flag"},
        "the library form: only a step said to correct the error, or to stand apart from it, ends the chain",
    )
}

Source = Literal["label", "votes", "score", "match"]
SOURCES: tuple[Source, ...] = ("label", "votes", "score", "match")


def carried(
    case: Case, *, source: Source | None = None, threshold: float = 0.5, until: Literal["right", "flag"] = "right"
) -> Verdict:
    """The first step labeled wrong; later ones that rest on it are wrong too (`propagate`).

    Args:
        source: the evidence that is read; None: the first of `SOURCES` that the run has. votes: their mean, those of
            -1 to 1 put between 0 and 1.
        threshold: of "votes", "score" and "match" a number below it is wrong, above it right, equal to it neutral.
        until: what ends the chain: "right", a later step labeled right, or with evidence `corrected` above 0; "flag",
            the latter alone.

    Returns:
        scores: 1 for steps labeled wrong, 1/2 for those that only rest on one, 0 neutral, -1 right; NaN: not labeled.
        confidence: share of the votes that find the step wrong, each below `threshold`; None without votes.
    """
    given = _given(case, source, threshold)
    if given is None:
        names = source or " or ".join(SOURCES)
        return case.unknown(f"no step has evidence {names}: nobody has judged the steps")
    name, raw, sure = given
    label = raw if name == "label" else np.sign(raw - threshold)
    marks: list[Any] = [s.evidence.get("corrected") for s in case.steps]
    flags = np.array([m is not None and m != [] and np.max(m) > 0 for m in marks], bool)
    ends = flags | (label > 0) if until == "right" else flags
    told = propagate(label, ends)
    score = np.where(np.isnan(label), np.nan, np.where(label < 0, 1.0, np.where(told < 0, 0.5, -np.sign(label))))
    wrong = np.flatnonzero(label < 0)
    judged = int(np.sum(~np.isnan(label)))
    if not wrong.size:
        return Verdict("clean", score, reason=f"none of {judged} judged steps is labeled wrong ({name})")
    step = int(wrong[0])
    resting = np.flatnonzero((told < 0) & (label >= 0))
    rest = f"; {resting.size} later steps rest on it" if resting.size else ""
    more = f"; {wrong.size - 1} later ones are labeled wrong too" if wrong.size > 1 else ""
    how = f"{name} {raw[step]:g}" + (f", below {threshold:g}" if name != "label" else "")
    return Verdict(
        "found",
        score,
        step=step,
        agent=agent_of(case, step),
        reason=f"the first step that is judged wrong ({how}){more}{rest}",
        confidence=None if sure is None else float(sure[step]),
        remarks={int(t): f"rests on step {step}, which is wrong" for t in resting},
        evidence={"source": name, "judged": judged, "wrong": wrong.tolist(), "carried": resting.tolist()},
    )


def propagate(label: ArrayLike, corrected: ArrayLike) -> Floats:
    """[S] labels with errors carried on: after a step labeled -1 every step is -1, until one that is corrected.

    Args:
        label: [S] -1 wrong, 0 neutral, 1 right; NaN = not judged, and stays so.
        corrected: [S] bool: the step corrects the error, or does not rest on it. A step labeled -1 is wrong in any
            case.

    Raises:
        LayoutError: lengths that differ.

    >>> propagate([1, -1, 0, 1, 1], [False, False, False, False, True])
    array([ 1., -1., -1., -1.,  1.])
    """
    given, ends = np.asarray(label, float), np.asarray(corrected, bool)
    if given.shape != ends.shape or given.ndim != 1:
        raise LayoutError(f"label and corrected must be [S]; got shapes {given.shape} and {ends.shape}")
    at = np.arange(given.size)
    wrong = given < 0
    bad = np.maximum.accumulate(np.where(wrong, at, -1))
    good = np.maximum.accumulate(np.where(ends & ~wrong, at, -1))
    return np.where((bad > good) & ~np.isnan(given), -1.0, given)


def _given(case: Case, source: Source | None, threshold: float) -> tuple[str, Floats, Floats | None] | None:
    """Name and [S] numbers of the evidence, and the share of votes against each step."""
    for name in SOURCES if source is None else (source,):
        read: list[Any] = [s.match if name == "match" else s.evidence.get(name) for s in case.steps]
        if all(v is None or v == [] for v in read):
            continue
        if name != "votes":
            return name, np.array([np.nan if v is None or isinstance(v, list) else float(v) for v in read]), None
        votes = [np.array(v if isinstance(v, list) else [v], float) for v in read]
        kept = [v[~np.isnan(v)] for v in votes]
        signed = any((v < 0).any() for v in kept)
        kept = [v / 2 + 0.5 for v in kept] if signed else kept
        against = [float(np.mean(v < threshold)) if v.size else np.nan for v in kept]
        mean = [float(v.mean()) if v.size else np.nan for v in kept]
        return name, np.array(mean), np.array(against)
    return None
