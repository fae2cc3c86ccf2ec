"""Observers: pure ``(init, update)`` pairs carried inside the compiled run, looking at it once an epoch."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._cache import constructor
from jaxdict._entry import entry
from jaxdict.optimizers import plateau as rule_room


class Snapshot(NamedTuple):
    """What an observer sees after an epoch: parameters and state, the epoch's number from 1, its row of history."""

    params: Any
    state: Any
    epoch: jax.Array
    row: dict[str, jax.Array]


class Observer(NamedTuple):
    """``init(snapshot) -> memory`` before the first epoch, ``update(memory, snapshot) -> (memory, stop)`` after each.

    ``monitor`` is the column of the history that it needs ("auto": ``validation_loss`` when there is validation data,
    else ``loss``). ``restores`` says that the run should end with the memory's ``params`` and ``state``. ``scale``
    gives what the updates of the next epoch are multiplied by, from the memory; None leaves them alone.
    """

    init: Callable[[Snapshot], Any]
    update: Callable[[Any, Snapshot], tuple[Any, jax.Array]]
    monitor: str | None = None
    restores: bool = False
    scale: Callable[[Any], jax.Array] | None = None


def scale_of(observers: Iterable[Observer], memories: Iterable[Any]) -> jax.Array | None:
    """What all observers together multiply updates by; None when none does, so that nothing is multiplied."""
    scales = [o.scale(memory) for o, memory in zip(observers, memories, strict=True) if o.scale is not None]
    return functools.reduce(jnp.multiply, scales) if scales else None


class BestMemory(NamedTuple):
    """The best epoch so far: epoch 0 and an infinite value before the first."""

    params: Any
    state: Any
    epoch: jax.Array
    value: jax.Array
    wait: jax.Array


def _best(monitor: str, mode: str, patience: int | None, min_delta: Any, restores: bool) -> Observer:
    _check.one_of("mode", mode, ["min", "max"])
    _check.number("min_delta", min_delta, low=0)
    sign = 1.0 if mode == "min" else -1.0

    def init(snapshot):
        worst = jnp.float32(sign * jnp.inf)
        return BestMemory(snapshot.params, snapshot.state, jnp.int32(0), worst, jnp.int32(0))

    def update(memory, snapshot):
        value = snapshot.row[monitor]
        # A NaN is never better, and the first number is better than none.
        better = sign * value < sign * memory.value - min_delta
        new = BestMemory(snapshot.params, snapshot.state, snapshot.epoch, value, jnp.int32(0))
        old = memory._replace(wait=memory.wait + 1)
        kept = jax.lax.cond(better, lambda: new, lambda: old)
        return kept, jnp.bool_(False) if patience is None else kept.wait >= patience

    return Observer(init, update, monitor, restores)


@entry(
    "observer",
    equation="best = min(best, m)",
    aliases=("best so far", "model checkpoint", "save best only"),
    sources=("S2 10.2.6",),
    conventions={"keras": "ModelCheckpoint(save_best_only=True), a callback that writes a file"},
    symbols={"monitor": "m"},
)
@constructor
def best(*, monitor: str = "auto", mode: str = "min") -> Observer:
    """Keep the parameters and state of the best epoch, as ``run.best``.

    Args:
      monitor: a column of the history, float32 scalar an epoch; "auto" is validation_loss, or loss without validation.
      mode: "min" or "max", whether smaller or larger is better.

    Returns:
      An observer; its memory has the parameters' and state's shapes and dtypes.

    Raises:
      ValueError: an unknown mode; in ``fit``, a column that the run does not have.
    """
    return _best(monitor, mode, None, 0.0, False)


@entry(
    "observer",
    equation="wait = cases((0, m < best - delta), (wait + 1, True)); best = cases((m, m < best - delta), (best, True))",
    aliases=("patience",),
    sources=("S2 10.2.6", "S2 11.3", "S3", "S4"),
    conventions={
        "keras": "EarlyStopping: min_delta absolute, patience 0, the best weights are not restored unless asked",
        "optax": "none",
        "scikit-learn": "n_iter_no_change=10, tol=1e-4, on a tenth of the training data",
    },
    symbols={"monitor": "m", "min_delta": "delta"},
    see_also=("best",),
)
@constructor
def early_stopping(
    *,
    monitor: str = "validation_loss",
    mode: str = "min",
    patience: int = 10,
    min_delta: Any = 0.0,
    restore_best: bool = True,
) -> Observer:
    """Stop when ``monitor`` has not improved for ``patience`` epochs, and end with the best epoch's parameters.

    Args:
      monitor: a column of the history, float32 scalar an epoch; "auto" as in ``best``.
      mode: "min" or "max", whether smaller or larger is better.
      patience: epochs without improvement after which the run stops, >= 1.
      min_delta: by how much a value must be better, absolute, >= 0.
      restore_best: whether the run ends with the best epoch's parameters and state instead of the last's.

    Returns:
      An observer; it also gives ``run.best``.

    Raises:
      ValueError: an unknown mode, a patience below 1, a negative min_delta; in ``fit``, an unknown column.
    """
    return _best(monitor, mode, _check.integer("patience", patience, low=1), min_delta, restore_best)


@entry(
    "observer",
    equation=rule_room.EQUATION,
    aliases=("reduce on plateau", "reduce lr on plateau", "reducelronplateau"),
    sources=("S2 10.2.6", "S4"),
    conventions=rule_room.CONVENTIONS,
    symbols=rule_room.SYMBOLS,
    see_also=("optimizer reduce_on_plateau", "early_stopping"),
)
@constructor
def plateau(
    *,
    monitor: str = "auto",
    factor: Any = 0.1,
    patience: int = 10,
    mode: str = "min",
    rtol: Any = 1e-4,
    atol: Any = 0.0,
    relative_to: str = "magnitude",
    reduce_when: str = "reached",
    cooldown: int = 0,
    cooldown_counts_last: bool = False,
    min_scale: Any = 0.0,
    min_reduction: Any = 0.0,
) -> Observer:
    """Lower the learning rate when ``monitor`` has stopped getting better: reduce on plateau.

    From the next epoch on, the optimizer's updates are multiplied by a scale, which is the rate's as PyTorch's and
    optax's optimizers have it, outside every memory; on top of a schedule, if there is one. The history's
    ``learning_rate`` holds the product. Stop early with more patience than this.

    Args:
      monitor: a column of the history, float32 scalar an epoch; "auto" is validation_loss, or loss without validation.
      factor: 0 < factor < 1, what the scale is multiplied by.
      patience: epochs in a row that may be no better, ≥ 0.
      mode: "min" or "max", whether smaller or larger is better.
      min_scale: ≥ 0, the least that a reduction goes to: the smallest rate by the first.
      the others: as in ``optimizers.plateau_rule``.

    Returns:
      An observer; its memory is an ``optimizers.PlateauState``.

    Raises:
      ValueError: an unknown choice, a number out of its range; in ``fit``, a column that the run does not have.
      TypeError: something that is not a number.
    """
    rule = rule_room.plateau_rule(
        factor=factor, patience=patience, mode=mode, rtol=rtol, atol=atol, relative_to=relative_to,
        reduce_when=reduce_when, cooldown=cooldown, cooldown_counts_last=cooldown_counts_last, min_scale=min_scale,
        min_reduction=min_reduction,
    )  # fmt: skip

    def init(snapshot):
        del snapshot
        return rule.init()

    def update(memory, snapshot):
        return rule.update(memory, snapshot.row[monitor]), jnp.bool_(False)

    return Observer(init, update, monitor, scale=lambda memory: memory.scale)
