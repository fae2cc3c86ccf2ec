"""Smooth steps and what belongs to them: the logistic function, tanh and softsign; softplus, squareplus, tanhshrink.

They are made of an exponential of ``|x|``, which keeps the digits of the tails: ``y(1 - y)`` and ``1 - y^2`` are 0 as
soon as ``y`` rounds to 1. The ramps are ``max(x, 0)`` and a tail that is even in x.
"""

import math

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations import _kernels


def _softplus(x):
    e = _kernels.exp_below(-jnp.abs(x))
    slope = jnp.where(x >= 0, 1.0, e) / (1 + e)
    return jnp.maximum(x, 0) + _kernels.log1p(e), (slope,)


@entry(
    "activation",
    equation="log1p(exp(x))",
    derivative="sigma(x)",
    aliases=("smooth relu", "analytic rectifier"),
    sources=("S0 4.6", "S2 10.1.5", "S3", "Dugas et al. 2001, NIPS 13:472"),
    conventions={
        "torch": "takes beta, and gives x itself above threshold=20: 2e-9 too little there",
        "keras": "the same",
        "jax": "the same",
    },
    see_also=("sigmoid", "log_sigmoid", "squareplus", "relu"),
)
@closed_form(_softplus)
def softplus(x: jax.typing.ArrayLike) -> jax.Array:
    """Softplus, ``ln(1 + exp(x))``: a smooth ReLU, positive everywhere.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative is ``sigmoid(x)``.

    Raises:
      TypeError: complex input.
    """
    return _softplus(x)[0]


def _log_sigmoid(x):
    value, (slope,) = _softplus(-x)
    return -value, (slope,)


@entry(
    "activation",
    equation="-log1p(exp(-x))",
    derivative="sigma(-x)",
    aliases=("logsigmoid", "log logistic"),
    sources=("S3",),
    conventions={
        "torch": "F.logsigmoid, the same",
        "keras": "log_sigmoid, the same",
        "jax": "the same; its derivative is 8 units in the last place off, here 2",
    },
    see_also=("softplus", "sigmoid", "sigmoid_cross_entropy"),
)
@closed_form(_log_sigmoid)
def log_sigmoid(x: jax.typing.ArrayLike) -> jax.Array:
    """Logarithm of the logistic function, ``-ln(1 + exp(-x))``, which is ``-softplus(-x)``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype, at most 0; about ``x`` far below 0. The derivative is ``sigmoid(-x)``.

    Raises:
      TypeError: complex input.
    """
    return _log_sigmoid(x)[0]


# y is the squareplus of x in both, given because it is known. What it adds to a change is part of the factors of dx and
# db: as a term of its own it would cancel.
@jax.custom_jvp
def _squareplus_root(x, b, y):
    """``sqrt(x^2 + b)``; infinite where ``2y`` is."""
    return 2 * y - _kernels.finite(x)


@_squareplus_root.defjvp
def _squareplus_root_jvp(primals, tangents):
    x, _, _ = primals
    root = _squareplus_root(*primals)
    return root, _kernels.finite(x) / root * tangents[0] + 0.5 / root * tangents[1]


@jax.custom_jvp
def _squareplus_slope(x, b, y):
    return jnp.where(x > 0.49 * float(jnp.finfo(x.dtype).max), 1.0, y / _squareplus_root(x, b, y))


@_squareplus_slope.defjvp
def _squareplus_slope_jvp(primals, tangents):
    x, b, _ = primals
    inverse = 1 / _squareplus_root(*primals)
    by_x = b / 2 * inverse * inverse * inverse
    by_b = _kernels.finite(x) / -4 * inverse * inverse * inverse
    return _squareplus_slope(*primals), by_x * tangents[0] + by_b * tangents[1]


def _squareplus_value(x, b):
    a = jnp.abs(x)
    square = a * a + b
    root = jnp.sqrt(square) if _kernels.is_wide(x) else square * jax.lax.rsqrt(square)  # the quicker one, to 2 units
    end = 0.72 * math.sqrt(float(jnp.finfo(x.dtype).max))  # from here on the root is a, and the square may be infinite
    tail = b / 2 / jnp.where(a > end, 2 * a, a + root)  # (root - a)/2, without the cancellation
    return tail + jnp.where(x > 0, x, 0.0)


def _squareplus(x, b):
    y = jax.lax.stop_gradient(_squareplus_value(x, b))
    return y, (_squareplus_slope(x, b, y), 0.25 / _squareplus_root(x, b, y))


_squareplus_core = closed_form(_squareplus)(_squareplus_value)


@entry(
    "activation",
    equation="(x + sqrt(x**2 + b))/2",
    derivative="(1 + x/sqrt(x**2 + b))/2",
    aliases=("square plus",),
    sources=("Barron 2021, arXiv:2112.11687",),
    conventions={
        "torch": "none",
        "keras": "squareplus(x, b=4), the formula as it stands",
        "jax": "squareplus(x, b=4), the formula as it stands: 0 below -8200, inf below -1.8e19, slope 1/2 from 1.8e19",
    },
    see_also=("softplus", "relu"),
)
def squareplus(x: jax.typing.ArrayLike, *, b: jax.typing.ArrayLike = 4.0) -> jax.Array:
    """Squareplus, ``(x + sqrt(x**2 + b))/2``: a smooth ReLU of algebra alone, softplus's hyperbola.

    Args:
      x: any shape, any real dtype; integers become the default float.
      b: from 2^-100 to 2^100, the size of the bend; ``sqrt(b)/2`` is the value at 0; differentiable.

    Returns:
      Same shape and dtype as ``x``. It falls off like ``b/(4|x|)``, where softplus does like ``exp(x)``, and is 0
      below half the lowest number.

    Raises:
      TypeError: complex input, ``b`` not a number.
      ValueError: ``b`` not in its range.
    """
    return _squareplus_core(x, _check.number("b", b, low=2.0**-100, high=2.0**100))


def sigmoid_rule(x):
    """sigma(x), and its derivative as a tuple of one."""
    signed = _kernels.signed_tail(x)
    q = jnp.abs(signed)
    return jnp.where(_kernels.has_sign(signed), 0.0, 1.0) - signed, (q * (1 - q),)


@entry(
    "activation",
    equation="sigma(x)",
    derivative="sigma(x)*(1 - sigma(x))",
    aliases=("logistic", "logistic function", "logistic sigmoid", "expit"),
    sources=("S0 4.8", "S2 10.1.4", "S3"),
    conventions={
        "torch": "the same, but its derivative is 0 above 16.6",
        "keras": "the same",
        "jax": "the same, but its derivative is 0 above 16.6",
    },
    see_also=("tanh", "softplus", "log_sigmoid", "softmax"),
)
@closed_form(sigmoid_rule)
def sigmoid(x: jax.typing.ArrayLike) -> jax.Array:
    """The logistic function, ``1/(1 + exp(-x))``, between 0 and 1.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative is at most 1/4, at 0.

    Raises:
      TypeError: complex input.
    """
    end = _kernels.limit(x)  # type: ignore[arg-type]  # an array by now
    e = _kernels.exp(jnp.clip(x, -end, end))
    return e / (1 + e)


def _tanh(x):
    q = _kernels.tail(2 * jnp.abs(x), 2.0)  # 1 - |tanh(x)|, with all digits
    square = x * x
    near = x * (1 + square * _kernels.polynomial(square, _kernels.TANH_NEAR))
    y = jnp.tanh(x) if _kernels.is_wide(x) else jnp.where(square < 0.36, near, jnp.where(x < 0, q - 1, 1 - q))
    return y, (q * (2 - q),)


@entry(
    "activation",
    equation="tanh(x)",
    derivative="1 - tanh(x)**2",
    aliases=("hyperbolic tangent",),
    sources=("S0 4.7", "S2 10.1.4", "S3"),
    errata=(
        "S2 10.1.4 prints tanh(z) = 2 sigma(2z) 1: the minus is lost. Its image is the open interval (-1, 1).",
        "S3 says that its gradients are larger than the sigmoid's: so for |x| < 1.663 only.",
    ),
    conventions={
        "torch": "the same, but its derivative is 0 from 9.01",
        "keras": "the same",
        "jax": "the same, but its derivative is 0 from 8",
    },
    see_also=("sigmoid", "softsign", "tanhshrink"),
)
@closed_form(_tanh)
def tanh(x: jax.typing.ArrayLike) -> jax.Array:
    """Hyperbolic tangent, between -1 and 1.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative is at most 1, at 0.

    Raises:
      TypeError: complex input.
    """
    return _kernels.tanh(x)  # type: ignore[arg-type]  # an array by now


def _tanhshrink(x):
    a = jnp.abs(x)
    e = _kernels.exp_below(-2 * a)
    tail = 2 * e / (1 + e)
    near = _kernels.tanh_gap(jnp.clip(x, -1, 1))  # the difference would cancel to about x^3/3
    far = (a - 1) + tail
    t = jnp.where(a < 1, x - near, 1 - tail)
    return jnp.where(a < 1, near, jnp.where(x < 0, -far, far)), (t * t,)


@entry(
    "activation",
    equation="x - tanh(x)",
    derivative="tanh(x)**2",
    aliases=("tanh shrink", "hyperbolic tangent shrinkage"),
    sources=("PyTorch, nn.Tanhshrink",),
    conventions={
        "torch": "the difference as it stands: 0 below 1e-4 where x**3/3 is meant",
        "keras": "tanh_shrink, the difference as it stands",
        "jax": "none",
    },
    see_also=("tanh", "softshrink", "hardshrink"),
)
@closed_form(_tanhshrink)
def tanhshrink(x: jax.typing.ArrayLike) -> jax.Array:
    """Tanh shrinkage, ``x - tanh(x)``: about ``x**3/3`` near 0, ``x - 1`` far above it.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype, with all digits near 0, in the derivative ``tanh(x)**2`` too.

    Raises:
      TypeError: complex input.
    """
    return _tanhshrink(x)[0]


def _softsign(x):
    finite = _kernels.finite(x)
    s = 1 + jnp.where(x > 0, finite, -finite)  # so that its derivative at 0 is that of the branch x <= 0
    return finite / s, (1 / (s * s),)


@entry(
    "activation",
    equation="x/(1 + abs(x))",
    derivative="1/(1 + abs(x))**2",
    aliases=("soft sign", "elliot", "elliotsig"),
    sources=("S0 4.10", "Turian, Bergstra & Bengio 2009, NAACL-HLT 2009:245", "Glorot & Bengio 2010, PMLR 9:249"),
    conventions={
        "torch": "the same, but NaN at inf, and its derivative is 1 % off at 1e5 and 0 from 1.1e7",
        "keras": "the same as jax",
        "jax": "jax.nn.soft_sign: NaN at inf, and its derivative is 1 % off at 6e4 and 0 or negative from 6.5e6",
    },
    see_also=("tanh", "sigmoid"),
)
@closed_form(_softsign)
def softsign(x: jax.typing.ArrayLike) -> jax.Array:
    """Softsign, ``x/(1 + |x|)``: tanh's slope at 0, and -1 and 1 reached like ``1/x``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype; -1 and 1 at infinity. The second derivative jumps at 0, from 2 to
      -2; at 0 it is 2, of the branch x <= 0.

    Raises:
      TypeError: complex input.
    """
    return _softsign(x)[0]


__all__ = ["log_sigmoid", "sigmoid", "softplus", "softsign", "squareplus", "tanh", "tanhshrink"]
