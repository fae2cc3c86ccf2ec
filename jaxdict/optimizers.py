"""Optimizers: factories that give an ``optax.GradientTransformationExtraArgs``.

Conventions of the room. The update rule of an optimizer stands in its own function and is the one that runs. Step
numbers ``t`` start at 1; schedules are asked for the number of updates done before, 0 at the first. Moments are
float32 or wider whatever the type of the parameters; updates come back in the type of the gradients. Every state holds
``count`` (int32, updates done) and, where a rate is applied, ``learning_rate`` (float32, the one that the last update
used; before the first, the one that it will use). Hyperparameters may be numbers or traced scalars, rates and momentum
also schedules. The same arguments give the same object, so that a program compiled for one serves the other.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry

Scalar: TypeAlias = float | jax.Array
ScalarOrSchedule: TypeAlias = Scalar | Callable[[Any], Any]


class ScaleByRateState(NamedTuple):
    """Memory of ``scale_by_rate`` and ``gradient_descent``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array


class MomentumState(NamedTuple):
    """Memory of ``momentum``: the velocity, which holds the rate."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    v: Any


class ScaleByAdamState(NamedTuple):
    """Memory of ``scale_by_adam``: decaying means of the gradient and of its square."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    m: Any
    v: Any


class AdamState(NamedTuple):
    """Memory of ``adam``: decaying means of the gradient and of its square."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    m: Any
    v: Any


@entry(
    "optimizer",
    equation="theta = theta - eta*g",
    aliases=("gd", "steepest descent", "vanilla gradient descent", "batch gradient descent"),
    sources=("S0 6.1", "S3", "S4"),
    errata=("S4 says that its estimate of the gradient depends on i; it does not, and m changes meaning.",),
    conventions={
        "torch": "SGD(lr) without momentum",
        "keras": "SGD(learning_rate), default 0.01",
        "optax": "sgd(learning_rate)",
    },
    see_also=("momentum", "adam"),
)
@_cache.constructor
def gradient_descent(learning_rate: ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    """Gradient descent: a step of the learning rate against the gradient.

    Batch, minibatch and stochastic descent are this rule with gradients of more or fewer examples.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.

    Returns:
      The transformation; its state is a ``ScaleByRateState``.

    Raises:
      ValueError: a negative rate, or one that is not a scalar.
      TypeError: a rate that is not a number, and at ``init`` parameters that are not floating.
    """
    return scale_by_rate(learning_rate)


@entry(
    "optimizer",
    equation="v = mu*v - eta*g; theta = theta + v",
    aliases=("heavy ball", "polyak", "polyak momentum", "classical momentum", "sgd with momentum"),
    sources=("S0 6.2", "S1 1.1", "S2 11.3.1", "S3", "S4", "Polyak 1964, doi:10.1016/0041-5553(64)90137-5"),
    errata=(
        "S0 6.2, S3 and S4 allow momentum in [0, 1]; at 1 nothing damps: [0, 1).",
        "S2 11.3.1 calls the momentum the friction; the friction is 1 minus it.",
        "S4 calls the velocity a running mean; it is a sum whose weights total 1/(1 - momentum).",
    ),
    conventions={
        "torch": "SGD(momentum): the rate multiplies the whole velocity, which differs when the rate changes; the"
        " buffer b is -v/rate; the first step is not dampened",
        "keras": "SGD(momentum): the same, the rate inside the velocity",
        "optax": "sgd(momentum): as torch, the rate outside the velocity",
    },
    see_also=("gradient_descent", "adam"),
)
@_cache.constructor
def momentum(
    learning_rate: ScalarOrSchedule, *, momentum: ScalarOrSchedule = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Momentum, the heavy ball: a velocity that decays and is pushed against the gradient.

    The rate is inside the velocity, so that after a drop of the rate the old velocity decays instead of dropping too.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, likewise.

    Returns:
      The transformation; its state is a ``MomentumState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    momentum = _scalar("momentum", momentum, low=0, below=1, schedule=True)

    def step(t, eta, dtype):
        mu = _cast(momentum(t - 1) if callable(momentum) else momentum, dtype)

        def rule(g, v):
            v = mu * v - eta * g
            return v, v

        return rule

    return _elementwise(step, MomentumState, learning_rate)


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2;"
    " mhat = m/(1 - beta1**t); vhat = v/(1 - beta2**t);"
    " theta = theta - eta*mhat/(sqrt(vhat) + epsilon)",
    aliases=("adaptive moment estimation",),
    sources=("S0 6.7", "S1 1.6", "S2 11.3.5", "S3", "S4", "Kingma and Ba 2015, arXiv:1412.6980"),
    errata=(
        "S0 6.7 has epsilon inside the root; the paper adds it to the root of the corrected second moment.",
        "S0 6.7, S3 and S4 allow the decay rates in [0, 1]; at 1 the correction divides by 0: [0, 1).",
        "S1 1.6 says that the moments are biased when the decay rates are small; it is when they are near 1.",
        "S2 11.3.5: the last line lost its hats, and has epsilon inside the root.",
        "S3: epsilon inside the root on one page, outside on another; a handwritten page has g for the second moment"
        " and lost the power t; Algorithm 8.7 keeps the moments in the corrected ones, so that they stay 0.",
        "S4: the text's beta2 is 0.999, the code's 0.99 without correction; the first steps then reach 6.57 and 2.1"
        " times the rate.",
    ),
    conventions={
        "torch": "Adam: the same rule and epsilon, 1e-8; its weight_decay is L2 in the gradient",
        "keras": "Adam: epsilon 1e-7 is added to the root of the uncorrected moment, as if epsilon/sqrt(1 - beta2**t)"
        " here; its weight_decay is decoupled",
        "optax": "adam: the same rule and names",
        "S4": "epsilon 1e-7, no bias correction",
    },
    see_also=("momentum", "gradient_descent"),
)
@_cache.constructor
def adam(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adam: the decaying mean of the gradient over the root of the decaying mean of its square.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root; above 0 for derivatives through the optimizer at gradients of 0.
      bias_correction: divide the moments by 1 - βᵗ; without it the first steps are up to (1 - β₁)/√(1 - β₂) rates long.

    Returns:
      The transformation; its state is an ``AdamState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    step = _adam(b1, b2, eps, eps_root, bias_correction, sign=-1)
    return _elementwise(step, AdamState, learning_rate)


@_cache.constructor
def scale_by_adam(
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction m̂/(√(v̂ + eps_root) + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``adam``.

    Returns:
      The transformation; its state is a ``ScaleByAdamState``.
    """
    return _elementwise(_adam(b1, b2, eps, eps_root, bias_correction, sign=1), ScaleByAdamState)


@_cache.constructor
def scale_by_rate(learning_rate: ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    """Multiply by minus the rate, the last link of a chain; its state holds the rate that was used.

    Args, Raises: as ``gradient_descent``.

    Returns:
      The transformation; its state is a ``ScaleByRateState``.
    """

    def step(t, eta, dtype):
        return lambda g: (-eta * g,)

    return _elementwise(step, ScaleByRateState, learning_rate)


def _adam(b1, b2, eps, eps_root, bias_correction, *, sign):
    b1 = _scalar("b1", b1, low=0, below=1)
    b2 = _scalar("b2", b2, low=0, below=1)
    eps = _scalar("eps", eps, low=0)
    eps_root = _scalar("eps_root", eps_root, low=0)
    _check.one_of("bias_correction", bias_correction, (True, False))

    def step(t, eta, dtype):
        beta1, beta2, epsilon, root = (_cast(x, dtype) for x in (b1, b2, eps, eps_root))
        # The corrections and the rate meet in scalars: an element costs one root and one division.
        c1, c2 = (_one_minus_power(b, t, dtype) if bias_correction else 1.0 for b in (beta1, beta2))
        rate, grow = sign * eta / c1, 1.0 / c2

        def rule(g, m, v):
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * (g * g)
            return rate * m / (jnp.sqrt(v * grow + root) + epsilon), m, v

        return rule

    return step


def _one_minus_power(base: Scalar, t: jax.Array, dtype: Any) -> Scalar:
    """1 - base**t without cancellation; a traced base of 0 has no infinite logarithm, whose derivative would be NaN."""
    if isinstance(base, float):
        return -jnp.expm1(t.astype(dtype) * math.log(base)) if base > 0 else 1.0
    return -jnp.expm1(t.astype(dtype) * jnp.log(jnp.maximum(base, jnp.finfo(dtype).tiny)))


def _scalar(name: str, value: Any, *, schedule: bool = False, **bounds: Any) -> Any:
    """``value``, checked when it is concrete, then a Python float so that it takes the type of what it multiplies."""
    if callable(value):
        if schedule:
            return value
        raise TypeError(f"{name} must be a number, not a schedule; got {value!r}")
    _check.number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}; map over it with jax.vmap")
    return value if _check.is_traced(value) else float(value)


def _cast(value: Any, dtype: Any) -> Any:
    return value if isinstance(value, float) else jnp.asarray(value, dtype)


def _elementwise(
    step: Callable[..., Callable[..., tuple]], memory: type, learning_rate: Any = 1.0
) -> optax.GradientTransformationExtraArgs:
    """A transformation that applies one rule to every leaf.

    ``step(t, rate, dtype)`` gives the rule of step ``t`` for leaves computed in ``dtype``; ``rule(g, *moments)`` gives
    the update and the new moments. ``memory`` is the state's class; its fields after the scalars are the moments.
    """
    scalars = [name for name in memory._fields if name in ("count", "learning_rate")]  # type: ignore[attr-defined]
    moment_names = memory._fields[len(scalars) :]  # type: ignore[attr-defined]
    learning_rate = _scalar("learning_rate", learning_rate, low=0, schedule=True)

    def rate_at(count):
        return learning_rate(count) if callable(learning_rate) else learning_rate

    def remember(count, rate, moments):
        known = {"count": count, "learning_rate": jnp.asarray(rate, jnp.float32)}
        return memory(*(known[name] for name in scalars), *moments)

    def init(params):
        def zeros(leaf):
            dtype = jnp.result_type(leaf)
            if not jnp.issubdtype(dtype, jnp.floating):
                raise TypeError(f"parameters must be floating; got {dtype}; leave others out with optax.masked")
            return jnp.zeros_like(leaf, dtype=_check.compute_dtype(dtype))

        moments = [jax.tree.map(zeros, params) for _ in moment_names]
        count = jnp.zeros((), jnp.int32)
        return remember(count, rate_at(count), moments)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        rate, t = rate_at(state.count), optax.safe_increment(state.count)
        gradients, tree = jax.tree.flatten(updates, is_leaf=lambda leaf: leaf is None)
        moments = [tree.flatten_up_to(getattr(state, name)) for name in moment_names]
        rules: dict[Any, Callable[..., tuple]] = {}
        rows = []
        for g, *memories in zip(gradients, *moments, strict=True):
            if g is None:
                rows.append((None, *memories))
                continue
            g = jnp.asarray(g)
            dtype = memories[0].dtype if memories else _check.compute_dtype(g.dtype)
            if dtype not in rules:
                rules[dtype] = step(t, _cast(rate, dtype), dtype)
            change, *memories = rules[dtype](g.astype(dtype), *memories)
            rows.append((change.astype(g.dtype), *memories))
        columns = zip(*rows, strict=True) if rows else [()] * (1 + len(moment_names))
        changes, *moments = (jax.tree.unflatten(tree, column) for column in columns)
        return changes, remember(t, rate, moments)

    return optax.GradientTransformationExtraArgs(init, update)


__all__ = [
    "AdamState",
    "MomentumState",
    "ScaleByAdamState",
    "ScaleByRateState",
    "adam",
    "gradient_descent",
    "momentum",
    "scale_by_adam",
    "scale_by_rate",
]
