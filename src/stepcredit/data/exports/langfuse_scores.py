"""Scores of Langfuse: a line a score, each the body of a POST to its /api/public/scores.

A score names the trace and the observation of its step by the step's `origin`; of a step whose origin tells a trace and
no observation, the trace, with the step in its metadata. A step whose trace is not known cannot be scored there: it is
left out. The id is a hash of what is scored, so that posting a file twice leaves one score each. Metadata:
`stepcredit.kind`, `stepcredit.step`, `stepcredit.by`, `stepcredit.error`, `stepcredit.confidence`.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from stepcredit.data.exports import as_json
from stepcredit.data.exports._scores import Score, kinds, scores
from stepcredit.data.records import Rollout

SUFFIXES = (".jsonl",)


def lines(rollouts: Iterable[Rollout], *, what: str = "credit,blame", prefix: str = "") -> Iterator[bytes]:
    """A score a line.

    Args:
        what: kinds of scores, with commas between: credit, blame, reward, evidence.
        prefix: put before the name of each score.
    """
    wanted = kinds(what)
    for rollout in rollouts:
        known = next((s.origin.trace for s in rollout.steps if s.origin and s.origin.trace), None)
        for score in scores(rollout, wanted):
            body = _body(score, rollout, known, prefix)
            if body is not None:
                yield as_json(body)


def _body(score: Score, rollout: Rollout, trace: str | None, prefix: str) -> dict[str, Any] | None:
    step = None if score.step is None or not 0 <= score.step < len(rollout.steps) else rollout.steps[score.step]
    if step is not None and step.origin is not None and step.origin.trace is not None:
        trace = step.origin.trace
    if trace is None or score.value is None:
        return None
    span = None if step is None or step.origin is None else step.origin.id
    name = prefix + score.name
    scored = (trace, span or "", str(score.step), score.kind, name, str(score.more.get("by", "")))
    comment = " ".join(
        c for c in (f"{score.label}:" if score.label and score.comment else score.label, score.comment) if c
    )
    told = {"kind": score.kind, "step": score.step, **score.more}
    body = {
        "id": sha256("\0".join(scored).encode(errors="replace")).hexdigest()[:32],
        "traceId": trace,
        "observationId": span,
        "name": name,
        "value": score.value,
        "dataType": "NUMERIC",
        "comment": comment or None,
        "metadata": {f"stepcredit.{k}": v for k, v in told.items() if v is not None},
    }
    return {k: v for k, v in body.items() if v is not None}
