"""`python -m stepcredit.integrations.ray`: read + encode + credit on Ray against one process, in the same run."""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stepcredit.credit import assign as assign_credit
from stepcredit.data import Reading
from stepcredit.integrations import ray as on_ray
from stepcredit.integrations._ray_work import peak

_ALONE = "from stepcredit.integrations._ray_bench import alone; import sys; alone(*sys.argv[1:])"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, or JSON; 0."""
    options = _options().parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = options.file or _made(Path(folder) / "runs.jsonl", options.steps)
        begin = time.perf_counter()
        with on_ray.connected(options.ray) as ray:
            start_up = time.perf_counter() - begin
            pairs = [(_one(path, options.method), _many(ray, path, options.method)) for _ in range(options.repeat)]
    ones, manies = zip(*pairs, strict=True)
    out = {
        "file": str(options.file or f"{options.steps:,} steps made at random"),
        "bytes": ones[0]["bytes"],
        "steps": ones[0]["steps"],
        "method": options.method,
        "start-up of Ray, s": start_up,
        "one process, s": [o["seconds"] for o in ones],
        "Ray, s": [m["seconds"] for m in manies],
        "of it the look at the file, s": [m["look"] for m in manies],
        "times faster": [o["seconds"] / m["seconds"] for o, m in pairs],
        "times faster (median)": statistics.median(o["seconds"] / m["seconds"] for o, m in pairs),
        "CPU of one process, s": [o["cpu"] for o in ones],
        "CPU of the driver, s": [m["cpu"] for m in manies],
        "CPU of the workers, s": [m["cpu of workers"] for m in manies],
        "workers": max(m["workers"] for m in manies),
        "peak memory, MB": {
            "one process": max(o["peak"] for o in ones) / 1e6,
            "Ray: this process": peak() / 1e6,
            "Ray: the largest worker": max(m["peak"] for m in manies) / 1e6,
        },
    }
    if options.json:
        sys.stdout.write(json.dumps(out) + "\n")
    else:
        sys.stdout.writelines(f"{name:32}{_shown(value)}\n" for name, value in out.items())
    return 0


def alone(path: str, method: str) -> None:
    """One process: print its seconds, steps, bytes and peak memory as JSON."""
    begin, steps, reading = time.perf_counter(), 0, Reading(path)
    for batch in reading.stream():
        steps += assign_credit(batch, method).batch.layout.S
    seconds = time.perf_counter() - begin
    told = {"seconds": seconds, "steps": steps, "bytes": reading.bytes, "peak": peak(), "cpu": time.process_time()}
    sys.stdout.write(json.dumps(told))


def _one(path: Path, method: str) -> dict[str, float]:
    ran = subprocess.run([sys.executable, "-c", _ALONE, str(path), method], check=True, capture_output=True)
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def _many(ray: object, path: Path, method: str) -> dict[str, float]:
    begin, cpu, steps = time.perf_counter(), time.process_time(), 0
    work = on_ray.Sharded(ray, Reading(path), [method])
    look = time.perf_counter() - begin
    for shard in work.shards():
        steps += shard.credits[0].steps.size
    seconds = time.perf_counter() - begin
    cpu = time.process_time() - cpu
    spent = {"seconds": seconds, "look": look, "cpu": cpu, "cpu of workers": work.cpu}
    return {**spent, "steps": steps, "peak": work.peak, "workers": len(work.workers)}


def _made(path: Path, steps: int) -> Path:
    """Rollouts of an agent that walks through rooms: groups of 8, 4 to 16 steps each, about 110 bytes a step."""
    draw, made, group = random.Random(0), 0, 0
    text = "I think the key is in the other room, so I go there."
    with path.open("w", encoding="utf-8") as file:
        while made < steps:
            for r in range(8):
                walk = [
                    {"state": f"room {draw.randrange(12)}", "action": f"go {draw.randrange(6)}", "text": text}
                    for _ in range(draw.randint(4, 16))
                ]
                row = {"group": f"task {group}", "rollout": r, "outcome": draw.randrange(2), "steps": walk}
                file.write(json.dumps(row) + "\n")
                made += len(walk)
            group += 1
    return path


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stepcredit.integrations.ray", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="of rollouts made at random")
    parser.add_argument("--file", type=Path, help="rollouts of yours instead")
    parser.add_argument("--folder", help="where the rollouts made are kept meanwhile; about 110 bytes a step")
    parser.add_argument("--method", default="gigpo")
    parser.add_argument("--ray", default="local", metavar="ADDRESS")
    parser.add_argument("--repeat", type=int, default=1, help="pairs of runs, one after the other")
    parser.add_argument("--json", action="store_true")
    return parser


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{n} {_shown(v)}" for n, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
