"""AutoPSV: a step is wrong where the confidence of an outcome verifier falls."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan, Score
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="AutoPSV: Automated Process-Supervised Verifier",
    paper="arXiv:2405.16802",
    bibtex="""@inproceedings{lu2024autopsv,
  title={AutoPSV: Automated Process-Supervised Verifier},
  author={Lu, Jianqiao and Dou, Zhiyang and Wang, Hongru and Cao, Zeyu and Dai, Jianbo and Wan, Yingjia and others},
  booktitle={NeurIPS}, year={2024}}""",
    evidence="official code read",
    asks=(),
    may_ask=("scorer",),
    needs="an outcome verifier of partial solutions (the chance that the solution ends right), as the scorer or in the "
    "evidence of the steps: value and next_value, or token values; no reference answer",
    cost="a score per step and one of the task; two per step with form='code', none with source='evidence'",
    departures="Scores are held between 0 and 1: the code divides by what a regression says, whatever its sign.",
    code="https://github.com/rookie-joe/AutoPSV",
)

PRESETS = {
    "code": Preset(
        {"form": "code"},
        "rookie-joe/AutoPSV (code read): from the step's first token to its last, so that what its first token already "
        "costs is not seen",
    ),
    "evidence": Preset({"source": "evidence"}, "values that the steps already have"),
}


def autopsv(
    work: Work,
    *,
    form: Literal["paper", "code"] = "paper",
    theta: float = -0.5,
    floor: float = 1e-5,
    source: Literal["scorer", "evidence"] = "scorer",
) -> Plan[Labels]:
    """label_t = 1 before the first step with (v_t - u_t) / u_t <= theta or u_t < floor, 0 from there on.

    v_t is the score after step t. u_t is the score before it ("paper"), or that of its first token ("code", where the
    fall must be below theta).

    Args:
        theta: a fall by so large a share is an error. floor: a score below it has nothing left to fall.
        source: "scorer", asked for the step after what stands before it (before the first step: for an empty one);
            "evidence", `value` and `next_value` of the steps (a next_value that is missing is the value of the step
            behind), with form="code" their first and last `token_value`.

    Raises:
        StepCreditError: theta is not below 0.
    """
    if not theta < 0:
        raise StepCreditError(f"theta is a fall, below 0; got {theta}")
    before, after, why = (yield from _scores(work, form)) if source == "scorer" else _evidence(work, form)
    before, after = np.clip(before, 0.0, 1.0), np.clip(after, 0.0, 1.0)
    fall = np.divide(after - before, before, out=np.full(before.size, -1.0), where=before >= floor)
    unknown = np.isnan(before) | (np.isnan(after) & (before >= floor))
    fell = fall < theta if form == "code" else fall <= theta
    label = np.where(unknown, np.nan, 1.0 - (fell | (before < floor)))
    first = first_wrong(label)
    wrong = np.flatnonzero(label == 0)
    if wrong.size:
        label[wrong[0] :] = 0.0
    return work.labels(label=label, value=after, first_error=first, reasons=why)


Found = tuple[Floats, Floats, tuple[str | None, ...]]


def _scores(work: Work, form: str) -> Plan[Found]:
    """Before and after each step, and why one is not known."""
    befores = [work.prompt + work.prefix(t - 1) for t in range(len(work.steps))]
    asked = [Score(p, s) for p, s in zip(befores, work.steps, strict=True)]
    more = [Score(p, _first(s)) for p, s in zip(befores, work.steps, strict=True)] if form == "code" else []
    replies = yield [*asked, *(more or [Score(work.prompt, "")])]
    work.book("score", len(replies))
    number = [np.nan if isinstance(r, Failed) else float(r) for r in replies]
    reason = [r.reason if isinstance(r, Failed) else None for r in replies]
    n = len(asked)
    after, why = number[:n], reason[:n]
    before = number[n:] if form == "code" else [number[n], *after[:-1]]
    whys = reason[n:] if form == "code" else [reason[n], *why[:-1]]
    return np.array(before), np.array(after), tuple(a or b for a, b in zip(why, whys, strict=True))


def _evidence(work: Work, form: str) -> Found:
    steps = work.record.steps
    if form == "code":
        tokens = [(s.tokens.value if s.tokens else None) or [None] for s in steps]
        before, after = [t[0] for t in tokens], [t[-1] for t in tokens]
    else:
        before = [_number(s.evidence.get("value")) for s in steps]
        after = [_number(s.evidence.get("next_value")) for s in steps]
        after = [b if a is None else a for a, b in zip(after, [*before[1:], None], strict=True)]
    name = "token values" if form == "code" else "value and next_value"
    why = tuple(f"its {name} are not known" if None in pair else None for pair in zip(before, after, strict=True))
    return np.array(before, float), np.array(after, float), why


def _number(x: float | list[float | None] | None) -> float | None:
    return x if isinstance(x, int | float) else None


def _first(step: str) -> str:
    """A step's first word, for a scorer that reads text."""
    begin = len(step) - len(step.lstrip())
    return step[: begin + len((step.split() or [""])[0])]
