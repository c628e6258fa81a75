"""A file from an http(s) address, into a temporary one."""

import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from stepcredit.errors import DataError

MOST_BYTES = 2 << 30
SECONDS = 30.0
LONGEST = 3600.0
_CHUNK = 1 << 18


@contextmanager
def downloaded(
    address: str, *, most_bytes: int = MOST_BYTES, seconds: float = SECONDS, longest: float = LONGEST
) -> Iterator[Path]:
    """The file as long as the block lasts.

    Args:
        most_bytes: a larger one is refused. seconds: wait for an answer, or for its next bytes. longest: in all.

    Raises:
        DataError: it is not there, too large, or does not come.
    """
    shown = bare(address)
    with tempfile.TemporaryDirectory(prefix="stepcredit-view-") as folder:
        name = Path(urllib.parse.urlsplit(address).path).name
        at = Path(folder) / ("".join(c for c in name if c.isalnum() or c in "._-").lstrip(".")[-100:] or "download")
        try:
            _fetch(address, at, shown, most_bytes, seconds, longest)
        except urllib.error.HTTPError as error:
            raise DataError(f"the server answers {error.code} {error.reason}", file=shown) from None
        except (OSError, ValueError, HTTPException) as error:
            if isinstance(error, DataError):
                raise
            reason = getattr(error, "reason", None) or error
            raise DataError(f"cannot be fetched: {reason}", file=shown) from None
        yield at


def _fetch(address: str, at: Path, shown: str, most_bytes: int, seconds: float, longest: float) -> None:
    end = time.monotonic() + longest
    asked = urllib.request.Request(address, headers={"User-Agent": "stepcredit"})
    with urllib.request.urlopen(asked, timeout=seconds) as answer, at.open("wb") as file:
        size = 0
        told = answer.headers.get("Content-Length", "")
        if told.isdigit() and int(told) > most_bytes:
            raise _too_large(shown, int(told), most_bytes)
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(shown, size, most_bytes)
            if time.monotonic() > end:
                raise DataError(f"not whole after {longest:g} s", file=shown)
            file.write(chunk)
        if told.isdigit() and size < int(told):
            raise DataError("the connection broke off", file=shown, got=f"{size:,} of {int(told):,} bytes")


def _too_large(shown: str, size: int, most: int) -> DataError:
    return DataError(
        f"is too large: {size / 1e9:.2f} GB",
        file=shown,
        expected=f"at most {most / 1e9:.2f} GB",
        hint="download it first",
    )


def bare(address: str) -> str:
    """A name without what may be secret: of an address the password and the query.

    Raises:
        DataError: it looks like an address, and is none.

    >>> bare("https://me:pw@host/runs.jsonl?token=x"), bare("logs/runs.jsonl")
    ('https://host/runs.jsonl', 'logs/runs.jsonl')
    """
    if not address.startswith(("http://", "https://")):
        return address
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise DataError(f"is no address: {error}", file=address.partition("?")[0].rpartition("@")[2]) from None
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
