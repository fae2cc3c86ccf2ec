"""Derive the float32 polynomials of activations and losses again, and compare them with what their modules hold.

    python benchmarks/derive_polynomials.py

Each polynomial is fitted to the largest relative error (Lawson's reweighted least squares on Chebyshev nodes, the
function from mpmath at 40 digits). Coefficients are rounded to float32 one after another, lowest power first; after
each rounding the rest are fitted anew, so that they absorb what it cost. Exits with 1 when a module holds others.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

import mpmath as mp
import numpy as np

from jaxdict.activations import _kernels
from jaxdict.losses import _logarithms, regression

mp.mp.dps = 40

NODES = 400
SWEEPS = 60


class Fit(NamedTuple):
    """``function(z)`` on ``[low, high]``, an error there counting ``weight(z)`` times in the formula that uses it."""

    function: Callable
    weight: Callable
    low: float
    high: float
    degree: int


def mills(t):
    """exp(a^2/2) (1 - Phi(a))/(1 - t) at t = (a - 3)/(a + 3): what the tail of gelu is made of."""
    a = 3 * (1 + t) / (1 - t)
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2 / (1 - t)


def gelu_slope(a):
    """The derivative of gelu at -a, without the factor exp(-a^2/2)."""
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2 - a / mp.sqrt(2 * mp.pi)


def silu_bracket(a):
    """1 - a sigma(a): silu'(-a) without its factor sigma(-a)."""
    return 1 - a / (1 + mp.exp(-a))


GELU_LINEAR = mp.sqrt(8 / mp.pi)
GELU_CUBIC = GELU_LINEAR * mp.mpf("0.044715")


def gelu_tanh_step(a):
    """sigma(u) at a, the step of gelu's tanh form."""
    return 1 / (1 + mp.exp(-a * (GELU_LINEAR + GELU_CUBIC * a * a)))


def gelu_tanh_bracket(a):
    """The derivative of gelu's tanh form at -a, without its factor sigma(-u)."""
    return 1 - a * (GELU_LINEAR + 3 * GELU_CUBIC * a * a) * gelu_tanh_step(a)


def mish_bracket(a):
    """mish'(-a) without its factor exp(-a)/(2 + 2 exp(-a) + exp(-2a))^2."""
    e = mp.exp(-a)
    return 4 * (1 - a) + e * ((6 - 4 * a) + e * (4 + e))


def root(function, start):
    """The root of ``function``, as float32 and what is left, also as float32."""
    exact = mp.findroot(function, start)
    high = np.float32(float(exact))
    return float(high), float(np.float32(float(exact - mp.mpf(float(high)))))


def without_root(function, at, low, scale):
    """``function(a)/(scale(a) (root - a))``, the root filled in by its limit."""

    def quotient(a):
        gap = mp.mpf(at) + mp.mpf(low) - a
        if abs(gap) < mp.mpf(10) ** -12:
            return -mp.diff(function, a) / scale(a)
        return function(a) / (scale(a) * gap)

    return quotient


def log1p_series(e):
    return (mp.log1p(e) / e - 1) / e if e else mp.mpf(-0.5)


def expm1_series(z):
    return (mp.expm1(z) - z) / (z * z) if abs(z) > mp.mpf(10) ** -12 else mp.mpf(1) / 2 + z / 6


def tanh_series(z):
    x = mp.sqrt(z)
    return (mp.tanh(x) - x) / (z * x) if z > mp.mpf(10) ** -12 else 2 * z / 15 - mp.mpf(1) / 3


def log1m_series(m):
    return (-mp.log1p(-m) - m) / (m * m) if m else mp.mpf(1) / 2


def atanh_series(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z > mp.mpf(10) ** -12 else mp.mpf(2) / 3


def log_cosh_series(z):
    return (mp.log(mp.cosh(mp.sqrt(z))) / z - mp.mpf(1) / 2) / z if z > mp.mpf(10) ** -12 else -mp.mpf(1) / 12


SILU_ROOT = root(silu_bracket, 1.278)
MISH_ROOT = root(mish_bracket, 1.192)
GELU_ROOT = root(gelu_slope, 0.7518)
GELU_TANH_ROOT = root(gelu_tanh_bracket, 0.7525)
_silu = without_root(silu_bracket, *SILU_ROOT, lambda a: 1 / (1 + mp.exp(-a)))
_mish = without_root(mish_bracket, *MISH_ROOT, lambda a: mp.mpf(1))
_gelu_tanh = without_root(gelu_tanh_bracket, *GELU_TANH_ROOT, gelu_tanh_step)
_gelu = without_root(gelu_slope, *GELU_ROOT, lambda a: mp.mpf(1))


def _at_t(function):
    return lambda t: function(3 * (1 + t) / (1 - t))


T_LOW, T_HIGH = -1.0, (14.5 - 3) / (14.5 + 3)

FITS = {
    "EXPM1": Fit(expm1_series, lambda z: z * z / mp.expm1(z) if z else mp.mpf(0), -0.7, 0.3466, 5),
    "EXP": Fit(expm1_series, lambda z: z * z / mp.expm1(z) if z else mp.mpf(0), -0.3475, 0.3475, 4),
    "LOG1P": Fit(log1p_series, lambda e: e * e / mp.log1p(e) if e else mp.mpf(0), 0.0, 1.0, 8),
    "TANH": Fit(tanh_series, lambda z: 1 / tanh_series(z), 0.0, 1.0, 7),
    "TANH_NEAR": Fit(tanh_series, lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)) if z else mp.mpf(0), 0.0, 0.36, 4),
    "SILU": Fit(lambda d: _silu(d + mp.mpf("1.3")), lambda d: 1 / _silu(d + mp.mpf("1.3")), -0.3, 0.3, 4),
    "MISH": Fit(lambda d: _mish(d + mp.mpf("1.2")), lambda d: 1 / _mish(d + mp.mpf("1.2")), -0.3, 0.3, 5),
    "GELU_TANH": Fit(
        lambda d: _gelu_tanh(d + mp.mpf("0.755")), lambda d: 1 / _gelu_tanh(d + mp.mpf("0.755")), -0.265, 0.265, 5
    ),
    "GELU_VALUE": Fit(mills, lambda t: 1 / mills(t), T_LOW, T_HIGH, 10),
    "GELU_SLOPE": Fit(_at_t(_gelu), lambda t: 1 / _at_t(_gelu)(t), T_LOW, T_HIGH, 8),
    "LOG1M": Fit(log1m_series, lambda m: -m * m / mp.log1p(-m) if m else mp.mpf(0), 0.0, 0.5, 8),
    "ATANH": Fit(atanh_series, lambda z: z * mp.sqrt(z) / (2 * mp.atanh(mp.sqrt(z))), 0.0, 1 / 9, 3),
    "LOG_COSH": Fit(log_cosh_series, lambda z: z * z / mp.log(mp.cosh(mp.sqrt(z))), 0.0, 0.64, 5),
}
MODULES = (_kernels, _logarithms, regression)
ROOTS = {"SILU_ROOT": SILU_ROOT, "MISH_ROOT": MISH_ROOT, "GELU_ROOT": GELU_ROOT, "GELU_TANH_ROOT": GELU_TANH_ROOT}


def lawson(basis, values, weights):
    """Coefficients that make ``max |weights (basis @ c - values)|`` small: least squares, reweighted by the error."""
    emphasis = np.full(len(values), 1.0 / len(values))
    best, best_error = np.zeros(basis.shape[1]), np.inf
    for _ in range(SWEEPS):
        w = np.sqrt(emphasis) * weights
        # Columns scaled to unit length: powers of a small variable differ by orders of magnitude.
        scaled = basis * w[:, None]
        length = np.linalg.norm(scaled, axis=0)
        c = np.linalg.lstsq(scaled / length, values * w, rcond=None)[0] / length
        error = np.abs(weights * (basis @ c - values))
        if error.max() < best_error:
            best, best_error = c, error.max()
        emphasis = emphasis * error
        emphasis /= emphasis.sum()
    return best, best_error


def derive(fit: Fit) -> tuple[list[float], float]:
    """The float32 coefficients, lowest power first, and the relative error that they leave in exact arithmetic."""
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    nodes = middle + half * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    values = np.array([float(fit.function(mp.mpf(z))) for z in nodes])
    weights = np.array([float(abs(fit.weight(mp.mpf(z)))) for z in nodes])
    powers = nodes[:, None] ** np.arange(fit.degree + 1)
    done: list[float] = []
    rest = values
    for k in range(fit.degree + 1):
        c, _ = lawson(powers[:, k:], rest, weights)
        done.append(float(np.float32(c[0])))
        rest = rest - done[-1] * powers[:, k]
    return done, float(np.abs(weights * rest).max())


def held_by_its_module(name: str) -> tuple[float, ...]:
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


def main() -> int:
    wrong = 0
    for name, pair in ROOTS.items():
        held = getattr(_kernels, name)
        wrong += held != pair
        print(f"{name} = {pair!r}  {'as held' if held == pair else f'HELD {held!r}'}")
    for name, fit in FITS.items():
        coefficients, error = derive(fit)
        held = held_by_its_module(name)
        # A tie in rounding may fall the other way with another linear algebra library: one unit of the last place.
        same = len(held) == len(coefficients) and np.allclose(coefficients, held, rtol=1.2e-7, atol=0)
        wrong += not same
        rows = ",\n    ".join(repr(c) for c in coefficients)
        print(f"{name} = (\n    {rows},\n)  # relative error {error:.1e}; {'as held' if same else 'NOT AS HELD'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
