"""From scores and targets to classes by number, for every metric of classification."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdict import _check


class Classes(NamedTuple):
    """What was predicted and what is, int32 of the targets' shape, and how many classes there are.

    A NaN score predicts -1, no class: argmax would take it for the largest, and a model that diverged would be right
    one time in k.
    """

    predicted: jax.Array
    actual: jax.Array
    of_all: int | None  # how many classes; None: predicted classes do not tell


def of(predictions: Any, targets: Any, *, threshold: Any = 0.0) -> Classes:
    """The classes in any of the forms that the room takes; see ``accuracy``."""
    given, labels = jnp.asarray(predictions), jnp.asarray(targets)
    if given.ndim == 1 and given.shape == labels.shape and _whole_numbers(given):
        if not _whole_numbers(labels):
            raise TypeError(f"targets must be integer labels, as the predictions are; got {labels.dtype}")
        return Classes(given.astype(jnp.int32), labels.astype(jnp.int32), 2 if given.dtype == bool else None)
    scores = _check.floating(given, name="predictions")
    answers = column(scores, labels)
    if answers is not None:
        scores = scores.reshape(answers.shape)
        yes = above(scores, threshold).astype(jnp.int32)
        return Classes(jnp.where(jnp.isnan(scores), -1, yes), answers.astype(jnp.int32), 2)
    actual = labels_for(scores, labels)
    best = jnp.argmax(scores, axis=-1).astype(jnp.int32)
    return Classes(jnp.where(jnp.any(jnp.isnan(scores), axis=-1), -1, best), actual, scores.shape[-1])


def column(scores: jax.Array, labels: jax.Array) -> jax.Array | None:
    """Which targets are yes, without a last axis of 1, when the scores are one logit an example; None otherwise."""
    if scores.ndim > 1 and scores.shape[-1] != 1:
        return None
    short = scores.shape if scores.ndim == 1 else scores.shape[:-1]
    if labels.shape not in (scores.shape, short):
        return None
    return (_check.floating(labels, name="targets") > 0.5).reshape(short)


def above(scores: jax.Array, threshold: Any) -> jax.Array:
    """Which scores are above the threshold, narrow ones compared in float32."""
    scores = scores.astype(_check.compute_dtype(scores.dtype))
    return scores > jnp.asarray(threshold, scores.dtype)


def labels_for(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Integer labels ``(n, …)``, int32, from such or from one-hot ``(n, …, k)``, for scores ``(n, …, k)``."""
    if labels.shape == scores.shape and scores.ndim > 1:
        return jnp.argmax(labels, axis=-1).astype(jnp.int32)
    if labels.shape != scores.shape[:-1]:
        hint = "; squeeze the last axis of targets" if labels.shape == (*scores.shape[:-1], 1) else ""
        raise ValueError(
            f"targets must be integer labels {scores.shape[:-1]} or one-hot {scores.shape} for predictions "
            f"{scores.shape}; got {labels.shape}{hint}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"targets of shape {labels.shape} must be integer labels; got {labels.dtype}")
    return labels.astype(jnp.int32)


def spread(weights: jax.Array, over: jax.Array) -> jax.Array:
    """The examples' weights ``(n,)``, one for each of the entries of ``over`` ``(n, …)``, flat."""
    each = weights.reshape(-1, *[1] * (over.ndim - 1))
    return jnp.broadcast_to(each, over.shape).reshape(-1)


def _whole_numbers(x: jax.Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.integer)) or x.dtype == bool
