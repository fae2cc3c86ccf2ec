"""Logarithms and quotients of probabilities in float32, from the smallest number to 1.

XLA on the CPU reads a subnormal number as 0, whose logarithm is infinite; here its bits are read. Near 1 a logarithm
comes from the distance to 1. Every function differentiates by a closed form made of these again, to any order.
"""

import jax
import jax.numpy as jnp

from jaxdict._derivative import closed_form
from jaxdict.activations._kernels import is_wide, polynomial

LOG1M = (  # ln(1 - m) = -(m + m^2 P(m)), 0 <= m <= 1/2, to 4e-9
    0.5000008940696716, 0.33326324820518494, 0.2518686354160309, 0.17587454617023468, 0.34006819128990173,
    -0.5922685861587524, 1.9709306955337524, -2.4764492511749268, 1.743440866470337,
)  # fmt: skip
ATANH = (  # 2 atanh(s) = s (2 + s^2 P(s^2)), s^2 <= 1/9, to 5e-9
    0.666664183139801, 0.4002143442630768, 0.2800309658050537, 0.2800637185573578,
)  # fmt: skip

_SHIFT = 127 * 0.6931471805599453


def lift(p: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``p`` as ``x``, or as ``x 2^-127`` where it is subnormal, and where that is."""
    if is_wide(p):
        return p, jnp.zeros(p.shape, bool)
    bits = jax.lax.bitcast_convert_type(p, jnp.int32)
    small = (bits > 0) & (bits < 0x00800000)
    return jnp.where(small, bits.astype(jnp.float32) * 2.0**-22, p), small


def log1m(m: jax.Array) -> jax.Array:
    """ln(1 - m) for ``0 <= m <= 1/2``."""
    return jnp.log1p(-m) if is_wide(m) else -(m + m * m * polynomial(m, LOG1M))


def log_of_lifted(x: jax.Array, small: jax.Array) -> jax.Array:
    """ln p of ``lift(p)``."""
    return jnp.log(x) - jnp.where(small, _SHIFT, 0)


def _quotient(y, p):
    x, small = lift(p)
    ratio = y / x * jnp.where(small, 2.0**127, 1)
    return jnp.where((y == 0) & (p >= 0), 0, ratio)  # 0 of 0 is nothing


def _quotient_rule(y: jax.Array, p: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    by_y = inverse(p)
    by_y = jnp.where(jnp.isinf(by_y), 0, by_y)  # times a change of 0 it would be NaN
    return _quotient(y, p), (by_y, -quotient(quotient(y, p), p))


@closed_form(_quotient_rule)
def quotient(y, p):
    """``y/p`` for ``p >= 0``; 0 where ``y`` is 0, and derivative 0 by ``y`` where it is infinite."""
    return _quotient(y, p)


def inverse(p: jax.Array) -> jax.Array:
    """``1/p``."""
    return quotient(jnp.ones_like(p), p)


@closed_form(lambda p: (log_of_lifted(*lift(p)), (inverse(p),)))
def log(p):
    """ln p."""
    return log_of_lifted(*lift(p))


def _log_ratio(a, b):
    x, small = lift(b)
    s = (a - x) / (a + x)
    near = jnp.abs(s) < 1 / 3  # the ratio is between 1/2 and 2
    close = jnp.log1p(jnp.where(near, (a - x) / x, 0)) if is_wide(a) else s * (2 + s * s * polynomial(s * s, ATANH))
    return jnp.where(near & ~small, close, jnp.log(a / x) + jnp.where(small, _SHIFT, 0))


@closed_form(lambda a, b: (_log_ratio(a, b), (inverse(a), -inverse(b))))
def log_ratio(a, b):
    """ln(a/b), exactly 0 where they are equal and right where they nearly are."""
    return _log_ratio(a, b)
