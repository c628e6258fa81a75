"""What a search looks into: the texts of all steps in lower case, in blocks that are scanned as they lie.

words-0000.arrow       one row a step: its texts in lower case, each with a byte after it that no text holds
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.app.view.stopping import Stop

PLACES = ("text", "reasoning", "calls", "observation")
"""Of a step whose texts hold the words in several places the first is told."""
_END = b"\xff"
_Place = tuple[int, int, str]  # run, step, place


def folded(text: str) -> bytes:
    """A text or words as they are compared: in lower case."""
    return text.lower().encode("utf-8", "replace")


def schema() -> Any:
    """The columns of the file."""
    import pyarrow as pa

    return pa.schema([("run", pa.int64()), ("step", pa.int32()), ("words", pa.large_binary())])


def block(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The block of some rows of texts."""
    import pyarrow as pa

    words = [b"".join([folded(row[n]) + _END if row[n] else _END for n in PLACES]) for row in rows]
    columns = [[row["run"] for row in rows], [row["step"] for row in rows], words]
    return pa.record_batch(
        [pa.array(c, kind) for c, kind in zip(columns, schema().types, strict=True)], schema=schema()
    )


def places(files: Sequence[Path], words: str, most: int, stop: Stop | None = None) -> list[_Place]:
    """Steps that hold the words, in order, those of whole blocks until there are `most`.

    Raises:
        OSError: a file is not there. ValueError: it is none of ours. Stopped: nobody waits for them.
    """
    stop = Stop() if stop is None else stop
    wanted = folded(words)
    if not wanted or _END in wanted:
        return []
    out: list[_Place] = []
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        blocks = _blocks(files)
        waiting = [
            pool.submit(_found, *b, wanted, most, stop) for _, b in zip(range(2 * threads), blocks, strict=False)
        ]
        while waiting:
            out += waiting.pop(0).result()
            if len(out) >= most:
                for one in waiting:
                    one.cancel()
                break
            following = next(blocks, None)
            if following is not None:
                waiting.append(pool.submit(_found, *following, wanted, most, stop))
    return out


def _blocks(files: Sequence[Path]) -> Iterator[tuple[Any, int]]:
    import pyarrow as pa

    for path in files:
        with pa.memory_map(str(path)) as source:
            count = pa.ipc.open_file(source).num_record_batches
        for number in range(count):
            yield path, number


def _found(path: Path, number: int, wanted: bytes, most: int, stop: Stop) -> list[_Place]:
    """Of one block."""
    import pyarrow as pa

    stop.look()
    with pa.memory_map(str(path)) as source:
        batch = pa.ipc.open_file(source).get_batch(number)
        column = batch.column("words")
        _, starts, data = column.buffers()
        start = np.frombuffer(starts, np.int64)[: len(column) + 1]
        text = b"" if data is None else data.to_pybytes()
        hits: list[tuple[int, int]] = []
        at = text.find(wanted)
        while at >= 0 and len(hits) < most:
            row = bisect_right(start, at) - 1
            hits.append((row, text.count(_END, int(start[row]), at)))
            at = text.find(wanted, int(start[row + 1]))
        runs, steps = (batch.column(n).to_numpy() for n in ("run", "step"))
        return [(int(runs[row]), int(steps[row]), PLACES[place]) for row, place in hits]
