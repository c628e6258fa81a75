"""Plots of a suite's result as SVG, drawn by matplotlib (`pip install stepcredit[plots]`)."""

from collections.abc import Iterable
from pathlib import Path

from stepcredit.bench.suite import Plot
from stepcredit.errors import MissingExtra


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
            figure = Figure(figsize=(7.2, 3.8), layout="constrained")
            axes = figure.subplots()
            colors = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
            for i, one in enumerate(plot.lines):
                ours = one.name.startswith("stepcredit")
                color = "black" if ours else colors[i % len(colors)]
                dash, label = "--" if "@" in one.name else "-", _plain(one.name)
                axes.plot(one.x, one.y, dash, marker="o", ms=3, label=label, color=color, lw=2.2 if ours else 1.1)
                if one.low is not None and one.high is not None:
                    axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.12, lw=0)
            if plot.log_x:
                axes.set_xscale("log", base=2)
            ticks = sorted({x for one in plot.lines for x in one.x})
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


def _plain(name: str) -> str:
    """A legend's text: no formula, and shown although it begins with an underscore."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")
