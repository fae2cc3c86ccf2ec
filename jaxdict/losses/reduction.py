"""From losses of examples to the number that training minimizes: weighted means, weights, totals over outputs."""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdict import _check, _registry
from jaxdict.losses._shared import integers


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


def total(losses: Any, predictions: Any, targets: Any, *, loss_weights: Any = None) -> jax.Array:
    """The weighted total of several outputs' losses, one number an example.

    Args:
      losses: a tree (dict, list, …) of losses, one an output: names, or functions ``(predictions, targets) -> (n,)``.
      predictions: a tree that holds at each place of ``losses`` what that loss takes; what lies deeper is the loss's.
      targets: likewise.
      loss_weights: a tree of the structure of ``losses`` with a number for each, which may be traced; None: 1 for each.
        What has weight 0 is left out, NaN or not.

    Returns:
      The sum of weights times losses, ``(n,)``.

    Raises:
      ValueError: trees that do not match, no loss at all, or losses of different shapes.
      KeyError: no loss has such a name; the message names the closest.
      TypeError: a weight that is not a number.
    """
    named, tree = jax.tree_util.tree_flatten_with_path(losses, is_leaf=callable)
    if not named:
        raise ValueError(f"losses must hold at least one loss; got {losses!r}")
    parts = {"predictions": predictions, "targets": targets}
    if loss_weights is not None:
        parts["loss_weights"] = loss_weights
    leaves = {}
    for name, part in parts.items():
        try:
            leaves[name] = tree.flatten_up_to(part)
        except ValueError as error:
            raise ValueError(f"{name} must have one entry for each loss: {error}") from None
    result: Any = 0
    first = None
    for i, (path, loss) in enumerate(named):
        label = jax.tree_util.keystr(path)
        values = _registry.function(loss, "loss")(leaves["predictions"][i], leaves["targets"][i])
        first = values if first is None else first
        if values.shape != first.shape:
            raise ValueError(
                f"losses must give the same shape; got {first.shape} and, from loss {label}, {values.shape}"
            )
        if loss_weights is not None:
            weight = jnp.asarray(_check.number(f"loss_weights{label}", leaves["loss_weights"][i]), values.dtype)
            values = jnp.where(weight == 0, 0, weight * values)
        result = values if i == 0 else result + values
    return result


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
    return integers(labels, "labels", "take the argmax of one-hot targets")


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


__all__ = ["mean", "total", "weights_of"]
