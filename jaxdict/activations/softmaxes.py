"""Softmax and its logarithm, over an axis. Their derivative keeps the result alone, not the input.

With ``u = x/temperature`` and the result ``a``: ``da = a (du - sum(a du))`` and ``d log a = du - sum(a du)``.
"""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxdict import _check
from jaxdict._entry import entry

Axis = int | tuple[int, ...] | None


def _present(x, where, absent):
    """``x``, with ``absent`` where masked out."""
    return x if where is None else jnp.where(where, x, absent)


def _shifted(x, temperature, where, axis):
    """``x`` minus its largest, over the temperature: 0 at the largest, inf included; -inf or NaN where masked out."""
    x = _present(x, where, -jnp.inf)
    largest = jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    finite = jnp.minimum(largest, jnp.finfo(x.dtype).max)  # inf - inf would be NaN
    return jnp.minimum(x - finite, 0.0) / temperature


def _change(a, tangents, x, temperature, where, axis):
    """``du - sum(a du)``."""
    dx, dtemperature, _ = tangents
    du = jnp.zeros_like(a)
    if not isinstance(dx, SymbolicZero):
        du = dx / temperature
    if not isinstance(dtemperature, SymbolicZero):
        u = jnp.where(a > 0, _shifted(x, temperature, where, axis), 0.0)  # not 0*inf
        du = du - u * (dtemperature / temperature)
    du = _present(du, where, 0.0)
    return du - jnp.sum(a * du, axis, keepdims=True)


def _softmax_value(x, temperature, where, axis):
    e = jnp.exp(_shifted(x, temperature, where, axis))
    return _present(e / jnp.sum(e, axis, keepdims=True), where, 0.0)


def _softmax_jvp(axis, primals, tangents):
    x, temperature, where = primals
    a = _softmax(x, temperature, where, axis)
    return a, _present(a * _change(a, tangents, x, temperature, where, axis), where, 0.0)


def _log_softmax_value(x, temperature, where, axis):
    u = _shifted(x, temperature, where, axis)
    # The largest adds 1 to the sum of exponentials, and would hide what the others add: it is taken out of the terms.
    top = jnp.maximum(1 + 1e38 * u, 0.0)  # 1 at the largest, 0 elsewhere; a selection takes twice the time
    others = jnp.sum(jnp.exp(u) - top, axis, keepdims=True) + (jnp.sum(top, axis, keepdims=True) - 1)
    return _present(u - jnp.log1p(others), where, -jnp.inf)


def _log_softmax_jvp(axis, primals, tangents):
    x, temperature, where = primals
    y = _log_softmax(x, temperature, where, axis)
    return y, _present(_change(jnp.exp(y), tangents, x, temperature, where, axis), where, 0.0)


_softmax = jax.custom_jvp(_softmax_value, nondiff_argnums=(3,))
_softmax.defjvp(_softmax_jvp, symbolic_zeros=True)
_log_softmax = jax.custom_jvp(_log_softmax_value, nondiff_argnums=(3,))
_log_softmax.defjvp(_log_softmax_jvp, symbolic_zeros=True)
_COMPILED = {f: jax.jit(f, static_argnums=3, inline=True) for f in (_softmax, _log_softmax)}


def _apply(function, x, axis, where, temperature):
    """Check the arguments, compute in the right type, come back in the type of ``x``."""
    x = _check.floating(x)
    _check.number("temperature", temperature, above=0)
    if where is not None:
        where = jnp.asarray(where, bool)
        if where.ndim > x.ndim or any(m not in (1, n) for m, n in zip(where.shape[::-1], x.shape[::-1], strict=False)):
            raise ValueError(f"where must broadcast to the shape of x; got {where.shape} and {x.shape}")
        where = jnp.broadcast_to(where, x.shape)
    dtype = _check.compute_dtype(x.dtype)
    axis = tuple(axis) if isinstance(axis, list) else axis
    return _COMPILED[function](x.astype(dtype), jnp.asarray(temperature, dtype), where, axis).astype(x.dtype)


@entry(
    "activation",
    equation="exp(x)/sum(exp(x))",
    derivative="a = exp(x)/sum(exp(x)); diag(a) - outer(a, a)",
    aliases=("normalized exponential", "softargmax"),
    sources=("S0 4.11", "S2 10.1.6", "S3"),
    errata=(
        "S0 4.11 prints only the diagonal of the Jacobian, a_i(1 - a_i); off it stands -a_i a_j.",
        "S0 4.11 says that it is used as the final layer only: attention uses it inside.",
    ),
    conventions={
        "torch": "dim has no default that is safe to rely on; a row of -inf is NaN",
        "keras": "the same, axis=-1; no temperature",
        "jax": "the same, axis=-1, where; no temperature",
    },
    see_also=("log_softmax", "sigmoid", "softmax_cross_entropy"),
    vectors=("x",),
)
def softmax(
    x: jax.typing.ArrayLike,
    *,
    axis: Axis = -1,
    where: jax.typing.ArrayLike | None = None,
    temperature: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
    """Softmax, ``exp(x/T)/sum(exp(x/T))`` over ``axis``: positive numbers whose sum is 1.

    Args:
      x: ``(..., n, ...)``, any real dtype; integers become the default float.
      axis: the axis or axes to normalize over; None for all.
      where: mask that broadcasts to ``x``; what is False counts as absent: 0, gradient 0, whatever ``x`` holds.
      temperature: ``T > 0``, smaller is sharper; differentiable.

    Returns:
      Same shape and dtype; right at any common offset. inf takes all. A row of -inf alone is NaN, for there is nothing
      to normalize; one that is masked out altogether is 0.

    Raises:
      TypeError: complex input.
      ValueError: ``temperature`` not above 0, ``where`` of another shape, no such axis.
    """
    return _apply(_softmax, x, axis, where, temperature)


@entry(
    "activation",
    equation="x - log(sum(exp(x)))",
    derivative="a = exp(x)/sum(exp(x)); eye(x) - outer(ones(x), a)",
    aliases=("log softmax",),
    sources=("S0 4.11", "S3"),
    conventions={"torch": "the same, without mask and temperature", "jax": "the same, no temperature"},
    see_also=("softmax", "softmax_cross_entropy"),
    vectors=("x",),
)
def log_softmax(
    x: jax.typing.ArrayLike,
    *,
    axis: Axis = -1,
    where: jax.typing.ArrayLike | None = None,
    temperature: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
    """Logarithm of softmax, ``x/T - ln(sum(exp(x/T)))`` over ``axis``.

    Args:
      x: ``(..., n, ...)``, any real dtype; integers become the default float.
      axis: the axis or axes to normalize over; None for all.
      where: mask that broadcasts to ``x``; what is False counts as absent: -inf, gradient 0, whatever ``x`` holds.
      temperature: ``T > 0``, smaller is sharper; differentiable.

    Returns:
      Same shape and dtype; right at any common offset, and where one entry dominates. A row of -inf alone is NaN; one
      that is masked out altogether is -inf.

    Raises:
      TypeError: complex input.
      ValueError: ``temperature`` not above 0, ``where`` of another shape, no such axis.
    """
    return _apply(_log_softmax, x, axis, where, temperature)


__all__ = ["log_softmax", "softmax"]
