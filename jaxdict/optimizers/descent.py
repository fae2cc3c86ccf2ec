"""Descent along the gradient and along a velocity: gradient descent, momentum."""

from typing import Any, NamedTuple

import jax
import optax

from jaxdict import _cache
from jaxdict._entry import entry
from jaxdict.optimizers._rule import ScalarOrSchedule, elementwise, scalar_or_schedule, value_at


class ScaleByRateState(NamedTuple):
    """Memory of ``scale_by_rate`` and ``gradient_descent``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array


class MomentumState(NamedTuple):
    """Memory of ``momentum``: the velocity, which holds the rate."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    v: Any


@entry(
    "optimizer",
    equation="theta = theta - eta*g",
    aliases=("gd", "steepest descent", "vanilla gradient descent", "batch gradient descent"),
    sources=("S0 6.1", "S3", "S4"),
    errata=(
        "S4 says that its estimate of the gradient depends on i; it does not, and m changes meaning.",
        "S4 says that from (2, -2) it does not get to the minimum of Beale's function; at a rate of 2e-3 it does.",
    ),
    conventions={
        "torch": "SGD(lr) without momentum",
        "keras": "SGD(learning_rate), default 0.01",
        "optax": "sgd(learning_rate)",
    },
    see_also=("momentum", "adam"),
)
@_cache.constructor
def gradient_descent(
    learning_rate: ScalarOrSchedule, *, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent: a step of the learning rate against the gradient.

    Batch, minibatch and stochastic descent are this rule with gradients of more or fewer examples.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      state_dtype: without effect, for there is nothing to store; here so that all optimizers are made alike.

    Returns:
      The transformation; its state is a ``ScaleByRateState``.

    Raises:
      ValueError: a negative rate, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: a rate that is not a number, and at ``init`` parameters that are not floating.
    """
    return elementwise(_descend, ScaleByRateState, learning_rate, state_dtype=state_dtype)


@entry(
    "optimizer",
    equation="v = mu*v - eta*g; theta = theta + v",
    aliases=("heavy ball", "polyak", "polyak momentum", "classical momentum", "sgd with momentum"),
    sources=("S0 6.2", "S1 1.1", "S2 11.3.1", "S3", "S4", "Polyak 1964, doi:10.1016/0041-5553(64)90137-5"),
    errata=(
        "S0 6.2, S3 and S4 allow momentum in [0, 1]; at 1 nothing damps: [0, 1).",
        "S2 11.3.1 calls the momentum the friction; the friction is 1 minus it.",
        "S4 calls the velocity a running mean; it is a sum whose weights total 1/(1 - momentum).",
        "S4: the local minimum of Beale's function in which it ends from (-3, 3) is an endless valley; it ends there"
        " only at rates up to 8.1e-6.",
    ),
    conventions={
        "torch": "SGD(momentum): the rate multiplies the whole velocity, which differs when the rate changes; the"
        " buffer b is -v/rate; the first step is not dampened",
        "keras": "SGD(momentum): the same, the rate inside the velocity",
        "optax": "sgd(momentum): as torch, the rate outside the velocity",
        "S1": "momentum 0.9 or near it; the velocity has the other sign",
        "S2": "momentum 0.9",
        "S3": "momentum 0.5, 0.9 or 0.99",
        "S4": "momentum 0.9 or 0.99",
    },
    see_also=("gradient_descent", "nesterov", "adam"),
)
@_cache.constructor
def momentum(
    learning_rate: ScalarOrSchedule, *, momentum: ScalarOrSchedule = 0.9, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Momentum, the heavy ball: a velocity that decays and is pushed against the gradient.

    The rate is inside the velocity, so that after a drop of the rate the old velocity decays instead of dropping too.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, likewise.
      state_dtype: the velocity is stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is a ``MomentumState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    momentum = scalar_or_schedule("momentum", momentum, low=0, below=1)

    def step(t, eta, dtype):
        mu = value_at(momentum, t - 1, dtype)

        def rule(g, v):
            v = mu * v - eta * g
            return v, v

        return rule

    return elementwise(step, MomentumState, learning_rate, state_dtype=state_dtype)


@_cache.constructor
def scale_by_rate(learning_rate: ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    """Multiply by minus the rate, the last link of a chain; its state holds the rate that was used.

    Args, Raises: as ``gradient_descent``.

    Returns:
      The transformation; its state is a ``ScaleByRateState``.
    """
    return elementwise(_descend, ScaleByRateState, learning_rate)


def _descend(t, eta, dtype):
    return lambda g: (-eta * g,)
