"""What the activations are computed with: float32 polynomials.

XLA's float32 ``expm1``, ``tanh`` and ``erfc`` are wrong by 5 to 200 units in the last place on the CPU; the polynomials
here leave less than 0.1 of a unit before rounding. ``benchmarks/derive_polynomials.py`` derives them again. float64 is
left to jax.numpy. Signs matter: what is written ``x*(1 + x*P)`` compiles to fused multiply-adds.
"""

import jax
import jax.numpy as jnp

# Coefficients, lowest power first.
EXPM1 = (  # exp(z) = 1 + z + z^2 P(z), -0.7 <= z <= 0.3466
    0.4999999701976776, 0.16666649281978607, 0.04166774824261665, 0.008337873965501785, 0.001384602626785636,
    0.00017065231804735959,
)  # fmt: skip
EXP = (  # the same for abs(z) <= 0.3475, with fewer
    0.4999999701976776, 0.1666654497385025, 0.04166744649410248, 0.008366446942090988, 0.0013869854155927896,
)  # fmt: skip
LOG1P = (  # log(1 + e) = e (1 + e P(e)), 0 <= e <= 1
    -0.4999993145465851, 0.3333047032356262, -0.24958156049251556, 0.19693192839622498, -0.15349097549915314,
    0.10670012980699539, -0.05756152793765068, 0.020150333642959595, -0.003306539496406913,
)  # fmt: skip
TANH = (  # tanh(x) = x + x^3 P(x^2), abs(x) <= 1
    -0.3333333432674408, 0.13333411514759064, -0.05397821217775345, 0.021912936121225357, -0.008924903348088264,
    0.0035272834356874228, -0.0011493649799376726, 0.00020565166778396815,
)  # fmt: skip
TANH_NEAR = (  # the same for abs(x) <= 0.6, with fewer
    -0.33333298563957214, 0.13331936299800873, -0.05378471687436104, 0.02079862542450428, -0.005897966679185629,
)  # fmt: skip
SILU = (  # 1 - a sigma(a) = sigma(a) (root - a) P(a - 1.3), |a - 1.3| <= 0.3
    1.2754875421524048, -0.13724853098392487, 0.04566680267453194, -0.011445701122283936, 0.002289789030328393,
)  # fmt: skip
MISH = (  # mish'(-a) (2 + 2e + e^2)^2/e = (root - a) P(a - 1.2), e = exp(-a), |a - 1.2| <= 0.3
    6.390908241271973, -2.243833303451538, 1.2734856605529785, -0.5515193939208984, 0.20892615616321564,
    -0.07153697311878204,
)  # fmt: skip
GELU_TANH = (  # 1 - a u'(a) sigma(u(a)) = sigma(u(a)) (root - a) P(a - 0.755), |a - 0.755| <= 0.265
    2.4609129428863525, 0.10194314271211624, 0.3998648524284363, -0.0756441205739975, 0.030675945803523064,
    -0.011396436020731926,
)  # fmt: skip
GELU_VALUE = (  # Phi(-a) = exp(-a^2/2) (1 - t) P(t), t = (a - 3)/(a + 3), 0 <= a <= 14.5
    0.12151394784450531, -0.08488866686820984, 0.03833632171154022, -0.00787709653377533, -0.001744133303873241,
    0.0011614265386015177, 0.00017202562594320625, -0.00017156286048702896, -4.213606734992936e-05,
    2.114959352184087e-05, 9.225377652910538e-06,
)  # fmt: skip
GELU_SLOPE = (  # Phi(-a) - a phi(a) = exp(-a^2/2) (root - a) P(t), the same t
    0.4782976806163788, -0.11997544020414352, 0.053596410900354385, -0.014074460603296757,
    0.00019992385932710022, 0.0010916829342022538, -7.896284660091624e-05, -0.00011577457917155698,
    -1.1036381692974828e-05,
)  # fmt: skip

# Where -silu', -mish' and -gelu' (exact and in the tanh form) cross 0, as the nearest float32 and the rest.
SILU_ROOT = (1.2784645557403564, -1.2979282537628478e-08)
MISH_ROOT = (1.1924312114715576, 3.0439375464652585e-09)
GELU_ROOT = (0.7517915368080139, -1.211444988769017e-08)
GELU_TANH_ROOT = (0.7524614334106445, -1.1339627903339533e-08)


def is_wide(x: jax.Array) -> bool:
    """Whether ``x`` is float64, for which jax.numpy is accurate and the polynomials are not."""
    return x.dtype == jnp.float64


def has_sign(x: jax.Array) -> jax.Array:
    """Whether ``x`` is negative, -0.0 too; one comparison, where ``jnp.signbit`` shifts and converts."""
    return jax.lax.bitcast_convert_type(x, jnp.int64 if is_wide(x) else jnp.int32) < 0


def finite(x: jax.Array) -> jax.Array:
    """``x`` with the largest number of its type for infinity, which times 0 or over itself would be NaN."""
    largest = float(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -largest, largest)


def polynomial(z: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """Horner's scheme, lowest power first."""
    total = jnp.full_like(z, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total


def near_root(a: jax.Array, root: tuple[float, float], factor: jax.Array) -> jax.Array:
    """``(root - a) factor`` with the root to twice the precision; one bracket would be rounded to one constant."""
    return (root[0] - a) * factor + root[1] * factor


def log1p(e: jax.Array) -> jax.Array:
    """log(1 + e) for ``0 <= e <= 1``."""
    return jnp.log1p(e) if is_wide(e) else e * (1 + e * polynomial(e, LOG1P))


_SHIFT = 12583039.0  # 1.5 * 2^23 + 127: of n + _SHIFT the low bits are n + 127, the exponent of 2^n


def _exp_parts(u: jax.Array, low: jax.Array | None = None, *, capped: bool = False) -> tuple[jax.Array, jax.Array]:
    """s and p of exp(u + low) = s (1 + p): a power of two and exp(r) - 1, abs(r) a little above ln(2)/2 at most.

    The power is 2^-127, which stands as 0, to 2^127; beyond, ``p`` takes the rest where it is ``capped``, roughly.
    """
    shifted = u * 1.4426950408889634 + _SHIFT  # rounds to the nearest n, as which it stands in the low bits
    if capped:
        shifted = jnp.minimum(shifted, _SHIFT + 127)
    minus_n = _SHIFT - shifted  # shifted - _SHIFT is what XLA would take for u * 1.44
    r = (u + minus_n * 0.693145751953125) + minus_n * 1.4286068203094172e-06  # n ln(2), its first part exact
    s = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(shifted, jnp.int32) << 23, jnp.float32)
    if low is None:
        return s, r + r * r * polynomial(r, EXP)
    r = r + low  # which may take it past what EXP is made for
    return s, r + r * r * polynomial(r, EXPM1)


@jax.custom_jvp
def exp_below(u: jax.Array) -> jax.Array:
    """exp(u) for ``u <= 0``, and up to 88.

    One unit in the last place at most, as XLA's own, in three quarters of its time; 0 below -87.7.
    """
    if is_wide(u):
        return jnp.exp(u)
    s, p = _exp_parts(jnp.maximum(u, -88.0))
    return s + s * p


exp_below.defjvps(lambda change, y, u: y * change)


@jax.custom_jvp
def exp_and_rise(u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp(u) and exp(u) - 1 for ``u <= 0``, both with all digits."""
    if is_wide(u):
        return jnp.exp(u), jnp.expm1(u)
    s, p = _exp_parts(jnp.maximum(u, -88.0))
    return s + s * p, s * p + (s - 1)


@exp_and_rise.defjvp
def _exp_and_rise_jvp(primals, tangents):
    e, rise = exp_and_rise(*primals)
    change = e * tangents[0]
    return (e, rise), (change, change)


@jax.custom_jvp
def exp_of_sum(u: jax.Array, low: jax.Array) -> jax.Array:
    """exp(u + low) for ``u <= 0`` and ``-0.09 <= low <= 0``, the part of the exponent that ``u`` has no digits for."""
    if is_wide(u):
        return jnp.exp(u + low)
    s, p = _exp_parts(jnp.maximum(u, -88.0), low)
    return s + s * p


exp_of_sum.defjvps(lambda change, y, u, low: y * change, lambda change, y, u, low: y * change)


def exp(u: jax.Array) -> jax.Array:
    """exp(u) for ``abs(u) <= limit(u)``, in three quarters of the time of XLA's; it is not differentiated."""
    if is_wide(u):
        return jnp.exp(u)
    s, p = _exp_parts(u)
    return s + s * p


@jax.custom_jvp
def tail(a: jax.Array, top: float = 1.0) -> jax.Array:
    """``top/(1 + exp(a))`` for ``a >= 0``, one quotient with all digits; 0 above 88 in float32."""
    if is_wide(a):
        return top / (1 + jnp.exp(a))
    s, p = _exp_parts(a)
    return top / jnp.where(a > 88.0, jnp.inf, (1 + s) + s * p)


tail.defjvps(lambda change, y, a, top: y * (y / top - 1) * change, None)


@jax.custom_jvp
def signed_tail(x: jax.Array) -> jax.Array:
    """The lesser of sigma(x) and sigma(-x), negative for ``x < 0``, -0 where it underflows.

    XLA stores quotients that several use, and who reads this one need not read ``x`` as well.
    """
    if is_wide(x):
        d = 1 + jnp.exp(jnp.abs(x))
    else:
        s, p = _exp_parts(jnp.abs(x), capped=True)
        d = (1 + s) + s * p  # infinite from 128 ln(2) on: p has outgrown its power of two
    return 1 / jnp.where(x < 0, -d, d)


signed_tail.defjvps(lambda change, y, x: jnp.abs(y) * (jnp.abs(y) - 1) * change)


def limit(u: jax.Array) -> float:
    """How far from 0 ``exp`` reaches, in the type of ``u``."""
    return 700.0 if is_wide(u) else 88.0


def tanh(x: jax.Array) -> jax.Array:
    """tanh from exp(2x) - 1, which is ``s p + (s - 1)`` and so keeps its digits near 0; it is not differentiated."""
    if is_wide(x):
        return jnp.tanh(x)
    s, p = _exp_parts(2 * jnp.clip(x, -10.0, 10.0))  # past them tanh rounds to 1
    m = s * p + (s - 1)
    return m / (m + 2)


def tanh_gap(x: jax.Array) -> jax.Array:
    """x - tanh(x) for ``abs(x) <= 1``, with all digits."""
    z = x * x
    if not is_wide(x):
        return -x * z * polynomial(z, TANH)
    t = jnp.zeros_like(x)
    for k in range(21, 1, -2):  # the continued fraction tanh(x) = x/(1 + z/(3 + z/(5 + ...)))
        t = z / (k + t)
    return x * t / (1 + t)


def high_part(a: jax.Array) -> jax.Array:
    """``a`` without its low 12 bits, so that its square is exact in float32; float64 as it is. No derivative."""
    if is_wide(a):
        return jax.lax.stop_gradient(a)
    bits = jax.lax.bitcast_convert_type(a, jnp.uint32) & jnp.uint32(0xFFFFF000)
    return jax.lax.stop_gradient(jax.lax.bitcast_convert_type(bits, jnp.float32))
