"""What secrets look like: the tables that redaction works by. A new shape is a new row here, and a line in its tests.

`TOKENS` are known by themselves and looked for where 15 or more letters, digits, _ and - stand together. `SHAPES` are
looked for only at their words. Neither has a repeat in a repeat, nor an open end that may fail: time stays linear.
"""

import re
from collections.abc import Sequence
from re import Pattern
from typing import NamedTuple

from stepcredit.data._redact_programs import PROGRAMS

__all__ = ["FOLDED", "NAMES", "SHAPES", "TOKENS", "WORDS", "Shape"]


class Shape(NamedTuple):
    """A secret known by what stands before it.

    Attributes:
        kind: what is put in its place. words: lower case; the head begins at one of them (no "?" in them).
        head: what stands before the secret and stays. value: the secret, from where the head ends.
        before: what must stand right before the word, and in how many characters. need: a lower-case word that must
            follow within 700 characters.
    """

    kind: str
    words: tuple[bytes, ...]
    head: Pattern[str]
    value: Pattern[str]
    before: Pattern[str] | None
    back: int
    need: bytes


def _shape(kind: str, words: str, head: str, value: str, before: str = "", back: int = 0, need: str = "") -> Shape:
    listed = tuple(w.encode() for w in words.split("|"))
    ahead = re.compile(rf"(?:{before})\Z", re.I) if before else None
    return Shape(kind, listed, re.compile(head, re.I), re.compile(value, re.I), ahead, back, need.encode())


# Kinds of tokens by their own look. Each begins where no letter or digit stands before it.
_OWN: tuple[tuple[str, str], ...] = (
    ("token (JWT)", r"eyJ[\w-]{8,2000}\.[\w-]{8,}(?:\.[\w-]*)?"),
    (
        "API key",
        r"(?:c?sk-[\w-]{16,}|[srp]k_(?:live|test)_\w{16,}|AIza[\w-]{30,}|(?:hf|r8|gsk)_[A-Za-z0-9]{20,}|xai-[\w-]{20,}|"
        r"pplx-\w{20,}|lsv2_\w{2}_\w{20,}|[ps]k-lf-[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|AC[0-9a-f]{32}|"
        r"ya29\.[\w-]{20,}|1//0[\w-]{30,}|nvapi-[\w-]{20,}|tvly-[\w-]{20,}|tgp_v1_[\w-]{20,}|fw_[A-Za-z0-9]{22,}|jina_\w{20,}|"
        r"(?:ntn|figd|sbp|sgp|phx|whsec|sntry[su])_[\w+/=-]{20,}|lin_api_\w{20,}|tskey-[\w-]{16,}|PMAK-[\w-]{20,}|"
        r"NRAK-\w{20,}|dapi[0-9a-f]{32}|pul-[0-9a-f]{40}|rubygems_[0-9a-f]{40,}|AGE-SECRET-KEY-1[A-Z0-9]{40,80})",
    ),
    (
        "token",
        r"(?:gh[opusr]_\w{20,}|github_pat_\w{20,}|gl(?:pat|rt|dt|ptt|ft|soat|cbt|agent|imt|oas)-[\w-]{16,}|xox[abceprs]-[\w-]{10,}|"
        r"xapp-[\w-]{16,}|npm_\w{30,}|pypi-[\w-]{30,}|do[opr]_v1_\w{30,}|shp(?:at|ss|ca|pa)_\w{20,}|sq0\w{3}-[\w-]{20,}|"
        r"EAA[A-Za-z0-9]{40,}|dckr_(?:pat|oat)_[\w-]{20,}|glsa_\w{20,}|GOCSPX-[\w-]{20,}|hv[sbr]\.[\w-]{20,}|ATATT3[\w=-]{20,}|"
        r"[A-Za-z0-9_-]{24,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![\w-]))",
    ),
    (
        "AWS key id",  # and the secret key that lists of keys have beside it
        r"(?<!_)(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b(?:[\s,;:\"'|]{1,10}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?",
    ),
)
TOKENS = re.compile("(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<k{i}>{p})" for i, (_, p) in enumerate(_OWN)) + ")", re.ASCII)
KINDS = [kind for kind, _ in _OWN]

_QUOTE = r"(?:&quot;|&#3[49];|%2[27]|\\{1,4}(?:u00|x)2[27]|(?:\b[bruf@$]{1,2})?\\{0,15}(?:\"{3}|'{3}|[\"'`])|\\{0,3})"
_IS = r"(?:[*_]{0,3}(?:[!=]={1,2}(?=\s?[\"'])|=>|:=|[:=]|%3A|%3D|\\{1,4}(?:u00|x)3[ad]|&#(?:61|58);|：|＝)[*_]{0,3})"
_TO = (
    rf"[\w-]{{0,20}}+{_QUOTE}\s{{0,3}}{_IS}(?:\s{{0,80}}+(?=[\\\"'`])|\s{{0,3}})"
    rf"(?:!!?\w{{1,20}}\s|&\w{{1,20}}\s)?{_QUOTE}"
)
_FOLDER = r"(?!\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}[\"']?[/~])"  # PWD of a shell is where it stands
_STRONG = (
    rf"(?:pass(?:word|wd|phrase|code|wort|e(?=\s?:))|kennwort|contrase|(?:\b|(?<=_))senha|(?:\b|(?<=_))pwd{_FOLDER}|"
    r"(?-i:(?<=[A-Z0-9]_)PASS)|(?<=[?&\"'])pass(?=\\{0,15}[=\"'])|(?<=[a-z0-9]_)secret(?![a-z]))"
)
_STRONG_WORDS = "pass|pw|secret|kennwort|contrase|senha"
_WEAK = (
    r"(?:secret|(?-i:(?<=[A-Z0-9])_KEY)|\bauth(?=\\{0,15}[\"'])|(?<=_)auth(?=\s?=)|credentials?|session[_-]?id|sessid|connect\.sid|"
    r"connection[_-]?string|(?<=[a-z0-9]_)pass(?=\\{0,15}[\"']?\s?[:=]\s?\\{0,15}[\"']?[^\s\"']{0,40}[0-9])|(?<=\w)pass(?=[=:][^\s=]{0,40}[0-9])|\bpw(?=\\{0,15}[\"']?\s?[:=])|"
    r"token(?!s|iz|_?(?:count|limit|id\b|budget|usage)))"
)
_KEYS = (
    r"(?:api|access|private|signing|encryption|auth|account|subscription|master|storage|shared|service|license|app)"
    "[_-]?"
)
_FREE = r"(?!\[removed: )"
_BARE = r"[^\s\"'\\&,;<>(){}\[\]]"
_ENDS = r"(?=[\s,;)\]}=?|\[]|\\|\Z)"
_TYPES = rf"(?!(?:str|string|optional|bool|boolean|bytes|secretstr|none|null|nil|true|false|undefined|any){_ENDS})"
_PROSE = (  # "password: must be at least 8 characters" tells about passwords
    r"(?!(?:must|should|shall|may|can|cannot|will|is|are|was|has|have|needs?|requires?|required|please|minimum|maximum)"
    r"[ \t]+[a-z]{2})"
)


_CALLED = r"(?![a-z_][a-z_.]{2,60}+[(\[])"  # password = get_password(
_DOTTED = r"(?:(?<=[\"'`])|(?![a-z]{1,30}(?:[._]+[a-z]{1,30}){1,12}+(?![^\s,;()\[\]{}])))"  # token = self.a_long_name


def _value(least: int) -> str:
    """What a name's value is: to the end of its quotes, or what stands together."""
    n = rf"{{{least}}}"
    return (
        rf"{_FREE}(?:(?<=[^\\]\")(?=[^\"\r\n]{n}|\\)(?:[^\"\\\r\n]++|\\[^\r\n])++|"
        rf"(?<=[^\\]')(?=[^'\r\n]{n}|\\)(?:[^'\\\r\n]++|\\[^\r\n])++|"
        r"(?<=[^\\]\\\")" + rf"(?=[^\"\r\n]{n})" + r"(?:[^\"\\\r\n]++|\\\\(?:\\\")?|\\[^\"\\nr\r\n])++|"
        rf"(?<=\")[^\"\\\r\n]{{{least},}}+|(?<=')[^'\\\r\n]{{{least},}}+|(?<=`)[^`\\\r\n]{{{least},}}+|"
        rf"(?<=%2[27]){_BARE}{{1,}}+|(?<=:=){_BARE}{{{least - 1},}}+|"
        rf"(?<![\"'`]){_CALLED}(?:(?<![:=*]\s)|{_TYPES}{_PROSE}){_BARE}{{{least},}}+)"
    )


_FULL = (
    rf"(?:(?<=%2[27])|(?={_BARE}{{0,40}}[0-9]|{_DOTTED}{_BARE}{{20}}))"  # of a name that may also name something else
)
_LINE = r"(?:\A|[\r\n]|\\n|[\"'])[ \t>*#$-]{0,12}(?:[\w.$-]{1,30}[ \t]{1,3}){0,3}[\w.$-]{0,30}"
_WORD = r"[^\s\"'\\<>(){}\[\],;=|`]{1,40}"
_SENTENCE = (  # words that sentences and programs have and passphrases are not made of
    r"(?![^\r\n]{0,200}\b(?:must|should|shall|may|can|cannot|will|is|are|was|be|been|has|have|the|an|at|least|your|my|our|you|it|please|"
    r"enter|required?|requires|for|to|of|and|or|not|with|from|if|else|in|lambda|await|new|characters?|letters|digits|"
    r"return|this|that|when|than|longer|shorter|optional|invalid|incorrect|password|user|username|host|port)\b)"
)
_BLOCK = r"[|>][+-]?\d?[ \t]*\r?\n"  # of YAML: the value stands on the lines below, further in
_HEXES = r"(?:[0-9a-f]{2}:(?:\s|\\n){0,40}+){8,}+(?:[0-9a-f]{2})?"
_ADDRESS = r"://[^\s/:@\"'<>]{0,200}+:"

SHAPES: tuple[Shape, ...] = (
    _shape(
        "private key",
        "begin",
        "",
        r"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}[\s\S]*?(?:-{4,5} ?END [A-Z0-9 ]{0,40}-{4,5}|\Z)",
        before="-{4,5} ?",
        back=7,
    ),
    _shape(
        "private key",
        "priv",
        "Private-Lines: ",
        r"\d{1,4}(?:(?:\r?\n|\\r?\\n)[A-Za-z0-9+/=]{1,80})++",
    ),
    _shape(  # as openssl prints one
        "private key",
        "priv",
        r"priv(?:ateExponent)?:\s{0,20}",
        rf"{_HEXES}(?:\s{{0,20}}(?:prime[12]|exponent[12]|coefficient):\s{{0,20}}{_HEXES}){{0,9}}",
    ),
    _shape("token", ":aa", ":", r"(?-i:AA)[\w-]{33}(?![\w-])", before=r"(?<!\d)\d{8,10}", back=12),
    _shape(
        "webhook",
        "://",
        "",
        r"://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[^\s\"'\\<>]{8,}+",
    ),
    _shape(
        "password in an address",
        "://",
        rf"(?:(?<=http)|(?<=https)){_ADDRESS}",
        r"[^\s/@\"'<>]{1,400}+(?=@)",
        need="@",
    ),
    _shape(  # of a database: also with / and @, as people forget to quote them
        "password in an address",
        "://",
        rf"(?:(?<=[a-z0-9+.-][a-z0-9+.-]))(?<![^a-z0-9+.-]http)(?<!^http)(?<![^a-z0-9+.-]https)(?<!^https){_ADDRESS}",
        r"(?!\d{1,5}[/?#])[^\s\"'<>,;|]{1,400}(?=@)",
        need="@",
    ),
    _shape(
        "token in an address",
        "://",
        "(?:(?<=http)|(?<=https))://",
        r"(?=[a-z_-]{0,40}[0-9])[\w-]{16,400}+(?=@)",
        need="@",
    ),
    _shape(
        "bearer token",
        "bearer|basic|token|apikey",
        r"(?:\b(?:Bearer|Basic|Token)|\bapikey)\s{1,3}",
        rf"{_FREE}[A-Za-z0-9._~+/=-]{{16,}}+",
    ),
    _shape("header", "digest", r"\bDigest\s{1,3}", r"username=[^\r\n]{4,}+"),
    _shape(
        "header",
        "auth|cookie|x-",
        r"\b(?:authorization|cookie|x-[a-z0-9-]{0,30}(?:key|token|auth|secret)[a-z0-9-]{0,20})"
        rf"{_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}(?:(?:Bearer|Basic|Token|ApiKey)\s+)?",
        rf"{_FREE}[^\s\"'\\](?:(?<=bearer\s.)|(?<=apikey\s.)|(?<=basic\s.)|(?<=token\s.)|(?<=&quot;.)|(?<=%2[27].)|(?=[^\r\n\"'\\]{{3}}))[^\r\n\"'\\]*+",
    ),
    _shape("password", _STRONG_WORDS, _STRONG + _TO, _value(4)),
    _shape(  # the rest of a line, where the line says nothing else
        "password",
        "pass|pw",
        rf"(?:pass(?:word|wd|phrase|code)|(?:\b|(?<=_))pwd{_FOLDER})[\w-]{{0,20}}+[\"']?[ \t]{{0,3}}"
        r"[:=][*_]{0,2}[ \t]{0,3}",
        rf"{_FREE}{_SENTENCE}{_WORD}(?:[ \t]{{1,2}}{_WORD}){{1,15}}(?<![.:?!])"
        r"(?=[ \t]{0,9}(?:#[^\r\n]{0,200})?(?:[\r\n]|\\|[\"']|\Z))",
        before=_LINE,
        back=120,
    ),
    _shape(  # .env: what stands together up to the end of the line, brackets and commas too
        "password",
        "pass|pw|secret",
        r"(?-i:(?:PASS(?:WORD|WD|PHRASE|CODE)?|PWD|SECRET)[A-Z0-9_]{0,20}+)=(?![/~])",
        rf"{_FREE}[^\s\"'\\]{{4,}}+(?=[ \t]{{0,9}}(?:[\r\n]|\Z))",
        before=r"(?:\A|[\r\n])(?:export |set )?(?-i:[A-Z0-9_]{0,30})",
        back=40,
    ),
    _shape(
        "password",
        _STRONG_WORDS + "|apikey|api-key|api_key|token",
        rf"(?:{_STRONG}|secret|api[_-]?key|token)[\w-]{{0,20}}+[\"']?[ \t]{{0,3}}[:=][ \t]{{0,3}}{_BLOCK}",
        rf"{_FREE}[ \t]{{1,40}}{_FREE}\S[^\r\n]*+"
        r"(?:\r?\n[ \t]{1,40}(?![\w.-]{1,40}:\s)\S[^\r\n]*+){0,40}+",
    ),
    _shape(
        "password",
        _STRONG_WORDS,
        rf"{_STRONG}[\w-]{{0,20}}+[\"'],\s{{0,3}}[\"']",
        rf"{_FREE}[^\"'\\\r\n]{{4,400}}+(?=[\"']\s{{0,3}}\))",
    ),
    _shape(
        "password",
        "pass|secret|token|apikey|api-key",
        r"(?:passw(?:or)?d|secret|token|api-?key)[\w.-]{0,20}+(?:\s[^<>\r\n]{0,200}+)?>(?:<!\[CDATA\[)?",
        rf"{_FREE}[^<\s]{{4,400}}+(?=</|\]\]>)",
    ),
    _shape(
        "password",
        "pass",
        r"passw(?:or)?d[\w.-]{0,20}+</(?:key|td|th|dt|name|b|strong|label)>\s{0,40}+:?\s{0,9}<(?:string|td|dd|value|span|code)[^<>\r\n]{0,200}+>",
        rf"{_FREE}[^<\r\n]{{4,400}}+(?=</)",
    ),
    _shape(
        "password",
        "pass|secret|apikey|api-key|token",
        r"(?:passw(?:or)?d|passphrase|secret|api-?key|(?<!-max-)token)\s{1,3}[\"']?",
        r"(?!-|\[removed: )[^\s\"'\\]{6,400}+",
        before=r"(?<![\w-])--[a-z-]{0,30}",
        back=36,
    ),
    _shape("password", "login", r"\blogin\s{1,3}\S{1,100}+\s{1,9}password\s{1,3}", rf"{_FREE}\S{{1,200}}+"),
    _shape(
        "password",
        "-u",
        r"(?:(?<=\s)-u|(?<=\s-)-user)[ =]{0,3}[\"']?[^\s:\"']{1,100}+:",
        rf"{_FREE}[^\s\"'\\]{{1,200}}+",
        before=r"\bcurl\b[^\r\n]{0,300}\s-?",
        back=320,
    ),
    _shape(  # programs that take one by a short option
        "password",
        "-p",
        r"(?<=\s)-p(?:w?\s{1,3})?[\"']?",
        r"(?!\[removed: |assword|-|rompt|ort|rotocol|\d{1,5}[\s:])[^\s\"'\\]{4,200}+",
        before=r"\b(?:sshpass|mysql(?:dump|admin)?|mariadb|docker login|plink|pscp)(?:\s[^\r\n|;]{0,120})?\s",
        back=140,
    ),
    _shape(
        "password", "pass", r"\bpass:", rf"{_FREE}[^\s\"'\\]{{4,200}}+", before=r"-pass(?:in|out)?[ =][\"']?", back=12
    ),
    _shape(  # told in a sentence: with a digit in it, or in quotes
        "password",
        "pass",
        r"pass(?:word|phrase|code|wd)[\"'`*]{0,3}\s(?:is|was|to|=>|->)[:]?\s[*]{0,2}(?=[\"'`]\S{4}|[^\s\"'`]{0,40}[0-9][^\s\"'`]{0,40}[^\W\d]|[^\s\"'`]{0,40}[^\W\d][^\s\"'`]{0,40}[0-9]|[0-9]{6})[\"'`]?",
        rf"{_FREE}(?:(?<=[\"'`])[^\"'`\r\n]{{4,100}}+(?=[\"'`])|[^\s\"'`\\,;)]{{5,100}}+)",
    ),
    _shape(
        "password",
        "pass",
        r"passw(?:or)?d[*`]{0,3}[ \t]{0,20}\|[ \t]{0,20}[*`]{0,3}(?=[^\s|]{0,40}[0-9])",
        rf"{_FREE}[^\s|`]{{5,100}}+",
    ),
    _shape(
        "password",
        "mnemonic|phrase",
        rf"(?:mnemonic|(?:(?<=seed.)|(?<=recovery.))phrase){_QUOTE}\s{{0,3}}{_IS}\s{{0,3}}{_QUOTE}",
        rf"{_FREE}[a-z]{{3,8}}(?:[ ,\t]{{1,2}}[a-z]{{3,8}}){{11,23}}",
    ),
    _shape(
        "password hash",
        "$",
        "",
        r"\$(?:1|2[abxy]|5|6|7|y|apr1|argon2(?:id|i|d)|pbkdf2[\w-]{0,20}+|scrypt)\$[./A-Za-z0-9$=,+-]{20,}+",
    ),
    _shape(
        "secret by its name",
        "name|key",
        rf"\b(?:name|key){_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}(?=[\w-]{{0,40}}(?:{_STRONG}|api[_-]?key|secret|token\b|"
        rf"authorization|cookie|_key\b))[\w-]{{0,90}}+{_QUOTE}\s{{0,3}},?\s{{0,20}}{_QUOTE}value{_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}",
        rf"{_FREE}[^\s\"'\\][^\r\n\"'\\]*+",
        need="value",
    ),
    _shape(
        "secret",
        "secret|_key|auth|cred|sess|connect|pass|pw|token",
        rf"{_WEAK}{_TO}",
        _FULL + _value(8),
    ),
    _shape(
        "secret",
        "key",
        rf"key{_TO}",
        _FULL + _value(8),
        before=_KEYS,
        back=14,
    ),
    _shape(
        "signature in an address",
        "sig|x-|code=|key=",
        r"(?:(?<=[?&])|(?<=&amp;)|(?<=u0026))(?:sig|signature|x-amz-(?:signature|credential|security-token)|code|key)=",
        r"[^\s&\"'\\<>#]{12,}+",
    ),
    *(_shape(*row) for row in PROGRAMS),
)
_ALL = sorted(dict.fromkeys(w for s in SHAPES for w in (*s.words, s.need) if w), key=len)
# Every word, and a shorter one that is in it: without that it need not be looked for.
WORDS: Sequence[tuple[bytes, bytes]] = [(w, next((v for v in _ALL if v != w and v in w), b"")) for w in _ALL]

NAMES = re.compile(
    r"(?:pass(?:word|wd|phrase|code|wort)(?:[_-]?(?:\d|confirm\w*|old|new|again))?|(?:\b|_)pass|(?:\b|_)pwd|(?:\b|_)pw|secret|api[_-]?key|"
    r"access[_-]?key|private[_-]?key|auth[_-]?key|account[_-]?key|(?-i:[A-Z0-9]_KEY)|credentials?|session_?id|kennwort|"
    r"\b(?:token|auth|bearer)\b|[a-z]_?-?token\b|authorization|cookie|mnemonic|seed_?phrase)\W?$",
    re.I,
)
NUMBERED = re.compile(_STRONG + "|secret", re.I)

# Letters that look like others, one for one: wide ones, and the Cyrillic and Greek ones that names are forged with.
FOLDED = {
    c: c - 0xFEE0 for c in (*range(0xFF10, 0xFF1B), 0xFF1D, *range(0xFF21, 0xFF3B), 0xFF3F, *range(0xFF41, 0xFF5B))
}
FOLDED |= {0xFF0D: ord("-"), 0xFF0E: ord("."), 0x17F: ord("s"), 0x212A: ord("k"), 0x130: ord("i"), 0x131: ord("i")}
FOLDED |= dict(zip(map(ord, "аеорсухіѕԁԝкАЕОРСУХІЅКТВМНο"), map(ord, "aeopcyxisdwkAEOPCYXISKTBMHo"), strict=True))
