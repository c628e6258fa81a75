"""Effective rank of a rollout's hidden states, how fast it grows, and whether its growth speeds up."""

from itertools import pairwise
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._texts import JOINER
from stepcredit.evidence._ways import ways
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import against_past
from stepcredit.ops import effective_rank as rank_of
from stepcredit.protocols import HiddenStates

CARD = EvidenceCard(
    title="VERL: effective rank of hidden states, its velocity and acceleration",
    paper="arXiv:2509.23808",
    bibtex="""@article{huang2025beyond,
  title={Beyond the Exploration-Exploitation Trade-off: A Hidden State Approach for LLM Reasoning in RLVR},
  author={Huang, Fanding and Huang, Guanbo and Fan, Xiao and He, Yi and Liang, Xiao and Chen, Xiao and others},
  journal={arXiv:2509.23808}, year={2025}}""",
    code="https://github.com/hf618/VERL",
    evidence="official code executed",
    adds=("effective_rank", "rank_velocity", "rank_acceleration"),
    needs="texts of the steps, hidden states of one layer",
    cost="one forward pass per stretch of a rollout that the environment does not interrupt",
    departures="What a rollout is too short for is NaN; the official code writes 0 (preset official). It keeps ranks "
    "in bfloat16 and, by default, takes the growth from a float32 Gram matrix, whose rounding stands for singular "
    "values of about a thousandth of the largest; here all are those of the points. Which layer is the model's choice.",
)

PRESETS = {"official": Preset({"short": "zero"}, "VERL verl/trainer/metrics_utils.py, stride 40 of its code")}


def effective_rank(
    batch: Batch,
    hidden_states: HiddenStates,
    *,
    stride: int = 40,
    window: int = 512,
    short: Literal["nan", "zero"] = "nan",
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with three numbers per rollout about Z, the hidden states [tokens, width] of what the policy wrote.

        effective_rank    ER(Z) = exp(-sum_j p_j log(p_j + 1e-8))
        p                 singular values of Z, its columns centered, over (their sum + 1e-8)
        m_i               ER of the first i * stride + 1 of the last `window` tokens, i * stride < their number
        rank_velocity     mean over i > 1 of d_i = m_i - mean(m_1 .. m_{i-1})
        rank_acceleration mean over i > 2 of d_i - d_{i-1}

    Args:
        hidden_states: of the layer to look at.
        stride: tokens between two m_i. window: tokens that the growth looks at.
        short: what a rollout gets that has too few tokens: NaN or 0.
        joiner, observations: how texts are written; what joins two steps counts with them, what the environment
            answered does not.

    Returns:
        effective_rank [R], NaN for fewer than 2 tokens; rank_velocity [R], for fewer than 2 stride + 1;
        rank_acceleration [R], for fewer than 3 stride + 1.

    Raises:
        StepCreditError: stride or window below 1; hidden states that are no matrix.
    """
    if stride < 1 or window < 1:
        raise StepCreditError(f"stride and window count tokens, at least 1; got {stride}, {window}")
    stretches = _stretches(batch, joiner, observations)
    distinct, which = _queries.once([pair for mine in stretches for pair in mine])
    asked = [p for p, _ in distinct], [c for _, c in distinct]
    states = [_matrix(z) for z in _queries.answered(hidden_states(*asked) if distinct else [], len(distinct), "rank")]
    read = [states[i] for i in which.tolist()]
    ends = np.cumsum([0, *map(len, stretches)]).tolist()
    rows = [_growth(read[a:b], stride, window, short) for a, b in pairwise(ends)]
    rank, velocity, acceleration = np.array(rows, float).reshape(-1, 3).T
    lost = int(np.isnan(rank).sum())
    note = f"effective_rank: hidden states of {len(distinct):,} texts; {lost:,} rollouts not judged"
    return batch.with_columns(
        axis="R", effective_rank=rank, rank_velocity=velocity, rank_acceleration=acceleration, note=note
    )


def cost(batch: Batch, *, joiner: str = JOINER, observations: bool = True) -> Cost:
    """A forward pass per distinct stretch."""
    stretches = _stretches(batch, joiner, observations)
    return Cost({"hidden states": len({pair for mine in stretches for pair in mine})})


def _stretches(batch: Batch, joiner: str, observations: bool) -> list[list[tuple[str, str]]]:
    """[R] (what stands before, what the policy wrote without an answer of the environment between)."""
    out = []
    records = _texts.records(batch, "effective_rank")
    for record, way in zip(records, ways(batch, "effective_rank"), strict=True):
        context, text, mine = record.task or "", "", []
        for step in way:
            text = joiner.join(x for x in (text, step.text) if x)
            if observations and step.observation is not None:
                mine.append((context, text))
                context, text = joiner.join(x for x in (context, text, str(step.observation)) if x), ""
        mine.append((context, text))
        out.append([(c + joiner if c else "", t) for c, t in mine if t])
    return out


def _matrix(states: Floats | None) -> Floats:
    z = np.full((1, 1), np.nan) if states is None else np.asarray(states, float)
    if z.ndim != 2:
        raise StepCreditError(f"effective_rank asks for hidden states [tokens, width]; got shape {z.shape}")
    return z


def _growth(parts: list[Floats], stride: int, window: int, short: str) -> tuple[float, float, float]:
    """(effective rank, velocity, acceleration) of the points of a rollout."""
    if any(np.isnan(p).any() for p in parts):
        return np.nan, np.nan, np.nan
    absent = np.nan if short == "nan" else 0.0
    points = np.concatenate(parts) if parts else np.zeros((0, 1))
    last = points[-window:]
    m = np.array([rank_of(last[: t + 1]) for t in range(stride, len(last), stride)])
    rise = against_past(m)
    turn = np.diff(rise)
    return (
        rank_of(points) if len(points) > 1 else absent,
        float(rise.mean()) if rise.size else absent,
        float(turn.mean()) if turn.size else absent,
    )
