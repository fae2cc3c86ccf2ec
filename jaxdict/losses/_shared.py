"""What every loss does with its arguments: types, shapes, masks, class labels, the sum or mean at the end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check

LOGITS = ("logits", "targets")
PREDICTIONS = ("predictions", "targets")


class Pair(NamedTuple):
    """Two arrays of one shape and compute type, and the mask of what is there, or None."""

    first: jax.Array
    second: jax.Array
    where: jax.Array | None


def pair(
    first: Any, second: Any, axis: int | None, where: Any = None, *, names: tuple[str, str] = PREDICTIONS,
    absent: float = 1.0,
) -> Pair:  # fmt: skip
    """Both arrays in the compute type of the first, checked as every loss of two arrays is.

    Where the mask is False both hold ``absent``. At equal ones every elementwise loss is finite, in all its
    derivatives, so that what stood there cannot reach a gradient as ``0 * NaN``.
    """
    a, b = _check.floating(first, name=names[0]), _check.floating(second, name=names[1])
    _check.same_shape(names[0], a, names[1], b)
    check_axis(axis, a, names[0])
    dtype = _check.compute_dtype(a.dtype)
    a, b, mask = settled(a.astype(dtype)), settled(b.astype(dtype)), presence(where, a.shape, axis)
    return Pair(a, b, None) if mask is None else Pair(jnp.where(mask, a, absent), jnp.where(mask, b, absent), mask)


def settled(x: jax.Array) -> jax.Array:
    """``x``, or a copy of what is traced, which costs nothing when compiled.

    Under ``vmap`` in compiled code, a constant of NumPy's is a tracer that an inner ``jit`` does not take.
    """
    return jnp.array(x, copy=True) if _check.is_traced(x) else x


def check_axis(axis: int | None, array: jax.Array, name: str) -> None:
    """A ValueError when ``array`` has no such axis, a TypeError when it is not a whole number."""
    if axis is None:
        return
    _check.integer("axis", axis)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis must be an axis of {name}, whose shape is {array.shape}, or None; got {axis}")


def presence(where: Any, shape: tuple[int, ...], axis: int | None) -> jax.Array | None:
    """``where`` as a mask of elements; it may also mark whole examples, and then lacks ``axis``."""
    if where is None:
        return None
    where = jnp.asarray(where)
    if where.dtype != bool:
        raise TypeError(f"where must be boolean; got {where.dtype}; compare it with 0")
    if where.shape == shape:
        return where
    rows = shape if axis is None else np.delete(shape, axis)
    if axis is not None and where.shape == tuple(rows):
        return jnp.broadcast_to(jnp.expand_dims(where, axis), shape)
    examples = "" if axis is None else f", or whole examples, shape {tuple(int(n) for n in rows)}"
    raise ValueError(f"where must mark elements, shape {shape}{examples}; got {where.shape}")


def add_up(terms: jax.Array, axis: int | None, where: jax.Array | None) -> jax.Array:
    """The sum over ``axis`` of the terms that are there; the terms themselves, 0 where absent, without one."""
    terms = terms if where is None else jnp.where(where, terms, 0)
    return terms if axis is None else jnp.sum(terms, axis=axis)


def average(terms: jax.Array, axis: int | None, where: jax.Array | None) -> jax.Array:
    """The mean over ``axis`` of the terms that are there, 0 where none is."""
    if axis is None:
        return add_up(terms, axis, where)
    count = terms.shape[axis] if where is None else jnp.sum(where, axis=axis, dtype=terms.dtype)
    return add_up(terms, axis, where) / jnp.maximum(jnp.asarray(count, terms.dtype), 1)


def scalar(name: str, value: Any, **bounds: float) -> Any:
    """A hyperparameter: one number within ``bounds`` when concrete, passed through when traced."""
    _check.number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}")
    return value


def is_number(value: Any, number: float) -> bool:
    """Whether ``value`` is known to be ``number`` while the program is built."""
    return not _check.is_traced(value) and bool(np.all(np.asarray(value) == number))


# ----------------------------------------------------------------------------------------------------- class labels


class Labelled(NamedTuple):
    """Scores with the classes last, the class of every example, and the mask of the classes that are there, or None."""

    scores: jax.Array
    labels: jax.Array
    where: jax.Array | None

    def hit(self) -> jax.Array:
        """Where the label is, a mask of the shape of the scores."""
        return is_label(self.labels, self.scores)

    def targets(self, label_smoothing: Any) -> jax.Array:
        """The labels as one-hot rows, smoothed; a label that is no class makes a row of NaN."""
        known = (self.labels >= 0) & (self.labels < self.scores.shape[-1])
        hot = jnp.where(known[..., None], self.hit(), jnp.asarray(jnp.nan, self.scores.dtype))
        return smoothed(hot, label_smoothing, shares(self.scores, self.where))

    def only(self, values: jax.Array) -> jax.Array:
        """Values of examples, or of their classes, 0 where nothing is there."""
        if self.where is None:
            return values
        return jnp.where(self.where if values.ndim == self.where.ndim else jnp.any(self.where, axis=-1), values, 0)


def labelled(
    scores: Any, labels: Any, axis: int | None, where: Any, *, name: str, absent: float, hint: str,
    one_hot: bool = False,
) -> Labelled:  # fmt: skip
    """Scores and integer labels, checked. A class that is not there scores ``absent``, an absent example 1 throughout.

    Labels out of range are an error where they are concrete. With ``one_hot``, so may be given as such.
    """
    axis = -1 if axis is None else axis
    z = _check.floating(scores, name=name)
    check_axis(axis, z, name)
    there = presence(where, z.shape, axis)
    z = jnp.moveaxis(settled(z.astype(_check.compute_dtype(z.dtype))), axis, -1)
    there = None if there is None else jnp.moveaxis(there, axis, -1)
    if one_hot and np.ndim(labels) == z.ndim:
        labels = _from_one_hot(labels, z, axis, name)
    given = labels
    labels = settled(integers(labels, "labels", hint))
    if labels.shape != z.shape[:-1]:
        squeeze = "; squeeze its last axis" if labels.shape == (*z.shape[:-1], 1) else ""
        raise ValueError(
            f"labels must have the shape of {name} without axis {axis}, {z.shape[:-1]}; got {labels.shape}{squeeze}"
        )
    rows = None if there is None else jnp.any(there, axis=-1)
    _check_labels(given, rows, z.shape[-1])
    if there is not None and rows is not None:
        z = jnp.where(there, z, jnp.where(rows[..., None], jnp.asarray(absent, z.dtype), 1))
        labels = jnp.where(rows, labels, 0)
    return Labelled(z, labels, there)


def integers(labels: Any, name: str, hint: str) -> jax.Array:
    """``labels`` as int32; a TypeError when they are not integers."""
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers; got {labels.dtype} of shape {labels.shape}; {hint}")
    return labels.astype(jnp.int32)


def _check_labels(labels: Any, rows: Any, classes: int) -> None:
    if _check.is_traced(labels) or _check.is_traced(rows):
        return
    seen = np.asarray(labels)
    seen = seen if rows is None else seen[np.asarray(rows)]
    wrong = seen[(seen < 0) | (seen >= classes)]
    if wrong.size:
        raise ValueError(f"labels must be in [0, {classes}); got {wrong[0]}: are they counted from 0?")


def _from_one_hot(targets: Any, scores: jax.Array, axis: int, name: str) -> Any:
    """The labels that one-hot rows stand for; -1, which is no label, for another row that is traced."""
    targets = jnp.moveaxis(jnp.asarray(targets), axis, -1)
    _check.same_shape(name, scores, "one-hot labels", targets)
    fine = jnp.all((targets == 0) | (targets == 1), axis=-1) & (jnp.sum(targets == 1, axis=-1) == 1)
    if not _check.is_traced(fine) and not bool(jnp.all(fine)):
        raise ValueError("one-hot labels must hold a single 1 in every row, and 0 beside it")
    return jnp.where(fine, jnp.argmax(targets, axis=-1), -1)


def is_label(labels: jax.Array, like: jax.Array) -> jax.Array:
    """A mask of the shape of ``like``, True where the place on the last axis is the label."""
    return jax.lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1) == labels[..., None]


@jax.custom_jvp
def pick(values: jax.Array, labels: jax.Array) -> jax.Array:
    """``values[..., label]``, NaN where there is no such place."""
    inside = (labels >= 0) & (labels < values.shape[-1])
    taken = jnp.take_along_axis(values, labels[..., None], axis=-1, mode="clip")[..., 0]
    return jnp.where(inside, taken, jnp.nan)


@pick.defjvp
def _(primals, tangents):
    # Turned around, a mask; of the gather it would be a scatter, one element after another.
    change = jnp.sum(jnp.where(is_label(primals[1], primals[0]), tangents[0], 0), axis=-1)
    return pick(*primals), change


Rule = Callable[[jax.Array, jax.Array], jax.Array]


def by_slope(slope: Rule) -> Callable[[Rule], Rule]:
    """Differentiate the decorated ``(scores, labels) -> (...)`` by ``slope(scores, labels) -> (..., n)``.

    Reverse mode then keeps the slope alone. Called by itself, each is one program.
    """
    slope = jax.jit(slope, inline=True)

    def decorate(value: Rule) -> Rule:
        function = jax.custom_jvp(jax.jit(value, inline=True))

        def jvp(primals, tangents):
            return function(*primals), jnp.sum(slope(*primals) * tangents[0], axis=-1)

        function.defjvp(jvp)
        return function

    return decorate


# -------------------------------------------------------------------------------------------------- label smoothing


def smoothed(targets: jax.Array, amount: Any, share: Any) -> jax.Array:
    """``(1 - amount) targets + amount share``; the targets themselves where the amount is known to be 0."""
    scalar("label_smoothing", amount, low=0, high=1)
    if is_number(amount, 0):
        return targets
    amount = jnp.asarray(amount, targets.dtype)
    return (1 - amount) * targets + amount * share


def shares(like: jax.Array, where: jax.Array | None) -> Any:
    """Every class's part when all of the last axis that are there have the same."""
    if where is None:
        return 1 / max(like.shape[-1], 1)
    count = jnp.sum(where, axis=-1, keepdims=True, dtype=like.dtype)
    return jnp.where(where, 1 / jnp.maximum(count, 1), 0)
