"""The convolution on CPU: linear in both arguments, with derivatives that are convolutions laid out as it is.

XLA's own derivatives name the axes anew and leave the arrays as they are. It brings such a convolution into the order
that its kernels for CPU need at the top of a program, but not within loops, where it is then some fifty times slower;
and training is a loop. Here arrays are moved so that every convolution has that order: ``(batch, *space, in)``,
``(*window, in/groups, out)``. Batched over by ``vmap`` it is one convolution, of more examples or more groups.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxdict import _check

Pairs = tuple[tuple[int, int], ...]


class Steps(NamedTuple):
    """How windows go: strides, what is added around, places between those of x and of the kernel, groups."""

    strides: tuple[int, ...]
    padding: Pairs
    x_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    groups: int


def convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Sequence[int]],
    x_dilation: Sequence[int], kernel_dilation: Sequence[int], groups: int,
) -> jax.Array:  # fmt: skip
    """``x`` ``(batch, *space, in)`` with ``kernel`` ``(*window, in/groups, out)``, of one type."""
    pairs = tuple((low, high) for low, high in padding)
    steps = Steps(tuple(strides), pairs, tuple(x_dilation), tuple(kernel_dilation), groups)
    if jax.default_backend() != "cpu":  # whose libraries want the axes named anew
        return _evaluate(x, kernel, steps=steps)
    return _primitive.bind(*_varying_alike(x, kernel), steps=steps)


def _varying_alike(*arrays: jax.Array) -> list[jax.Array]:
    """Arrays that vary over the same axes of a ``shard_map``; gradients by those that did not are summed over them."""
    axes = [jax.typeof(a).mat.varying for a in arrays]
    every = frozenset().union(*axes)
    return [jax.lax.pcast(a, tuple(every - own), to="varying") for a, own in zip(arrays, axes, strict=True)]


def _evaluate(x, kernel, *, steps):
    rank = kernel.ndim - 2
    data = (0, rank + 1, *range(1, rank + 1))
    return jax.lax.conv_general_dilated(
        x, kernel, steps.strides, steps.padding, steps.x_dilation, steps.kernel_dilation,
        jax.lax.ConvDimensionNumbers(data, (rank + 1, rank, *range(rank)), data), steps.groups,
    )  # fmt: skip


_FEW = 64  # terms that are written out one by one


def _evaluate_cpu(x, kernel, *, steps):
    """Depthwise convolutions as shifted products: XLA's own run group by group, many times slower."""
    window, outputs = kernel.shape[:-2], _shape(jax.typeof(x), jax.typeof(kernel), steps=steps).shape
    if steps.groups > 1 and kernel.shape[-2] == 1 and math.prod(window) <= _FEW:
        written = _by_window
    elif x.shape[0] == 1 and outputs[-1] == steps.groups > 1 and math.prod(outputs[1:-1]) <= _FEW:
        written = _by_output
    else:
        return _evaluate(x, kernel, steps=steps)
    wide = _check.compute_dtype(x.dtype)  # sums of narrow floats are rounded once
    return written(x.astype(wide), kernel.astype(wide), steps, outputs).astype(x.dtype)


def _widened(x: jax.Array, steps: Steps) -> jax.Array:
    """``x`` with its padding, and zeros between its places."""
    inner = [(low, high, step - 1) for (low, high), step in zip(steps.padding, steps.x_dilation, strict=True)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])


def _by_window(x: jax.Array, kernel: jax.Array, steps: Steps, outputs: Sequence[int]) -> jax.Array:
    """For every place of the window, what of x it meets times the kernel there; one input a group."""
    padded, multiplier = _widened(x, steps), outputs[-1] // steps.groups
    total = jnp.zeros(outputs, x.dtype)
    for place in itertools.product(*map(range, kernel.shape[:-2])):
        first = [k * step for k, step in zip(place, steps.kernel_dilation, strict=True)]
        last = [f + (n - 1) * stride + 1 for f, n, stride in zip(first, outputs[1:-1], steps.strides, strict=True)]
        met = jax.lax.slice(padded, (0, *first, 0), (x.shape[0], *last, x.shape[-1]), (1, *steps.strides, 1))
        met = jnp.repeat(met, multiplier, axis=-1) if multiplier > 1 else met
        total = total + met * jax.lax.broadcast(kernel[(*place, 0)], met.shape[:-1])
    return total


def _by_output(x: jax.Array, kernel: jax.Array, steps: Steps, outputs: Sequence[int]) -> jax.Array:
    """For every place of the output, the sum of the products there; one output a group."""
    *window, inputs, groups = kernel.shape
    padded = _widened(x, steps)[0]
    padded = jnp.swapaxes(padded.reshape(*padded.shape[:-1], groups, inputs), -1, -2)
    found = []
    for place in itertools.product(*map(range, outputs[1:-1])):
        first = [i * stride for i, stride in zip(place, steps.strides, strict=True)]
        last = [f + (k - 1) * step + 1 for f, k, step in zip(first, window, steps.kernel_dilation, strict=True)]
        met = jax.lax.slice(padded, (*first, 0, 0), (*last, inputs, groups), (*steps.kernel_dilation, 1, 1))
        found.append(jnp.sum(met * kernel, axis=range(len(window) + 1)))
    return jnp.stack(found).reshape(outputs)


def _dilated(lengths: Sequence[int], steps: Sequence[int]) -> list[int]:
    return [max((n - 1) * step + 1, 0) for n, step in zip(lengths, steps, strict=True)]


def _shape(x: Any, kernel: Any, *, steps: Steps) -> Any:
    widened = _dilated(x.shape[1:-1], steps.x_dilation)
    spans = _dilated(kernel.shape[:-2], steps.kernel_dilation)
    lengths = (
        max((n + low + high - span) // stride + 1, 0)
        for n, span, stride, (low, high) in zip(widened, spans, steps.strides, steps.padding, strict=True)
    )
    return x.update(shape=(x.shape[0], *lengths, kernel.shape[-1]), weak_type=False)


def _by_x(g: jax.Array, kernel: jax.Array, lengths: Sequence[int], steps: Steps) -> jax.Array:
    """The gradient by x, whose lengths are given: every output gives its window back."""
    *window, inputs, outputs = kernel.shape
    groups, rank = steps.groups, len(window)
    turned = jnp.moveaxis(jax.lax.rev(kernel, range(rank)).reshape(*window, inputs, groups, -1), -3, -1)
    turned = jnp.swapaxes(turned, -2, -3).reshape(*window, outputs // groups, groups * inputs)
    widened, spans = _dilated(lengths, steps.x_dilation), _dilated(window, steps.kernel_dilation)
    apart = _dilated(g.shape[1:-1], steps.strides)
    padding = tuple(
        (span - 1 - low, n + low - out)
        for n, span, out, (low, _) in zip(widened, spans, apart, steps.padding, strict=True)
    )
    return convolve(g, turned, steps.x_dilation, padding, steps.strides, steps.kernel_dilation, groups)


def _by_kernel(g: jax.Array, x: jax.Array, window: Sequence[int], steps: Steps) -> jax.Array:
    """The gradient by the kernel, whose window is given: examples are what is summed over, channels what is kept."""
    batch, *lengths, channels = x.shape
    inputs = channels // steps.groups
    turned = x.reshape(batch, *lengths, steps.groups, inputs)
    turned = jnp.moveaxis(jnp.moveaxis(turned, -1, 0), 1, -1).reshape(inputs, *lengths, steps.groups * batch)
    widened, spans = _dilated(lengths, steps.x_dilation), _dilated(window, steps.kernel_dilation)
    apart = _dilated(g.shape[1:-1], steps.strides)
    padding = tuple(
        (low, span - 1 + out - n - low)
        for n, span, out, (low, _) in zip(widened, spans, apart, steps.padding, strict=True)
    )
    weights = jnp.moveaxis(g, 0, -2)
    found = convolve(turned, weights, steps.kernel_dilation, padding, steps.x_dilation, steps.strides, steps.groups)
    return jnp.moveaxis(found, 0, -2)


def _transpose_x(g: Any, x: Any, kernel: Any, *, steps: Steps) -> Any:
    return _by_x(g, kernel, x.aval.shape[1:-1], steps)


def _transpose_kernel(g: Any, x: Any, kernel: Any, *, steps: Steps) -> Any:
    return _by_kernel(g, x, kernel.aval.shape[:-2], steps)


def _batch(arrays: Any, places: Any, *, steps: Steps) -> Any:
    x, kernel = arrays
    if places[1] is None:  # more examples
        x = jnp.moveaxis(x, places[0], 0)
        y = _primitive.bind(jax.lax.collapse(x, 0, 2), kernel, steps=steps)
        return y.reshape(*x.shape[:2], *y.shape[1:]), 0
    kernel = jnp.moveaxis(kernel, places[1], -2)
    many, outputs = kernel.shape[-2:]
    if places[0] is not None or steps.groups > 1:  # more groups, else more outputs
        x = jnp.repeat(x[..., None, :], many, -2) if places[0] is None else jnp.moveaxis(x, places[0], -2)
        x, steps = jax.lax.collapse(x, x.ndim - 2), steps._replace(groups=many * steps.groups)
    y = _primitive.bind(x, jax.lax.collapse(kernel, kernel.ndim - 2), steps=steps)
    return y.reshape(*y.shape[:-1], many, outputs), y.ndim - 1


_primitive = Primitive("convolve")
_primitive.def_impl(jax.jit(_evaluate_cpu, static_argnames="steps"))
_primitive.def_abstract_eval(_shape)
mlir.register_lowering(_primitive, mlir.lower_fun(_evaluate, multiple_results=False))
mlir.register_lowering(_primitive, mlir.lower_fun(_evaluate_cpu, multiple_results=False), platform="cpu")
ad.defbilinear(_primitive, _transpose_x, _transpose_kernel)
batching.primitive_batchers[_primitive] = _batch
