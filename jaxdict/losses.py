"""Losses: ``(predictions, targets) -> loss of every example``, and the mean over a batch.

Conventions of the room. Arrays ``(..., n)`` are reduced over ``axis`` by the entry's own sum (a mean where the name
says so) and give ``(...)``; ``axis=None`` gives the terms themselves. Predictions and targets have the same shape:
nothing is broadcast. The type of the predictions decides: narrow floats are computed and returned in float32, float64
stays; targets, integers included, are converted to it. Derivatives are closed forms, for the targets and options too;
at a kink they are 0. Infinite logits give the limit where there is one; a zero target times an infinite term is 0.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry

_KINK = "S0 {}: the derivative |d|/d is undefined at d = 0; here it is 0 there."


def _pair(first: Any, second: Any, axis: int | None, names: tuple[str, str]) -> tuple[jax.Array, jax.Array]:
    """Both arrays in the compute type of the first, checked as every loss of two arrays is."""
    a, b = _check.floating(first, name=names[0]), _check.floating(second, name=names[1])
    _check.same_shape(names[0], a, names[1], b)
    _check_axis(axis, a, names[0])
    dtype = _check.compute_dtype(a.dtype)
    return a.astype(dtype), b.astype(dtype)


def _check_axis(axis: int | None, array: jax.Array, name: str) -> None:
    if axis is None:
        return
    _check.integer("axis", axis)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis must be an axis of {name}, whose shape is {array.shape}, or None; got {axis}")


def _difference(predictions: Any, targets: Any, axis: int | None) -> jax.Array:
    a, b = _pair(predictions, targets, axis, ("predictions", "targets"))
    return a - b


def _sum(terms: jax.Array, axis: int | None) -> jax.Array:
    return terms if axis is None else jnp.sum(terms, axis=axis)


def _mean(terms: jax.Array, axis: int | None) -> jax.Array:
    return terms if axis is None else jnp.mean(terms, axis=axis)


# ---------------------------------------------------------------------------------------------------- regression


@closed_form(lambda d: (jnp.abs(d), (jnp.sign(d),)))
def _absolute(d):
    return jnp.abs(d)


@closed_form(lambda d: (d * d / 2, (d,)))
def _half_square(d):
    return d * d / 2


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
def l1(predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Absolute loss, the sum of ``|predictions - targets|``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is summed; None gives the terms.

    Returns:
      ``(...)``, at least float32. The derivative where both are equal is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _sum(_absolute(_difference(predictions, targets, axis)), axis)


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
def l2(predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Half the squared error, half the sum of ``(predictions - targets)**2``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is summed; None gives the terms.

    Returns:
      ``(...)``, at least float32.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _sum(_half_square(_difference(predictions, targets, axis)), axis)


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
def mean_squared_error(predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Mean squared error, the mean of ``(predictions - targets)**2``, without a half.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is averaged; None gives the terms.

    Returns:
      ``(...)``, at least float32.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _mean(_square(_difference(predictions, targets, axis)), axis)


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
def mean_absolute_error(predictions: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Mean absolute error, the mean of ``|predictions - targets|``.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      axis: the axis that is averaged; None gives the terms.

    Returns:
      ``(...)``, at least float32. The derivative where both are equal is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _mean(_absolute(_difference(predictions, targets, axis)), axis)


def _huber_rule(d, delta):
    a = jnp.abs(d)
    inside = a <= delta
    m = jnp.minimum(a, delta)
    return m * (a - m / 2), (jnp.where(inside, d, jnp.sign(d) * delta), jnp.where(inside, 0, a - delta))


@closed_form(_huber_rule)
def _huber(d, delta):
    m = jnp.minimum(jnp.abs(d), delta)
    return m * (jnp.abs(d) - m / 2)  # the two branches in one, without overflow of d²


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
    see_also=("l1", "l2"),
    vectors=("yhat", "y", "d"),
)
def huber(predictions: ArrayLike, targets: ArrayLike, *, delta: ArrayLike = 1.0, axis: int | None = -1) -> jax.Array:
    """Huber loss: quadratic up to ``delta``, linear beyond, with a continuous derivative.

    Args:
      predictions: ``(..., n)``, any real type.
      targets: the same shape.
      delta: a scalar above 0, where the quadratic ends; may be traced, and has a gradient.
      axis: the axis that is summed; None gives the terms.

    Returns:
      ``(...)``, at least float32. The second derivative at ``delta`` is the quadratic's, 1.

    Raises:
      ValueError: different shapes, no such axis, or ``delta`` not a scalar above 0.
      TypeError: complex input, or ``delta`` not a number.
    """
    _check.number("delta", delta, above=0)
    if jnp.ndim(delta):
        raise ValueError(f"delta must be a scalar; got shape {jnp.shape(delta)}")
    return _sum(_huber(_difference(predictions, targets, axis), delta), axis)


# ------------------------------------------------------------------------------------------------ sigmoid outputs

# ln(1 + e) = e(1 + e P(e)) on [0, 1] to 2 ULP of float32, at a third of the time of log1p.
_LOG1P = (
    -0.4999993145465851, 0.3333047032356262, -0.24958156049251556, 0.19693192839622498, -0.15349097549915314,
    0.10670012980699539, -0.05756152793765068, 0.020150333642959595, -0.003306539496406913,
)  # fmt: skip


def _log1p(e: jax.Array) -> jax.Array:
    if e.dtype != jnp.float32:
        return jnp.log1p(e)
    return e * (1 + e * functools.reduce(lambda p, c: p * e + c, _LOG1P[-2::-1], jnp.full_like(e, _LOG1P[-1])))


def _bernoulli_rule(z, y):
    positive = z >= 0
    a = jnp.where(positive, z, -z)  # not abs, whose derivative at 0 is anyone's choice
    e = jnp.exp(-a)
    wrong = jnp.where(positive, 1 - y, y)  # what the target gives to the side that z speaks against
    value = jnp.where(wrong == 0, 0, a * wrong) + _log1p(e)
    q = e / (1 + e)
    slope = jnp.where(positive, wrong - q, q - wrong)
    return value, (slope, jnp.where((wrong == 0) & jnp.isinf(z), 0, -z))


@closed_form(_bernoulli_rule)
def _bernoulli(z, y):
    return _bernoulli_rule(z, y)[0]


@entry(
    "loss",
    equation="-sum(y*log(sigma(z)) + (1 - y)*log(1 - sigma(z)))",
    derivative="sigma(z) - y",
    aliases=(
        "sigmoid_binary_cross_entropy", "binary_cross_entropy_with_logits", "bce_with_logits",
        "sigmoid_cross_entropy_with_logits", "logistic loss",
    ),
    sources=("S3 sigmoid output unit", "S2 10.1.6"),
    conventions={
        "torch": "BCEWithLogitsLoss is the same, averaged over all elements",
        "keras": "BinaryCrossentropy(from_logits=True) is the mean over the last axis; the default takes probabilities",
        "optax": "sigmoid_binary_cross_entropy is elementwise (axis=None here), NaN at an infinite logit that is right",
    },
    see_also=("softmax_cross_entropy", "sigmoid", "softplus"),
    vectors=("z", "y"),
)  # fmt: skip
def sigmoid_cross_entropy(logits: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Cross entropy of independent yes-or-no targets with ``sigmoid(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      targets: the same shape, probabilities in [0, 1].
      axis: the axis that is summed; None gives the terms.

    Returns:
      ``(...)``, at least float32. An infinite logit gives 0 where it is wholly right, infinity otherwise, with the
      derivatives' limits; there the derivative by a wholly right target is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    return _sum(_bernoulli(*_pair(logits, targets, axis, ("logits", "targets"))), axis)


# ------------------------------------------------------------------------------------------------ softmax outputs
# Logits are shifted by their maximum, which takes part as 1 + (the rest), so that nothing cancels: not where one class
# has nearly all the probability, not in ties, not at any offset. Everything below works on the last axis.


def _shift(logits: jax.Array, top: jax.Array) -> jax.Array:
    return jnp.where(logits == top, 0, logits - top)  # 0 also where the maximum is infinite


class _Shifted:
    """Logits over the last axis less their maximum, and what exp of that sums to beside the maximum's own 1."""

    def __init__(self, logits: jax.Array):
        top = jnp.max(logits, axis=-1, keepdims=True)
        self.is_top = logits == top
        self.z = _shift(logits, top)
        self.exp = jnp.exp(self.z)
        ties = jnp.sum(self.is_top, axis=-1, keepdims=True, dtype=logits.dtype) - 1
        rest = jnp.sum(jnp.where(self.is_top, 0, self.exp), axis=-1, keepdims=True) + ties
        self.rest = jnp.where(jnp.isinf(top) & (ties > 0), jnp.nan, rest)  # several infinities have no limit
        self.p = self.exp * (1 / (1 + self.rest))


@jax.custom_jvp
def _softmax(logits):
    return _Shifted(logits).p


@_softmax.defjvp
def _(primals, tangents):
    p, (t,) = _softmax(*primals), tangents
    return p, p * (t - jnp.sum(p * t, axis=-1, keepdims=True))


@jax.custom_jvp
def _surprise(logits):
    """``-ln softmax``, both of whose parts are positive."""
    s = _Shifted(logits)
    return jnp.log1p(s.rest) - s.z


@_surprise.defjvp
def _(primals, tangents):
    (t,) = tangents
    return _surprise(*primals), jnp.sum(_softmax(*primals) * t, axis=-1, keepdims=True) - t


def _tamed(surprise: jax.Array, targets: jax.Array) -> jax.Array:
    """The surprise, 0 where it is infinite and the target 0."""
    return jnp.where((targets == 0) & jnp.isinf(surprise), 0, surprise)


@jax.custom_jvp
def _dense(logits, targets):
    return jnp.sum(jnp.where(targets == 0, 0, targets * _surprise(logits)), axis=-1)


@functools.partial(_dense.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    logits, targets = primals
    slopes = _dense_slope, lambda z, y: _tamed(_surprise(z), y)
    moving = zip(slopes, tangents, strict=True)
    changes = [slope(logits, targets) * t for slope, t in moving if not isinstance(t, SymbolicZero)]
    value = _dense(logits, targets)
    return value, jnp.sum(functools.reduce(jnp.add, changes), axis=-1) if changes else jnp.zeros_like(value)


@jax.custom_jvp
def _dense_slope(logits, targets):
    """``p Σy - y``, written ``p (Σy - y) - y (1 - p)``, whose ``1 - p`` is exact for the likeliest class."""
    s = _Shifted(logits)
    other = jnp.where(s.is_top, s.rest / (1 + s.rest), 1 - s.p)
    return s.p * (jnp.sum(targets, axis=-1, keepdims=True) - targets) - targets * other


@_dense_slope.defjvp
def _(primals, tangents):
    (logits, targets), (dz, dy) = primals, tangents
    p = _softmax(logits)
    total, change = (jnp.sum(v, axis=-1, keepdims=True) for v in (targets, dy))
    return _dense_slope(logits, targets), total * p * (dz - jnp.sum(p * dz, axis=-1, keepdims=True)) + p * change - dy


@entry(
    "loss",
    equation="p = exp(z)/sum(exp(z)); -sum(y*log(p))",
    derivative="p = exp(z)/sum(exp(z)); p*sum(y) - y",
    aliases=("softmax_cross_entropy_with_logits", "categorical_cross_entropy_with_logits", "multinomial logistic loss"),
    sources=("S3 softmax output unit", "S2 10.1.6", "S0 1.4"),
    errata=(
        "S0 1.4 says that only the correct class counts; that holds for free probabilities. Through a softmax every "
        "class has a gradient, softmax(z) − y.",
    ),
    conventions={
        "torch": "cross_entropy takes logits too, averaged over the batch; class weights divide by their own sum",
        "keras": "CategoricalCrossentropy takes probabilities unless from_logits=True, and clips them at 1e-7",
        "optax": "the same; NaN where a logit is −inf and its target 0",
    },
    see_also=("sparse_softmax_cross_entropy", "sigmoid_cross_entropy", "softmax"),
    vectors=("z", "y", "p"),
)
def softmax_cross_entropy(logits: ArrayLike, targets: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Cross entropy of target probabilities (one-hot or smoothed) with ``softmax(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      targets: the same shape, not negative; they need not sum to 1.
      axis: the classes' axis; None: the last one, and the terms are not summed.

    Returns:
      ``(...)``, at least float32. A logit of -inf is a class of probability 0, a single +inf one of probability 1;
      several +inf, or nothing but -inf, give NaN. Where the target is 0 and the probability too, the derivative by
      the target is 0.

    Raises:
      ValueError: different shapes, or no such axis.
      TypeError: complex input.
    """
    z, y = _pair(logits, targets, -1 if axis is None else axis, ("logits", "targets"))
    if axis is None:
        return y * _tamed(_surprise(z), y)
    return _dense(jnp.moveaxis(z, axis, -1), jnp.moveaxis(y, axis, -1))


def _sparse_parts(logits, labels):
    """Where the label is, its shifted logit, exp of the shifted logits, and what the other classes' sum to."""
    top = jnp.max(logits, axis=-1, keepdims=True)
    exp = jnp.exp(_shift(logits, top))
    hit = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1) == labels[..., None]
    others = jnp.sum(jnp.where(hit, 0, exp), axis=-1)
    z = _shift(jnp.take_along_axis(logits, labels[..., None], axis=-1, mode="clip"), top)[..., 0]
    unsure = jnp.isinf(top[..., 0]) & (others + jnp.exp(z) != 1)  # several infinities have no limit
    wrong = (labels < 0) | (labels >= logits.shape[-1])
    return hit, z, exp, jnp.where(unsure | wrong, jnp.nan, others)


@jax.custom_jvp
def _sparse(logits, labels):
    _, z, _, others = _sparse_parts(logits, labels)
    return jnp.log1p(others + (jnp.exp(z) - 1)) - z


@_sparse.defjvp
def _(primals, tangents):
    return _sparse(*primals), jnp.sum(_sparse_slope(*primals) * tangents[0], axis=-1)


@jax.custom_jvp
def _sparse_slope(logits, labels):
    hit, z, exp, others = _sparse_parts(logits, labels)
    return jnp.where(hit, -others[..., None], exp) * (1 / (others + jnp.exp(z)))[..., None]


@_sparse_slope.defjvp
def _(primals, tangents):
    p, t = _softmax(primals[0]), tangents[0]
    return _sparse_slope(*primals), p * (t - jnp.sum(p * t, axis=-1, keepdims=True))


@entry(
    "loss",
    equation="p = exp(z)/sum(exp(z)); -log(p[y])",
    derivative="p = exp(z)/sum(exp(z)); p - onehot(y, z)",
    aliases=(
        "softmax_cross_entropy_with_integer_labels", "sparse_softmax_cross_entropy_with_logits",
        "sparse_categorical_cross_entropy_with_logits",
    ),
    sources=("S2 10.2.1", "S3 softmax output unit"),
    errata=(
        "S0 1.4 says that only the correct class counts; through a softmax every class has a gradient, "
        "softmax(z) − onehot(y).",
    ),
    conventions={
        "torch": "cross_entropy with class indices; ignore_index is a weight of 0 and the label 0 here",
        "keras": "SparseCategoricalCrossentropy takes probabilities unless from_logits=True",
        "optax": "softmax_cross_entropy_with_integer_labels; not the same under an offset of the logits (0.03 at 1e6)",
    },
    see_also=("softmax_cross_entropy", "log_softmax", "accuracy"),
    vectors=("z", "p"),
)  # fmt: skip
def sparse_softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike, *, axis: int | None = -1) -> jax.Array:
    """Cross entropy of integer labels with ``softmax(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      labels: integers in 0 … n-1, the shape of ``logits`` without ``axis``. Nothing can be raised about their values
        in compiled code: a label outside (negative ones too) gives NaN.
      axis: the classes' axis; None: the last one (there is one term a label).

    Returns:
      ``(...)``, at least float32. A logit of -inf is a class of probability 0, a single +inf one of probability 1;
      several +inf, or nothing but -inf, give NaN.

    Raises:
      ValueError: a wrong shape of ``labels``, or no such axis.
      TypeError: complex logits, or labels that are not integers.
    """
    axis = -1 if axis is None else axis
    z = _check.floating(logits, name="logits")
    _check_axis(axis, z, "logits")
    z = jnp.moveaxis(z, axis, -1)
    labels = _integers(labels, "labels", "one-hot targets are softmax_cross_entropy's")
    if labels.shape != z.shape[:-1]:
        hint = "; squeeze its last axis" if labels.shape == (*z.shape[:-1], 1) else ""
        raise ValueError(
            f"labels must have the shape of logits without axis {axis}, {z.shape[:-1]}; got {labels.shape}{hint}"
        )
    return _sparse(z.astype(_check.compute_dtype(z.dtype)), labels)


def _integers(labels: ArrayLike, name: str, hint: str) -> jax.Array:
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers; got {labels.dtype} of shape {labels.shape}; {hint}")
    return labels.astype(jnp.int32)


# ------------------------------------------------------------------------------------------- the mean over a batch


def mean(
    values: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | Mapping[int, Any] | None = None,
    labels: ArrayLike | None = None,
    normalize: Literal["count", "weights"] = "count",
) -> jax.Array:
    """The (weighted) mean of per-example losses, the batch reduction that training minimizes.

    Args:
      values: losses, ``(n,)`` or any shape.
      sample_weight: a weight for each value, the same shape. A value of weight 0 is left out, NaN or not.
      class_weight: the weight of each class, ``(K,)`` or ``{label: weight}``; labels not in the dict weigh 1.
      labels: integers of the shape of ``values``, needed by ``class_weight``.
      normalize: ``"count"`` divides by the number of values (Keras), ``"weights"`` by the sum of weights (PyTorch).

    Returns:
      A scalar, at least float32; 0 where there are no values, or, with ``"weights"``, no weight.

    Raises:
      ValueError: shapes differ, ``class_weight`` without ``labels`` or below 0, or an unknown ``normalize``.
      TypeError: labels that are not integers, or complex values.
    """
    _check.one_of("normalize", normalize, ("count", "weights"))
    values = _check.floating(values, name="values")
    dtype = _check.compute_dtype(values.dtype)
    values = values.astype(dtype)
    factors = []
    if sample_weight is not None:
        sample_weight = _check.floating(sample_weight, name="sample_weight")
        _check.same_shape("values", values, "sample_weight", sample_weight)
        factors.append(sample_weight.astype(dtype))
    if class_weight is not None:
        labels = _labels_for(class_weight, labels)
        _check.same_shape("values", values, "labels", labels)
        _check_classes(class_weight)
        factors.append(_class_weights(class_weight, labels, dtype))
    divisor = jnp.asarray(values.size, dtype)
    if factors:
        weights = functools.reduce(jnp.multiply, factors)
        values = jnp.where(weights == 0, 0, weights * values)
        divisor = jnp.sum(weights) if normalize == "weights" else divisor
    return jnp.where(divisor == 0, 0, jnp.sum(values) / jnp.where(divisor == 0, 1, divisor))


def weights_of(
    sample_weight: ArrayLike | None,
    class_weight: ArrayLike | Mapping[int, Any] | None,
    labels: ArrayLike | None,
    n: int,
    *,
    classes: int | None = None,
) -> jax.Array:
    """The weight of each of ``n`` examples, checked: what a data set's weights become where they enter.

    Args:
      sample_weight: ``(n,)`` numbers, or None for 1.
      class_weight: ``(K,)`` or ``{label: weight}``, or None; labels not in the dict weigh 1.
      labels: ``(n,)`` integers, needed by ``class_weight``.
      n: the number of examples.
      classes: the number of classes; None: one more than the largest label.

    Returns:
      ``(n,)`` float32, the product of both weights.

    Raises:
      ValueError: a shape that is not ``(n,)``, a weight that is negative, infinite or NaN, a class or label out of
        range, or ``class_weight`` without ``labels``.
      TypeError: labels or classes that are not integers, or ``class_weight`` neither array nor dict.
    """
    weights = jnp.ones((n,), jnp.float32)
    if sample_weight is not None:
        given = np.asarray(sample_weight, np.float64)
        if given.shape != (n,):
            raise ValueError(f"sample_weight must have one weight an example, shape {(n,)}; got {given.shape}")
        wrong = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
        if wrong.size:
            raise ValueError(f"sample_weight must be >= 0 and finite; got {given[wrong[0]]} at example {wrong[0]}")
        weights *= jnp.asarray(given, jnp.float32)
    if class_weight is not None:
        labels = _labels_for(class_weight, labels)
        if labels.shape != (n,):
            raise ValueError(f"labels must have one label an example, shape {(n,)}; got {labels.shape}")
        low, high = (int(labels.min()), int(labels.max())) if n else (0, -1)
        if classes is None and not isinstance(class_weight, Mapping):
            classes = len(np.atleast_1d(np.asarray(class_weight)))
        classes = high + 1 if classes is None else classes
        if low < 0 or high >= classes:
            raise ValueError(f"labels must be classes, 0 to {classes - 1}; got {low if low < 0 else high}")
        _check_classes(class_weight, classes)
        weights *= _class_weights(class_weight, labels, jnp.float32)
    return weights


def _labels_for(class_weight: Any, labels: ArrayLike | None) -> jax.Array:
    if not isinstance(class_weight, Mapping) and (isinstance(class_weight, str) or np.ndim(class_weight) != 1):
        raise TypeError(f"class_weight must be an array (K,) or a dict {{label: weight}}; got {class_weight!r}")
    if labels is None:
        raise ValueError("class_weight needs labels=…, the integer class of every value")
    return _integers(labels, "labels", "take the argmax of one-hot targets")


def _check_classes(class_weight: Any, classes: int | None = None) -> None:
    """The classes and weights that ``class_weight`` names are possible ones."""
    if not isinstance(class_weight, Mapping):
        _check.number("class_weight", class_weight, low=0, below=math.inf)
        if classes is not None and len(class_weight) != classes:
            raise ValueError(f"class_weight must have one weight a class, {classes}; got {len(class_weight)}")
        return
    for label, weight in class_weight.items():
        if isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)):
            raise TypeError(f"class_weight must be keyed by integer labels; got {label!r}")
        if label < 0 or (classes is not None and label >= classes):
            known = "0, 1, …" if classes is None else f"0 to {classes - 1}"
            raise ValueError(f"class_weight names class {label}; the classes are {known}")
        _check.number(f"class_weight[{label}]", weight, low=0, below=math.inf)


def _class_weights(class_weight: Any, labels: jax.Array, dtype: Any) -> jax.Array:
    if isinstance(class_weight, Mapping):
        weights = jnp.ones(labels.shape, dtype)
        for label, weight in class_weight.items():
            weights = jnp.where(labels == int(label), jnp.asarray(weight, dtype), weights)
        return weights
    table = jnp.asarray(class_weight, dtype)
    inside = (labels >= 0) & (labels < len(table))
    return jnp.where(inside, table[jnp.clip(labels, 0, len(table) - 1)], jnp.nan)


__all__ = [
    "huber", "l1", "l2", "mean", "mean_absolute_error", "mean_squared_error", "sigmoid_cross_entropy",
    "softmax_cross_entropy", "sparse_softmax_cross_entropy", "weights_of",
]  # fmt: skip
