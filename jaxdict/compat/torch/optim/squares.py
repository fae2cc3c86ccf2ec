"""Rates from sums and means of squared gradients: Adagrad, RMSprop, Adadelta."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.torch.optim._build import Scalar, ScalarOrSchedule, in_use, optimizer, transformation
from jaxdict.optimizers._rule import cast, scalar_or_schedule, value_at


class AdagradState(NamedTuple):
    """Memory of ``Adagrad``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    sum: Any


class RMSpropState(NamedTuple):
    """Memory of ``RMSprop``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    square_avg: Any
    grad_avg: Any = None
    momentum_buffer: Any = None


class AdadeltaState(NamedTuple):
    """Memory of ``Adadelta``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    square_avg: Any
    acc_delta: Any


@optimizer
def Adagrad(
    lr: ScalarOrSchedule = 1e-2,
    lr_decay: Scalar = 0,
    weight_decay: Scalar = 0,
    initial_accumulator_value: Scalar = 0,
    eps: Scalar = 1e-10,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.Adagrad``: G ← G + g²; θ ← θ - η/(1 + (t - 1)·lr_decay)·g/(√G + ε).

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      lr_decay: ≥ 0.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      initial_accumulator_value: ≥ 0, G before the first step; optax and Keras begin with 0.1.
      eps: ε ≥ 0, outside the root.
      foreach: without effect, as ``differentiable`` and ``fused``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``AdagradState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, differentiable, fused
    lr_decay = _check.scalar("lr_decay", lr_decay, low=0)
    eps = _check.scalar("eps", eps, low=0)
    start = {"sum": _check.scalar("initial_accumulator_value", initial_accumulator_value, low=0)}

    def direction(t, eta, dtype):
        rate, epsilon = eta / (1 + (t - 1).astype(dtype) * cast(lr_decay, dtype)), cast(eps, dtype)

        def rule(g, sum_):
            sum_ = sum_ + g * g
            return -rate * g / (jnp.sqrt(sum_) + epsilon), sum_

        return rule

    return transformation(direction, AdagradState, lr, weight_decay=weight_decay, maximize=maximize, start=start)


@optimizer
def RMSprop(
    lr: ScalarOrSchedule = 1e-2,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0,
    momentum: ScalarOrSchedule = 0,
    centered: bool = False,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.RMSprop``: v ← αv + (1 - α)g²; b ← μb + g/(√v + ε); θ ← θ - ηb.

    Epsilon is outside the root and the rate outside the buffer, other than in optax and Keras.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      alpha: α ≥ 0, decay of the mean of squares.
      eps: ε ≥ 0.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      momentum: μ ≥ 0, a number, a traced scalar or a schedule; there is no buffer at 0.
      centered: v less the square of the mean gradient. Rounding may leave less than 0 there, whose root is NaN, as in
        torch.
      capturable: without effect, as ``foreach`` and ``differentiable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``RMSpropState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del capturable, foreach, differentiable
    alpha = _check.scalar("alpha", alpha, low=0)
    eps = _check.scalar("eps", eps, low=0)
    momentum = scalar_or_schedule("momentum", momentum, low=0)
    _check.one_of("centered", centered, (True, False))
    remembers = in_use(momentum)

    def direction(t, eta, dtype):
        a, epsilon, mu = cast(alpha, dtype), cast(eps, dtype), value_at(momentum, t - 1, dtype)

        def rule(g, v, *memories):
            rest = list(memories)
            v = a * v + (1 - a) * (g * g)
            variance = v
            if centered:
                rest[0] = rest[0] + (1 - a) * (g - rest[0])
                variance = v - rest[0] * rest[0]
            root = jnp.sqrt(variance) + epsilon
            if not remembers:
                return -eta * g / root, v, *rest
            rest[-1] = mu * rest[-1] + g / root
            return -eta * rest[-1], v, *rest

        return rule

    without = [*(() if centered else ("grad_avg",)), *(() if remembers else ("momentum_buffer",))]
    return transformation(direction, RMSpropState, lr, without=without, weight_decay=weight_decay, maximize=maximize)


@optimizer
def Adadelta(
    lr: ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0,
    foreach: bool | None = None,
    *,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.Adadelta``: v ← ρv + (1 - ρ)g²; Δ = √(D + ε)/√(v + ε)·g; D ← ρD + (1 - ρ)Δ²; θ ← θ - ηΔ.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      rho: 0 ≤ ρ ≤ 1, decay of both means.
      eps: ε ≥ 0, inside the roots; at 0 nothing ever moves.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      foreach: without effect, as ``capturable`` and ``differentiable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``AdadeltaState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, capturable, differentiable
    rho = _check.scalar("rho", rho, low=0, high=1)
    eps = _check.scalar("eps", eps, low=0)

    def direction(t, eta, dtype):
        r, epsilon = cast(rho, dtype), cast(eps, dtype)

        def rule(g, v, acc_delta):
            v = r * v + (1 - r) * (g * g)
            delta = jnp.sqrt(acc_delta + epsilon) / jnp.sqrt(v + epsilon) * g
            return -eta * delta, v, r * acc_delta + (1 - r) * (delta * delta)

        return rule

    return transformation(direction, AdadeltaState, lr, weight_decay=weight_decay, maximize=maximize)
