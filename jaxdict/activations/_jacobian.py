"""The Jacobians of softmax and its logarithm as linear maps that keep their digits in forward and in reverse mode.

``v`` less its mean ``sum(a v)`` has none left where one class dominates: it is the rounding of the mean there. Taking
the mean of what is left off as well repairs it. Reverse mode would transpose these operations one by one, into others
that lose the digits again; but softmax's matrix is symmetric, so that its transpose is the map itself, and that of the
logarithm, ``g - a sum(g)``, is right when it is told 1 less the weight of what dominates. So weights go in signed: what
has more than half is given as minus what it lacks to 1.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxdict.activations._rows import LONG, SHORT, Axis, axes_of, length_of, summed


def softmax_change(a: jax.Array, v: jax.Array, axis: Axis) -> jax.Array:
    """``a (v - sum(a v))`` over ``axis``, linear in ``v``: the change of a softmax ``a`` along ``v``, of one shape."""
    return _primitive.bind(a, v, axes=axes_of(a, axis), of="softmax")


def log_softmax_change(signed: jax.Array, v: jax.Array, axis: Axis) -> jax.Array:
    """``v - sum(a v)`` over ``axis``, linear in ``v``: the change of the logarithm, for signed weights."""
    return _primitive.bind(signed, v, axes=axes_of(v, axis), of="logarithm")


def unsigned(signed: jax.Array) -> jax.Array:
    """The weights themselves."""
    return jnp.where(signed < 0, 1 + signed, signed)


def _off_mean(a, v, axes):
    """``v - sum(a v)`` to the last digits, and what multiplies it in a softmax's change."""
    length = length_of(a, axes)
    if SHORT < length < LONG:
        mean = jnp.sum(a * v, axes, keepdims=True)
        return (v - mean) - jnp.sum(a * (v - mean), axes, keepdims=True)
    mean, whole = summed(lambda a, v: (a * v, a), axes, a, v)
    mean = mean / (whole + jnp.finfo(a.dtype).tiny)  # the weights' own rounding taken out; all may be masked
    if length <= SHORT:
        mean = jnp.broadcast_to(mean, a.shape)
        return (v - mean) - summed(lambda a, v, mean: a * (v - mean), axes, a, v, mean)
    rest = summed(lambda a, v: a * (v - mean), axes, a, v)
    off = v - mean
    return jnp.where(jnp.abs(off) < jnp.abs(mean), off - rest, off)  # elsewhere it is the rounding of a long sum


def _backward(signed, g, axes):
    total = jnp.sum(g, axes, keepdims=True)
    return jnp.where(signed < 0, g - total, g) - signed * total  # g - a sum(g), in both


_MAPS = {  # name: the map, what autodiff may differentiate by the weights, the name of the transpose
    "softmax": (
        lambda a, v, axes: a * _off_mean(a, v, axes),
        lambda a, v, axes: a * (v - jnp.sum(a * v, axes, keepdims=True)),
        "softmax",
    ),
    "logarithm": (
        lambda k, v, axes: _off_mean(unsigned(k), v, axes),
        lambda k, v, axes: v - jnp.sum(unsigned(k) * v, axes, keepdims=True),
        "logarithm backward",
    ),
    "logarithm backward": (
        _backward,
        lambda k, g, axes: g - unsigned(k) * jnp.sum(g, axes, keepdims=True),
        "logarithm",
    ),
}


def _evaluate(a, v, *, axes, of):
    return _MAPS[of][0](a, v, axes)


_primitive = Primitive("softmax_change")
_primitive.def_impl(jax.jit(_evaluate, static_argnames=("axes", "of")))
_primitive.def_abstract_eval(lambda a, v, *, axes, of: v)
mlir.register_lowering(_primitive, mlir.lower_fun(_evaluate, multiple_results=False))


def _jvp(primals: Any, tangents: Any, *, axes: tuple[int, ...], of: str) -> Any:
    (a, v), (da, dv) = primals, tangents
    nothing = ad.Zero(jax.typeof(v))
    along_v = nothing if isinstance(dv, ad.Zero) else _primitive.bind(a, dv, axes=axes, of=of)
    along_a = nothing if isinstance(da, ad.Zero) else jax.jvp(lambda a: _MAPS[of][1](a, v, axes), (a,), (da,))[1]
    return _primitive.bind(a, v, axes=axes, of=of), ad.add_tangents(along_v, along_a)


def _transpose(cotangent: Any, a: Any, v: Any, *, axes: tuple[int, ...], of: str) -> Any:
    if isinstance(cotangent, ad.Zero):
        return None, cotangent
    return None, _primitive.bind(a, cotangent, axes=axes, of=_MAPS[of][2])


def _batch(arrays: Any, places: Any, *, axes: tuple[int, ...], of: str) -> Any:
    size = next(x.shape[k] for x, k in zip(arrays, places, strict=True) if k is not None)
    a, v = (batching.bdim_at_front(x, k, size) for x, k in zip(arrays, places, strict=True))
    return _primitive.bind(a, v, axes=tuple(k + 1 for k in axes), of=of), 0


ad.primitive_jvps[_primitive] = _jvp
ad.primitive_transposes[_primitive] = _transpose
batching.primitive_batchers[_primitive] = _batch
