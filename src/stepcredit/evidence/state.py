"""State ids from what was observed: equal exactly where steps are comparable."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.encode import encode
from stepcredit.data.layout import Layout
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError, MissingColumn, StepCreditError, UnknownName
from stepcredit.evidence._near import Shingle, by_minhash, by_ratio, by_slea, by_vectors
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import Merge, merge_rate, state_cells
from stepcredit.plugins import load_function
from stepcredit.protocols import Embedder

Source = Literal["last", "history", "set"]
SOURCES: tuple[str, ...] = get_args(Source)
Near = Literal["minhash", "ratio", "slea", "embedding"]
NEAR: dict[str, float] = {"minhash": 0.85, "ratio": 0.95, "slea": 0.85, "embedding": 0.95}
"""Ways to tell near duplicates, and the threshold of each."""
START = "start"

CARD = EvidenceCard(
    title="States from observations",
    paper="none; near duplicates: Broder (1997), arXiv:2505.10978 (its code), arXiv:2603.18079",
    bibtex="""@inproceedings{broder1997resemblance,
  title={On the resemblance and containment of documents}, author={Broder, Andrei Z.},
  booktitle={Compression and Complexity of Sequences}, year={1997}}
@misc{wang2026slearl,
  title={SLEA-RL: Step-Level Experience Augmented Reinforcement Learning for Multi-Turn Agentic Training},
  author={Wang, Prince Zizhuang and Jiang, Shuli}, eprint={2603.18079}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/langfengQ/verl-agent",
    evidence="official code executed",
    adds=("state",),
    needs="observations (or a column, or a function of the record)",
    cost="nothing, but for near='embedding': one vector of each distinct observation",
    departures="Near duplicates are looked for inside a task. minhash and embedding join them through any chain, so "
    "the order of rollouts does not matter; ratio and slea take the first that fits, as their official code does, so "
    "it does. A first step is in one state, where verl-agent compares its observation.",
)

PRESETS = {
    "verl-agent-similar": Preset({"near": "ratio"}, "verl-agent gigpo build_step_group, enable_similarity=True"),
    "verl-agent-search": Preset({"near": "ratio", "threshold": 0.9}, "verl-agent examples/gigpo_trainer/run_search.sh"),
    "slea": Preset({"near": "slea"}, "SLEA-RL step_experience.py ObservationIndex"),
}

_IDS = re.compile(r"\b(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?=\w*\d)(?=\w*[^\W\d])\w{6,})\b")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_SPACE = re.compile(r"\s+")
NORMALIZERS: dict[str, Callable[[str], str]] = {
    "ids": lambda text: _IDS.sub("@", text),
    "numbers": lambda text: _NUMBERS.sub("#", text),
    "case": str.casefold,
    "whitespace": lambda text: _SPACE.sub(" ", text).strip(),
}
"""In the order they are applied. ids: UUIDs and words of 6+ characters that mix letters and digits become "@".
numbers: digits with their decimal and thousand marks become "#". case: case folding. whitespace: runs become one
blank."""


def normalized(text: str, normalize: Iterable[str] = ()) -> str:
    """Text with the chosen differences taken out.

    Raises:
        UnknownName: no such normalizer.

    >>> normalized("Order  A17X92 costs 1,299.50", ["ids", "numbers", "whitespace"])
    'Order @ costs #'
    """
    chosen = set(normalize)
    for name in chosen - NORMALIZERS.keys():
        raise UnknownName("normalizer", name, NORMALIZERS)
    for name, change in NORMALIZERS.items():
        if name in chosen:
            text = change(text)
    return text


def state(
    batch: Batch,
    embedder: Embedder | None = None,
    *,
    source: str | Callable[[Rollout], Sequence[Hashable]] = "last",
    normalize: Iterable[str] = (),
    near: Near | None = None,
    threshold: float | None = None,
    shingle: Shingle = "char",
    size: int = 5,
) -> Batch:
    """The batch with a `state` column: what each step was taken in.

    Args:
        embedder: for near="embedding".
        source: "last", the observation that came before the step; "history", all of them in order; "set", which have
            been seen, in any order and once each; "column:NAME", an existing column or field; "FILE.py:FUNCTION" or a
            function that takes a Rollout record and returns one key per step (None = comparable with nothing).
        normalize: differences between observations that do not count: "whitespace", "case", "numbers", "ids".
            None chosen: texts are compared exactly.
        near: observations of a task that are nearly the same count as one. "minhash": their shingles have a Jaccard
            index of `threshold` or more; "embedding": the product of their vectors is; "ratio": the difflib ratio with
            the first such observation is (verl-agent); "slea": alike, among those with the same first 300 characters,
            by the first 500 (SLEA-RL). The first two do not depend on the order of rollouts.
        threshold: None: 0.85 for minhash and slea, 0.95 for ratio and embedding.
        shingle, size: what minhash compares: runs of `size` characters or words.

    A first step is in the state "start". A step before which an observation is missing is comparable with nothing.

    Raises:
        MissingColumn: there are no observations (or no such column). UnknownName: no such source, normalizer or way to
        tell near duplicates. StepCreditError: near duplicates of a function's keys; "embedding" without an embedder.
    """
    normalize = tuple(normalize)
    normalized("", normalize)
    if near is not None and near not in NEAR:
        raise UnknownName("way to tell near duplicates", near, NEAR)
    if near == "embedding" and embedder is None:
        raise StepCreditError("near='embedding' needs an embedder", hint="state(batch, embedder, near='embedding')")
    if callable(source) or ".py:" in source:
        if near is not None:
            raise StepCreditError("a function says itself what is nearly the same", hint="near=None")
        function = source if callable(source) else load_function(source, "--from")
        return _by_function(batch, function, getattr(source, "__name__", "a function") if callable(source) else source)
    rows = np.arange(batch.layout.S)
    if source.startswith("column:"):
        before, said = _of_column(batch, source.removeprefix("column:"), normalize), source.replace(":", " ")
    elif source in SOURCES:
        keys = _observed(batch, normalize)
        before, said = [START if p < 0 else keys[p] for p in batch.layout.previous.tolist()], f"{source} observation"
        rows = np.flatnonzero(batch.layout.previous >= 0)
    else:
        raise UnknownName("source of states", source, [*SOURCES, "column:NAME", "FILE.py:FUNCTION"])
    said += _named(normalize)
    if near is not None:
        limit = NEAR[near] if threshold is None else threshold
        before, merged = _nearly(batch.layout, before, rows.tolist(), _stand(near, limit, shingle, size, embedder))
        said += f", near duplicates by {near} of {limit:g}: {merged}"
    if source in ("history", "set"):
        before = _accumulated(batch.layout, before, ordered=source == "history")
    return batch.with_columns(state=before, note=f"state: {said}")


def cost(batch: Batch, *, near: Near | None = None, **options: Any) -> Cost:
    """Vectors that near="embedding" asks for, at most: one of each distinct observation of a task."""
    if near != "embedding" or "observation" not in batch:
        return Cost()
    pairs = set(zip(batch.layout.step_group.tolist(), batch["observation"].tolist(), strict=True))
    return Cost({"embed": len(pairs)}, at_most=True)


def with_states(
    batch: Batch,
    source: str | Callable[[Rollout], Sequence[Hashable]] = "last",
    *,
    normalize: Iterable[str] = (),
) -> Batch:
    """`state(batch, source=source, normalize=normalize)`: the batch with a `state` column, what each step was taken in.

    Args:
        source: "last", the observation that came before the step; "history", all of them in order; "set", which have
            been seen, in any order and once each; "column:NAME", an existing column or field; "FILE.py:FUNCTION" or a
            function that takes a Rollout record and returns one key per step (None = comparable with nothing).
        normalize: differences between observations that do not count: "whitespace", "case", "numbers", "ids".
            None chosen: texts are compared exactly.

    A first step is in the state "start". A step before which an observation is missing is comparable with nothing.

    Raises:
        MissingColumn: there are no observations (or no such column). UnknownName: no such source or normalizer.
    """
    return state(batch, source=source, normalize=normalize)


def survey(batch: Batch, normalize: Iterable[str] = tuple(NORMALIZERS)) -> list[tuple[str, Merge]]:
    """How much each way of making states merges: (name, Merge) of the batch's own, then of every source, exact and
    normalized."""
    rows = []
    if "state" in batch:
        rows.append(("as given", merge_rate(state_cells(batch.layout, batch["state"]))))
    if "observation" in batch:
        for source in SOURCES:
            for chosen in ((), tuple(normalize)):
                made = with_states(batch, source, normalize=chosen)
                rows.append((f"{source}{_named(chosen)}", merge_rate(state_cells(made.layout, made["state"]))))
    return rows


def _named(normalize: Sequence[str]) -> str:
    return f" ({', '.join(n for n in NORMALIZERS if n in normalize)} normalized)" if normalize else " (exact)"


def _observed(batch: Batch, normalize: Sequence[str]) -> list[Hashable]:
    """[S] normalized observation of each step; None where there is none."""
    if "observation" not in batch:
        raise missing("observation", batch, "a state from observations")
    return _decoded(batch, "observation", normalize)


def _decoded(batch: Batch, name: str, normalize: Sequence[str]) -> list[Hashable]:
    ids: list[Any] = batch[name].tolist()
    if name not in batch.keys:
        return ids
    keys = [normalized(k, normalize) if isinstance(k, str) else k for k in batch.keys[name]]
    return [keys[i] for i in ids]


def _accumulated(layout: Layout, before: Sequence[Hashable], *, ordered: bool) -> list[Hashable]:
    """[S] key of all observations up to each step: a digest, the same in every batch, so that files can be joined."""
    kind = "history" if ordered else "set"
    seen: list[Any] = [None] * layout.S
    keys: list[Hashable] = [None] * layout.S
    for s, p in enumerate(layout.previous.tolist()):
        last = before[s]
        if last is None or (p >= 0 and seen[p] is None):
            continue
        one = _digest(last)
        if ordered:
            seen[s] = one if p < 0 else _digest(seen[p] + one)
            keys[s] = f"{kind}:{seen[s].hex()}"
        else:
            seen[s] = frozenset((one,)) if p < 0 else seen[p] | {one}
            keys[s] = f"{kind}:{_digest(b''.join(sorted(seen[s]))).hex()}"
    return keys


def _digest(key: Hashable) -> bytes:
    return blake2b(key if isinstance(key, bytes) else repr(key).encode(), digest_size=16).digest()


def _of_column(batch: Batch, name: str, normalize: Sequence[str]) -> list[Hashable]:
    if name in batch:
        if batch.axis(name) != "S":
            raise MissingColumn(f"column {name!r} stands on [{batch.axis(name)}]; states need one entry per step")
        return _decoded(batch, name, normalize)
    if batch.records is not None and any(name in s.extra for r in batch.records for s in r.steps):
        found = (s.extra.get(name) for r in batch.records for s in r.steps)
        return [normalized(v, normalize) if isinstance(v, str) else v for v in found]
    raise missing(name, batch, "a state from a column")


def _nearly(
    layout: Layout, keys: Sequence[Hashable], rows: Iterable[int], stand: Callable[[Sequence[str]], list[str]]
) -> tuple[list[Hashable], str]:
    """Keys with each text of these rows replaced by the one that stands for it in its task; and what became of them."""
    out, texts, left = list(keys), 0, 0
    groups: dict[int, list[int]] = {}
    for row in rows:
        if isinstance(keys[row], str):
            groups.setdefault(int(layout.step_group[row]), []).append(row)
    for mine in groups.values():
        own = [str(keys[row]) for row in mine]
        new = stand(own)
        for row, text in zip(mine, new, strict=True):
            out[row] = text
        texts, left = texts + len(set(own)), left + len(set(new))
    return out, f"{texts:,} texts became {left:,}"


def _stand(
    near: Near, threshold: float, shingle: Shingle, size: int, embedder: Embedder | None
) -> Callable[[Sequence[str]], list[str]]:
    if near == "minhash":
        return lambda texts: by_minhash(texts, threshold, kind=shingle, size=size)
    if near == "embedding" and embedder is not None:
        return lambda texts: by_vectors(texts, embedder, threshold)
    return lambda texts: by_ratio(texts, threshold) if near == "ratio" else by_slea(texts, threshold)


def _by_function(batch: Batch, function: Callable[[Rollout], Sequence[Hashable]], name: str) -> Batch:
    if batch.layout.is_tree:
        raise StepCreditError("states by a function need rollouts that share no steps; give them in the records")
    keys: list[Hashable] = []
    for record in batch.to_records():
        made = list(function(record))
        if len(made) != len(record.steps):
            raise DataError(
                f"{name} must return one key per step",
                rollout=record.rollout,
                got=f"{len(made)} keys",
                expected=len(record.steps),
            )
        keys += made
    encode(keys)
    return batch.with_columns(state=keys, note=f"state: {name}")


def merge_of(batch: Batch) -> Merge:
    """Merge rate of the batch's states inside their tasks."""
    return merge_rate(state_cells(batch.layout, np.asarray(batch["state"])))
