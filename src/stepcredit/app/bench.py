"""`stepcredit bench`: how right methods are, against exact truth and against people, and how fast."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, say, table
from stepcredit.app.options import Json

app = typer.Typer(
    help="How right is credit, and how fast? Beside baselines that know nothing; what is estimated has 90% intervals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Methods = Annotated[
    list[str],
    typer.Option(
        "--method",
        "-M",
        metavar="NAME",
        help="Only these: a method, METHOD@PRESET, a Python file with a method of yours; else all that can run.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(help="The data folder.", metavar="DIR", envvar="STEPCREDIT_DATA", show_envvar=True),
]
Seed = Annotated[int, typer.Option(help="Other seeds, other draws.", min=0)]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer draws and worlds: minutes, wider intervals.")]
StoreFile = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="FILE", help="Keep what is measured in this file; started again, it goes on from there."
    ),
]
Jobs = Annotated[int, typer.Option(help="Processes.", min=1)]
Plots = Annotated[Path | None, typer.Option("--plots", metavar="DIR", help="Draw plots (SVG) into this folder.")]
Rollouts = Annotated[
    list[int], typer.Option("--rollouts", "-n", metavar="N", help="Rollouts per prompt; may be given several times.")
]


@app.command("game24")
def game24(
    data: Data = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Rollouts of a simulated policy; with --data one fitted to the data.")
    ] = False,
    rollouts: Rollouts = [],  # noqa: B006
    draws: Annotated[int | None, typer.Option(help="Samplings of N rollouts per puzzle.", min=1)] = None,
    puzzles: Annotated[int | None, typer.Option(help="Puzzles of the simulated policy.", min=2)] = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """GPT-4's own steps of Game of 24, or those of a policy fitted to them, against an exact solver.

    same: how often the better of two steps of one puzzle taken in the same state has more credit; 0.5 is chance.
    pooled: the same over all steps taken where 24 could still be reached; read it beside the constant per depth. per
    depth (strat): of two steps at the same depth. rho: rank correlation with the advantage. mixed: over puzzles with
    successes and failures among the N rollouts; all: every puzzle.

    Example: stepcredit bench game24 --data DIR --json
    """
    given = {"data": data, "n": tuple(rollouts), "draws": draws, "puzzles": puzzles, "methods": tuple(method)}
    if data is None and not simulated:
        note("no data (--data, or STEPCREDIT_DATA): the simulated policy is measured")
    _bench("game24", {**given, "simulated": simulated or data is None}, seed, quick, store, jobs, plots, json)


@app.command("mdp")
def mdp(
    rollouts: Rollouts = [],  # noqa: B006
    worlds: Annotated[int | None, typer.Option(help="Worlds of each family.", min=2)] = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Enumerable worlds, where the advantage of every step is known exactly: bias, variance, error, correlation, sign,
    direction of the policy gradient, coverage of intervals; against rollouts per prompt and model calls spent.

    Example: stepcredit bench mdp --quick -M grpo -M salt -M my_method.py
    """
    given = {"n": tuple(rollouts), "worlds": worlds, "methods": tuple(method)}
    _bench("mdp", given, seed, quick, store, jobs, plots, json)


@app.command("evidence")
def evidence(
    worlds: Annotated[int | None, typer.Option(help="Worlds of each family.", min=2)] = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    json: Json = False,
) -> None:
    """Methods that ask for evidence (values, scores, labels, votes), all given the same evidence of known quality:
    Monte Carlo values of 4 rollouts, 4 judges that are wrong once in five times.

    Example: stepcredit bench evidence --quick -M pav -M capo
    """
    _bench("evidence", {"worlds": worlds, "methods": tuple(method)}, seed, quick, store, jobs, None, json)


@app.command("learn")
def learn(
    model: Annotated[
        bool,
        typer.Option("--model", help="A small transformer learns (needs stepcredit[llm]); else a table per state."),
    ] = False,
    world: Annotated[
        list[str], typer.Option("--world", "-w", metavar="NAME", help="Only these worlds; may be given several times.")
    ] = [],  # noqa: B006
    method: Methods = [],  # noqa: B006
    seeds: Annotated[int | None, typer.Option(help="Runs of each method.", min=2)] = None,
    rollouts: Annotated[int | None, typer.Option(help="Rollouts that a run of a table spends.", min=64)] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds of the processor that a run of the transformer takes.", min=1)
    ] = None,
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Does an agent learn from fewer rollouts with step credit? One training loop, equal starts, whose method alone
    differs: outcome-only (grpo, rloo, ppo with a critic), methods that compare states, a simulated judge (capo), the
    exact advantage (oracle). Success by rollouts and by seconds; and a known collapse, with what the linter says of it.

    Tables take minutes; the transformer 150 s a run, 40 runs: --store keeps each, --jobs 2 runs two at a time.

    Example: stepcredit bench learn --model --jobs 2 --store learn.jsonl --plots plots
    """
    given = {"model": model, "seeds": seeds, "rollouts": rollouts, "seconds": seconds}
    more = {"methods": tuple(method), "worlds": tuple(world)}
    _bench("learn", {**given, **more}, seed, quick, store, jobs, plots, json)


@app.command("drift")
def drift(
    worlds: Annotated[int | None, typer.Option(help="Worlds of each setting.", min=2)] = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """What happens to each method as states stop repeating, groups shrink, rewards get noisy, horizons grow.

    Example: stepcredit bench drift --quick --plots plots
    """
    _bench("drift", {"worlds": worlds, "methods": tuple(method)}, seed, quick, store, jobs, plots, json)


@app.command("people")
def people(
    data: Data = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Credit against people's labels of steps (AgentProcessBench): beside the outcome broadcast to every step, a
    constant per depth and random numbers; the first wrong step; best of 5 by evidence that never saw the outcome.

    Example: stepcredit bench people --data DIR
    """
    _bench("people", {"data": data, "methods": tuple(method)}, seed, False, store, jobs, plots, json)


@app.command("judges")
def judges(
    data: Data = None,
    seed: Seed = 0,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Recorded LLM judges against people on the same steps, beside what a constant and random labels score.

    Example: stepcredit bench judges --data DIR
    """
    _bench("judges", {"data": data}, seed, False, store, jobs, plots, json)


@app.command("labels")
def labels(
    data: Data = None,
    puzzles: Annotated[int | None, typer.Option(help="Puzzles of Game of 24.", min=2)] = None,
    method: Annotated[list[str], typer.Option("--method", "-M", metavar="NAME", help="Only these label systems.")] = [],  # noqa: B006
    http: Annotated[
        bool, typer.Option("--http/--direct", help="Ask sampler and judge over HTTP (needs stepcredit[http]), or not.")
    ] = True,
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Step labels against exact truth, by the calls they cost: Monte Carlo, the search for the first error, trees,
    judges, tools, filters; beside labels that looked at nothing, and beside what papers report. The model is a tabular
    twin of GPT-4 (with --data; else our default policy) on Game of 24, and a more able one; judges are the truth with
    an error rate; both are asked over HTTP. Chains of 8, 16 and 32 steps have one known error. With --data programs
    also check the steps of GSM8K.

    Example: stepcredit bench labels --quick
    """
    given = {"data": data, "puzzles": puzzles, "methods": tuple(method), "http": http}
    _bench("labels", given, seed, quick, store, jobs, plots, json)


@app.command("search")
def search(
    data: Data = None,
    puzzles: Annotated[int | None, typer.Option(help="Puzzles of Game of 24.", min=2)] = None,
    method: Annotated[
        list[str], typer.Option("--method", "-M", metavar="NAME", help="Only these search policies.")
    ] = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """What each search policy solves, by the calls and tokens it spends, beside best-of-N at as many tokens. The model
    is a tabular twin of GPT-4 (with --data; else our default policy) on Game of 24; the scorer knows the exact chance
    of success up to a noise, from none to nothing but noise. Also tasks of reasoning-gym, BAVT at a quarter of the
    budget, early rejection, votes that stop early, and what papers claim beside what is seen.

    Example: stepcredit bench search --quick
    """
    given = {"data": data, "puzzles": puzzles, "methods": tuple(method)}
    _bench("search", given, seed, quick, store, jobs, plots, json)


@app.command("diagnose")
def diagnose(
    data: Data = None,
    seeds: Annotated[int | None, typer.Option(help="Worlds of each kind with a planted fault.", min=2)] = None,
    method: Annotated[
        list[str], typer.Option("--method", "-M", metavar="NAME", help="Only these diagnosis methods.")
    ] = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: StoreFile = None,
    jobs: Jobs = 1,
    plots: Plots = None,
    json: Json = False,
) -> None:
    """Does a diagnosis name the right step? Methods that ask no model, beside constants, a random step, the last one:
    against the step and agent that people blame (Who&When) and people's labels of steps (AgentProcessBench, beside 20
    recorded judges), both with --data; and against planted faults, by the number of other runs of the task. Planted
    faults also by methods that replay, with an exact sampler, and by a simulated judge that errs as often as told.

    Example: stepcredit bench diagnose --data DIR --quick
    """
    _bench("diagnose", {"data": data, "seeds": seeds, "methods": tuple(method)}, seed, quick, store, jobs, plots, json)


@app.command("leaderboard")
def leaderboard(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; its plots go into a folder of its name.")
    ] = Path("leaderboard.md"),
    data: Data = None,
    method: Methods = [],  # noqa: B006
    seed: Seed = 0,
    quick: Quick = False,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="DIR", help="Keep what is measured here, and go on from it.")
    ] = None,
    jobs: Jobs = 1,
    measured: Annotated[
        Path | None, typer.Option(help="Write the figures that `stepcredit advise` compares with to this file.")
    ] = None,
) -> None:
    """Run every suite and write one Markdown page with tables and plots; without --data what needs none.

    Example: stepcredit bench leaderboard --data DIR --quick --jobs 2 -o leaderboard.md
    """
    from stepcredit.app.leaderboard import write_leaderboard, write_measured

    given = {"seed": seed, "methods": tuple(method)}
    found = write_leaderboard(output, data, quick=quick, store=store, jobs=jobs, given=given)
    note(f"written: {output}", "")
    if measured is not None:
        write_measured(measured, found)
        note(f"written: {measured}", "")


def _bench(
    name: str,
    given: dict[str, Any],
    seed: int,
    quick: bool,
    store: Path | None,
    jobs: int,
    plots: Path | None,
    json: bool,
) -> None:
    """Measure a suite, print its tables or its JSON, draw its plots."""
    from stepcredit.app.leaderboard import run_suite

    head, done = run_suite(name, {**given, "seed": seed}, quick=quick, store=store, jobs=jobs, label="cells measured")
    result = done.result
    if json:
        told = {**head, "date": datetime.date.today().isoformat(), "seconds": done.seconds}
        print_json({**told, "rows": result.rows, **result.more})
    else:
        for one in result.tables:
            table(one.columns, one.rows, title=one.title)
            if one.note:
                say(one.note)
            say()
    if plots is not None:
        from stepcredit.bench.plot import draw

        for path in draw(result.plots, plots):
            note(f"plot: {path}", "")


@app.command("speed")
def speed(
    steps: Annotated[
        int, typer.Option(help="Steps of the batch; 50 a rollout, 8 rollouts a prompt.", min=20_000)
    ] = 1_000_000,
    memory: Annotated[int, typer.Option(help="Steps of the memory run; 0 leaves it out.", min=0)] = 10_000_000,
    megabytes: Annotated[float, typer.Option(help="Size of the JSONL file to stream; 0 leaves it out.", min=0)] = 200,
    json: Json = False,
) -> None:
    """Steps per second beside a plain loop (on 20,000 steps, as it is quadratic) and beside one copy of the arrays.

    Example: stepcredit bench speed --megabytes 1000
    """
    from stepcredit.bench.suites import speed as suite

    timings = [*suite.methods(steps), suite.strings(steps)]
    result = {"steps": steps, "timings": [t._asdict() for t in timings]}
    if not json:
        table(
            ["", "million steps/s", "plain loop, million/s", "times faster", "copy/time"],
            [[t.name, t.steps_per_s / 1e6, t.loop_per_s / 1e6, t.times_loop, t.copies] for t in timings],
            title=f"{steps:,} steps, one core; loop on {suite.LOOP_STEPS:,} steps",
        )
    if memory:
        base, peak = suite.memory(memory)
        result["memory"] = {"steps": memory, "arrays_gb": base, "peak_gb": peak}
        if not json:
            say(f"{memory:,} steps: peak memory {peak:.2f} GB ({base:.2f} GB with the arrays alone)")
    if megabytes:
        rate, peak, count = suite.reading(megabytes)
        result["reading"] = {"megabytes": megabytes, "mb_per_s": rate, "peak_gb": peak, "steps": count}
        if not json:
            say(f"streaming {megabytes:,.0f} MB of JSONL: {rate:.0f} MB/s, {count:,} steps, peak memory {peak:.2f} GB")
    if json:
        print_json(result)
    else:
        note("one machine, one run: read the ratios, not the speeds")
