"""The area under the ROC curve, exact for arrays, and over batches as far as its memory reaches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.metrics import _classes
from jaxdict.metrics._stream import Stream, as_many, streamed, weights_of

_SLOTS, _SLOTS_OF_MANY = 4096, 1024  # examples that a curve over batches keeps: of two classes, of each of more
_MANTISSA = 23  # bits of a float32; signs and exponents alone make 510 groups, which fit into half the slots


# ------------------------------------------------------------------------------------------------- scores and area


def _curves(predictions: Any, targets: Any, weights: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores, weights of the positive and of the negative examples, each ``(curves, m)``: one curve for two classes.

    A NaN score becomes a NaN weight, which the area shows; absent examples weigh 0 and have the score 0.
    """
    scores, labels = _check.floating(predictions, name="predictions"), jnp.asarray(targets)
    answers = _classes.column(scores, labels)
    scores = scores.astype(_check.compute_dtype(scores.dtype))
    if answers is not None:
        scores, yes = scores.reshape(1, -1), answers.reshape(1, -1)
        weights = _classes.spread(as_many(weights, answers), answers)[None]
    else:
        actual = _classes.labels_for(scores, labels)
        weights = _classes.spread(as_many(weights, actual), actual)[None]
        scores, actual, k = scores.reshape(-1, scores.shape[-1]), actual.reshape(-1), scores.shape[-1]
        if k == 2:
            scores, yes = (scores[:, 1] - scores[:, 0])[None], (actual == 1)[None]
        else:
            scores, yes = _log_odds(scores).T, jnp.arange(k)[:, None] == actual[None]
    lost = jnp.isnan(scores)
    weights = jnp.where(lost & (weights > 0), jnp.nan, jnp.broadcast_to(weights, scores.shape))
    scores = jnp.where(lost | (weights == 0) | (scores == 0), 0, scores)  # one zero: bits will be compared
    return scores, jnp.where(yes, weights, 0), jnp.where(yes, 0, weights)


def _log_odds(z: jax.Array) -> jax.Array:
    """ln(p/(1 - p)) of every class's softmax probability: ordered as p, and apart where p itself is rounded to 1."""
    best = jnp.argmax(z, axis=-1, keepdims=True)
    top = lax.broadcasted_iota(best.dtype, z.shape, z.ndim - 1) == best
    peak = jnp.max(z, axis=-1, keepdims=True)
    shares = jnp.where(top, 0, jnp.exp(z - peak))
    beside = peak + jnp.log1p(jnp.sum(shares, axis=-1, keepdims=True) - shares)
    beside_top = jax.nn.logsumexp(jnp.where(top, -jnp.inf, z), axis=-1, keepdims=True)
    return z - jnp.where(top, beside_top, beside)


def _area(scores: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
    """The share of pairs, one positive and one negative example, that the scores order rightly; ties count half."""
    scores, positive, negative = lax.sort((scores, positive, negative), num_keys=1)
    new = scores[1:] != scores[:-1]
    edge = jnp.ones(min(len(scores), 1), bool)
    total = jnp.cumsum(negative)
    below = lax.cummax(jnp.where(jnp.concatenate([edge, new]), total - negative, 0))
    within = lax.cummin(jnp.where(jnp.concatenate([new, edge]), total, jnp.inf), reverse=True)
    pairs = jnp.sum(positive) * jnp.sum(negative)
    right = jnp.sum(positive * (0.5 * (below + within) / jnp.where(pairs == 0, 1, jnp.sum(negative))))
    return jnp.where(pairs == 0, jnp.nan, right / jnp.where(pairs == 0, 1, jnp.sum(positive)))


# ------------------------------------------------------------------------------------------------ over many batches


class _Curve(NamedTuple):
    """Weights at scores, ``(curves, slots)``; those that hold weight stand first.

    While the examples fit they stand as they came. When they do not, equal scores are added together, and low bits of
    their mantissas dropped until no more than half the slots are taken: a histogram as fine as the memory allows.
    Scores are joined by their bits, not by their ranks, so that an order of the batches does not favour any.
    """

    scores: jax.Array
    positive: jax.Array
    negative: jax.Array
    dropped: jax.Array  # (curves,) low bits of the scores that count no more


def _filled(one: _Curve) -> jax.Array:
    return (one.positive + one.negative) != 0  # true for NaN


def _drop(scores: jax.Array, bits: jax.Array) -> jax.Array:
    """The scores without their low ``bits``, towards 0."""
    keep = jnp.uint32(0xFFFFFFFF) << bits.astype(jnp.uint32)
    return lax.bitcast_convert_type(lax.bitcast_convert_type(scores, jnp.uint32) & keep, jnp.float32)


def _placed(one: _Curve, place: jax.Array, slots: int) -> _Curve:
    """The weights added up at their places, those from ``slots`` on left out."""
    zeros = jnp.zeros(slots, jnp.float32)
    return _Curve(
        zeros.at[place].set(one.scores, mode="drop"),
        zeros.at[place].add(one.positive, mode="drop"),
        zeros.at[place].add(one.negative, mode="drop"),
        one.dropped,
    )


def _packed(one: _Curve, slots: int) -> _Curve:
    """What holds weight moved to the front, in slots enough for all."""
    missing = (~_filled(one)).astype(jnp.int32)
    _, *rows = lax.sort((missing, *one[:3]), num_keys=1)
    scores, positive, negative = (jnp.pad(row, (0, slots - len(row))) for row in rows)
    return _Curve(scores, positive, negative, one.dropped)


def _joined(one: _Curve, slots: int) -> _Curve:
    """Equal scores together, made equal as far as it needs to fill no more than half the slots."""
    scores = jnp.where(_filled(one), one.scores, jnp.nan)  # NaN is sorted last
    scores, positive, negative = lax.sort((scores, one.positive, one.negative), num_keys=1)
    there = ~jnp.isnan(scores)
    bits = lax.bitcast_convert_type(scores, jnp.uint32)
    apart = 31 - lax.clz(bits[1:] ^ bits[:-1]).astype(jnp.int32)  # the highest bit that differs, -1 for none
    apart = jnp.where(there[1:], apart, -1)
    groups = 1 + jnp.sum(apart[None, :] >= jnp.arange(_MANTISSA + 1, dtype=jnp.int32)[:, None], axis=1)
    dropped = jnp.maximum(one.dropped, jnp.argmax(groups <= slots // 2).astype(jnp.float32))
    place = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(apart >= dropped.astype(jnp.int32), dtype=jnp.int32)])
    joined = _Curve(_drop(scores, dropped), positive, negative, dropped)
    return _placed(joined, jnp.where(there, place, slots), slots)


def _merge(a: _Curve, b: _Curve) -> _Curve:
    slots = a.scores.shape[-1]
    used = jnp.sum(_filled(a), axis=-1, dtype=jnp.int32)
    fits = used + jnp.sum(_filled(b), axis=-1, dtype=jnp.int32) <= slots

    def append(one: _Curve, other: _Curve, start: jax.Array) -> _Curve:
        dropped = jnp.maximum(one.dropped, other.dropped)
        old = jnp.arange(slots, dtype=jnp.int32) < start
        rows = (jnp.where(old, x, jnp.roll(y, start)) for x, y in zip(one[:3], other[:3], strict=True))
        scores, positive, negative = rows
        return _Curve(_drop(scores, dropped), positive, negative, dropped)

    def join(one: _Curve, other: _Curve, _: jax.Array) -> _Curve:
        rows = (jnp.concatenate([x, y]) for x, y in zip(one[:3], other[:3], strict=True))
        scores, positive, negative = rows
        return _joined(_Curve(scores, positive, negative, jnp.maximum(one.dropped, other.dropped)), slots)

    return lax.cond(jnp.all(fits), jax.vmap(append), jax.vmap(join), a, b, used)


def _average(areas: jax.Array, positive: jax.Array, average: str | None) -> jax.Array:
    """One number of the curves' areas, or all of them where there are several."""
    if len(areas) == 1 or average == "macro":
        return jnp.mean(areas)
    if average is None:
        return areas
    shares = jnp.sum(positive, axis=-1)
    return jnp.sum(areas * (shares / jnp.sum(shares)))


@_cache.constructor
def _auc_stream(average: str | None = "macro") -> Stream:
    _check.one_of("average", average, ["macro", "weighted", None])

    def sums(predictions, targets, weights):
        scores, positive, negative = _curves(predictions, targets, weights)
        curves, size = scores.shape
        slots = _SLOTS if curves == 1 else _SLOTS_OF_MANY
        batch = _Curve(scores.astype(jnp.float32), positive, negative, jnp.zeros(curves, jnp.float32))
        return jax.vmap(lambda one: (_packed if size <= slots else _joined)(one, slots))(batch)

    def value(curve):
        areas = jax.vmap(_area)(curve.scores, curve.positive, curve.negative)
        return _average(areas, curve.positive, average)

    return Stream(sums, value, _merge)


@streamed(_auc_stream)
@entry(
    "metric",
    equation="n = 1 - y; w = outer(y, n); d = outer(yhat, ones(yhat)) - outer(ones(yhat), yhat);"
    " sum(w*(indicator(d > 0) + 0.5*indicator(d == 0)))/sum(w)",
    aliases=("roc_auc", "auroc", "roc_auc_score", "area under the roc curve"),
    sources=(
        "Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
        "Fawcett 2006, doi:10.1016/j.patrec.2005.10.010",
    ),
    conventions={
        "sklearn": "roc_auc_score: the same; of more classes with multi_class='ovr' and probabilities",
        "keras": "AUC joins scores into 200 thresholds between 0 and 1, and columns into one curve",
    },
    see_also=("precision", "recall", "accuracy"),
    vectors=(),
)
def auc(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
) -> jax.Array:
    """Area under the ROC curve: how often an example of the class has a higher score than one of another; ties half.

    Here it is exact. As a stream it is while no more than 4096 examples come (1024 where there are more than two
    classes), or half as many different float32 scores. Beyond, scores are equal that agree in the leading bits of
    their mantissas, as many bits as that memory holds: 6 or 7 for a million logits, and errors of 1e-6 to 1e-5.

    Args:
      predictions: one score an example, ``(n,)`` or ``(n, …, 1)``, or scores ``(n, …, k)``: of two classes their
        difference counts, of more each class's softmax probability against all others.
      targets: as in ``accuracy``. A label out of range is of another class.
      average: of more than two classes: "macro" their mean, "weighted" by the classes' weight, None ``(k,)``.
      sample_weight: ``(n,)``, not negative; None for 1. A pair counts the product.

    Returns:
      A float32 scalar, or ``(k,)``. NaN where a class has all examples or none, and for a NaN score.

    Raises:
      ValueError: shapes that do not fit, an unknown average.
      TypeError: labels that are not integers, or complex predictions.
    """
    _check.one_of("average", average, ["macro", "weighted", None])
    scores, positive, negative = _curves(predictions, targets, weights_of(predictions, sample_weight))
    return _average(jax.vmap(_area)(scores, positive, negative), positive, average)
