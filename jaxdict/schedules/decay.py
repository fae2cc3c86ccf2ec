"""Schedules that fall from a first value: constant, in steps, by a power, a polynomial, a hyperbola, a cosine."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.schedules._steps import Scalar, Schedule, between, cycle, elapsed, half_cosine, left, power, row


@entry(
    "schedule",
    equation="eta0",
    aliases=("fixed rate", "constant schedule"),
    sources=("S0 6.1", "S4"),
    conventions={"torch": "ConstantLR with factor 1", "keras": "a number", "optax": "constant_schedule(value)"},
    see_also=("exponential", "piecewise"),
    symbols={"value": "eta0"},
)
@_cache.constructor
def constant(value: Scalar) -> Schedule:
    """The same value at every step.

    Args:
      value: η₀, a number or a traced scalar.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: NaN, or not a scalar.
      TypeError: not a number.
    """
    value = _check.scalar("value", value)

    def schedule(step):
        t = elapsed(step)
        return jnp.full(t.shape, value, t.dtype)

    return schedule


@entry(
    "schedule",
    equation="eta0*r**floor(t/s)",
    aliases=("step lr", "staircase", "staircase decay", "schedule decay"),
    sources=("S3", "S4"),
    conventions={
        "torch": "StepLR(step_size, gamma=0.1), the same; its steps are usually epochs",
        "keras": "ExponentialDecay(staircase=True); its steps are batches",
        "optax": "exponential_decay(staircase=True); the quotient is rounded in float32, so that steps near 1e7 may"
        " fall early",
    },
    see_also=("piecewise", "exponential"),
    symbols={"init_value": "eta0", "decay_rate": "r", "step_size": "s"},
)
@_cache.constructor
def step_decay(init_value: Scalar, step_size: Scalar, decay_rate: Scalar) -> Schedule:
    """Multiply by the decay rate at once every ``step_size`` steps; the new value holds from each multiple on.

    Args:
      init_value: η₀, the value before step ``step_size``.
      step_size: s > 0, the steps that a value is kept for.
      decay_rate: r > 0, the factor; above 1 it grows.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    step_size = _check.scalar("step_size", step_size, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, above=0)

    def schedule(step):
        number, _ = cycle(step, step_size)
        return init_value * power(decay_rate, number)

    return schedule


@entry(
    "schedule",
    equation="eta[sum(indicator(t >= b))]",
    aliases=("piecewise constant", "piecewise constant decay", "multistep", "multistep lr"),
    sources=("S4",),
    conventions={
        "torch": "MultiStepLR(milestones, gamma): the new value at the milestone, as here; factors instead of values",
        "keras": "PiecewiseConstantDecay(boundaries, values) keeps the old value at the boundary, one step longer:"
        " its boundaries are ours less 1",
        "optax": "piecewise_constant_schedule(init_value, {boundary: factor}): the new value at the boundary, as here;"
        " the factors multiply up",
    },
    see_also=("step_decay", "join"),
    symbols={"boundaries": "b", "values": "eta"},
    vectors=("b",),
)
@_cache.constructor
def piecewise(boundaries: Sequence[int] | Any, values: Sequence[float] | Any) -> Schedule:
    """One value after the other, each new one from its boundary on.

    Args:
      boundaries: b, ascending, ``(n,)``: the steps where the second and following values begin.
      values: η, ``(n + 1,)``; both are sequences of numbers, or arrays that may be traced.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: boundaries that do not ascend, or another number of values than one more; NaN.
      TypeError: something that is not numbers.
    """
    boundaries, values = row("boundaries", boundaries, ascending=True), row("values", values)
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"values must be one more than boundaries; got {len(values)} values and {len(boundaries)} boundaries"
        )

    def schedule(step):
        t = elapsed(step)
        passed = jnp.searchsorted(jnp.asarray(boundaries, t.dtype), t, side="right")
        return jnp.asarray(values, t.dtype)[passed]

    return schedule


@entry(
    "schedule",
    equation="eta0*r**(t/T)",
    aliases=("exponential decay", "exponential lr"),
    sources=("S3", "S4"),
    conventions={
        "torch": "ExponentialLR(gamma) has decay_steps 1; steps are usually epochs",
        "keras": "ExponentialDecay: the same; smooth unless staircase=True, which is step_decay",
        "optax": "exponential_decay: as keras, decay_steps are transition_steps; transition_begin, end_value",
    },
    see_also=("step_decay", "inverse_time"),
    symbols={"init_value": "eta0", "decay_rate": "r", "decay_steps": "T"},
)
@_cache.constructor
def exponential(init_value: Scalar, decay_steps: Scalar, decay_rate: Scalar) -> Schedule:
    """Multiply by the decay rate once every ``decay_steps``, smoothly.

    Args:
      init_value: η₀, the value at step 0.
      decay_steps: T > 0, steps per factor.
      decay_rate: r > 0, the factor; above 1 it grows.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, above=0)

    def schedule(step):
        return init_value * power(decay_rate, elapsed(step) / decay_steps)

    return schedule


@entry(
    "schedule",
    equation="eta1 + (eta0 - eta1)*(1 - min(t, T)/T)**p",
    aliases=("linear", "linear decay", "polynomial decay", "poly lr"),
    sources=("S4",),
    conventions={
        "torch": "PolynomialLR(total_iters=5, power=1.0), down to 0; LinearLR(start_factor=1/3, end_factor=1) rises",
        "keras": "PolynomialDecay: end_learning_rate is 1e-4 by default, not 0; cycle=True lengthens T to the next"
        " multiple",
        "optax": "polynomial_schedule: transition_steps; after transition_begin",
    },
    see_also=("cosine_annealing", "warmup"),
    symbols={"init_value": "eta0", "final_value": "eta1", "decay_steps": "T", "power": "p"},
)
@_cache.constructor
def polynomial(init_value: Scalar, decay_steps: Scalar, *, final_value: Scalar = 0.0, power: Scalar = 1.0) -> Schedule:
    """From the initial value to the final one by a power of the share that is left; a line by default.

    Args:
      init_value: η₀, the value at step 0.
      decay_steps: T > 0, the steps that it takes.
      final_value: η₁, the value from step T on; above the initial one it rises.
      power: p > 0, 1 for a line.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    final_value = _check.scalar("final_value", final_value)
    power = _check.scalar("power", power, above=0)

    def schedule(step):
        share = left(elapsed(step), decay_steps)
        # A root has no finite slope at 0; past the end nothing depends on it.
        weight = jnp.where(share > 0, jnp.power(jnp.where(share > 0, share, 1), power), 0)
        return between(final_value, init_value, weight)

    return schedule


@entry(
    "schedule",
    equation="eta0/(1 + r*t/T)",
    aliases=("inverse time decay", "hyperbolic decay", "1/t decay"),
    sources=("S4",),
    conventions={
        "torch": "none; LambdaLR",
        "keras": "InverseTimeDecay: the same; staircase=True rounds t/T down",
        "optax": "none",
    },
    see_also=("exponential", "polynomial"),
    symbols={"init_value": "eta0", "decay_rate": "r", "decay_steps": "T"},
)
@_cache.constructor
def inverse_time(init_value: Scalar, decay_steps: Scalar, decay_rate: Scalar) -> Schedule:
    """Divide by a line that rises by the decay rate every ``decay_steps``.

    Args:
      init_value: η₀, the value at step 0.
      decay_steps: T > 0, steps in which the divisor grows by ``decay_rate``.
      decay_rate: r ≥ 0.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, low=0)

    def schedule(step):
        return init_value / (1 + decay_rate * (elapsed(step) / decay_steps))

    return schedule


@entry(
    "schedule",
    equation="eta1 + (eta0 - eta1)*(1 + cos(pi*min(t, T)/T))/2",
    aliases=("cosine", "cosine decay", "cosine annealing lr"),
    sources=("S3", "S4", "Loshchilov and Hutter 2017, arXiv:1608.03983"),
    errata=(
        "S3 describes cosine annealing by its restarts; the curve alone has none: see cosine_restarts, cyclic_cosine.",
    ),
    conventions={
        "torch": "CosineAnnealingLR(T_max, eta_min): the same up to T_max, after which the rate rises again, to the"
        " initial one at 2 T_max",
        "keras": "CosineDecay: final_value is the fraction alpha of the initial one; stays there, as here; decay_steps"
        " count from the end of its warm-up",
        "optax": "cosine_decay_schedule: as keras; in warmup_cosine_decay_schedule decay_steps hold the warm-up too",
    },
    see_also=("cosine_restarts", "cyclic_cosine", "warmup", "polynomial"),
    symbols={"init_value": "eta0", "final_value": "eta1", "decay_steps": "T"},
)
@_cache.constructor
def cosine_annealing(init_value: Scalar, decay_steps: Scalar, *, final_value: Scalar = 0.0) -> Schedule:
    """Half a cosine from the initial value down to the final one, which then stays.

    Args:
      init_value: η₀, the value at step 0.
      decay_steps: T > 0, the steps that the descent takes.
      final_value: η₁, the value from step T on; absolute, not a fraction of the initial one.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    final_value = _check.scalar("final_value", final_value)

    def schedule(step):
        return between(final_value, init_value, half_cosine(left(elapsed(step), decay_steps)))

    return schedule


__all__ = ["constant", "cosine_annealing", "exponential", "inverse_time", "piecewise", "polynomial", "step_decay"]
