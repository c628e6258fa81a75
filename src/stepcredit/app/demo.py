"""`stepcredit demo`: the main job on a world of our own, where the truth is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from stepcredit.app.compare import print_comparison, report_rows
from stepcredit.app.console import note, progress, say, table
from stepcredit.bench import metrics
from stepcredit.credit import Credit
from stepcredit.credit.compare import compare
from stepcredit.data import AdvantageWriter, Batch, Rollout, Step, write
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.envs import game24
from stepcredit.lint import check


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what it makes.")] = Path("demo-out"),
    tasks: Annotated[int, typer.Option(help="Puzzles.", min=2)] = 60,
    rollouts: Annotated[int, typer.Option(help="Rollouts of each.", min=2)] = 16,
    skill: Annotated[float, typer.Option(help="How well the policy tells good moves from bad.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Other seeds, other rollouts.")] = 0,
) -> None:
    """Sample rollouts in our own Game of 24, give credit by every applicable method, score it against the exact truth,
    lint it, and write a page that shows it.

    The policy is a table that errs as language models do, not a language model; its exact values are known.
    """
    with progress("sampling", None):
        batch = sample(tasks, rollouts, skill, seed)
    lay = batch.layout
    solved = float(np.mean(batch["outcome"]))
    say(f"Game of 24: {lay.G} puzzles x {rollouts} rollouts, {lay.S:,} steps; {solved:.0%} of the rollouts succeed.")
    say("Each rollout is told only at its end whether it succeeded. Which of its steps earned that?")
    say()
    with progress("methods", None):
        result = compare(batch)
    print_comparison(result)
    say()
    say("Against the truth (this world has an exact solver and exact values):")
    rows = truth_table(batch, result.credits)
    table(list(rows[0]), [list(r.values()) for r in rows])
    say("same: how often the better of two steps taken in the same state has more credit (0.5 is chance).")
    say("pooled: the same over all steps of all puzzles; read it beside 'constant per depth'. rho, r: rank and linear")
    say("correlation with the exact advantage. Brackets: 90% bootstrap interval over puzzles.")
    say()
    output.mkdir(parents=True, exist_ok=True)
    findings = write_files(output, batch, result, rows)
    say(f"Linter: {findings} finding(s) of warning or above over {len(result.credits)} methods.")
    say()
    say(f"Everything is in {output}/:", "bold")
    say(f"  {output}/report.html            open it in a browser: which step of which rollout")
    say(f"  {output}/rollouts.jsonl         the rollouts, with the credit of every method")
    say(f"  {output}/advantages.jsonl       one list per rollout, one number per token, for a trainer")
    say()
    say("With rollouts of your own (JSONL, chat messages, TRL or verl logs):", "bold")
    say("  stepcredit compare runs.jsonl --map outcome=reward,group=prompt_id --report page.html")
    say("  stepcredit assign runs.jsonl --method gigpo -o credited.jsonl && stepcredit lint credited.jsonl")


def sample(tasks: int, rollouts: int, skill: float, seed: int) -> Batch:
    """Rollouts of the tabular policy as a batch; `truth.advantage`, `truth.alive` and `truth.good` hold the truth."""
    puzzles = np.random.default_rng(seed).permutation(game24.puzzles())[:tasks]
    made = game24.sample(map(str, puzzles), rollouts, game24.Policy(skill=skill, seed=seed), seed)
    records = [
        Rollout(
            group=r.puzzle,
            rollout=f"{r.puzzle}/{i % rollouts}",
            task=f"Make 24 from {r.puzzle}, each number once.",
            outcome=r.outcome,
            final_state=r.steps[-1].next_state,
            steps=[
                Step(
                    text=s.text,
                    state=s.state,
                    action=s.action,
                    observation=s.observation,
                    next_state=s.next_state,
                    evidence={
                        "truth.advantage": s.advantage,
                        "truth.alive": float(s.alive_before),
                        "truth.good": float(s.alive_after),
                    },
                )
                for s in r.steps
            ],
        )
        for i, r in enumerate(made)
    ]
    return Batch.from_records(records)


def truth_table(batch: Batch, credits: tuple[Credit, ...], seed: int = 0) -> list[dict[str, Any]]:
    """Each method and the baselines against the truth, on puzzles with both successes and failures."""
    lay, outcome = batch.layout, batch["outcome"]
    wins = np.bincount(lay.group, weights=outcome, minlength=lay.G)
    mixed = ((wins > 0) & (wins < np.bincount(lay.group)))[lay.step_group]
    answer = np.array([key == "answer" for key in batch.keys["action"]])[batch["action"]]
    points = mixed & (batch["truth.alive"] > 0) & ~answer
    good = batch["truth.good"] > 0
    judged = {c.method: c.steps for c in credits}
    judged["constant per depth"] = np.full(lay.S, np.nan)
    judged["constant per depth"][points] = metrics.per_depth(good[points], lay.turn[points])
    judged["random"] = np.random.default_rng(seed).normal(size=lay.S)
    rows = []
    for name, credit in judged.items():
        c, g, p = credit[points], good[points], lay.step_group[points]
        state, depth, exact = batch["state"][points], lay.turn[points], batch["truth.advantage"]
        same = metrics.bootstrap(_same(c, g, state, p), p, draws=200, level=0.9)
        rows.append(
            {
                "credit": name,
                "same": f"{same.value:.2f} [{same.low:.2f}, {same.high:.2f}]",
                "pooled": metrics.pooled(c, g).value,
                "per depth": metrics.strat(c, g, depth).value,
                "rho": metrics.rho(credit[mixed], exact[mixed]).value,
                "r": metrics.pearson(credit[mixed], exact[mixed]).value,
            }
        )
    return rows


def _same(credit: Floats, good: Bools, state: Ints, prompt: Ints) -> Callable[[Floats], float]:
    return lambda weight: metrics.same(credit, good, state, prompt, weight=weight).value


def write_files(output: Path, batch: Batch, result: Any, rows: list[dict[str, Any]]) -> int:
    """The demo's files; returns how many lint findings of warning or above there were."""
    from stepcredit.app.report import write_report

    findings, count = [], 0
    for credit in result.credits:
        batch = credit.onto(batch)
        report = check(credit)
        found = report.to_dict()
        findings += [{**f, "method": credit.method} for f in found["findings"]]
        count += sum(f["severity"] != "info" for f in found["findings"])
    write(batch, output / "rollouts.jsonl")
    with AdvantageWriter(output / "advantages.jsonl") as out:
        out.write(result.credits[0].rows())
    write_report(
        output / "report.html",
        batch,
        result.credits,
        findings=findings,
        comparison=report_rows(result),
        title="stepcredit demo: Game of 24",
        source=str(output / "rollouts.jsonl"),
    )
    note(f"wrote {output}/")
    return count
