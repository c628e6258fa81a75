"""UI-S1 and its kin: rewards and returns compared at the same step of the task."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cells, center, returns, turn_cells
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning",
    paper="arXiv:2509.11543",
    bibtex="""@article{lu2025uis1,
  title={UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning},
  author={Lu, Zhengxi and Ye, Jiabo and Tang, Fei and Shen, Yongliang and Xu, Haiyang and others},
  journal={arXiv:2509.11543}, year={2025}}""",
    code="https://github.com/X-PLUG/MobileAgent (UI-S1)",
    evidence="official code executed",
    needs="step rewards, whether each step equals the expert's (`match`; without it every step counts as equal), "
    "rollouts of a prompt that stand at the same point of the expert's rollout at the same step index",
    bias="The step term's baseline is the mean over the actions at a step index: action-independent where the "
    "rollouts are patched back onto the expert's rollout, but only rollouts that got so far are in it, and it "
    "holds the step's own return. Nothing earned after a failed step reaches the steps before it. Rollouts of one's "
    "own (matchtir, vpr, f_grpo) are in different states at one index, so the baseline depends on earlier actions.",
    departures="The default episode term is the paper's: the rollout's sum of rewards among the rollouts of the "
    "prompt. The released code compares each row's own reward over all step rows of the prompt: preset official. "
    "MatchTIR's code calls its hard matching optimal although it is greedy: that makes the rewards, not the credit. "
    "VPR's code at turn indices pools over the batch (and over all turns where fewer than four rows share one), and "
    "its later recipe compares actions sampled in one state: gigpo@vpr-states.",
    holds=frozenset({"scale"}),
)

_ROWS = {"episode": "rows", "lone": "raw"}
_WAIVES = {"equal_rollouts": "a step's reward is also compared with those of its own rollout"}
_MATCHTIR = {"gamma": 0.9, "cut": False, "episode_weight": 0.5, "step_weight": 0.5, "lone": "raw", "step_lone": "raw"}
_IMMEDIATE = {"gamma": 0.0, "cut": False, "episode_weight": 0.0, "spread": "population"}
PRESETS = {
    "official": Preset(_ROWS, "UI-S1 uis1/core_uis1.py, mode mean_std_norm (its script)", waives=_WAIVES),
    "official-mean": Preset(
        {**_ROWS, "spread": "none"}, "UI-S1 uis1/core_uis1.py, mode mean_norm (its yaml)", waives=_WAIVES
    ),
    "matchtir": Preset(
        _MATCHTIR,
        "quchangle1/MatchTIR verl core_algos.compute_grpo_outcome_advantage: half the rollout's sum, half the "
        "discounted return at the turn; a cell of one keeps its raw value in both",
        system="matchtir",
        title="MatchTIR: Fine-Grained Supervision for Tool-Integrated Reasoning via Bipartite Matching",
        paper="arXiv:2601.10712",
        bibtex="""@article{qu2026matchtir,
  title={MatchTIR: Fine-Grained Supervision for Tool-Integrated Reasoning via Bipartite Matching},
  author={Qu, Changle and Dai, Sunhao and Cai, Hengyi and Xu, Jun and Wang, Shuaiqiang and Yin, Dawei},
  journal={arXiv:2601.10712}, year={2026}}""",
        evidence="official code executed",
        code="https://github.com/quchangle1/MatchTIR",
        needs="a reward for each turn (evidence `tool_match` makes it: how well its calls match the gold calls; "
        "give --reward reward beside an outcome), several rollouts per prompt",
        bias="Both baselines are means over the prompt's rollouts (at a turn: over those that reach it, whose "
        "histories differ) and hold the own value. What nothing can be compared with keeps its raw value: a turn "
        "that only the longest rollout reaches, and a lone rollout, get uncentered returns on another scale, "
        "which rewards length where rewards are positive.",
        departures="The code calls its hard matching optimal although it is greedy: that makes the rewards, not "
        "the credit. The paper's fusion, discount and penalty were not at hand; all is the code's.",
    ),
    "matchtir-mean": Preset(
        {**_MATCHTIR, "spread": "none", "step_spread": "sample"},
        "MatchTIR, norm_adv_by_std_in_grpo=False: the turn term is divided by its spread all the same",
    ),
    "vpr": Preset(
        {**_IMMEDIATE, "eps": 1e-8},
        "VPR, first version of the paper (secondary text): the oracle's verdict on a turn (`reward`, what the "
        "environment returned) among the rollouts that reached it, no sum over later turns; the spread's divisor is "
        "not given: population and 1e-8 as in its code",
        holds=frozenset({"scale"}),
        system="vpr",
        title="VPR: Verifiable Process Rewards for Agentic Reasoning",
        paper="arXiv:2605.10325",
        bibtex="""@article{yuan2026verifiable,
  title={Verifiable Process Rewards for Agentic Reasoning},
  author={Yuan, Huining and Xu, Zelai and Wang, Huaijie and Yi, Xiangmin and Gao, Jiaxuan and others},
  journal={arXiv:2605.10325}, year={2026}}""",
        evidence="secondary text",
        code="https://github.com/thu-nics/VPR",
        needs="an oracle's verdict on each turn as its reward (evidence `oracle@vpr` makes it; give --reward "
        "reward beside an outcome), rollouts of a prompt that start alike",
        bias="The baseline is the mean over the rollouts that reach the turn, whose states differ after the first: "
        "it depends on earlier actions, and late turns have few survivors. Later turns are not looked at.",
        departures="The first version of the paper compares turns by their index, as here. Its code pools over the "
        "batch at turn indices (and over all turns where fewer than four rows share one), and its later recipe "
        "compares actions sampled in one state: gigpo@vpr-states.",
    ),
    "f_grpo": Preset(
        _IMMEDIATE,
        "F-GRPO, derived from its abstract: step 0 generates candidates (`reward`: coverage), step 1 ranks them "
        "(`reward`: utility of the order); each phase is compared with itself",
        holds=frozenset({"scale"}),
        system="f_grpo",
        title="F-GRPO: Factorized Group-Relative Policy Optimization for Unified Candidate Generation and Ranking",
        paper="arXiv:2605.12995",
        bibtex="""@article{surana2026fgrpo,
  title={F-GRPO: Factorized Group-Relative Policy Optimization for Unified Candidate Generation and Ranking},
  author={Surana, Rohan and Mundada, Gagan and Wu, Junda and Li, Xintong and Jiao, Yizhu and Jin, Bowen and others},
  journal={arXiv:2605.12995}, year={2026}}""",
        evidence="derived",
        needs="two steps per rollout, one per phase: the first lists candidates, the second ranks them, each with "
        "a reward of its own (evidence `retrieval@phases` makes them)",
        bias="Both baselines are means over the prompt's rollouts and hold the own value; that of the ranking "
        "mixes rankings of different candidates (conditional=True leaves those of none out).",
        departures="Derived: no formula beyond the abstract. A rollout without a phase boundary is compared in the "
        "first phase only: give it an empty second step of reward 0 to count in both. The sequence ratio per "
        "phase and the weights of the phases belong to the loss.",
    ),
}


def grouping(layout: Layout, reward: Floats, *, conditional: bool = False) -> dict[str, Ints]:
    """Where actions are compared: at the same step index; with `conditional`, after a step of equal fortune."""
    place = turn_cells(layout)
    if conditional:
        earned = (layout.previous < 0) | (reward[layout.previous] > 0)
        place = cells(place, earned.astype(np.int64))
    return {"step index": place}


def ui_s1(
    layout: Layout,
    reward: Floats,
    match: Ints | None = None,
    *,
    gamma: float = 0.5,
    cut: bool = True,
    episode_weight: float = 1.0,
    step_weight: float = 1.0,
    spread: Spread = "sample",
    step_spread: Spread | None = None,
    eps: float = 1e-6,
    episode: Literal["rollouts", "rows"] = "rollouts",
    lone: Lone = "zero",
    step_lone: Lone = "zero",
    conditional: bool = False,
) -> Floats:
    """Credit of a step: how its rollout did, plus how its gated return did at its step index.

        A_t = episode_weight * E_t + step_weight * S_t
        E_t = center(sum_t r_t)   among the rollouts of the prompt
        S_t = center(G_t)         among the prompt's steps at the same index
        G_t = r_t + gamma * G_{t+1} where step t and step t + 1 match, else r_t

    Args:
        reward: [S] reward received after each step.
        match: [S] 1 = the step equals the reference's, 0 = it does not, -1 = not known: such a step is not judged, nor
            are the matched steps that lead to it. None: every step matches.
        gamma: discount per step.
        cut: whether returns stop at a step that does not match; False leaves `match` unread.
        episode_weight, step_weight: weights of the two terms.
        spread: of both terms: "sample" divides by the spread, "none" only centers.
        step_spread: of the step term where it differs.
        eps: added to the spread.
        episode: E_t from the "rollouts" (paper), or center(r_t) over all step "rows" of the prompt (released code).
        lone: what E_t is for a prompt with a single entry: "zero", "raw" (its reward, as in the code).
        step_lone: what S_t is at a step index that one rollout reached: "zero", "raw" (its return, as in MatchTIR).
        conditional: whether a step that follows one that earned nothing (no reward above 0) is compared only with
            others like it. In F-GRPO: the ranking of candidates none of which is relevant, which earns 0 whatever the
            order, then gets 0 and leaves the baseline of the others. After a step of unknown reward it is not judged.

    Returns:
        [S] credit.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> ui_s1(two, np.array([1.0, 1.0, 1.0, 0.0]), np.array([1, 1, 1, 0]), spread="none")
    array([ 0.75,  1.  , -0.75, -1.  ])
    """
    (place,) = grouping(layout, reward, conditional=conditional).values()
    known, gate = reward, None
    if cut and match is not None:
        known, gate = np.where(match < 0, np.nan, reward), match != 0
    value = returns(layout, known, gamma, gate=gate)
    if conditional:
        value = np.where((layout.previous >= 0) & np.isnan(reward[layout.previous]), np.nan, value)
    step = step_weight * center(value, place, spread=step_spread or spread, eps=eps, lone=step_lone)
    if episode_weight == 0:  # not 0 * whole: a step of unknown reward would take its rollout's other steps with it
        return step
    if episode == "rows":
        whole = center(reward, layout.step_group, spread=spread, eps=eps, lone=lone)
    else:
        whole = center(layout.total(reward), layout.group, spread=spread, eps=eps, lone=lone)
        whole = layout.merge(whole[layout.paths.rollout])
    return episode_weight * whole + step
