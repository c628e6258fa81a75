"""What every member of a shelf owes its users, be it a method or a selector."""

from pathlib import Path


def says_what_it_must(name, card):
    for field in ("title", "paper", "needs", "bias", "departures", "bibtex"):
        assert getattr(card, field).strip(), f"{name}: card says nothing of {field}"
    assert card.bibtex.lstrip().startswith("@") and card.bibtex.count("{") == card.bibtex.count("}")


def every_option_and_preset_has_a_golden(member, path: Path, used):
    idle = set(member.options) - used
    assert not idle, f"no golden of {member.name} sets {idle}"
    text = path.read_text()
    idle = {p for p in member.presets if f'"{member.name}@{p}"' not in text}
    assert not idle, f"no golden of {member.name} uses the presets {idle}"
