"""`stepcredit label`: labels for steps by a published system, inside a budget; label sets compared and combined."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from typer.core import TyperGroup

from stepcredit.app._label_sets import audit, combine
from stepcredit.app._label_trees import TreeFile
from stepcredit.app._label_watch import watched
from stepcredit.app.console import note, notes, print_json, share, table
from stepcredit.app.models import (
    Asked,
    BudgetText,
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
    OnError,
    Rollouts,
    Segment,
    Set,
    apart,
    pairs,
    writable,
)
from stepcredit.data.records import Rollout
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import AFTER, After, Labels, after_error
from stepcredit.label.rows import LabelWriter
from stepcredit.label.run import SYSTEMS, label, reference_of
from stepcredit.label.verifiers import Named, get, names
from stepcredit.label.work import NO_REFERENCE, Setting
from stepcredit.llm.drive import in_order


class _WithDefault(TyperGroup):
    """A group whose first command need not be named: `label FILE` is `label run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_WithDefault,
    help="Labels for steps by a published system: stepcredit label ROLLOUTS --help. Compare and combine label sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

VerifierName = Annotated[
    str | None,
    typer.Option(
        "--verifier",
        metavar="NAME",
        help=f"Which program checks final answers: {', '.join(names())}, FILE.py:FUNCTION; options: "
        "number:missing=unknown.",
    ),
]


_HINTS = {NO_REFERENCE: "--reference FIELD (else gold, reference, answer, ground_truth), of a kind the verifier reads"}


@dataclass
class _Asked(Asked):
    """What a run was told to do, and whom it asks. checker: from --verifier."""

    options: dict[str, str] = field(default_factory=dict)
    setting: Setting = field(default_factory=Setting)
    reference: Any = None


@app.command("run", short_help="Label rollouts; the word `run` may be left out.")
def run(
    rollouts: Rollouts,
    method: Annotated[
        str,
        typer.Option("--method", "-M", metavar="NAME", help="One of `stepcredit methods --kind label`."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Labels: .jsonl, .jsonl.gz, .jsonl.zst, .parquet."),
    ] = None,
    server: Server = None,
    model: Model = None,
    judge_server: JudgeServer = None,
    judge_model: JudgeModel = None,
    given: With = [],  # noqa: B006
    verifier: VerifierName = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="The field with the right answer: else gold, reference, answer, ..."),
    ] = None,
    trees: Annotated[
        Path | None,
        typer.Option(
            "--trees", metavar="FILE", help="What was drawn, as trees, one a task or rollout: for `stepcredit view`."
        ),
    ] = None,
    budget: BudgetText = None,
    price: PriceText = None,
    store: StoreFile = None,
    after: Annotated[
        str, typer.Option(metavar="HOW", help=f"Steps behind the first error: {', '.join(AFTER)} (each its own label).")
    ] = "local",
    set: Set = [],  # noqa: B006
    max_tokens: Annotated[int, typer.Option(help="Of a completion.", min=1)] = 1024,
    temperature: Annotated[float, typer.Option(help="Of completions.", min=0)] = 1.0,
    stop: Annotated[list[str], typer.Option(metavar="TEXT", help="Ends a completion.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Other seeds, other draws.", min=0)] = 0,
    at_once: Annotated[int, typer.Option("--at-once", help="Solutions (or tasks) under way at a time.", min=1)] = 64,
    key_env: KeyEnv = "OPENAI_API_KEY",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost; ask nobody.")] = False,
    rate: Annotated[
        float | None, typer.Option(help="With --dry-run: chance that a completion is right.", min=0, max=1)
    ] = None,
    trl: Annotated[
        bool, typer.Option("--trl", help="Write prompt, completions, labels (true, false) alone, as TRL reads them.")
    ] = False,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Label the steps of rollouts: by completions that a program checks, by a judge, by a tree, as the method says.

    Rows hold values and counts beside the labels, where the first error is, why a step was not judged, and who labelled
    it. They come in the order of the tasks; killed and begun again, what was answered is not asked again.

    Also: `stepcredit label audit --help`, how good are labels? `stepcredit label combine --help`, one set of several.

    Example: stepcredit label runs.jsonl --method math_shepherd --verifier number --dry-run
    """
    if after not in AFTER:
        raise StepCreditError(f"--after {after!r}", hint=f"one of: {', '.join(AFTER)}")
    source = Files(rollouts, format, map, on_error, segment)
    planner = SYSTEMS.get(method.removeprefix("label/"))
    options = pairs(set, "--set")
    planner.check_options(options)
    checker = None if verifier is None else get(verifier)
    compares = checker is not None and checker.compares
    setting = Setting(max_tokens=max_tokens, temperature=temperature, stop=tuple(stop), seed=seed, compares=compares)
    known = reference or (checker.reference if checker else None)
    if checker is not None and compares:
        known = partial(_readable, checker, reference)
    asked = _Asked(planner, options=options, setting=setting, reference=known)
    asked.place(given, (server, model), (judge_server, judge_model))
    if checker is not None:
        asked.models.setdefault("verifier", checker.verifier)
        asked.told.setdefault("verifier", verifier)
    asked.hints["verifier"] = f"--verifier NAME: {', '.join(names())}, FILE.py:FUNCTION"
    if dry_run:
        _cost(asked, _tasks(source), rate, json)
        return
    if output is None:
        raise StepCreditError("labels cost calls, and would go nowhere: -o FILE", hint="-o labels.jsonl, or --dry-run")
    writable(output)
    LabelWriter(output)
    drawn = TreeFile(trees, planner)
    at = store or output.with_name(output.name + ".calls.sqlite")
    apart(rollouts, output=output, trees=trees, store=at)
    with ExitStack() as stack:
        run_name = f"label {planner.name}"
        asked.connect(stack, budget=budget, price=price, store=at, run=run_name, key_env=key_env, concurrency=at_once)
        kept = stack.enter_context(drawn)
        told = _write(asked, source, output, cast(After, after), kept, trl=trl, at_once=at_once)
    source._alone = 0  # a task with one rollout can be labelled as well
    source.tell()
    _report(told, asked.budget, output, json)


def _readable(checker: Named, field: str | None, record: Rollout) -> str | None:
    """The reference of a rollout where the verifier can read it: nothing is asked about the others."""
    found = reference_of(record, field)
    return found if checker.reads(found) else None


def _tasks(source: Files) -> Iterator[Rollout]:
    """The rollouts of each task together, tasks in the order in which they begin."""
    source.begin()
    for batch in source.stream(steps=20_000):
        source.account(batch, ())
        notes(n for n in batch.notes if n != source.left_out)
        groups: dict[str | int, list[Rollout]] = {}
        for record in batch.records or ():
            groups.setdefault(record.group, []).append(record)
        for together in groups.values():
            yield from together


def _write(
    asked: _Asked, source: Files, output: Path, after: After, trees: TreeFile, *, trl: bool, at_once: int
) -> dict[str, Any]:
    """Label and write; what became of it in numbers."""
    from stepcredit import __version__

    total = sum(1 for _ in source)
    chosen = {**asked.planner.options, **asked.planner.check_options(asked.options)}
    provenance = {
        "system": asked.planner.name,
        "options": {k: v if isinstance(v, int | float | str | bool | None) else str(v) for k, v in chosen.items()},
        "setting": asdict(asked.setting),
        "after": after,
        "models": asked.told,
        "version": __version__,
    }
    count: Counter[str] = Counter()
    reasons: Counter[Any] = Counter()
    known: dict[str, Any] = {
        "reference": asked.reference,
        "setting": asked.setting,
        "at_once": at_once,
        "heard": trees.heard,
    }
    known |= asked.options
    with LabelWriter(output, provenance, plain=trl) as out, watched(total, asked.budget) as advance:
        ended = label(_tasks(source), asked.planner.name, asked.models, **known)
        for place, unit in enumerate(in_order(_told(ended, advance))):
            trees.write(place)
            for one in unit:
                out.write([after_error(one, after)])
                _account(one, count, reasons)
        asked_nobody = reasons[NO_REFERENCE] and not any(kind.startswith("spent.") for kind in count)
        if count["steps"] and (asked_nobody or not count["judged"]):  # before the file takes the place of another
            why = next((str(why) for why, _ in reasons.most_common(1)), "the system says nothing of these steps")
            raise StepCreditError(f"nothing was judged: {why}", hint=_HINTS.get(why))
    return {**count, "left_out": out.left_out, "not_judged_because": dict(reasons.most_common(5))}


def _told(ended: Iterator[tuple[int, list[Labels]]], advance: Any) -> Iterator[tuple[int, list[Labels]]]:
    for place, unit in ended:
        given = sum(not str(one.rollout).startswith(f"{one.group}/drawn-") for one in unit)
        advance(given, sum(len(one) for one in unit))
        yield place, unit


def _account(one: Labels, count: Counter[str], reasons: Counter[Any]) -> None:
    judged = ~np.isnan(one.label)
    count["solutions"] += 1
    count["steps"] += len(one)
    count["judged"] += int(judged.sum())
    count["right"] += int((one.label[judged] >= 0.5).sum())
    count["first_error_known"] += one.first_error is not None
    for kind, n in one.spent.items():
        count[f"spent.{kind}"] += n
    whole = one.facts.get("budget")  # of a search that went no further
    reasons.update(why or whole for why, told in zip(one.reasons, judged, strict=True) if (why or whole) and not told)


def _report(told: dict[str, Any], spent: Any, output: Path, json: bool) -> None:
    because, left_out = told.pop("not_judged_because"), told.pop("left_out")
    used = {k.removeprefix("spent."): told.pop(k) for k in sorted(told) if k.startswith("spent.")}
    calls = None if spent is None else spent.spent.used
    if json:
        money = {} if calls is None else {"calls": calls.calls, "read": calls.prompt, "written": calls.completion}
        print_json({**told, "asked": used, "spent": money, "not_judged_because": because})
    else:
        shares = [told[n] / max(told["steps"], 1) for n in ("judged",)] + [told["right"] / max(told["judged"], 1)]
        known = told["first_error_known"] / max(told["solutions"], 1)
        head = ["solutions", "steps", "judged", "right", "first error known", "asked"]
        cells = [told["solutions"], told["steps"], *map(share, (*shares, known))]
        table(head, [[*cells, ", ".join(f"{n:,} {kind}" for kind, n in used.items()) or "nobody"]])
    if spent is not None:
        note(f"spent: {spent.spent}")
    for why, n in because.items():
        note(f"not judged, {n:,} steps: {why}", "yellow")
    if used.get("empty"):
        empty = f"{used['empty']:,} of {used.get('sample', 0):,} completions are empty"
        note(f"warning: {empty}: does the model understand the prompt?", "yellow")
    if left_out:
        note(f"left out, nothing was judged: {left_out:,} solutions", "yellow")
    note(f"labels: {output}", "")


def _cost(asked: _Asked, rollouts: Iterator[Rollout], rate: float | None, json: bool) -> None:
    from stepcredit.label.estimate import estimate

    known: dict[str, Any] = {"reference": asked.reference, "setting": asked.setting}
    known |= asked.options
    told = estimate(rollouts, asked.planner.name, rate=rate, **known)
    notes(told.assumptions)
    if json:
        print_json(asdict(told))
    elif not told.most:
        note("nobody would be asked anything", "")
    else:
        rows = [[name, float(told.mean.get(name, 0)), float(told.most[name])] for name in told.most]
        table(["what", "expected", "at most"], rows)


app.command("audit", short_help="How good are labels? Against the truth, and one another.")(audit)
app.command("combine", short_help="One label set of several; rows chosen of it.")(combine)
