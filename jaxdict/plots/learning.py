"""Learning curves: what training leaves behind."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdict.plots import _canvas

_TRAINING, _VALIDATION, _BEST = _canvas.BLUE, _canvas.ORANGE, "#555555"
_NOT_METRICS = ("epoch", "loss", "penalty", "learning_rate", "seconds", "steps_per_second")
_MAX_PANELS = 6
_FEW = 25  # so many epochs are marked one by one


def curves(
    history: Mapping[str, Any], path: str | os.PathLike[str] | None = None, *, best: int | None = None, title: str = ""
) -> Any:
    """Learning curves: the loss and each metric by epoch, training and validation, the best epoch marked.

    Args:
      history: columns by name, arrays ``(epochs,)``: ``epoch``, ``loss``, metrics, and each with ``validation_``
        before its name where there is validation data. Values that are not finite leave a gap.
      path: where to write the picture, 1000 × 600 pixels or a scalable format by its suffix, all or nothing.
      best: the epoch to mark; when None that of the lowest validation loss, or loss.
      title: above the picture.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      ValueError: a history without ``epoch`` and ``loss``, or without an epoch, or a ``best`` that is not in it.
      ModuleNotFoundError: matplotlib is not installed.
    """
    for needed in ("epoch", "loss"):
        if needed not in history:
            raise ValueError(f"a history must have the column {needed!r}; got {', '.join(history) or 'no column'}")
    epochs = np.asarray(history["epoch"], np.float64)
    if not len(epochs):
        raise ValueError("the history holds no epoch yet: nothing to draw")
    if best is not None and best not in epochs:
        raise ValueError(f"best must be an epoch of the history; got {best!r}")
    figure = _canvas.figure()
    names = ["loss", *_metrics(history)][:_MAX_PANELS]
    columns = 1 if len(names) == 1 else 2 if len(names) in (2, 4) else 3
    axes = figure.subplots(math.ceil(len(names) / columns), columns, squeeze=False, sharex=True).ravel()
    chosen = _best_epoch(history) if best is None else best
    for axis, name in zip(axes, names, strict=False):
        _panel(axis, history, epochs, name, chosen)
    for axis in axes[len(names) :]:
        axis.remove()
    for axis in axes[max(0, len(names) - columns) : len(names)]:
        axis.tick_params(labelbottom=True)
    for axis in axes[(len(names) - 1) // columns * columns : len(names)]:
        axis.set_xlabel("epoch")
    _legend(figure, axes[0], chosen)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if path is not None:
        _canvas.save(figure, path)
    return figure


def _metrics(history: Mapping[str, Any]) -> list[str]:
    return [name for name in history if name not in _NOT_METRICS and not name.startswith("validation_")]


def _best_epoch(history: Mapping[str, Any]) -> int | None:
    """The epoch of the lowest validation loss, or loss; None when no value is finite."""
    values = np.asarray(history.get("validation_loss", history["loss"]), np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return None
    return int(np.asarray(history["epoch"])[np.argmin(np.where(finite, values, np.inf))])


def _panel(axis: Any, history: Mapping[str, Any], epochs: np.ndarray, name: str, best: int | None) -> None:
    held = f"validation_{name}" in history
    lines = [(_finite(history[name]), _TRAINING, "training")]
    if held:
        lines.append((_finite(history[f"validation_{name}"]), _VALIDATION, "validation"))
    marker = "o" if len(epochs) <= _FEW else None
    for values, color, label in lines:
        axis.plot(epochs, values, color=color, label=label, linewidth=1.8, marker=marker, markersize=3.5)
    judged, color, _ = lines[-1]
    if best is not None:
        axis.axvline(best, color=_BEST, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
        value = judged[int(np.searchsorted(epochs, best))]
        if np.isfinite(value):
            axis.plot([best], [value], "o", color=color, markersize=8, markeredgecolor="white", zorder=5)
            axis.set_title(f"{value:.4g} at best", loc="right", fontsize=10, color=color)
    everything = np.concatenate([values for values, _, _ in lines])
    everything = everything[np.isfinite(everything)]
    if everything.size and everything.min() > 0 and everything.max() > 30 * everything.min():
        axis.set_yscale("log")
    axis.set_title(name.replace("_", " "), loc="left", fontsize=11)
    axis.grid(color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.get_major_locator().set_params(integer=True)
    if len(epochs) == 1:
        axis.set_xlim(epochs[0] - 1, epochs[0] + 1)


def _legend(figure: Any, axis: Any, best: int | None) -> None:
    handles, labels = axis.get_legend_handles_labels()
    if best is not None:
        handles.append(next(line for line in axis.lines if line.get_color() == _BEST))
        labels.append(f"best epoch: {best}")
    figure.legend(handles, labels, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=10)


def _finite(values: Any) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return np.where(np.isfinite(values), values, np.nan)
