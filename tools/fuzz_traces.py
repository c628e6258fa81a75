"""Malformed traces over all formats: python tools/fuzz_traces.py N [SEED]. Prints the rate, every crash and every slow
one with its seed; exit status 1 if there was any. Needs a checkout: it changes the traces of tests/data."""

import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "data"))

from mutations import fixtures_by_format, generator, mutated, scratched, survive, survive_file

SLOW, HUNG = 1.0, 10


class Hung(Exception):
    """A trace took too long."""


def stop(signum, frame):
    raise Hung(f"more than {HUNG} s")


def main(count, seed):
    signal.signal(signal.SIGALRM, stop)
    by_format = fixtures_by_format()
    names = sorted(by_format)
    every = [row for files in by_format.values() for row in files[0]]
    crashes, slow, read = Counter(), [], 0
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        for i in range(count):
            name = names[i % len(names)]
            rng = generator(f"{seed} {i}")
            given = rng.choice(by_format[name])
            signal.alarm(HUNG)
            start = time.process_time()
            try:
                if rng.random() < 0.1:
                    path.write_bytes(scratched(given, rng))
                    survive_file(name, path)
                else:
                    read += survive(name, mutated(given, rng, every))
            except Exception as error:  # whatever it is, it is what this looks for
                where = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"[:200]
                crashes[kind] += 1
                if crashes[kind] == 1:
                    print(f"CRASH seed {seed} {i}: {kind}", flush=True)
            took = time.process_time() - start
            if took > SLOW:
                slow.append(took)
                print(f"SLOW {took:.1f} s, seed {seed} {i}: {name}", flush=True)
            signal.alarm(0)
    took = time.perf_counter() - begun
    print(
        f"{count:,} traces over {len(names)} formats in {took:.0f} s ({count / took:,.0f} a second): "
        f"{read:,} rollouts read, {crashes.total()} crashes of {len(crashes)} kinds, {len(slow)} slow"
    )
    return 1 if crashes or slow else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "0"))
