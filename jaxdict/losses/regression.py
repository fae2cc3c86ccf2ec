"""Distances between real numbers: absolute, squared, and the two that are squared near 0 and absolute far off."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations._kernels import is_wide, log1p, polynomial
from jaxdict.activations.sigmoids import _tanh as _tanh_rule
from jaxdict.losses._shared import add_up, average, pair, scalar

_KINK = "S0 {}: the derivative |d|/d is undefined at d = 0; here it is 0 there."


@closed_form(lambda d: (jnp.abs(d), (jnp.sign(d),)))
def _absolute(d):
    return jnp.abs(d)


@closed_form(lambda d: (d * (d / 2), (d,)))
def _half_square(d):
    return d * (d / 2)


@closed_form(lambda d: (d * d, (2 * d,)))
def _square(d):
    return d * d


@entry(
    "loss",
    equation="sum(abs(yhat - y))",
    derivative="sign(yhat - y)",
    aliases=("absolute", "absolute error", "sum of absolute errors", "l1 loss"),
    kinks={0.0: (0.0, 0.0)},  # at predictions - targets = 0
    sources=("S0 1.1",),
    errata=(_KINK.format("1.1"),),
    conventions={
        "torch": "L1Loss is the mean over all elements: here mean_absolute_error",
        "keras": "MeanAbsoluteError is the mean over the last axis, then over the batch",
        "optax": "has no function of this name",
    },
    see_also=("mean_absolute_error", "huber", "lasso"),
)
def l1(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Absolute loss, the sum of ``|predictions - targets|``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. The derivative where both are equal is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return add_up(_absolute(p - y), axis, where)


@entry(
    "loss",
    equation="sum((yhat - y)**2)/2",
    derivative="yhat - y",
    aliases=("half squared error", "quadratic", "l2 loss", "sum of squares"),
    sources=("S0 1.2",),
    errata=("S0 1.2 calls it a mean squared error; it is half a sum. The mean, without the half, has its own entry.",),
    conventions={
        "torch": "MSELoss is the mean over all elements, no half: its gradient is 2/n of this one",
        "keras": "MeanSquaredError is the mean over the last axis, no half",
        "optax": "l2_loss is elementwise with the half (axis=None here); squared_error is without the half",
    },
    see_also=("mean_squared_error", "huber", "ridge"),
)
def l2(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Half the squared error, half the sum of ``(predictions - targets)**2``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return add_up(_half_square(p - y), axis, where)


@entry(
    "loss",
    equation="mean((yhat - y)**2)",
    derivative="n = sum(ones(y)); 2*(yhat - y)/n",
    aliases=("mse",),
    sources=("S2 10.1.5",),
    conventions={
        "torch": "the same; one mean over all elements",
        "keras": "the same: the mean over the last axis, then over the batch",
        "optax": "squared_error is elementwise (axis=None here); l2_loss has a half",
    },
    see_also=("l2", "mean_absolute_error", "r2"),
)
def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Mean squared error, the mean of ``(predictions - targets)**2``, without a half.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is averaged; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``; the mean is over what is.

    Returns:
      ``(...)``, at least float32; 0 where nothing is there.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return average(_square(p - y), axis, where)


@entry(
    "loss",
    equation="mean(abs(yhat - y))",
    derivative="n = sum(ones(y)); sign(yhat - y)/n",
    aliases=("mae",),
    kinks={0.0: (0.0, 0.0)},  # at predictions - targets = 0
    sources=("S2 10.1.5",),
    conventions={
        "torch": "the same as L1Loss; one mean over all elements",
        "keras": "the same: the mean over the last axis, then over the batch",
    },
    see_also=("l1", "mean_squared_error", "huber"),
)
def mean_absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Mean absolute error, the mean of ``|predictions - targets|``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is averaged; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``; the mean is over what is.

    Returns:
      ``(...)``, at least float32; 0 where nothing is there. The derivative where both are equal is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return average(_absolute(p - y), axis, where)


def _huber_rule(d, delta):
    a = jnp.abs(d)
    inside = a <= delta
    m = jnp.minimum(a, delta)
    return m * (a - m / 2), (jnp.where(inside, d, jnp.sign(d) * delta), jnp.where(inside, 0, a - delta))


@closed_form(_huber_rule)
def _huber(d, delta):
    return _huber_rule(d, delta)[0]  # the two branches in one, without overflow of d²


@entry(
    "loss",
    equation="d = yhat - y; sum(cases((d**2/2, abs(d) <= delta), (delta*abs(d) - delta**2/2, True)))",
    derivative="d = yhat - y; cases((d, abs(d) <= delta), (delta*sign(d), True))",
    aliases=("huber loss", "huber_loss"),
    sources=("S0 1.3", "S2 10.1.5", "Huber 1964, doi:10.1214/aoms/1177703732"),
    conventions={
        "torch": "HuberLoss(delta) is the same, averaged; SmoothL1Loss(beta) is this divided by beta",
        "keras": "the same terms, averaged over the last axis",
        "optax": "huber_loss is elementwise (axis=None here), and broadcasts (3,) against (3, 1)",
    },
    see_also=("l1", "l2", "log_cosh"),
    vectors=("yhat", "y", "d"),
)
def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: ArrayLike = 1.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Huber loss: quadratic up to ``delta``, linear beyond, with a continuous derivative.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      delta: a scalar above 0, where the quadratic ends; may be traced, and has a gradient.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. The second derivative at ``delta`` is the quadratic's, 1.

    Raises:
      ValueError: different shapes, no such axis, or ``delta`` not a scalar above 0.
      TypeError: complex input, or ``delta`` not a number.
    """
    scalar("delta", delta, above=0)
    p, y, where = pair(predictions, targets, axis, where)
    return add_up(_huber(p - y, delta), axis, where)


# ln(cosh d) = d²(1/2 + d² P(d²)) below 0.8.
LOG_COSH = (
    -0.08333330601453781, 0.02222139574587345, -0.006737616378813982, 0.0021468354389071465, -0.0006385532906278968,
    0.000123410762171261,
)  # fmt: skip


# The slope, by the rule of tanh, whose value is closer than that of tanh alone.
_tanh = closed_form(_tanh_rule)(lambda d: _tanh_rule(d)[0])


def _log_cosh_value(d):
    a = jnp.abs(d)
    e = jnp.exp(-2 * a)
    if is_wide(d):
        near, limit = jnp.log1p(2 * jnp.square(jnp.sinh(jnp.minimum(a, 1) / 2))), 1.0
    else:
        square = d * d
        near, limit = square * (0.5 + square * polynomial(square, LOG_COSH)), 0.8
    return jnp.where(a < limit, near, (a - math.log(2)) + log1p(e))


@closed_form(lambda d: (_log_cosh_value(d), (_tanh(d),)))
def _log_cosh(d):
    return _log_cosh_value(d)


@entry(
    "loss",
    equation="d = yhat - y; sum(log((exp(d) + exp(-d))/2))",
    derivative="tanh(yhat - y)",
    aliases=("logcosh", "log cosh loss", "logarithm of the hyperbolic cosine"),
    sources=("Saleh & Saleh 2022, arXiv:2208.04564",),
    conventions={
        "keras": "LogCosh is the same, averaged over the last axis; infinite below -1.7e38, 0 for a small difference",
        "optax": "log_cosh is elementwise (axis=None here); 0 for a difference below 4e-4",
        "torch": "has none",
    },
    see_also=("huber", "l2", "tanh"),
    vectors=("yhat", "y", "d"),
)
def log_cosh(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Log-cosh loss, the sum of ``ln(cosh(predictions - targets))``: about ``d²/2`` near 0, ``|d| - ln 2`` far off.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32; digits are kept at both ends.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return add_up(_log_cosh(p - y), axis, where)


__all__ = ["huber", "l1", "l2", "log_cosh", "mean_absolute_error", "mean_squared_error"]
