"""Metrics: ``(predictions, targets) -> one number`` over examples, exact when the examples come in batches.

Conventions of the room. The leading axis is the examples'. Predictions are what a model gives: logits or means. Every
metric is a `Stream`: float32 sums of a batch, a way to merge them, and the value at the end, so that partial batches
count by their examples. An example of weight 0 is absent, NaN or not. The value is a float32 scalar; with no examples,
or no weight, it is NaN. Regression targets have the shape of the predictions: nothing is broadcast.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _cache, _check, _registry
from jaxdict._entry import entry


def add(a: Any, b: Any) -> Any:
    """The sums of two batches added leaf by leaf, the merge of every metric that is a weighted mean.

    Args:
      a: a tree of sums.
      b: a tree of the same structure.

    Returns:
      Such a tree.
    """
    return jax.tree.map(jnp.add, a, b)


class Stream(NamedTuple):
    """A metric over batches; all three functions are pure and can be compiled.

    Attributes:
      sums: ``(predictions, targets, weights) -> tree``, float32 sums of a batch; weights are ``(n,)``.
      value: ``tree -> scalar``.
      merge: ``(tree, tree) -> tree``, the sums of both; leaf by leaf addition by default. A tree of zeros is neutral.
    """

    sums: Callable[[Any, Any, jax.Array], Any]
    value: Callable[[Any], jax.Array]
    merge: Callable[[Any, Any], Any] = add


Metric: TypeAlias = str | Stream | Callable[..., Any]


@_cache.constructor
def stream(metric: Metric) -> Stream:
    """The streaming form of a metric; equal metrics give the same object.

    Args:
      metric: a name or alias, of a metric or else of a loss (once `jaxdict.losses` is imported); a function of this
        room, or a `functools.partial` of one with options; a `Stream`; or any function ``(predictions, targets) ->``
        values ``(n, …)``, one an example, taken as their weighted mean (over the later axes first). Losses are such.

    Raises:
      KeyError: no metric or loss has that name; the message names the closest.
      TypeError: none of these.
    """
    if isinstance(metric, Stream):
        return metric
    function = _named(metric).function if isinstance(metric, str) else metric
    if not callable(function):
        raise TypeError(f"a metric must be a name, a function or a Stream; got {metric!r}")
    options: dict[str, Any] = {}
    room = function
    if isinstance(function, functools.partial) and not function.args:
        room, options = function.func, function.keywords
    make = next((make for known, make in _STREAMS if known is room), None)
    return _mean_of(function) if make is None else make(**options)


def name_of(metric: Metric) -> str:
    """What a metric is called in a history: an entry's name, a function's ``__name__``.

    Raises:
      KeyError: no metric or loss has that name; the message names the closest.
      TypeError: a `Stream`, a lambda, or what is not a metric; the message says how to name it.
    """
    if isinstance(metric, str):
        return _named(metric).name
    while isinstance(metric, functools.partial):
        metric = metric.func
    name = getattr(metric, "__name__", None)
    if isinstance(metric, Stream) or not callable(metric) or name == "<lambda>":
        raise TypeError(f"{metric!r} has no name to be listed by; give it one as {{'name': metric}}")
    return name or type(metric).__name__


def _named(name: str) -> Any:
    """The entry of a metric called so, or else of a loss."""
    for kind in ("metric", "loss"):
        try:
            return _registry.find(name, kind)
        except _registry.UnknownName:
            continue
    known = [*_registry.known_names("metric"), *_registry.known_names("loss")]
    raise _registry.UnknownName(f"no metric or loss is called {name!r}; {_check.did_you_mean(name, known)}")


@_cache.constructor
def _mean_of(function: Callable[..., Any]) -> Stream:
    """The weighted mean of what ``function`` gives for each example."""

    def sums(predictions, targets, weights):
        values = _check.floating(function(predictions, targets), name="the values of a metric")
        if values.shape[:1] != weights.shape:
            raise ValueError(
                f"{getattr(function, '__name__', function)} must give one value an example, {weights.shape} or more "
                f"axes after it; got {values.shape}"
            )
        weights = jnp.asarray(weights, jnp.float32)
        values = jnp.mean(values.astype(_check.compute_dtype(values.dtype)), axis=tuple(range(1, values.ndim)))
        present = weights > 0
        return {
            "total": jnp.sum(jnp.where(present, weights * values.astype(jnp.float32), 0)),
            "weight": jnp.sum(jnp.where(present, weights, 0)),
        }

    return Stream(sums, lambda tree: tree["total"] / tree["weight"])


def _whole(metric: Stream, predictions: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None) -> jax.Array:
    """The metric over examples that are all here."""
    shape = jnp.shape(predictions)[:1]
    if not shape:
        raise ValueError("predictions must have a leading axis of examples; got a scalar")
    weights = jnp.ones(shape, jnp.float32) if sample_weight is None else _check.floating(sample_weight)
    if weights.shape != shape:
        raise ValueError(f"sample_weight must have one weight an example, shape {shape}; got {weights.shape}")
    return metric.value(metric.sums(predictions, targets, weights.astype(jnp.float32)))


# ------------------------------------------------------------------------------------------------- classification


def _binary_hits(scores: jax.Array, targets: jax.Array, threshold: Any) -> jax.Array:
    scores = scores.astype(_check.compute_dtype(scores.dtype))
    agree = (scores > jnp.asarray(threshold, scores.dtype)) == (targets > 0.5)
    return agree & ~jnp.isnan(scores)


def _hits(predictions: Any, targets: Any) -> jax.Array:
    scores, labels = _check.floating(predictions, name="predictions"), jnp.asarray(targets)
    column = scores.ndim == 1 or scores.shape[-1] == 1
    if column and labels.shape in (scores.shape, scores.shape[: max(1, scores.ndim - 1)]):
        return _binary_hits(scores, _check.floating(labels, name="targets").reshape(scores.shape), 0.0)
    if labels.shape == scores.shape:
        labels = jnp.argmax(labels, axis=-1)
    elif labels.shape != scores.shape[:-1]:
        hint = "; squeeze the last axis of targets" if labels.shape == (*scores.shape[:-1], 1) else ""
        raise ValueError(
            f"targets must be integer labels {scores.shape[:-1]} or one-hot {scores.shape} for predictions "
            f"{scores.shape}; got {labels.shape}{hint}"
        )
    elif not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"targets of shape {labels.shape} must be integer labels; got {labels.dtype}")
    # argmax takes a NaN for the largest score: a model that diverged is wrong, not right one time in k.
    return (jnp.argmax(scores, axis=-1) == labels) & ~jnp.isnan(jnp.max(scores, axis=-1))


_ACCURACY = _mean_of(_hits)


@entry(
    "metric",
    equation="mean(indicator(argmax(yhat) == y))",
    aliases=("acc", "categorical_accuracy", "sparse_categorical_accuracy"),
    sources=("S2 10.2.1.2",),
    conventions={
        "sklearn": "accuracy_score takes predicted classes, not scores",
        "keras": "'accuracy' chooses by shape too; its binary form thresholds probabilities at 0.5, not logits at 0",
    },
    see_also=("binary_accuracy", "sparse_softmax_cross_entropy"),
    vectors=("yhat",),
)
def accuracy(predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None) -> jax.Array:
    """Share of examples whose likeliest class is the target.

    Args:
      predictions: scores ``(n, …, k)``, the largest decides (the first of equals); or, for two classes, one logit an
        example, ``(n,)`` or ``(n, …, 1)``, which means yes above 0.
      targets: integer labels ``(n, …)`` or one-hot ``(n, …, k)``; for two classes the shape of the logits, with or
        without the 1: yes is above 0.5 (so 0, 1 and -1, 1 both do). Labels out of range are never right, nor is NaN.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar; NaN without examples or weight.

    Raises:
      ValueError: shapes that do not fit.
      TypeError: labels that are not integers, or complex predictions.
    """
    return _whole(_ACCURACY, predictions, targets, sample_weight)


@_cache.constructor
def _binary_stream(threshold: Any = 0.0) -> Stream:
    def binary_accuracy(predictions, targets):
        scores, labels = _check.floating(predictions, name="predictions"), _check.floating(targets, name="targets")
        _check.same_shape("predictions", scores, "targets", labels)
        return _binary_hits(scores, labels, threshold)

    return _mean_of(binary_accuracy)


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
    return _whole(_binary_stream(threshold=threshold), predictions, targets, sample_weight)


# ----------------------------------------------------------------------------------------------------- regression


def _pair(predictions: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    a, b = _check.floating(predictions, name="predictions"), _check.floating(targets, name="targets")
    _check.same_shape("predictions", a, "targets", b)
    dtype = _check.compute_dtype(a.dtype)
    return a.astype(dtype), b.astype(dtype)


def _absolute_error(predictions, targets):
    a, b = _pair(predictions, targets)
    return jnp.abs(a - b)


def _squared_error(predictions, targets):
    a, b = _pair(predictions, targets)
    return jnp.square(a - b)


_ABSOLUTE, _SQUARED = _mean_of(_absolute_error), _mean_of(_squared_error)


@entry(
    "metric",
    equation="mean(abs(yhat - y))",
    aliases=("mae",),
    sources=("S2 10.2.1.2",),
    conventions={"sklearn": "the same, outputs averaged uniformly", "keras": "the same"},
    see_also=("r2", "l1", "huber"),
)
def mean_absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> jax.Array:
    """Mean absolute error over examples and outputs.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar in the targets' unit; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return _whole(_ABSOLUTE, predictions, targets, sample_weight)


@entry(
    "metric",
    equation="mean((yhat - y)**2)",
    aliases=("mse",),
    sources=("S2 10.2.1.2",),
    conventions={"sklearn": "the same, outputs averaged uniformly", "keras": "the same"},
    see_also=("r2", "l2"),
)
def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> jax.Array:
    """Mean squared error over examples and outputs, without a half.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar in the targets' unit squared; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return _whole(_SQUARED, predictions, targets, sample_weight)


class _Moments(NamedTuple):
    """Sums that merge without cancellation (Chan, Golub and LeVeque 1983); the outputs' ones are ``(k,)``."""

    weight: jax.Array
    start: jax.Array  # one of the targets, which all are measured from: constant targets have no spread at all
    mean: jax.Array  # of targets - start
    spread: jax.Array  # Σ w (target - mean target)²
    residual: jax.Array  # Σ w (target - prediction)²


def _r2_sums(predictions, targets, weights):
    a, b = _pair(predictions, targets)
    if b.shape[:1] != weights.shape:
        raise ValueError(f"targets and weights must have as many examples; got {b.shape} and {weights.shape}")
    n, k = len(b), math.prod(b.shape[1:])
    if n == 0:
        return _Moments(*(jnp.zeros(shape, jnp.float32) for shape in ((), (k,), (k,), (k,), (k,))))
    a, b = a.reshape(n, k), b.reshape(n, k)
    weights = jnp.asarray(weights, jnp.float32)
    present = weights > 0
    w = jnp.where(present, weights, 0)[:, None]
    weight = jnp.sum(w)
    start = jnp.where(weight > 0, b[jnp.argmax(present)], 0).astype(jnp.float32)
    away = jnp.where(present[:, None], b - start[None].astype(b.dtype), 0).astype(jnp.float32)
    error = jnp.where(present[:, None], b - a, 0).astype(jnp.float32)
    mean = jnp.sum(w / jnp.where(weight > 0, weight, 1) * away, axis=0)
    spread = jnp.sum(w * jnp.square(away - mean[None]), axis=0)
    return _Moments(weight, start, mean, spread, jnp.sum(w * jnp.square(error), axis=0))


def _r2_merge(a: _Moments, b: _Moments) -> _Moments:
    weight = a.weight + b.weight
    share = b.weight / jnp.where(weight > 0, weight, 1)
    apart = jnp.where(b.weight > 0, (b.start - a.start) + (b.mean - a.mean), 0)
    empty = a.weight == 0
    return _Moments(
        weight,
        jnp.where(empty, b.start, a.start),
        jnp.where(empty, b.mean, a.mean + share * apart),
        a.spread + b.spread + jnp.where(empty, 0, a.weight * share * jnp.square(apart)),
        a.residual + b.residual,
    )


def _r2_value(m: _Moments) -> jax.Array:
    varies = m.spread > 0
    score = jnp.where(varies, 1 - m.residual / jnp.where(varies, m.spread, 1), 1 - jnp.sign(m.residual))
    return jnp.where(m.weight > 0, jnp.mean(score), jnp.nan)


_R2 = Stream(_r2_sums, _r2_value, _r2_merge)


@entry(
    "metric",
    equation="1 - sum((y - yhat)**2)/sum((y - mean(y))**2)",
    aliases=("r_squared", "r2_score", "coefficient of determination"),
    sources=("Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115",),
    conventions={
        "sklearn": "r2_score with multioutput='uniform_average' and force_finite=True is the same; NaN for one example",
        "keras": "R2Score is the same; constant targets give NaN or -inf there",
    },
    see_also=("mean_squared_error",),
)
def r2(predictions: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None) -> jax.Array:
    """Coefficient of determination, averaged over outputs: 1 is perfect, 0 is as good as the mean target.

    An output whose targets are constant (one example is) scores 1 when predicted exactly and 0 otherwise.

    Args:
      predictions: ``(n, …)``.
      targets: the same shape.
      sample_weight: ``(n,)``, not negative; None for 1.

    Returns:
      A float32 scalar, at most 1; NaN without examples or weight.

    Raises:
      ValueError: different shapes.
      TypeError: complex input.
    """
    return _whole(_R2, predictions, targets, sample_weight)


_STREAMS: tuple[tuple[Callable[..., Any], Callable[..., Stream]], ...] = (
    (accuracy, lambda: _ACCURACY),
    (binary_accuracy, _binary_stream),
    (mean_absolute_error, lambda: _ABSOLUTE),
    (mean_squared_error, lambda: _SQUARED),
    (r2, lambda: _R2),
)

__all__ = [
    "Metric", "Stream", "accuracy", "add", "binary_accuracy", "mean_absolute_error", "mean_squared_error", "name_of",
    "r2", "stream",
]  # fmt: skip
