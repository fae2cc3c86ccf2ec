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
LOG1P = (  # log(1 + e) = e (1 + e P(e)), 0 <= e <= 1
    -0.4999993145465851, 0.3333047032356262, -0.24958156049251556, 0.19693192839622498, -0.15349097549915314,
    0.10670012980699539, -0.05756152793765068, 0.020150333642959595, -0.003306539496406913,
)  # fmt: skip
SILU = (  # 1 - a sigma(a) = sigma(a) (root - a) P(a - 1.3), |a - 1.3| <= 0.3
    1.2754875421524048, -0.13724853098392487, 0.04566680267453194, -0.011445701122283936, 0.002289789030328393,
)  # fmt: skip
GELU_TANH = (  # 1 - a u'(a) sigma(u(a)) = sigma(u(a)) (root - a) P(a - 0.775), |a - 0.775| <= 0.225
    2.463111162185669, 0.11784818023443222, 0.395402193069458, -0.07326453179121017, 0.02944093570113182,
    -0.010910820215940475,
)  # fmt: skip
GELU_VALUE = (  # Phi(-a) = exp(-a^2/2) P(t)/(a + 4), t = (a - 4)/(a + 4), 0 <= a <= 14.5
    0.7552851438522339, -0.607896625995636, 0.38713645935058594, -0.18652290105819702, 0.06040900945663452,
    -0.007526115979999304, -0.0035334157291799784, 0.001560219214297831, 0.00020513354684226215,
    -0.00010663759894669056, 5.631466592603829e-06,
)  # fmt: skip
GELU_SLOPE = (  # Phi(-a) - a phi(a) = exp(-a^2/2) (root - a) P(t), the same t
    0.4622112512588501, -0.10336592048406601, 0.06046256422996521, -0.028082510456442833, 0.009509566240012646,
    -0.0017928056186065078, -0.00017570318595971912, 0.00018671528960112482, 1.5784808056196198e-05,
)  # fmt: skip

# Where -silu', -gelu' and the tanh form's cross 0, as the nearest float32 and the rest.
SILU_ROOT = (1.2784645557403564, -1.2979282537628478e-08)
GELU_TANH_ROOT = (0.7524614334106445, -1.1339627903339533e-08)
GELU_ROOT = (0.7517915368080139, -1.211444988769017e-08)


def is_wide(x: jax.Array) -> bool:
    """Whether ``x`` is float64, for which jax.numpy is accurate and the polynomials are not."""
    return x.dtype == jnp.float64


def polynomial(z: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """Horner's scheme, lowest power first."""
    total = jnp.full_like(z, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total


def near_root(a: jax.Array, root: tuple[float, float], factor: jax.Array) -> jax.Array:
    """``(root - a) factor`` with the root to twice the precision; one bracket would be rounded to one constant."""
    return (root[0] - a) * factor + root[1] * factor


def expm1(z: jax.Array, exp_z: jax.Array) -> jax.Array:
    """exp(z) - 1 for ``z <= 0``, given ``exp(z)``."""
    if is_wide(z):
        return jnp.expm1(z)
    return jnp.where(z > -0.7, z + z * z * polynomial(z, EXPM1), exp_z - 1)


def log1p(e: jax.Array) -> jax.Array:
    """log(1 + e) for ``0 <= e <= 1``."""
    return jnp.log1p(e) if is_wide(e) else e * (1 + e * polynomial(e, LOG1P))


def tanh(x: jax.Array) -> jax.Array:
    """tanh from exp(2x) - 1 = s p + (s - 1), where s is a power of two and p = exp(r) - 1 with abs(r) <= ln(2)/2."""
    if is_wide(x):
        return jnp.tanh(x)
    double = 2 * jnp.clip(x, -10, 10)  # past it tanh rounds to 1
    n = jax.lax.round(double * 1.4426950408889634, jax.lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (double - n * 0.693145751953125) - n * 1.4286068203094172e-06  # n ln(2), its first part exact
    p = r + r * r * polynomial(r, EXPM1)
    s = jax.lax.bitcast_convert_type((n.astype(jnp.int32) + 127) << 23, jnp.float32)
    m = s * p + (s - 1)
    return m / (m + 2)


def high_part(a: jax.Array) -> jax.Array:
    """``a`` without its low 12 bits, so that its square is exact in float32; a constant to differentiation."""
    bits = jax.lax.bitcast_convert_type(a, jnp.uint32) & jnp.uint32(0xFFFFF000)
    return jax.lax.stop_gradient(jax.lax.bitcast_convert_type(bits, jnp.float32))
