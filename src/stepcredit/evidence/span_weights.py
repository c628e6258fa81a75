"""How much each token counts in supervised training: reasoning, action and grounding weigh differently."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence._answers import between
from stepcredit.evidence.card import Cost, EvidenceCard

CARD = EvidenceCard(
    title="GUI-Libra: action-aware weights of tokens",
    paper="arXiv:2602.22190",
    bibtex="""@misc{yang2026guilibra,
  title={GUI-Libra: Training Native GUI Agents to Reason and Act with Action-aware Supervision and Partially Verifiable
    RL},
  author={Yang, Rui and Wu, Qianhui and Wang, Zhaoyang and Chen, Hanyang and Yang, Ke and Cheng, Hao and Yao, Huaxiu and
    Peng, Baolin and Zhang, Huan and Gao, Jianfeng and Zhang, Tong},
  eprint={2602.22190}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/GUI-Libra/GUI-Libra",
    evidence="official code read",
    adds=("token_weight",),
    needs="texts of steps, tokens, and where in the text each token stands",
    departures="rule='spans' ends the coordinates at their bracket; the official code weighs everything after their "
    "key (rule='compat'). It looks for tokens of its tags in the whole conversation; here a step's own text is read.",
)

PRESETS = {"gui-libra": Preset({"rule": "compat"}, "GUI-Libra SFT/src/aguvis/dataset.py, action_weight=2")}

Name = Literal["reasoning", "action", "grounding"]
Rule = Literal["spans", "compat"]
Offsets = Sequence[Sequence[int]]
_PATTERNS: Mapping[Name, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "reasoning": (re.compile("<think(?:ing)?>"), re.compile("</think(?:ing)?>")),
    "action": (re.compile("<answer>"), re.compile("</answer>")),
    "grounding": (re.compile(r'"point_2d"\s*+:\s*+(?=\[)'), re.compile(r"(?<=\])")),
}


class Span(NamedTuple):
    """Characters start..end of a text (the end is not in it)."""

    name: Name
    start: int
    end: int


def spans(text: str) -> list[Span]:
    """Reasoning, what <think> holds; action, what <answer> holds; grounding, the list after "point_2d".

    >>> spans('<answer>{"point_2d": [3, 4]}</answer>')
    [Span(name='action', start=8, end=28), Span(name='grounding', start=21, end=27)]
    """
    return [Span(name, *found) for name, patterns in _PATTERNS.items() for found in between(text, *patterns)]


def offsets_of(pieces: Iterable[str]) -> list[tuple[int, int]]:
    """Where tokens stand in the text that their decoded pieces make.

    >>> offsets_of(["ab", "c"])
    [(0, 2), (2, 3)]
    """
    ends = np.cumsum([len(p) for p in pieces]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []


def span_factors(offsets: Offsets, marked: Iterable[Span], weight: Mapping[str, float], other: float = 1.0) -> Floats:
    """[n] weight of each token by the span it starts in: grounding before action before reasoning, else `other`."""
    start = np.array([int(o[0]) for o in offsets], np.int64)
    out = np.full(start.size, other)
    for span in sorted(marked, key=lambda s: list(_PATTERNS).index(s.name)):
        out[(start >= span.start) & (start < span.end)] = weight[span.name]
    return out


def compat_factors(text: str, offsets: Offsets, action_weight: float = 2.0) -> Floats:
    """[n] weight of each token as the official code has it: 1, times a from after the first "<answer" to before the
    first "</answer>" behind it, times 2a from after the first '"point_2d":' to the end.

    >>> compat_factors("t<answer>a</answer>", [(0, 1), (1, 8), (8, 9), (9, 10), (10, 18), (18, 19)])
    array([1., 1., 2., 2., 1., 1.])
    """
    start = np.array([int(o[0]) for o in offsets], np.int64)
    out = np.ones(start.size)
    begin = text.find("<answer>")
    end = text.find("</answer>", begin) if begin >= 0 else -1
    if end >= 0:
        out[(start >= begin + len("<answer")) & (start < end)] *= action_weight
    key = text.find('"point_2d":')
    if key >= 0:
        out[start >= key + len('"point_2d":')] *= 2 * action_weight
    return out


def span_weights(
    batch: Batch,
    offsets: str | Callable[[Sequence[str]], Sequence[Offsets]],
    *,
    rule: Rule = "spans",
    reasoning: float = 1.0,
    action: float = 2.0,
    grounding: float = 8.0,
    other: float = 1.0,
    marked: str | Callable[[str], Sequence[Span]] = spans,
) -> Batch:
    """The batch with a `token_weight` per sampled token.

        spans:   that of the span it starts in: grounding, else action, else reasoning, else other
        compat:  1, times a inside the answer, times 2a after the key of the coordinates, a = action (GUI-Libra's code)

    The defaults are what the official product gives inside each part: 1, 2, and 2 * 4 = 8.

    Args:
        offsets: where tokens stand in a step's text, [(start, end), ...] per token: a field of the steps, or a function
            of the texts (a fast tokenizer: lambda texts: tokenizer(texts, add_special_tokens=False,
            return_offsets_mapping=True)["offset_mapping"]). It must be the tokens that were sampled; further ones at a
            step's end (end of turn) stand behind the text.
        marked: spans of a text: a function, or a field of the steps ([["action", 8, 28], ...]).

    Tokens of no step, and of a step without a text, have no weight (NaN).

    Raises:
        StepCreditError: the batch has no records or no tokens. DataError: more offsets than tokens; no such field.
        UnknownName: no such rule.
    """
    if rule not in ("spans", "compat"):
        raise UnknownName("rule of weights", rule, ("spans", "compat"))
    steps, lay = _texts.steps(batch, "span_weights"), batch.layout
    if lay.token_step is None:
        raise StepCreditError("span_weights weighs tokens, and this batch holds none", hint="records with `tokens`")
    told = [s.text for s in steps]
    some = [i for i, text in enumerate(told) if text is not None]
    placed = _placed([told[i] or "" for i in some], [steps[i].extra for i in some], offsets)
    weight = {"reasoning": reasoning, "action": action, "grounding": grounding}
    out = np.full(lay.K, np.nan)
    order = np.argsort(lay.tokens, kind="stable")[int(np.sum(lay.tokens < 0)) :]
    ends = np.cumsum(lay.step_tokens)
    for i, mine in zip(some, placed, strict=True):
        n, text = int(lay.step_tokens[i]), told[i] or ""
        if len(mine) > n:
            r = int(lay.rollout[i])
            raise DataError(
                "more offsets than sampled tokens",
                rollout=batch.rollout_name(r),
                step=int(lay.turn[i]),
                got=len(mine),
                expected=f"at most {n}",
                hint="offsets of the tokens that were sampled, without special tokens",
            )
        padded = [*mine, *[(len(text), len(text))] * (n - len(mine))]
        found = marked(text) if callable(marked) else _spans_given(steps[i].extra.get(marked))
        made = compat_factors(text, padded, action) if rule == "compat" else span_factors(padded, found, weight, other)
        out[order[int(ends[i]) - n : int(ends[i])]] = made
    known = out[~np.isnan(out)]
    note = f"token_weight: {rule}; mean {known.mean():.3g} of {known.size} tokens" if known.size else None
    return batch.with_columns(token_weight=out, note=note)


def cost(batch: Batch) -> Cost:
    """No model is asked: a tokenizer is none."""
    return Cost()


def _placed(
    texts: Sequence[str], fields: Sequence[Mapping[str, Any]], offsets: str | Callable[..., Sequence[Offsets]]
) -> list[Offsets]:
    if callable(offsets):
        return list(offsets(texts)) if texts else []
    found = [f.get(offsets) for f in fields]
    if any(f is None for f in found):
        raise DataError(f"a step has no field {offsets!r}", expected="[[start, end], ...] for each of its tokens")
    return [f for f in found if f is not None]


def _spans_given(given: Any) -> list[Span]:
    try:
        made = [Span(name, int(start), int(end)) for name, start, end in given or ()]
    except (TypeError, ValueError):
        raise DataError("spans have another form", got=given, expected='[["action", 8, 28], ...]') from None
    for span in made:
        if span.name not in _PATTERNS:
            raise UnknownName("kind of span", span.name, _PATTERNS)
    return made
