"""Secrets taken out of texts: keys and tokens of known shapes, passwords, headers, private keys, long base64.

    clean = Redactor()
    shown = clean.rollout(rollout)
    clean.taken                       # {"bearer token": 3, "password": 1}

What is taken out leaves its kind and the class of its length. Names, addresses and numbers of people stay: this finds
what opens doors, and only by its shape or by the name before it. What looks like ordinary words is not found.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stepcredit.data.records import Rollout

__all__ = ["Redactor"]

_QUOTE = r"(?:&quot;|&#34;|%22|\\{0,3}[\"']?)"
_IS = r"(?:=>|:=|[:=]|%3A|%3D)"
_FOLDER = r"(?!\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}[\"']?[/~])"  # PWD of a shell is where it stands
_STRONG = (
    rf"pass(?:word|wd|phrase|code)|(?:\b|_)pwd{_FOLDER}|(?-i:[A-Z0-9]_PASS)|(?<=[?&\"'])pass(?=\\{{0,3}}[=\"'])|"
    r"[a-z0-9]_secret(?![a-z])"
)
_WEAK = (
    r"secret|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|auth[_-]?key|"
    r"account[_-]?key|(?-i:[A-Z0-9]_KEY)|\bauth(?=\\{0,3}[\"'])|credentials?|session[_-]?id|connection[_-]?string|token(?!s|iz|_?(?:count|limit|id\b|budget|usage))"
)
_VALUE = (
    r"(?!\[removed: )(?:(?<=[^\\]\")(?:[^\"\\\r\n]|\\[^\r\n]){{{n},4000}}|"
    r"(?<=\")[^\"\\\r\n]{{{n},4000}}|(?<=')[^'\\\r\n]{{{n},4000}}|"
    r"[^\s\"'\\&,;<>(){{}}\[\]]{{{n},4000}})"
)

_SHAPES: tuple[tuple[str, str], ...] = (
    (
        "private key",
        r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}[\s\S]*?(?:-{4,5} ?END [A-Z0-9 ]{0,40}-{4,5}|\Z)|"
        r"(?<=Private-Lines: )\d{1,4}(?:(?:\r?\n|\\r?\\n)[A-Za-z0-9+/=]{1,80})+|\bAGE-SECRET-KEY-1[A-Z0-9]{40,80}",
    ),
    ("token (JWT)", r"(?<![A-Za-z0-9])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),
    (
        "API key",
        r"(?<![A-Za-z0-9])(?:sk-[\w-]{16,}|[srp]k_(?:live|test)_\w{16,}|AIza[\w-]{30,}|hf_\w{20,}|r8_\w{20,}|gsk_\w{20,}|xai-[\w-]{20,}|"
        r"pplx-\w{20,}|lsv2_\w{2}_\w{20,}|[ps]k-lf-[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|AC[0-9a-f]{32}|"
        r"ya29\.[\w-]{20,}|1//0[\w-]{30,})",
    ),
    (
        "token",
        r"(?<![A-Za-z0-9])(?:gh[opusr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|npm_\w{30,}|pypi-[\w-]{30,}|"
        r"dop_v1_\w{30,}|shpat_\w{20,}|sq0\w{3}-[\w-]{20,}|EAA[A-Za-z0-9]{40,}|dckr_pat_[\w-]{20,}|glsa_\w{20,}|GOCSPX-[\w-]{20,}|"
        r"[A-Za-z0-9_-]{24,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![\w-]))|(?<!\d)\d{8,10}:AA[\w-]{33}(?![\w-])",
    ),
    ("AWS key id", r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b"),
    ("webhook", r"https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[^\s\"'\\<>]{8,}"),
)
_AFTER: tuple[tuple[str, str], ...] = (  # what stands before stays: group 1
    ("password in an address", r"(\bhttps?://[^\s/:@\"'<>]{0,200}:)[^\s/@\"'<>]{1,400}(?=@)"),
    (
        "password in an address",  # of a database: also with / and @, as people forget to quote them
        r"(\b(?!https?:)[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,200}:)(?!\d{1,5}[/?#])[^\s\"'<>,;|]{1,400}(?=@)",
    ),
    ("token in an address", r"(\bhttps?://)(?=[a-z_-]{0,40}[0-9])[\w-]{16,400}(?=@)"),
    ("bearer token", r"(\b(?:Bearer|Basic|Token|ApiKey)\s{1,3})(?!\[removed: )[A-Za-z0-9._~+/=-]{16,}"),
    ("header", r"(\bDigest\s{1,3})username=[^\r\n]{4,2000}"),
    (
        "header",
        r"(\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z0-9-]{0,30}(?:key|token|auth|secret)[a-z0-9-]{0,20})"
        rf"{_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}(?:(?:Bearer|Basic|Token|ApiKey)\s+)?)"
        r"(?!\[removed: )[^\s\r\n\"'\\][^\r\n\"'\\]{3,4000}",
    ),
    ("password", rf"((?:{_STRONG})[\w-]{{0,20}}{_QUOTE}\s{{0,3}}{_IS}\s{{0,3}}{_QUOTE})" + _VALUE.format(n=4)),
    ("password", rf"((?:{_STRONG})[\w-]{{0,20}}[\"'],\s{{0,3}}[\"'])[^\"'\\\r\n]{{4,400}}(?=[\"']\s{{0,3}}\))"),
    (
        "password",
        r"(<[\w:.-]{0,40}(?:passw(?:or)?d|secret|token|api-?key)[\w.-]{0,20}>)(?!\[removed: )[^<\s]{4,400}(?=</)",
    ),
    (
        "password",
        r"((?<![\w-])--[a-z-]{0,30}(?:passw(?:or)?d|passphrase|secret|api-?key|(?<!-max-)token)\s{1,3}[\"']?)"
        r"(?!-|\[removed: )[^\s\"'\\]{6,400}",
    ),
    ("password", r"(\blogin\s{1,3}\S{1,100}\s{1,9}password\s{1,3})(?!\[removed: )\S{1,200}"),
    (
        "password",
        r"(\bcurl\b[^\r\n]{0,300}?\s(?:-u|--user)[ =]{0,3}[\"']?[^\s:\"']{1,100}:)(?!\[removed: )[^\s\"'\\]{1,200}",
    ),
    (
        "secret by its name",
        rf"(\bname{_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}[\w-]{{0,40}}(?:{_STRONG}|api[_-]?key|secret|token\b|"
        rf"authorization|cookie|_key\b)[\w-]{{0,20}}{_QUOTE}\s{{0,3}},?\s{{0,20}}{_QUOTE}value{_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE})"
        r"(?!\[removed: )[^\r\n\"'\\]{4,4000}",
    ),
    (
        "secret",
        rf"((?:{_WEAK})[\w-]{{0,20}}{_QUOTE}\s{{0,3}}{_IS}\s{{0,3}}{_QUOTE})"
        r"(?=[^\s\"'\\&,;<>(){}\[\]]{0,40}[0-9]|[^\s\"'\\&,;<>(){}\[\]]{20})" + _VALUE.format(n=8),
    ),
    (
        "signature in an address",
        r"([?&](?:sig|signature|x-amz-(?:signature|credential|security-token)|code|key)=)[^\s&\"'\\<>#]{12,}",
    ),
)
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{100,}|[A-Za-z0-9_-]{100,}|(?:[A-Za-z0-9+/]{60,76}\r?\n){2,}[A-Za-z0-9+/]+)={0,2}"
)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_NAME = re.compile(
    r"(?:pass(?:word|wd|phrase|code)(?:[_-]?(?:\d|confirm\w*|old|new|again))?|(?:\b|_)pass|(?:\b|_)pwd|secret|api[_-]?key|"
    r"access[_-]?key|private[_-]?key|auth[_-]?key|account[_-]?key|(?-i:[A-Z0-9]_KEY)|credentials?|session_?id|"
    r"\b(?:token|auth|bearer)\b|[a-z]_?-?token\b|authorization|cookie)\W?$",
    re.I,
)
_WORTH = re.compile(
    r"://[^\s/@]*[:@]|PRIVATE KEY|private-lines|[\w.+/-]{20}|pass|pwd|secret|key|token|bearer|basic |authorization|"
    r"cookie|credential|session|connection|\bauth\b|curl|[?&](?:sig|code|x-amz)",
    re.I,
)
_LONGEST_NAME = 60
_CLASSES = (8, 16, 32, 64, 128, 512)


class Redactor:
    """Takes secrets out, and counts them.

    Attributes:
        taken: kind of secret -> how often one was taken out.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self._shapes = [(kind, re.compile(p, re.I if kind == "webhook" else 0)) for kind, p in _SHAPES]
        self._after = [(kind, re.compile(p, re.I)) for kind, p in _AFTER]

    def text(self, text: str) -> str:
        """The text without its secrets.

        >>> Redactor().text("export OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwxyz0123")
        'export OPENAI_API_KEY=[removed: API key, 32 to 63 characters]'
        """
        if len(text) < 8 or _WORTH.search(text) is None:
            return text
        for kind, shape in self._shapes:
            text = shape.sub(self._put(kind, 0), text)
        for kind, shape in self._after:
            text = shape.sub(self._put(kind, 1), text)
        return _BASE64.sub(self._long, text)

    def value(self, value: Any, name: str = "") -> Any:
        """Any JSON value without its secrets; what a key such as "password" names is one, whatever it looks like."""
        if isinstance(value, str):
            if name and len(value) > 1 and _NAME.search(name) and not value.startswith("[removed: "):
                return self._removed("secret by its name", len(value))
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            named = bool(name) and isinstance(value, int) and re.search(_STRONG + "|secret", name, re.I) is not None
            return self._removed("secret by its name", len(str(value))) if named else value
        if isinstance(value, Mapping):
            said = _named(value, name)
            return {
                (self.text(k) if isinstance(k, str) else k): self.value(v, said if k == "value" and said else str(k))
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            before = ["", *value]  # --password and its value, a header and its value
            return [
                self.value(v, p if isinstance(p, str) and _NAME.search(p) and len(p) <= _LONGEST_NAME else name)
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

    def _put(self, kind: str, group: int) -> Callable[[re.Match[str]], str]:
        def put(found: re.Match[str]) -> str:
            before = found[1] if group else ""
            return before + self._removed(kind, len(found[0]) - len(before))

        return put

    def _long(self, found: re.Match[str]) -> str:
        """Base64 that holds something; a rule of dashes, one repeated letter or a hexadecimal digest is none."""
        text = found[0]
        if len(set(text)) < 12 or (_HEX.fullmatch(text) and len(text) <= 128) or not re.search("[0-9]", text):
            return text
        return self._removed("base64", len(text))

    def _removed(self, kind: str, length: int) -> str:
        self.taken[kind] += 1
        return f"[removed: {kind}, {length_class(length)}]"


def _named(value: Mapping[Any, Any], name: str) -> str:
    """What the "value" of an object is called: as the object says, {"name": "Cookie", "value": ...}, else as itself."""
    said = value.get("name", value.get("key"))
    return next((n for n in (said, name) if isinstance(n, str) and _NAME.search(n)), "")


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
