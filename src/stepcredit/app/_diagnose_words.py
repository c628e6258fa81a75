"""What `stepcredit diagnose` says: a verdict in words, a table of many, and the same as JSON."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.app.console import say, show, table
from stepcredit.data.records import Blame, Rollout, Step, replies_of
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.clusters import Cluster, Rate, Seen, failing_tool, kind

SCHEMA = 1
TOP = 50
"""Rows of a table; of more the worst are shown."""
QUOTE = 240
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_RANK = {"found": 0, "unknown": 1, "clean": 2}
_KINDS = {"kind": "steps of this kind", "tool": "tool", "agent": "agent"}


@dataclass(frozen=True)
class Told:
    """A diagnosed run, and of its text as much as is shown.

    verdicts: by method, that which counts first. said: what the step to blame says, calls and gets, cut. blame: what
    the file itself says. succeeded: None where the outcome is not known.
    """

    group: str | int
    rollout: str | int
    task: str | None
    outcome: float | None
    succeeded: bool | None
    steps: int
    verdicts: Mapping[str, Verdict]
    said: tuple[tuple[str, str], ...]
    kind: str | None
    tool: str | None
    blame: tuple[Blame, ...]

    @property
    def first(self) -> Verdict:
        return next(iter(self.verdicts.values()))


def told(rollout: Rollout, verdicts: Mapping[str, Verdict], failed: bool | None) -> Told:
    """What is kept of a run once it is diagnosed."""
    first = next(iter(verdicts.values()))
    step = None if first.step is None else rollout.steps[first.step]
    return Told(
        rollout.group,
        rollout.rollout,
        None if rollout.task is None else quoted(rollout.task, 100),
        rollout.outcome,
        None if failed is None else not failed,
        len(rollout.steps),
        verdicts,
        () if step is None else tuple(_said(step)),
        None if step is None else kind(step, first.step == len(rollout.steps) - 1),
        None if step is None else failing_tool(step),
        tuple(one for one in rollout.blame if one.by not in verdicts),
    )


def quoted(text: object, width: int = QUOTE) -> str:
    """Text as one line without escapes and control characters, cut in the middle, as the end often tells the error.

    >>> quoted("\\x1b[31mno\\x1b[0m such\\n\\u202efile\\x07")
    'no such file'
    """
    whole = str(text)
    short = whole if len(whole) <= 8 * width else whole[: 4 * width] + whole[-4 * width :]
    plain = _ESCAPES.sub("", short)
    line = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in plain).split())
    if len(line) <= width:
        return line
    head = width * 2 // 3
    return f"{line[:head].rstrip()} … {line[head - width + 3 :].lstrip()}"


def _said(step: Step) -> Iterator[tuple[str, str]]:
    """(what it is, text) of a step: what it says, calls, gets."""
    if step.text and step.text.strip():
        yield "says", quoted(step.text)
    elif step.action is not None and not step.tool_calls:
        yield "does", quoted(step.action)
    for call in step.tool_calls[:3]:
        given = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, default=str)
        yield "calls", quoted(f"{call.name}({'' if call.arguments is None else given})")
    if step.origin is not None and step.origin.error:
        yield "fails", quoted(step.origin.error)
    replies = [r for r in replies_of(step) if r.content]
    shown = [r for r in replies if r.error] or replies
    for reply in shown[:2]:
        yield "fails" if reply.error else "gets", quoted(reply.content)
    if not shown and step.observation is not None:
        yield "gets", quoted(step.observation)


def nth(step: int, of: int) -> str:
    """A step as people and files count it.

    >>> nth(4, 12)
    'step 4 (the 5th of 12)'
    """
    n = step + 1
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"step {step} (the {n}{suffix} of {of})"


def words(one: Told, titles: Mapping[str, str]) -> None:
    """A run in words: what is to blame, why, how sure, what else speaks."""
    say(_head(one), "bold")
    verdict, method = one.first, next(iter(one.verdicts))
    if verdict.status == "unknown":
        say(f"  Which step is to blame cannot be told ({method}): {quoted(verdict.reason or 'no reason given', 600)}")
        _chances(verdict, [("from the task alone", 0)])
        for name, member in verdict.evidence.get("members", {}).items():
            say(f"    {name}: {quoted(member['reason'] or member['status'], 200)}")
    elif verdict.status == "clean":
        say(f"  No step is found to blame ({method}). {quoted(verdict.reason or '', 400)}".rstrip())
    else:
        _found(one, verdict, method, titles)
    for line in _others(one, titles):
        say(f"  also: {line}")


def _head(one: Told) -> str:
    how = {None: "its outcome is not known", True: "it succeeded", False: "it failed"}[one.succeeded]
    outcome = "" if one.outcome is None else f" (outcome {show(float(one.outcome))})"
    task = f" [{one.task}]" if one.task else ""
    return f"run {quoted(one.rollout, 60)} of task {quoted(one.group, 60)}{task}: {how}{outcome}, {one.steps} steps"


def _found(one: Told, verdict: Verdict, method: str, titles: Mapping[str, str]) -> None:
    assert verdict.step is not None
    who = f", by {quoted(verdict.agent, 60)}" if verdict.agent else ""
    error = f": {quoted(titles.get(verdict.error, verdict.error), 80)}" if verdict.error else ""
    say(f"  {nth(verdict.step, one.steps)}{who}{error}")
    for what, text in one.said:
        say(f"    {what}: {text}")
    if verdict.reason:
        say(f"  why: {quoted(verdict.reason, 600)}")
    _chances(verdict, [("with the steps before it kept", verdict.step), ("with it kept too", verdict.step + 1)])
    sure = "it states none" if verdict.confidence is None else f"{verdict.confidence:.2f}"
    say(f"  confidence: {sure} ({method})")


def _chances(verdict: Verdict, places: Sequence[tuple[str, int]]) -> None:
    """Chances of success that replay found, with their intervals."""
    told = [verdict.evidence.get(name) for name in ("share", "low", "high", "tries")]
    if not all(isinstance(values, list) for values in told):
        return
    parts = []
    for what, k in places:
        share, low, high, tries = (values[k] if k < len(values) else None for values in told)  # type: ignore[arg-type,index]
        if share is not None:
            known = f"[{low:.0%}, {high:.0%}] of {tries:g} tries" if tries else "as the run ended"
            parts.append(f"{what} {share:.0%} {known}")
    if parts:
        say(f"  chance of success: {'; '.join(parts)}")


def _others(one: Told, titles: Mapping[str, str]) -> Iterator[str]:
    """Other steps, other methods, people."""
    verdict = one.first
    scores = np.where(np.isnan(verdict.scores), -np.inf, verdict.scores)
    for t in np.argsort(-scores, kind="stable")[:3].tolist():
        if t != verdict.step and scores[t] > 0 and verdict.status == "found":
            remark = f", {quoted(verdict.remarks[t], 160)}" if t in verdict.remarks else ""
            yield f"step {t}, score {show(float(scores[t]))}{remark}"
    for name, other in list(one.verdicts.items())[1:]:
        yield f"{name} says {_short(other.status, other.step, other.error, other.confidence, other.reason, titles)}"
    for blame in one.blame:
        label = blame.label
        kind = "noted" if label is None else "found" if label < 0 else "right" if label > 0 else "neutral"
        status = "clean" if blame.step is None else kind
        said = _short(status, blame.step, blame.error, blame.confidence, blame.reason, titles)
        yield f"{quoted(blame.by, 60)} (in the file) says {said}"


def _short(
    status: str,
    step: int | None,
    error: str | None,
    confidence: float | None,
    reason: str | None,
    titles: Mapping[str, str],
) -> str:
    what = {
        "found": f"step {step}",
        "right": f"step {step} is right",
        "neutral": f"step {step} is neutral",
        "noted": f"step {step} has a note",
        "clean": "no step is wrong",
        "unknown": "it cannot tell",
    }[status]
    kind = f", {quoted(titles.get(error, error), 60)}" if error else ""
    sure = "" if confidence is None else f" (confidence {confidence:.2f})"
    return f"{what}{kind}{sure}" + (f": {quoted(reason, 160)}" if reason else "")


def many(runs: Sequence[Told], counts: Mapping[str, int], titles: Mapping[str, str]) -> None:
    """The runs as a table, the worst first."""
    ranked, name = worst_first(runs), names(runs)
    without = f", {counts['outcome_unknown']:,} without an outcome" * bool(counts["outcome_unknown"])
    say(
        f"{counts['diagnosed']:,} of {counts['runs']:,} runs diagnosed ({counts['failed']:,} failed{without}): a step "
        f"is found in {counts['found']:,}, none in {counts['clean']:,}; of {counts['unknown']:,} it cannot be told"
    )
    rows = [
        [
            name(one.group, one.rollout),
            one.outcome,
            _cell(one),
            None if one.first.agent is None else quoted(one.first.agent, 40),
            None if one.first.error is None else quoted(titles.get(one.first.error, one.first.error), 40),
            one.first.confidence,
            quoted(one.first.reason or "", 160),
        ]
        for one in ranked[:TOP]
    ]
    table(["run", "outcome", "step", "agent", "error", "confidence", "why"], rows, title="Runs, worst first")
    if len(ranked) > TOP:
        say(f"... and {len(ranked) - TOP:,} more: --json, or -o FILE")


def worst_first(runs: Sequence[Told]) -> list[Told]:
    """Found before not known before clean; then the lowest outcome, then the surest verdict; else as they came."""
    return sorted(
        runs,
        key=lambda one: (
            _RANK[one.first.status],
            np.inf if one.outcome is None else one.outcome,
            -(one.first.confidence if one.first.confidence is not None else -1.0),
        ),
    )


def names(runs: Sequence[Told]) -> Callable[[str | int, str | int], str]:
    """(group, rollout) -> what --run takes: the rollout's id, with its task's where others bear it too."""
    often = Counter(str(one.rollout) for one in runs)

    def name(group: str | int, rollout: str | int) -> str:
        return quoted(rollout if often[str(rollout)] == 1 else f"{group}/{rollout}", 60)

    return name


def _cell(one: Told) -> str:
    if one.first.step is None:
        return {"clean": "none", "unknown": "not known"}[one.first.status]
    return f"{one.first.step} (of {one.steps})"


def overview(seen: Seen, runs: Sequence[Told], titles: Mapping[str, str]) -> None:
    """Over all runs: what fails most, and which failures are alike."""
    name = names(runs)
    for by, title in _KINDS.items():
        rates = seen.rates(by)  # type: ignore[arg-type]
        if rates:
            rows = [[one.blamed, one.steps, _share(one), one.runs, _named(one)] for one in rates[:10]]
            table(["to blame", "of steps", "share [90%]", "in runs", title], rows, title=f"What fails most, by {by}")
    clusters = seen.clusters()
    if clusters:
        head = ["failures", "share", "error", "tool", "example", "what they have in common"]
        rows = [_cluster(one, name, titles) for one in clusters[:10]]
        table(head, rows, title=f"Failures that are alike ({len(clusters)} kinds)")


def _named(rate: Rate) -> str:
    return "(none)" if rate.name is None else quoted(rate.name, 60)


def _share(rate: Rate) -> str:
    return f"{rate.share:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _cluster(one: Cluster, name: Callable[[str | int, str | int], str], titles: Mapping[str, str]) -> list[Any]:
    group, rollout, step = one.examples[0]
    error = None if one.error is None else quoted(titles.get(one.error, one.error), 40)
    tool = None if one.tool is None else quoted(one.tool, 40)
    return [
        one.size,
        f"{one.of_all:.0%}",
        error,
        tool,
        f"{name(group, rollout)} step {step}",
        quoted(one.signature, 100),
    ]


def as_json(runs: Sequence[Told], seen: Seen, counts: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The stable schema of --json (docs/guides): runs worst first, steps count from 0, null = not known."""
    return {
        "schema": SCHEMA,
        **about,
        "counts": dict(counts),
        "runs": [_run(one) for one in worst_first(runs)],
        "rates": {by: [one._asdict() for one in seen.rates(by)] for by in _KINDS},  # type: ignore[arg-type]
        "clusters": [_cluster_json(one) for one in seen.clusters()],
    }


def _run(one: Told) -> dict[str, Any]:
    return {
        "group": one.group,
        "rollout": one.rollout,
        "outcome": one.outcome,
        "succeeded": one.succeeded,
        "steps": one.steps,
        "kind": one.kind,
        "tool": one.tool,
        "quote": [{"what": what, "text": text} for what, text in one.said],
        "verdicts": [{"method": name, **_verdict(verdict)} for name, verdict in one.verdicts.items()],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    told = {name: getattr(verdict, name) for name in ("status", "step", "agent", "error", "reason", "confidence")}
    return {**told, "scores": verdict.scores, "remarks": verdict.remarks, "evidence": verdict.evidence}


def _cluster_json(one: Cluster) -> dict[str, Any]:
    examples = [dict(zip(("group", "rollout", "step"), example, strict=True)) for example in one.examples]
    return {**one._asdict(), "agents": list(one.agents), "examples": examples}
