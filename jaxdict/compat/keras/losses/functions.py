"""Keras's losses of examples, ``(y_true, y_pred, …) -> (...)``: means over the last axis, of classes sums."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, activations, losses
from jaxdict.compat._docs import completed
from jaxdict.losses._shared import check_axis, pair, scalar
from jaxdict.losses.margins import _lack, _square_lack

EPSILON = 1e-7  # keras.config.epsilon()
_NAMES = ("y_pred", "y_true")

OPTIONS = {
    "from_logits": "whether predictions are logits instead of probabilities.",
    "label_smoothing": "in [0, 1], the share of a target's weight that goes to all alike.",
    "axis": "the axis of the classes or vectors.",
    "alpha": "a factor of the loss, or of its classes.",
    "gamma": "≥ 0, how little counts what is nearly right.",
    "delta": "above 0, where the quadratic ends.",
    "ignore_class": "the label that does not count.",
    "apply_class_balancing": "whether targets 1 weigh ``alpha`` and targets 0 ``1 - alpha``.",
}

_loss = completed(
    {
        "y_true": "targets, ``(..., n)``.",
        "y_pred": "predictions, the same shape, any real type; ``(n,)`` and ``(n, 1)`` count as one shape.",
        **OPTIONS,
    },
    returns="``(...)``, the loss of each example, at least float32.",
    raises="ValueError: shapes that do not fit, a number out of range. TypeError: complex input.",
)


def same_rank(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Keras's remedy for a last axis of length 1 that one of them lacks."""
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    for longer, shorter in ((y_true, y_pred), (y_pred, y_true)):
        if longer.ndim == shorter.ndim + 1 and longer.shape[-1] == 1:
            grown = shorter[..., None] if shorter.ndim == 1 else shorter
            cut = longer if shorter.ndim == 1 else longer[..., 0]
            return (cut, grown) if longer is y_true else (grown, cut)
    return y_true, y_pred


def _pair(y_true: Any, y_pred: Any, axis: int | None = -1) -> tuple[jax.Array, jax.Array]:
    y_true, y_pred = same_rank(y_true, y_pred)
    p, y, _ = pair(y_pred, y_true, axis, names=_NAMES)
    return y, p


def _mean(terms: jax.Array, axis: Any = -1) -> jax.Array:
    return jnp.mean(terms, axis=axis)


# --------------------------------------------------------------------------------------------------- real numbers


@_loss
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``(y_true - y_pred)**2`` over the last axis."""
    y, p = _pair(y_true, y_pred)
    return losses.mean_squared_error(p, y)


@_loss
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``|y_true - y_pred|`` over the last axis."""
    y, p = _pair(y_true, y_pred)
    return losses.mean_absolute_error(p, y)


@_loss
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """100 times the mean of ``|y_true - y_pred|/max(|y_true|, 1e-7)`` over the last axis."""
    y, p = _pair(y_true, y_pred)
    return 100 * losses.mean_absolute_error((p - y) / jnp.maximum(jnp.abs(y), EPSILON), jnp.zeros_like(y))


@_loss
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of the squared difference of ``ln(1 + max(y, 1e-7))`` over the last axis."""
    y, p = (jnp.log1p(jnp.maximum(v, EPSILON)) for v in _pair(y_true, y_pred))
    return losses.mean_squared_error(p, y)


@_loss
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: ArrayLike = 1.0) -> jax.Array:
    """Half the squared error up to ``delta``, linear beyond; the mean over the last axis."""
    y, p = _pair(y_true, y_pred)
    return _mean(losses.huber(p, y, delta=delta, axis=None))


@_loss
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``ln(cosh(y_pred - y_true))`` over the last axis."""
    y, p = _pair(y_true, y_pred)
    return _mean(losses.log_cosh(p, y, axis=None))


@_loss
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> jax.Array:
    """Minus the cosine of the angle: -1 along, 1 against."""
    y, p = _pair(y_true, y_pred, axis)
    return -losses.cosine_similarity(p, y, axis=axis)


@_loss
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``y_pred - y_true*ln(y_pred + 1e-7)`` over the last axis; predictions are rates."""
    y, p = _pair(y_true, y_pred)
    return _mean(p - y * jnp.log(p + EPSILON))


# ------------------------------------------------------------------------------------------------------- margins


def _signed(y: jax.Array) -> jax.Array:
    """Labels 0 and 1 as -1 and 1 where all are of these, as they are otherwise."""
    return jnp.where(jnp.all((y == 0) | (y == 1)), 2 * y - 1, y)


@_loss
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``max(0, 1 - y_true*y_pred)`` over the last axis.

    Args:
      y_true: -1 or 1; or, where all labels of the batch are, 0 or 1, and 0 means -1.
    """
    y, p = _pair(y_true, y_pred)
    return _mean(_lack(p, _signed(y)))


@_loss
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The mean of ``max(0, 1 - y_true*y_pred)**2`` over the last axis.

    Args:
      y_true: -1 or 1; or, where all labels of the batch are, 0 or 1, and 0 means -1.
    """
    y, p = _pair(y_true, y_pred)
    return _mean(_square_lack(p, _signed(y)))


@_loss
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """``max(0, 1 + max((1 - y_true) y_pred) - sum(y_true y_pred))``: among the others there is a 0, never less.

    Args:
      y_true: one-hot.
    """
    y, p = _pair(y_true, y_pred)
    lack = 1 + jnp.max((1 - y) * p, axis=-1) - jnp.sum(y * p, axis=-1)
    return jnp.where(lack <= 0, 0, lack)


# ------------------------------------------------------------------------------------------------- probabilities


def _clipped(p: jax.Array, high: float = 1 - EPSILON) -> jax.Array:
    return jnp.clip(p, EPSILON, high)


def _shares(p: jax.Array, axis: int) -> jax.Array:
    """Predictions over their sum, clipped."""
    return _clipped(p / jnp.sum(p, axis=axis, keepdims=True))


def _smoothed(y: jax.Array, amount: Any, classes: float) -> jax.Array:
    amount = jnp.asarray(scalar("label_smoothing", amount, low=0, high=1), y.dtype)
    return y * (1 - amount) + amount / classes


@_loss
def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Cross entropy of yes-or-no targets, the mean over ``axis``; probabilities are clipped to [1e-7, 1 - 1e-7]."""
    y, p = _pair(y_true, y_pred, axis)
    y = _smoothed(y, label_smoothing, 2)
    if _check.one_of("from_logits", from_logits, (True, False)):
        return _mean(losses.sigmoid_cross_entropy(p, y, axis=None), axis)
    return _mean(losses.binary_cross_entropy(_clipped(p), y, axis=None), axis)


@_loss
def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Cross entropy of classes; probabilities are divided by their sum, then clipped to [1e-7, 1 - 1e-7].

    Args:
      y_true: one-hot, or any probabilities.
    """
    p, y, _ = pair(y_pred, y_true, axis, names=_NAMES)
    y = _smoothed(y, label_smoothing, y.shape[-1])
    if _check.one_of("from_logits", from_logits, (True, False)):
        return losses.softmax_cross_entropy(p, y, axis=axis)
    return losses.cross_entropy(_shares(p, axis), y, axis=axis)


@_loss
def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> jax.Array:
    """Cross entropy of labels; probabilities are divided by their sum, then clipped to [1e-7, 1 - 1e-7].

    Args:
      y_true: labels, also as floats, of the shape of ``y_pred`` without ``axis``, or with length 1 there.
    """
    p = _check.floating(y_pred, name="y_pred")
    check_axis(axis, p, "y_pred")
    labels = labels_of(y_true, p.ndim, axis)
    kept = None if ignore_class is None else labels != _check.integer("ignore_class", ignore_class)
    if _check.one_of("from_logits", from_logits, (True, False)):
        return losses.sparse_softmax_cross_entropy(p, labels, axis=axis, where=kept)
    p = p.astype(_check.compute_dtype(p.dtype))
    if kept is not None:  # 0/0 of an absent example must not reach the gradient
        p = jnp.where(jnp.expand_dims(kept, axis), p, 1)
    return losses.sparse_cross_entropy(_shares(p, axis), labels, axis=axis, where=kept)


def labels_of(y_true: Any, rank: int, axis: int) -> jax.Array:
    """The integer labels ``(...)`` of ``y_true``, of which a last axis of length 1 is dropped."""
    labels = jnp.asarray(y_true)
    if labels.ndim == rank and labels.shape[axis] == 1:
        labels = jnp.squeeze(labels, axis)
    return labels.astype(jnp.int32)


@_loss
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> jax.Array:
    """The Kullback-Leibler divergence of the targets from the predictions, both clipped to [1e-7, 1]."""
    y, p = (_clipped(v, 1.0) for v in _pair(y_true, y_pred))
    return losses.kl_divergence(p, y)


@_loss
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: ArrayLike = 0.25,
    gamma: ArrayLike = 2.0,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Binary cross entropy times ``(1 - p_t)**gamma``, ``p_t`` the probability of the target; mean over ``axis``."""
    scalar("gamma", gamma, low=0)
    y, p = _pair(y_true, y_pred, axis)
    y = _smoothed(y, label_smoothing, 2)
    if _check.one_of("from_logits", from_logits, (True, False)):
        p = activations.sigmoid(p)
    miss = y * (1 - p) + (1 - y) * p
    terms = jnp.power(miss, jnp.asarray(gamma, p.dtype)) * losses.binary_cross_entropy(_clipped(p), y, axis=None)
    if _check.one_of("apply_class_balancing", apply_class_balancing, (True, False)):
        a = jnp.asarray(scalar("alpha", alpha, low=0, high=1), p.dtype)
        terms = (y * a + (1 - y) * (1 - a)) * terms
    return _mean(terms, axis)


@_loss
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: ArrayLike = 0.25,
    gamma: ArrayLike = 2.0,
    from_logits: bool = False,
    label_smoothing: ArrayLike = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Cross entropy of classes, each term times ``alpha*(1 - p)**gamma``.

    Args:
      y_true: one-hot, or any probabilities.
      alpha: a scalar, or one number for each class where these are the last axis.
    """
    scalar("gamma", gamma, low=0)
    p, y, _ = pair(y_pred, y_true, axis, names=_NAMES)
    y = _smoothed(y, label_smoothing, y.shape[-1])
    if _check.one_of("from_logits", from_logits, (True, False)):
        p = activations.softmax(p, axis=axis)
    p = _shares(p, axis)
    factor = jnp.broadcast_to(jnp.asarray(_check.number("alpha", alpha, low=0), p.dtype), p.shape)
    factor = factor * jnp.power(1 - p, jnp.asarray(gamma, p.dtype))
    return jnp.sum(factor * losses.cross_entropy(p, y, axis=None), axis=axis)


__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
