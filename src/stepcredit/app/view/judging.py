"""What is said of runs besides credit: verdicts of methods that ask no model, partings, findings of the linter."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from inspect import isgeneratorfunction
from typing import Any

from stepcredit.app.view.rows import Divergence, Part, Run, verdict_shown
from stepcredit.credit.run import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.features import once
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.diagnose.run import METHODS, failed
from stepcredit.lint import check
from stepcredit.lint.run import check_batch

BASELINES = ("constant", "last_step", "random_step")
FIRST = "combined"
_SIBLINGS = 50
LINTED = ("grpo", "gigpo")
"""Credit that is linted where nobody named a method and the file holds none: what trainers use most."""

Verdicts = Mapping[tuple[str | int, str | int], Mapping[str, Verdict]]


def diagnosers() -> list[str]:
    """Methods of diagnosis that ask no model, the combined one first; baselines are none."""
    known = [METHODS.get(n) for n in METHODS.names()]
    free = [m.name for m in known if not m.card.asks and not isgeneratorfunction(m.function)]
    return [FIRST, *(n for n in free if n not in BASELINES and n != FIRST)]


def described(names: Iterable[str]) -> list[dict[str, Any]]:
    """name, title, doc of methods of diagnosis."""
    known = set(METHODS.names())
    cards = {n: METHODS.get(n).card for n in names if n in known}
    return [{"name": n, "title": c.title, "doc": c.needs} for n, c in cards.items()]


def judge(part: Part, rollouts: Sequence[Rollout], names: Sequence[str]) -> None:
    """Put verdicts of methods, and the parting from a sibling that succeeded, into the runs of a part.

    Runs that succeeded are not diagnosed. Of the methods after the first, only what they found is kept.

    Args:
        rollouts: those of the part, with the states that they were given. names: of methods that ask no model.
    """
    functions = {n: METHODS.get(n).function for n in names}
    for group, members in _groups(part.runs, rollouts):
        won = [i for i in range(len(members)) if succeeded(Case(group, i)) is True]
        for index, run in enumerate(members):
            if failed(group.rollouts[index]) is False:
                continue
            case = Case(group, index)
            run.verdicts = list(_verdicts(case, functions, run.shared))
            run.divergence = _parting(group, index, won, members)


def told(part: Part, rollouts: Sequence[Rollout], verdicts: Verdicts) -> None:
    """Put verdicts that were made elsewhere into the runs of a part, and the partings."""
    for group, members in _groups(part.runs, rollouts):
        won = [i for i in range(len(members)) if succeeded(Case(group, i)) is True]
        for index, run in enumerate(members):
            rollout = group.rollouts[index]
            given = verdicts.get((rollout.group, rollout.rollout), {})
            run.verdicts = [verdict_shown(v, name, run.shared) for name, v in given.items()]
            if failed(rollout) is not False:
                run.divergence = _parting(group, index, won, members)


def lint(part: Part, batch: Batch, credits: Sequence[Credit], named: bool) -> list[dict[str, Any]]:
    """Findings on the file's own credit, and on the given credits: those that name runs go to these, the others are
    returned.

    named: somebody asked for these methods, so that all of them are checked; else only `LINTED`.
    """
    runs: dict[Hashable, list[Run]] = {}
    tasks: dict[Hashable, list[Run]] = {}
    for r, run in enumerate(part.runs):
        runs.setdefault(batch.rollout_name(r), []).append(run)
        tasks.setdefault(batch.group_name(int(batch.layout.group[r])), []).append(run)
    general = []
    for name, report in _reports(batch, credits, named):
        for found in report.findings:
            line = {
                "rule": found.name,
                "severity": found.severity,
                "message": f"{name}: {found.message}",
                "why": found.rule.why,
                "step": None,
            }
            where = "rollout" if "rollout" in found.where else "group" if "group" in found.where else None
            whole = where is not None and found.count >= (len(runs) if where == "rollout" else len(tasks))
            if where is None or whole:
                general.append({**line, "mend": found.rule.mend})
                continue
            places = found.where[where]
            turns = found.where.get("turn", [None] * len(places))
            for place, turn in dict(zip(places, turns, strict=False)).items():
                for run in (runs if where == "rollout" else tasks).get(place, []):
                    run.lint.append({**line, "step": turn if isinstance(turn, int) and turn < run.n else None})
    return general


def _reports(batch: Batch, credits: Sequence[Credit], named: bool) -> Iterable[tuple[str, Any]]:
    for column in batch.columns:
        kind, _, name = column.partition(".")
        if kind == "credit" and name:
            yield f"credit {name} of the file", check_batch(batch, name)
    for credit in credits:
        if named or credit.method in LINTED:
            yield credit.method, check(credit)


def _groups(runs: Sequence[Run], rollouts: Sequence[Rollout]) -> Iterable[tuple[Group, list[Run]]]:
    tasks: dict[int, list[int]] = {}
    for r, run in enumerate(runs):
        tasks.setdefault(run.gid, []).append(r)
    for members in tasks.values():
        yield Group([rollouts[r] for r in members]), [runs[r] for r in members]


def _verdicts(case: Case, functions: Mapping[str, Any], shared: int) -> Iterable[dict[str, Any]]:
    for k, (name, function) in enumerate(functions.items()):
        verdict = once(case, function)
        if k == 0 or verdict.status == "found":
            yield verdict_shown(verdict, name, shared)


def _parting(group: Group, index: int, won: Sequence[int], members: Sequence[Run]) -> Divergence | None:
    """From the sibling that succeeded and went the same way longest."""
    best = None
    for sibling in won[:_SIBLINGS]:
        found = group.graph.first_divergence(index, sibling) if sibling != index else None
        if found is not None and (best is None or found[0] > best[0]):
            best = (*found, sibling)
    if best is None:
        return None
    step, its, sibling = best
    return Divergence(step + members[index].shared, members[sibling].id, its + members[sibling].shared)
