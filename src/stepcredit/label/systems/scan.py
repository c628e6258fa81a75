"""SCAN: complete only wrong solutions of tasks that the completer can solve; soft labels in front of the error."""

from dataclasses import replace

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import NONE, Labels, first_wrong, soft_window
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="SCAN: Self-Denoising Monte Carlo Annotation for Robust Process Reward Learning",
    paper="arXiv:2509.16548",
    bibtex="""@misc{ding2025scan,
  title={SCAN: Self-Denoising Monte Carlo Annotation for Robust Process Reward Learning},
  author={Ding, Yuyang and Shi, Xinyu and Li, Juntao and Liang, Xiaobo and Tu, Zhaopeng and Zhang, Min},
  year={2025}, eprint={2509.16548}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("sampler", "verifier"),
    needs="outcomes of many solutions of each task by the completer itself, and a reference answer",
    cost="n completions of every prefix of a wrong solution up to the first that none saves; none of right solutions "
    "and of tasks below min_ability",
    departures="The last step is not completed: its share is the outcome, so that a wrong solution has an error at the "
    "latest there, where SCAN drops it if its last prefix is still saved. An ability of 0 divides nothing.",
    code="https://github.com/yyDing1/SCAN-PRM",
)

PRESETS = {
    "plain": Preset(
        {"width": 0, "min_ability": 0.0}, "the paper's ablation: labels without a window, of every task (code read)"
    ),
}


def scan(
    work: Work, *, n: int = 8, width: int = 2, min_ability: float = 0.75, rescale: bool = True, samples: int = 0
) -> Plan[Labels]:
    """y_t = 1 for t < e - width;   y_{e-j} = min(1, (c_{e-j} / n) / SC), j = 1..width;   y_e = 0, the end.

    e is the first step of a wrong solution that no completion saves, SC the share of the task's solutions that are
    right (its self-confidence): what the completer itself fails at is divided out. Right solutions are right in every
    step. A solution of a task below `min_ability` is not judged, and `facts` say kept=False and why.

    Args:
        n: completions of each prefix. width: of the window. rescale: divide by SC.
        samples: so many completions of the task tell SC, instead of the given solutions.

    Raises:
        StepCreditError: n < 1, width < 0.
    """
    if n < 1 or width < 0:
        raise StepCreditError(f"n must be at least 1 and width at least 0; got {n}, {width}")
    ability = work.ability
    if samples:
        (share,) = yield from work.probe(-1, samples)
        ability = float(share)
    why = _left_out(work, ability, min_ability)
    if why is not None or ability is None:
        facts = {"ability": _known(ability), "kept": False, "reason": why}
        return work.labels(reasons=(why,) * len(work.steps), facts=facts)
    facts = {"ability": ability, "kept": True}
    if work.outcome is not None and work.outcome >= 0.5:
        return work.labels(label=np.ones(len(work.steps)), first_error=NONE, facts=facts)
    for t in range(len(work.steps)):
        (share,) = yield from work.probe(t, n)
        if not share > 0:
            break
    value = work.shares()[: t + 1]
    right = np.where(np.isnan(value), np.nan, (value > 0).astype(float))
    rest = np.full(len(work.steps) - t - 1, np.nan)
    label, value = np.concatenate([right, rest]), np.concatenate([value, rest])
    made = work.labels(label=label, value=value, first_error=first_wrong(right), facts=facts)
    if made.first_error is None:
        return replace(made, facts={**facts, "kept": False, "reason": next(filter(None, made.reasons), None)})
    return soft_window(made, width=width, ability=ability if rescale and ability > 0 else 1.0)


def _left_out(work: Work, ability: float | None, min_ability: float) -> str | None:
    if work.outcome is None:
        return "its outcome is not known"
    if _known(ability) is None:
        return "how often the task is solved is not known"
    return "the task is solved too rarely" if ability is not None and ability < min_ability else None


def _known(ability: float | None) -> float | None:
    return None if ability is None or ability != ability else ability
