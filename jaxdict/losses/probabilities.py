"""Cross entropies and the relative entropy of probabilities, for models that end in a sigmoid or softmax layer.

Nothing is clipped: a target that the model holds impossible costs infinity, and 0 ln 0 is 0. Probabilities need not sum
to 1, and nothing divides them by their sum. On logits, `jaxdict.losses.cross_entropies` keep more digits.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.losses._logarithms import inverse, lift, log, log1m, log_of_lifted, log_ratio, quotient
from jaxdict.losses._shared import (
    add_up,
    by_slope,
    is_label,
    is_number,
    labelled,
    pair,
    pick,
    shares,
    smoothed,
)


def _cross(p, y):
    log_p = log(p)
    nothing = (y == 0) & (p >= 0)
    safe = log(jnp.where((y == 0) & (p == 0), 1, p))
    return jnp.where(nothing, 0, -y * log_p), (-quotient(y, p), -safe)


@closed_form(_cross)
def _cross_entropy(p, y):
    return _cross(p, y)[0]


@entry(
    "loss",
    equation="-sum(y*log(yhat))",
    derivative="-y/yhat",
    aliases=("negative log likelihood", "nll", "categorical cross entropy", "cross entropy loss", "log loss"),
    sources=("S0 1.4", "S2 10.1.6"),
    errata=(
        "S0 1.4 gives the predictions as two numbers, [0, 1]²; they are n, [0, 1]ⁿ.",
        "S0 1.4 says that only the correct class counts: so for free probabilities, as here. Through a softmax every "
        "class has a gradient, softmax(z) − y.",
    ),
    conventions={
        "torch": "cross_entropy takes logits; nll_loss takes log probabilities and labels, and no logarithm",
        "keras": "CategoricalCrossentropy divides the predictions by their sum, then clips them at 1e-7",
        "optax": "has none on probabilities: softmax_cross_entropy takes logits",
    },
    see_also=("softmax_cross_entropy", "sparse_cross_entropy", "binary_cross_entropy", "kl_divergence"),
)
def cross_entropy(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of target probabilities with predicted ones, the sum of ``-targets ln(predictions)``.

    Args:
      predictions: ``(..., n)``, probabilities.
      targets: the same shape, one-hot or any probabilities.
      label_smoothing: ``a`` in [0, 1]: targets become ``(1 - a) y + a/n``.
      axis: the axis that is summed; None: the last one, and the terms are not summed.
      where: True for what is there: classes, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32; infinite where a prediction is 0 and its target is not. Where both are 0 the loss
      and its derivatives are 0.

    Raises:
      ValueError: different shapes, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    if not is_number(label_smoothing, 0):
        last = functools.partial(jnp.moveaxis, source=-1 if axis is None else axis, destination=-1)
        share = shares(last(p), None if where is None else last(where))
        y = jnp.moveaxis(smoothed(last(y), label_smoothing, share), -1, -1 if axis is None else axis)
    return add_up(_cross_entropy(p, y), axis, where)


def _binary_value(p, y):
    x, small = lift(p)
    low = p < 0.5
    m = jnp.where(low, x, 1 - p)  # the smaller of both probabilities, exact
    log_m, log_rest = log_of_lifted(m, small), log1m(jnp.where(low, p, 1 - p))
    share, rest = jnp.where(low, y, 1 - y), jnp.where(low, 1 - y, y)
    return jnp.where((share == 0) & (m >= 0), 0, -share * log_m) - rest * log_rest


def _binary_slope_value(p, y):
    x, small = lift(p)
    top = jnp.where(y == 1, -1, jnp.where(y == 0, 1, p - y))
    bottom = jnp.where(y == 1, x, jnp.where(y == 0, 1 - p, x * (1 - p)))
    return top / bottom * jnp.where(small & (y != 0), 2.0**127, 1)  # (p - y)/(p (1 - p))


def _twice(y, p):
    return quotient(quotient(y, p), p)


def _binary_slope_rule(p, y):
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    by_y = jnp.where(inside, -1 / (safe * (1 - safe)), 0)  # infinite at the ends, and times a change of 0 NaN
    return _binary_slope_value(p, y), (_twice(y, p) + _twice(1 - y, 1 - p), by_y)


@closed_form(_binary_slope_rule)
def _binary_slope(p, y):
    return _binary_slope_value(p, y)


def _binary(p, y):
    met = (p == y) & ((y == 0) | (y == 1))
    safe = jnp.where(met, 0.5, p)
    return _binary_value(p, y), (_binary_slope(p, y), log_ratio(1 - safe, safe))


@closed_form(_binary)
def _binary_cross_entropy(p, y):
    return _binary_value(p, y)


@entry(
    "loss",
    equation="-sum(y*log(yhat) + (1 - y)*log(1 - yhat))",
    derivative="(yhat - y)/(yhat*(1 - yhat))",
    aliases=("bce", "binary_crossentropy", "bernoulli negative log likelihood"),
    sources=("S2 10.1.6", "S3 sigmoid output unit"),
    conventions={
        "torch": "BCELoss cuts the logarithms off at -100, and the gradient at 1e12; averaged over all elements",
        "keras": "BinaryCrossentropy clips the predictions at 1e-7, with gradient 0 there; the mean over the last axis",
        "optax": "has none on probabilities: sigmoid_binary_cross_entropy takes logits",
    },
    see_also=("sigmoid_cross_entropy", "cross_entropy", "sigmoid"),
)
def binary_cross_entropy(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of independent yes-or-no targets with predicted probabilities.

    Args:
      predictions: ``(..., n)``, probabilities of a yes; outside [0, 1] they give NaN.
      targets: the same shape, probabilities in [0, 1].
      label_smoothing: ``a`` in [0, 1]: targets become ``(1 - a) y + a/2``.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32; infinite where a prediction is 0 or 1 and the target is not the same. Where it is,
      the loss is 0, its derivative by the prediction the one-sided limit, and the derivative by the target 0.

    Raises:
      ValueError: different shapes, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex input.
    """
    p, y, where = pair(predictions, targets, axis, where)
    return add_up(_binary_cross_entropy(p, smoothed(y, label_smoothing, 1 / 2)), axis, where)


def _relative(q, p):
    nothing = (p == 0) & (q >= 0)
    value = jnp.where(nothing, 0, p * log_ratio(p, q))
    safe_p, safe_q = (jnp.where(nothing, 1, v) for v in (p, q))
    return value, (-quotient(p, q), jnp.where(nothing, 0, log_ratio(safe_p, safe_q) + 1))


@closed_form(_relative)
def _relative_entropy(q, p):
    return _relative(q, p)[0]


@entry(
    "loss",
    equation="sum(y*(log(y) - log(yhat)))",
    derivative="-y/yhat",
    aliases=("relative entropy", "kullback leibler divergence", "kl", "kld", "information gain"),
    sources=("S0 1.5", "Kullback & Leibler 1951, doi:10.1214/aoms/1177729694"),
    errata=(
        "S0 1.5 gives targets of 0 or 1, with which this is the cross entropy itself; they are any distribution.",
        "S0 1.5 gives the predictions as two numbers, [0, 1]²; they are n, [0, 1]ⁿ.",
        "S0 1.5 gives −y/ŷ: that holds for free probabilities; through a softmax it is softmax(z)·Σy − y.",
    ),
    conventions={
        "torch": "kl_div(input, target) takes log probabilities as input; its 'mean' divides by all elements, not "
        "by the batch",
        "keras": "KLDivergence clips both at 1e-7, so that an infinite divergence is finite",
        "optax": "kl_divergence takes log predictions; NaN derivative by a target of 0",
        "scipy": "rel_entr(targets, predictions), the other order",
    },
    see_also=("cross_entropy", "softmax_cross_entropy"),
)
def kl_divergence(
    predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """Kullback-Leibler divergence of the targets from the predictions, the sum of ``y ln(y/ŷ)``.

    Args:
      predictions: ``(..., n)``, probabilities ``ŷ``.
      targets: the same shape, probabilities ``y``.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: classes, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32; exactly 0 where both are equal, infinite where a prediction is 0 and its target is
      not. Where a target is 0 its term is 0, and the derivative by it, which is infinite, is given as 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    q, p, where = pair(predictions, targets, axis, where)
    return add_up(_relative_entropy(q, p), axis, where)


def _label_slope(p, labels):
    return jnp.where(is_label(labels, p), -inverse(pick(p, labels))[..., None], 0)


@by_slope(_label_slope)
def _of_label(p, labels):
    return -log(pick(p, labels))


@entry(
    "loss",
    equation="-log(yhat[y])",
    derivative="-onehot(y, yhat)/yhat",
    aliases=("sparse_categorical_crossentropy", "sparse_categorical_cross_entropy"),
    sources=("S2 10.2.1", "S0 1.4"),
    conventions={
        "torch": "nll_loss takes log probabilities, and no logarithm",
        "keras": "SparseCategoricalCrossentropy clips the probabilities at 1e-7; ignore_index is where=labels != index",
    },
    see_also=("sparse_softmax_cross_entropy", "cross_entropy", "softmax"),
    vectors=("yhat",),
)
def sparse_cross_entropy(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of integer labels with predicted probabilities, ``-ln(predictions[label])``.

    Args:
      predictions: ``(..., n)``, probabilities.
      labels: integers in 0 … n-1, the shape of ``predictions`` without ``axis``. One outside is an error; in compiled
        code it gives NaN instead.
      label_smoothing: ``a`` in [0, 1]: the label weighs ``1 - a + a/n``, every other class ``a/n``.
      axis: the classes' axis; None: the last one (there is one term a label).
      where: True for the examples that are there, ``(...)``, or for classes; an absent class has probability 0.

    Returns:
      ``(...)``, at least float32; 0 for an absent example, infinite where the label has probability 0.

    Raises:
      ValueError: a wrong shape of ``labels``, one out of range, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex predictions, or labels that are not integers.
    """
    hint = "one-hot targets are cross_entropy's"
    given = labelled(predictions, labels, axis, where, name="predictions", absent=0.0, hint=hint)
    if is_number(label_smoothing, 0):
        return given.only(_of_label(given.scores, given.labels))
    return given.only(jnp.sum(_cross_entropy(given.scores, given.targets(label_smoothing)), axis=-1))


__all__ = ["binary_cross_entropy", "cross_entropy", "kl_divergence", "sparse_cross_entropy"]
