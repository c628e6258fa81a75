"""`stepcredit diagnose`: which step broke a run, who took it, and why."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app import _diagnose_words as words
from stepcredit.app._diagnose_work import Chosen, Done, Read, Work, options_of, tasks, together, verified
from stepcredit.app._diagnose_work import run as run_all
from stepcredit.app._diagnose_world import InWorld, PolicyName, WorldBudget, WorldName, amounts, in_world, own_states
from stepcredit.app.console import note, notes, print_json, say, table
from stepcredit.app.label import VerifierName
from stepcredit.app.models import (
    Asked,
    JudgeModel,
    JudgeServer,
    KeyEnv,
    Model,
    PriceText,
    Server,
    StoreFile,
    With,
)
from stepcredit.app.options import (
    Error,
    Files,
    Format,
    Json,
    Map,
    Normalize,
    OnError,
    Segment,
    Set,
    States,
    apart,
    normalized,
    pairs,
    writable,
)
from stepcredit.data import Batch
from stepcredit.data.records import Rollout
from stepcredit.diagnose.case import SUCCESS
from stepcredit.diagnose.errors import ERRORS
from stepcredit.diagnose.run import METHODS
from stepcredit.errors import StepCreditError
from stepcredit.shelf import Planner

FAIL_ON = ("found", "unknown", "never")
FEW = 3
"""Runs that are told in words; of more there is a table."""

Traces = Annotated[
    list[str],
    typer.Argument(
        help="Traces of any format (JSONL, JSON, .gz, .zst, Parquet, .eval, .traj), a folder, a glob, or - for stdin.",
        metavar="TRACE",
    ),
]


def diagnose(
    traces: Traces,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-M",
            metavar="NAME",
            help="One of `stepcredit methods --kind diagnose`, FILE.py. May be given several times; the first counts.",
        ),
    ] = ["combined"],  # noqa: B006
    set: Set = [],  # noqa: B006
    run: Annotated[
        list[str], typer.Option("--run", metavar="ID", help="Only this run, even if it succeeded; several times.")
    ] = [],  # noqa: B006
    every: Annotated[bool, typer.Option("--all", help="Also runs that succeeded.")] = False,
    success: Annotated[float, typer.Option(metavar="NUMBER", help="A run succeeded from this outcome on.")] = SUCCESS,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="All runs, with their blame: .jsonl, .jsonl.gz, .jsonl.zst, .parquet.",
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="The inspector with these runs, one HTML file.")
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            metavar="WHAT",
            help="Exit with status 1 where a step is found to blame (found), or none can be told as well (unknown); "
            "never.",
        ),
    ] = "found",
    server: Server = None,
    model: Model = None,
    judge_server: JudgeServer = None,
    judge_model: JudgeModel = None,
    given: With = [],  # noqa: B006
    verifier: VerifierName = None,
    world: WorldName = None,
    policy: PolicyName = None,
    budget: WorldBudget = None,
    price: PriceText = None,
    store: StoreFile = None,
    key_env: KeyEnv = "OPENAI_API_KEY",
    at_once: Annotated[int, typer.Option("--at-once", help="Runs under way at a time.", min=1)] = 64,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost; ask nobody.")] = False,
    states: States = None,
    normalize: Normalize = "",
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Which step broke a run, which agent took it, and why: in words, with the step quoted and the numbers.

    Runs of one task are compared with one another, so give those that succeeded too. The default method asks no model.
    A run failed if its outcome is below --success; a run whose outcome is not known is diagnosed, and that is said.
    States are made of the last observation where the file has none (--states none: not). Steps count from 0. More than
    a few runs become a table, with what fails most and which failures are alike.

    Exit status: 0 nothing to blame, 1 a step was found (see --fail-on), 2 an error.

    Example: stepcredit diagnose runs.jsonl --page page.html
    """
    if fail_on not in FAIL_ON:
        raise StepCreditError(f"--fail-on {fail_on!r}", hint=f"one of: {', '.join(FAIL_ON)}")
    planners = [METHODS.get(name.removeprefix("diagnose/")) for name in dict.fromkeys(method)]
    options = options_of(planners, pairs(set, "--set"))
    may, steps = amounts(budget)
    sampler = server is not None or "sampler" in pairs(given, "--with")
    known = {"sampler": sampler, "steps": steps, "success": success}
    there = in_world(world, policy, planners, options, **known)  # type: ignore[arg-type]
    asked = Asked(together(planners if there is None else there.planners(planners)))
    asked.place(given, (server, model), (judge_server, judge_model))
    verified(asked, planners, options, verifier)
    states = own_states(world, states)
    source = Files(traces, format, map, on_error, segment)
    chosen = Chosen(frozenset(run), every, success)
    normalized(states, normalize)
    read: Read = partial(tasks, source, states, normalize)
    if dry_run:
        _cost(planners, options, (shown for _, shown in read()), chosen, json, there)
        return
    if there is not None:
        there.limited(may, asked)
        read = there.known(read, chosen, source)
    writable(output, rollouts=output is not None)
    writable(page)
    at = store or _beside(output, traces)
    apart(traces, output=output, page=page, store=at)
    with ExitStack() as stack:
        run_name = f"diagnose {asked.planner.name}"
        asked.connect(stack, budget=may, price=price, store=at, run=run_name, key_env=key_env, concurrency=at_once)
        work = Work(planners, asked, options, chosen, at_once)
        done = run_all(work, source, read, output, keep=page is not None)
    done.alone, source._alone = source._alone == source._tasks, 0  # a task with one rollout can be diagnosed as well
    source.tell()
    if page is not None:
        _page(page, done, ", ".join(traces))
    _report(done, planners, asked, success, json, there)
    for what, path in (("runs with their blame", output), ("page", page)):
        if path is not None:
            note(f"{what}: {path}", "")
    if _blames(done, fail_on):
        raise typer.Exit(1)


def _beside(output: Path | None, traces: Sequence[str]) -> Path:
    """Where answers are kept: beside what is written, else here, under the name of what is read."""
    if output is not None:
        return output.with_name(output.name + ".calls.sqlite")
    stem = "stdin" if traces[0] == "-" else Path(traces[0]).resolve().name.strip("*?[]") or "traces"
    return Path(f"{stem}.calls.sqlite")


def _report(
    done: Done, planners: Sequence[Planner], asked: Asked, success: float, json: bool, there: InWorld | None
) -> None:
    titles = titles_of()
    spent = None if asked.budget is None else asked.budget.spent
    if json:
        used = None if spent is None else spent.used
        money = {} if used is None else {"calls": used.calls, "read": used.prompt, "written": used.completion}
        money |= {} if there is None else there.spent()
        from stepcredit import __version__

        about = {"version": __version__, "methods": [p.name for p in planners], "success": success, "spent": money}
        print_json(words.as_json(done.runs, done.seen, done.counts(), about))
    else:
        _say(done, titles)
    if spent is not None:
        note(f"spent: {spent}")
    if there is not None:
        there.tell()


def _say(done: Done, titles: Mapping[str, str]) -> None:
    if not done.runs:
        all_won = done.count["succeeded"] == done.count["runs"] > 0
        say("Every run succeeded: nothing to blame." if all_won else "No run to diagnose.")
        if all_won:
            note("--all looks at runs that succeeded too")
        return
    counts = done.counts()
    if counts["unknown"] and not any(METHODS.get(name).card.asks for name in done.runs[0].verdicts):
        note(f"where no step stands out: {_more(done)}")
    if len(done.runs) <= FEW:
        for i, one in enumerate(done.runs):
            if i:
                say()
            words.words(one, titles)
        return
    words.many(done.runs, counts, titles)
    words.overview(done.seen, done.runs, titles)
    note("a run in words: --run ID")


def _more(done: Done) -> str:
    """What would tell more."""
    judge = "ask a judge (-M all_at_once --judge-server URL; --dry-run tells the price)"
    if done.count["outcome_unknown"] == done.count["runs"]:
        return f"no run says whether it succeeded: name the field that does (--map outcome=FIELD), or {judge}"
    if not done.count["succeeded"]:
        return f"none of these runs is known to have succeeded: give those of the same tasks that did, too, or {judge}"
    if done.alone:
        return (
            "no two of these runs are of one task: give more, or say which field names it (--map group=FIELD), or "
            f"{judge}"
        )
    return judge


def _blames(done: Done, fail_on: str) -> bool:
    kinds = {"found": {"found"}, "unknown": {"found", "unknown"}, "never": {""}}[fail_on]
    return any(verdict.status in kinds for one in done.runs for verdict in one.verdicts.values())


def titles_of() -> dict[str, str]:
    """Error types -> what they are called."""
    return {name: one.title for name, one in ERRORS.items()}


def _page(path: Path, done: Done, source: str) -> None:
    """The inspector's page, tasks with the worst runs first, as a page may not hold them all."""
    from stepcredit.app.view.export import write_page

    ranked = {one.group: place for place, one in reversed(list(enumerate(words.worst_first(done.runs))))}
    kept = sorted(done.kept, key=lambda rollout: ranked.get(rollout.group, len(ranked)))
    said = {(one.group, one.rollout): one.verdicts for one in done.runs}
    write_page(path, Batch.from_records(kept), verdicts=said, title="Diagnosis", source=source)


def _cost(
    planners: Sequence[Planner],
    options: Mapping[str, Mapping[str, Any]],
    rollouts: Iterable[Rollout],
    chosen: Chosen,
    json: bool,
    there: InWorld | None,
) -> None:
    from stepcredit.diagnose.estimate import estimate

    if there is not None:
        rollouts = list(rollouts)
    others = [p.name for p in planners if there is None or p.name not in there.methods]
    told = estimate(rollouts, others, options=options, success=chosen.success, chosen=chosen)
    if there is not None:
        told = there.added(told, there.cost(rollouts, options, chosen))
    notes(told.assumptions)
    if json:
        cost = {"runs": told.runs, "least": told.least, "most": told.most, "assumptions": told.assumptions}
        print_json(cost)
    elif not told.most:
        note(f"{told.runs:,} runs would be diagnosed; nobody would be asked anything", "")
    else:
        note(f"{told.runs:,} runs would be diagnosed", "")
        rows = [[name, float(told.least.get(name, 0)), float(most)] for name, most in told.most.items()]
        table(["what", "at least", "at most"], rows)
