"""How fast the inspector opens large data: time and memory of the index, time of the answers, size of the page.

    python tools/bench_view.py [--rollouts 10000] [--steps 100] [--per-task 8] [--times 15]

Rollouts of a world of ours are written down as an agent's: text, reasoning, a tool call and its reply at each step. The
index is made as `stepcredit view` makes it, in a process of its own, while a server answers; then answers are asked of
the server over HTTP: median and worst are told, in milliseconds. A plain loop over the file (`json.loads` of each line;
of each text, whether it holds the words) tells how busy the machine is. Where a browser is there (playwright, and
chromium on the path or STEPCREDIT_CHROMIUM), it opens the page, each time with an empty cache: first paint, first paint
of contents, first row.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import msgspec

from stepcredit.app.view import judging, server
from stepcredit.app.view.building import Order
from stepcredit.app.view.growing import Growing
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.data.records import Message, Origin, Rollout, Step, ToolCall, rollout_to_dict
from stepcredit.envs import tabular, worlds

WORDS = ("the agent", "reads this", "file and", "then it", "looks at", "what the test", "said", "it writes a change")
TOOLS = ("read_file", "run_tests", "edit", "search")


def written(rollouts: int, steps: int, per_task: int, to: Path, seed: int = 0) -> int:
    """Writes JSON lines; returns the number of steps."""
    rng = random.Random(seed)
    total = made = task = 0
    with to.open("wb") as out:
        while made < rollouts:
            world = replace(worlds.get("layered")(seed=task % 20, horizon=steps), name=f"task {task}")
            for plain in tabular.sample([world], min(per_task, rollouts - made), task).to_records():
                run = told(plain, rng, task)
                out.write(msgspec.json.encode(rollout_to_dict(run)) + b"\n")
                made, total = made + 1, total + len(run.steps)
            task += 1
    return total


def told(plain: Rollout, rng: random.Random, task: int) -> Rollout:
    """The rollout with words."""
    steps = []
    for i, step in enumerate(plain.steps):
        tool = TOOLS[rng.randrange(len(TOOLS))]
        seen = f"{step.next_state if step.next_state is not None else 'end'}: {' '.join(rng.choices(WORDS, k=40))}"
        steps.append(
            Step(
                agent="coder" if i % 3 else "planner",
                text=f"Step {i}: {' '.join(rng.choices(WORDS, k=30))}",
                reasoning=" ".join(rng.choices(WORDS, k=20)),
                state=step.state,
                action=step.action,
                tool_calls=[
                    ToolCall(name=tool, arguments={"path": f"src/{rng.randrange(99)}.py", "of": i}, id=f"c{i}")
                ],
                observation=seen,
                replies=[Message(role="tool", name=tool, call=f"c{i}")],
                reward=step.reward,
                origin=Origin(model="gpt", start=1.7e9 + i, seconds=0.8, input_tokens=900, output_tokens=60, cost=1e-4),
            )
        )
    outcome = plain.outcome
    return Rollout(group=f"task {task}", rollout=plain.rollout, outcome=outcome, task=f"Mend bug {task}", steps=steps)


def asked(url: str, path: str, times: int) -> tuple[float, float, int]:
    """(median, worst) milliseconds and bytes."""
    took, size = [], 0
    for _ in range(times):
        start = time.perf_counter()
        with urllib.request.urlopen(url + path) as answer:
            size = len(answer.read())
        took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took), max(took), size


def painted(url: str, times: int) -> None:
    """Opens the page in a browser, and prints when it shows what."""
    path = os.environ.get("STEPCREDIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        print("first paint: not measured, there is no browser")
        return
    took: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.goto(f"{url}#/runs")
            page.wait_for_selector(".runs-row.body")
            took.setdefault("first row", []).append(page.evaluate("performance.now()"))
            for entry in page.evaluate("performance.getEntriesByType('paint').map((e) => [e.name, e.startTime])"):
                took.setdefault(entry[0].replace("-", " "), []).append(entry[1])
            context.close()
        browser.close()
    for name, all_ in took.items():
        print(f"  {name:<37} {statistics.median(all_):8.1f} ms  {max(all_):8.1f} ms at worst  (in the browser)")


def plain(data: Path, words: str) -> tuple[float, float]:
    """Seconds of the processor to decode each line, and to look for words in its texts, in a plain loop."""
    start, looked, found = time.process_time(), 0.0, 0
    with data.open("rb") as lines:
        for line in lines:
            value = json.loads(line)
            before = time.process_time()
            for step in value["steps"]:
                found += any(words in (step.get(n) or "").lower() for n in ("text", "reasoning", "observation"))
            looked += time.process_time() - before
    return time.process_time() - start - looked, looked


def serving(looking: Growing) -> str:
    """The address of a server in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    listening = server.listen(server.application(looking), "127.0.0.1", 0)
    host, port, _ = asyncio.run_coroutine_threadsafe(listening, loop).result()
    return server.url(host, port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rollouts", 10_000), ("steps", 100), ("per-task", 8), ("times", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--no-diagnose", action="store_true")
    parser.add_argument("--method", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "runs.jsonl"
        steps = written(options.rollouts, options.steps, options.per_task, data)
        print(f"{options.rollouts:,} rollouts, {steps:,} steps, {data.stat().st_size / 1e6:,.0f} MB of JSON lines")
        diagnose = () if options.no_diagnose else tuple(judging.diagnosers())
        order = Order((str(data),), methods=tuple(options.method), diagnose=diagnose)
        store = Store(order, cache_folder(Path(folder) / "cache"))
        looking = Growing(store)
        start = time.perf_counter()
        store.start()
        url = serving(looking)
        first, worst, early = None, 0.0, (float("nan"),) * 2
        while not looking.reading.done:
            _, slow, _ = asked(url, "api/state", 1)
            worst = max(worst, slow)
            if first is None and looking.answers is not None:
                first = time.perf_counter() - start
                early = asked(url, "api/runs", 1)[0], asked(url, "api/run/3", 1)[0]
            time.sleep(0.25)
        if looking.error is not None:
            raise looking.error
        whole = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        size = sum(f.stat().st_size for f in store.folder.iterdir())
        methods = len([m for m in looking.there().head.methods if m["skipped"] is None])
        print(
            f"index: {whole:.1f} s ({steps / whole:,.0f} steps/s), {peak:,.0f} MB at most, {size / 1e6:,.0f} MB on disk"
        )
        print(f"       {methods} methods of credit, {len(diagnose)} of diagnosis; first runs after {first or 0:.1f} s")
        print(
            f"       while it was made: state {worst:.0f} ms at worst, runs {early[0]:.0f} ms, a run {early[1]:.0f} ms"
        )
        start = time.perf_counter()
        again = Store(order, store.root)
        print(f"opened again in {(time.perf_counter() - start) * 1e3:.1f} ms (ready: {again.ready})")
        last = options.rollouts - 1
        for path in (
            *("", "api/state", "api/runs", f"api/run/{last // 2}", f"api/run/{last}/steps", "api/group/3"),
            *("api/search?q=writes+a+change", "api/search?q=nowhere+to+be+found", f"api/run/{last}/text/0/text"),
        ):
            median, slow, sent = asked(url, path, options.times)
            print(f"  /{path:<36} {median:8.1f} ms  {slow:8.1f} ms at worst  {sent / 1e3:10,.1f} kB")
        painted(url, options.times)
        decoded, looked = plain(data, "nowhere to be found")
        print(
            f"a plain loop: {decoded:.1f} s to decode the lines, {looked * 1e3:.0f} ms to look for words in all texts"
        )
        print(f"load: {', '.join(f'{x:.1f}' for x in os.getloadavg())} (1, 5, 15 minutes)")
        print(f"server: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB at most")
        print(json.dumps(looking.there().counts()))
        looking.close()


if __name__ == "__main__":
    main()
