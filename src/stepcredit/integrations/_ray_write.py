"""Lines and rows that workers encode, and files that the driver writes from them, byte for byte those of `Writer`."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepcredit.credit import Credit
from stepcredit.data import AdvantageWriter, Batch, Writer, writing
from stepcredit.data.storage import placed
from stepcredit.errors import DataError


@dataclass(frozen=True)
class EncodedRollouts:
    """Rollouts of a shard. data: their lines; or a table, with the weight of each row towards a row group."""

    count: int
    data: Any
    weights: tuple[int, ...] = ()


@dataclass(frozen=True)
class EncodedAdvantages:
    """Lines of advantages, numbered from the first row of the shard."""

    count: int
    data: bytes

    @classmethod
    def of(cls, path: str, credit: Credit) -> "EncodedAdvantages":
        """The lines that `AdvantageWriter` would write of this credit."""
        writer = AdvantageWriter(path)
        writer._sink = io.BytesIO()
        writer.write(credit.rows())
        return cls(writer._file.count, writer._sink.getvalue())


def encoder(path: str) -> "_Lines | _Table":
    """Encodes rollouts as the file of this name will hold them."""
    return _Table(path) if Path(path).suffix == ".parquet" else _Lines(path)


class _Lines(Writer):
    def encode(self, batch: Batch) -> EncodedRollouts:
        self._sink = io.BytesIO()
        self.write(batch)
        return EncodedRollouts(self._file.count, self._sink.getvalue())


class _Table(Writer):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._weights: list[int] = []

    def encode(self, batch: Batch) -> EncodedRollouts:
        import pyarrow as pa

        from stepcredit.data.parquet import schema

        self.write(batch)
        try:
            table = pa.Table.from_pylist(self._waiting, schema=schema())
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError) as error:
            raise DataError(f"cannot be written as Parquet: {error}", file=self._file.path) from None
        return EncodedRollouts(self._file.count, table, tuple(self._weights))

    def _add_row(self, rollout: Any) -> None:
        before, self._weight = self._weight, 0
        super()._add_row(rollout)
        self._weights.append(self._weight)
        self._weight = before  # the driver decides where row groups end


class RolloutFile(Writer):
    """A file of rollouts, written from what workers encoded."""

    def add(self, part: EncodedRollouts) -> None:
        """Add the rollouts of a shard."""
        self._file.count += part.count
        if self._parquet:
            self._add_table(part)
        else:
            _write_lines(self, part.data)

    def _add_table(self, part: EncodedRollouts) -> None:
        waiting: list[Any] = self._waiting
        start = 0
        for i, weight in enumerate(part.weights, 1):
            self._weight += weight
            if self._weight >= writing._ROW_GROUP:
                waiting.append(part.data.slice(start, i - start))
                start = i
                self._flush()
                waiting = self._waiting
        if start < part.count:
            waiting.append(part.data.slice(start))

    def _flush(self) -> None:
        import pyarrow as pa

        table = pa.concat_tables(self._waiting).combine_chunks()
        with placed(self._file.path):
            self._sink.write_table(table, row_group_size=max(table.num_rows, 1))
        self._waiting, self._weight = [], 0


class AdvantageFile(AdvantageWriter):
    """A file of advantages, written from what workers encoded."""

    def add(self, part: EncodedAdvantages) -> None:
        """Add the rows of a shard; their numbers go on from the shard before."""
        out = []
        for line in part.data.splitlines(keepends=True):
            out.append(b'{"row":%d' % self._file.count + line[line.index(b",") :])
            self._file.count += 1
        _write_lines(self, b"".join(out))


def _write_lines(writer: Writer | AdvantageWriter, data: bytes) -> None:
    """Compressors are fed line by line, as `Writer` feeds them: how their input is cut may show in their output."""
    packed = writer._file.path.suffix in (".gz", ".zst")
    with placed(writer._file.path):
        for piece in data.splitlines(keepends=True) if packed else [data]:
            writer._sink.write(piece)
