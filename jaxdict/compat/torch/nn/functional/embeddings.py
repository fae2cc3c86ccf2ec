"""Torch's similarity of vectors, and its losses of pairs that are alike (target 1) or not (target -1)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict.compat.torch.nn.functional._losses import Reduction, chosen, loss, reduced
from jaxdict.losses._shared import pair

_PAIR = ("input1", "input2")


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, dim: int = 1, eps: ArrayLike = 1e-8) -> jax.Array:
    """The cosine of the angle between vectors, each length raised to ``eps``.

    Args:
      x1: vectors, any real type.
      x2: the same shape.
      dim: their axis.
      eps: the least length.

    Returns:
      The shape without ``dim``, at least float32.

    Raises:
      ValueError: different shapes, or no such axis. TypeError: complex input.
    """
    a, b, _ = pair(x1, x2, dim, names=("x1", "x2"))
    least = jnp.asarray(_check.scalar("eps", eps, low=0), a.dtype)

    def unit(v):
        square = jnp.sum(v * v, axis=dim, keepdims=True)
        length = jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))
        # What is raised keeps the gradient of the length that it was, as in torch.
        return v / (length + jax.lax.stop_gradient(jnp.maximum(length, least) - length))

    return jnp.sum(unit(a) * unit(b), axis=dim)


def _excess(t: jax.Array) -> jax.Array:
    """``max(t, 0)``, with the derivative 1 at 0, as torch clamps."""
    return jnp.where(t < 0, 0, t)


@loss
def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: ArrayLike = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """``1 - cos`` for a target 1, ``max(0, cos - margin)`` for -1.

    Args:
      input1: ``(N, D)`` or ``(D,)``, any real type.
      input2: the same shape.
      target: ``(N,)`` or ``()``, 1 or -1; another costs nothing.
      margin: a scalar.
    """
    how = chosen(reduction, size_average, reduce)
    a, b, _ = pair(input1, input2, None, names=_PAIR)
    if a.ndim not in (1, 2):
        raise ValueError(f"input1 must be (N, D) or (D,); got shape {a.shape}")
    y = jnp.asarray(target)
    if y.shape != a.shape[:-1]:
        raise ValueError(f"target must have the shape of input1 without its last axis, {a.shape[:-1]}; got {y.shape}")
    squares = [jnp.sum(v * v, axis=-1) + 1e-12 for v in (a, b)]
    cosine = jnp.sum(a * b, axis=-1) / jnp.sqrt(squares[0] * squares[1])
    apart = _excess(cosine - jnp.asarray(_check.scalar("margin", margin), a.dtype))
    return reduced(jnp.where(y == 1, 1 - cosine, 0) + jnp.where(y == -1, apart, 0), how)


@loss
def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: ArrayLike = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """A distance itself for a target 1, what it lacks to ``margin`` for -1; not the hinge loss.

    Args:
      input: distances.
      target: the same shape, 1 or -1; another costs both.
      margin: a scalar.
    """
    how = chosen(reduction, size_average, reduce)
    x, y, _ = pair(input, target, None, names=("input", "target"))
    lack = _excess(jnp.asarray(_check.scalar("margin", margin), x.dtype) - x)
    return reduced(jnp.where(y == 1, 0, lack) + jnp.where(y == -1, 0, x), how)


__all__ = ["cosine_embedding_loss", "cosine_similarity", "hinge_embedding_loss"]
