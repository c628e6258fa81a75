"""Like actions of a prompt's rollouts at the same turn, alone and as chains of actions."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.encode import encode
from stepcredit.data.layout import Floats, Ints
from stepcredit.data.records import Step
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence.actions import KINDS, Kind, calls_key, code_of, tokens_of
from stepcredit.evidence.card import EvidenceCard
from stepcredit.ops import turn_cells
from stepcredit.plugins import extra

CARD = EvidenceCard(
    title="A3: clusters of action sub-chains",
    paper="arXiv:2605.08013",
    bibtex="""@misc{su2026learning,
  title={Learning CLI Agents with Structured Action Credit under Selective Observation},
  author={Su, Haoyang and Wen, Ying}, eprint={2605.08013}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/Hoyant-Su/Agentic-RL-A3",
    evidence="official code executed",
    adds=("cluster",),
    needs="texts (or tool calls) of several rollouts of a prompt",
    cost="no model; at each turn the edit distance of every pair of distinct chains, for every scope",
    departures="The official code always cuts m rollouts into ceil(m / 2) clusters, so it parts equal actions and "
    "joins unlike ones, and ties follow the order of an unordered set. Here equal actions (and what is "
    "no further apart than merge_within) are joined first, the number is an upper bound, and the order of rollouts "
    "does not matter. released=True is the official rule, with ties by the order of rows.",
)

PRESETS = {"released": Preset({"released": True}, "A3_algo.py _single_linkage_k_labels: exactly ceil(m / 2) clusters")}


def action_clusters(
    batch: Batch,
    *,
    how: Kind = "shell",
    scopes: Sequence[int] = (1, 2, 3, -1),
    min_count: int = 2,
    merge_within: float = 0.0,
    single_quoted: bool = False,
    released: bool = False,
) -> Batch:
    """The batch with a `cluster` [S, scopes]: steps of one task and turn with equal numbers did alike things.

        d(a, b) = edit distance of their tokens / length of the longer one
        single linkage: join all pairs with d <= merge_within, then the nearest until at most
        K = clamp(ceil(m / min_count), 1, m) clusters of the m steps are left

    Args:
        how: what tokens are. "shell": control structures, verbs and words of the syntax tree; "python": control, calls,
            constants; "text": words; "calls": words of the tool calls. What does not parse is compared by its words.
        scopes: how long the chains are: s > 0, the last s actions up to the step; -1, all actions of the rollout.
        min_count: rollouts for one cluster, about.
        merge_within: distance at which actions are one, whatever their number.
        single_quoted: words of shell commands in single quotes count.
        released: always exactly K clusters, as the official code has it.

    Numbers begin at 0 at each task and turn, in the order of the chains' tokens (released: of the rows). A step without
    an action is one with an empty chain.

    Raises:
        StepCreditError: the batch has no records; a whole rollout (-1) is compared where rollouts share steps.
        MissingExtra: rapidfuzz, or for "shell" tree-sitter, is not installed. UnknownName: no such tokens.
    """
    if how not in KINDS:
        raise UnknownName("kind of tokens", how, KINDS)
    if min_count < 1 or any(s < -1 or s == 0 for s in scopes) or not scopes:
        raise StepCreditError(f"scopes count actions (-1 = all) and min_count rollouts; got {scopes}, {min_count}")
    if -1 in scopes and batch.layout.is_tree:
        raise StepCreditError("a step that rollouts share is part of several whole rollouts", hint="scopes=(1, 2, 3)")
    steps = _texts.steps(batch, "action_clusters")
    texts = [_text(step, how) for step in steps]
    cell = turn_cells(batch.layout)
    made = [_of_scope(batch, texts, s, cell, how, min_count, merge_within, single_quoted, released) for s in scopes]
    columns = np.stack(made, axis=1) if made else np.zeros((batch.layout.S, 0), np.int64)
    pairs = int((np.bincount(cell) * (np.bincount(cell) - 1) // 2).sum()) if cell.size else 0
    return batch.with_columns(
        cluster=columns,
        note=f"cluster: {how} actions of scopes {', '.join(map(str, scopes))}; up to {pairs * len(scopes):,} distances",
    )


def single_linkage(distance: Floats, most: int, *, within: float = 0.0, exactly: bool = False) -> Ints:
    """[n] cluster of each row, numbered by first appearance.

    Args:
        distance: [n, n], symmetric.
        most: clusters that may be left. within: pairs no further apart are joined in any case.
        exactly: joining stops at `most` clusters, whatever `within`.

    Ties are joined in the order of the rows.

    >>> single_linkage(np.array([[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]]), 2)
    array([0, 0, 1])
    """
    n = distance.shape[0]
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    left = n
    for d, i, j in sorted(((float(distance[i, j]), i, j) for i, j in combinations(range(n), 2)), key=lambda e: e[0]):
        if left <= most and (exactly or d > within):
            break
        a, b = root(i), root(j)
        if a != b:
            parent[max(a, b)] = min(a, b)
            left -= 1
    return encode([root(i) for i in range(n)])[0]


def distances(tokens: Sequence[Sequence[str]]) -> Floats:
    """[n, n] edit distance of lists of tokens over the length of the longer one; 0 between two empty lists.

    Raises:
        MissingExtra: rapidfuzz is not installed.
    """
    distance = extra("rapidfuzz.distance.Levenshtein", "the distance of actions", name="evidence").distance
    out = np.zeros((len(tokens), len(tokens)))
    for i, j in combinations(range(len(tokens)), 2):
        out[i, j] = out[j, i] = distance(tokens[i], tokens[j]) / max(len(tokens[i]), len(tokens[j]), 1)
    return out


def _text(step: Step, how: Kind) -> str:
    if how == "calls":
        return calls_key(step) or ""
    return (step.text if how == "text" else code_of(step)) or ""


def _of_scope(
    batch: Batch,
    texts: Sequence[str],
    scope: int,
    cell: Ints,
    how: Kind,
    min_count: int,
    within: float,
    single_quoted: bool,
    released: bool,
) -> Ints:
    chains = _chains(batch, texts, scope)
    read: dict[str, tuple[str, ...]] = {}
    for chain in set(chains):
        found = tokens_of(chain, how, single_quoted=single_quoted)
        read[chain] = tuple(tokens_of(chain, "text") or () if found is None else found)
    out = np.zeros(batch.layout.S, np.int64)
    order = np.argsort(cell, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1) if order.size else ():
        mine = [read[chains[r]] for r in rows.tolist()]
        most = min(max(-(-len(mine) // min_count), 1), len(mine))
        if released:
            out[rows] = single_linkage(distances(mine), most, exactly=True)
        else:
            distinct = sorted(set(mine))
            number = dict(zip(distinct, single_linkage(distances(distinct), most, within=within).tolist(), strict=True))
            out[rows] = [number[m] for m in mine]
    return out


def _chains(batch: Batch, texts: Sequence[str], scope: int) -> list[str]:
    """[S] the actions that a scope compares, one below the other."""
    lay = batch.layout
    if scope == -1:
        whole = [[] for _ in range(lay.R)]  # type: list[list[str]]
        for r, text in zip(lay.rollout.tolist(), texts, strict=True):
            whole[r].append(text)
        return ["\n".join(whole[r]) for r in lay.rollout.tolist()]
    rows, chains = np.arange(lay.S), list(texts)
    for _ in range(1, scope):
        rows = np.where(rows < 0, -1, lay.previous[rows])
        if (rows < 0).all():
            break
        chains = [texts[r] + "\n" + chain if r >= 0 else chain for r, chain in zip(rows.tolist(), chains, strict=True)]
    return chains
