"""Metrics that are shares of right answers: accuracy, of the best class, of yes or no, among the first k."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.metrics import _classes
from jaxdict.metrics._stream import Stream, mean_of, streamed, whole


def _hits(predictions: Any, targets: Any) -> jax.Array:
    predicted, actual, _ = _classes.of(predictions, targets)
    # A NaN score predicts -1, which a label may be too. Predicted classes have no such mark: any may be right.
    scored = jnp.issubdtype(jnp.asarray(predictions).dtype, jnp.floating)
    return (predicted == actual) & (predicted >= 0) if scored else predicted == actual


_ACCURACY = mean_of(_hits)


@streamed(lambda: _ACCURACY)
@entry(
    "metric",
    equation="mean(indicator(argmax(yhat) == y))",
    aliases=("acc", "categorical_accuracy", "sparse_categorical_accuracy", "accuracy_score"),
    sources=("S2 10.2.1.2",),
    conventions={
        "sklearn": "accuracy_score takes predicted classes, not scores: integers (n,) here",
        "keras": "'accuracy' chooses by shape too; its binary form thresholds probabilities at 0.5, not logits at 0",
    },
    see_also=("binary_accuracy", "top_k_accuracy", "sparse_softmax_cross_entropy"),
    vectors=("yhat",),
)
def accuracy(predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None) -> jax.Array:
    """Share of examples whose likeliest class is the target.

    Args:
      predictions: scores ``(n, …, k)``, the largest decides (the first of equals); or, for two classes, one logit an
        example, ``(n,)`` or ``(n, …, 1)``, which means yes above 0; or integers ``(n,)``, predicted classes.
      targets: integer labels ``(n, …)`` or one-hot ``(n, …, k)``; for two classes the shape of the logits, with or
        without the 1: yes is above 0.5 (so 0, 1 and -1, 1 both do). Labels out of range are never right, nor is NaN.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar; NaN without examples or weight.

    Raises:
      ValueError: shapes that do not fit.
      TypeError: labels that are not integers, or complex predictions.
    """
    return whole(_ACCURACY, predictions, targets, sample_weight)


@_cache.constructor
def _binary_stream(threshold: Any = 0.0) -> Stream:
    def binary_accuracy(predictions, targets):
        scores, labels = _check.floating(predictions, name="predictions"), _check.floating(targets, name="targets")
        _check.same_shape("predictions", scores, "targets", labels)
        return (_classes.above(scores, threshold) == (labels > 0.5)) & ~jnp.isnan(scores)

    return mean_of(binary_accuracy)


@streamed(_binary_stream)
@entry(
    "metric",
    equation="mean(y*indicator(yhat > 0) + (1 - y)*indicator(yhat <= 0))",
    sources=("S2 10.2.1.2",),
    conventions={
        "keras": "thresholds probabilities at 0.5: threshold=0.5 here",
        "sklearn": "decides at logit 0, as here",
    },
    see_also=("accuracy", "sigmoid_cross_entropy"),
)
def binary_accuracy(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    threshold: ArrayLike = 0.0,
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """Share of yes-or-no answers that are right; several answers an example are averaged.

    Args:
      predictions: logits ``(n, …)``, yes above ``threshold``. NaN is never right.
      targets: the same shape; yes is above 0.5.
      threshold: 0 for logits, 0.5 for probabilities; may be traced.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar; NaN without examples or weight.

    Raises:
      ValueError: different shapes, or a NaN threshold.
      TypeError: complex input, or a threshold that is no number.
    """
    _check.number("threshold", threshold)
    return whole(_binary_stream(threshold=threshold), predictions, targets, sample_weight)


@_cache.constructor
def _top_k_stream(k: int = 5) -> Stream:
    k = _check.integer("k", k, low=1)

    def top_k_accuracy(predictions, targets):
        scores = _check.floating(predictions, name="predictions")
        if scores.ndim < 2 or scores.shape[-1] < 2:
            raise ValueError(f"predictions must be scores (n, …, classes) of two classes or more; got {scores.shape}")
        if k > scores.shape[-1]:
            raise ValueError(f"k must be at most the number of classes, {scores.shape[-1]}; got {k}")
        labels = _classes.labels_for(scores, jnp.asarray(targets))[..., None]
        own = jnp.take_along_axis(scores, jnp.clip(labels, 0, scores.shape[-1] - 1), axis=-1)
        place = jax.lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
        ahead = (scores > own) | ((scores == own) & (place < labels))
        known = (labels >= 0) & (labels < scores.shape[-1]) & ~jnp.any(jnp.isnan(scores), axis=-1, keepdims=True)
        return (jnp.sum(ahead, axis=-1) < k) & known[..., 0]

    return mean_of(top_k_accuracy)


@streamed(_top_k_stream)
@entry(
    "metric",
    equation="mean(indicator(sum(indicator(yhat > yhat[y])) < k))",
    aliases=("top_k", "top_5_accuracy", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"),
    sources=("Russakovsky et al. 2015, arXiv:1409.0575",),
    conventions={
        "keras": "TopKCategoricalAccuracy, k = 5 too; every class of an equal score is ahead of none",
        "sklearn": "top_k_accuracy_score, k = 2 by default; of equal scores the last comes first",
    },
    see_also=("accuracy",),
    vectors=("yhat",),
)
def top_k_accuracy(
    predictions: ArrayLike, targets: ArrayLike, *, k: int = 5, sample_weight: ArrayLike | None = None
) -> jax.Array:
    """Share of examples whose target is among the ``k`` likeliest classes.

    Args:
      predictions: scores ``(n, …, classes)``; of equal ones the first comes first, as in ``accuracy``, which is k = 1.
      targets: integer labels ``(n, …)`` or one-hot ``(n, …, classes)``. Labels out of range are never right, nor is
        an example with a NaN.
      k: 1 to the number of classes, at which all are right.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar; NaN without examples or weight.

    Raises:
      ValueError: shapes that do not fit, k below 1 or above the number of classes.
      TypeError: labels or a k that are not integers, or complex predictions.
    """
    return whole(_top_k_stream(k=k), predictions, targets, sample_weight)
