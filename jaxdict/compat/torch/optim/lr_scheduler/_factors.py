"""The base rate times a factor: stairs, straight lines, powers, functions of one's own."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _cache, _check
from jaxdict.compat.torch.optim.lr_scheduler._base import LRScheduler, Scalar, power, scaled


@_cache.constructor
def LambdaLR(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> LRScheduler:
    """``LambdaLR``: the base rate times ``lr_lambda(step)``.

    Args:
      lr: the base rate.
      lr_lambda: gives the factor; it gets the step as a traced float.

    Returns:
      The schedule.

    Raises:
      ValueError: a negative rate. TypeError: one that is no number, an ``lr_lambda`` that is no function.
    """
    return scaled(lr, _function("lr_lambda", lr_lambda), sets=True)


@_cache.constructor
def MultiplicativeLR(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> LRScheduler:
    """``MultiplicativeLR``: the base rate times ``lr_lambda(1)``, ``lr_lambda(2)``, … up to the step.

    The product is taken anew at every step, so that step n costs n calls: for long runs ``LambdaLR`` of the product's
    closed form is better.

    Args:
      lr: the base rate.
      lr_lambda: gives the factors; it gets the step as a traced float.

    Returns:
      The schedule.

    Raises:
      ValueError: a negative rate. TypeError: one that is no number, an ``lr_lambda`` that is no function.
    """
    function = _function("lr_lambda", lr_lambda)

    def factor(t):
        def include(i, product):
            j = jnp.asarray(i, t.dtype)
            return jnp.where(j <= t, product * function(j), product)

        return jax.lax.fori_loop(1, jnp.max(t).astype(jnp.int32) + 1, include, jnp.ones_like(t))

    return scaled(lr, factor)


@_cache.constructor
def StepLR(lr: Scalar, step_size: int, gamma: Scalar = 0.1) -> LRScheduler:
    """``StepLR``: times ``gamma`` every ``step_size`` steps.

    Args:
      lr: the base rate.
      step_size: ≥ 1.
      gamma: the factor.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number, a step size that is not whole.
    """
    step_size = _check.integer("step_size", step_size, low=1)
    gamma = _check.scalar("gamma", gamma)
    return scaled(lr, lambda t: power(gamma, jnp.floor_divide(t, step_size)))


@_cache.constructor
def MultiStepLR(lr: Scalar, milestones: Sequence[int], gamma: Scalar = 0.1) -> LRScheduler:
    """``MultiStepLR``: times ``gamma`` at every milestone, from that step on; one listed twice counts twice.

    Args:
      lr: the base rate.
      milestones: steps, in any order.
      gamma: the factor.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number, a milestone that is not whole.
    """
    steps = np.sort([_check.integer("a milestone", m, low=0) for m in milestones])
    gamma = _check.scalar("gamma", gamma)

    def factor(t):
        passed = jnp.searchsorted(jnp.asarray(steps, t.dtype), t, side="right")
        return power(gamma, passed.astype(t.dtype))

    return scaled(lr, factor)


@_cache.constructor
def ConstantLR(lr: Scalar, factor: Scalar = 1 / 3, total_iters: int = 5) -> LRScheduler:
    """``ConstantLR``: times ``factor`` before step ``total_iters``, the base rate from then on.

    Args:
      lr: the base rate.
      factor: in [0, 1].
      total_iters: ≥ 1.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number.
    """
    factor = _check.scalar("factor", factor, low=0, high=1)
    total_iters = _check.integer("total_iters", total_iters, low=1)
    return scaled(lr, lambda t: jnp.where(t < total_iters, factor, jnp.ones_like(t)))


@_cache.constructor
def LinearLR(lr: Scalar, start_factor: Scalar = 1 / 3, end_factor: Scalar = 1.0, total_iters: int = 5) -> LRScheduler:
    """``LinearLR``: a factor on the line from ``start_factor`` to ``end_factor``, reached at step ``total_iters``.

    Args:
      lr: the base rate.
      start_factor: in (0, 1].
      end_factor: in [0, 1].
      total_iters: ≥ 1.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number.
    """
    start = _check.scalar("start_factor", start_factor, above=0, high=1)
    end = _check.scalar("end_factor", end_factor, low=0, high=1)
    total_iters = _check.integer("total_iters", total_iters, low=1)
    return scaled(lr, lambda t: start + (end - start) * jnp.minimum(t, total_iters) / total_iters)


@_cache.constructor
def ExponentialLR(lr: Scalar, gamma: Scalar) -> LRScheduler:
    """``ExponentialLR``: times ``gamma`` at every step.

    Args:
      lr: the base rate.
      gamma: the factor.

    Returns:
      The schedule.

    Raises:
      ValueError: a negative rate. TypeError: something that is no number.
    """
    gamma = _check.scalar("gamma", gamma)
    return scaled(lr, lambda t: power(gamma, t))


@_cache.constructor
def PolynomialLR(lr: Scalar, total_iters: int = 5, power: Scalar = 1.0) -> LRScheduler:
    """``PolynomialLR``: times (1 - step/total_iters)^power, 0 from ``total_iters`` on.

    Args:
      lr: the base rate.
      total_iters: ≥ 1.
      power: the exponent.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number.
    """
    total_iters = _check.integer("total_iters", total_iters, low=1)
    exponent = _check.scalar("power", power)
    return scaled(lr, lambda t: jnp.power((total_iters - jnp.minimum(t, total_iters)) / total_iters, exponent))


def _function(name: str, value: Any) -> Callable[[Any], Any]:
    if not callable(value):
        raise TypeError(f"{name} must be a function of the step; got {value!r}")
    return value
