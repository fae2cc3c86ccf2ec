"""Over an axis: softmax, its logarithm, and sparsemax. Their derivatives are made of the weights of the inputs.

With ``u = x/temperature`` and softmax ``a``, ``da = a (du - sum(a du))`` and ``d log a = du - sum(a du)``; sparsemax
changes by ``du`` less its mean, both over the support.
"""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.activations._jacobian import log_softmax_change, softmax_change, unsigned
from jaxdict.activations._kernels import exp_below
from jaxdict.activations._rows import HIGH, LONG, SHORT, Axis, kept, largest, length_of, start_of_long, summed


def _present(x, where, absent):
    """``x``, with ``absent`` where masked out."""
    return x if where is None else jnp.where(where, x, absent)


def _over(x, temperature):
    return x if temperature is None else x / temperature


def _top(x, axis):
    return jnp.minimum(largest(x, axis), jnp.finfo(x.dtype).max)  # inf - inf would be NaN


def _shifted(x, temperature, where, axis):
    """``x`` minus its largest, over the temperature: 0 at the largest, inf included; -inf or NaN where masked out."""
    x = _present(x, where, -jnp.inf)
    top = _top(x, axis)
    return _over(jnp.where(x > top, 0.0, x - top), temperature)  # a minimum may lose NaN, see `_rows`


def _start(top, temperature, length):
    """What is taken off before the exponential, see `_rows`; of one or two numbers the largest: too few to gain."""
    if temperature is not None or length <= 2 or SHORT < length < LONG:
        return top
    if length >= LONG:
        return start_of_long(top)
    return jnp.minimum(top, 0.0) + jnp.maximum(top - HIGH, 0.0)  # XLA's CPU library has no choice between two


def _softmax_value(x, temperature, where, axis):
    x = _present(x, where, -jnp.inf)
    top, length = _top(x, axis), length_of(x, axis)
    start = _start(top, temperature, length)
    if length >= LONG:
        e = exp_below(_over(jnp.where(x > top, 0.0, x - start), temperature))
        shares = kept(e / jnp.sum(e, axis, keepdims=True))  # else reverse mode keeps e, to compute them again
    else:
        # What the exponential of inf is replaced by is made of the data, and comes first: the minimum of XLA's CPU
        # library is the second of two when one is NaN, and XLA puts constants there.
        cap = jnp.broadcast_to(1e30 + 0 * top, x.shape)  # above exp(64), which HIGH may be rounded to
        e = jax.lax.min(cap, jnp.exp(_over(x - start, temperature)))
        shares = e / jnp.sum(e, axis, keepdims=True)
    return _present(shares, where, 0.0)


class _Sums:
    """Of exponentials: ``most``, the largest, and ``rest``, what all sum to beside it: one sum of both would lose it.

    The largest is 1 but in long rows, where ``start`` may be 0 instead of it.
    """

    def __init__(self, x, temperature, axis):
        top, finite, length = largest(x, axis), _top(x, axis), length_of(x, axis)
        long = length >= LONG
        self.start = _start(finite, temperature, length) if long else finite
        self.most = exp_below(_over(finite - self.start, temperature)) if long else 1.0

        def term(x):
            is_top = x == top
            return jnp.where(is_top, 0.0, exp_below(_over(x - self.start, temperature))), is_top.astype(x.dtype)

        others, ties = summed(term, axis, x)
        self.rest = others + (ties - 1) * self.most


def _log_softmax_value(x, temperature, where, axis):
    x = _present(x, where, -jnp.inf)
    sums = _Sums(x, temperature, axis)
    value = _shifted(x, temperature, None, axis) - jnp.log1p(sums.rest / sums.most)
    return _present(value, where, -jnp.inf)


def _signed_value(x, temperature, where, axis):
    """Softmax again, from the sums of its logarithm, signed: the exponential of that loses digits the smaller it is."""
    x = _present(x, where, -jnp.inf)
    z, sums = _shifted(x, temperature, None, axis), _Sums(x, temperature, axis)
    lack = sums.rest / sums.most
    share = jnp.where((lack > 0) & (lack < 1), -lack, 1.0) / (1 + lack)  # what lacks nothing is 1
    e = exp_below(_over(x - sums.start, temperature)) / sums.most
    return _present(jnp.where(z == 0, share, e * unsigned(share)), where, 0.0)


def _sparsemax_value(x, temperature, where, axis):
    # What is 1 below the largest gets nothing, so that nothing below counts.
    u = _present(jnp.maximum(_shifted(x, temperature, where, axis), -1.0), where, -1.0)

    def shrink(state):
        # Newton's method on sum(max(u - threshold, 0)) = 1, from the left: the support shrinks until it is right.
        threshold, size, _ = state
        above = u > threshold
        smaller = jnp.sum(above, axis, keepdims=True, dtype=u.dtype)
        better = (jnp.sum(jnp.where(above, u, 0.0), axis, keepdims=True) - 1) / smaller
        return jnp.maximum(better, threshold), smaller, jnp.any(smaller < size)

    start = jnp.full_like(jnp.sum(u, axis, keepdims=True), -1.0)
    threshold, *_ = jax.lax.while_loop(lambda state: state[2], shrink, (start, jnp.full_like(start, jnp.inf), True))
    return _present(jnp.maximum(u - threshold, 0.0), where, 0.0)


def _signed_change(signed, du, axis):
    return softmax_change(unsigned(signed), du, axis)


def _sparsemax_change(p, du, axis):
    support = (p > 0).astype(p.dtype)
    size = jnp.maximum(jnp.sum(support, axis, keepdims=True), 1)
    return support * (du - jnp.sum(support * du, axis, keepdims=True) / size)


def _rule(value, change, kept=None):
    """``value(x, temperature, where, axis)``, compiled; ``change(kept, du, axis)`` is its derivative along ``du``.

    Kept is the result, or what another function of the same arguments gives.
    """

    def jvp(axis, primals, tangents):
        x, temperature, where = primals
        dx, dtemperature, _ = tangents
        y = core(x, temperature, where, axis)
        du = jnp.zeros_like(y)
        if not isinstance(dx, SymbolicZero):
            du = _over(dx, temperature)
        if temperature is not None and not isinstance(dtemperature, SymbolicZero):
            u = _shifted(x, temperature, where, axis)
            du = du - jnp.where(u > -jnp.inf, u, 0.0) * (dtemperature / temperature)  # not 0*inf
        k = y if kept is None else kept(x, temperature, where, axis)
        return y, _present(change(k, _present(du, where, 0.0), axis), where, 0.0)

    core = jax.custom_jvp(value, nondiff_argnums=(3,))
    core.defjvp(jvp, symbolic_zeros=True)
    return jax.jit(core, static_argnums=3, inline=True)


_softmax = _rule(_softmax_value, softmax_change)
_log_softmax = _rule(_log_softmax_value, log_softmax_change, kept=_rule(_signed_value, _signed_change))
_sparsemax = _rule(_sparsemax_value, _sparsemax_change)


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
    for one in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if not -x.ndim <= _check.integer("axis", one) < x.ndim:
            raise ValueError(f"axis must be of x, whose shape is {x.shape}; got {axis}")
    if isinstance(temperature, (int, float)) and temperature == 1:
        temperature = None  # no division, which an eager call would carry out
    else:
        temperature = jnp.asarray(temperature, dtype)
    return function(x.astype(dtype), temperature, where, axis).astype(x.dtype)


@entry(
    "activation",
    equation="exp(x)/sum(exp(x))",
    derivative="a = exp(x)/sum(exp(x)); diag(a) - outer(a, a)",
    aliases=("normalized exponential", "softargmax"),
    sources=("S0 4.11", "S2 10.1.6", "S3", "Bridle 1990, doi:10.1007/978-3-642-76153-9_28"),
    errata=(
        "S0 4.11 prints only the diagonal of the Jacobian, a_i(1 - a_i); off it stands -a_i a_j.",
        "S0 4.11 says that it is used as the final layer only: attention uses it inside.",
    ),
    conventions={
        "torch": "dim has no default that is safe to rely on; a row of -inf is NaN",
        "keras": "the same, axis=-1; no temperature",
        "jax": "the same, axis=-1, where; no temperature",
    },
    see_also=("log_softmax", "sparsemax", "sigmoid", "softmax_cross_entropy"),
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


@entry(
    "activation",
    equation="tau = largest((topsum(x) - 1)/rank(x)); max(x - tau, 0)",
    derivative="tau = largest((topsum(x) - 1)/rank(x)); s = indicator(x > tau); p = s/sum(s); diag(s) - outer(s, p)",
    aliases=("sparse softmax", "projection onto the simplex"),
    sources=("Martins & Astudillo 2016, arXiv:1602.02068",),
    conventions={
        "torch": "none",
        "keras": "sparsemax(x, axis=-1), but wrong where two or more get something, for it adds up the "
        "partial sums, so [0.1, 0] gives [0.5, 0.4] where [0.55, 0.45] is right",
        "jax": "none",
    },
    see_also=("softmax",),
    vectors=("x",),
)
def sparsemax(x: jax.typing.ArrayLike, *, axis: Axis = -1, where: jax.typing.ArrayLike | None = None) -> jax.Array:
    """Sparsemax, the point of the simplex nearest to ``x``: ``max(x - tau, 0)``, ``tau`` such that the sum is 1.

    Args:
      x: ``(..., n, ...)``, any real dtype; integers become the default float.
      axis: the axis or axes to normalize over; None for all.
      where: mask that broadcasts to ``x``; what is False counts as absent: 0, gradient 0, whatever ``x`` holds.

    Returns:
      Same shape and dtype; 0 for all that is 1 or more below the largest. inf takes all. A row of -inf alone is NaN;
      one that is masked out altogether is 0. The derivative is that of the support, what is above 0.

    Raises:
      TypeError: complex input.
      ValueError: ``where`` of another shape, no such axis.
    """
    return _apply(_sparsemax, x, axis, where, 1)


__all__ = ["log_softmax", "softmax", "sparsemax"]
