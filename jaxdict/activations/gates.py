"""``x`` times a smooth step: swish, gelu and mish; and glu, one half of ``x`` times a step of the other.

Values alone are ``x/(1 + exp(-u))``. With derivatives, swish and gelu are written with ``a = |x|`` and the tail ``q``
of the step at ``-a``: the value is ``max(x, 0) - a q``, and the derivative is ``g`` for x < 0 and ``1 - g`` for x >= 0,
where ``g`` is the slope at ``-a``. Nothing is infinite, and nothing cancels but at the root of ``g``, which swish and
gelu take out as a factor. Mish is a quotient of powers of exp(-a).
"""

import math

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations import _kernels
from jaxdict.activations._kernels import high_part, near_root, polynomial
from jaxdict.activations.sigmoids import sigmoid_rule

_FAR = 800.0  # exp(-800) is 0 in float64 too


def _step_tail(u):
    """sigma(-|u|), and the slope of ``u sigma(u)`` at -|u|."""
    a = jnp.minimum(jnp.abs(u), _FAR)
    q = _kernels.tail(a)
    bracket = (1 - a) + a * q
    if not _kernels.is_wide(u):
        at_root = (1 - q) * near_root(a, _kernels.SILU_ROOT, polynomial(a - 1.3, _kernels.SILU))
        bracket = jnp.where(jnp.abs(a - 1.3) < 0.3, at_root, bracket)
    return q, q * bracket


def _silu(x):
    q, g = _step_tail(x)
    return jnp.maximum(x, 0) - jnp.minimum(jnp.abs(x), _FAR) * q, (jnp.where(x >= 0, 1 - g, g),)


def _swish(x, beta):
    finite = _kernels.finite(x)
    u = beta * finite
    q, g = _step_tail(u)
    tail = finite * q
    return jnp.where(u >= 0, x - tail, tail), (jnp.where(u >= 0, 1 - g, g), tail * (finite * (1 - q)))


def _gated_by(x, u):
    """x sigma(u) where nothing is differentiated; 0 where sigma(u) is, so that a shut gate holds infinity back."""
    end = _kernels.limit(u)
    return jnp.where(u > -end, x, 0.0) / (1 + _kernels.exp(-jnp.clip(u, -end, end)))


@entry(
    "activation",
    equation="x*sigma(beta*x)",
    derivative="sigma(beta*x)*(1 + beta*x*(1 - sigma(beta*x)))",
    aliases=("silu", "sigmoid linear unit", "sigmoid-weighted linear unit"),
    sources=("S3", "Elfwing, Uchibe & Doya 2018, arXiv:1702.03118", "Ramachandran, Zoph & Le 2017, arXiv:1710.05941"),
    errata=("S3 says that the gradient is not 0 for x < 0: it is at one point, x = -1.2785 for beta = 1.",),
    conventions={"torch": "F.silu, beta fixed at 1", "keras": "silu, beta fixed at 1", "jax": "silu, beta fixed at 1"},
    see_also=("gelu", "mish", "glu", "sigmoid"),
)
def swish(x: jax.typing.ArrayLike, beta: jax.typing.ArrayLike = 1.0) -> jax.Array:
    """Swish, ``x*sigmoid(beta*x)``; SiLU at ``beta = 1``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      beta: sharpness of the gate, from ``x/2`` at 0 towards ReLU; differentiable.

    Returns:
      Same shape and dtype as ``x``; 0 at -inf for positive ``beta``.

    Raises:
      TypeError: complex input.
    """
    if isinstance(beta, (int, float)) and beta == 1:
        return _silu_core(x)
    return _swish_core(x, _check.number("beta", beta))


_silu_core = closed_form(_silu)(lambda x: _gated_by(x, x))
_swish_core = closed_form(_swish)(lambda x, beta: _swish(x, beta)[0])


def _gelu_exact(x):
    if _kernels.is_wide(x):
        a = jnp.minimum(jnp.abs(x), 40.0)
        tail = jax.lax.erfc(a * math.sqrt(0.5)) / 2
        g = tail - a * jnp.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        return jnp.maximum(x, 0) - a * tail, (jnp.where(x >= 0, 1 - g, g),)
    a = jnp.minimum(jnp.abs(x), 14.5)
    # exp(-a^2/2): the exponent in two parts, the first exact, for its error counts a^2 times.
    high = high_part(a)
    density = _kernels.exp_of_sum(high * high * -0.5, (a - high) * (a + high) * -0.5)
    t = (a - 3) / (a + 3)
    p = polynomial(t, _kernels.GELU_VALUE)
    tail = a * density * (p - t * p)
    g = density * near_root(a, _kernels.GELU_ROOT, polynomial(t, _kernels.GELU_SLOPE))
    return jnp.maximum(x, 0) - tail, (jnp.where(x >= 0, 1 - g, g),)


_GELU_LINEAR = math.sqrt(8 / math.pi)  # twice the tanh form's sqrt(2/pi), for the logistic function
_GELU_CUBIC = _GELU_LINEAR * 0.044715


def _gelu_tanh(x):
    a = jnp.minimum(jnp.abs(x), 40.0 if _kernels.is_wide(x) else 12.0)
    q = _kernels.tail(a * (_GELU_LINEAR + _GELU_CUBIC * (a * a)))
    bracket = 1 - (1 - q) * (a * (_GELU_LINEAR + 3 * _GELU_CUBIC * (a * a)))
    if not _kernels.is_wide(x):
        at_root = (1 - q) * near_root(a, _kernels.GELU_TANH_ROOT, polynomial(a - 0.755, _kernels.GELU_TANH))
        bracket = jnp.where(jnp.abs(a - 0.755) < 0.265, at_root, bracket)
    g = q * bracket
    return jnp.maximum(x, 0) - a * q, (jnp.where(x >= 0, 1 - g, g),)


def _gelu_tanh_value(x):
    end = 20.0 if _kernels.is_wide(x) else 10.0
    c = jnp.clip(x, -end, end)
    return jnp.where(x > -end, x, 0.0) / (1 + _kernels.exp(-c * (_GELU_LINEAR + _GELU_CUBIC * (c * c))))


_exact = closed_form(_gelu_exact)(lambda x: _gelu_exact(x)[0])
_approximate = closed_form(_gelu_tanh)(_gelu_tanh_value)


@entry(
    "activation",
    equation="x*Phi(x)",
    derivative="Phi(x) + x*phi(x)",
    aliases=("gaussian error linear unit",),
    sources=("S3", "Hendrycks & Gimpel 2016, arXiv:1606.08415"),
    errata=("S3 says that the gradient is not 0 for x < 0: it is at one point, x = -0.7518.",),
    conventions={
        "torch": "exact by default; approximate='tanh' for the other",
        "keras": "activations.gelu is exact by default, ops.gelu is the tanh form",
        "jax": "the tanh form by default",
        "flax": "jax's, the tanh form by default",
    },
    see_also=("swish", "mish", "relu"),
)
def gelu(x: jax.typing.ArrayLike, *, approximate: bool = False) -> jax.Array:
    """Gaussian error linear unit, ``x*Phi(x)`` with the normal distribution function.

    Args:
      x: any shape, any real dtype; integers become the default float.
      approximate: the tanh form, ``x*sigmoid(1.5958*x + 0.071355*x**3)``, at most 4.7e-4 away. It is a little faster;
        its relative accuracy falls off below -1.5 (1e-5 at -9), and below -10 it is 0 in float32.

    Returns:
      Same shape and dtype; 0 at -inf.

    Raises:
      TypeError: complex input.
      ValueError: ``approximate`` is neither True nor False.
    """
    return (_approximate if _check.one_of("approximate", approximate, (False, True)) else _exact)(x)


def _mish(x):
    a = jnp.minimum(jnp.abs(x), _FAR)
    e = _kernels.exp_below(-a)
    # tanh(softplus(x)) is ((1 + exp(x))^2 - 1)/((1 + exp(x))^2 + 1), multiplied out and divided by the larger power.
    right = 1 + 2 * e * (1 + e)
    left = 2 + e * (2 + e)
    below = 4 * (1 - a) + e * ((6 - 4 * a) + e * (4 + e))
    if not _kernels.is_wide(x):
        at_root = near_root(a, _kernels.MISH_ROOT, polynomial(a - 1.2, _kernels.MISH))
        below = jnp.where(jnp.abs(a - 1.2) < 0.3, at_root, below)
    denominator = jnp.where(x >= 0, right, left)
    value = jnp.where(x >= 0, x * (1 + 2 * e), -a * e * (2 + e)) / denominator
    slope = jnp.where(x >= 0, (1 + 2 * e) * right + 4 * a * e * e * (1 + e), e * below)
    return value, (slope / (denominator * denominator),)


@entry(
    "activation",
    equation="x*tanh(log1p(exp(x)))",
    derivative="tanh(log1p(exp(x))) + x*sigma(x)*(1 - tanh(log1p(exp(x)))**2)",
    aliases=("mish activation",),
    sources=("S3", "Misra 2019, arXiv:1908.08681"),
    errata=("S3 says that the gradient is not 0 for x < 0: it is at one point, x = -1.1924.",),
    conventions={
        "torch": "the same, but NaN at -inf",
        "keras": "the same as jax",
        "jax": "the same, but NaN at -inf, and its derivative is up to 70 units in the last place off",
    },
    see_also=("swish", "gelu", "softplus"),
)
@closed_form(_mish)
def mish(x: jax.typing.ArrayLike) -> jax.Array:
    """Mish, ``x*tanh(softplus(x))``: near swish, with a deeper dip.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype; 0 at -inf.

    Raises:
      TypeError: complex input.
    """
    return _mish(x)[0]


def _glu(x, gate):
    openness, (slope,) = sigmoid_rule(gate)
    value = jnp.where(openness == 0, 0.0, x * openness)  # a shut gate lets nothing pass, not even infinity
    return value, (openness, _kernels.finite(x) * slope)


_glu_core = closed_form(_glu)(_gated_by)


@entry(
    "activation",
    equation="first(x)*sigma(second(x))",
    aliases=("gated linear unit",),
    sources=("Dauphin, Fan, Auli & Grangier 2017, arXiv:1612.08083",),
    conventions={
        "torch": "F.glu, dim=-1",
        "keras": "glu, axis=-1",
        "jax": "the same; an assertion for an odd size",
        "flax": "jax's",
    },
    see_also=("sigmoid", "swish"),
    vectors=("x",),
)
def glu(x: jax.typing.ArrayLike, *, axis: int = -1) -> jax.Array:
    """Gated linear unit, ``u*sigmoid(v)``, where ``u`` and ``v`` are the first and the second half of ``x``.

    Args:
      x: ``(..., 2n, ...)``, any real dtype; integers become the default float.
      axis: the axis that is halved, of even size.

    Returns:
      ``(..., n, ...)``, same dtype: the only activation that changes the shape.

    Raises:
      TypeError: complex input, an axis that is not an int.
      ValueError: no such axis, or one of odd size.
    """
    x = _check.floating(x)
    _check.integer("axis", axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be an axis of x, whose shape is {x.shape}; got {axis}")
    if x.shape[axis] % 2:
        raise ValueError(f"x must have an even size along axis {axis}, to be halved; got shape {x.shape}")
    values, gates = jnp.split(x, 2, axis)
    return _glu_core(values, gates)


__all__ = ["gelu", "glu", "mish", "swish"]
