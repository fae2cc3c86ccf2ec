"""The one shape of all normalizations: x minus its mean, over the root of its variance, times scale, plus offset."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

Axes = tuple[int, ...]


class Moments(NamedTuple):
    """Mean and variance in units of ``unit``, a power of two, and ``x`` about that mean; reduced axes are kept as 1."""

    unit: jax.Array
    about: jax.Array  # a number among those of x; the mean is about + shift
    shift: jax.Array
    variance: jax.Array
    centered: jax.Array


# Compiled where they are called alone, so that an eager call is one program and not one an operation.
@functools.partial(jax.jit, static_argnames=("axes", "careful"), inline=True)
def moments(x: jax.Array, axes: Axes, share: jax.Array | None = None, *, careful: bool = False) -> Moments:
    """The moments of ``x`` over ``axes``; ``share`` are weights that sum to 1.

    Sums are taken about a number that stands near the mean, so that it costs no digits: the median of three elements,
    or, with weights and where digits matter more than time (``careful``), a first mean.
    """
    unit = _unit(x, axes)
    x = x * (1 / unit)
    about = jax.lax.stop_gradient(_mean(x, axes, share) if careful or share is not None else _median(x, axes))
    z = x - about
    shift = _mean(z, axes, share)
    variance = _mean(jnp.square(z), axes, share) - jnp.square(shift)
    variance = variance + jax.lax.stop_gradient(jnp.maximum(-variance, 0))  # rounding must not leave it below 0
    return Moments(unit, about, shift, variance, z - shift)


@functools.partial(jax.jit, static_argnums=(2, 3), inline=True)
def standard(x: jax.Array, eps: jax.Array, axes: Axes, center: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``z`` and ``root``, whose product is the normalized x, and 1/sqrt(variance + eps) in the units of x."""
    if center:
        unit, _, _, variance, z = moments(x, axes)
    else:
        unit = _unit(x, axes)
        z = x * (1 / unit)
        variance = _mean(jnp.square(z), axes)
    # Never 0, also where eps is, or is in this unit: so that what is constant becomes 0.
    least = jnp.maximum(eps * (1 / unit) * (1 / unit), float(jnp.finfo(x.dtype).tiny))
    root = jax.lax.rsqrt(variance + least)
    return z, root, root * (1 / unit)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
@functools.partial(jax.jit, static_argnums=(4, 5), inline=True)
def normalize(x: jax.Array, eps: jax.Array, scale: jax.Array, offset: jax.Array, axes: Axes, center: bool) -> jax.Array:
    """``scale*(x - mean)/sqrt(variance + eps) + offset``, statistics over ``axes``; uncentered: the mean is 0.

    ``scale`` and ``offset`` have the axes of ``x``, or 1 instead. The derivative is in closed form: reverse mode keeps
    one array, and reads it twice.
    """
    z, root, _ = standard(x, eps, axes, center)
    return z * (root * scale) + offset


@functools.partial(normalize.defjvp, symbolic_zeros=True)
def _(axes: Axes, center: bool, primals: Any, tangents: Any) -> Any:
    x, eps, scale, offset = primals
    z, root, outer = standard(x, eps, axes, center)
    dx, deps, dscale, doffset = (None if isinstance(t, SymbolicZero) else t for t in tangents)
    # What is normalized together mostly has one scale: all but two products and two sums are then of statistics alone.
    alike = all(scale.shape[i] == 1 for i in axes)
    y, rest = (z, root) if alike else (z * root, 1.0)
    # By how much 1/root grows, relatively; and the mean, in units of 1/root. The roots' product might overflow.
    grow = _plus(None if dx is None else outer * (rest * _mean(y * dx, axes)), _times(0.5 * jnp.square(outer), deps))
    shift = outer * _mean(dx, axes) if center and dx is not None else None
    if alike:
        slope = _times(root, _plus(dscale, _times(-scale, grow)))
        change = _plus(_times(outer * scale, dx), _plus(doffset, _times(-scale, shift)), _times(z, slope))
    else:
        change = _plus(_times(outer, dx), _times(-1.0, shift), _times(y, _times(-1.0, grow)))
        change = _plus(_times(scale, change), _times(y, dscale), doffset)
    value = z * (root * scale) + offset
    return value, jnp.zeros_like(value) if change is None else jnp.broadcast_to(change, value.shape)


def _times(factor: Any, term: Any) -> Any:
    """The product, of which ``term`` may be None for 0."""
    return None if term is None else factor * term


def _plus(*terms: Any) -> Any:
    """The sum of those that are not None."""
    present = [term for term in terms if term is not None]
    return functools.reduce(jnp.add, present) if present else None


def _mean(x: jax.Array, axes: Axes, share: jax.Array | None = None) -> jax.Array:
    return jnp.mean(x, axes, keepdims=True) if share is None else jnp.sum(x * share, axes, keepdims=True)


def _unit(x: jax.Array, axes: Axes) -> jax.Array:
    """A power of two near the largest magnitude, so that squares stay in range; its inverse is a normal number too."""
    info = jnp.finfo(x.dtype)
    peak = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axes, keepdims=True)
    # Below 2**-40 nothing is gained: eps in these units would leave the range.
    peak = jnp.clip(peak, 2.0**-40, 2.0 ** (info.maxexp - 2))
    return jax.lax.reduce_precision(peak, exponent_bits=info.nexp, mantissa_bits=0)


def _median(x: jax.Array, axes: Axes) -> jax.Array:
    """The median of three elements along ``axes``, the first, middle and last: one element alone may be far off."""

    def element(place: Any) -> jax.Array:
        return jax.lax.slice(
            x,
            [place(n) if i in axes else 0 for i, n in enumerate(x.shape)],
            [place(n) + 1 if i in axes else n for i, n in enumerate(x.shape)],
        )

    a, b, c = element(lambda n: 0), element(lambda n: n // 2), element(lambda n: n - 1)
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))
