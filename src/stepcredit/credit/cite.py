"""BibTeX of what was used."""

from stepcredit.credit.registry import get
from stepcredit.credit.run import Credit


def cite(*used: str | Credit) -> str:
    """BibTeX entries of the methods that were used, each once.

    >>> print(cite("gigpo").splitlines()[0])
    @inproceedings{feng2025gigpo,
    """
    entries: dict[str, None] = {}
    for one in used:
        method = get(one.method if isinstance(one, Credit) else one)
        text = (method.preset.bibtex if method.preset and method.preset.bibtex else method.card.bibtex).strip()
        entries[text] = None
    return "\n\n".join(entries)
