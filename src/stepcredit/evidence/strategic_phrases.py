"""Which tokens are part of a strategic phrase, and which phrases of correct solutions are strategic."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.evidence.card import EvidenceCard
from stepcredit.protocols import Embedder
from stepcredit.segment import token_offsets, token_steps
from stepcredit.segment.strategic import PHRASES, phrase_matches, phrase_pattern

Tokens: TypeAlias = Sequence[str] | Sequence[bytes] | Callable[[list[int]], Sequence[str] | Sequence[bytes]]
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

CARD = EvidenceCard(
    title="Planning tokens by strategic phrases (HICRA)",
    paper="arXiv:2509.03646",
    bibtex=(
        "@misc{wang2025hicra, title={Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning}, "
        "author={Wang, Haozhe and Xu, Qixin and Liu, Che and Wu, Junhong and Lin, Fangzhen and Chen, Wenhu}, "
        "year={2025}, eprint={2509.03646}, archivePrefix={arXiv}}"
    ),
    evidence="secondary text",
    adds=("token_plan",),
    needs="the text of each sampled token; a list of phrases, or correct solutions to mine it from",
    cost="nothing to mark tokens; to mine with clusters, one embedding per phrase",
    departures=(
        "Matched on the text of a rollout's steps, not on token ids, which differ with a leading blank and with case. "
        "The default list is ours: the paper's was not released. Two third-party ports agree on phrases of 3 to 5 "
        "words, clusters by meaning, and the top 20% of clusters by how many solutions hold one of them; the "
        "clustering here (leader clustering at a cosine) is ours, and so is the cap on phrases that one solution "
        "repeats."
    ),
    code="https://github.com/TIGER-AI-Lab/Hierarchical-Reasoner",
)

PRESETS = {"hicra": Preset({}, "HICRA (secondary text): tokens inside any match of a strategic gram, counted once")}


def strategic_phrases(batch: Batch, *, tokens: Tokens | None = None, phrases: Sequence[str] = PHRASES) -> Batch:
    """The batch with `token_plan`: is the token part of a strategic phrase?

    A token is if it shares a character with a match; one that is in several matches counts once. Phrases are sought
    in the text that the tokens of one step make, in any case and with any white space.

    Args:
        tokens: [K] the text (or bytes) of each sampled token, or a function from token ids to texts, for the column
            `token_id`: `lambda ids: [tokenizer.decode([i]) for i in ids]`.
        phrases: what to find; see `mine`.

    Raises:
        StepCreditError: no texts of tokens. MissingColumn: no `token_id` for the function. LayoutError: not one text
        per token.

    >>> from stepcredit.data.layout import Layout
    >>> batch = Batch(Layout([0], [0], token_step=[0, 0, 0, 0]), {})
    >>> strategic_phrases(batch, tokens=["Wait", ",", " but", " 3"])["token_plan"].tolist()
    [1, 1, 1, 0]
    """
    lay = batch.layout
    texts = _texts(batch, tokens)
    plan = np.zeros(lay.K, np.int8)
    rows = np.argsort(lay.tokens, kind="stable")[int(np.sum(lay.tokens < 0)) :]
    for mine in np.split(rows, np.flatnonzero(np.diff(lay.tokens[rows])) + 1):
        plan[mine] = _inside([texts[k] for k in mine.tolist()], phrases)
    found = int(plan.sum())
    return batch.with_columns(
        token_plan=plan, note=f"token_plan: {found:,} of {lay.K:,} tokens in one of {len(phrases):,} strategic phrases"
    )


def mine(
    solutions: Iterable[str],
    *,
    embedder: Embedder | None = None,
    words: tuple[int, int] = (3, 5),
    top: float = 0.2,
    least: int = 2,
    most_repeats: float = 2.0,
    cosine: float = 0.75,
) -> list[str]:
    """Strategic phrases: those that many correct solutions use, and none uses often. Most widespread first.

        kept: the `top` share of clusters by the number of solutions that hold one of the cluster's phrases

    Args:
        solutions: texts of correct solutions.
        embedder: clusters phrases by meaning; None: each phrase is a cluster of its own.
        words: shortest and longest phrase, in words; no phrase crosses a sign other than a comma or a blank.
        top: share of clusters that is kept, at least one.
        least: solutions that must hold a phrase for it to be considered.
        most_repeats: a phrase that the solutions which hold it use more often than this on average is content, not
            strategy, and left out.
        cosine: phrases at least this similar to the most widespread phrase of a cluster join it.

    Raises:
        StepCreditError: lengths, shares or counts that are none.

    >>> mine(["But wait, let me check. So x", "Hm, let me check. And y", "So y"], top=1.0)
    ['let me check']
    """
    if not 1 <= words[0] <= words[1] or not 0 < top <= 1 or least < 1:
        raise StepCreditError(f"words={words}, top={top}, least={least}", hint="1 or more words, a share, 1 or more")
    texts = list(solutions)
    held: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for text in texts:
        grams = Counter(_grams(text, *words))
        held.update(grams.keys())
        used.update(grams)
    known = [p for p, n in held.items() if n >= least and used[p] <= most_repeats * n]
    # By spread; of equally widespread phrases the longer one says more, and the alphabet decides the rest.
    known.sort(key=lambda p: (-held[p], -len(p), p))
    if not known:
        return []
    cluster = np.arange(len(known)) if embedder is None else _leaders(np.asarray(embedder(known), float), cosine)
    spread: Counter[int] = Counter()
    # A cluster's documents are counted anew: two of its phrases may stand in one solution.
    member = dict(zip(known, cluster.tolist(), strict=True))
    for text in texts if embedder is not None else ():
        spread.update({member[p] for p in _grams(text, *words) if p in member})
    if embedder is None:
        spread.update({c: held[p] for p, c in member.items()})
    best = sorted(spread, key=lambda c: (-spread[c], c))[: max(1, int(top * len(spread)))]
    return [p for c in best for p in known if member[p] == c]


def phrase_entropy(texts: Iterable[str], *, phrases: Sequence[str] = PHRASES) -> float:
    """Entropy, in nats, of how often each phrase is used in the texts: -sum p log p; 0 where none is.

    It tells how varied the strategies are (HICRA's semantic entropy, over phrases instead of clusters of them).

    >>> round(phrase_entropy(["Wait, but no. But wait: hold on", "hold on"]), 4)
    1.0397
    """
    told = list(texts)
    patterns = [phrase_pattern([phrase]) for phrase in phrases]
    count = np.array([sum(len(p.findall(text)) for text in told) for p in patterns if p is not None], float)
    share = count[count > 0] / max(count.sum(), 1)
    return float(-np.sum(share * np.log(share))) + 0.0


def _grams(text: str, shortest: int, longest: int) -> Iterable[str]:
    """Phrases of a text, in small letters; only blanks and commas stand between the words of one."""
    runs: list[list[str]] = [[]]
    end = 0
    for found in _WORD.finditer(text):
        gap = text[end : found.start()]
        if gap.replace(",", " ").strip(" \t") or not runs[-1]:
            runs.append([])
        elif "," in gap:
            runs[-1][-1] += ","
        runs[-1].append(found[0].casefold())
        end = found.end()
    for run in runs:
        for n in range(shortest, longest + 1):
            for i in range(len(run) - n + 1):
                yield " ".join(run[i : i + n]).rstrip(",")


def _leaders(points: Floats, cosine: float) -> Ints:
    """[n] cluster of each row: the first row before it that is a leader and similar enough, else a new one."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    unit = np.divide(points, length, out=np.zeros_like(points), where=length > 0)
    leaders: list[int] = []
    cluster = np.empty(len(points), np.int64)
    for i, point in enumerate(unit):
        near = unit[leaders] @ point if leaders else np.zeros(0)
        alike = np.flatnonzero(near >= cosine)
        if alike.size:
            cluster[i] = int(alike[0])
        else:
            cluster[i] = len(leaders)
            leaders.append(i)
    return cluster


def _inside(tokens: Sequence[Any], phrases: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each token of one step shares a character with a match."""
    if not tokens:
        return np.zeros(0, bool)
    text = b"".join(tokens).decode(errors="replace") if isinstance(tokens[0], bytes) else "".join(tokens)
    return np.asarray(token_steps(phrase_matches(text, phrases), token_offsets(tokens)) >= 0)


def _texts(batch: Batch, tokens: Tokens | None) -> Sequence[Any]:
    if tokens is None:
        raise StepCreditError(
            "strategic_phrases needs the text of each token",
            hint="tokens=[...], or tokens=lambda ids: [tokenizer.decode([i]) for i in ids]",
        )
    if callable(tokens):
        if "token_id" not in batch:
            raise missing("token_id", batch, "strategic_phrases")
        tokens = tokens(batch["token_id"].tolist())
    if len(tokens) != batch.layout.K:
        raise LayoutError(f"strategic_phrases: {len(tokens)} texts for {batch.layout.K} tokens")
    return tokens
