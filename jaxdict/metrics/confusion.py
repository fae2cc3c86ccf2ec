"""Metrics made of counts of classes: the confusion matrix, precision, recall, f1."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.metrics import _classes
from jaxdict.metrics._stream import Stream, as_many, streamed, whole

_AVERAGES = ("auto", "binary", "macro", "micro", "weighted", None)
_NORMS: dict[str | None, Any] = {"true": 1, "pred": 0, "all": (0, 1)}  # what the cells are divided by: sums over these

_SKLEARN = (
    "{}_score(average='{}') of predicted classes: the same, zero_division and the classes that 'macro' counts too;"
    " without examples it gives zero_division, NaN here"
)
_KERAS = "metrics.{} thresholds probabilities at 0.5, column by column: threshold=0.5 here; no averages but class_id"


def _classified(predictions: Any, targets: Any, weights: jax.Array, threshold: Any, num_classes: int | None):
    """Predicted and actual classes and weights, flat, and the number of classes."""
    predicted, actual, count = _classes.of(predictions, targets, threshold=threshold)
    if num_classes is not None and count not in (None, num_classes):
        raise ValueError(f"num_classes must be {count}, what the predictions have; got {num_classes}")
    count = count or num_classes
    if count is None:
        raise ValueError("num_classes is needed where predictions are classes, not scores")
    weights = _classes.spread(as_many(weights, actual), actual)
    return predicted.reshape(-1), actual.reshape(-1), weights, count


def _within(classes: jax.Array, count: int) -> jax.Array:
    return (classes >= 0) & (classes < count)


def _totals(classes: jax.Array, weights: jax.Array, count: int) -> jax.Array:
    """The weight of each class; numbers out of range count nowhere."""
    place = jnp.where(_within(classes, count), classes, count)
    return jnp.zeros(count, jnp.float32).at[place].add(weights, mode="drop")


# ------------------------------------------------------------------------------------------------ the whole matrix


@_cache.constructor
def _matrix_stream(normalize: str | None = None, threshold: Any = 0.0, num_classes: int | None = None) -> Stream:
    _check.one_of("normalize", normalize, [None, *_NORMS])
    if num_classes is not None:
        _check.integer("num_classes", num_classes, low=2)

    def sums(predictions, targets, weights):
        predicted, actual, weights, k = _classified(predictions, targets, weights, threshold, num_classes)
        cell = jnp.where(_within(predicted, k) & _within(actual, k), actual * k + predicted, k * k)
        return _totals(cell, weights, k * k).reshape(k, k)

    def value(cells):
        if normalize is None:
            return cells
        whole = jnp.sum(cells, axis=_NORMS[normalize], keepdims=True)
        return cells / jnp.where(whole > 0, whole, 1)

    return Stream(sums, value)


@streamed(_matrix_stream)
@entry(
    "metric",
    equation="sum(outer(onehot(y, yhat), onehot(argmax(yhat), yhat)))",
    aliases=("confusion", "error matrix"),
    sources=("Stehman 1997, doi:10.1016/S0034-4257(97)00083-7",),
    conventions={
        "sklearn": "confusion_matrix(targets, classes): the same layout and normalize; integers without weights",
        "keras": "tf.math.confusion_matrix has the same layout",
    },
    see_also=("precision", "recall", "accuracy"),
    vectors=("yhat",),
)
def confusion_matrix(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    normalize: str | None = None,
    threshold: ArrayLike = 0.0,
    num_classes: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """Confusion matrix: row j, column k holds the examples of class j that were taken for class k.

    Args:
      predictions: scores ``(n, …, k)``, one logit an example, or predicted classes, as in ``accuracy``.
      targets: as in ``accuracy``. Labels out of range and NaN scores are in no cell.
      normalize: None for weights, "true" divides rows by their sums, "pred" columns, "all" everything; 0/0 is 0.
      threshold: for one logit an example: yes is above it; may be traced.
      num_classes: needed where predictions are classes.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      ``(k, k)``, float32; zeros without examples. In `Run.evaluate`; a history holds only numbers.

    Raises:
      ValueError: shapes that do not fit, an unknown ``normalize``, a missing or wrong number of classes.
      TypeError: labels that are not integers, or complex predictions.
    """
    _check.number("threshold", threshold)
    made = _matrix_stream(normalize=normalize, threshold=threshold, num_classes=num_classes)
    return whole(made, predictions, targets, sample_weight)


# ----------------------------------------------------------------------------------------- ratios of class totals


@_cache.constructor
def _ratio_stream(
    fraction: Callable[[dict[str, jax.Array]], tuple[jax.Array, jax.Array]],
    average: str | None = "auto",
    positive: int = 1,
    zero_division: float = 0.0,
    threshold: Any = 0.0,
    num_classes: int | None = None,
) -> Stream:
    """A ratio for each class, then their average."""
    _check.one_of("average", average, _AVERAGES)
    positive = _check.integer("positive", positive, low=0)
    if num_classes is not None:
        _check.integer("num_classes", num_classes, low=2)
    if not (zero_division in (0, 1) or zero_division != zero_division):
        raise ValueError(f"zero_division must be 0, 1 or NaN; got {zero_division!r}")

    def sums(predictions, targets, weights):
        predicted, actual, weights, k = _classified(predictions, targets, weights, threshold, num_classes)
        if positive >= k:
            raise ValueError(f"positive must be one of the {k} classes, from 0; got {positive}")
        return {
            "right": _totals(jnp.where(predicted == actual, actual, -1), weights, k),
            "predicted": _totals(predicted, weights, k),
            "actual": _totals(actual, weights, k),
            "weight": jnp.sum(weights),
        }

    def divide(over, under):
        return jnp.where(under > 0, over / jnp.where(under > 0, under, 1), jnp.float32(zero_division))

    def value(totals):
        over, under = fraction(totals)
        each = divide(over, under)
        kind = ("binary" if len(each) == 2 else "macro") if average == "auto" else average
        if kind is None:
            score = each
        elif kind == "binary":
            score = each[positive]
        elif kind == "micro":
            score = divide(jnp.sum(over), jnp.sum(under))
        else:
            defined = (totals["actual"] + totals["predicted"] > 0) & ~jnp.isnan(each)
            alike = defined.astype(jnp.float32)
            shares = jnp.where(defined, totals["actual"], 0) if kind == "weighted" else alike
            shares = jnp.where(jnp.sum(shares) > 0, shares, alike)
            score = jnp.sum(shares * jnp.where(defined, each, 0)) / jnp.sum(shares)
        return jnp.where(totals["weight"] > 0, score, jnp.nan)

    return Stream(sums, value)


def _precision(totals):
    return totals["right"], totals["predicted"]


def _recall(totals):
    return totals["right"], totals["actual"]


def _f1(totals):
    return 2 * totals["right"], totals["actual"] + totals["predicted"]


def _ratio(fraction, predictions, targets, sample_weight, **options):
    _check.number("threshold", options["threshold"])
    return whole(_ratio_stream(fraction, **options), predictions, targets, sample_weight)


@streamed(functools.partial(_ratio_stream, _precision))
@entry(
    "metric",
    equation="sum(y*indicator(yhat > 0))/sum(indicator(yhat > 0))",
    aliases=("positive predictive value", "ppv", "precision_score"),
    sources=("van Rijsbergen 1979, Information Retrieval, chapter 7",),
    conventions={"sklearn": _SKLEARN.format("precision", "binary"), "keras": _KERAS.format("Precision")},
    see_also=("recall", "f1", "confusion_matrix"),
)
def precision(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    average: str | None = "auto",
    positive: int = 1,
    zero_division: float = 0.0,
    threshold: ArrayLike = 0.0,
    num_classes: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """Precision: of the examples that were taken for a class, the share that is of it.

    Args:
      predictions, targets: scores, one logit an example, or predicted classes, as in ``accuracy``.
      average: "binary", the class ``positive`` alone; "macro", the mean over the classes that occur in targets or
        predictions; "weighted", by the classes' weight in the targets; "micro", all classes counted together; None,
        each class, ``(k,)``. "auto": "binary" for two classes, "macro" for more.
      positive: the class of "binary".
      zero_division: 0, 1 or NaN: the value of a class that was never predicted. Averages leave NaN out.
      threshold: for one logit an example: yes is above it; may be traced.
      num_classes: needed where predictions are classes.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar, or ``(k,)``; NaN without examples or weight. A NaN score is of no class.

    Raises:
      ValueError: shapes that do not fit, options that are not among the above, a wrong number of classes.
      TypeError: labels that are not integers, or complex predictions.
    """
    return _ratio(
        _precision, predictions, targets, sample_weight, average=average, positive=positive,
        zero_division=zero_division, threshold=threshold, num_classes=num_classes,
    )  # fmt: skip


@streamed(functools.partial(_ratio_stream, _recall))
@entry(
    "metric",
    equation="sum(y*indicator(yhat > 0))/sum(y)",
    aliases=("sensitivity", "true positive rate", "tpr", "recall_score"),
    sources=("van Rijsbergen 1979, Information Retrieval, chapter 7",),
    conventions={"sklearn": _SKLEARN.format("recall", "binary"), "keras": _KERAS.format("Recall")},
    see_also=("precision", "f1", "confusion_matrix"),
)
def recall(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    average: str | None = "auto",
    positive: int = 1,
    zero_division: float = 0.0,
    threshold: ArrayLike = 0.0,
    num_classes: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """Recall: of the examples of a class, the share that was taken for it. Micro and weighted it is the accuracy.

    Args:
      predictions, targets, average, positive, threshold, num_classes: as in ``precision``.
      zero_division: 0, 1 or NaN: the value of a class without examples. Averages leave NaN out.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar, or ``(k,)``; NaN without examples or weight. A NaN score is never right.

    Raises:
      ValueError: shapes that do not fit, unknown options, a wrong number of classes.
      TypeError: labels that are not integers, or complex predictions.
    """
    return _ratio(
        _recall, predictions, targets, sample_weight, average=average, positive=positive,
        zero_division=zero_division, threshold=threshold, num_classes=num_classes,
    )  # fmt: skip


@streamed(functools.partial(_ratio_stream, _f1))
@entry(
    "metric",
    equation="2*sum(y*indicator(yhat > 0))/(sum(y) + sum(indicator(yhat > 0)))",
    aliases=("f1_score", "f_score", "f_measure"),
    sources=("van Rijsbergen 1979, Information Retrieval, chapter 7",),
    conventions={
        "sklearn": _SKLEARN.format("f1", "binary"),
        "keras": "F1Score averages columns, average=None by default; threshold None takes the argmax",
    },
    see_also=("precision", "recall", "confusion_matrix"),
)
def f1(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    average: str | None = "auto",
    positive: int = 1,
    zero_division: float = 0.0,
    threshold: ArrayLike = 0.0,
    num_classes: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """F1: the harmonic mean of precision and recall of a class.

    Args:
      predictions, targets, average, positive, threshold, num_classes: as in ``precision``. "macro" is the mean of the
        classes' F1, not the F1 of the mean precision and recall.
      zero_division: 0, 1 or NaN: the value of a class that neither targets nor predictions have; where one of them
        has it and they never meet, F1 is 0. Averages leave NaN out.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar, or ``(k,)``; NaN without examples or weight.

    Raises:
      ValueError: shapes that do not fit, unknown options, a wrong number of classes.
      TypeError: labels that are not integers, or complex predictions.
    """
    return _ratio(
        _f1, predictions, targets, sample_weight, average=average, positive=positive,
        zero_division=zero_division, threshold=threshold, num_classes=num_classes,
    )  # fmt: skip
