"""Cross entropies on logits: of yes-or-no targets through a sigmoid, of classes through a softmax.

``label_smoothing`` moves that share of a target's weight to all classes alike: ``(1 - a) y + a/K`` (``+ a/2`` where
every output is a yes or no). It may be traced, and has a gradient.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict._entry import entry
from jaxdict.losses import _sigmoid, _softmax
from jaxdict.losses._shared import LOGITS, add_up, is_number, labelled, pair, presence, scalar, shares, smoothed


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
        "torch": "BCEWithLogitsLoss is the same, averaged over all elements; it has no label smoothing",
        "keras": "BinaryCrossentropy(from_logits=True) is the mean over the last axis; the default takes probabilities",
        "optax": "sigmoid_binary_cross_entropy is elementwise (axis=None here), NaN at an infinite logit that is right",
    },
    see_also=("softmax_cross_entropy", "binary_cross_entropy", "focal", "sigmoid", "softplus"),
    vectors=("z", "y"),
)  # fmt: skip
def sigmoid_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of independent yes-or-no targets with ``sigmoid(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      targets: the same shape, probabilities in [0, 1].
      label_smoothing: ``a`` in [0, 1]: targets become ``(1 - a) y + a/2``.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. An infinite logit gives 0 where it is wholly right, infinity otherwise, with the
      derivatives' limits; there the derivative by a wholly right target is 0.

    Raises:
      ValueError: different shapes, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex input.
    """
    z, y, where = pair(logits, targets, axis, where, names=LOGITS)
    return add_up(_sigmoid.bernoulli(z, smoothed(y, label_smoothing, 1 / 2)), axis, where)


@entry(
    "loss",
    equation=("p = sigma(z); w = y*(1 - p) + (1 - y)*p; -sum(w**gamma*(y*log(p) + (1 - y)*log(1 - p)))"),
    derivative=(
        "p = sigma(z); w = y*(1 - p) + (1 - y)*p; "
        "w**gamma*(p - y) - gamma*w**(gamma - 1)*(1 - 2*y)*p*(1 - p)*(y*log(p) + (1 - y)*log(1 - p))"
    ),
    aliases=("focal loss", "sigmoid_focal_loss", "binary focal cross entropy"),
    sources=("Lin et al. 2017, arXiv:1708.02002",),
    conventions={
        "torch": "torchvision's sigmoid_focal_loss has alpha=0.25 by default",
        "keras": "BinaryFocalCrossentropy takes probabilities and has alpha=0.25 with apply_class_balancing=True only",
        "optax": "sigmoid_focal_loss is elementwise (axis=None here), 0 where the target is met to 8 digits",
    },
    see_also=("sigmoid_cross_entropy",),
    vectors=("z", "y", "p", "w"),
)
def focal(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: ArrayLike = 2.0,
    alpha: ArrayLike | None = None,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Focal loss: sigmoid cross entropy times ``w**gamma``, where ``w`` is the probability of missing the target.

    Args:
      logits: ``(..., n)``, any real type.
      targets: the same shape, probabilities in [0, 1], mostly 0 or 1.
      gamma: at least 0; at 0 this is ``sigmoid_cross_entropy``. May be traced, and has a gradient.
      alpha: in [0, 1], the weight of the targets that are 1, those that are 0 weighing ``1 - alpha``; None: no weights.
      axis: the axis that is summed; None gives the terms.
      where: True for what is there: elements, or whole examples, ``(...)``.

    Returns:
      ``(...)``, at least float32. An infinite logit has the limits of value and derivatives.

    Raises:
      ValueError: different shapes, no such axis, or ``gamma`` or ``alpha`` out of range.
      TypeError: complex input.
    """
    scalar("gamma", gamma, low=0)
    z, y, where = pair(logits, targets, axis, where, names=LOGITS)
    terms = _sigmoid.focal(z, y, gamma)
    if alpha is not None:
        balance = jnp.asarray(scalar("alpha", alpha, low=0, high=1), z.dtype)
        terms = (y * balance + (1 - y) * (1 - balance)) * terms
    return add_up(terms, axis, where)


@entry(
    "loss",
    equation="p = exp(z)/sum(exp(z)); -sum(y*log(p))",
    derivative="p = exp(z)/sum(exp(z)); p*sum(y) - y",
    aliases=(
        "softmax_cross_entropy_with_logits", "categorical_cross_entropy_with_logits", "multinomial logistic loss",
        "label smoothing",
    ),
    sources=("S3 softmax output unit", "S2 10.1.6", "S0 1.4", "label smoothing: Szegedy et al. 2016, arXiv:1512.00567"),
    errata=(
        "S0 1.4 says that only the correct class counts; that holds for free probabilities. Through a softmax every "
        "class has a gradient, softmax(z) − y.",
    ),
    conventions={
        "torch": "cross_entropy takes logits too, averaged over the batch; class weights divide by their own sum, and "
        "weigh the smoothed part of every class by its own",
        "keras": "CategoricalCrossentropy takes probabilities unless from_logits=True, and clips them at 1e-7; its "
        "label smoothing is this one",
        "optax": "the same; NaN where a logit is −inf and its target 0; smooth_labels is the label smoothing",
    },
    see_also=("sparse_softmax_cross_entropy", "sigmoid_cross_entropy", "cross_entropy", "softmax"),
    vectors=("z", "y", "p"),
)  # fmt: skip
def softmax_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of target probabilities (one-hot or not) with ``softmax(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      targets: the same shape, not negative; they need not sum to 1.
      label_smoothing: ``a`` in [0, 1]: targets become ``(1 - a) y + a/n``.
      axis: the classes' axis; None: the last one, and the terms are not summed.
      where: True for the classes that are there, or for whole examples, ``(...)``; an absent class has probability 0.

    Returns:
      ``(...)``, at least float32. A logit of -inf is a class of probability 0, a single +inf one of probability 1;
      several +inf, or nothing but -inf, give NaN. Where the target is 0 and the probability too, the derivative by
      the target is 0.

    Raises:
      ValueError: different shapes, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex input.
    """
    classes = -1 if axis is None else axis
    z, y, _ = pair(logits, targets, classes, names=LOGITS)
    there = presence(where, z.shape, classes)
    z, y = jnp.moveaxis(z, classes, -1), jnp.moveaxis(y, classes, -1)
    if there is not None:
        there = jnp.moveaxis(there, classes, -1)
        z = jnp.where(there, z, jnp.where(jnp.any(there, axis=-1, keepdims=True), -jnp.inf, 0))
        y = jnp.where(there, y, 0)
    y = smoothed(y, label_smoothing, shares(z, there))
    return _softmax.terms(z, y) if axis is None else _softmax.dense(z, y)


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
        "torch": "cross_entropy with class indices; ignore_index is where=labels != index and their mean",
        "keras": "SparseCategoricalCrossentropy takes probabilities unless from_logits=True; it has no label smoothing",
        "optax": "softmax_cross_entropy_with_integer_labels; not the same under an offset of the logits (0.03 at 1e6)",
    },
    see_also=("softmax_cross_entropy", "sparse_cross_entropy", "log_softmax", "accuracy"),
    vectors=("z", "p"),
)  # fmt: skip
def sparse_softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    axis: int | None = -1,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of integer labels with ``softmax(logits)``.

    Args:
      logits: ``(..., n)``, any real type.
      labels: integers in 0 … n-1, the shape of ``logits`` without ``axis``. One outside is an error; in compiled code
        it gives NaN instead.
      label_smoothing: ``a`` in [0, 1]: the label weighs ``1 - a + a/n``, every other class ``a/n``.
      axis: the classes' axis; None: the last one (there is one term a label).
      where: True for the examples that are there, ``(...)``, or for classes; an absent class has probability 0.

    Returns:
      ``(...)``, at least float32, 0 for an absent example. A logit of -inf is a class of probability 0, a single +inf
      one of probability 1; several +inf, or nothing but -inf, give NaN.

    Raises:
      ValueError: a wrong shape of ``labels``, one out of range, no such axis, or ``label_smoothing`` out of range.
      TypeError: complex logits, or labels that are not integers.
    """
    hint = "one-hot targets are softmax_cross_entropy's"
    given = labelled(logits, labels, axis, where, name="logits", absent=-jnp.inf, hint=hint)
    if is_number(label_smoothing, 0):
        return given.only(_softmax.sparse(given.scores, given.labels))
    return given.only(_softmax.dense(given.scores, given.targets(label_smoothing)))


__all__ = ["focal", "sigmoid_cross_entropy", "softmax_cross_entropy", "sparse_softmax_cross_entropy"]
