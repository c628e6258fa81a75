"""The tokens of arithmetic, equations and logic, from plain text, Unicode and LaTeX."""

import re


class NotRead(ValueError):
    """The text is nothing that the grammar knows; the text of the error says where."""


_PLAIN = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": "*",
        "·": "*",
        "∙": "*",
        "⋅": "*",
        "÷": "/",
        "⁄": "/",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "¬": "~",
        "∧": "&",
        "∨": "|",
        "→": "->",
        "⇒": "->",
        "⟹": "->",
        "↔": "<->",
        "⇔": "<->",
        "∀": " forall ",
        "∃": " exists ",
        "π": " pi ",
        "²": "^2",
        "³": "^3",
        "\u00a0": " ",
    }
)
_LATEX = {
    **dict.fromkeys(("cdot", "times", "ast"), "*"),
    **dict.fromkeys(("div",), "/"),
    **dict.fromkeys(("le", "leq", "leqslant"), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant"), ">="),
    **dict.fromkeys(("ne", "neq"), "!="),
    **dict.fromkeys(("lt",), "<"),
    **dict.fromkeys(("gt",), ">"),
    **dict.fromkeys(("land", "wedge"), "&"),
    **dict.fromkeys(("lor", "vee"), "|"),
    **dict.fromkeys(("neg", "lnot"), "~"),
    **dict.fromkeys(("to", "rightarrow", "Rightarrow", "implies", "Longrightarrow"), "->"),
    **dict.fromkeys(("iff", "leftrightarrow", "Leftrightarrow"), "<->"),
    **dict.fromkeys(("left", "right", "displaystyle", "quad", "qquad", ",", ";", "!", ":", " ", "$"), ""),
    "%": "%",
    "lbrace": "(",
    "rbrace": ")",
}
_WORDS = {"not": "~", "and": "&", "or": "|", "implies": "->", "iff": "<->", "forall": "forall", "exists": "exists"}
FUNCTIONS = ("sqrt", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "ln", "floor", "ceil")
GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "pi", "rho", "sigma", "phi", "omega")
_TOKEN = re.compile(
    r"\s*(?:(?P<num>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,2}(?![\w.]))?|\.\d+)"
    r"|(?P<name>[^\W\d_]\w{0,39}|_\w{1,39})|(?P<tex>\\(?:[A-Za-z]+|.))"
    r"|(?P<sign><->|<=>|->|=>|<=|>=|!=|==|&&|\|\||\*\*|[-+*/^%=<>~!&|(){}\[\]:,.]))"
)
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}")
_SAME = {"==": "=", "&&": "&", "||": "|", "**": "^", "=>": "->", "<=>": "<->", "!": "~"}


def tokens(text: str, latex: bool) -> list[tuple[str, str]]:
    """(kind, text) of each token: num, name, sign, tex.

    Raises:
        NotRead: a sign that is not of the grammar.
    """
    text = _TEXT.sub(" ", text.translate(_PLAIN)).rstrip()
    out, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotRead(f"cannot read {text[at : at + 12].strip()!r}")
        at = found.end()
        kind = str(found.lastgroup)
        word = found[kind]
        if kind == "tex":
            kind, word = _command(word[1:])
        elif kind == "name" and word.lower() in _WORDS:
            kind, word = "sign", _WORDS[word.lower()]
        elif kind == "sign":
            word = _SAME.get(word, word)
        elif kind == "num":
            word = word.replace(",", "")
        if word and not (latex and kind == "sign" and word == "."):
            out.append((kind, word))
    return out


def _command(name: str) -> tuple[str, str]:
    if name in _LATEX:
        return "sign", _LATEX[name]
    if name in ("forall", "exists"):
        return "sign", name
    if name in ("frac", "dfrac", "tfrac", "sqrt", "boxed"):
        return "tex", name
    if not name.isalpha():
        raise NotRead(f"cannot read \\{name}")
    return "name", name
