"""Keras 3's ReduceLROnPlateau, an observer of `jaxdict.fit`."""

from typing import Any

from jaxdict import _cache, _check
from jaxdict.train import observers

__all__ = ["ReduceLROnPlateau"]

_LARGER = ("accuracy", "auc", "precision", "recall", "f1", "r2")


@_cache.constructor
def ReduceLROnPlateau(
    monitor: str = "val_loss",
    factor: Any = 0.1,
    patience: int = 10,
    verbose: int = 0,
    mode: str = "auto",
    min_delta: Any = 1e-4,
    cooldown: int = 0,
    min_lr: Any = 0.0,
    *,
    learning_rate: Any = None,
) -> observers.Observer:
    """Keras's rule for lowering the rate: an absolute ``min_delta``, and the last epoch of a cooldown counts.

    It multiplies the optimizer's updates, on top of a schedule if there is one. Keras lowers the rate itself, which
    stands inside the velocity of SGD and RMSprop with momentum: there the old velocity takes its time to shrink.

    Args:
      monitor: a column of the history; ``val_`` is short for ``validation_``.
      factor: 0 < factor < 1.
      patience: ≥ 0, epochs in a row that may be no better; 0 is as 1.
      verbose: taken and not used.
      mode: "min", "max", or "auto": by the name, smaller losses and larger scores are better.
      min_delta: ≥ 0, by how much a value must be better.
      cooldown: ≥ 0, epochs after a reduction that do not count, but for the last.
      min_lr: ≥ 0, the least rate.
      learning_rate: the optimizer's rate, > 0, which ``min_lr`` is measured by.

    Returns:
      The observer; its memory is an ``optimizers.PlateauState``.

    Raises:
      ValueError, TypeError: an argument that is not allowed; a ``min_lr`` without the rate.
    """
    column = "validation_" + monitor.removeprefix("val_") if monitor.startswith("val_") else monitor
    metric = column.removeprefix("validation_")
    if _check.one_of("mode", mode, ["auto", "min", "max"]) == "auto":
        if metric != "loss" and metric.rpartition("_")[2] not in _LARGER:
            raise ValueError(f"mode must be 'min' or 'max' where the name does not tell; got monitor={monitor!r}")
        mode = "min" if metric == "loss" else "max"
    min_lr = _check.scalar("min_lr", min_lr, low=0)
    if learning_rate is None and not (isinstance(min_lr, float) and min_lr == 0):
        raise ValueError("min_lr needs the learning_rate that it is measured by")
    rate = 1.0 if learning_rate is None else _check.scalar("learning_rate", learning_rate, above=0)
    return observers.plateau(
        monitor=column, factor=factor, patience=patience, mode=mode, rtol=0.0, atol=min_delta, cooldown=cooldown,
        cooldown_counts_last=True, min_scale=min_lr / rate,
    )  # fmt: skip
