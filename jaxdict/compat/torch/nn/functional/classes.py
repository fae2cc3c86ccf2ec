"""Torch's losses of classes, on logits or their logarithms: the classes are axis 1, or the only axis.

Weights of classes divide the mean by their own sum over the examples that count; those whose target is
``ignore_index`` do not.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, losses
from jaxdict.compat.torch.nn.functional._losses import Reduction, chosen, loss, reduced
from jaxdict.losses._shared import Labelled, is_label, is_number, labelled, pair, pick, shares, smoothed

_HINT = "class probabilities have the shape of input and a floating type"


class _Weighed(NamedTuple):
    """Scores and labels, what each example weighs, and the classes' weights, or None."""

    given: Labelled
    examples: jax.Array
    classes: jax.Array | None

    def reduced(self, terms: jax.Array, reduction: str) -> jax.Array:
        return reduced(self.given.only(terms), reduction, jnp.sum(self.examples))


def _weighed(input: Any, target: Any, weight: Any, ignore_index: int) -> _Weighed:
    scores = _check.floating(input, name="input")
    if not scores.ndim:
        raise ValueError("input must have an axis of classes; got a scalar")
    kept = jnp.asarray(target) != _check.integer("ignore_index", ignore_index)
    axis = min(1, scores.ndim - 1)
    given = labelled(scores, target, axis, kept, name="input", absent=-jnp.inf, hint=_HINT)
    classes = _class_weights(weight, given.scores)
    examples = jnp.ones(kept.shape, given.scores.dtype) if classes is None else jnp.take(classes, given.labels)
    return _Weighed(given, jnp.where(kept, examples, 0), classes)


def _class_weights(weight: Any, scores: jax.Array) -> jax.Array | None:
    if weight is None:
        return None
    weight = _check.floating(weight, name="weight").astype(scores.dtype)
    if weight.shape != scores.shape[-1:]:
        raise ValueError(f"weight must have one number for each class, {scores.shape[-1:]}; got {weight.shape}")
    return weight


@loss
def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    label_smoothing: ArrayLike = 0.0,
) -> jax.Array:
    """Cross entropy of classes with ``softmax(input)``.

    Args:
      input: logits, ``(C,)``, ``(N, C)`` or ``(N, C, d1, …)``.
      target: integers, ``input``'s shape without C, or probabilities, of its shape and floating. A label that is no
        class is an error; in compiled code it gives NaN.
      weight: ``(C,)``, of the classes, each also of its own share of the smoothing. With integers the mean divides by
        the sum of the targets' weights, with probabilities by the number of examples.
      ignore_index: the target that does not count.
      label_smoothing: ``a`` in [0, 1]: targets become ``(1 - a) y + a/C``.
    """
    how = chosen(reduction, size_average, reduce)
    if jnp.shape(target) == jnp.shape(input) and jnp.issubdtype(jnp.result_type(target), jnp.floating):
        z, y, _ = pair(input, target, None, names=("input", "target"))
        axis = min(1, z.ndim - 1)
        z, y = jnp.moveaxis(z, axis, -1), smoothed(jnp.moveaxis(y, axis, -1), label_smoothing, shares(z, None))
        classes = _class_weights(weight, z)
        y = y if classes is None else y * jnp.broadcast_to(classes, y.shape)
        return reduced(losses.softmax_cross_entropy(z, y), how)
    weighed = _weighed(input, target, weight, ignore_index)
    scores, labels, _ = weighed.given
    if is_number(label_smoothing, 0):
        return weighed.reduced(weighed.examples * losses.sparse_softmax_cross_entropy(scores, labels), how)
    y = weighed.given.targets(label_smoothing)
    y = y if weighed.classes is None else y * jnp.broadcast_to(weighed.classes, y.shape)
    return weighed.reduced(losses.softmax_cross_entropy(scores, y), how)


@loss
def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """Minus the logarithm of the target's probability, which is given.

    Args:
      input: logarithms of probabilities, ``(C,)``, ``(N, C)`` or ``(N, C, d1, …)``.
      target: integers, ``input``'s shape without C. A label that is no class is an error; in compiled code it gives
        NaN.
      weight: ``(C,)``, of the classes; the mean divides by the sum of the targets' weights.
      ignore_index: the target that does not count.
    """
    how = chosen(reduction, size_average, reduce)
    weighed = _weighed(input, target, weight, ignore_index)
    return weighed.reduced(-weighed.examples * pick(weighed.given.scores, weighed.given.labels), how)


@loss
def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
) -> jax.Array:
    """The Kullback-Leibler divergence of the targets from the predictions, ``y (ln y - input)``.

    Args:
      input: logarithms of the predicted probabilities.
      target: the same shape, probabilities; 0 contributes 0.
      reduction: "batchmean" divides the sum by the length of axis 0, which is the divergence; "mean" by the number of
        all elements.
      log_target: whether the targets are logarithms too.
    """
    how = chosen(reduction, size_average, reduce, allowed=("batchmean",))
    x, y, _ = pair(input, target, None, names=("input", "target"))
    if _check.one_of("log_target", log_target, (True, False)):
        terms = jnp.exp(y) * (y - x)
    else:
        terms = losses.kl_divergence(jnp.ones_like(y), y, axis=None) - y * x
    if how == "batchmean":
        return reduced(terms, "mean", x.shape[0] if x.ndim else 1)
    return reduced(terms, how)


@loss
def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: ArrayLike = 1.0,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """What the target's score lacks to a margin over each other one, ``max(0, margin - s_y + s_j)**p``, over C.

    Args:
      input: scores, ``(C,)`` or ``(N, C)``.
      target: integers, ``()`` or ``(N,)``.
      p: 1 or 2.
      margin: a scalar.
      weight: ``(C,)``, of the targets' classes; the mean divides by the number of examples.
    """
    how = chosen(reduction, size_average, reduce)
    _check.one_of("p", p, (1, 2))
    if jnp.ndim(input) not in (1, 2):
        raise ValueError(f"input must be (C,) or (N, C); got shape {jnp.shape(input)}")
    scores, labels, _ = labelled(input, target, -1, None, name="input", absent=-jnp.inf, hint="they are classes")
    lack = scores - pick(scores, labels)[..., None] + jnp.asarray(_check.scalar("margin", margin), scores.dtype)
    lack = jnp.where(is_label(labels, scores) | (lack <= 0), 0, lack) ** p
    terms = jnp.sum(lack, axis=-1) / scores.shape[-1]
    classes = _class_weights(weight, scores)
    return reduced(terms if classes is None else terms * jnp.take(classes, labels), how)


__all__ = ["cross_entropy", "kl_div", "multi_margin_loss", "nll_loss"]
