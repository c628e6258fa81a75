"""How fast: steps per second of methods beside a plain loop, and beside copying the arrays once; peak memory.

The plain loops do what the methods' published code does: masks over all rows per rollout, dictionaries of lists per
cell, statistics per row. They run on fewer rows, because that is quadratic.
"""

import math
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from stepcredit.credit import assign
from stepcredit.data import Batch, Layout, encode
from stepcredit.data.layout import Floats, Ints
from stepcredit.ops import at_last

METHODS = ("grpo", "gigpo@verl-agent", "hgpo", "salt")
LOOP_STEPS = 20_000


class Timing(NamedTuple):
    """name; steps per second; the same for a plain loop (NaN if there is none); times faster than it; share of the
    time that copying the arrays once would take."""

    name: str
    steps_per_s: float
    loop_per_s: float
    times_loop: float
    copies: float


def world(steps: int, per_rollout: int = 50, per_prompt: int = 8, seed: int = 0) -> Batch:
    """Rollouts whose states repeat within prompts: integers, an outcome each, actions and observations."""
    rng = np.random.default_rng(seed)
    rollouts = max(steps // per_rollout, 1)
    layout = Layout(np.arange(rollouts) // per_prompt, np.repeat(np.arange(rollouts), per_rollout))
    state = rng.integers(0, 4, layout.S) * per_rollout + layout.turn
    action = rng.integers(0, 5, layout.S)
    columns = {
        "outcome": rng.integers(0, 2, layout.R).astype(float),
        "state": state,
        "action": action,
        "observation": state * 5 + action,
    }
    return Batch(layout, columns)


def methods(steps: int = 1_000_000, repeats: int = 3) -> Iterator[Timing]:
    """Each method on one core: the best of several runs, with the layout made anew in each."""
    batch, small = world(steps), world(LOOP_STEPS)
    arrays = [batch.layout.rollout, *batch.columns.values()]
    copy = best(lambda: [a.copy() for a in arrays], repeats)
    for name in METHODS:
        mine = best(partial(_run, name, batch), repeats)
        loop = best(partial(LOOPS[name], small), 1)
        got, want = assign(small, name).values, LOOPS[name](small)
        if not np.allclose(got, want, atol=1e-6):
            raise ArithmeticError(f"{name} and its plain loop disagree by {np.nanmax(np.abs(got - want)):g}")
        yield _timing(name, steps / mine, LOOP_STEPS / loop, copy / mine)


def strings(steps: int = 1_000_000) -> Timing:
    """Texts of about 65 characters to exact ids, beside one dictionary look-up per row in a plain loop."""
    ids = world(steps)["state"]
    texts = [f"room {i} of the house, the door is open and a lamp stands on table" for i in ids.tolist()]

    def loop() -> list[int]:
        known: dict[str, int] = {}
        out = []
        for text in texts:
            if text not in known:
                known[text] = len(known)
            out.append(known[text])
        return out

    copy = best(lambda: list(texts), 3)
    mine = best(lambda: encode(texts), 3)
    return _timing("encode string states", steps / mine, steps / best(loop, 3), copy / mine)


def memory(steps: int) -> tuple[float, float]:
    """Peak resident memory, in GB, of a fresh process: (with the arrays only, after all METHODS too)."""
    code = (
        "import resource\n"
        "from stepcredit.bench.suites import speed\n"
        f"batch = speed.world({steps})\n"
        "print(speed.peak_gb())\n"
        "from stepcredit.credit import assign\n"
        "for name in speed.METHODS:\n"
        "    assign(speed._fresh(batch), name)\n"
        "print(speed.peak_gb())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), float(out[1])


def reading(megabytes: float) -> tuple[float, float, int]:
    """Streaming a JSONL file of our own records in a fresh process: (MB per second, peak GB, steps)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollouts.jsonl"
        size = write_rollouts(path, megabytes)
        code = (
            "from time import perf_counter\n"
            "from stepcredit.bench.suites import speed\n"
            "from stepcredit.data import stream\n"
            "start = perf_counter()\n"
            f"steps = sum(b.layout.S for b in stream({str(path)!r}))\n"
            "print(perf_counter() - start, speed.peak_gb(), steps)\n"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return size / 1e6 / float(out[0]), float(out[1]), int(out[2])


def write_rollouts(path: Path, megabytes: float) -> int:
    """A JSONL file of about this size, 8 rollouts of 8 steps per group; its size in bytes."""
    text = "The agent opens the drawer and finds a small brass key under the folded map. " * 3
    steps = ",".join(
        f'{{"state":"room {t}","text":"{text}","action":"open {t}","observation":"{text}","reward":0.0}}'
        for t in range(8)
    )
    size, group = 0, 0
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            for i in range(8):
                head = f'{{"schema_version":1,"group":"g{group}","rollout":{i},"outcome":{i % 2}.0,"steps":['
                size += file.write(f"{head}{steps}]}}\n")
            group += 1
    return size


def peak_gb() -> float:
    """Peak resident memory of this process, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _run(name: str, batch: Batch) -> None:
    assign(_fresh(batch), name)


def _fresh(batch: Batch) -> Batch:
    return Batch(Layout(batch.layout.group, batch.layout.rollout), batch.columns)


def best(run: Callable[[], Any], repeats: int) -> float:
    """Seconds of the quickest of several runs."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def _timing(name: str, mine: float, loop: float, copies: float) -> Timing:
    return Timing(name, mine, loop, mine / loop, copies)


def _loop_returns(batch: Batch, gamma: float) -> Floats:
    """Discounted returns, one mask over all rows per rollout."""
    rollout, reward = batch.layout.rollout, at_last(batch.layout, batch["outcome"])
    out = np.zeros(batch.layout.S)
    for r in np.unique(rollout):
        rows = np.where(rollout == r)[0]
        running = 0.0
        for s in reversed(rows):
            running = reward[s] + gamma * running
            out[s] = running
    return out


def _loop_normalized(scores: Floats, keys: list[Any], ddof: int, eps: float, lone: str) -> Floats:
    """Dictionaries of lists, then statistics looked up per row."""
    cells: dict[Any, list[float]] = defaultdict(list)
    for key, score in zip(keys, scores, strict=True):
        cells[key].append(float(score))
    stats = {}
    for key, values in cells.items():
        n = len(values)
        mean = sum(values) / n if n > 1 or lone == "zero" else 0.0
        ways = max(n - ddof, 1)
        stats[key] = mean, math.sqrt(sum((v - mean) ** 2 for v in values) / ways) if n > 1 else 1.0
    return np.array([(s - stats[k][0]) / (stats[k][1] + eps) for k, s in zip(keys, scores, strict=True)])


def _loop_grpo(batch: Batch, eps: float = 1e-4) -> Floats:
    lay = batch.layout
    advantage = _loop_normalized(batch["outcome"], lay.group.tolist(), 1, eps, "zero")
    return np.array([advantage[r] for r in lay.rollout])


def _loop_gigpo(batch: Batch) -> Floats:
    lay, groups = batch.layout, batch.layout.step_group.tolist()
    episode = _loop_normalized(batch["outcome"][lay.rollout], groups, 1, 1e-6, "raw")
    place = list(zip(groups, batch["state"].tolist(), strict=True))
    return episode + _loop_normalized(_loop_returns(batch, 0.95), place, 1, 1e-6, "zero")


def _windows(batch: Batch, key: Ints, k: int) -> list[Any]:
    lay, values = batch.layout, key.tolist()
    start = lay.paths.start
    return [tuple(values[max(start[r], s - k + 1) : s + 1]) for s, r in enumerate(lay.rollout.tolist())]


def _loop_hgpo(batch: Batch, history: int = 2, alpha: float = 1.0, eps: float = 1e-6) -> Floats:
    lay = batch.layout
    gains, groups = _loop_returns(batch, 0.95), lay.step_group.tolist()
    total, weights = np.zeros(lay.S), np.full(lay.S, eps)
    for k in range(1, history + 2):
        deep = lay.turn >= k - 1
        keys = [(g, w) for g, w in zip(groups, _windows(batch, batch["state"], k), strict=True)]
        cells: dict[Any, list[float]] = defaultdict(list)
        for s in range(lay.S):
            if deep[s]:
                cells[keys[s]].append(float(gains[s]))
        for s in range(lay.S):
            values = cells[keys[s]] if deep[s] else []
            if len(values) < 2 or max(values) == min(values):
                continue
            item = (gains[s] - np.mean(values)) / (np.std(values) + eps)
            if item != 0:
                total[s] += (k + 1) ** alpha * item
                weights[s] += (k + 1) ** alpha
    credit: Floats = total / weights
    return credit


def _loop_salt(batch: Batch, history: int = 3) -> Floats:
    lay = batch.layout
    base = _loop_grpo(batch, 1e-6)
    pairs = list(zip(batch["action"].tolist(), batch["observation"].tolist(), strict=True))
    start, edges = lay.paths.start.tolist(), defaultdict(list)
    keys: list[Any] = []
    for s, r in enumerate(lay.rollout.tolist()):
        before = tuple(pairs[max(start[r], s - history) : s])
        keys.append((int(lay.group[r]), before, pairs[s]))
        edges[keys[-1]].append(float(base[s]))
    return np.array([sum(edges[k]) / len(edges[k]) for k in keys])


LOOPS: dict[str, Callable[[Batch], Floats]] = {
    "grpo": _loop_grpo,
    "gigpo@verl-agent": _loop_gigpo,
    "hgpo": _loop_hgpo,
    "salt": _loop_salt,
}
