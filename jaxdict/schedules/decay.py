"""Schedules that fall from a first value: constant, exponential, cosine."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict._entry import entry

Scalar: TypeAlias = float | jax.Array
Schedule: TypeAlias = Callable[[Any], jax.Array]


@entry(
    "schedule",
    equation="eta0",
    aliases=("fixed rate", "constant schedule"),
    sources=("S0 6.1", "S4"),
    conventions={"torch": "ConstantLR with factor 1", "keras": "a number", "optax": "constant_schedule(value)"},
    see_also=("exponential", "cosine_annealing"),
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
        t = _step(step)
        return jnp.full(t.shape, value, t.dtype)

    return schedule


@entry(
    "schedule",
    equation="eta0*r**(t/T)",
    aliases=("exponential decay", "step decay"),
    sources=("S4",),
    conventions={
        "torch": "ExponentialLR(gamma) has decay_steps 1; StepLR(step_size, gamma) is staircase; steps are epochs",
        "keras": "ExponentialDecay: the same",
        "optax": "exponential_decay: the same, decay_steps are transition_steps",
    },
    see_also=("constant", "cosine_annealing"),
    symbols={"init_value": "eta0", "decay_rate": "r", "decay_steps": "T"},
)
@_cache.constructor
def exponential(init_value: Scalar, decay_steps: Scalar, decay_rate: Scalar, *, staircase: bool = False) -> Schedule:
    """Multiply by the decay rate once every ``decay_steps``, smoothly or in stairs.

    Args:
      init_value: η₀, the value at step 0.
      decay_steps: T > 0, steps per factor.
      decay_rate: r > 0, the factor; above 1 it grows.
      staircase: keep the value within every ``decay_steps``: step decay.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    decay_steps = _check.scalar("decay_steps", decay_steps, above=0)
    decay_rate = _check.scalar("decay_rate", decay_rate, above=0)
    _check.one_of("staircase", staircase, (True, False))

    def schedule(step):
        periods = _step(step) / decay_steps
        return init_value * jnp.power(decay_rate, jnp.floor(periods) if staircase else periods)

    return schedule


@entry(
    "schedule",
    equation="eta1 + (eta0 - eta1)*(1 + cos(pi*min(t, T)/T))/2",
    aliases=("cosine", "cosine decay", "cosine annealing lr"),
    sources=("S4", "Loshchilov and Hutter 2017, arXiv:1608.03983"),
    conventions={
        "torch": "CosineAnnealingLR(T_max, eta_min): the same up to T_max, after which the rate rises again",
        "keras": "CosineDecay: final_value is the fraction alpha of the initial one; stays there, as here",
        "optax": "cosine_decay_schedule: as keras",
    },
    see_also=("exponential", "constant"),
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
        angle = jnp.pi * jnp.minimum(_step(step), decay_steps) / decay_steps
        return final_value + (init_value - final_value) * (0.5 * (1 + jnp.cos(angle)))

    return schedule


def _step(step: Any) -> jax.Array:
    step = _check.floating(step, name="step")
    return step.astype(_check.compute_dtype(step.dtype))


__all__ = ["constant", "cosine_annealing", "exponential"]
