"""Keras 3's learning rate schedules: ``step -> rate``, with Keras's names, arguments and defaults.

Steps count batches from 0: the first update uses the value at 0. A step may be a number, a traced scalar or an array.
Values are in the default float type, float64 under x64, where Keras's cosine, floor and ceiling are float32 whatever
``floatx`` is. Numbers may be traced. ``name`` is taken and not used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _cache, _check

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
    "PolynomialDecay",
]  # fmt: skip

Schedule = Callable[[Any], jax.Array]


@_cache.constructor
def ExponentialDecay(
    initial_learning_rate: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = "ExponentialDecay",
) -> Schedule:
    """``initial * decay_rate**(step / decay_steps)``.

    Args:
      initial_learning_rate: the rate at step 0.
      decay_steps: > 0, steps per factor.
      decay_rate: ≥ 0, the factor.
      staircase: whether the exponent is rounded down.
      name: not used.

    Returns:
      The schedule.

    Raises:
      ValueError, TypeError: an argument that is not allowed.
    """
    initial = _check.scalar("initial_learning_rate", initial_learning_rate)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, low=0)
    _check.one_of("staircase", staircase, (True, False))

    def schedule(step):
        t = _time(step)
        return initial * jnp.power(decay_rate, _whole(t, decay_steps) if staircase else t / decay_steps)

    return schedule


@_cache.constructor
def PiecewiseConstantDecay(
    boundaries: Sequence[Any], values: Sequence[Any], name: str | None = "PiecewiseConstant"
) -> Schedule:
    """The first value up to and including the first boundary, then the next; a step at a boundary has the old value.

    Args:
      boundaries: steps, ascending.
      values: one more than boundaries.
      name: not used.

    Returns:
      The schedule.

    Raises:
      ValueError: lengths that do not fit, boundaries that do not ascend. TypeError: not numbers.
    """
    if len(boundaries) != len(values) - 1 or not len(boundaries):
        raise ValueError(
            f"there must be one more value than boundaries, at least two; got {len(values)} and {len(boundaries)}"
        )
    boundaries = [_check.scalar("boundaries", b) for b in boundaries]
    values = [_check.scalar("values", v) for v in values]
    if not any(map(_check.is_traced, boundaries)) and not np.all(np.diff(boundaries) > 0):
        raise ValueError(f"boundaries must ascend; got {boundaries}")

    def schedule(step):
        passed = jnp.searchsorted(jnp.asarray(boundaries, float), _time(step), side="left")
        return jnp.asarray(values, float)[passed]

    return schedule


@_cache.constructor
def PolynomialDecay(
    initial_learning_rate: Any,
    decay_steps: Any,
    end_learning_rate: Any = 0.0001,
    power: Any = 1.0,
    cycle: bool = False,
    name: str | None = "PolynomialDecay",
) -> Schedule:
    """``(initial - end) * (1 - step / decay_steps)**power + end``, and then the end, or again from a longer ramp.

    Args:
      initial_learning_rate: the rate at step 0.
      decay_steps: > 0, the steps that the descent takes.
      end_learning_rate: the rate from then on; 0.0001 unless said otherwise.
      power: ≥ 0, 1 for a line.
      cycle: past its end, make the ramp as many ``decay_steps`` long as hold the step.
      name: not used.

    Returns:
      The schedule.

    Raises:
      ValueError, TypeError: an argument that is not allowed.
    """
    initial = _check.scalar("initial_learning_rate", initial_learning_rate)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    end = _check.scalar("end_learning_rate", end_learning_rate)
    power = _check.scalar("power", power, low=0)
    _check.one_of("cycle", cycle, (True, False))

    def schedule(step):
        t = _time(step)
        length = decay_steps * jnp.where(t == 0, 1, -_whole(-t, decay_steps)) if cycle else decay_steps
        fraction = jnp.minimum(t / length, 1)  # at the end, too, where a quotient above 1 would have no power
        return (initial - end) * jnp.power(1 - fraction, power) + end

    return schedule


@_cache.constructor
def InverseTimeDecay(
    initial_learning_rate: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = "InverseTimeDecay",
) -> Schedule:
    """``initial / (1 + decay_rate * step / decay_steps)``.

    Args:
      initial_learning_rate: the rate at step 0.
      decay_steps: > 0.
      decay_rate: ≥ 0.
      staircase: whether ``step / decay_steps`` is rounded down.
      name: not used.

    Returns:
      The schedule.

    Raises:
      ValueError, TypeError: an argument that is not allowed.
    """
    initial = _check.scalar("initial_learning_rate", initial_learning_rate)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, low=0)
    _check.one_of("staircase", staircase, (True, False))

    def schedule(step):
        t = _time(step)
        return initial / (1 + decay_rate * (_whole(t, decay_steps) if staircase else t / decay_steps))

    return schedule


@_cache.constructor
def CosineDecay(
    initial_learning_rate: Any,
    decay_steps: Any,
    alpha: Any = 0.0,
    name: str | None = "CosineDecay",
    warmup_target: Any = None,
    warmup_steps: Any = 0,
) -> Schedule:
    """Half a cosine down to a fraction, with or without a linear warmup before it: in all warmup + decay steps.

    Args:
      initial_learning_rate: the rate at step 0.
      decay_steps: > 0, the steps that the cosine takes, those of the warmup not among them.
      alpha: the fraction that is left, of the initial rate, or of the warmup's target.
      name: not used.
      warmup_target: the rate after the warmup; None for no warmup.
      warmup_steps: ≥ 0, the steps that the warmup takes.

    Returns:
      The schedule.

    Raises:
      ValueError, TypeError: an argument that is not allowed.
    """
    initial = _check.scalar("initial_learning_rate", initial_learning_rate)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    alpha = _check.scalar("alpha", alpha)
    warmup_steps = _check.scalar("warmup_steps", warmup_steps, low=0)
    warm = warmup_target is not None
    peak = _check.scalar("warmup_target", warmup_target) if warm else initial
    before = warmup_steps if warm else 0.0

    def schedule(step):
        t = _time(step)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * (jnp.clip(t - before, 0, decay_steps) / decay_steps)))
        falling = peak * ((1 - alpha) * cosine + alpha)
        if not warm:
            return falling
        rising = (peak - initial) * (t / jnp.where(t < before, before, 1)) + initial
        return jnp.where(t < before, rising, falling)

    return schedule


@_cache.constructor
def CosineDecayRestarts(
    initial_learning_rate: Any,
    first_decay_steps: Any,
    t_mul: Any = 2.0,
    m_mul: Any = 1.0,
    alpha: Any = 0.0,
    name: str | None = "SGDRDecay",
) -> Schedule:
    """Half cosines one after another, each ``t_mul`` times as long and ``m_mul`` times as high as the last.

    Which cycle a step is in is told by a logarithm, as in Keras, so that in float32 the very step of a restart may
    count as the end of the cycle before.

    Args:
      initial_learning_rate: the rate at step 0.
      first_decay_steps: > 0, the steps of the first cycle.
      t_mul: ≥ 1, the growth of a cycle's length.
      m_mul: ≥ 0, the growth of its height.
      alpha: the fraction of the initial rate that the cosines fall to.
      name: not used.

    Returns:
      The schedule.

    Raises:
      ValueError, TypeError: an argument that is not allowed.
    """
    initial = _check.scalar("initial_learning_rate", initial_learning_rate)
    first = _check.scalar("first_decay_steps", first_decay_steps, above=0)
    t_mul = _check.scalar("t_mul", t_mul, low=1)
    m_mul = _check.scalar("m_mul", m_mul, low=0)
    alpha = _check.scalar("alpha", alpha)

    def schedule(step):
        t = _time(step)
        fraction = t / first
        growth = jnp.where(jnp.asarray(t_mul, float) == 1, 2.0, t_mul)
        # The cycles before this one are 1 + t_mul + t_mul**2 + … first cycles long. At a restart the ratio is a whole
        # number but for its last bits, which Keras, too, drops by rounding it to float32.
        grown = jnp.floor((jnp.log(1 - fraction * (1 - growth)) / jnp.log(growth)).astype(jnp.float32))
        grown = grown.astype(fraction.dtype)
        within = (fraction - (1 - growth**grown) / (1 - growth)) / growth**grown
        equal = _whole(t, first)
        cycle = jnp.where(growth == t_mul, grown, equal)
        within = jnp.where(growth == t_mul, within, fraction - equal)
        cosine = 0.5 * jnp.power(m_mul, cycle) * (1 + jnp.cos(jnp.pi * within))
        return initial * ((1 - alpha) * cosine + alpha)

    return schedule


def _time(step: Any) -> jax.Array:
    return jnp.asarray(step, float)


def _whole(t: jax.Array, length: Any) -> jax.Array:
    """How many whole lengths t holds; XLA divides an array by a number so that 49/49 is below 1."""
    return jnp.floor_divide(t, length)
