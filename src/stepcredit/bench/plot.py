"""Plots of a suite's result as SVG, drawn by matplotlib (`pip install stepcredit[plots]`)."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from stepcredit.bench.suite import Line, Plot
from stepcredit.errors import MissingExtra

_FEW = 12  # points that a line can mark, and an axis name, one by one


def draw(plots: Iterable[Plot], folder: Path) -> list[Path]:
    """Write `folder/name.svg` of each plot; equal plots give equal files.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtra("matplotlib", "plots", "drawing plots") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context({"svg.hashsalt": "stepcredit", "svg.fonttype": "none", "font.size": 9}):
        for plot in plots:
            lines = _distinct(plot.lines)
            figure = Figure(figsize=(7.6, max(3.8, 0.7 + 0.17 * len(lines))), layout="constrained")
            axes = figure.subplots()
            colors = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
            for i, one in enumerate(lines):
                ours = one.name.startswith("stepcredit")
                color = "black" if ours else colors[i % len(colors)]
                dash, label = "--" if "@" in one.name else "-", _plain(one.name)
                axes.plot(
                    one.x,
                    one.y,
                    dash,
                    marker="o" if len(one.x) <= _FEW else "",
                    ms=3,
                    label=label,
                    color=color,
                    lw=2.2 if ours else 1.1,
                )
                if one.low is not None and one.high is not None:
                    axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.12, lw=0)
            if plot.log_x:
                axes.set_xscale("log", base=2)
            ticks = sorted({x for one in lines for x in one.x})
            if len(ticks) <= _FEW:
                axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
            axes.minorticks_off()
            axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            figure.legend(loc="outside right upper", frameon=False, fontsize=8)
            path = folder / f"{plot.name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": "stepcredit"})
            written.append(path)
    return written


def _distinct(lines: Sequence[Line]) -> list[Line]:
    """Lines that lie on one another, to half a hundredth, as one with all their names; the highest end first."""
    kept: list[list[Line]] = []
    for line in lines:
        for same in kept:
            first = same[0]
            near = list(first.x) == list(line.x) and np.allclose(first.y, line.y, atol=0.005, equal_nan=True)
            if near and first.low is None and line.low is None:
                same.append(line)
                break
        else:
            kept.append([line])
    merged = [same[0]._replace(name=", ".join(one.name for one in same)) for same in kept]
    return sorted(merged, key=lambda one: -one.y[-1] if len(one.y) and one.y[-1] == one.y[-1] else np.inf)


def _plain(name: str) -> str:
    """A legend's text: no formula, and shown although it begins with an underscore; long ones in several rows."""
    name = "\n".join(textwrap.wrap(name, 34))
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")
