"""SIOP: no verifier; a step is worth how much likelier it makes the answer that its rollout shares with others."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, returns
from stepcredit.ops.center import Spread

CARD = Card(
    title="SIOP: Self-Induced Outcome Potential, Turn-Level Credit Assignment for Agents without Verifiers",
    paper="arXiv:2605.04984",
    bibtex="""@article{hu2026siop,
  title={Self-Induced Outcome Potential: Turn-Level Credit Assignment for Agents without Verifiers},
  author={Hu, Senkang and Dai, Yong and Han, Xudong and Fang, Zhengru and Zhao, Yuzhi and Kwong, Sam and Fang, Yuguang},
  journal={arXiv:2605.04984}, year={2026}}""",
    code="https://github.com/dl-m9/SIOP",
    evidence="official code executed",
    needs="the share of the prompt's answers that say what the rollout says (`answer_share`), what each step added to "
    "the log-probability of that answer, the first one against the bare prompt (`gain`), several rollouts per prompt",
    bias="The majority is taken for the truth: a wrong answer that most rollouts give is what pays. The baseline is "
    "one number per prompt: action-independent, but it holds the step's own reward. Unanswered rollouts enter it as "
    "zeros. The sum ahead rewards length among steps above the pool's mean.",
    departures="A spread below eps counts as 1 in the code, so that nearly equal rewards get about 0; here they are "
    "divided like others, and exactly equal ones get 0. A missing gain counts as 0 in the code, all of them "
    "where its scorer cannot be reached; here it is not judged, nor are the steps before it (in a rollout without an "
    "answer, whose rewards are 0 whatever its gains, it is not missed). The reference "
    "answers, their clusters and the reliability weights are made before: the columns.",
    cost="one forward pass per step and reference answer, and a test of equal meaning per pair of answers",
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

PRESETS = {
    "official": Preset({}, "SIOP verl core_algos.py, estimator siop, and siop_process_reward.py: the defaults"),
}


def siop(
    layout: Layout,
    gain: Floats,
    answer_share: Floats,
    *,
    lam: float = 0.5,
    gamma: float = 1.0,
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of a step: how the answer's growth of chance by it and after it compares with the prompt's other steps.

        A_t = z_t + gamma * A_{t+1}
        z_t = center(r_t)   among all steps of the prompt
        r_t = q_i * gain_t + (1 - lam) * q_i [t is the last step]

    A rollout of one step has only the second part.

    Args:
        gain: [S] what each step added to the log-probability of the rollout's own answer (averaged over wordings, per
            token of the answer); the first step's is against the bare prompt.
        answer_share: [R] q_i, share of the prompt's answers that say the same, or that share weighted by reliability;
            0 = no answer.
        lam: takes weight from the end: it pays (1 - lam) * q_i.
        gamma: discount per step, after the comparison.
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.

    Returns:
        [S] credit, in units of the spread. The only step of a prompt gets 0.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> siop(two, np.array([1.0, 0.0, 9.0]), np.array([1.0, 0.5]), gamma=0.0, spread="none")
    array([ 0.41666667, -0.08333333, -0.33333333])
    """
    paths = layout.paths
    share = np.asarray(answer_share, float)[paths.rollout]
    grown = np.where((layout.steps[paths.rollout] > 1) & (share != 0), share * layout.along(gain), 0.0)
    reward = layout.merge(grown + np.where(paths.left == 0, (1.0 - lam) * share, 0.0))
    return returns(layout, center(reward, layout.step_group, spread=spread, eps=eps), gamma)
