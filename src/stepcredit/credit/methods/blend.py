"""Blend: one number per rollout from its outcome and the scores of its steps, compared within the prompt."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, rollout_mean
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="Blend: GRPO on the outcome plus the mean of the step scores",
    paper="arXiv:2509.03403 (as its baseline Blend)",
    bibtex="""@article{ye2025beyond,
  title={Beyond Correctness: Harmonizing Process and Outcome Rewards through RL Training},
  author={Ye, Chenlu and Yu, Zhou and Zhang, Ziji and Chen, Hao and Sadagopan, Narayanan and Huang, Jing and others},
  journal={arXiv:2509.03403}, year={2025}}""",
    code="https://github.com/amazon-science/PROF-GRPO",
    evidence="official code executed",
    needs="one outcome per rollout, scores of its steps, several rollouts per prompt",
    bias="The baseline is the mean over the prompt's rollouts: action-independent, but it holds the rollout's own "
    "number. Each step of a rollout gets the same credit, whatever its own score. A mean of scores does not reward "
    "length, but a rollout that adds good steps raises it; without the outcome's gate a wrong answer may beat a right "
    "one.",
    departures="A rollout none of whose steps is scored is not judged; the authors' code gives its scores the mean 0 "
    "(unscored='zero', preset prof_blend). Theirs adds in place, so that the blend leaks into the logged rewards.",
    cost="one process reward model forward per step, or what else the scores come from",
)

PRESETS = {
    "prof_blend": Preset(
        {"eps": 1e-6, "lone": "raw", "unscored": "zero"},
        "PROF-GRPO blend_grpo/prof_ray_trainer.py with its verl's GRPO (beta 0.8 in its script)",
    ),
    "video_com": Preset(
        {"weight": 1.0, "unscored": "zero"},
        "Video-CoM reward_funcs.py reasoning_reward (its script's only reward) with TRL's GRPO: a step is an action, "
        "1 if it hits the gold evidence, 0 if not, not scored where there is none; the answer's accuracy on top. "
        "ViRL, of the same idea, has no public formula",
        system="visual_step_rewards",
        title="Video-CoM: step-level reasoning rewards for visual actions (RA-GRPO)",
        paper="arXiv:2511.23477",
        bibtex="""@article{rasheed2025videocom,
  title={Video-CoM: Interactive Video Reasoning via Chain of Manipulations},
  author={Rasheed, Hanoona and Zumri, Mohammed and Maaz, Muhammad and Yang, Ming-Hsuan and Khan, Fahad Shahbaz and
    Khan, Salman},
  journal={arXiv:2511.23477}, year={2025}}""",
        code="https://github.com/mbzuai-oryx/Video-CoM",
        cost="nothing beyond the rollouts: gold evidence is annotated",
        needs="one outcome per rollout (the answer is right), and `score`, on every step the share of the "
        "rollout's visual looks that hit the gold evidence, as evidence `visual_match` writes it",
        departures="The official code counts looks (segments, frames and boxes, equal ones once), not actions: "
        "`visual_match` counts so. Its parser drops all segments where one is a single number; here none is "
        "dropped.",
        evidence="official code executed",
    ),
    "search_r2": Preset(
        {"form": "scale", "weight": 0.5, "unscored": "zero"},
        "derived from the abstract (outcome coupled with the share of retrieved passages that help); form and weight "
        "are not published, for outcomes 0 and 1 form='gated' is the same. Only the credit: the Actor and the "
        "Meta-Refiner, which cuts and regenerates, make the rollouts",
        columns={"score": "useful"},
        system="search_r2",
        title="Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner Collaboration (hybrid reward)",
        paper="arXiv:2602.03647",
        bibtex="""@article{he2026searchr2,
  title={Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner Collaboration},
  author={He, Bowei and Hu, Minda and Xu, Zenan and Wang, Hongru and Zong, Licheng and Chen, Yankai and others},
  journal={arXiv:2602.03647}, year={2026}}""",
        evidence="derived",
        cost="a judge's verdict on every retrieved passage",
        needs="one outcome per rollout, and which of the retrieved passages help (`useful`, evidence "
        "`judge_turn@search-r2`)",
    ),
    "doccogito": Preset(
        {"weight": 0.5, "pool": "geometric", "format_weight": 0.6, "unscored": "zero"},
        "secondary text (a published summary): answer + 0.5 * geometric mean over the steps of the probability that "
        "the policy gave the region it cites (the score) + 0.2 for each of three format checks, here one (well_formed)",
        system="doccogito",
        title="DocCogito: Aligning Layout Cognition and Step-Level Grounded Reasoning for Document Understanding",
        paper="arXiv:2603.07494",
        bibtex="""@article{wu2026doccogito,
  title={DocCogito: Aligning Layout Cognition and Step-Level Grounded Reasoning for Document Understanding},
  author={Wu, Yuchuan and Zhuo, Minghan and Fu, Teng and Zhao, Mengyang and Li, Bin and Xue, Xiangyang},
  journal={arXiv:2603.07494}, year={2026}}""",
        evidence="secondary text",
        cost="the policy's own probability of each region that it cites",
        needs="one outcome per rollout, the probability that the policy gave the region each step cites (`score`), "
        "whether the rollout keeps the format (`well_formed`)",
    ),
    "swe_trace": Preset(
        {"weight": 0.5},
        "secondary text (a published summary): execution and rubric score in one reward, successes always above "
        "failures (any weight below 1 for scores in 0 to 1; 0.5 is ours), then GRPO. The authors score the whole "
        "rollout against its rubric, here the mean over its steps",
        system="swe_trace",
        title="SWE-TRACE: rubric process reward (its RL stage)",
        paper="arXiv:2604.14820",
        bibtex="""@article{han2026swetrace,
  title={SWE-TRACE: Optimizing Long-Horizon SWE Agents through Rubric Process Reward Models and Heuristic Test-Time
    Scaling},
  author={Han, Hao and Xie, Jin and Ma, Xuehao and Zhu, Weiquan and Zhang, Ziyao and Long, ZhiLiang and others},
  journal={arXiv:2604.14820}, year={2026}}""",
        evidence="secondary text",
        cost="a rubric judge's verdict on the steps",
        needs="one outcome per rollout (tests pass), rubric scores of its steps (`score`, evidence `rubric@swe-trace`)",
    ),
    "rubric": Preset(
        {"form": "replace"},
        "rubric scores in place of the outcome, then GRPO unchanged; form='product' asks for a right answer as well",
        evidence="derived",
    ),
}


def blend(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    well_formed: Floats | None = None,
    *,
    weight: float = 0.8,
    form: Literal["add", "scale", "gated", "replace", "product"] = "add",
    pool: Literal["mean", "geometric"] = "mean",
    format_weight: float = 0.0,
    unscored: Literal["nan", "zero"] = "nan",
    spread: Spread = "sample",
    eps: float = 1e-4,
    lone: Lone = "zero",
) -> Floats:
    """Credit of every step of rollout i: how its blend of outcome and step scores compares with those of its prompt.

        A_i = center(x_i)   among the rollouts of the prompt
        x_i = R_i + weight * q_i        q_i = mean of the rollout's step scores         (form "add")

    Args:
        outcome: [R] R, verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        score: [S] score of each step; NaN = not scored, left out of the rollout's mean.
        well_formed: [R] 1 = the rollout keeps the format, 0 = it does not, -1 = not known: the rollout is not judged.
            None: no such term.
        weight: of the scores in forms "add", "scale" and "gated".
        form: "scale": x = R (1 + weight q); "gated": R + weight q where R >= 1, else R; "replace": q; "product": R q.
        pool: q is the "mean" of the scores, or their "geometric" mean (scores above 0; one of 0 makes q 0).
        format_weight: added to x for a well-formed rollout.
        unscored: q of a rollout without any score: not known ("nan": the rollout is not judged), or "zero".
        spread: "sample" divides by the spread, "none" only centers. eps: added to the spread.
        lone: what the only rollout of a prompt gets: "zero", "raw" (x, as in verl), "nan".

    Returns:
        [S] credit, in units of the spread.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> blend(two, np.array([1.0, 0.0]), np.array([0.5, 1.0, 0.5]), spread="none")
    array([ 0.6,  0.6, -0.6])
    """
    known = np.log(np.maximum(score, np.finfo(float).tiny)) if pool == "geometric" else score
    q = rollout_mean(layout, known)
    q = np.exp(q) if pool == "geometric" else q
    q = np.nan_to_num(q) if unscored == "zero" else q
    x = {
        "add": outcome + weight * q,
        "scale": outcome * (1 + weight * q),
        "gated": outcome + np.where(outcome >= 1, weight * q, 0.0 * q),
        "replace": q + 0.0 * outcome,
        "product": outcome * q,
    }[form]
    if well_formed is not None:
        x = x + format_weight * np.where(well_formed < 0, np.nan, well_formed)
    return layout.merge(center(x, layout.group, spread=spread, eps=eps, lone=lone)[layout.paths.rollout])
