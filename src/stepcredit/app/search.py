"""`stepcredit search`: better answers for more calls, inside a budget; `stepcredit gateway`: the same as a server."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stepcredit.app.console import note, notes, print_json, progress, share, table
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
from stepcredit.app.options import Json, Set, apart, pairs, writable
from stepcredit.data.writing import LineWriter
from stepcredit.errors import StepCreditError
from stepcredit.label.verifiers import Named, get, names
from stepcredit.llm.drive import call, in_order
from stepcredit.llm.requests import Check, Failed
from stepcredit.ops import wilson
from stepcredit.search import POLICIES, Found, Task, Writing, solve
from stepcredit.search.files import answer_row, read_tasks, tree_row

Policy = Annotated[
    str, typer.Option("--policy", "-p", metavar="NAME", help="One of `stepcredit methods --kind search`.")
]
ScorerOption = Annotated[str | None, typer.Option("--scorer", metavar="WHAT", help="The same as --with scorer=WHAT.")]
Limit = Annotated[
    list[str],
    typer.Option(
        "--limit",
        metavar="KIND=N",
        help="Of each search: calls, tokens, decode, draft, tool, score, judge. May be given several times.",
    ),
]
Separator = Annotated[str, typer.Option(help=r"Between steps; \n is a line end.", metavar="TEXT")]
StepTokens = Annotated[int, typer.Option("--step-tokens", help="Longest step.", min=1)]
MaxTokens = Annotated[int, typer.Option("--max-tokens", help="Longest solution written in one go.", min=1)]
Temperature = Annotated[float, typer.Option(help="Of all samples.", min=0)]
Depth = Annotated[int, typer.Option(help="Most steps.", min=1)]
Ends = Annotated[str | None, typer.Option(metavar="PATTERN", help="A step that completes a solution, as a pattern.")]
Seed = Annotated[int, typer.Option(help="Other seeds, other draws.", min=0)]
Concurrency = Annotated[int, typer.Option(help="Requests under way at a time.", min=1)]
AtOnce = Annotated[int, typer.Option("--at-once", help="Searches under way at a time.", min=1)]


def search(
    tasks: Annotated[
        Path, typer.Argument(metavar="TASKS", help="JSONL with a prompt (text or messages) and perhaps a reference.")
    ],
    policy: Policy = "beam",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Answers: .jsonl, .jsonl.gz, .jsonl.zst.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trees", "--trace", metavar="FILE", help="Every search tree, a line each: for `stepcredit view`."
        ),
    ] = None,
    server: Server = None,
    model: Model = None,
    scorer: ScorerOption = None,
    judge_server: JudgeServer = None,
    judge_model: JudgeModel = None,
    given: With = [],  # noqa: B006
    verifier: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Say how many answers are right: {', '.join(names())}, FILE.py:FUNCTION."),
    ] = None,
    reference: Annotated[str | None, typer.Option(metavar="FIELD", help="The field with the right answer.")] = None,
    budget: BudgetText = None,
    price: PriceText = None,
    limit: Limit = [],  # noqa: B006
    store: StoreFile = None,
    set: Set = [],  # noqa: B006
    separator: Separator = "\\n",
    step_tokens: StepTokens = 256,
    max_tokens: MaxTokens = 2048,
    temperature: Temperature = 0.8,
    depth: Depth = 40,
    ends: Ends = None,
    seed: Seed = 0,
    at_once: AtOnce = 256,
    concurrency: Concurrency = 64,
    key_env: KeyEnv = "OPENAI_API_KEY",
    json: Json = False,
) -> None:
    """Search for better answers: a policy proposes steps by a model, has them scored, and spends where it pays.

    Answers come in the order of the tasks; killed and begun again, what was answered is not asked again.

    With a server: -p beam --server http://localhost:8000/v1 --scorer http://localhost:8001 --verifier number.

    Example: stepcredit search tasks.jsonl -p majority --with sampler=my_model.py:sample -o answers.jsonl
    """
    if output is None:
        raise StepCreditError("answers cost calls, and would go nowhere: -o FILE", hint="-o answers.jsonl")
    writable(output)
    if trace is not None:
        writable(trace)
    at = store or output.with_name(output.name + ".calls.sqlite")
    apart([tasks], output=output, trees=trace, store=at)
    checker = None if verifier is None else get(verifier)
    todo = list(read_tasks(tasks, reference=reference))
    writing = _writing(separator, step_tokens, max_tokens, temperature, depth, ends)
    asked = Asked(POLICIES.get(policy.removeprefix("search/")))
    options = asked.planner.check_options(pairs(set, "--set"))
    asked.place([*given, *([f"scorer={scorer}"] if scorer else [])], (server, model), (judge_server, judge_model))
    count = _Count()
    with ExitStack() as stack:
        run = f"search {asked.planner.name}"
        asked.connect(stack, budget=budget, price=price, store=at, run=run, key_env=key_env, concurrency=concurrency)
        found = solve(
            todo,
            asked.planner.name,
            asked.models,
            writing=writing,
            limits=_limits(limit),
            seed=seed,
            at_once=at_once,
            **options,
        )
        out = stack.enter_context(LineWriter(output, "answers"))
        tree = stack.enter_context(nullcontext() if trace is None else LineWriter(trace, "search trees"))
        advance = stack.enter_context(progress("tasks", len(todo)))
        for one in in_order(found):
            right = _right(one, checker)
            out.write(answer_row(one, right))
            if tree is not None:
                tree.write(tree_row(one, asked.planner.name, right))
            count.add(one, right)
            advance()
        if not count.answered:  # before the file takes the place of another
            why = next((text for text, _ in count.notes.most_common(1)), "no solution was complete or had an answer")
            raise StepCreditError(
                f"nothing was answered: {why}", hint="`stepcredit llm probe` says what a server can do"
            )
    _report(count, asked, output, json)


def gateway(
    policy: Policy = "beam",
    server: Server = None,
    model: Model = None,
    scorer: ScorerOption = None,
    judge_server: JudgeServer = None,
    judge_model: JudgeModel = None,
    given: With = [],  # noqa: B006
    budget: BudgetText = None,
    price: PriceText = None,
    limit: Limit = [],  # noqa: B006
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="Keeps what was answered: nothing is asked twice.")
    ] = Path("gateway.calls.sqlite"),
    set: Set = [],  # noqa: B006
    separator: Separator = "\\n",
    step_tokens: StepTokens = 256,
    depth: Depth = 40,
    ends: Ends = None,
    answer_only: Annotated[
        bool, typer.Option("--answer-only", help="Reply with the answer, not the solution.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option("--trees", "--trace", metavar="FILE", help="Add every search tree to this file, a line each."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="What the model is called.")] = "searched",
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 127.0.0.1 keeps others out.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8400,
    also_named: Annotated[
        list[str], typer.Option("--also-named", metavar="NAME", help="A host name it may be reached under; * for any.")
    ] = [],  # noqa: B006
    seed: Seed = 0,
    concurrency: Concurrency = 64,
    key_env: KeyEnv = "OPENAI_API_KEY",
) -> None:
    """Serve searched answers to any OpenAI client: an application changes its base URL, and nothing else.

    Temperature, length, n and seed come from the request; the usage that is told is what the search spent.

    Example: stepcredit gateway -p beam --server http://localhost:8000/v1 --scorer http://localhost:8001 --port 8400
    """
    from stepcredit.llm.server import serve
    from stepcredit.search.gateway import over_search

    asked = Asked(POLICIES.get(policy.removeprefix("search/")))
    options = asked.planner.check_options(pairs(set, "--set"))
    asked.place([*given, *([f"scorer={scorer}"] if scorer else [])], (server, model), (judge_server, judge_model))
    writing = _writing(separator, step_tokens, 2048, 1.0, depth, ends)
    with ExitStack() as stack:
        asked.connect(
            stack, budget=budget, price=price, store=store, run="gateway", key_env=key_env, concurrency=concurrency
        )
        heard = None if trace is None else _Trace(trace, asked.planner.name)
        answer = over_search(
            asked.planner.name,
            asked.models,
            writing=writing,
            limits=_limits(limit),
            seed=seed,
            whole=not answer_only,
            heard=heard,
            **options,
        )
        started = lambda url: note(f"{policy} answers as {name!r} at {url}", "")  # noqa: E731
        serve(answer, [name], host=host, port=port, hosts=also_named, started=started)


@dataclass
class _Trace:
    """Adds search trees to a file, each as soon as it is complete."""

    path: Path
    policy: str

    def __call__(self, found: Found) -> None:
        import msgspec

        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(tree_row(found, self.policy)) + b"\n")


class _Count:
    """What became of the tasks."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.tasks = self.answered = self.checked = 0
        self.right = 0.0

    def add(self, found: Found, right: float | None) -> None:
        self.tasks += 1
        self.answered += found.answer is not None
        self.spent.update({**found.ledger.spent(), "discarded": found.discarded})
        self.stopped[found.stopped] += 1
        self.notes.update(text.partition(": ")[2] or text for text in found.notes)
        if right is not None:
            self.checked += 1
            self.right += right


def _writing(
    separator: str, step_tokens: int, max_tokens: int, temperature: float, depth: int, ends: str | None
) -> Writing:
    plain = Writing()
    if not separator:
        raise StepCreditError("--separator is empty: nothing would tell steps apart", hint=r"--separator '\n'")
    try:
        re.compile(ends or "")
    except re.error as error:
        raise StepCreditError(
            f"--ends {ends!r} is no pattern: {error}", hint="a regular expression of Python"
        ) from None
    return Writing(
        separator=separator.replace("\\n", "\n").replace("\\t", "\t"),
        max_tokens=step_tokens,
        longest=max_tokens,
        temperature=temperature,
        depth=depth,
        ends=plain.ends if ends is None else ends,
    )


def _limits(given: Sequence[str]) -> dict[str, float] | None:
    told = pairs(given, "--limit")
    try:
        found = {kind: float(most) for kind, most in told.items()}
        if all(most >= 0 for most in found.values()):
            return found or None
        raise ValueError  # below 0, or NaN
    except ValueError:
        raise StepCreditError(
            f"--limit {' '.join(given)}: expected KIND=NUMBER, 0 or more", hint="--limit tokens=4000"
        ) from None


def _right(found: Found, checker: Named | None) -> float | None:
    if checker is None:
        return None
    task = found.task
    if found.text is None:
        return 0.0
    reference = task.reference if task.reference is not None else _puzzle(checker, task)
    (verdict,) = call(checker.verifier, [Check(found.text, reference or "")])
    return None if isinstance(verdict, Failed) else float(verdict)


def _puzzle(checker: Named, task: Task) -> str | None:
    """The reference that a verifier finds in the task itself."""
    from stepcredit.data.records import Rollout

    return (
        None if checker.reference is None else checker.reference(Rollout(group=task.name, rollout=0, task=task.prompt))
    )


def _report(count: _Count, asked: Asked, output: Path, json: bool) -> None:
    low, high = (None, None)
    accuracy = count.right / count.checked if count.checked else None
    if count.checked:
        low, high = (float(x) for x in wilson(count.right, count.checked, z=1.645))
    each = {kind: n / count.tasks for kind, n in count.spent.items()}
    if json:
        print_json(
            {
                "tasks": count.tasks,
                "answered": count.answered,
                "checked": count.checked,
                "accuracy": accuracy,
                "interval": [low, high],
                "spent_per_task": each,
                "stopped": dict(count.stopped),
            }
        )
    else:
        interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        head = ["tasks", "answered", "right [90%]", *each]
        table(head, [[count.tasks, share(count.answered / count.tasks), share(accuracy) + interval, *each.values()]])
    if asked.budget is not None:
        note(f"spent: {asked.budget.spent}")
    notes(f"{n:,} times: {text}" for text, n in count.notes.most_common(5))
    note(f"answers: {output}", "")
