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

    Raises:
      ValueError: statistics of no layer. ModuleNotFoundError: matplotlib is not installed.
    """
    layers = list(found)
    if not layers:
        raise ValueError("the statistics hold no layer: nothing to draw")
    columns = {field: np.array([getattr(layer, field) for layer in layers]) for field in _FIELDS}
    columns = {field: values for field, values in columns.items() if np.isfinite(values).any()}
    panels = [_outputs]
    panels += [_idle] if {"dead", "saturated"} & columns.keys() else []
    panels += [_gradients] if "error_norm" in columns else []
    drawn = _canvas.figure(max(6, 2.5 + 0.42 * len(layers)), 1.2 + 2.1 * len(panels))
    axes = drawn.subplots(len(panels), 1, squeeze=False, sharex=True).ravel()
    for axis, panel in zip(axes, panels, strict=True):
        panel(axis, columns, found)
        _canvas.plain(axis)
    axes[-1].set_xticks(range(len(layers)), [layer.name for layer in layers], rotation=60, ha="right", fontsize=8)
    axes[-1].set_xlim(-0.6, len(layers) - 0.4)
    if title:
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if path is not None:
        _canvas.save(drawn, path)
    return drawn


_FIELDS = ("mean", "std", "dead", "saturated", "gradient_norm", "error_norm")


def _outputs(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    axis.errorbar(x, columns["mean"], columns["std"], fmt="o", color=_canvas.BLUE, markersize=5, capsize=3)
    axis.set_title("outputs: mean ± standard deviation", loc="left", fontsize=10)


def _idle(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    for field, label, color in (("dead", "dead units", _canvas.INK), ("saturated", "saturated", _canvas.ORANGE)):
        if field in columns:
            axis.bar(x, 100 * columns[field], color=color, width=0.6, label=label)
    axis.set_ylim(0, 100)
    axis.set_ylabel("%", rotation=0)
    axis.set_title("idle units", loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=9)


def _gradients(axis: Any, columns: dict[str, np.ndarray], found: Statistics) -> None:
    x = np.arange(len(found))
    lines = (("error_norm", "by outputs", _canvas.BLUE, "o"), ("gradient_norm", "by parameters", _canvas.GREEN, "s"))
    for field, label, color, marker in lines:
        values = columns.get(field)
        if values is None:
            continue
        there = np.isfinite(values) & (values > 0)
        axis.plot(x[there], values[there], marker=marker, color=color, label=label, linewidth=1.4, markersize=5)
    flagged = np.array([layer.flag != "" for layer in found]) & np.isfinite(columns["error_norm"])
    flagged &= columns["error_norm"] > 0
    if flagged.any():
        said = " or ".join(sorted({layer.flag for layer in found} - {""}))
        axis.plot(
            x[flagged], columns["error_norm"][flagged], "o", color=_canvas.ORANGE, markersize=9, zorder=0, label=said
        )
    if any((columns[f][np.isfinite(columns[f])] > 0).any() for f, *_ in lines if f in columns):
        axis.set_yscale("log")
    axis.set_title("norm of the loss's gradient", loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=9)


__all__ = ["statistics"]
