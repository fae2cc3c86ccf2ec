"""Activations: elementwise ``x -> y`` of the same shape and dtype, and softmax over an axis.

Conventions of the room. One shape parameter may be positional, every other option is keyword-only. Narrow floats are
computed in float32 and rounded once; integers become the default float. At a kink the value and derivative are those
of the branch ``x <= 0``, and the second derivative is of the same branch. NaN gives NaN. Derivatives are closed forms.
"""

import jax
import jax.numpy as jnp

from jaxdict._derivative import closed_form
from jaxdict._entry import entry


def _relu(x):
    return jnp.maximum(x, 0), (jnp.where(x > 0, 1.0, 0.0).astype(x.dtype),)


@entry(
    "activation",
    equation="max(0, x)",
    derivative="cases((1, x > 0), (0, True))",
    kinks={0.0: (0.0, 0.0)},
    aliases=("rectified linear unit", "rectifier", "ramp"),
    sources=("S0 4.2", "S2 11.1.2", "S3"),
    errata=("S0 4.2 writes the derivative as a_i; it is 1 or 0.",),
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


__all__ = ["relu"]
