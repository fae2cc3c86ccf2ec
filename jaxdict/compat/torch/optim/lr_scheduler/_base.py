"""What a scheduler is here, and the arithmetic that schedulers share."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict.optimizers._rule import Scalar

# Whole periods are counted by floor_divide: a compiled t/239 may be a product, whose floor at 239 is 0.
Curve: TypeAlias = Callable[[jax.Array], Any]  # of the step as a float


@dataclasses.dataclass(frozen=True, eq=False)
class LRScheduler:
    """A schedule ``step -> rate``; steps may be numbers, traced scalars or arrays, the rate then has their shape.

    Attributes:
      rate: the curve behind it.
      momentum: the momentum that goes with it, itself such a schedule; None where torch leaves momentum alone.
      lr: the base rate, where the curve is that times a factor.
      factor: the factor's curve, likewise.
      sets: whether torch computes the rate from the base rate at every step, and not from the rate before.
    """

    rate: Curve
    momentum: "LRScheduler | None" = None
    lr: Scalar | None = None
    factor: Curve | None = None
    sets: bool = False

    def __call__(self, step: Any) -> jax.Array:
        t = _check.floating(step, name="step")
        t = t.astype(_check.compute_dtype(t.dtype))
        return jnp.broadcast_to(jnp.asarray(self.rate(t), t.dtype), t.shape)

    def every(self, updates: int) -> "LRScheduler":
        """The same schedule with one step in ``updates`` updates, as of ``scheduler.step()`` once an epoch.

        Args:
          updates: ≥ 1.

        Returns:
          A schedule by the update.

        Raises:
          ValueError: fewer than one. TypeError: not a whole number.
        """
        updates = _check.integer("updates", updates, low=1)

        def slowed(curve):
            return lambda t: curve(jnp.floor_divide(t, updates))

        momentum = None if self.momentum is None else self.momentum.every(updates)
        factor = None if self.factor is None else slowed(self.factor)
        return LRScheduler(slowed(self.rate), momentum, self.lr, factor, self.sets)


def scaled(lr: Scalar, factor: Curve, *, sets: bool = False) -> LRScheduler:
    """The base rate times a factor."""
    lr = base_rate(lr)
    return LRScheduler(lambda t: lr * factor(t), lr=lr, factor=factor, sets=sets)


def base_rate(lr: Any) -> Scalar:
    """The rate that torch takes from the optimizer, checked."""
    if hasattr(lr, "init") or hasattr(lr, "param_groups"):
        raise TypeError("the first argument is the base rate, where torch takes the optimizer that holds it")
    return _check.scalar("lr", lr, low=0)


def power(base: Scalar, exponent: Any) -> Any:
    """base to a power; in float32 by the base's logarithm in float64, for the base's rounding grows with the power."""
    if isinstance(base, float) and base > 0 and exponent.dtype != jnp.float64:
        return jnp.exp(exponent * math.log(base))
    return jnp.power(base, exponent)
