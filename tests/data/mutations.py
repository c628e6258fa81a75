"""Traces gone wrong: rows of the fixtures, changed at random, that every importer must read or refuse with an error."""

import copy
import json
import random

from fixtures import FILES, format_of

from stepcredit.data import formats
from stepcredit.data.reading import Reading
from stepcredit.data.records import Rollout, check
from stepcredit.data.rows import Rows
from stepcredit.data.storage import rows
from stepcredit.errors import DataError, StepCreditError

DEEP = json.loads("[" * 300 + "]" * 300)
for _ in range(500):
    DEEP = {"content": DEEP}
HOSTILE = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**70,
        -(2**70),
        0.5,
        -1e308,
        1e308,
        "",
        " ",
        "x",
        "0",
        "-1",
        "NaN",
        "é",
    ),
    *(
        "\x00",
        "assistant",
        "tool",
        "2026-13-45T99:99:99Z",
        "2026-11-02T10:00:00",
        "{",
        "[" * 500,
        "{}",
        "[]",
        "9" * 500,
    ),
    *([], {}, [[]], [None], [{}], {"": None}, {"role": "assistant"}, {"role": "tool", "content": []}, "x" * 5000, DEEP),
    *([{"type": "text"}], {"content": {"a": 1}}, [1, "x", None], {"id": {}}, "<script>alert(1)</script>\x1b[2J"),
]
KEYS = (
    "role",
    "content",
    "type",
    "id",
    "parent",
    "messages",
    "error",
    "name",
    "timestamp",
    "outcome",
    "group",
    "rollout",
)
EVERY = [formats.get(name) for name in formats.names()]


def fixtures_by_format():
    """The rows of every fixture, by format and file."""
    found = {}
    for path in FILES:
        found.setdefault(format_of(path), []).append([row.value for row in rows(path, nan=True)])
    return found


def place(value, rng):
    """(holder, key) of something inside a value: down through its parts, at random."""
    holder, name = value, None
    while True:
        name = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        inner = holder[name]
        if not isinstance(inner, dict | list) or not inner or inner is DEEP or rng.random() < 0.15:
            return holder, name
        holder = inner


def mutated(given, rng, others):
    """Rows with one to five changes. others: rows to take pieces from."""
    changed = json.loads(json.dumps(given))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if changed:
            _change(*place(changed, rng), rng, changed, others)
    return [row for row in changed if isinstance(row, dict)]


def _change(holder, name, rng, rows, others):
    value = holder[name]
    kind = rng.randrange(11)
    if kind <= 3:
        holder[name] = _hostile(rng)
    elif kind == 4:
        del holder[name]
    elif kind == 5:  # a piece from elsewhere
        there, key = place(rows if rng.random() < 0.6 else others, rng)
        holder[name] = _copy(there[key])
    elif kind == 6:
        holder[name] = rng.choice(([value], {"a": value}, {"content": value}, [value] * 3))
    elif kind == 7 and isinstance(holder, dict):
        holder[rng.choice(KEYS)] = holder.pop(name)
    elif kind == 8 and isinstance(value, list) and value:
        value.extend([_copy(v) for v in value[:9]] * rng.choice((1, 3, 30)) if len(value) < 50 else [])
    elif kind == 9 and isinstance(value, list):
        rng.shuffle(value)
    elif kind == 10 and isinstance(value, str):
        cut = rng.randrange(len(value) + 1)
        holder[name] = rng.choice((value[:cut], value[cut:] + value[:cut], value[:9999] * 3, value.swapcase()))
    else:
        holder[rng.choice(KEYS) if isinstance(holder, dict) else name] = _hostile(rng)


def _hostile(rng):
    return _copy(rng.choice(HOSTILE))


def _copy(value):
    try:
        return copy.deepcopy(value)
    except RecursionError:
        return DEEP


def scratched(given, rng):
    """The rows as bytes of a file, some of them wrong."""
    data = bytearray(b"\n".join(json.dumps(row).encode() for row in given) + b"\n")
    for _ in range(rng.choice((1, 2, 10))):
        at = rng.randrange(len(data))
        how = rng.randrange(4)
        if how == 0:
            data[at] = rng.randrange(256)
        elif how == 1:
            del data[at : at + rng.randrange(1, 40)]
        elif how == 2:
            data[at:at] = rng.choice((b"\x00", b"\xff", b"{", b"]", b"\n", b'"', b"NaN", b"1e999", b"\\ud800"))
        else:
            del data[at:]
        data = data or bytearray(b"\n")
    return bytes(data)


def survive(name, given):
    """Read rows with a format; every rollout is whole, every error placed. How many were read.

    Raises:
        AssertionError, or whatever an importer lets through.
    """
    module = formats.get(name)
    for row in given[:1]:
        assert all(other.fits(row, "x") in (True, False) for other in EVERY)
    account = Rows.of(given, on_error="skip")
    count = 0
    for rollout in module.rollouts(account):
        assert isinstance(rollout, Rollout)
        assert type(rollout.group) in (str, int) and type(rollout.rollout) in (str, int)
        assert rollout.outcome is None or type(rollout.outcome) is float
        for blame in rollout.blame if name != "stepcredit" else ():
            assert blame.step is None or 0 <= blame.step < len(rollout.steps)
        try:
            check(rollout)
        except DataError as error:
            account.bad(error)
        count += 1
    assert all(isinstance(e, StepCreditError) and e.row for e in account.skipped)
    return count


def survive_file(name, path):
    """Read a file with a format, and with whatever it looks like."""
    for how in (name, None):
        try:
            list(Reading(path, format=how, on_error="skip"))
        except StepCreditError:
            continue


def generator(seed):
    return random.Random(seed)
