"""Keras's Adagrad, RMSprop and Adadelta: epsilon stands inside the roots."""

from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.keras.optimizers._frame import Shared, assemble, optimizer, present
from jaxdict.optimizers._rule import ScalarOrSchedule, cast


class AdagradState(NamedTuple):
    """Memory of `Adagrad`: the sum of squares."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    accumulator: Any
    average: Any = None


class RMSpropState(NamedTuple):
    """Memory of `RMSprop`: the mean of squares; the momentum and the mean of gradients where it has them."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    velocity: Any
    momentum: Any = None
    average_gradient: Any = None
    average: Any = None


class AdadeltaState(NamedTuple):
    """Memory of `Adadelta`: the means of the squares of gradients and of steps."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    accumulated_grad: Any
    accumulated_delta_var: Any
    average: Any = None


@optimizer
def Adagrad(
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: Any = 0.1,
    epsilon: Any = 1e-7,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Adagrad: the accumulator starts from 0.1.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      initial_accumulator_value: ≥ 0.
      epsilon: ≥ 0, inside the root.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdagradState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    first = _check.scalar("initial_accumulator_value", initial_accumulator_value, low=0)
    epsilon = _check.scalar("epsilon", epsilon, low=0)

    def step(t, lr, dtype):
        eps = cast(epsilon, dtype)

        def rule(g, accumulator):
            accumulator = accumulator + g * g
            return -(lr * g / jnp.sqrt(accumulator + eps)), accumulator

        return rule

    return assemble(step, AdagradState, ("accumulator",), learning_rate, shared, start={"accumulator": first})


@optimizer
def RMSprop(
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Any = 0.9,
    momentum: Any = 0.0,
    epsilon: Any = 1e-7,
    centered: bool = False,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's RMSprop: the rate is inside the momentum.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      rho: in [0, 1), decay of the means.
      momentum: in [0, 1]; above 0, or traced, there is a momentum.
      epsilon: ≥ 0, inside the root.
      centered: divide by the root of the variance instead of the mean of squares.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `RMSpropState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    rho = _check.scalar("rho", rho, low=0, below=1)
    momentum = _check.scalar("momentum", momentum, low=0, high=1)
    epsilon = _check.scalar("epsilon", epsilon, low=0)
    _check.one_of("centered", centered, (True, False))
    slots = ("velocity", *["momentum"] * present(momentum), *["average_gradient"] * centered)

    def step(t, lr, dtype):
        r, mu, eps = (cast(x, dtype) for x in (rho, momentum, epsilon))

        def rule(g, velocity, *moments):
            others = dict(zip(slots[1:], moments, strict=True))
            velocity = r * velocity + (1 - r) * (g * g)
            square = velocity
            if "average_gradient" in others:
                others["average_gradient"] = mean = r * others["average_gradient"] + (1 - r) * g
                square = velocity - mean * mean
            change = lr * g / jnp.sqrt(square + eps)
            if "momentum" in others:
                others["momentum"] = change = mu * others["momentum"] + change
            return -change, velocity, *others.values()

        return rule

    return assemble(step, RMSpropState, slots, learning_rate, shared)


@optimizer
def Adadelta(
    learning_rate: ScalarOrSchedule = 0.001, rho: Any = 0.95, epsilon: Any = 1e-7, **shared: Unpack[Shared]
) -> optax.GradientTransformationExtraArgs:
    """Keras's Adadelta: its rate of 0.001 makes steps a thousandth of the paper's, whose rate is 1.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      rho: in [0, 1), decay of the means.
      epsilon: ≥ 0, inside both roots.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdadeltaState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    rho = _check.scalar("rho", rho, low=0, below=1)
    epsilon = _check.scalar("epsilon", epsilon, low=0)

    def step(t, lr, dtype):
        r, eps = cast(rho, dtype), cast(epsilon, dtype)

        def rule(g, gradients, deltas):
            gradients = r * gradients + (1 - r) * (g * g)
            delta = -(jnp.sqrt(deltas + eps) * g / jnp.sqrt(gradients + eps))
            return lr * delta, gradients, r * deltas + (1 - r) * (delta * delta)

        return rule

    return assemble(step, AdadeltaState, ("accumulated_grad", "accumulated_delta_var"), learning_rate, shared)
