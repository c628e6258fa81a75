"""The page: its assets in order, and the policy that allows exactly them."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any, Literal

import msgspec

from stepcredit.app.view.shown import plain

SCRIPTS = (
    "vendor/preact.umd.js",
    "vendor/preact-hooks.umd.js",
    "vendor/htm.umd.js",
    *(f"{name}.js" for name in ("base", "api", "list", "widgets", "text", "filters", "runs")),
    *(f"{name}.js" for name in ("strips", "transcript", "verdict", "panel", "compare", "find", "run", "marks")),
    *(f"{name}.js" for name in ("treeparts", "trees")),
    *(f"{name}.js" for name in ("taskgraph_layout", "taskgraph_words", "taskgraph", "taskgraph_panel")),
    *(f"{name}.js" for name in ("plots", "training", "boards", "boot")),
)
STYLES = ("base.css", "screens.css", "trees.css", "taskgraph.css", "plots.css")
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def page(title: str, parts: Mapping[str, str], *, mode: Literal["server", "export"]) -> str:
    """The whole page as HTML.

    Args:
        title: of the window. parts: path of an answer -> its JSON, as `as_json` makes it, or `data:` and base64 of
            gzipped JSON.
        mode: a page of a server asks it for what it does not hold; an exported one asks nobody.
    """
    style, script = assets()
    put = {
        "title": escape(title[:200].encode("utf-8", "replace").decode()),
        "style": style,
        "script": script,
        "style_hash": allowed(style),
        "script_hash": allowed(script),
        "connect": "'self'" if mode == "server" else "'none'",
        "parts": "\n".join(_element(path, text) for path, text in parts.items()),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: put[place[1]], _file("page.html"))


def policy() -> str:
    """The content security policy of a served page, as a header."""
    style, script = assets()
    return (
        f"default-src 'none'; img-src data:; style-src {allowed(style)}; script-src {allowed(script)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def as_json(value: Any) -> str:
    """JSON that no HTML parser can read as markup and any UTF-8 file can hold.

    >>> as_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_bytes(value: Any) -> bytes:
    """JSON of an answer. Halves of characters, which UTF-8 cannot hold, go as their escapes."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, TypeError):
        return as_json(plain(value)).encode()


def allowed(text: str) -> str:
    """How a content security policy names the one inline text that it allows."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def assets() -> tuple[str, str]:
    """(style, script) of the page."""
    return _joined(STYLES), _joined(SCRIPTS)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join(_file(n) for n in names if _asset(n).is_file())


def _file(name: str) -> str:
    text: str = _asset(name).read_text("utf-8")
    return text


def _element(path: str, text: str) -> str:
    packed = text.startswith("data:")
    return (
        f'<script type="application/json" data-path="{escape(path)}"{" data-gzip" if packed else ""}>'
        f"{text.removeprefix('data:')}</script>"
    )


def _asset(name: str) -> Any:
    at = files(__package__) / "assets"
    for part in name.split("/"):
        at /= part
    return at
