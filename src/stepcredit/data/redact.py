"""Secrets taken out of texts: keys and tokens of known shapes, passwords, headers, private keys, long base64.

    clean = Redactor()
    shown = clean.rollout(rollout)
    clean.taken                       # {"bearer token": 3, "password": 1}

What is taken out leaves its kind and the class of its length. Names, addresses and numbers of people stay: this finds
what opens doors, and only by its shape or by the name before it or above it. What looks like ordinary words is not
found.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from stepcredit.data._redact_find import Span, found
from stepcredit.data._redact_shapes import NAMES, NUMBERED
from stepcredit.data.records import Rollout

__all__ = ["Redactor"]

_LONGEST_NAME = 60
_CLASSES = (8, 16, 32, 64, 128, 512)
_PASSES = 4


class Redactor:
    """Takes secrets out, and counts them.

    Attributes:
        taken: kind of secret -> how often one was taken out.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """The text without its secrets.

        >>> Redactor().text("export OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwxyz0123")
        'export OPENAI_API_KEY=[removed: API key, 32 to 63 characters]'
        """
        for _ in range(_PASSES):  # what is taken out may have hidden where the next one begins
            spans = _short(text) if len(text) <= _LONGEST_NAME else found(text)
            if not spans:
                break
            text = self._without(text, spans)
        return text

    def value(self, value: Any, name: str = "") -> Any:
        """Any JSON value without its secrets; what a key such as "password" names is one, whatever it looks like."""
        if isinstance(value, str):
            if name and len(value) > 1 and _named_so(name) and not value.startswith("[removed: "):
                return self._removed("secret by its name", len(value))
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            named = bool(name) and isinstance(value, int) and NUMBERED.search(name) is not None
            return self._removed("secret by its name", len(str(value))) if named else value
        if isinstance(value, Mapping):
            said = _named(value, name)
            hidden = value.get("kind") == "Secret"  # of Kubernetes
            return {
                (self.text(k) if isinstance(k, str) else k): {n: self.value(w, "secret") for n, w in v.items()}
                if hidden and k in ("data", "stringData") and isinstance(v, Mapping)
                else self.value(v, said if k == "value" and said else str(k))
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            before = ["", *value]  # --password and its value, a header and its value
            return [
                self.value(v, p if isinstance(p, str) and len(p) <= _LONGEST_NAME and _named_so(p) else name)
                for p, v in zip(before, value, strict=False)
            ]
        if isinstance(value, msgspec.Struct):
            return self._struct(value)
        return value

    def rollout(self, rollout: Rollout) -> Rollout:
        """The rollout without secrets in its texts, tool arguments, messages and other fields. Images stay."""
        cleaned: Rollout = self._struct(rollout)
        return cleaned

    def _struct(self, what: Any) -> Any:
        changes = {}
        for field in what.__struct_fields__:
            value = getattr(what, field)
            if value is None or isinstance(value, bool | int | float) or field == "tokens":
                continue
            made = [self._image(v) for v in value] if field == "images" else self.value(value)
            if made != value:
                changes[field] = made
        return msgspec.structs.replace(what, **changes) if changes else what

    def _image(self, address: str) -> str:
        return address if address.startswith("data:image/") else self.text(address)

    def _without(self, text: str, spans: list[Span]) -> str:
        pieces, end = [], 0
        for span in spans:
            pieces += [text[end : span.start], self._removed(span.kind, span.end - span.start)]
            end = span.end
        return "".join([*pieces, text[end:]])

    def _removed(self, kind: str, length: int) -> str:
        self.taken[kind] += 1
        return f"[removed: {kind}, {length_class(length)}]"


def _named_so(name: str) -> bool:
    """Whether what has this name is a secret."""
    return _secret_name(name[-_LONGEST_NAME:])


@lru_cache(4096)
def _secret_name(name: str) -> bool:
    return NAMES.search(name) is not None


@lru_cache(4096)
def _short(text: str) -> list[Span]:
    return found(text) if len(text) >= 8 else []


def _named(value: Mapping[Any, Any], name: str) -> str:
    """What the "value" of an object is called: as the object says, {"name": "Cookie", "value": ...}, else as itself."""
    said = value.get("name", value.get("key"))
    return next((n for n in (said, name) if isinstance(n, str) and _named_so(n)), "")


def length_class(length: int) -> str:
    """How long, roughly: the length itself would tell something.

    >>> length_class(40), length_class(3), length_class(9999)
    ('32 to 63 characters', 'under 8 characters', '512 or more characters')
    """
    above = next((i for i, edge in enumerate(_CLASSES) if length < edge), len(_CLASSES))
    if above == 0:
        return f"under {_CLASSES[0]} characters"
    if above == len(_CLASSES):
        return f"{_CLASSES[-1]} or more characters"
    return f"{_CLASSES[above - 1]} to {_CLASSES[above] - 1} characters"
