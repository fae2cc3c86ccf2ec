"""Linear above 0, and what each makes of the other side; the identity besides."""

import jax
import jax.numpy as jnp

from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations._kernels import expm1


def _sides(x, above, below):
    """``above`` where x > 0, ``below`` where x <= 0, NaN at NaN."""
    return jnp.where(x > 0, above, jnp.where(x <= 0, below, jax.lax.stop_gradient(x)))


def _linear(x):
    return x, (jnp.ones_like(x),)


@entry(
    "activation",
    equation="x",
    derivative="1",
    aliases=("identity",),
    sources=("S0 4.1",),
    conventions={"torch": "nn.Identity", "keras": "linear", "jax": "jax.nn.identity"},
    see_also=("relu",),
)
@closed_form(_linear)
def linear(x: jax.typing.ArrayLike) -> jax.Array:
    """The identity, ``x``: a layer without a non-linearity.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype.

    Raises:
      TypeError: complex input.
    """
    return jnp.asarray(x)


def _relu(x):
    return jnp.maximum(x, 0), (_sides(x, 1.0, 0.0),)


@entry(
    "activation",
    equation="max(0, x)",
    derivative="cases((1, x > 0), (0, True))",
    kinks={0.0: (0.0, 0.0)},
    aliases=("rectified linear unit", "rectifier", "ramp"),
    sources=("S0 4.2", "S2 11.1.2", "S3"),
    errata=(
        "S0 4.2 writes the derivative as a_i; it is 1 or 0.",
        "S3 says that dead neurons cannot be revived: so under plain SGD in the first layer only.",
    ),
    conventions={"torch": "the same, derivative 0 at 0", "keras": "the same", "jax": "the same"},
    see_also=("leaky_relu", "elu", "softplus"),
)
@closed_form(_relu)
def relu(x: jax.typing.ArrayLike) -> jax.Array:
    """Rectified linear unit, ``max(0, x)``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative at 0 is 0.

    Raises:
      TypeError: complex input.
    """
    return jnp.maximum(x, 0)


def _leaky_relu(x, slope):
    return jnp.where(x > 0, x, slope * x), (_sides(x, 1.0, slope), jnp.where(x > 0, 0.0, x))


@entry(
    "activation",
    equation="cases((x, x > 0), (alpha*x, True))",
    derivative="cases((1, x > 0), (alpha, True))",
    kinks={0.0: (0.0, 0.01)},
    aliases=("lrelu", "leaky rectified linear unit"),
    sources=("S0 4.3", "S2 11.1.2", "S3", "Maas, Hannun & Ng 2013"),
    errata=("S2 11.1.2 gives the default slope as 0.3: that is one framework's layer; others have 0.01 and 0.2.",),
    conventions={
        "torch": "negative_slope=0.01, derivative 0.01 at 0",
        "keras": "activations.leaky_relu has 0.2, the LeakyReLU layer 0.3",
        "jax": "negative_slope=0.01, but the derivative at 0 is 1",
    },
    see_also=("relu", "elu"),
    symbols={"negative_slope": "alpha"},
)
@closed_form(_leaky_relu)
def leaky_relu(x: jax.typing.ArrayLike, negative_slope: jax.typing.ArrayLike = 0.01) -> jax.Array:
    """Leaky rectified linear unit: ``x`` where ``x > 0``, else ``negative_slope*x``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      negative_slope: the slope below 0; differentiable.

    Returns:
      Same shape and dtype as ``x``. The derivative at 0 is ``negative_slope``.

    Raises:
      TypeError: complex input.
    """
    return jnp.where(x > 0, x, negative_slope * x)  # type: ignore[operator]  # both are arrays by now


def _exp_below(x):
    """exp(x) and exp(x) - 1 for x <= 0, 1 and 0 above."""
    z = jnp.where(x > 0, 0.0, x)  # not minimum(x, 0), whose derivative at 0 is 1/2
    exp_z = jnp.exp(z)
    return exp_z, expm1(z, exp_z)


def _elu(x, alpha):
    exp_x, rise = _exp_below(x)
    return jnp.where(x > 0, x, alpha * rise), (jnp.where(x > 0, 1.0, alpha * exp_x), rise)


@entry(
    "activation",
    equation="cases((x, x > 0), (alpha*expm1(x), True))",
    derivative="cases((1, x > 0), (alpha*exp(x), True))",
    kinks={0.0: (0.0, 1.0)},
    aliases=("exponential linear unit",),
    sources=("S0 4.5", "S2 11.1.2", "Clevert, Unterthiner & Hochreiter 2016"),
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
    return jnp.where(x > 0, x, alpha * _exp_below(x)[1])  # type: ignore[operator]  # both are arrays by now


_SELU_LAMBDA = 1.0507009873554804934193349852946  # the fixed point of mean 0 and variance 1
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_BELOW = _SELU_LAMBDA * _SELU_ALPHA


def _selu(x):
    exp_x, rise = _exp_below(x)
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
    sources=("S2 11.1.2", "Klambauer et al. 2017"),
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
    return jnp.where(x > 0, _SELU_LAMBDA * x, _SELU_BELOW * _exp_below(x)[1])  # type: ignore[operator]  # an array


__all__ = ["elu", "leaky_relu", "linear", "relu", "selu"]
