"""Metrics of regression: mean absolute and squared error, the coefficient of determination."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.metrics._stream import Stream, as_many, mean_of, streamed, whole


def _pair(predictions: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    a, b = _check.floating(predictions, name="predictions"), _check.floating(targets, name="targets")
    _check.same_shape("predictions", a, "targets", b)
    dtype = _check.compute_dtype(a.dtype)
    return a.astype(dtype), b.astype(dtype)


def _absolute_error(predictions, targets):
    a, b = _pair(predictions, targets)
    return jnp.abs(a - b)


def _squared_error(predictions, targets):
    a, b = _pair(predictions, targets)
    return jnp.square(a - b)


_ABSOLUTE, _SQUARED = mean_of(_absolute_error), mean_of(_squared_error)


@streamed(lambda: _ABSOLUTE)
@entry(
    "metric",
    equation="mean(abs(yhat - y))",
    aliases=("mae",),
    sources=("S2 10.2.1.2",),
    conventions={"sklearn": "the same, outputs averaged uniformly", "keras": "the same"},
    see_also=("r2", "l1", "huber"),
)
def mean_absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> jax.Array:
    """Mean absolute error over examples and outputs.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar in the targets' unit; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return whole(_ABSOLUTE, predictions, targets, sample_weight)


@streamed(lambda: _SQUARED)
@entry(
    "metric",
    equation="mean((yhat - y)**2)",
    aliases=("mse",),
    sources=("S2 10.2.1.2",),
    conventions={"sklearn": "the same, outputs averaged uniformly", "keras": "the same"},
    see_also=("r2", "l2"),
)
def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> jax.Array:
    """Mean squared error over examples and outputs, without a half.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar in the targets' unit squared; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return whole(_SQUARED, predictions, targets, sample_weight)


class _Moments(NamedTuple):
    """Sums that merge without cancellation (Chan, Golub and LeVeque 1983); the outputs' ones are ``(k,)``."""

    weight: jax.Array
    start: jax.Array  # one of the targets, which all are measured from: constant targets have no spread at all
    mean: jax.Array  # of targets - start
    spread: jax.Array  # Σ w (target - mean target)²
    residual: jax.Array  # Σ w (target - prediction)²


def _r2_sums(predictions, targets, weights):
    a, b = _pair(predictions, targets)
    weights = as_many(weights, b)
    n, k = len(b), math.prod(b.shape[1:])
    if n == 0:
        return _Moments(*(jnp.zeros(shape, jnp.float32) for shape in ((), (k,), (k,), (k,), (k,))))
    a, b = a.reshape(n, k), b.reshape(n, k)
    present, w = weights > 0, weights[:, None]
    weight = jnp.sum(w)
    start = jnp.where(weight > 0, b[jnp.argmax(present)], 0).astype(jnp.float32)
    away = jnp.where(present[:, None], b - start[None].astype(b.dtype), 0).astype(jnp.float32)
    error = jnp.where(present[:, None], b - a, 0).astype(jnp.float32)
    mean = jnp.sum(w / jnp.where(weight > 0, weight, 1) * away, axis=0)
    spread = jnp.sum(w * jnp.square(away - mean[None]), axis=0)
    return _Moments(weight, start, mean, spread, jnp.sum(w * jnp.square(error), axis=0))


def _r2_merge(a: _Moments, b: _Moments) -> _Moments:
    weight = a.weight + b.weight
    share = b.weight / jnp.where(weight > 0, weight, 1)
    apart = jnp.where(b.weight > 0, (b.start - a.start) + (b.mean - a.mean), 0)
    empty = a.weight == 0
    return _Moments(
        weight,
        jnp.where(empty, b.start, a.start),
        jnp.where(empty, b.mean, a.mean + share * apart),
        a.spread + b.spread + jnp.where(empty, 0, a.weight * share * jnp.square(apart)),
        a.residual + b.residual,
    )


def _r2_value(m: _Moments) -> jax.Array:
    varies = m.spread > 0
    score = jnp.where(varies, 1 - m.residual / jnp.where(varies, m.spread, 1), 1 - jnp.sign(m.residual))
    return jnp.where(m.weight > 0, jnp.mean(score), jnp.nan)


_R2 = Stream(_r2_sums, _r2_value, _r2_merge)


@streamed(lambda: _R2)
@entry(
    "metric",
    equation="1 - sum((y - yhat)**2)/sum((y - mean(y))**2)",
    aliases=("r_squared", "r2_score", "coefficient of determination"),
    sources=("Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115",),
    conventions={
        "sklearn": "r2_score with multioutput='uniform_average' and force_finite=True is the same; NaN for one example",
        "keras": "R2Score is the same; constant targets give NaN or -inf there",
    },
    see_also=("mean_squared_error",),
)
def r2(predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None) -> jax.Array:
    """Coefficient of determination, averaged over outputs: 1 is perfect, 0 is as good as the mean target.

    An output whose targets are constant (one example is) scores 1 when predicted exactly and 0 otherwise.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar, at most 1; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return whole(_R2, predictions, targets, sample_weight)
