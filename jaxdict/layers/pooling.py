"""Pooling over space, channels-last: the largest or the mean of every window, or of all places.

In the equations i is a place of the output and k one of the window, s the stride, p the padding before.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers import _windows
from jaxdict.layers._model import Model, buildable, stateless
from jaxdict.layers.convolution import Padding

_WORDS = ("valid", "same")
_FEW = 64  # places of a window that are gone through one by one


@entry(
    "layer",
    equation="largest(x[s*i + k - p])",
    aliases=("max pooling", "maximum pooling", "maxpool"),
    sources=("S0 'Layers'", "Ranzato et al. 2007, doi:10.1109/CVPR.2007.383157"),
    conventions={
        "torch": "MaxPool2d: the same, padding at most half the window; ceil_mode and dilation besides",
        "keras": "MaxPooling2D(2): the same, padding 'valid' or 'same'",
        "flax": "max_pool: strides are 1 where none are given",
    },
    see_also=("average_pool", "global_max_pool"),
)
@buildable
def max_pool(
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    name: str | None = None,
) -> Model:
    """Max pooling: the largest value of each channel in every window.

    Args:
      window: a size for each axis of space, which says how many there are; an int is one axis.
      strides: places from one window to the next, for all axes or each; the window's sizes when None.
      padding: "valid", windows within the input; "same", ``ceil(n / stride)`` of them; or a number for both ends of all
        axes, or for each axis a number or a pair ``(low, high)``, smaller than the window. It is never the largest.
      name: the layer's name.

    Returns:
      A layer without parameters from ``(*space, channels)`` to ``(*space, channels)``, of the inputs' dtype. NaN
      spreads. Of equal ones the first has the gradient.

    Raises:
      ValueError: a size below 1, padding as large as the window, a window that does not fit, inputs with other axes.
      TypeError: no whole numbers, inputs that are not real numbers.
    """
    where = _pool(window, strides, padding)
    return _pooling(f"max_pool({where.sizes})", "max_pool", name, where, functools.partial(_largest, where=where))


@entry(
    "layer",
    equation="mean(x[s*i + k - p])",
    aliases=("average pooling", "mean pooling", "subsampling"),
    sources=("S0 'Layers'", "LeCun et al. 1998, doi:10.1109/5.726791"),
    conventions={
        "torch": "AvgPool2d: counts padding as zeros (count_include_pad=True): count_padding=True",
        "keras": "AveragePooling2D: leaves padding out, the same",
        "flax": "avg_pool: counts padding; strides are 1 where none are given",
    },
    see_also=("max_pool", "global_average_pool"),
)
@buildable
def average_pool(
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    count_padding: bool = False,
    name: str | None = None,
) -> Model:
    """Average pooling: the mean of each channel over every window.

    Args:
      window: a size for each axis of space, which says how many there are; an int is one axis.
      strides: places from one window to the next, for all axes or each; the window's sizes when None.
      padding: as of ``max_pool``.
      count_padding: whether padding counts as zeros; else the mean is over the places that are there.
      name: the layer's name.

    Returns:
      A layer without parameters from ``(*space, channels)`` to ``(*space, channels)``, of the inputs' dtype; integers
      become the default float.

    Raises:
      ValueError: a size below 1, padding as large as the window, a window that does not fit, inputs with other axes.
      TypeError: no whole numbers.
    """
    where = _pool(window, strides, padding)

    def mean(x):
        x = _check.floating(x, name="inputs")
        wide = x.astype(_check.compute_dtype(x.dtype))
        total = _reduced(wide, np.zeros((), wide.dtype)[()], jax.lax.add, where)
        return (total / _counts(x.shape[1:-1], where, count_padding, wide.dtype)).astype(x.dtype)

    return _pooling(f"average_pool({where.sizes})", "average_pool", name, where, mean)


def _pool(window: Any, strides: Any, padding: Any) -> _windows.Windows:
    where = _windows.windows(window, window if strides is None else strides, padding, 1, name="window", words=_WORDS)
    if isinstance(where.padding, tuple):
        for size, pair in zip(where.sizes, where.padding, strict=True):
            if max(pair) >= size:
                raise ValueError(f"padding must be smaller than the window, {where.sizes}; got {padding!r}")
    return where


def _pooling(label: str, kind: str, name: str | None, where: _windows.Windows, reduce: Any) -> Model:
    """A layer that reduces windows."""

    def transform(x, key, train):
        x = jnp.asarray(x)
        if x.ndim != where.rank + 2:
            raise ValueError(f"{label} takes batches of {_windows.axes(where.rank)}; got inputs of shape {x.shape}")
        shape(x.shape[1:])
        return reduce(x)

    def shape(input_shape):
        return (*where.results(label, input_shape), input_shape[-1])

    return stateless(transform, name=kind, label=name, shape=shape)


def _largest(x: jax.Array, where: _windows.Windows) -> jax.Array:
    """The largest of every window: of few places one after the other, whose gradient is seven times quicker on CPU."""
    if not jnp.issubdtype(x.dtype, jnp.floating) and not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(f"inputs must be real numbers; got {x.dtype}")
    least = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    if math.prod(where.sizes) > _FEW:
        return _reduced(x, np.asarray(least, x.dtype)[()], jax.lax.max, where)
    pairs = where.pairs(x.shape[1:-1])
    padded = jax.lax.pad(x, jnp.asarray(least, x.dtype), [(0, 0, 0), *((*pair, 0) for pair in pairs), (0, 0, 0)])
    lengths = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], where.sizes, where.strides, strict=True)]
    found = None
    for place in itertools.product(*map(range, where.sizes)):
        last = [k + (n - 1) * s + 1 for k, n, s in zip(place, lengths, where.strides, strict=True)]
        met = jax.lax.slice(padded, (0, *place, 0), (x.shape[0], *last, x.shape[-1]), (1, *where.strides, 1))
        found = met if found is None else jnp.where((met > found) | (met != met), met, found)
    assert found is not None
    return found


def _reduced(x: jax.Array, start: Any, function: Any, where: _windows.Windows) -> jax.Array:
    pairs = where.pairs(x.shape[1:-1])
    return jax.lax.reduce_window(
        x, start, function, (1, *where.sizes, 1), (1, *where.strides, 1), ((0, 0), *pairs, (0, 0))
    )


def _counts(lengths: Sequence[int], where: _windows.Windows, count_padding: bool, dtype: Any) -> Any:
    """Of how many places each mean is: a number, or an array where windows hold padding that does not count."""
    pairs = where.pairs(lengths)
    if count_padding or not any(map(any, pairs)):
        return np.prod(where.sizes).astype(dtype)
    counts = np.ones((1, *[1] * len(lengths), 1))
    for axis, (n, size, stride, (low, high)) in enumerate(
        zip(lengths, where.sizes, where.strides, pairs, strict=True), 1
    ):
        there = np.pad(np.ones(n), (low, high))
        found = np.lib.stride_tricks.sliding_window_view(there, size)[::stride].sum(-1)
        counts = counts * found.reshape([-1 if i == axis else 1 for i in range(counts.ndim)])
    return counts.astype(dtype)


@entry(
    "layer",
    equation="largest(x)",
    aliases=("global max pooling", "max over time"),
    sources=("Collobert et al. 2011, JMLR 12:2493",),
    conventions={"torch": "AdaptiveMaxPool2d(1) and Flatten", "keras": "GlobalMaxPooling2D, the same"},
    see_also=("max_pool", "global_average_pool"),
)
@buildable
def global_max_pool(*, name: str | None = None) -> Model:
    """The largest value of each channel over all places.

    Args:
      name: the layer's name.

    Returns:
      A layer without parameters from ``(*space, channels)`` to ``(channels,)``, of the inputs' dtype. Equal ones share
      the gradient.

    Raises:
      ValueError: inputs without an axis of space.
    """
    return _global("global_max_pool", name, jnp.max)


@entry(
    "layer",
    equation="mean(x)",
    aliases=("global average pooling", "gap"),
    sources=("Lin, Chen and Yan 2013, arXiv:1312.4400",),
    conventions={"torch": "AdaptiveAvgPool2d(1) and Flatten", "keras": "GlobalAveragePooling2D, the same"},
    see_also=("average_pool", "global_max_pool"),
)
@buildable
def global_average_pool(*, name: str | None = None) -> Model:
    """The mean of each channel over all places.

    Args:
      name: the layer's name.

    Returns:
      A layer without parameters from ``(*space, channels)`` to ``(channels,)``, of the inputs' dtype; integers become
      the default float.

    Raises:
      ValueError: inputs without an axis of space.
    """
    return _global("global_average_pool", name, jnp.mean)


def _global(kind: str, name: str | None, reduce: Any) -> Model:
    def shape(input_shape):
        if len(input_shape) < 2:
            raise ValueError(f"{kind} takes (*space, channels); got the input shape {tuple(input_shape)}")
        return tuple(input_shape[-1:])

    def transform(x, key, train):
        x = jnp.asarray(x)
        shape(x.shape[1:])
        return reduce(x, axis=tuple(range(1, x.ndim - 1)))

    return stateless(transform, name=kind, label=name, shape=shape)
