"""Keras's SGD, Lion and Ftrl."""

from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.keras.optimizers._frame import Shared, assemble, optimizer, present
from jaxdict.optimizers._rule import ScalarOrSchedule, cast


class MomentumState(NamedTuple):
    """Memory of `SGD` and `Lion`; ``momentum`` is None in an SGD without."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    momentum: Any = None
    average: Any = None


class FtrlState(NamedTuple):
    """Memory of `Ftrl`."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    accumulator: Any
    linear: Any
    average: Any = None


@optimizer
def SGD(
    learning_rate: ScalarOrSchedule = 0.01, momentum: Any = 0.0, nesterov: bool = False, **shared: Unpack[Shared]
) -> optax.GradientTransformationExtraArgs:
    """Keras's SGD: the rate is inside the velocity.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      momentum: in [0, 1]; above 0, or traced, there is a velocity.
      nesterov: whether the step looks ahead along the velocity; nothing without momentum.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is a `MomentumState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    momentum = _check.scalar("momentum", momentum, low=0, high=1)
    _check.one_of("nesterov", nesterov, (True, False))

    def step(t, lr, dtype):
        mu = cast(momentum, dtype)

        def heavy(g, m):
            m = m * mu - g * lr
            return m * mu - g * lr if nesterov else m, m

        return heavy if present(momentum) else lambda g: (-(g * lr),)

    slots = ("momentum",) if present(momentum) else ()
    return assemble(step, MomentumState, slots, learning_rate, shared)


@optimizer
def Lion(
    learning_rate: ScalarOrSchedule = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.99, **shared: Unpack[Shared]
) -> optax.GradientTransformationExtraArgs:
    """Keras's Lion: a step of the rate along the sign of a mean.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      beta_1: in (0, 1], the weight of the momentum in the mean whose sign is taken.
      beta_2: in [0, 1], the decay of the momentum.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is a `MomentumState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    beta_1 = _check.scalar("beta_1", beta_1, above=0, high=1)
    beta_2 = _check.scalar("beta_2", beta_2, low=0, high=1)

    def step(t, lr, dtype):
        b1, b2 = jnp.asarray(beta_1, dtype), jnp.asarray(beta_2, dtype)
        return lambda g, m: (-(lr * jnp.sign(m * b1 + g * (1 - b1))), m * b2 + g * (1 - b2))

    return assemble(step, MomentumState, ("momentum",), learning_rate, shared)


@optimizer
def Ftrl(
    learning_rate: ScalarOrSchedule = 0.001,
    learning_rate_power: Any = -0.5,
    initial_accumulator_value: Any = 0.1,
    l1_regularization_strength: Any = 0.0,
    l2_regularization_strength: Any = 0.0,
    l2_shrinkage_regularization_strength: Any = 0.0,
    beta: Any = 0.0,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Ftrl, follow the regularized leader: the parameters are a function of the sums, 0 where those are small.

    An update is the difference to the last parameters, so that far smaller new ones carry the rounding of those.

    Args:
      learning_rate: > 0, a number, a traced scalar or a schedule; it divides.
      learning_rate_power: ≤ 0, by which power of the accumulator steps shrink.
      initial_accumulator_value: ≥ 0, what the accumulator starts from.
      l1_regularization_strength: ≥ 0, sums up to this give 0.
      l2_regularization_strength: ≥ 0.
      l2_shrinkage_regularization_strength: ≥ 0, a penalty in the gradient.
      beta: ≥ 0, adds beta/(2·rate) to the L2 strength.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is a `FtrlState`; ``update`` needs the parameters.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    power = _check.scalar("learning_rate_power", learning_rate_power, high=0)
    first = _check.scalar("initial_accumulator_value", initial_accumulator_value, low=0)
    l1 = _check.scalar("l1_regularization_strength", l1_regularization_strength, low=0)
    l2 = _check.scalar("l2_regularization_strength", l2_regularization_strength, low=0)
    shrinkage = _check.scalar("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength, low=0)
    beta = _check.scalar("beta", beta, low=0)

    def step(t, lr, dtype):
        exponent, bound = -cast(power, dtype), cast(l1, dtype)
        strength = cast(l2, dtype) + cast(beta, dtype) / (2 * lr)

        def rule(g, p, accumulator, linear):
            accumulated = accumulator + g * g
            grown = jnp.power(accumulated, exponent) - jnp.power(accumulator, exponent)
            linear = linear + ((g + 2 * cast(shrinkage, dtype) * p) - grown / lr * p)
            quadratic = jnp.power(accumulated, exponent) / lr + 2 * strength
            return (jnp.clip(linear, -bound, bound) - linear) / quadratic - p, accumulated, linear

        return rule

    slots = ("accumulator", "linear")
    return assemble(step, FtrlState, slots, learning_rate, shared, start={"accumulator": first}, with_params=True)
