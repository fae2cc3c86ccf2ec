"""Kernels of a form: orthogonal, the identity, few connections; in a convolution at its centre."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _cache, _check, distributions
from jaxdict._entry import entry
from jaxdict.distributions import _dtypes, _program
from jaxdict.initializers._kernel import Axes, Initializer, Layout, kernel_options, layout, split


@entry(
    "initializer",
    equation="transpose(W) @ W == s**2*eye(W)",
    aliases=("semi-orthogonal", "Haar"),
    sources=("Saxe, McClelland and Ganguli 2014, arXiv:1312.6120", "Mezzadri 2007, arXiv:math-ph/0609050"),
    conventions={
        "torch": "orthogonal_: its kernels are (out, …), flattened behind the first axis: out_axis=0. No 16-bit types",
        "keras": "Orthogonal: gain is scale; flattened before the last axis. No 16-bit types",
        "jax": "orthogonal: column_axis is out_axis; the same draws. No 16-bit types, no batch of kernels",
    },
    see_also=("delta_orthogonal", "initializer identity"),
    symbols={"scale": "s"},
)
@_cache.constructor
@kernel_options
def orthogonal(scale: float | jax.Array = 1.0, *, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """Orthonormal columns, uniformly distributed, times ``scale``, one an output; where there are fewer rows, they are.

    All axes beside ``out_axis`` and ``batch_axis`` together are the rows.

    Args:
      scale: s, a number or a traced scalar; √2 goes with relu.
    """
    scale = _check.scalar("scale", scale)

    def init(key, shape, dtype=jnp.float32):
        dtype, wide = _dtypes(dtype)
        kernel = layout(shape, in_axis=(), out_axis=out_axis, batch_axis=batch_axis)
        if not kernel.field:
            raise ValueError(f"an orthogonal kernel has an axis beside those of outputs and batch; got shape {shape}")
        return _orthogonal(_check.prng_key(key), kernel, dtype, jnp.asarray(scale, wide))

    return init


@_program
def _orthogonal(key, kernel, dtype, scale):
    if 0 in kernel.shape:
        return jnp.zeros(kernel.shape, dtype)
    count, rows, columns = (kernel.size(axes) for axes in (kernel.batch, kernel.field, kernel.outputs))
    return kernel.assemble(scale * jax.random.orthogonal(key, rows, (count,), scale.dtype, columns)).astype(dtype)


@entry(
    "initializer",
    equation="H = W[c]; H @ transpose(H) == s**2*eye(transpose(H))",
    aliases=("convolutional orthogonal",),
    sources=("Xiao et al. 2018, arXiv:1806.05393",),
    conventions={
        "jax": "delta_orthogonal: kernels (…, in, out) of one to three dimensions; the same draws. No 16-bit types",
        "torch": "none",
        "keras": "none",
    },
    see_also=("orthogonal", "initializer identity"),
    symbols={"scale": "s"},
)
@_cache.constructor
@kernel_options
def delta_orthogonal(
    scale: float | jax.Array = 1.0, *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> Initializer:
    """Zero but at the centre c of the receptive field, orthogonal there: a convolution that keeps the norm.

    The vector of channels at each place is turned, and longer by ``scale``; so there are at least as many outputs as
    inputs. In a field of even size the centre is the place before the middle, which "SAME" padding aligns.

    Args:
      scale: s, a number or a traced scalar; √2 goes with relu.
    """
    matrices = orthogonal(scale, batch_axis=0)

    def init(key, shape, dtype=jnp.float32):
        kernel = layout(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
        count, inputs, outputs = (kernel.size(axes) for axes in (kernel.batch, kernel.inputs, kernel.outputs))
        if inputs > outputs:
            raise ValueError(
                f"a kernel keeps the norm with at least as many outputs as inputs; got {inputs} inputs and {outputs}"
                f" outputs in shape {kernel.shape}"
            )
        return _at_centre(matrices(key, (count, inputs, outputs), dtype), kernel)

    return init


@entry(
    "initializer",
    equation="s*indicator(i == j)",
    aliases=("eye", "dirac", "IRNN"),
    sources=("Le, Jaitly and Hinton 2015, arXiv:1504.00941", "Zagoruyko and Komodakis 2017, arXiv:1706.00388"),
    conventions={
        "torch": "eye_ for matrices; dirac_ for convolutions, with groups; in even sizes the place behind the middle",
        "keras": "Identity: matrices only; gain is scale",
        "jax": "none",
    },
    see_also=("orthogonal", "delta_orthogonal"),
    symbols={"scale": "s"},
)
@_cache.constructor
@kernel_options
def identity(
    scale: float | jax.Array = 1.0,
    *,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    groups: int = 1,
) -> Initializer:
    """Output j is ``scale`` times input j, as far as both go; in a convolution at the centre of its receptive field.

    It ignores the key. In a field of even size the centre is the place before the middle, which "SAME" padding aligns.

    Args:
      scale: s, a number or a traced scalar.
    """
    scale = _check.scalar("scale", scale)
    _check.integer("groups", groups, low=1)

    def init(key, shape, dtype=jnp.float32):
        del key
        dtype, wide = _dtypes(dtype)
        kernel = layout(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
        count, inputs, outputs = (kernel.size(axes) for axes in (kernel.batch, kernel.inputs, kernel.outputs))
        ones = np.tile(np.eye(inputs, split(outputs, groups)), (count, 1, groups))
        return _at_centre((jnp.asarray(scale, wide) * jnp.asarray(ones, wide)).astype(dtype), kernel)

    return init


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _at_centre(matrices: jax.Array, kernel: Layout) -> jax.Array:
    """A kernel that is 0 but at the centre of its receptive field, where ``matrices`` (batch, in, out) stand."""
    field = [kernel.shape[axis] for axis in kernel.field]
    if 0 in field:
        return jnp.zeros(kernel.shape, matrices.dtype)
    place = int(np.ravel_multi_index([(size - 1) // 2 for size in field], field)) if field else 0
    count, inputs, outputs = matrices.shape
    parts = jnp.zeros((count, math.prod(field), inputs, outputs), matrices.dtype)
    return kernel.assemble(parts.at[:, place].set(matrices))


@entry(
    "initializer",
    equation="std = sigma*sqrt(min(k, n_in)/n_in)",
    aliases=("sparse initialization",),
    sources=("Martens 2010, Deep learning via Hessian-free optimization, ICML",),
    conventions={
        "torch": "sparse_(sparsity, std=0.01): matrices only; the share of zeros is rounded up in floating point, which"
        " makes 8 of 100 at 0.07",
        "Martens": "15 connections of N(0, 1); biases 0, 0.5 for tanh",
        "keras": "none",
        "jax": "none",
    },
    see_also=("random", "normal"),
    symbols={"connections": "k", "stddev": "sigma"},
)
@_cache.constructor
@kernel_options
def sparse(
    *,
    connections: int = 15,
    sparsity: float | jax.Array | None = None,
    stddev: float | jax.Array = 1.0,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """Every output has the same few inputs, drawn at random, of normal weights; the other weights are 0.

    Args:
      connections: k, the number of weights of an output that are not 0; all of them where there are fewer.
      sparsity: instead the share of zeros among them, in [0, 1], which is rounded up to a whole number of zeros.
      stddev: σ ≥ 0, of the weights that are not 0.
    """
    connections = _check.integer("connections", connections, low=1)
    sparsity = None if sparsity is None else _check.scalar("sparsity", sparsity, low=0, high=1)
    stddev = _check.scalar("stddev", stddev, low=0)

    def init(key, shape, dtype=jnp.float32):
        dtype, wide = _dtypes(dtype)
        kernel = layout(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
        inputs = kernel.size(kernel.field + kernel.inputs)
        kept = connections if sparsity is None else inputs - _share(sparsity, inputs)
        return _sparse(_check.prng_key(key), kernel, dtype, kept, jnp.asarray(stddev, wide))

    return init


@_program
def _sparse(key, kernel, dtype, kept, stddev):
    shape = (kernel.size(kernel.batch), kernel.size(kernel.field + kernel.inputs), kernel.size(kernel.outputs))
    weights_key, places_key = jax.random.split(key)
    weights = distributions.normal(weights_key, shape, dtype, stddev=stddev)
    chosen = jnp.argsort(jax.random.bits(places_key, shape), axis=1) < kept  # the first of every output's own shuffle
    return kernel.assemble(jnp.where(chosen, weights, jnp.zeros_like(weights)))


def _share(share: Any, count: int) -> Any:
    """The whole number at or above ``share * count``: 7 for 0.07 of 100, though the product is a little more."""
    if isinstance(share, float):
        return math.ceil(share * count * (1 - 1e-12))
    return jnp.ceil(jnp.asarray(share, jnp.float32) * (count * (1 - 1e-6))).astype(int)


__all__ = ["delta_orthogonal", "identity", "orthogonal", "sparse"]
