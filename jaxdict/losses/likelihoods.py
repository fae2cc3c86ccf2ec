"""Negative log likelihoods of counts and of real numbers: the Poisson and the normal distribution.

The part that no prediction changes is left out unless ``full=True``, as PyTorch's losses of these names have it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.losses._logarithms import inverse, log, quotient
from jaxdict.losses._shared import add_up, pair


def _scaled_square_rule(d, variance):
    r = d / variance
    return d / 2 * r, (r, -r / 2 * r)


@closed_form(_scaled_square_rule)
def _scaled_square(d, variance):
    return _scaled_square_rule(d, variance)[0]


@entry(
    "loss",
    equation="sum((yhat - y)**2/v + log(v))/2",
    derivative="(yhat - y)/v",
    aliases=("gaussian negative log likelihood", "linear gaussian", "normal nll"),
    sources=("S3 linear-Gaussian output unit", "Nix & Weigend 1994, doi:10.1109/ICNN.1994.374138"),
    errata=("S3 writes −ln P ∝ ½‖y − z‖²: that is equality up to an added constant, ½ ln 2π an element.",),
    conventions={
        "torch": "GaussianNLLLoss takes the variance as a third array, raises it to 1e-6, without a gradient there, "
        "and averages; full=True adds the same constant",
        "keras": "has none",
        "optax": "has none; with variance 1 it is l2_loss",
    },
    see_also=("l2", "mean_squared_error", "poisson_nll"),
    symbols={"variance": "v"},
)
def gaussian_nll(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    variance: ArrayLike = 1.0,
    full: bool = False,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Negative log likelihood of targets from normal distributions around the predictions.

    Args:
      predictions: ``(..., n)``, means, any real type.
      targets: the same shape.
      variance: above 0, a scalar or an array of that shape; may be traced or predicted too, and has a gradient.
      full: whether to add ``ln(2π)/2`` for each element.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32; with unit variance half the squared error.

    Raises:
      ValueError: different shapes, no such axis, or a ``variance`` not above 0.
      TypeError: complex input, or ``variance`` not a number.
    """
    p, y, mask = pair(predictions, targets, axis, where)
    if np.ndim(variance):
        _check.same_shape("predictions", p, "variance", variance)
        variance = variance if mask is None else jnp.where(mask, variance, 1)
    v = jnp.asarray(_check.number("variance", variance, above=0), p.dtype)
    constant = jnp.log(v) / 2 + (math.log(2 * math.pi) / 2 if full else 0)
    return add_up(_scaled_square(p - y, v) + constant, axis, mask)


def _of_log_rate(x, y):
    # Past 88 both parts may overflow, though the difference has a sign: they are then compared 1e7 times smaller.
    far = x > 88
    grown = jnp.exp(jnp.where(far, x - 16, x))
    scale = jnp.where(far, math.exp(16), 1)
    shrunk = jnp.where(far, y * math.exp(-16), y)
    value = jnp.where((y == 0) | jnp.isinf(grown), grown, grown - shrunk * x) * scale
    return value, (jnp.exp(x) - y, jnp.where((y == 0) & jnp.isinf(x), 0, -x))


@closed_form(_of_log_rate)
def _poisson_of_log_rate(x, y):
    return _of_log_rate(x, y)[0]


def _rate_slope_rule(rate, y):
    by_y = -inverse(rate)
    by_y = jnp.where(jnp.isinf(by_y), 0, by_y)  # times a change of 0 it would be NaN
    slope = jnp.where((y == 0) | jnp.isinf(rate), 1, quotient(rate - y, rate))
    return slope, (quotient(quotient(y, rate), rate), by_y)


@closed_form(_rate_slope_rule)
def _rate_slope(rate, y):
    """``1 - y/rate``, right where they nearly are equal."""
    return _rate_slope_rule(rate, y)[0]


def _of_rate(rate, y):
    nothing = (y == 0) & (rate >= 0)
    value = jnp.where(nothing | jnp.isinf(rate), rate, rate - y * log(rate))
    safe = log(jnp.where((y == 0) & (rate == 0), 1, rate))
    return value, (_rate_slope(rate, y), -safe)


@closed_form(_of_rate)
def _poisson_of_rate(rate, y):
    return _of_rate(rate, y)[0]


@entry(
    "loss",
    equation="sum(exp(yhat) - y*yhat)",
    derivative="exp(yhat) - y",
    aliases=("poisson", "poisson negative log likelihood", "poisson regression loss"),
    sources=("McCullagh & Nelder 1989, doi:10.1007/978-1-4899-3242-6",),
    conventions={
        "torch": "PoissonNLLLoss has log_input=True too; without it the rate has 1e-8 added inside the logarithm; "
        "full=True adds Stirling's approximation, for targets above 1 only",
        "keras": "Poisson takes rates (log_input=False here), adds 1e-7 inside the logarithm; mean over the last axis",
        "optax": "has none",
    },
    see_also=("gaussian_nll",),
)
def poisson_nll(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    log_input: bool = True,
    full: bool = False,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Negative log likelihood of counts from Poisson distributions, ``exp(predictions) - targets predictions`` summed.

    Args:
      predictions: ``(..., n)``, logarithms of rates; the rates themselves, at least 0, with ``log_input=False``.
      targets: the same shape, counts.
      log_input: whether predictions are logarithms.
      full: whether to add ``ln(targets!)``.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. A rate of 0 costs nothing where the count is 0, infinity otherwise.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    p, y, mask = pair(predictions, targets, axis, where)
    terms = (_poisson_of_log_rate if log_input else _poisson_of_rate)(p, y)
    return add_up(terms + jax.lax.lgamma(y + 1) if full else terms, axis, mask)


__all__ = ["gaussian_nll", "poisson_nll"]
