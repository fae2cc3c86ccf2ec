"""What pictures share: a figure off screen, its colours, mathematics as matplotlib draws it, the way to a file."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from jaxdict import _check

BLUE, ORANGE, GREEN, GREY, INK = "#2a6fbb", "#e0752b", "#3a8f5c", "#8a8f98", "#1f2328"
_SMALLEST = 7.0  # points, of an equation that would not fit


def figure(width: float = 10, height: float = 6) -> Any:
    """A figure of ``width`` × ``height`` hundred pixels that no window and no pyplot knows of."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("pictures need matplotlib; pip install 'jaxdict[train]'") from error
    drawn = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def plain(axis: Any, *, zero: bool = False) -> None:
    """The common dress of an axis; ``zero`` marks where the coordinates are 0."""
    axis.grid(color="#e6e8eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=9)
    if zero:
        axis.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)


def headline(drawn: Any, name: str, equations: list[str]) -> None:
    """The name at the top and equations below it, as large as the width allows; the axes keep out of their way."""
    drawn.text(0.012, 0.985, name, va="top", fontsize=14, fontweight="bold", color=INK)
    height = drawn.bbox.height
    top = 1 - 34 / height
    for equation in equations:
        line = drawn.text(0.016, top, f"${equation}$", va="top", fontsize=14, color=INK, math_fontfamily="cm")
        box = line.get_window_extent()
        room = 0.97 * drawn.bbox.width / box.width
        if room < 1:
            line.set_fontsize(max(_SMALLEST, 14 * room))
            box = line.get_window_extent()
        top -= (box.height + 7) / height
    drawn.get_layout_engine().set(rect=(0.006, 0.012, 0.985, top - 0.018), w_pad=0.06, h_pad=0.04)


def typeset(equation: str) -> str:
    """LaTeX as matplotlib's mathtext understands it: cases become rows over each other behind one brace."""
    tex = equation
    while (start := tex.rfind(_CASES)) >= 0:  # the innermost first
        end = tex.index(_END, start)
        tex = tex[:start] + _braced(tex[start + len(_CASES) : end].split(r" \\ ")) + tex[end + len(_END) :]
    tex = re.sub(r"\\(left|right)(?![a-z])", "", tex)
    tex = tex.replace(r"\operatorname", r"\mathrm")
    tex = re.sub(r"(?<=[\w})\]]) (?=\\(?:" + _OPERATORS + "))", r"\\,", tex)  # a gap between factor and operator
    tex = tex.replace(r"\sum_", r"{\sum}_").replace(r"\top", "T")
    return re.sub(r"\\text\{([^}]*)\}", lambda m: r"\mathrm{" + m[1].replace(" ", r"\ ") + "}", tex)


_OPERATORS = r"min|max|ln|sin|cos|tanh|mathrm\{(?:sign|erf)"
_CASES, _END = r"\begin{cases}", r"\end{cases}"


def _braced(rows: list[str]) -> str:
    stack, *rest = (row.replace("&", r"\quad") for row in rows)
    for i, row in enumerate(rest, 1):  # mathtext stacks two at a time
        stack = r"\genfrac{" + (r"\{}{.}" if i == len(rest) else "}{}") + f"{{0}}{{0}}{{{stack}}}{{{row}}}"
    return stack


def save(drawn: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure, all or nothing: beside ``path`` first, so that whoever looks never sees half a picture.

    Args:
      drawn: a ``matplotlib.figure.Figure``.
      path: the format is by its suffix, PNG without one; folders on the way are made.

    Raises:
      ValueError: there is no such format; the message names the closest.
    """
    path = Path(path)
    suffix = (path.suffix or ".png")[1:].lower()
    known = sorted(drawn.canvas.get_supported_filetypes())
    if suffix not in known:
        raise ValueError(f"{path}: no picture format {path.suffix!r}; {_check.did_you_mean(suffix, known)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        drawn.savefig(partial, format=suffix)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
