"""The final answer against the reference, by math-verify."""

from functools import lru_cache

from stepcredit.evidence.outcome_check import verifier
from stepcredit.label.checks import Known, Verdict
from stepcredit.protocols import Verifier


def math_answer(step: str, known: Known) -> Verdict:
    """Right if the final answer in the last step equals the reference as mathematics; other steps are not judged.

    The answer is what is boxed, tagged, behind the marker, or the last line; of the reference what is boxed, behind
    the marker, or all of it.

    Raises:
        MissingExtra: math-verify is not installed.
    """
    if not known.last:
        return Verdict(None, "not the last step")
    if known.reference is None:
        return Verdict(None, "no reference answer")
    told = float(_check()([step], [known.reference])[0])
    return Verdict(
        None if told != told else told >= 0.5, "no answer that can be compared" if told != told else "the answer"
    )


@lru_cache
def _check() -> Verifier:
    return verifier(
        "math", extract=("boxed", "tag", "marker", "last_line"), extract_reference=("boxed", "marker", "whole")
    )
