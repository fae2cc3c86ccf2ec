"""The inside of a model: what its layers give and what gradient reaches them, layer by layer."""

import os
from typing import Any

import numpy as np

from jaxdict.inspection import Statistics
from jaxdict.plots import _canvas


def statistics(found: Statistics, path: str | os.PathLike[str] | None = None, *, title: str = "") -> Any:
    """Outputs, idle units and gradients by layer, from the inputs on the left to the outputs on the right.

    Args:
      found: what ``jaxdict.inspection.statistics`` gave.
      path: where to write the picture, a format by its suffix, all or nothing.
      title: above the picture.

    Returns:
      A ``matplotlib.figure.Figure``: mean ± standard deviation of the outputs; the share of dead units and of saturated
      outputs, where a layer can have such; with a loss, the norms of the gradient by outputs and by parameters.
      Layers where something is not finite are marked in all of them.

    Raises:
      ValueError: statistics of no layer. ModuleNotFoundError: matplotlib is not installed.
    """
    layers = list(found)
    if not layers:
        raise ValueError("the statistics hold no layer: nothing to draw")
    columns = {field: np.array([getattr(layer, field) for layer in layers]) for field in _FIELDS}
    columns = {field: np.where(np.isfinite(values), values, np.nan) for field, values in columns.items()}
    panels = [_outputs]
    panels += [_idle] if any(_any(columns[field]) for field in ("dead", "saturated")) else []
    panels += [_gradients] if _any(columns["error_norm"]) else []
    drawn = _canvas.figure(max(6, 2.5 + 0.42 * len(layers)), 1.2 + 2.1 * len(panels))
    axes = drawn.subplots(len(panels), 1, squeeze=False, sharex=True).ravel()
    for axis, panel in zip(axes, panels, strict=True):
        panel(axis, columns, found)
        _canvas.plain(axis)
    broken = [layer.flag == "not finite" for layer in layers]
    for axis in axes:
        for x in np.flatnonzero(broken):
            axis.axvspan(x - 0.4, x + 0.4, color=_canvas.ORANGE, alpha=0.25, linewidth=0)
    names = [f"{layer.name}: not finite" if bad else layer.name for layer, bad in zip(layers, broken, strict=True)]
    axes[-1].set_xticks(range(len(layers)), names, rotation=60, ha="right", fontsize=8)
    axes[-1].set_xlim(-0.6, len(layers) - 0.4)
    if title:
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if path is not None:
        _canvas.save(drawn, path)
    return drawn


_FIELDS = ("mean", "std", "dead", "saturated", "gradient_norm", "error_norm")


def _any(values: np.ndarray) -> bool:
    return not np.isnan(values).all()


def _outputs(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    axis.errorbar(x, columns["mean"], columns["std"], fmt="o", color=_canvas.BLUE, markersize=5, capsize=3)
    axis.set_title("outputs: mean ± standard deviation", loc="left", fontsize=10)


def _idle(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    for field, label, color in (("dead", "dead units", _canvas.INK), ("saturated", "saturated", _canvas.ORANGE)):
        if _any(columns[field]):
            axis.bar(x, 100 * columns[field], color=color, width=0.6, label=label)
    axis.set_ylim(0, 100)
    axis.set_ylabel("%", rotation=0)
    axis.set_title("idle units", loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=9)


def _gradients(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    lines = (("error_norm", "by outputs", _canvas.BLUE, "o"), ("gradient_norm", "by parameters", _canvas.GREEN, "s"))
    for field, label, color, marker in lines:
        there = columns[field] > 0
        axis.plot(x[there], columns[field][there], marker=marker, color=color, label=label, linewidth=1.4, markersize=5)
    flags, norms = np.array([layer.flag for layer in found]), columns["error_norm"]
    flagged = (flags != "") & (norms > 0)
    if flagged.any():
        said = " or ".join(sorted(set(flags[flagged])))
        axis.plot(x[flagged], norms[flagged], "o", color=_canvas.ORANGE, markersize=9, zorder=0, label=said)
    if (norms > 0).any() or (columns["gradient_norm"] > 0).any():
        axis.set_yscale("log")
    axis.set_title("norm of the loss's gradient", loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=9)


__all__ = ["statistics"]
