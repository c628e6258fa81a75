"""A receiver of OpenTelemetry's spans over HTTP: what it acknowledges is on disk, in a file of the format `otel`."""

import asyncio
import base64
import fcntl
import hmac
import os
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from stepcredit.app.console import silent
from stepcredit.data import formats
from stepcredit.data.storage import rows
from stepcredit.errors import DataError, MissingExtra, StepCreditError
from stepcredit.llm.server import LOOPBACK, in_thread
from stepcredit.plugins import extra

MOST_BYTES = 64 << 20
_PATHS = {"/v1/traces": ("resourceSpans", "resource_spans"), "/v1/logs": ("resourceLogs", "resource_logs")}
_IDS = ("traceId", "spanId", "parentSpanId")
Taken = Callable[[dict[str, Any]], None]


class Log:
    """A file of requests, a line each, to which is only added. A line is on disk when `add` returns.

    A last line that a crash cut off is removed on opening: it was never acknowledged. A whole one gets its end.

    Raises:
        DataError: the file holds something else; another process adds to it; it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self.cut = 0
        if not self.path.parent.is_dir():
            raise DataError("there is no such folder", file=self.path.parent, hint="make it first")
        if self.path.suffix not in (".jsonl", ".ndjson"):
            raise DataError("the name must end in .jsonl", file=path)
        try:
            self._file: BinaryIO = self.path.open("ab+")
        except OSError as error:
            raise DataError(error.strerror or str(error), file=path) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mend()
        except BlockingIOError:
            self._file.close()
            raise DataError("another process adds to this file", file=path, hint="--output another.jsonl") from None
        except BaseException:
            self._file.close()
            raise

    def _mend(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        keep = size
        while keep:  # back to the last end of a line
            start = max(keep - (1 << 16), 0)
            self._file.seek(start)
            found = self._file.read(keep - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            keep = start
        self._file.seek(0)
        if keep == 0 < size and not self._file.read(64).lstrip().startswith(b'{"resource'):
            raise DataError("the file is not one of received spans", file=self.path, hint="--output another.jsonl")
        if keep < size:
            self._file.seek(keep)
            try:
                msgspec.json.decode(self._file.read())
                self._file.write(b"\n")
                self._file.flush()
                keep = size + 1
            except (ValueError, RecursionError):
                self.cut = size - keep
                self._file.truncate(keep)
        for row in rows(self.path, bad=lambda error: None) if keep else ():
            if not any(formats.get(name).fits(row.value, str(self.path)) for name in ("otel", "openinference")):
                raise DataError("the file is not one of received spans", file=self.path, hint="--output another.jsonl")
            break
        self._size = self._file.seek(0, os.SEEK_END)

    def add(self, value: dict[str, Any]) -> None:
        """Add a line; it is on disk then. After an error the file is as it was.

        Raises:
            OSError: it is not (the disk is full).
        """
        text = msgspec.json.encode(value) + b"\n"
        with self._lock:
            try:
                self._file.write(text)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._size)
                raise
            self._size += len(text)

    def close(self) -> None:
        self._file.close()


class Refused(StepCreditError):
    """What is sent back instead of an acknowledgement."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def application(
    log: Log, taken: Taken, *, hosts: Sequence[str] = (), key: str | None = None, most_bytes: int = MOST_BYTES
) -> Any:
    """An aiohttp application: POST /v1/traces and /v1/logs, OTLP as JSON or protobuf, plain or gzip.

    Args:
        taken: told each request once it is on disk.
        hosts: names besides those of this machine under which it may be reached; "*" = any.
        key: what a client must send (Authorization: Bearer KEY). None = anything.
        most_bytes: longest body, unpacked.

    Raises:
        MissingExtra: aiohttp is not installed.
    """
    web = extra("aiohttp.web", "stepcredit watch", name="http")
    allowed = frozenset((*LOOPBACK, *hosts))

    @web.middleware  # type: ignore[untyped-decorator]
    async def guard(http: Any, handler: Any) -> Any:
        try:
            _admit(http, allowed, key)
            return await handler(http)
        except Refused as error:
            status, message = error.status, error.message
        except web.HTTPException as error:
            status, message = error.status, error.reason
            if status == 413:
                message = _long(most_bytes)
        except OSError as error:
            status, message = 503, f"not written: {error.strerror or error}"
        return web.json_response({"code": status, "message": message}, status=status)

    async def receive(http: Any) -> Any:
        kind = http.content_type
        body = _unpacked(await http.read(), http.headers.get("Content-Encoding", "identity").lower(), most_bytes)
        value = _request(body, kind, http.path)
        await asyncio.get_running_loop().run_in_executor(None, log.add, value)
        taken(value)
        if kind == "application/json":
            return web.json_response({})
        return web.Response(body=b"", content_type=kind)

    async def health(http: Any) -> Any:
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=most_bytes, middlewares=[guard])
    for path in _PATHS:
        app.router.add_post(path, receive)
    app.router.add_get("/health", health)
    return app


def _admit(http: Any, hosts: frozenset[str], key: str | None) -> None:
    # A sandboxed page of anybody's, and one of a file, have the origin "null".
    told = http.headers.get("Origin", "")
    for name in filter(None, (http.host, told.partition("://")[2] or told)):
        host, _, port = name.rpartition(":")
        plain = (host if port.isdigit() and host else name).strip("[]").lower()
        if not {"*", plain} & hosts:
            raise Refused(403, f"this receiver is not for {name!r}; it may be told to answer to that name")
    if key is not None and http.path != "/health":
        given = http.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise Refused(401, "a key is required: Authorization: Bearer KEY")


def _unpacked(body: bytes, how: str, most_bytes: int) -> bytes:
    """A body without its packing.

    Raises:
        Refused: another packing than gzip, a broken one, too long unpacked.
    """
    if how == "identity":
        return body
    if how != "gzip":
        raise Refused(415, f"cannot unpack {how!r}: send gzip, or plain")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        out = unpacker.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise Refused(400, f"the body is no gzip: {error}") from None
    if len(out) > most_bytes:
        raise Refused(413, _long(most_bytes))
    if not unpacker.eof:
        raise Refused(400, "the packed body ends too early")
    return out


def _long(most_bytes: int) -> str:
    return f"the request is longer than {most_bytes:,} bytes; export smaller batches"


def _request(body: bytes, kind: str, path: str) -> dict[str, Any]:
    """A body as OTLP's JSON.

    Raises:
        Refused
    """
    names = _PATHS[path]
    if kind == "application/x-protobuf":
        value = _of_protobuf(body, path)
    elif kind == "application/json":
        try:
            value = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is no JSON") from None
    else:
        raise Refused(415, f"cannot read {kind!r}: send application/json or application/x-protobuf")
    listed = next((value[n] for n in names if n in value), None) if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise Refused(400, f"the body holds no list {names[0]}")
    return {names[0]: listed}


def _of_protobuf(body: bytes, path: str) -> Any:
    try:
        reader = extra("google.protobuf.json_format", "OTLP as protobuf", name="watch")
        kind, message = ("trace", "ExportTraceServiceRequest")
        if path.endswith("logs"):
            kind, message = ("logs", "ExportLogsServiceRequest")
        module = f"opentelemetry.proto.collector.{kind}.v1.{kind}_service_pb2"
        made = getattr(extra(module, "OTLP as protobuf", name="watch"), message)()
    except (MissingExtra, ModuleNotFoundError):
        raise Refused(
            415,
            "protobuf needs opentelemetry-proto, which is not installed here: pip install 'stepcredit[watch]', or send "
            "JSON (OTEL_EXPORTER_OTLP_PROTOCOL=http/json, where the exporter knows it)",
        ) from None
    try:
        made.ParseFromString(body)
    except Exception as error:  # protobuf's DecodeError, of a package that may not be there
        raise Refused(400, f"the body is no {message}: {error}") from None
    return _with_ids(reader.MessageToDict(made))


def _with_ids(value: Any) -> Any:
    """Ids in hexadecimal digits, as OTLP's JSON has them; protobuf's has base64."""
    if isinstance(value, list):
        return [_with_ids(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: base64.b64decode(v).hex() if k in _IDS and isinstance(v, str) else _with_ids(v) for k, v in value.items()
    }


async def listen(app: Any, host: str, port: int) -> tuple[str, Callable[[], Awaitable[None]]]:
    """(URL, what ends it).

    Raises:
        StepCreditError: the address is taken.
    """
    web = extra("aiohttp.web", "stepcredit watch", name="http")
    runner = web.AppRunner(app, access_log=None, logger=silent(), shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StepCreditError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", hint="--port 0 takes a free port"
        ) from None
    address = runner.addresses[0]
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{name}:{address[1]}", runner.cleanup


@contextmanager
def running(
    log: Log, taken: Taken = lambda request: None, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[str]:
    """A receiver in a thread of its own, as long as the block lasts: its URL. Options: of `application`."""
    app = application(log, taken, **options)
    with in_thread(listen(app, host, port), "stepcredit-watch") as url:
        yield url
