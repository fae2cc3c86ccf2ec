"""Sums over rows for softmax and its kin, in a form that XLA keeps in one loop on the CPU.

There a reduction is a library call (YNNPACK) that takes in some of the arithmetic before it, has the rest written to
memory first, and loses NaN in ``minimum`` and ``maximum``. What is added up slice by slice is a vector loop of XLA's
own, which takes in everything and loses nothing.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Axis = int | tuple[int, ...] | None

SHORT = 16  # rows up to here are added element by element; longer ones in slices
LONG = 256  # from here on the loops of XLA are quicker than its library on the CPU
HIGH = 45.75  # exp of it is a float32 to 1/100 of a unit; a sum of any number of them is finite


def axes_of(x: jax.Array, axis: Axis) -> tuple[int, ...]:
    """``axis`` as a tuple of axes from 0, None being all."""
    axis = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % x.ndim for a in axis)


def length_of(x: jax.Array, axis: Axis) -> int:
    """How many numbers lie along the axes."""
    return math.prod(x.shape[a] for a in axes_of(x, axis))


def largest(x: jax.Array, axis: Axis) -> jax.Array:
    """The largest over the axes, which stay with length 1. A NaN may go unseen."""
    return jnp.max(x, axis, keepdims=True, initial=-jnp.inf)


def summed(term: Callable[..., Any], axis: Axis, *arrays: jax.Array) -> Any:
    """The sums over the axes, which stay with length 1, of ``term(*arrays)``: one array, or a tuple of them.

    ``term`` is elementwise; it gets slices of the arrays, all of one shape.
    """
    axes = axes_of(arrays[0], axis)
    if not axes:
        return term(*arrays)
    along, length = axes[-1], arrays[0].shape[axes[-1]]
    count = _slices(length) if length > SHORT else max(length, 1)
    width = length // count

    def part(start, stop):
        return term(*(jax.lax.slice_in_dim(a, start, stop, axis=along) for a in arrays))

    def added(*parts):  # in pairs, which rounds each number the least often
        left = list(parts)
        while len(left) > 1:
            left = [*map(operator.add, left[::2], left[1::2]), *left[len(left) // 2 * 2 :]]
        return left[0]

    def total(sums):
        return jax.tree.map(of_slice, sums)

    def of_slice(sums):
        if SHORT < sums.shape[along] < length:
            return summed(lambda s: s, axis, kept(sums))
        return jnp.sum(kept(sums), axes, keepdims=True)

    sums = total(jax.tree.map(added, *(part(k * width, (k + 1) * width) for k in range(count))))
    return jax.tree.map(added, sums, total(part(count * width, length))) if count * width < length else sums


def _slices(length: int) -> int:
    """How many slices, whose sum a reduction adds up, a longer row is cut into.

    Such that each fills whole vectors of 8, else as many as come out even, up to 16: narrow ones lose less at the end.
    """
    whole = [count for count in (25, 20, 16, 8, 5) if length % (8 * count) == 0]
    even = [count for count in range(16, 4, -1) if length % count == 0]
    return [*whole, *even, 4][0]


def kept(x: jax.Array) -> jax.Array:
    """``x``, over 1, which XLA keeps.

    A sum that several use it would compute again for each of them, but not a quotient. Nor does the library's
    reduction reach through this one for the additions, without their terms.
    """
    return x / jnp.where(jnp.isnan(x), jnp.nan, 1)


def start_of_long(top: jax.Array) -> jax.Array:
    """What is taken off a long row, whose largest is ``top``, before the exponential: nothing where none overflows.

    For ``x - top`` is rounded, beyond 4 to 2^-22, and its exponential by as much. A largest below 1 costs less than its
    own exponential, when that is not 1.
    """
    return jnp.where((top >= 1) & (top <= HIGH), 0.0, top)
