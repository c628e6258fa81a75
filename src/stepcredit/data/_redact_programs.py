"""Secrets by where programs, statements and manifests take them: more rows of the table of `_redact_shapes`."""

__all__ = ["PROGRAMS"]

Row = tuple[str, str, str, str, str, int]
_FREE = r"(?!\[removed: )"
_OPEN = r"[\"']?"
_PLAIN = rf"{_FREE}(?!\$|-)[^\s\"'\\]{{4,200}}+"
_QUOTED = rf"{_FREE}[^\"'\\\r\n]{{4,200}}+(?=[\"'])"
_PAIR = r"\s{0,3}[\"'][^\"'\r\n]{0,100}[\"']\s{0,3},\s{0,3}[\"']"
_SECRET = r"[\"']?kind[\"']?:\s{0,3}[\"']?Secret\b"
_LINES = rf"{_FREE}(?:\r?\n[ \t]{{1,12}}[\w.-]{{1,100}}:[ \t]{{1,3}}(?!\[removed: )\S[^\r\n]*+){{1,100}}+"
_OBJECT = r"(?!\s{0,40}\[removed: )[^{}]{4,}+(?=\}"

# kind, words, head, value, before, back; as `_redact_shapes.Shape` tells.
PROGRAMS: tuple[Row, ...] = (
    (
        "password",
        "identified",
        r"\bidentified\s{1,3}(?:with\s{1,3}\S{1,40}\s{1,3})?by\s{1,3}(?:password\s{1,3})?[\"']",
        _QUOTED,
        "",
        0,
    ),
    ("password", "password", r"password\s{1,3}[\"']", _QUOTED, r"\b(?:with|encrypted|login)\s{1,3}", 14),
    # d["API_KEY"] = "...", ("x-api-key", "...") and what has a type between
    (
        "secret",
        "key|token|secret|pass",
        r"(?:(?:(?<=[_-])|(?<=api))key|token|secret|passw(?:or)?d)[\"'](?:\]\s{0,3}=\s{0,3}|,\s{0,3})b?[\"']",
        rf"{_FREE}(?=[^\"'\r\n]{{0,60}}[0-9])[^\"'\\\r\n]{{12,400}}+(?=[\"'])",
        r"[\[(]\s{0,3}b?[\"'](?:[\w-]{0,30}[_-])?(?:api|access|auth|private|secret|account|service|signing)?[_-]?",
        60,
    ),
    (
        "secret",
        "password|passwd|api_key|apikey|token|secret",
        r"(?:passw(?:or)?d|api_?key|token|secret)\w{0,20}+\s?:\s?[\w.\[]{1,30}+[\]| \w]{0,20}=\s?[\"']",
        rf"{_FREE}(?=[^\"'\r\n]{{0,60}}[0-9])[^\"'\\\r\n]{{8,400}}+(?=[\"'])",
        "",
        0,
    ),
    ("password", "auth", rf"\bauth\s{{0,3}}=\s{{0,3}}\({_PAIR}", _QUOTED, "", 0),
    ("password", ".login(", rf"\.login\({_PAIR}", _QUOTED, "", 0),
    ("password", "convertto-securestring", r"convertto-securestring\s{1,3}(?:-string\s{1,3})?[\"']", _QUOTED, "", 0),
    ("password", "jdbc:oracle", r"jdbc:oracle:\w{1,8}:[^\s/@\"']{1,100}/", r"[^\s@\"'\[]{1,200}+(?=@)", "", 0),
    (
        "password",
        "sqlplus",
        r"sqlplus\s{1,3}(?:-\w{1,10}\s{1,3}){0,3}[^\s/@\"']{1,100}/",
        rf"{_FREE}[^\s@\"']{{4,200}}+",
        "",
        0,
    ),
    ("password", "requirepass|masterauth", rf"\b(?:requirepass|masterauth)\s{{1,3}}{_OPEN}", _PLAIN, "", 0),
    (
        "password",
        "-a",
        rf"(?<=\s)-a\s{{1,3}}{_OPEN}(?:[^\s:\"']{{1,100}}:)?",
        _PLAIN,
        r"\b(?:redis-cli|https?|xh)(?:\s[^\r\n|;]{0,120})?\s",
        140,
    ),
    (
        "password",
        "-p|-w",
        rf"(?<=\s)-[pw]\s{{1,3}}{_OPEN}",
        _PLAIN,
        r"\b(?:mongo(?:sh|dump|restore|export|import)|ldap(?:search|modify|add|whoami))(?:\s[^\r\n|;]{0,120})?\s",
        140,
    ),
    (
        "header",
        "-b|--cookie",
        rf"(?<=\s)(?:-b|--cookie)[ =]{{0,3}}{_OPEN}(?=[^\s\"'=]{{1,60}}=)",
        rf"{_FREE}[^\"'\r\n]{{8,}}+(?=[\"'])|{_FREE}[^\s\"']{{8,}}+",
        r"\bcurl\b[^\r\n]{0,300}\s",
        320,
    ),
    ("secret", "-b", rf"(?<=\s)(?:-b|--body)[ =]{{1,3}}{_OPEN}", _PLAIN, r"\bgh secret set\s[^\r\n|;]{0,120}", 140),
    ("secret", "--body", rf"--body[ =]{{1,3}}{_OPEN}", _PLAIN, r"\bgh secret set\s[^\r\n|;]{0,120}", 140),
    (
        "secret",
        "--from-literal",
        rf"--from-literal[ =]{_OPEN}[\w.-]{{1,80}}=",
        _PLAIN,
        r"\bcreate secret\s[^\r\n|;]{0,300}",
        320,
    ),
    (
        "password",
        "echo|printf",
        rf"\b(?:echo|printf)\s{{1,3}}(?:-\w{{1,3}}\s{{1,3}})?{_OPEN}",
        rf"{_FREE}[^\s\"'|$]{{4,200}}+(?=[\"']?\s{{0,3}}\|\s{{0,3}}(?:sudo\s{{1,3}}(?:-\w{{1,3}}\s{{1,3}}){{0,3}}-S\b|"
        r"(?:sudo\s{1,3})?chpasswd\b|[^\r\n|;]{0,200}--password-stdin))",
        "",
        0,
    ),
    (
        "secret",
        "secret access key",
        r"secret access key(?: \[[^\]\r\n]{0,40}\])?\s{0,3}[:=]\s{0,3}",
        rf"{_FREE}[A-Za-z0-9/+]{{20,}}+",
        "",
        0,
    ),
    ("token", "_pat", r"(?-i:(?<=[A-Z0-9])_PAT)\s{0,3}[:=]\s{0,3}[\"']?", r"[A-Za-z0-9]{30,}+", "", 0),
    ("password", "psk", r"\bpsk\s{0,3}[=:]\s{0,3}[\"']?", rf"{_FREE}[^\s\"'\\]{{8,64}}+", "", 0),
    ("password hash", "pbkdf2_", "", r"pbkdf2_\w{1,20}\$\d{1,9}\$[^\s$]{1,64}\$[A-Za-z0-9+/=]{20,}+", "", 0),
    # a Secret of Kubernetes; its kind stands behind the data where kubectl printed it, often before where people did
    ("secret", "data", r"data:(?=\r?\n)", _LINES + rf"(?=\r?\n(?:immutable: \w{{1,5}}\r?\n)?{_SECRET})", "", 0),
    ("secret", "data", r"data:(?=\r?\n)", _LINES, rf"{_SECRET}[^{{}}]{{0,400}}(?:string)?", 440),
    ("secret", "data", r"data[\"']:\s{0,3}\{", _OBJECT + rf"\s{{0,40}},\s{{0,40}}{_SECRET})", "", 0),
    ("secret", "data", r"data[\"']:\s{0,3}\{", _OBJECT + ")", rf"{_SECRET}[\s\S]{{0,400}}[\"'](?:string)?", 440),
)
