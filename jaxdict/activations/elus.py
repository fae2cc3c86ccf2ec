"""Linear above 0, an exponential that saturates below: elu, selu and celu.

``exp(z) - 1`` is a polynomial near 0, where the difference would lose its digits; the derivative is ``exp(z)`` itself,
not ``exp(z) - 1 + 1``, which is 0 below -17.
"""

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations._kernels import EXPM1, exp_and_rise, high_part, is_wide, polynomial


def _below(x):
    """exp(x) and exp(x) - 1 for x <= 0, 1 and 0 above."""
    return exp_and_rise(jnp.where(x > 0, 0.0, x))  # not minimum(x, 0), whose derivative at 0 is 1/2


def _elu(x, alpha):
    exp_x, rise = _below(x)
    return jnp.where(x > 0, x, alpha * rise), (jnp.where(x > 0, 1.0, alpha * exp_x), rise)


@entry(
    "activation",
    equation="cases((x, x > 0), (alpha*expm1(x), True))",
    derivative="cases((1, x > 0), (alpha*exp(x), True))",
    kinks={0.0: (0.0, 1.0)},
    aliases=("exponential linear unit",),
    sources=("S0 4.5", "S2 11.1.2", "Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289"),
    errata=(
        "S0 4.5 says that it is continuous for alpha = 1 only: it is for every alpha; alpha = 1 makes the derivative "
        "continuous, and the second derivative still jumps from 1 to 0.",
        "S0 4.5 calls it a continuous approximation of ReLU, which is continuous itself.",
        "S2 11.1.2 says 'smooth everywhere': so for alpha = 1 only, and once.",
    ),
    conventions={"torch": "the same", "keras": "the same", "jax": "the same, but its derivative is 0 below -17.4"},
    see_also=("selu", "relu", "softplus"),
)
@closed_form(_elu)
def elu(x: jax.typing.ArrayLike, alpha: jax.typing.ArrayLike = 1.0) -> jax.Array:
    """Exponential linear unit: ``x`` where ``x > 0``, else ``alpha*(exp(x) - 1)``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      alpha: minus the limit at -inf; differentiable.

    Returns:
      Same shape and dtype as ``x``. The derivative at 0 is ``alpha``, a kink unless ``alpha`` is 1.

    Raises:
      TypeError: complex input.
    """
    return jnp.where(x > 0, x, alpha * _below(x)[1])  # type: ignore[operator]  # both are arrays by now


_SELU_LAMBDA = 1.0507009873554804934193349852946  # the fixed point of mean 0 and variance 1
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_BELOW = _SELU_LAMBDA * _SELU_ALPHA


def _selu(x):
    exp_x, rise = _below(x)
    return jnp.where(x > 0, _SELU_LAMBDA * x, _SELU_BELOW * rise), (
        jnp.where(x > 0, _SELU_LAMBDA, _SELU_BELOW * exp_x),
    )


@entry(
    "activation",
    equation=(
        "lambda_ = 1.0507009873554805; alpha = 1.6732632423543772; lambda_*cases((x, x > 0), (alpha*expm1(x), True))"
    ),
    derivative=(
        "lambda_ = 1.0507009873554805; alpha = 1.6732632423543772; lambda_*cases((1, x > 0), (alpha*exp(x), True))"
    ),
    kinks={0.0: (0.0, _SELU_BELOW)},
    aliases=("scaled exponential linear unit", "scaled elu"),
    sources=("S2 11.1.2", "Klambauer et al. 2017, arXiv:1706.02515"),
    conventions={"torch": "the same", "keras": "the same", "jax": "the same"},
    see_also=("elu", "lecun_normal"),
)
@closed_form(_selu)
def selu(x: jax.typing.ArrayLike) -> jax.Array:
    """Scaled exponential linear unit, ``1.0507*elu(x, 1.6733)``.

    With LeCun-normal weights the outputs of a deep stack of dense layers keep mean 0 and variance 1.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative at 0 is that of the left side, 1.7581.

    Raises:
      TypeError: complex input.
    """
    return jnp.where(x > 0, _SELU_LAMBDA * x, _SELU_BELOW * _below(x)[1])  # type: ignore[operator]  # an array


_FAR = 800.0  # exp(-800) is 0 in float64 too


def _lost(x, alpha, z):
    """What the quotient ``z`` of ``x`` by ``alpha`` lost to rounding; the products of 12-bit parts are exact."""
    high, high_alpha = high_part(z), high_part(alpha)
    rest = (x - high * high_alpha) - high * (alpha - high_alpha)
    return (high - z) + rest / alpha


def _celu(x, alpha):
    farthest = -jnp.minimum(_FAR * alpha, jnp.finfo(x.dtype).max)
    below = jnp.maximum(jnp.where(x > 0, 0.0, x), farthest)  # at -inf the remainder would be NaN
    z = below / alpha
    e, rise = exp_and_rise(z)
    if is_wide(x):
        rise, by_alpha = alpha * rise, rise - z * e
    else:
        e = e + e * _lost(below, alpha, z)  # z times its relative error is that of exp(z): 43 units at -87
        p, near = polynomial(z, EXPM1), z > -0.7
        rise = jnp.where(near, below + below * z * p, alpha * e - alpha)
        by_alpha = jnp.where(near, z * z * (p * (1 - z) - 1), (e - 1) - z * e)
    return jnp.where(x > 0, x, rise), (jnp.where(x > 0, 1.0, e), by_alpha)


_celu_core = closed_form(_celu)(lambda x, alpha: _celu(x, alpha)[0])


@entry(
    "activation",
    equation="max(0, x) + min(0, alpha*expm1(x/alpha))",
    derivative="cases((1, x > 0), (exp(x/alpha), True))",
    aliases=("continuously differentiable exponential linear unit", "continuously differentiable elu"),
    sources=("Barron 2017, arXiv:1704.07483",),
    conventions={
        "torch": "the same, negative alpha too; at alpha = 0.75 its derivative is up to 86 units in the last place off",
        "keras": "the same as jax",
        "jax": "the same, but its derivative is 0 below -17.4 alpha",
    },
    see_also=("elu", "selu"),
)
def celu(x: jax.typing.ArrayLike, alpha: jax.typing.ArrayLike = 1.0) -> jax.Array:
    """Continuously differentiable ELU: ``x`` where ``x > 0``, else ``alpha*(exp(x/alpha) - 1)``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      alpha: minus the limit at -inf, above 0; differentiable.

    Returns:
      Same shape and dtype as ``x``. There is no kink: the derivative at 0 is 1 for every ``alpha``; the second
      derivative jumps there, and is ``1/alpha`` at 0.

    Raises:
      TypeError: complex input, or an ``alpha`` that is not a number.
      ValueError: ``alpha`` not above 0.
    """
    if isinstance(alpha, (int, float)) and alpha == 1:
        return elu(x)
    return _celu_core(x, _check.number("alpha", alpha, above=0))


__all__ = ["celu", "elu", "selu"]
