"""How predictions of several members become one: averages and votes, and the law of what that does to the error."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jax.typing import ArrayLike

from jaxdict import _check, activations


def average(predictions: ArrayLike, *, weights: ArrayLike | None = None, axis: int = 0) -> jax.Array:
    """The average of the members' predictions, Σ w_i·p_i / Σ w_i.

    Args:
      predictions: ``(members, …)``, any real type, with the members on ``axis``.
      weights: ``(members,)`` >= 0, or with more axes, ``(members, n)``: a weight of its own for each example. All the
        same when None.
      axis: where the members are.

    Returns:
      ``predictions``' shape without ``axis``, in its floating type (computed in float32 at least); NaN where all
      weights are 0.

    Raises:
      ValueError: no member, no such axis, weights of another shape, a negative weight.
      TypeError: complex predictions, weights that are not numbers.
    """
    x = _check.floating(predictions, name="predictions")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"predictions must have an axis {axis} of members; got the shape {x.shape}")
    x, dtype = jnp.moveaxis(x, axis, 0).astype(_check.compute_dtype(x.dtype)), x.dtype
    if not len(x):
        raise ValueError("predictions must have at least one member; got none")
    return _average(x, None if weights is None else _weights(weights, x.shape)).astype(dtype)


@jax.jit
def _average(x: jax.Array, w: jax.Array | None) -> jax.Array:
    if w is None:
        return jnp.mean(x, axis=0)
    w = w.astype(x.dtype).reshape(w.shape + (1,) * (x.ndim - w.ndim))
    return jnp.sum(w * x, axis=0) / jnp.sum(w, axis=0)


def vote(classes: ArrayLike, *, classes_count: int | None = None, weights: ArrayLike | None = None) -> jax.Array:
    """The class with the most votes, the lowest label where several have as many.

    Args:
      classes: ``(members, …)`` integer labels >= 0.
      classes_count: how many classes there are; by the highest label when None, which compiled code does not know.
      weights: ``(members,)`` or ``(members, n)`` >= 0, what each vote counts; 1 when None.

    Returns:
      int32, the shape of ``classes`` without its first axis.

    Raises:
      ValueError: no member, a label out of range, weights of another shape, a negative weight; no ``classes_count`` in
        compiled code, where labels out of range are votes for none.
      TypeError: labels or a count that are not whole numbers, weights that are not numbers.
    """
    labels = jnp.asarray(classes)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"classes must be integer labels; got {labels.dtype}")
    if not labels.ndim or not len(labels):
        raise ValueError(f"classes must be (members, …), at least one of them; got the shape {labels.shape}")
    if classes_count is not None:
        classes_count = _check.integer("classes_count", classes_count, low=1)
    if not _check.is_traced(labels):
        known = np.asarray(labels)
        low, high = (int(known.min()), int(known.max())) if known.size else (0, 0)
        if low < 0 or (classes_count is not None and high >= classes_count):
            wrong, end = (low if low < 0 else high), "" if classes_count is None else f" and < {classes_count}"
            raise ValueError(f"classes must be >= 0{end}; got the label {wrong}")
        classes_count = classes_count or high + 1
    if classes_count is None:
        raise ValueError("give classes_count: in compiled code the highest label is not known")
    return _vote(labels, None if weights is None else _weights(weights, labels.shape), classes_count)


@functools.partial(jax.jit, static_argnums=2)
def _vote(labels: jax.Array, weights: jax.Array | None, count: int) -> jax.Array:
    chosen = labels[..., None] == jnp.arange(count, dtype=labels.dtype).reshape((1,) * labels.ndim + (count,))
    votes = chosen.astype(jnp.int32)
    if weights is not None:
        votes = chosen * weights.reshape(weights.shape + (1,) * (chosen.ndim - weights.ndim))
    return jnp.argmax(jnp.sum(votes, axis=0), axis=-1).astype(jnp.int32)


def _weights(weights: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Weights that suit predictions of this shape, float32 at least."""
    w = _check.floating(_check.number("weights", weights, low=0), name="weights")
    if not w.ndim or w.shape != shape[: w.ndim]:
        raise ValueError(f"weights must be ({shape[0]},), one a member, or begin as {shape} does; got {w.shape}")
    return w.astype(_check.compute_dtype(w.dtype))


class ErrorLaw(NamedTuple):
    """What averaging k members does to the squared error, E[(mean of ε_i)²] = E[ε²]/k + (k - 1)/k·E[ε_i·ε_j].

    Attributes:
      averaged: the left side, the mean squared error of the averaged prediction.
      member: E[ε²], the mean squared error of a member.
      covariance: E[ε_i·ε_j], the mean product of two members' errors, over all pairs; 0 for one member.
      predicted: the right side, which equals ``averaged`` to rounding.
    """

    averaged: jax.Array
    member: jax.Array
    covariance: jax.Array
    predicted: jax.Array


def error_law(errors: ArrayLike) -> ErrorLaw:
    """Both sides of the law of ensembles, measured: the error falls as far as the members' errors disagree.

    Args:
      errors: ``(k, n)`` or ``(k, n, …)``, each member's predictions less the targets.

    Returns:
      The ErrorLaw: scalars, float32 at least. Independent errors make ``averaged`` ``member``/k, equal ones ``member``.

    Raises:
      ValueError: errors without members or examples.
      TypeError: complex errors.
    """
    e = _check.floating(errors, name="errors")
    if e.ndim < 2 or not e.size:
        raise ValueError(f"errors must be (members, n), at least one of each; got the shape {e.shape}")
    return _error_law(e.astype(_check.compute_dtype(e.dtype)))


@jax.jit
def _error_law(e: jax.Array) -> ErrorLaw:
    e = e.reshape(len(e), -1)
    k, n = e.shape
    products = jnp.matmul(e, e.T, precision="highest") / n  # E[ε_i·ε_j] of every two
    member = jnp.trace(products) / k
    others = jnp.where(jnp.eye(k, dtype=bool), 0, products)
    covariance = jnp.sum(others) / max(1, k * (k - 1))
    averaged = jnp.mean(jnp.square(jnp.mean(e, axis=0)))
    return ErrorLaw(averaged, member, covariance, member / k + (k - 1) / k * covariance)


@functools.partial(jax.jit, static_argnums=1)
def pool(raw: Any, unit: Any, weights: jax.Array | None = None) -> Any:
    """The raw outputs that say the average of what the members say.

    The average of probabilities, in logarithms so that no digit is lost: log p of softmax, log p - log(1 - p) of
    sigmoid. Logits themselves are not averaged: softmax ignores a shift of each member's logits, and a member that is
    sure of itself, logits ten times as large, would outvote nine others.

    Args:
      raw: ``(members, n, …)`` outputs, or a tree of them where there is no unit.
      unit: ``activations.softmax`` or ``activations.sigmoid``, which makes probabilities of them; None averages them
        as they are; pairs of name and unit for a dict of outputs.
      weights: ``(members,)`` or ``(members, n)``; all the same when None.

    Returns:
      ``(n, …)`` raw outputs, float32 at least; NaN where all weights are 0.

    Raises:
      ValueError: as ``average``.
    """
    if isinstance(unit, tuple):
        return {name: pool(one, dict(unit).get(name), weights) for name, one in raw.items()}
    raw = jax.tree.map(lambda x: jnp.asarray(x, _check.compute_dtype(jnp.result_type(x))), raw)
    if unit is None:
        return jax.tree.map(lambda x: average(x, weights=weights), raw)
    w = jnp.ones(len(raw), raw.dtype) if weights is None else weights.astype(raw.dtype)
    w = w.reshape(w.shape + (1,) * (raw.ndim - w.ndim))
    if unit is activations.softmax:
        return logsumexp(activations.log_softmax(raw), axis=0, b=w) - jnp.log(jnp.sum(w, axis=0))
    yes, no = (logsumexp(activations.log_sigmoid(sign * raw), axis=0, b=w) for sign in (1, -1))
    return yes - no


__all__ = ["ErrorLaw", "average", "error_law", "pool", "vote"]
