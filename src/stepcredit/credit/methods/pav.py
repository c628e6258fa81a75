"""PAV: a step earns the value that follows it, and the progress that a prover policy made by it."""

from typing import Literal

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops import center, sibling_cells

CARD = Card(
    title="PAV: Rewarding Progress, Process Advantage Verifiers",
    paper="arXiv:2410.08146",
    bibtex="""@inproceedings{setlur2025rewarding,
  title={Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning},
  author={Setlur, Amrith and Nagpal, Chirag and Fisch, Adam and Geng, Xinyang and Eisenstein, Jacob and Agarwal, Rishabh
    and Agarwal, Alekh and Berant, Jonathan and Kumar, Aviral},
  booktitle={ICLR}, year={2025}}""",
    code="https://github.com/AIFrameResearch/SPO (use_pav; the authors released none)",
    evidence="secondary text",
    needs="chance of success of the base policy before and after each step, and of a prover policy that is another "
    "one; best-of-k of the base policy stands in for a prover",
    bias="The progress term's baseline is the prover's value before the step: action-independent. Q has no baseline: "
    "every step of an easy prompt is praised, and a rollout of more steps has more of it in total; progress alone "
    "sums to the prover's last value minus its first.",
    departures="Executed is the code of another paper (SPO) that rewards the same sum. With a stochastic prover the "
    "value before a step is a mean over actions of Q: before='siblings' takes it over the sampled ones, where "
    "before='value' puts the base policy's value through best-of-k. The paper's policy gradient takes Q from the "
    "outcomes by a critic; here it is the measured value after the step.",
    cost="Monte Carlo rollouts of the base policy and the prover from every prefix (20 in the paper), or trained "
    "verifiers",
    waives={"equal_rollouts": "a step is compared with values, not with other rollouts"},
)

PRESETS = {
    "search": Preset(
        {"alpha": 0.5},
        "the paper's beam score: alpha 0.2 to 0.6, by validation",
    ),
    "progress": Preset(
        {"q_weight": 0.0, "alpha": 1.0},
        "the paper's process reward alone: the prover's advantage",
    ),
    "spo": Preset(
        {"prover": "best-of-k"},
        "SPO hybrid_episode_generator.py, use_pav: value + 5 * (BoK(value) - BoK(parent's value)), k = 4",
    ),
}


def pav(
    layout: Layout,
    value: Floats,
    next_value: Floats,
    prover_value: Floats | None = None,
    next_prover_value: Floats | None = None,
    *,
    q_weight: float = 1.0,
    alpha: float = 5.0,
    prover: Literal["given", "best-of-k"] = "given",
    k: int = 4,
    before: Literal["value", "siblings"] = "value",
) -> Floats:
    """Credit of a step: the chance of success after it, plus the progress a prover made by it.

        r_t = q_weight * Q_t + alpha * (Q'_t - V'_t)
        Q'  = 1 - (1 - Q)^k,  V' = 1 - (1 - V)^k         where no prover is given: the best of k of the base policy

    Args:
        value, next_value: [S] V and Q, chance of success of the base policy before and after each step.
        prover_value, next_prover_value: [S] V' and Q', the same of the prover.
        q_weight: 0 leaves progress alone.
        alpha: weight of progress: 5 as a reward in training, about 0.5 as a score in search (paper).
        prover: the columns, where they are ("given"), or always "best-of-k".
        k: samples of the best-of-k prover; 1 is the base policy itself.
        before: V' is the prover's "value" before the step, or the mean of Q' over the "siblings": the steps sampled
            after the same step (a task's first steps are siblings); a step without others then has no progress.

    Returns:
        [S] credit; NaN where a value is not known.

    Raises:
        MissingColumn: of the prover's two columns only one is there.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0, 0]))
    >>> pav(one, np.array([0.5, 0.5, 0.6]), np.array([0.5, 0.6, 0.4])).round(4)
    array([ 0.5   ,  0.7845, -0.12  ])
    """
    if (prover_value is None) != (next_prover_value is None) and prover == "given":
        lacking = "prover_value" if prover_value is None else "next_prover_value"
        raise MissingColumn(
            f"pav needs the prover's values before and after the steps; {lacking!r} is not there",
            hint="give both, or set prover='best-of-k'",
        )
    if prover_value is not None and next_prover_value is not None and prover == "given":
        old, new = prover_value, next_prover_value
    else:
        old, new = 1 - (1 - value) ** k, 1 - (1 - next_value) ** k
    progress = new - old if before == "value" else center(new, sibling_cells(layout), spread="none")
    return q_weight * next_value + alpha * progress
