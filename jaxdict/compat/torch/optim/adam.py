"""Adam and its family: AdamW, Adamax, NAdam, RAdam."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.torch.optim._build import (
    Betas,
    Scalar,
    ScalarOrSchedule,
    betas_of,
    bias_correction,
    optimizer,
    transformation,
)
from jaxdict.optimizers._rule import cast, value_at


class AdamState(NamedTuple):
    """Memory of ``Adam``, ``AdamW`` and ``RAdam``: means of the gradient and its square, AMSGrad's maximum."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    exp_avg: Any
    exp_avg_sq: Any
    max_exp_avg_sq: Any = None


class AdamaxState(NamedTuple):
    """Memory of ``Adamax``: mean of the gradient, decaying maximum of its size."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    exp_avg: Any
    exp_inf: Any


class NAdamState(NamedTuple):
    """Memory of ``NAdam``: the product of the momenta, means of the gradient and its square."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    mu_product: jax.Array
    exp_avg: Any
    exp_avg_sq: Any


@optimizer
def Adam(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0,
    amsgrad: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.Adam``: θ ← θ - η/(1 - β₁ᵗ)·m/(√v/√(1 - β₂ᵗ) + ε).

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      betas: 0 ≤ β₁, β₂ < 1, decays of the mean and of the mean of squares; β₁ may be a schedule.
      eps: ε ≥ 0, outside the root.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      amsgrad: v is the largest uncorrected one so far.
      foreach: without effect, as ``capturable``, ``differentiable`` and ``fused``.
      maximize: ascend.
      decoupled_weight_decay: θ shrinks by η·weight_decay·θ instead, as in ``AdamW``.

    Returns:
      The transformation; its state is an ``AdamState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, capturable, differentiable, fused
    beta1, beta2 = betas_of(betas)
    eps = _check.scalar("eps", eps, low=0)
    _check.one_of("amsgrad", amsgrad, (True, False))

    def direction(t, eta, dtype):
        b1, b2, epsilon = value_at(beta1, t - 1, dtype), cast(beta2, dtype), cast(eps, dtype)
        rate, root = eta / bias_correction(b1, t, dtype), jnp.sqrt(bias_correction(b2, t, dtype))

        def rule(g, m, v, *largest):
            m = m + (1 - b1) * (g - m)
            v = b2 * v + (1 - b2) * (g * g)
            largest = [jnp.maximum(old, v) for old in largest]
            return -rate * m / (jnp.sqrt(largest[0] if largest else v) / root + epsilon), m, v, *largest

        return rule

    without = () if amsgrad else ("max_exp_avg_sq",)
    return transformation(
        direction, AdamState, lr, without=without, weight_decay=weight_decay, decoupled=decoupled_weight_decay,
        maximize=maximize,
    )  # fmt: skip


@optimizer
def AdamW(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.AdamW``: Adam, and θ shrinks by η·weight_decay·θ beside its step, η the scheduled rate.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      betas: as in ``Adam``, with ``eps`` and ``amsgrad``.
      weight_decay: ≥ 0, decoupled.
      maximize: ascend.
      foreach: without effect, as ``capturable``, ``differentiable`` and ``fused``.

    Returns:
      The transformation; its state is an ``AdamState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, capturable, differentiable, fused
    return Adam(lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


@optimizer
def Adamax(
    lr: ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.Adamax``: u ← max(β₂u, abs g + ε); θ ← θ - η/(1 - β₁ᵗ)·m/u.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      betas: 0 ≤ β₁, β₂ < 1, decays of the mean and of the maximum; β₁ may be a schedule.
      eps: ε ≥ 0, added to the size of the gradient.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      foreach: without effect, as ``differentiable`` and ``capturable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``AdamaxState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, differentiable, capturable
    beta1, beta2 = betas_of(betas)
    eps = _check.scalar("eps", eps, low=0)

    def direction(t, eta, dtype):
        b1, b2, epsilon = value_at(beta1, t - 1, dtype), cast(beta2, dtype), cast(eps, dtype)
        rate = eta / bias_correction(b1, t, dtype)

        def rule(g, m, u):
            m = m + (1 - b1) * (g - m)
            u = jnp.maximum(b2 * u, jnp.abs(g) + epsilon)
            return -rate * m / u, m, u

        return rule

    return transformation(direction, AdamaxState, lr, weight_decay=weight_decay, maximize=maximize)


@optimizer
def NAdam(
    lr: ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.NAdam``: μ_t = β₁(1 - ½·0.96^(tψ)), their product P_t; m and v with constant β₁ and β₂;
    θ ← θ - η(μ_{t+1}m/(1 - P_t μ_{t+1}) + (1 - μ_t)g/(1 - P_t))/(√(v/(1 - β₂ᵗ)) + ε).

    P is rounded to float32 at every step, for float64 parameters too, as torch keeps it under its default type; without
    that a float64 run agrees to 8e-10 only.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      betas: 0 ≤ β₁, β₂ < 1; β₁ may not be a schedule here.
      eps: ε ≥ 0, outside the root.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      momentum_decay: ψ ≥ 0; Keras's Nadam has 1.
      decoupled_weight_decay: θ shrinks by η·weight_decay·θ instead.
      foreach: without effect, as ``capturable`` and ``differentiable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``NAdamState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, capturable, differentiable
    beta1, beta2 = betas_of(betas)
    beta1 = _check.scalar("betas[0]", beta1)
    eps = _check.scalar("eps", eps, low=0)
    momentum_decay = _check.scalar("momentum_decay", momentum_decay, low=0)

    def momentum(t, dtype):
        return cast(beta1, dtype) * (1 - 0.5 * 0.96 ** (t.astype(dtype) * cast(momentum_decay, dtype)))

    def product(t, last):
        return (last.astype(jnp.float32) * momentum(t, last.dtype).astype(jnp.float32)).astype(last.dtype)

    def direction(t, eta, dtype, mu_product):
        b1, b2, epsilon = cast(beta1, dtype), cast(beta2, dtype), cast(eps, dtype)
        mu, mu_next, correction = momentum(t, dtype), momentum(t + 1, dtype), bias_correction(b2, t, dtype)
        of_g = -eta * (1 - mu) / (1 - mu_product)
        of_m = -eta * mu_next / (1 - mu_product * mu_next)

        def rule(g, m, v):
            m = m + (1 - b1) * (g - m)
            v = b2 * v + (1 - b2) * (g * g)
            root = jnp.sqrt(v / correction) + epsilon
            return of_g * g / root + of_m * m / root, m, v

        return rule

    return transformation(
        direction, NAdamState, lr, weight_decay=weight_decay,
        decoupled=decoupled_weight_decay, maximize=maximize, scalars={"mu_product": (1.0, product)},
    )  # fmt: skip


@optimizer
def RAdam(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.RAdam``: θ ← θ - η·m̂·r_t·√(1 - β₂ᵗ)/(√v + ε) where ρ_t > 5, θ ← θ - η·m̂ before.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule. The first steps are not divided by the root: rates for Adam
        may be too large.
      betas: 0 ≤ β₁, β₂ < 1; β₁ may be a schedule.
      eps: ε ≥ 0, added to the root of the uncorrected v.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      decoupled_weight_decay: θ shrinks by η·weight_decay·θ instead.
      foreach: without effect, as ``capturable`` and ``differentiable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``AdamState``.

    Raises:
      ValueError: a number out of its range.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, capturable, differentiable
    beta1, beta2 = betas_of(betas)
    eps = _check.scalar("eps", eps, low=0)

    def direction(t, eta, dtype):
        b1, b2, epsilon = value_at(beta1, t - 1, dtype), cast(beta2, dtype), cast(eps, dtype)
        c1, c2 = bias_correction(b1, t, dtype), bias_correction(b2, t, dtype)
        rectified, rectify = _rectification(b2, t, dtype)

        def rule(g, m, v):
            m = m + (1 - b1) * (g - m)
            v = b2 * v + (1 - b2) * (g * g)
            scale = jnp.where(rectified, jnp.sqrt(c2) / (jnp.sqrt(v) + epsilon) * rectify, 1)
            return -(m / c1 * eta * scale), m, v

        return rule

    return transformation(
        direction, AdamState, lr, without=("max_exp_avg_sq",), weight_decay=weight_decay,
        decoupled=decoupled_weight_decay, maximize=maximize,
    )  # fmt: skip


def _rectification(beta2: Scalar, t: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Whether RAdam's mean of squares is long enough to divide by, ρ_t > 5, and r_t."""
    whole = 2 / (1 - beta2) - 1
    length = _length(beta2, whole, t.astype(dtype), dtype)
    enough = length > 5
    rho = jnp.where(enough, length, 6)
    return enough, jnp.sqrt((rho - 4) * (rho - 2) * whole / ((whole - 4) * (whole - 2) * rho))


def _length(beta2: Scalar, whole: Scalar, t: jax.Array, dtype: Any) -> jax.Array:
    """ρ_t = ρ∞ - 2tβ₂ᵗ/(1 - β₂ᵗ), the small difference of two large numbers at first."""
    if dtype == jnp.float64:
        power = beta2**t  # torch's digits after the cancellation are these
        return whole - 2 * t * power / (1 - power)
    # With q = -log β₂ it is t·rest(tq/2) + 1 - rest(q/2), rest(y) = 1 + 1/y - coth y, where nothing cancels.
    half = -0.5 * (math.log(max(beta2, 1e-30)) if isinstance(beta2, float) else jnp.log(jnp.maximum(beta2, 1e-30)))
    half = jnp.asarray(half, dtype)
    return t * _rest(t * half) + 1 - _rest(half)


def _rest(y: jax.Array) -> jax.Array:
    """1 + 1/y - coth y for y > 0, in float32."""
    small = y < 0.5
    z = jnp.where(small, y, 0)
    square = z * z
    series = z * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * (2 / 93555)))))
    large = jnp.where(small, 1, y)
    return jnp.where(small, 1 - series, 1 / large - 2 / jnp.expm1(2 * large))
