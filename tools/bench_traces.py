"""How fast traces of all formats are read: traces and megabytes a second, memory, and the ratio to a plain loop.

    python tools/bench_traces.py [--traces 10000] [--profile FORMAT]

The traces of tests/data are made longer, to 10 to 30 steps, with names and texts of their own: half of the files hold
one, the others many. Each format is read in a process of its own, by `Reading` and then by a loop of `json.loads`,
which knows nothing of steps; at last all files are read at once. Needs a checkout.
"""

import argparse
import ast
import cProfile
import io
import json
import os
import pstats
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "data"))

from fixtures import FILES, format_of

from stepcredit.data.reading import Reading
from stepcredit.data.storage import rows

Trace = list[Any]
HEX = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-f.])[0-9a-f]{16,64}(?![0-9a-f])"
)
CLOCK = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:)(\d\d):(\d\d)|(?<!\d)(1[78]\d{8})(\d{9})(?!\d)|(\d{8}T\d\d)(\d\d)(\d\d)(?=\d{6}Z)"
)
NAMED = (
    *("task_id", "session_id", "sessionId", "trajectory_id", "query_index", "example_id", "question_ID", "puzzle"),
    *("trace_id", "id", "group", "input", "step", "episode_id", "training_step", "key", "eval_id", "environment"),
)
IDS = ("id", "call_id", "tool_call_id", "tool_use_id", "event_id", "parent_event_id", "source_call_id", "uuid")
TEXTS = ("content", "text", "message", "observation", "response", "thought", "output", "input_value", "obs")
WORDS = ("the file", "then reads", "of the test", "and says", "that a seat", "is left", "as the rule has it", "42")
SHORT, LONG, VARIANTS, PER_FILE = 10, 30, 4, 20


def told(value: Any, rng: random.Random, key: str = "") -> Any:
    """A value whose texts go on with words of their own."""
    if isinstance(value, dict):
        return {k: told(v, rng, k) for k, v in value.items()}
    if isinstance(value, list):
        return [told(v, rng, key) for v in value]
    if isinstance(value, str) and key in TEXTS and " " in value and value[0] not in "{[":
        return f"{value} {' '.join(rng.choices(WORDS, k=rng.randrange(5, 60)))}"
    return value


def hashed(text: str, salt: str, kept: Iterable[str] = ()) -> str:
    """The text with other hexadecimal names in it, equal ones for equal ones."""
    left = set(kept)

    def other(match: re.Match[str]) -> str:
        old = match.group()
        if old in left or old.isdecimal():  # a number is no name
            return old
        new = iter(blake2b(f"{salt}{old}".encode(), digest_size=32).hexdigest())
        return "".join("-" if sign == "-" else next(new) for sign in old)

    return HEX.sub(other, text)


def later(text: str, seconds: int) -> str:
    """The text with its times moved on."""

    def moved(match: re.Match[str]) -> str:
        day, minute, second, epoch, nano, short, minute2, second2 = match.groups()
        if epoch:
            return f"{int(epoch) + seconds}{nano}"
        at = int(minute or minute2) * 60 + int(second or second2) + seconds
        between = ":" if day else ""
        return f"{day or short}{at // 60 % 60:02}{between}{at % 60:02}"

    return CLOCK.sub(moved, text)


def copies(body: list[Any], times: int, rng: random.Random, kept: Iterable[str] = ()) -> list[list[Any]]:
    """What is repeated, each time with its own names of calls and spans, times and texts."""
    text = json.dumps(body)
    names = sorted({v for v in _ids(body) if len(v) > 3 and not HEX.fullmatch(v) and any(c.isdigit() for c in v)})
    out = []
    for k in range(times):
        made = hashed(later(text, 2 * k), str(k), kept)
        for name in names:
            made = made.replace(f'"{name}"', f'"{name}.{k}"').replace(f'\\"{name}\\"', f'\\"{name}.{k}\\"')
        out.append(told(json.loads(made), rng))
    return out


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for k, v in value.items():
            if k in IDS and isinstance(v, str):
                yield v
            yield from _ids(v)
    elif isinstance(value, list):
        for v in value:
            yield from _ids(v)


def longer(items: list[Any], size: int, rng: random.Random) -> list[Any]:
    """Messages, steps or events: what comes before the first that the model made once, the rest again and again."""
    head = 0
    while head < len(items) - 1 and (items[head].get("role") or items[head].get("source")) in (
        "system",
        "user",
        "human",
    ):
        head += 1
    body = items[head:]
    return items[:head] + [i for copy in copies(body, -(-size // len(body)), rng) for i in copy]


def of(*path: str) -> Callable[[Trace, int, random.Random], Trace]:
    """Makes the list at a path of each row longer."""

    def grow(trace: Trace, size: int, rng: random.Random) -> Trace:
        made = json.loads(json.dumps(trace))
        for row in made:
            holders = [row]
            for part in path[:-1]:
                holders = [
                    h
                    for holder in holders
                    for h in (holder[part] if isinstance(holder[part], list) else [holder[part]])
                ]
            for holder in holders:
                if isinstance(holder.get(path[-1]), list) and holder[path[-1]]:
                    holder[path[-1]] = longer(holder[path[-1]], size, rng)
        return made

    return grow


def listed(trace: Trace, size: int, rng: random.Random) -> Trace:
    """A file that is a list of messages."""
    return longer(trace, size, rng)


def spans(trace: Trace, size: int, rng: random.Random) -> Trace:
    """Spans below the root again and again, in rows or in the lists of rows."""
    made = json.loads(json.dumps(trace))
    lists = [found for row in made for found in _lists(row)] or [made]
    roots = [s for found in lists for s in found if _root(s)]
    kept = {n for s in roots for n in (*HEX.findall(json.dumps(s)[:4000]),)}
    kept = {n for n in kept if any(n in str(s.get(k)) for s in roots for k in _NAMES)}
    total = sum(map(len, lists)) - len(roots)
    for found in lists:
        own = [s for s in found if _root(s)]
        body = [s for s in found if not _root(s)]
        found[:] = [s for copy in copies(body, max(1, round(size * 2 / total)), rng, kept) for s in copy] + own
    return made


_NAMES = ("id", "traceId", "spanId", "span_id", "trace_id", "context", "context.span_id", "context.trace_id")


def _root(span: dict[str, Any]) -> bool:
    parents = ("parent_id", "parentSpanId", "parentObservationId", "parent_run_id")
    return "logRecords" not in span and "body" not in span and not any(span.get(p) for p in parents)


def _lists(row: dict[str, Any]) -> Iterator[list[Any]]:
    for name in ("observations", "child_runs"):
        if isinstance(row.get(name), list):
            yield row[name]
    for outer, scope, inner in (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords")):
        for resource_ in row.get(outer, ()):
            for found in resource_.get(scope, ()):
                yield found[inner]


def logged(trace: Trace, size: int, rng: random.Random) -> Trace:
    """The calls of one conversation: each is sent what was said before it."""
    last = max(trace, key=lambda row: len((row.get("request") or row)["messages"]))
    messages = longer((last.get("request") or last)["messages"], 2 * size, rng)
    out = []
    for at, message in enumerate(messages):
        if message.get("role") == "assistant":
            row = json.loads(later(json.dumps(last), len(out)))
            (row.get("request") or row)["messages"] = messages[:at]
            answer = row.get("response") or row
            if "choices" in answer:
                answer["choices"] = [{**answer["choices"][0], "message": message}]
            else:
                answer["content"] = message["content"]
            if "id" in row:
                row["id"] = f"{row['id']}-{len(out)}"
            out.append(row)
    return out


def chained(trace: Trace, size: int, rng: random.Random) -> Trace:
    """Calls that name the one before."""
    out: Trace = []
    for copy in copies(trace, -(-size // len(trace)), rng):
        if out:
            copy[0]["request"]["previous_response_id"] = out[-1]["response"]["id"]
        out += copy
    return out


def as_text(field: str, between: str) -> Callable[[Trace, int, random.Random], Trace]:
    """Paragraphs of one text."""

    def grow(trace: Trace, size: int, rng: random.Random) -> Trace:
        made = between.join(f"So {' '.join(rng.choices(WORDS, k=20))}" for _ in range(size))
        return [{**row, field: [made] * len(row[field]) if isinstance(row[field], list) else made} for row in trace]

    return grow


def quoted(trace: Trace, size: int, rng: random.Random) -> Trace:
    """A list of messages in a text, as Python writes it."""
    return [{**row, "history": repr(longer(ast.literal_eval(row["history"]), size, rng))} for row in trace]


def nodes(trace: Trace, size: int, rng: random.Random) -> Trace:
    """A chain of messages that name the one before by its number."""
    made = of("nodes")(trace, size, rng)
    for row in made:
        for i, node in enumerate(row["nodes"]):
            node["parent"] = i - 1 if i else None
    return made


GROW = {
    "agentdebugx.jsonl": of("events"),
    "atif": of("steps"),
    "anthropic_messages_log": logged,
    "openai_chat_log": logged,
    "openai_chat_litellm": logged,
    "openai_chat_messages": listed,
    "openai_responses_items": listed,
    "openai_responses_log": chained,
    "game24_cot": as_text("rollouts", "\n"),
    "verl_rollout": as_text("output", "\n\n"),
    "langfuse": spans,
    "langsmith": spans,
    "openinference": spans,
    "openai_agents": spans,
    "otel": spans,
    "inspect_ai": of("samples", "events"),
    "rllm": of("trajectories", "steps"),
    "stepcredit": of("steps"),
    "swe_agent_demonstration": of("history"),
    "swe_agent": of("trajectory"),
    "tau2_simulation": of("messages"),
    "tau2": of("simulations", "messages"),
    "tau_bench": of("traj"),
    "trl_completions": of("completion"),
    "verifiers_results": of("completion"),
    "verifiers": nodes,
    "who_and_when_generated": quoted,
    "who_and_when": of("history"),
    "": of("messages"),
}
LEFT = (  # no traces, but what is said of them; and shapes that are small variants of others, and not made longer here
    *("agentdebugx.reports", "anthropic_messages_batch", "anthropic_messages_claude_code", "openai_chat_autogen"),
    *("openai_chat_batch", "openai_chat_lang", "openai_chat_openai_agents", "openai_chat_pydantic", "openai_chat_smol"),
    *("openai_agents_responses", "openinference_phoenix_annotations", "openinference_phoenix_otlpv1"),
    *("openinference_phoenix_rest", "openinference_phoenix_table", "swe_agent_mini"),
)
WHOLE = ("tau2.json", "inspect_ai", "openai_chat_messages", "openai_responses_items", "swe_agent")


class Template:
    """A trace to be written often, each time under names of its own."""

    def __init__(self, trace: Trace) -> None:
        made: Trace = json.loads(json.dumps(trace))
        names = {v for h in _holders(made) for k, v in h.items() if k in NAMED and isinstance(v, str) and v}
        for holder in _holders(made):
            for name in NAMED:
                if type(holder.get(name)) is int:
                    holder[name] = _NUMBER + holder[name]
            for name in ("messages", "prompt", "history", "traj"):
                for message in holder[name][:2] if isinstance(holder.get(name), list) else ():
                    if isinstance(message.get("content"), str):
                        message["content"] += " (@@)"
        plain_names = [re.escape(json.dumps(n)) + "(?!:)" for n in sorted(names, key=len) if not HEX.search(n)]
        self._find = re.compile("|".join([*plain_names, HEX.pattern, "@@", f"{_NUMBER}"[:6] + r"\d{7}(?!\d)"]))
        self._made = made
        self._split: dict[str, tuple[list[str], list[str]]] = {}

    def text(self, number: int, salt: str, how: str) -> str:
        """how: "lines", "list" or "one" (the first row, indented)."""
        if how not in self._split:
            text = "\n".join(map(json.dumps, self._made)) + "\n"
            text = (
                json.dumps(self._made)
                if how == "list"
                else json.dumps(self._made[0], indent=1)
                if how == "one"
                else text
            )
            self._split[how] = self._find.split(text), self._find.findall(text)
        between, names = self._split[how]
        own = {n: self._own(n, number, salt) for n in set(names)}
        return between[0] + "".join(own[n] + b for n, b in zip(names, between[1:], strict=True))

    @staticmethod
    def _own(name: str, number: int, salt: str) -> str:
        if name == "@@":
            return str(number)
        if name.startswith('"'):
            return f'{name[:-1]}-{number}"'
        if name.isdecimal() and len(name) == 13 and name.startswith(f"{_NUMBER}"[:6]):
            return str((int(name) - _NUMBER) * 100_000 + number)
        return hashed(name, salt)


_NUMBER = 9_876_540_000_000


def _holders(trace: Trace) -> Iterator[dict[str, Any]]:
    for row in trace:
        yield row
        yield from (v for v in row.values() if isinstance(v, dict))
        yield from row.get("simulations", ())


def written(traces: int, to: Path, seed: int = 0) -> dict[str, list[str]]:
    """Writes files, about as many traces of each fixture; returns the paths by format."""
    rng, by_format = random.Random(seed), {}
    files = [f for f in FILES if not f.name.startswith(LEFT)]
    for place, path in enumerate(files):
        first = [row.value for row in rows(path, nan=True)]
        is_list = path.read_bytes()[:1] == b"["
        grow = GROW[max((n for n in GROW if path.name.startswith(n)), key=len)]
        variants = [Template(grow(first, rng.randrange(SHORT, LONG + 1), rng)) for _ in range(VARIANTS)]
        share = traces // len(files) + (place < traces % len(files))
        whole = path.name.startswith(WHOLE)
        many: list[str] = []
        for n in range(share):
            made, salt = variants[n % VARIANTS], f"{path.name}{n}"
            at = to / format_of(path) / f"{path.stem}-{n}" / path.name
            at.parent.mkdir(exist_ok=True, parents=True)
            found = by_format.setdefault(format_of(path), [])
            if whole or n % 2:
                found.append(str(at))
                how = "list" if is_list or path.suffix == ".eval" else "lines" if path.suffix == ".jsonl" else "one"
                text = made.text(n, salt, how)
                at.write_bytes(_archive(json.loads(text)) if path.suffix == ".eval" else text.encode())
            else:
                many.append(made.text(n, salt, "lines"))
            if many and (len(many) == PER_FILE or n >= share - 2):
                at = at.with_name(f"many-{path.stem}.jsonl")
                at.write_text("".join(many))
                found.append(str(at))
                many = []
    return by_format


def _archive(made: Trace) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({k: v for k, v in made[0].items() if k != "samples"}))
        for sample in [sample for log in made for sample in log["samples"]]:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return out.getvalue()


def plain(path: str) -> int:
    """Every value of a file, and their bytes."""
    with Path(path).open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                texts = [archive.read(name) for name in archive.namelist()]
        else:
            file.seek(0)
            texts = [file.read()] if path.endswith((".json", ".traj")) else list(file)
    for text in texts:
        json.loads(text)
    return sum(map(len, texts))


def peak() -> int:
    """Most memory of this process so far, in kB; not that of the one that started it, where the system can tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(paths: list[str], profile: bool) -> None:
    """Reads the files, in this process; prints a line of JSON."""
    for path in paths:
        Path(path).read_bytes()
    Reading(paths[0], on_error="skip")  # so that all formats are there
    bare = peak()
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    start, clock = time.process_time(), time.perf_counter()
    reading = Reading(paths, on_error="skip")
    rollouts = steps = 0
    for rollout in reading:
        rollouts, steps = rollouts + 1, steps + len(rollout.steps)
    took, clock = time.process_time() - start, time.perf_counter() - clock
    profiler.disable()
    most = peak()
    start = time.process_time()
    size = sum(map(plain, paths))
    loop = time.process_time() - start
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumtime").print_stats(45)
    skipped = [e.message for e in reading.skipped]
    print(json.dumps([rollouts, steps, size, took, clock, loop, bare, most, len(skipped), skipped[:1], reading.format]))


def shown(name: str, files: list[str], profile: bool = False) -> tuple[int, float, float]:
    """Measures in a process of its own, and prints a line."""
    command = [sys.executable, __file__, "--read", *(["--profile", name] if profile else [])]
    done = subprocess.run(command, input=json.dumps(files).encode(), stdout=subprocess.PIPE, check=True)
    rollouts, steps, size, took, clock, loop, bare, most, skipped, why, _ = json.loads(done.stdout)
    print(
        f"{name:<20} {len(files):6,} {rollouts:8,} {steps / max(rollouts, 1):6.1f} {size / 1e6:8.1f} "
        f"{rollouts / took:9,.0f} {size / 1e6 / took:8.1f} {took / loop:7.2f}x {clock:7.2f} {most / 1e3:7,.0f} "
        f"{(most - bare) / 1e3:+6,.0f} {os.getloadavg()[0]:5.1f}"
        + (f"  {skipped} left out: {why[0]}" if skipped else ""),
        flush=True,
    )
    return rollouts, took, loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--profile", help="this format only, with the costs of its functions")
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        measured(json.load(sys.stdin), options.profile is not None)
        return
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        by_format = written(options.traces, Path(folder))
        print(f"made in {time.perf_counter() - start:.0f} s; times are of the processor, load of one minute")
        print(
            f"{'format':<20} {'files':>6} {'rollouts':>8} {'steps':>6} {'MB':>8} {'a second':>9} {'MB/s':>8} "
            f"{'to loop':>8} {'wall s':>7} {'peak MB':>7} {'more':>6} {'load':>5}"
        )
        if options.profile:
            shown(options.profile, by_format[options.profile], True)
            return
        for name, files in sorted(by_format.items()):
            shown(name, files)
        every = [f for files in by_format.values() for f in files]
        shown("all", every)


if __name__ == "__main__":
    main()
