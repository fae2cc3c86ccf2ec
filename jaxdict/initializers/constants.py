"""Every element the same number: for biases and scales."""

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.distributions import _shape
from jaxdict.initializers._kernel import Initializer


@entry(
    "initializer",
    equation="c",
    aliases=("fill", "small positive bias", "positive bias"),
    sources=("S0 3.1", "S3"),
    conventions={
        "torch": "constant_(tensor, val)",
        "keras": "Constant(value)",
        "S3": "biases start at 0, or at a small positive value, constant(0.1), so that relu units start active",
    },
    see_also=("zeros", "ones"),
    symbols={"value": "c"},
)
@_cache.constructor
def constant(value: float | jax.Array) -> Initializer:
    """Every element the same number; 0.1 is the small positive bias that keeps relu units active at first.

    Args:
      value: a number or a traced scalar.

    Returns:
      The initializer; it takes any dtype and ignores the key.

    Raises:
      ValueError: NaN, or not a scalar.
      TypeError: not a number.
    """
    value = _check.scalar("value", value)

    def init(key, shape, dtype=jnp.float32):
        del key
        return jnp.full(_shape(shape), value, dtype)

    return init


@entry(
    "initializer",
    equation="0",
    aliases=("zero",),
    sources=("S0 3.1", "S3"),
    conventions={"torch": "zeros_; Linear's bias is uniform by default", "keras": "Zeros, the default of biases"},
    see_also=("constant", "ones"),
)
@_cache.constructor
def zeros() -> Initializer:
    """All zeros; for biases. Weights that start equal stay equal.

    Returns:
      The initializer ``(key, shape, dtype) -> array``; it takes any dtype and ignores the key.

    Raises:
      TypeError: any argument; it takes none.
    """
    return constant(0.0)


@entry(
    "initializer",
    equation="1",
    aliases=("one",),
    sources=("S0 3.1",),
    conventions={"torch": "ones_", "keras": "Ones, the default of scales"},
    see_also=("constant", "zeros"),
)
@_cache.constructor
def ones() -> Initializer:
    """All ones; for scales.

    Returns:
      The initializer ``(key, shape, dtype) -> array``; it takes any dtype and ignores the key.

    Raises:
      TypeError: any argument; it takes none.
    """
    return constant(1.0)


__all__ = ["constant", "ones", "zeros"]
