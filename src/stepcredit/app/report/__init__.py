"""The report: one HTML page that shows which step of each rollout earned or lost the outcome. No network, no server."""

import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from stepcredit.app.report.payload import LIMIT, as_json, cut, payload
from stepcredit.credit.run import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.writing import write_text

__all__ = ["report", "write_report"]


def report(
    batch: Batch,
    credits: Sequence[Credit],
    *,
    findings: Sequence[Mapping[str, Any]] | None = None,
    comparison: Sequence[Mapping[str, Any]] | None = None,
    title: str = "Step credit",
    source: str = "",
    limit: int = LIMIT,
) -> str:
    """The page as one self-contained string of HTML.

    Args:
        batch: the rollouts; texts are shown where it was built from records.
        credits: one per method, computed on this batch.
        findings: rows of the linter: rule, severity ("error", "warning", "info", "not checked"), message, where, why,
            mend. None: not linted, and the page does not speak of it.
        comparison: rows of a table, one per method: any columns, in order; a `method` that is among `credits` is a
            switch of the page.
        title: heading of the page. source: where the rollouts came from.
        limit: most steps to embed. Whole tasks are taken in order; the page says what was left out.

    Raises:
        LayoutError: a credit of another batch. StepCreditError: limit below 1.
    """
    data, texts = payload(
        batch, credits, findings=findings, comparison=comparison, title=title, source=source, limit=limit
    )
    style, script = _file("style.css"), "\n".join(map(_file, ("words.js", "details.js", "page.js")))
    parts = {
        "title": escape(cut(title, 200).encode("utf-8", "replace").decode()),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "data": as_json(data),
        "texts": as_json(texts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _file("page.html"))


def write_report(path: str | os.PathLike[str], batch: Batch, credits: Sequence[Credit], **options: Any) -> Path:
    """Write the page of `report` (same options). The file appears whole or not at all."""
    page, path = report(batch, credits, **options), Path(path)
    write_text(page, path)
    return path


def _file(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """How a content security policy names the one inline text that it allows."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
