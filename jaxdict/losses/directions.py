"""The angle between two vectors, whatever their lengths."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.losses._shared import pair


def _scale(v: jax.Array) -> jax.Array:
    """The exact power of two that takes the largest element near 1, so that no square overflows or is lost."""
    info = jnp.finfo(v.dtype)
    largest = jnp.clip(jnp.max(jnp.abs(v), axis=-1, keepdims=True, initial=0.0), info.tiny, 0.25 / info.tiny)
    return jax.lax.stop_gradient(1 / jax.lax.reduce_precision(largest, info.bits - info.nmant - 1, 0))


def _shrink(square: jax.Array) -> jax.Array:
    """One over the length; 0 for a vector of 0."""
    nothing = square == 0
    return jnp.where(nothing, 0, 1 / jnp.sqrt(jnp.where(nothing, 1, square)))


class _Directions(NamedTuple):
    """The cosine between two vectors, over the last axis, and what makes unit vectors of them."""

    cosine: jax.Array
    scales: tuple[jax.Array, jax.Array]
    shrinks: tuple[jax.Array, jax.Array]

    def unit(self, v: jax.Array, which: int) -> jax.Array:
        return v * self.scales[which] * self.shrinks[which]


def _directions(a: jax.Array, b: jax.Array) -> _Directions:
    scales = _scale(a), _scale(b)
    product = jnp.sum((a * scales[0]) * (b * scales[1]), axis=-1, keepdims=True)
    # Apart from the products above, which would else be written to memory to be read again: half of the time.
    apart = jax.lax.optimization_barrier(((a, scales[0]), (b, scales[1])))
    one, other = (_shrink(jnp.sum(jnp.square(v * s), axis=-1, keepdims=True)) for v, s in apart)
    return _Directions(jnp.clip(product * (one * other), -1, 1), scales, (one, other))


@jax.custom_jvp
@functools.partial(jax.jit, inline=True)
def _similarity(a, b):
    return _directions(a, b).cosine[..., 0]


@jax.custom_jvp
@functools.partial(jax.jit, inline=True)
def _distance(a, b):
    return _apart(_directions(a, b), a, b)


def _apart(d, a, b):
    none = (d.shrinks[0] == 0) | (d.shrinks[1] == 0)
    return jnp.where(none[..., 0], 1, jnp.sum(jnp.square(d.unit(a, 0) - d.unit(b, 1)), axis=-1) / 2)


def _change(d, primals, tangents):
    """The change of the cosine."""
    u, v = (d.unit(x, which) for which, x in enumerate(primals))
    slopes = v - d.cosine * u, u - d.cosine * v
    changes = [
        jnp.sum(slopes[which] * (d.shrinks[which] * d.scales[which]) * t, axis=-1)
        for which, t in enumerate(tangents)
        if not isinstance(t, SymbolicZero)
    ]
    return functools.reduce(jnp.add, changes) if changes else jnp.zeros_like(d.cosine[..., 0])


@functools.partial(_similarity.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    d = _directions(*primals)
    return d.cosine[..., 0], _change(d, primals, tangents)


@functools.partial(_distance.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    d = _directions(*primals)
    return _apart(d, *primals), -_change(d, primals, tangents)


@entry(
    "loss",
    equation="sum(yhat*y)/(norm(yhat)*norm(y))",
    derivative="c = sum(yhat*y)/(norm(yhat)*norm(y)); (y/norm(y) - c*yhat/norm(yhat))/norm(yhat)",
    aliases=("cosine", "cosine of the angle"),
    sources=("Salton, Wong & Yang 1975, doi:10.1145/361219.361220",),
    conventions={
        "torch": "cosine_similarity is the same with dim=1; it raises each length to 1e-8",
        "keras": "the loss CosineSimilarity is minus this, so that smaller is better",
        "optax": "the same; NaN for a zero vector, and for lengths beyond 1e19 or below 1e-22",
    },
    see_also=("cosine_distance",),
)
def cosine_similarity(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Cosine of the angle between predictions and targets: 1 along, -1 against. Minimize `cosine_distance`, not this.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis of the vectors.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32, in [-1, 1], at any length; 0, and all derivatives 0, where a vector is 0. An infinite
      element gives NaN.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _between(_similarity, predictions, targets, axis, where)


@entry(
    "loss",
    equation="1 - sum(yhat*y)/(norm(yhat)*norm(y))",
    derivative="c = sum(yhat*y)/(norm(yhat)*norm(y)); (c*yhat/norm(yhat) - y/norm(y))/norm(yhat)",
    aliases=("cosine loss", "cosine embedding"),
    sources=("Salton, Wong & Yang 1975, doi:10.1145/361219.361220",),
    conventions={
        "torch": "CosineEmbeddingLoss with the target 1 is this one, averaged",
        "keras": "CosineSimilarity is less by 1",
        "optax": "the same; 0 or noise where the angle is below 3e-4",
    },
    see_also=("cosine_similarity",),
)
def cosine_distance(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int = -1, where: ArrayLike | None = None
) -> jax.Array:
    """One minus the cosine of the angle between predictions and targets: 0 along, 2 against.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis of the vectors.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32, from half the squared difference of the unit vectors, so that small angles keep their
      digits; 1, and all derivatives 0, where a vector is 0. An infinite element gives NaN.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _between(_distance, predictions, targets, axis, where)


def _between(function, predictions, targets, axis, where):
    _check.integer("axis", axis)
    a, b, mask = pair(predictions, targets, axis, where, absent=0.0)
    values = function(jnp.moveaxis(a, axis, -1), jnp.moveaxis(b, axis, -1))
    return values if mask is None else jnp.where(jnp.any(mask, axis=axis), values, 0)


__all__ = ["cosine_distance", "cosine_similarity"]
