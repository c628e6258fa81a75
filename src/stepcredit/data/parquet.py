"""Records as Parquet rows.

The schema follows the record classes: numbers, texts and lists of numbers are columns of their own; what has no one
type (keys, which may be text or numbers; dictionaries; unknown fields) is JSON text, so that "1" and 1 stay apart
and unknown fields keep their order. The file's metadata hold `stepcredit.schema_version`.
"""

from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from stepcredit.data.records import SCHEMA_VERSION, Rollout
from stepcredit.errors import DataError

VERSION_KEY = b"stepcredit.schema_version"


@cache
def schema() -> Any:
    """The pyarrow schema of a Rollout."""
    import pyarrow as pa

    fields = [(name, _arrow(_kind(hint))) for name, hint in get_type_hints(Rollout).items()]
    return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION)})


def from_json(record: dict[str, Any]) -> dict[str, Any]:
    """The Parquet row of msgspec's builtins of a Rollout."""
    return _write_struct(record, Rollout)


def to_json(row: dict[str, Any], metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The object that a JSON Lines file would hold for a Parquet row."""
    out = _read_struct(row, Rollout)
    for step in out.get("steps", ()):
        step.update(step.pop("extra", {}))
    out.update(out.pop("extra", {}))
    version = metadata[VERSION_KEY].decode()
    return {"schema_version": int(version) if version.isdecimal() else version, **out}


def _kind(hint: Any) -> Any:
    """What a field holds: a plain type, a Struct, [kind] for a list of these; None for JSON text."""
    if isinstance(hint, UnionType):
        hint = tuple(a for a in get_args(hint) if a is not NoneType)
        if len(hint) > 1:
            return None
        return _kind(hint[0])
    if get_origin(hint) is list:
        inner = _kind(get_args(hint)[0])
        return None if inner is None else [inner]
    if hint in (int, float, str, bool):
        return hint
    return hint if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else None


@cache
def _kinds(struct: Any) -> dict[str, Any]:
    return {name: _kind(hint) for name, hint in get_type_hints(struct).items()}


def _arrow(kind: Any) -> Any:
    import pyarrow as pa

    if kind is None:
        return pa.large_string()
    if isinstance(kind, list):
        return pa.list_(_arrow(kind[0]))
    plain = {int: pa.int64(), float: pa.float64(), str: pa.large_string(), bool: pa.bool_()}
    return plain[kind] if kind in plain else pa.struct([(n, _arrow(k)) for n, k in _kinds(kind).items()])


def _write_struct(value: dict[str, Any], struct: Any) -> dict[str, Any]:
    return {name: _write(value[name], kind) for name, kind in _kinds(struct).items() if name in value}


def _write(value: Any, kind: Any) -> Any:
    if kind is None:
        return msgspec.json.encode(value).decode()
    if isinstance(kind, list) and issubclass(kind[0], msgspec.Struct):
        return [_write_struct(v, kind[0]) for v in value]
    return _write_struct(value, kind) if isinstance(value, dict) else value


def _read_struct(value: dict[str, Any], struct: Any) -> dict[str, Any]:
    kinds = _kinds(struct)
    return {name: _read(v, kinds[name], name) for name, v in value.items() if v is not None and name in kinds}


def _read(value: Any, kind: Any, name: str) -> Any:
    if kind is None:
        try:
            return msgspec.json.decode(value)
        except (ValueError, TypeError, RecursionError):
            raise DataError(f"field {name!r} must hold JSON text", got=value, expected='like "\\"p1\\""') from None
    if isinstance(kind, list) and issubclass(kind[0], msgspec.Struct) and isinstance(value, list):
        return [_read_struct(v, kind[0]) if isinstance(v, dict) else v for v in value]
    return _read_struct(value, kind) if isinstance(value, dict) else value
