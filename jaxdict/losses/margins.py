"""Hinge losses: what lacks to a margin of 1, between two classes or of the right class over the others.

A target that is no class is never silently wrong: an error where it is concrete, NaN in compiled code.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.losses._shared import Labelled, Pair, add_up, by_slope, is_label, labelled, pair, pick, presence


def _above(t):
    """max(0, t), NaN at NaN: XLA's maximum on the CPU loses it in and beside reductions of 4096 numbers or more."""
    return jnp.where(t <= 0, 0.0, t)


def _active(t):
    """The derivative of ``max(0, t)``: 0 at 0, NaN at NaN."""
    return jnp.where(t > 0, 1, jnp.where(t <= 0, 0, jax.lax.stop_gradient(t))).astype(t.dtype)


def _lack_rule(p, y):
    t = 1 - y * p
    return _above(t), (-y * _active(t), -p * _active(t))


@closed_form(_lack_rule)
def _lack(p, y):
    return _above(1 - y * p)


@closed_form(lambda p, y: (jnp.square(_lack(p, y)), (-2 * y * _lack(p, y), -2 * p * _lack(p, y))))
def _square_lack(p, y):
    return jnp.square(_above(1 - y * p))


def _signed(predictions: Any, targets: Any, zero_one: bool, axis: int | None, where: Any) -> Pair:
    """The pair, with targets checked to be -1 or 1, or made so; NaN where they are neither."""
    given = pair(predictions, targets, axis, where)
    low = 0 if zero_one else -1
    fine = (given.second == low) | (given.second == 1)
    mask = presence(where, np.shape(targets), axis)
    if not _check.is_traced(targets) and not _check.is_traced(mask):
        seen = np.asarray(targets, np.float64) if mask is None else np.asarray(targets, np.float64)[np.asarray(mask)]
        wrong = seen[(seen != low) & (seen != 1)]
        if wrong.size:
            hint = "" if zero_one or wrong[0] != 0 else "; zero_one=True takes 0 and 1"
            raise ValueError(f"targets must be {low} or 1; got {wrong[0]:g}{hint}")
    y = 2 * given.second - 1 if zero_one else given.second
    return given._replace(second=jnp.where(fine, y, jnp.nan))


@entry(
    "loss",
    equation="sum(max(0, 1 - y*yhat))",
    derivative="cases((-y, y*yhat < 1), (0, True))",
    aliases=("hinge loss", "max margin", "svm loss"),
    kinks={1.0: (0.0, 0.0)},  # at predictions * targets = 1
    sources=("S0 1.6", "S4", "Cortes & Vapnik 1995, doi:10.1007/BF00994018"),
    errata=(
        "S0 1.6 leaves it undocumented.",
        "S4 names an svm loss: of several classes it may be the maximum or the sum.",
    ),
    conventions={
        "torch": "has none; HingeEmbeddingLoss is another loss",
        "keras": "Hinge turns 0 into -1 when all targets of a batch are 0 or 1 (zero_one=True here), and else takes "
        "0 as it is; the mean over the last axis",
        "optax": "hinge_loss is elementwise (axis=None here), takes targets of 0 as they are, and has the derivative "
        "-1/2 at the margin",
    },
    see_also=("squared_hinge", "categorical_hinge", "multiclass_hinge"),
)
def hinge(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    zero_one: bool = False,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Hinge loss, the sum of ``max(0, 1 - targets predictions)``.

    Args:
      predictions: ``(..., n)``, scores whose sign is the class.
      targets: the same shape, -1 or 1. Another is an error; in compiled code it gives NaN instead.
      zero_one: targets are 0 or 1, and 0 means -1.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. The derivative at the margin, where ``targets predictions = 1``, is 0.

    Raises:
      ValueError: different shapes, no such axis, or a target that is not allowed.
      TypeError: complex input.
    """
    p, y, mask = _signed(predictions, targets, zero_one, axis, where)
    return add_up(_lack(p, y), axis, mask)


@entry(
    "loss",
    equation="sum(max(0, 1 - y*yhat)**2)",
    derivative="-2*y*max(0, 1 - y*yhat)",
    aliases=("l2 svm", "squared hinge loss"),
    sources=("S0 1.6", "Tang 2013, arXiv:1306.0239"),
    conventions={
        "keras": "SquaredHinge: the mean over the last axis; turns 0 into -1 when all targets of a batch are 0 or 1",
        "torch": "has none",
        "optax": "has none",
    },
    see_also=("hinge",),
)
def squared_hinge(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    zero_one: bool = False,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Squared hinge loss, the sum of ``max(0, 1 - targets predictions)**2``.

    Args:
      predictions: ``(..., n)``, scores whose sign is the class.
      targets: the same shape, -1 or 1. Another is an error; in compiled code it gives NaN instead.
      zero_one: targets are 0 or 1, and 0 means -1.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. The second derivative at the margin, where ``targets predictions = 1``, is 0.

    Raises:
      ValueError: different shapes, no such axis, or a target that is not allowed.
      TypeError: complex input.
    """
    p, y, mask = _signed(predictions, targets, zero_one, axis, where)
    return add_up(_square_lack(p, y), axis, mask)


def _scored(predictions: Any, labels: Any, axis: int | None, where: Any) -> Labelled:
    hint = "or one-hot, of the shape of predictions"
    return labelled(predictions, labels, axis, where, name="predictions", absent=-jnp.inf, hint=hint, one_hot=True)


def _worst(scores, labels):
    """What the label lacks to its best rival, and who is that."""
    rivals = jnp.where(is_label(labels, scores), -jnp.inf, scores)
    best = jnp.max(rivals, axis=-1, keepdims=True)
    best = jnp.where(jnp.any(jnp.isnan(rivals), axis=-1, keepdims=True), jnp.nan, best)
    return 1 + (best[..., 0] - pick(scores, labels)), rivals == best


def _worst_slope(scores, labels):
    t, best = _worst(scores, labels)
    best, hit = best.astype(t.dtype), is_label(labels, scores).astype(t.dtype)
    return _active(t)[..., None] * (best / jnp.sum(best, axis=-1, keepdims=True) - hit)


@by_slope(_worst_slope)
def _of_worst(scores, labels):
    return _above(_worst(scores, labels)[0])


def _each(scores, labels):
    """What the label lacks to every class, 0 to itself."""
    return jnp.where(is_label(labels, scores), 0, 1 + (scores - pick(scores, labels)[..., None]))


def _sum_slope(scores, labels):
    v = _active(_each(scores, labels))
    return v - jnp.where(is_label(labels, scores), jnp.sum(v, axis=-1, keepdims=True), 0)


@by_slope(_sum_slope)
def _of_all(scores, labels):
    return jnp.sum(_above(_each(scores, labels)), axis=-1)


@entry(
    "loss",
    equation="largest(yhat + 1 - onehot(y, yhat)) - yhat[y]",
    derivative="onehot(argmax(yhat + 1 - onehot(y, yhat)), yhat) - onehot(y, yhat)",
    aliases=("crammer singer", "multiclass svm loss", "maximum margin of classes"),
    sources=("S0 1.6", "S4", "Crammer & Singer 2001, JMLR 2:265-292"),
    conventions={
        "keras": "CategoricalHinge takes one-hot targets, and among the others a 0 of its own: never below 1 minus the "
        "score of the right class",
        "optax": "multiclass_hinge_loss is this one",
        "torch": "has none; MultiMarginLoss is the sum: multiclass_hinge here",
    },
    see_also=("multiclass_hinge", "hinge"),
    vectors=("yhat",),
)
def categorical_hinge(
    predictions: ArrayLike, labels: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """What the right class lacks to a margin of 1 over the best other one: ``max(0, 1 + max_{j≠t} ŷ_j - ŷ_t)``.

    Args:
      predictions: ``(..., n)``, scores of the classes.
      labels: integers in 0 … n-1, the shape of ``predictions`` without ``axis``, or one-hot of the shape with it. One
        outside is an error; in compiled code it gives NaN instead.
      axis: the classes' axis; None: the last one (there is one term a label).
      where: True for the examples that are there, ``(...)``, or for classes; an absent class does not compete.

    Returns:
      ``(...)``, at least float32, 0 for an absent example. The derivative at the margin is 0; other classes that are
      best together share theirs.

    Raises:
      ValueError: a wrong shape of ``labels``, one out of range, or no such axis.
      TypeError: complex predictions, or labels that are neither integers nor one-hot.
    """
    given = _scored(predictions, labels, axis, where)
    return given.only(_of_worst(given.scores, given.labels))


@entry(
    "loss",
    equation="sum((1 - onehot(y, yhat))*max(0, 1 + yhat - yhat[y]))",
    derivative=("v = (1 - onehot(y, yhat))*indicator(1 + yhat - yhat[y] > 0); v - sum(v)*onehot(y, yhat)"),
    aliases=("weston watkins", "multi margin", "sum of class margins"),
    sources=("S0 1.6", "S4", "Weston & Watkins 1999, ESANN 219-224"),
    conventions={
        "torch": "MultiMarginLoss is this one divided by the number of classes, averaged over the batch",
        "keras": "has none; CategoricalHinge is a maximum",
        "optax": "multiclass_hinge_loss is the maximum: categorical_hinge here",
    },
    see_also=("categorical_hinge", "hinge"),
    vectors=("yhat", "v"),
)
def multiclass_hinge(
    predictions: ArrayLike, labels: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """What the right class lacks to a margin of 1 over each other one, the sum of ``max(0, 1 + ŷ_j - ŷ_t)``, ``j ≠ t``.

    Args:
      predictions: ``(..., n)``, scores of the classes.
      labels: integers in 0 … n-1, the shape of ``predictions`` without ``axis``, or one-hot of the shape with it. One
        outside is an error; in compiled code it gives NaN instead.
      axis: the classes' axis; None: the last one, and the terms, 0 at the label, are not summed.
      where: True for the examples that are there, ``(...)``, or for classes; an absent class does not compete.

    Returns:
      ``(...)``, at least float32, 0 for an absent example. The derivative at a margin is 0.

    Raises:
      ValueError: a wrong shape of ``labels``, one out of range, or no such axis.
      TypeError: complex predictions, or labels that are neither integers nor one-hot.
    """
    given = _scored(predictions, labels, axis, where)
    if axis is None:
        return given.only(_lack(-_each(given.scores, given.labels) + 1, jnp.asarray(1, given.scores.dtype)))
    return given.only(_of_all(given.scores, given.labels))


__all__ = ["categorical_hinge", "hinge", "multiclass_hinge", "squared_hinge"]
