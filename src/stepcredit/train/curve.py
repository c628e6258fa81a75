"""The learning curve of one or more runs as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepcredit.plugins import extra


def draw(runs: Mapping[str, Sequence[Mapping[str, Any]]], files: Sequence[Path], *, title: str = "") -> list[Path]:
    """Success on the evaluation's tasks by rollouts, with its 95% interval, and by seconds.

    Args:
        runs: name -> lines of its metrics.jsonl. files: .svg, .png.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    matplotlib = extra("matplotlib", "the curve as a picture", name="plots")
    figure_of = extra("matplotlib.figure", "the curve as a picture", name="plots").Figure
    with matplotlib.rc_context({"svg.hashsalt": "stepcredit", "font.size": 9}):
        figure = figure_of(figsize=(7.5, 3.0), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for name, lines in runs.items():
            told = [line for line in lines if line.get("eval_success") is not None]
            success = [line["eval_success"] for line in told]
            for axis, of in zip(axes, ("rollouts", "seconds"), strict=True):
                at = [line[of] for line in told]
                (drawn,) = axis.plot(at, success, marker=".", label=name)
                low, high = ([line[f"eval_success_{end}"] for line in told] for end in ("low", "high"))
                axis.fill_between(at, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
        for axis, of in zip(axes, ("rollouts", "seconds"), strict=True):
            axis.set_xlabel(of)
            axis.set_ylim(0, 1.02)
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.2)
        axes[0].set_ylabel("success on held-out tasks")
        if len(runs) > 1:
            axes[0].legend(frameon=False)
        if title:
            figure.suptitle(title)
        for file in files:
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return list(files)
