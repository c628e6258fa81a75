"""`stepcredit demo`: the main job on a world of our own, where the truth is known."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from stepcredit.app.compare import print_comparison, report_rows, telling_first
from stepcredit.app.console import progress, say, table
from stepcredit.bench.truth import against_truth
from stepcredit.credit import Credit
from stepcredit.credit.compare import Comparison, compare
from stepcredit.data import AdvantageWriter, Batch, write
from stepcredit.envs import game24
from stepcredit.lint import check


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what it makes.")] = Path("demo-out"),
    tasks: Annotated[int, typer.Option(help="Puzzles.", min=2)] = 120,
    rollouts: Annotated[int, typer.Option(help="Rollouts of each.", min=2)] = 16,
    skill: Annotated[float, typer.Option(help="How well the policy tells good moves from bad.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Other seeds, other rollouts.")] = 0,
) -> None:
    """Sample rollouts in our own Game of 24, give credit by every applicable method, score it against the exact truth,
    lint it, and write a page that shows it.

    The policy is a table that errs as language models do, not a language model; its exact values are known.
    """
    output.mkdir(parents=True, exist_ok=True)
    with progress("sampling"):
        puzzles = np.random.default_rng(seed).permutation(game24.puzzles())[:tasks].tolist()
        batch = game24.batch(puzzles, rollouts, game24.Policy(skill=skill, seed=seed), seed)
    lay = batch.layout
    solved = float(np.mean(batch["outcome"]))
    say(f"Game of 24: {lay.G} puzzles x {rollouts} rollouts, {lay.S:,} steps; {solved:.0%} of the rollouts succeed.")
    say("Each rollout is told only at its end whether it succeeded. Which of its steps earned that?")
    say()
    with progress("comparing methods"):
        result = compare(batch)
    print_comparison(result)
    say()
    say("Against the truth (this world has an exact solver and exact values):")
    rows = truth_rows(batch, result.credits)
    table(list(rows[0]), [list(r.values()) for r in rows])
    say(
        "same: how often the better of two steps taken in the same state has more credit (0.5 is chance). pooled: the "
        "same over all steps of all puzzles; read it beside 'constant per depth'. rho, r: rank and linear correlation "
        "with the exact advantage. Brackets: 90% bootstrap interval over puzzles."
    )
    say()
    findings = write_files(output, batch, result)
    say(f"Linter: {findings} finding(s) of warning or above over {len(result.credits)} methods.")
    say()
    say(f"Everything is in {output}/:", "bold")
    say(f"  {output}/report.html            open it in a browser: which step of which rollout")
    say(f"  {output}/rollouts.jsonl         the rollouts, with the credit of every method")
    say(f"  {output}/advantages.jsonl       gigpo's credit for a trainer: one list per rollout, one number per token")
    say()
    say("With rollouts of your own (JSONL, chat messages, TRL or verl logs):", "bold")
    say("  stepcredit view runs.jsonl")
    say("  stepcredit compare runs.jsonl --states last --report page.html")
    say("  stepcredit assign runs.jsonl --method grpo -o credited.jsonl && stepcredit lint credited.jsonl")


def truth_rows(batch: Batch, credits: tuple[Credit, ...]) -> list[dict[str, Any]]:
    """Each method and the baselines against the truth, for people."""
    return [
        {
            "credit": r.name,
            "same": None if np.isnan(r.same) else f"{r.same:.2f} [{r.low:.2f}, {r.high:.2f}]",
            **{
                n: None if np.isnan(v) else f"{v:.2f}"
                for n, v in zip(("pooled", "per depth", "rho", "r"), r[4:], strict=True)
            },
        }
        for r in against_truth(batch, {c.method: c.steps for c in credits})
    ]


def write_files(output: Path, batch: Batch, result: Comparison) -> int:
    """The demo's files; returns how many lint findings of warning or above there were."""
    from stepcredit.app.view.export import write_page

    findings, count, unchecked = [], 0, dict[str, str]()
    for credit in result.credits:
        batch = credit.onto(batch)
        report = check(credit)
        found = report.to_dict()
        findings += [{**f, "where": f["where"] or None, "method": credit.method} for f in found["findings"]]
        unchecked = {**unchecked, **found["not_checked"]}
        count += sum(f["severity"] != "info" for f in found["findings"])
    findings += [{"rule": r, "severity": "not checked", "message": why} for r, why in unchecked.items()]
    write(batch, output / "rollouts.jsonl")
    with AdvantageWriter(output / "advantages.jsonl") as out:
        out.write(next(c for c in result.credits if c.method == "gigpo").rows())
    write_page(
        output / "report.html",
        batch,
        telling_first(result),
        findings=findings,
        comparison=report_rows(result),
        title="stepcredit demo: Game of 24",
        source=str(output / "rollouts.jsonl"),
    )
    return count
