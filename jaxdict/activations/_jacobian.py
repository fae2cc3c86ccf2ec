"""The Jacobian of softmax as a linear map that keeps its digits in forward and in reverse mode.

``a (v - sum(a v))`` has none left where one class dominates: ``v`` less its mean is the rounding of the mean there.
Taking the mean of what is left off as well repairs it. Reverse mode would transpose these operations one by one, into
others that lose the digits again; but the matrix is symmetric, so that its transpose is the map itself.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxdict.activations._rows import SHORT, Axis, axes_of, length_of, summed


def softmax_change(a: jax.Array, v: jax.Array, axis: Axis) -> jax.Array:
    """``a (v - sum(a v))`` over ``axis``, linear in ``v``: the change of a softmax ``a`` along ``v``, of one shape."""
    return _primitive.bind(a, v, axes=axes_of(a, axis))


def _formula(a, v, axes):
    return a * (v - jnp.sum(a * v, axes, keepdims=True))


def _accurate(a, v, *, axes):
    if length_of(a, axes) <= SHORT:
        mean = jnp.broadcast_to(summed(lambda a, v: a * v, axes, a, v), a.shape)
        rest = summed(lambda a, v, mean: a * (v - mean), axes, a, v, mean)
    else:
        mean = jnp.sum(a * v, axes, keepdims=True)
        rest = jnp.sum(a * (v - mean), axes, keepdims=True)
    return a * ((v - mean) - rest)


_primitive = Primitive("softmax_change")
_primitive.def_impl(jax.jit(_accurate, static_argnames="axes"))
_primitive.def_abstract_eval(lambda a, v, *, axes: v)
mlir.register_lowering(_primitive, mlir.lower_fun(_accurate, multiple_results=False))


def _jvp(primals: Any, tangents: Any, *, axes: tuple[int, ...]) -> Any:
    (a, v), (da, dv) = primals, tangents
    nothing = ad.Zero(jax.typeof(v))
    along_v = nothing if isinstance(dv, ad.Zero) else _primitive.bind(a, dv, axes=axes)
    along_a = nothing if isinstance(da, ad.Zero) else jax.jvp(lambda a: _formula(a, v, axes), (a,), (da,))[1]
    return _primitive.bind(a, v, axes=axes), ad.add_tangents(along_v, along_a)


def _transpose(cotangent: Any, a: Any, v: Any, *, axes: tuple[int, ...]) -> Any:
    return None, cotangent if isinstance(cotangent, ad.Zero) else _primitive.bind(a, cotangent, axes=axes)


def _batch(arrays: Any, places: Any, *, axes: tuple[int, ...]) -> Any:
    size = next(x.shape[k] for x, k in zip(arrays, places, strict=True) if k is not None)
    a, v = (batching.bdim_at_front(x, k, size) for x, k in zip(arrays, places, strict=True))
    return _primitive.bind(a, v, axes=tuple(k + 1 for k in axes)), 0


ad.primitive_jvps[_primitive] = _jvp
ad.primitive_transposes[_primitive] = _transpose
batching.primitive_batchers[_primitive] = _batch
