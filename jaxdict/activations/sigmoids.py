"""The logistic function, its integral softplus, and tanh.

Derivatives come from ``q = sigma(-|x|)``, the smaller of the two sides, which keeps its digits in the tails: written
with the value, ``y(1 - y)`` and ``1 - y^2`` are 0 as soon as ``y`` rounds to 1.
"""

import jax
import jax.numpy as jnp

from jaxdict._derivative import closed_form
from jaxdict._entry import entry
from jaxdict.activations import _kernels


def _softplus(x):
    e = jnp.exp(-jnp.abs(x))
    slope = jnp.where(x >= 0, 1.0, e) / (1 + e)
    return jnp.maximum(x, 0) + _kernels.log1p(e), (slope,)


@entry(
    "activation",
    equation="log1p(exp(x))",
    derivative="sigma(x)",
    aliases=("smooth relu", "analytic rectifier"),
    sources=("S0 4.6", "S2 10.1.5", "S3"),
    conventions={
        "torch": "takes beta, and gives x itself above threshold=20: 2e-9 too little there",
        "keras": "the same",
        "jax": "the same",
    },
    see_also=("sigmoid", "relu"),
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


def _sigmoid(x):
    q = jax.lax.logistic(-jnp.abs(x))
    return jnp.where(x >= 0, 1 - q, q), (q * (1 - q),)


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
    see_also=("tanh", "softplus", "softmax"),
)
@closed_form(_sigmoid)
def sigmoid(x: jax.typing.ArrayLike) -> jax.Array:
    """The logistic function, ``1/(1 + exp(-x))``, between 0 and 1.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative is at most 1/4, at 0.

    Raises:
      TypeError: complex input.
    """
    return jax.lax.logistic(x)


def _tanh(x):
    q = 2 * jax.lax.logistic(-2 * jnp.abs(x))
    return _kernels.tanh(x), (q * (2 - q),)


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
    see_also=("sigmoid",),
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


__all__ = ["sigmoid", "softplus", "tanh"]
