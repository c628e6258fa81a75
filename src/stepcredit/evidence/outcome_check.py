"""Is the final answer of a rollout the reference? Programs that check, without a model."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError, MissingColumn, StepCreditError, UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence._answers import Extract, extracted
from stepcredit.evidence._equal import How, Rule
from stepcredit.evidence.card import EvidenceCard
from stepcredit.ops import cells
from stepcredit.protocols import Verifier

Missing = Literal["unknown", "wrong"]

CARD = EvidenceCard(
    title="Final answers against their references",
    paper="arXiv:1606.05250 (exact match and F1 of words), arXiv:2110.14168 (final numbers)",
    bibtex="""@inproceedings{rajpurkar2016squad,
  title={SQuAD: 100,000+ Questions for Machine Comprehension of Text},
  author={Rajpurkar, Pranav and Zhang, Jian and Lopyrev, Konstantin and Liang, Percy},
  booktitle={EMNLP}, year={2016}}
@misc{cobbe2021gsm8k,
  title={Training Verifiers to Solve Math Word Problems},
  author={Cobbe, Karl and Kosaraju, Vineet and Bavarian, Mohammad and Chen, Mark and Jun, Heewoo and Kaiser, Lukasz and
    Plappert, Matthias and Tworek, Jerry and Hilton, Jacob and Nakano, Reiichiro and Hesse, Christopher and
    Schulman, John},
  eprint={2110.14168}, archivePrefix={arXiv}, year={2021}}""",
    evidence="paper",
    adds=("outcome", "answer", "answer_share"),
    needs="the text of the last step (or a field with the answer), a reference per rollout or task",
    departures="A rollout whose answer is not found or cannot be read is not judged, unless missing='wrong', which is "
    "what most trainers do. Numbers are compared as exact fractions. Mathematics is math-verify's, units are pint's.",
)

PRESETS = {
    "gsm8k": Preset(
        {"how": "number", "extract": "marker", "extract_reference": ("marker", "whole"), "missing": "wrong"},
        "GSM8K: the number after ####; no number is wrong",
    ),
    "squad-em": Preset({"how": "normalized"}, "SQuAD evaluation script v1.1: exact match"),
    "squad-f1": Preset({"how": "f1"}, "SQuAD evaluation script v1.1: F1"),
    "boxed": Preset({"how": "math", "extract": "boxed", "missing": "wrong"}, "last \\boxed, compared by math-verify"),
}


@dataclass(frozen=True)
class _Checker:
    """Texts and references -> verdicts."""

    rule: Rule = field(default_factory=Rule)
    extract: Extract | Sequence[Extract] = "whole"
    extract_reference: Extract | Sequence[Extract] = "whole"
    tag: str = "answer"
    marker: str = "####"
    missing: Missing = "unknown"

    def __post_init__(self) -> None:
        self.found("")
        self.found_reference("")
        if self.missing not in ("unknown", "wrong"):
            raise UnknownName("verdict on a missing answer", self.missing, ("unknown", "wrong"))

    def found(self, text: str | None) -> str | None:
        return extracted(text or "", self.extract, tag=self.tag, marker=self.marker) or None

    def found_reference(self, text: str) -> str | None:
        return extracted(text, self.extract_reference, tag=self.tag, marker=self.marker) or None

    def __call__(self, answers: Sequence[str], references: Sequence[Any]) -> Floats:
        pairs = zip(answers, references, strict=True)
        return np.array([self.verdict(self.found(a), _listed(r)) for a, r in pairs], np.float64)

    def verdict(self, answer: str | None, references: Sequence[str]) -> float:
        """Best verdict over the references; NaN where none says 1 and one cannot tell."""
        scores = [self._against(answer, self.found_reference(r)) for r in references]
        if 1.0 in scores:
            return 1.0
        return max(scores) if scores and not np.isnan(scores).any() else float("nan")

    def _against(self, answer: str | None, reference: str | None) -> float:
        if reference is None:
            return float("nan")
        score = float("nan") if answer is None else self.rule(answer, reference)
        if score != score and self.missing == "wrong":
            return 0.0 if self.rule(reference, reference) == 1 else score
        return score


def verifier(
    how: How = "exact",
    *,
    extract: Extract | Sequence[Extract] = "whole",
    extract_reference: Extract | Sequence[Extract] = "whole",
    tag: str = "answer",
    marker: str = "####",
    tolerance: float = 1e-9,
    loose_percent: bool = False,
    letters: str = "ABCDE",
    missing: Missing = "unknown",
) -> Verifier:
    """The check as a Verifier, for evidence and labels that need one. Options as in `outcome_check`.

    Raises:
        UnknownName: no such way to find or to compare answers.

    >>> verifier("number", extract=("boxed", "last_number"))(["It is 0.5.", r"\\boxed{3/6}", "none"], ["1/2"] * 3)
    array([ 1.,  1., nan])
    """
    return _Checker(Rule(how, tolerance, loose_percent, letters), extract, extract_reference, tag, marker, missing)


def outcome_check(
    batch: Batch,
    *,
    how: How = "exact",
    extract: Extract | Sequence[Extract] = "whole",
    extract_reference: Extract | Sequence[Extract] = "whole",
    answer: str | Callable[[Rollout], str | None] | None = None,
    reference: _texts.Reference = None,
    tag: str = "answer",
    marker: str = "####",
    tolerance: float = 1e-9,
    loose_percent: bool = False,
    letters: str = "ABCDE",
    missing: Missing = "unknown",
    into: str = "outcome",
    answers: bool = False,
) -> Batch:
    """The batch with an `outcome`: 1 where the final answer is the reference, 0 where it is not, NaN = cannot tell.

    An outcome that was there stays as `reward.outcome`.

    Args:
        how: "exact", equal texts; "normalized", equal in SQuAD's normal form (its exact match; it drops the sign and
            point of a number: not for numbers); "f1", F1 of the words in that form; "number", exact fractions within
            `tolerance`; "choice", one letter of `letters`; "units", a number with a unit; "math", expressions.
        extract: where in the text the answer stands; several ways: the first that finds one. "whole"; "boxed", the
            last \\boxed; "tag", the last <answer>; "marker", the line after the last marker; "last_number";
            "last_line".
        extract_reference: the same for the references.
        answer: the text: a field of the rollouts, or a function of the record; None: the text of the last step.
        reference: what is right, as elsewhere; a list holds several right answers.
        tag, marker: names for `extract`.
        tolerance: largest relative error of a number; two whole numbers must be equal.
        loose_percent: "12%" also equals 12.
        letters: those that can be chosen.
        missing: an answer that is not found or cannot be read is "unknown" (NaN) or "wrong" (0). A reference that
            cannot be read is always NaN.
        into: the column: "outcome", or "reward.NAME".
        answers: also `answer`, ids that are equal where a task's answers are, and `answer_share`, the share of the
            task's known answers that are equal to it.

    Raises:
        StepCreditError: the batch has no records. DataError: a rollout without a reference. MissingExtra: "math"
        without math-verify, "units" without pint. UnknownName: no such option.
    """
    stands = column(into)
    if stands is None or stands.axis != "R" or stands.kind != "float":
        raise MissingColumn(
            f"outcome_check makes a number per rollout, and {into!r} is none", hint='"outcome" or "reward.NAME"'
        )
    check = _Checker(Rule(how, tolerance, loose_percent, letters), extract, extract_reference, tag, marker, missing)
    texts = _final_texts(batch, answer)
    references = _texts.references(batch, reference, "outcome_check")
    if isinstance(answer, str) and any(_texts.reference_field(r, reference) == answer for r in batch.records or ()):
        raise StepCreditError(
            f"the field {answer!r} is both the answer and the reference: everything would be right",
            hint="name the other one: reference=FIELD",
        )
    verdict = check([t or "" for t in texts], references)
    made: dict[str, Any] = {into: verdict}
    if into == "outcome" and "outcome" in batch:
        made["reward.outcome"] = batch["outcome"]
    out = batch.with_columns(note=_note(into, how, verdict, batch.columns.get(into)), **made)
    return _with_answers(out, check, [check.found(t) for t in texts]) if answers else out


def _final_texts(batch: Batch, answer: str | Callable[[Rollout], str | None] | None) -> list[str | None]:
    records = _texts.records(batch, "outcome_check")
    if answer is None:
        steps = _texts.steps(batch, "outcome_check")
        return [None if s < 0 else steps[s].text for s in batch.layout.last.tolist()]
    found = [answer(r) if callable(answer) else r.extra.get(answer) for r in records]
    if isinstance(answer, str) and found and all(f is None for f in found):
        raise MissingColumn(f"no rollout has a field {answer!r}", hint="answer=None takes the text of the last step")
    return [f if f is None else _text(f) for f in found]


def _with_answers(batch: Batch, check: _Checker, found: Sequence[str | None]) -> Batch:
    """Equal answers of a task share the words of the first of them."""
    first: dict[Hashable, str] = {}
    shown: list[str | None] = []
    groups = batch.layout.group.tolist()
    spoken: dict[int, list[str]] = {}
    for g, text in zip(groups, found, strict=True):
        if text is not None and check.rule.how == "math":
            known = spoken.setdefault(g, [])
            same = next((k for k in known if k == text or check.rule(text, k) == 1.0), None)
            if same is None and check.rule(text, text) == 1.0:
                known.append(text)
                same = text
            shown.append(same)
        else:
            key = None if text is None else check.rule.key(text)
            shown.append(None if key is None or text is None else first.setdefault((g, key), text))
    known_ = np.array([s is not None for s in shown])
    ids, _ = encode(shown)
    cell = cells(batch.layout.group, ids)
    share = np.full(batch.layout.R, np.nan)
    if known_.any():
        total = np.bincount(batch.layout.group, weights=known_)[batch.layout.group]
        share[known_] = (np.bincount(cell)[cell] / np.maximum(total, 1))[known_]
    return batch.with_columns(answer=shown, answer_share=share)


def _note(into: str, how: str, verdict: Floats, before: Floats | None) -> str:
    known = ~np.isnan(verdict)
    said = f"{verdict[known].mean():.0%} right" if known.any() else "none judged"
    note = f"{into}: {how} check of {int(known.sum())} of {verdict.size} final answers, {said}"
    if before is not None:
        apart = int(np.sum(known & ~np.isnan(before) & (before != verdict)))
        note += f"; it replaces another, from which {apart} differ"
    return note


def _listed(reference: Any) -> list[str]:
    many = reference if isinstance(reference, list | tuple | set | frozenset) else [reference]
    return [_text(one) for one in many]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list | tuple) or value is None:
        raise DataError("an answer must be text or a number", got=value, expected="text, a number, or a list of them")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
