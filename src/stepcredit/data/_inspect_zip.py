"""The `.eval` archives of inspect_ai as rows: one a sample, shaped as its JSON log with that one sample."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec

from stepcredit.errors import DataError

_LARGEST = 4 << 30  # of one member, unpacked
_SAMPLES, _HEADER = "samples/", "header.json"
_ZSTD = 93  # the number of the method in a zip archive


def samples(raw: BinaryIO, name: str, bad: Callable[[DataError], None]) -> Iterator[tuple[int, dict[str, Any], int]]:
    """(number from 1, the log with one sample, bytes) of each sample.

    Raises:
        DataError: another zip archive, or a broken one; a log without a sample.
    """
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"the zip archive is broken: {error}", file=name, hint="was it copied whole?") from None
    found = [i for i in archive.infolist() if i.filename.startswith(_SAMPLES) and i.filename.endswith(".json")]
    if _HEADER not in archive.namelist() or not found:
        raise DataError(
            "the file is a zip archive, and no log of inspect_ai with samples",
            file=name,
            got=archive.namelist()[:5],
            expected="JSON or Parquet, plain, .gz or .zst; or an .eval log",
        )
    header = _member(archive, archive.getinfo(_HEADER))
    if not isinstance(header, dict):
        raise DataError(f"{_HEADER} of the log must be an object", file=name, got=header)
    for number, info in enumerate(found, 1):
        try:
            sample = _member(archive, info)
        except DataError as error:
            bad(error.at(file=name, row=number))
            continue
        yield number, {**header, "samples": [sample]}, info.file_size


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.file_size > _LARGEST:
        raise DataError(f"{info.filename} is too large", got=f"{info.file_size:,} bytes", expected=f"<= {_LARGEST:,}")
    try:
        if info.compress_type == _ZSTD:
            data = _zstd(archive, info)
        else:
            with archive.open(info) as member:
                data = member.read(_LARGEST + 1)
        return msgspec.json.decode(data)
    except NotImplementedError as error:
        raise DataError(
            f"{info.filename} is packed in a way that this Python cannot read: {error}",
            hint="inspect log convert --to json",
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, RecursionError) as error:
        raise DataError(f"{info.filename} cannot be read: {error}") from None


def _zstd(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member packed by zstd, as inspect_ai does by default; zipfile reads those from Python 3.14 on."""
    import pyarrow as pa

    raw = archive.fp
    if raw is None:
        raise ValueError("the archive is closed")
    raw.seek(info.header_offset)
    head = raw.read(30)
    if head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("bad local header")
    raw.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    packed = pa.CompressedInputStream(pa.BufferReader(raw.read(info.compress_size)), "zstd")
    data: bytes = packed.read(info.file_size + 1)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile("bad CRC-32")
    return data
