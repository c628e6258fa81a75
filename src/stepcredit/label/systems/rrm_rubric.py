"""RRM: a rubric is written from a reference solution, and a judge scores the process of each solution by it."""

from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.evidence._prompts.rubric import Item, read_rubric, read_total, rubric_prompt, total_prompt
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import NAN, asked, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan, side_by_side
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards",
    paper="arXiv:2510.07774",
    bibtex="""@misc{yuan2025rrm,
  title={Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards},
  author={Yuan, Youliang and Mang, Qiuyang and Chen, Jingbang and Wan, Hong and Liu, Xiaoyuan and Xu, Junjielong and
  Huang, Jen-tse and Wang, Wenxuan and Jiao, Wenxiang and He, Pinjia},
  year={2025}, eprint={2510.07774}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="a reference solution, as the reference; without one the rubric is written from the task",
    cost="one question to the judge per task, then one per solution (per='step': per step)",
    departures="The questions and the score are those of the evidence `rubric`. RRM scores whole solutions, so that "
    "its label is the last step's; per='step' is ours. What cannot be read is not judged; the code gives 0.",
    code="https://github.com/YouliangYuan/rrm-cure-miracle-steps",
)

PRESETS = {
    "steps": Preset({"per": "step"}, "ours: every step alone, under the same rubric"),
    "product": Preset({"combine": "product"}, "RRM times correctness (secondary text: optional)"),
}


def rrm_rubric(
    works: list[Work],
    *,
    per: Literal["solution", "step"] = "solution",
    points: float = 10.0,
    sound: float = 0.5,
    combine: Literal["alone", "product"] = "alone",
    retries: int = 3,
) -> Plan[list[Labels]]:
    """value_T = min(1, points / maximum) of the solution, the judge going through the rubric of its task item by item.

        solution  label_T = value_T, a soft label of the last step
        step      value_t of step t alone; label_t = [value_t >= sound]

    `facts` hold the rubric, the score, and `verified`: whether the outcome is right and the score at least `sound`; of
    a solution that is right and not verified, the process is not what its answer makes of it.

    Args:
        points: of a whole rubric. sound: least score of a sound process. combine: "product", the score of a solution
            times its outcome. retries: how often a reply that failed or could not be read is asked for again.
    """
    first = works[0]
    prompt = rubric_prompt(first.record.task or "", first.reference, points=points)
    (rubric,) = yield from asked(first, [prompt], read_rubric, retries=retries)
    if isinstance(rubric, Failed):
        why = f"no rubric: {rubric.reason}"
        return [w.labels(reasons=(why,) * len(w.steps)) for w in works]
    plans = [_scored(w, rubric, per, points, sound, combine, retries) for w in works]
    return (yield from side_by_side(plans))


def _scored(
    work: Work, rubric: list[Item], per: str, points: float, sound: float, combine: str, retries: int
) -> Plan[Labels]:
    size = len(work.steps)
    places = list(range(size)) if per == "step" else [size - 1]
    stories = [parts(work, t) + ([("what to judge", f"step {t + 1} alone")] if per == "step" else []) for t in places]
    prompts = [total_prompt(story, rubric, maximum=points) for story in stories]
    said = yield from asked(work, prompts, read_total, retries=retries)
    value = np.full(size, NAN)
    why: list[str | None] = [None if per == "step" else "the solution is judged as a whole"] * size
    for t, one in zip(places, said, strict=True):
        value[t] = NAN if isinstance(one, Failed) else one
        why[t] = one.reason if isinstance(one, Failed) else None
    facts: dict[str, Any] = {"rubric": [[item.text, item.weight] for item in rubric]}
    if per == "step":
        label = np.where(np.isnan(value), np.nan, (value >= sound).astype(float))
        return work.labels(label=label, value=value, first_error=first_wrong(label), reasons=tuple(why), facts=facts)
    score = float(value[-1])
    known = work.outcome is not None and score == score
    facts["score"] = score if score == score else None
    facts["verified"] = bool(work.outcome >= 0.5 and score >= sound) if known and work.outcome is not None else None
    label = value.copy()
    if combine == "product":
        label[-1] = score * work.outcome if work.outcome is not None else NAN
        if np.isnan(label[-1]) and why[-1] is None:
            why[-1] = "the outcome is not known"
    return work.labels(label=label, value=value, reasons=tuple(why), facts=facts)
