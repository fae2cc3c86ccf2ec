"""A search at a glance: what was chosen and how good it was, and the learning curves of the best."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdict.plots import _canvas

_LOG_FROM = 30  # numbers that differ by more than this factor are shown by their logarithm
_FEW, _MOST_LABELS = 5, 12


def search(
    choices: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    curves: Sequence[Sequence[Sequence[float | None]]],
    monitor: str,
    *,
    mode: str = "min",
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Parallel coordinates, a line a candidate from its choices to its score, and learning curves beside them.

    Args:
      choices: of every candidate, best first, JSON data by name. scores: of each, NaN where it diverged: not drawn.
      curves: for the first candidates, the values by epoch of each of their runs.
      monitor: the name of the score. mode: "min" or "max", whether smaller or larger is better.
      path: where to write the picture.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      ValueError: no candidates, or as many scores as candidates are not there. ModuleNotFoundError: no matplotlib.
    """
    if not len(choices) or len(choices) != len(scores):
        raise ValueError(f"a picture needs a score for each candidate; got {len(choices)} and {len(scores)}")
    drawn = _canvas.figure(12, 5)
    left, right = drawn.subplots(1, 2, width_ratios=[1.7, 1])
    _coordinates(left, choices, np.asarray(scores, np.float64), monitor, mode)
    _curves(right, curves, monitor)
    if path is not None:
        _canvas.save(drawn, path)
    return drawn


def _coordinates(axis: Any, choices: Sequence[Mapping[str, Any]], scores: np.ndarray, monitor: str, mode: str) -> None:
    from matplotlib import colormaps

    names = list(dict.fromkeys(name for one in choices for name in one))
    columns = [[one.get(name) for one in choices] for name in names] + [scores.tolist()]
    placed = [_place(values) for values in columns]
    finite = np.flatnonzero(np.isfinite(scores))
    for k in reversed(finite):  # the best last, over the others
        rank = np.searchsorted(finite, k) / max(1, len(finite) - 1)
        best = k == finite[0]
        color = _canvas.ORANGE if best else colormaps["viridis"](0.9 * rank)
        heights = [positions[k] for positions, _ in placed]
        style = {"linewidth": 2.6, "alpha": 1.0, "zorder": 4} if best else {"linewidth": 1.1, "alpha": 0.6, "zorder": 2}
        axis.plot(range(len(columns)), heights, color=color, marker="o", markersize=6 if best else 3, **style)
    for x, (_, labels) in enumerate(placed):
        axis.axvline(x, color=_canvas.GREY, linewidth=1, zorder=1)
        for height, text in labels:
            axis.annotate(
                text, (x, height), xytext=(-5, 0), textcoords="offset points", fontsize=8, color=_canvas.INK,
                ha="right", va="center", zorder=5,
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )  # fmt: skip
    axis.set_xticks(range(len(columns)), [*(name.replace("_", "\n") for name in names), monitor.replace("_", "\n")])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=9)
    axis.set_xlim(-0.45, len(columns) - 0.9)
    better = "lower" if mode == "min" else "higher"
    axis.set_title(f"{len(choices)} candidates, the best in orange; {better} is better", loc="left", fontsize=11)


def _place(values: Sequence[Any]) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Heights in [0, 1] of the values on their axis, and its labels; what a candidate does not choose is at 0."""
    numbers = [v for v in values if _is_number(v)]
    if len(numbers) == sum(v is not None for v in values) and len(set(numbers)) > 1:
        low, high = min(numbers), max(numbers)
        scale = np.log if low > 0 and high > _LOG_FROM * low else np.asarray
        span = scale(high) - scale(low)
        heights = [float((scale(v) - scale(low)) / span) if _is_number(v) else 0.0 for v in values]
        middle = float(np.exp((np.log(low) + np.log(high)) / 2)) if scale is np.log else (low + high) / 2
        if len(set(numbers)) <= _FEW:
            at = {v: height for v, height in zip(values, heights, strict=True) if v is not None}
            return np.array(heights), [(height, f"{v:.3g}") for v, height in at.items()]
        return np.array(heights), [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]
    texts = ["–" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    known = list(dict.fromkeys(texts))
    at = {text: (k + 0.5) / len(known) for k, text in enumerate(known)}
    shown = [(height, text if len(text) <= 18 else text[:17] + "…") for text, height in at.items()]
    return np.array([at[text] for text in texts]), shown[:_MOST_LABELS]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _curves(axis: Any, curves: Sequence[Sequence[Sequence[float | None]]], monitor: str) -> None:
    everything = []
    for rank, runs in enumerate(curves):
        color = _canvas.ORANGE if rank == 0 else _canvas.BLUE
        for k, values in enumerate(runs):
            heights = np.array([np.nan if v is None else v for v in values], np.float64)
            axis.plot(
                np.arange(1, len(heights) + 1), heights, color=color, linewidth=1.6 if rank == 0 else 1.0,
                alpha=1.0 if rank == 0 else 0.5, zorder=3 if rank == 0 else 2,
                label=None if k or rank > 1 else "the best" if rank == 0 else f"the next {len(curves) - 1}",
            )  # fmt: skip
            everything.append(heights[np.isfinite(heights)])
    shown = np.concatenate(everything) if everything else np.empty(0)
    if shown.size and shown.min() > 0 and shown.max() > _LOG_FROM * shown.min():
        axis.set_yscale("log")
    _canvas.plain(axis)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch")
    axis.set_title(monitor.replace("_", " "), loc="left", fontsize=11)
    if axis.lines:
        axis.legend(frameon=False, fontsize=9)
