"""Noise: random changes of activations while training, ``(key, x, …) -> x`` of the same shape and dtype.

Conventions of the room. A rate is the probability of dropping, never of keeping. The key comes first and may be an int
seed; it is not looked at where nothing is drawn. Narrow floats are computed in float32 and rounded once; integers
become the default float.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._entry import entry


@entry(
    "noise",
    equation="x*b/(1 - p)",
    aliases=("inverted dropout", "bernoulli dropout"),
    sources=("S0 5.4", "S3", "S4", "Srivastava et al. 2014, JMLR 15:1929"),
    errata=(
        "S0 5.4: P is the probability of dropping, yet the test weights are multiplied by P: it must be 1 - P.",
        "S3 gives no scaling at test time. That dropped units are not updated holds for plain gradient descent only:"
        " momentum moves them on.",
        "S4: p is called the probability of dropping, but rand < p keeps with p. Masked inputs need their scaling at"
        " test time too. Its code for test time uses W1 and b1 twice.",
    ),
    conventions={
        "torch": "Dropout(p=0.5): drop probability, inverted scaling",
        "keras": "Dropout(rate): drop probability, inverted scaling",
        "flax": "Dropout(rate): drop probability, inverted scaling; broadcast_dims are broadcast_axes",
        "stax": "Dropout(rate): the rate is the keep probability",
        "S3": "one mask per minibatch: broadcast_axes=(0,); S4 and libraries draw one per example",
        "S4": "p is the keep probability, 0.5 and 0.8; scaling='weight' and, later, inverted",
    },
    symbols={"rate": "p"},
)
def dropout(
    key: jax.Array | int | None,
    x: jax.typing.ArrayLike,
    rate: float | jax.Array,
    *,
    mode: Literal["train", "test"] = "train",
    broadcast_axes: Sequence[int] = (),
    scaling: Literal["inverted", "weight"] = "inverted",
) -> jax.Array:
    """Dropout: each element is 0 with probability ``rate`` (met to 2**-17); b in the equation is 1 where it is kept.

    Args:
      key: a PRNG key or an int seed; may be None at test time.
      x: any shape, any real dtype; integers become the default float.
      rate: p, 0 ≤ p < 1, the probability of dropping. Traced values may be 1, which gives zeros.
      mode: "train" draws a mask, "test" none.
      broadcast_axes: axes that share one mask.
      scaling: "inverted" divides by 1 - p in training; "weight" multiplies by 1 - p at test time instead.

    Returns:
      Same shape and dtype; its mean over keys is x with inverted scaling, (1 - p)x with the other.

    Raises:
      ValueError: a rate outside [0, 1) or not a scalar, an unknown mode or scaling, an axis that x does not have.
      TypeError: complex x, a rate that is not a number, or no key in training.
    """
    rate = _scalar("rate", rate, low=0, below=1)
    _check.one_of("mode", mode, ("train", "test"))
    _check.one_of("scaling", scaling, ("inverted", "weight"))
    x = _check.floating(x)
    shape = _mask_shape(x.shape, broadcast_axes)
    if mode == "test":
        return x if scaling == "inverted" else (_wide(x) * (1 - rate)).astype(x.dtype)
    kept = _mask(_check.prng_key(key), rate, shape)
    # At a traced rate of 1 nothing is kept, and neither value nor gradient may divide by 0.
    keep = 1 - rate if isinstance(rate, float) else jnp.where(rate < 1, 1 - rate, 1)
    scaled = _wide(x) / keep if scaling == "inverted" else _wide(x)
    return jnp.where(kept, scaled, 0).astype(x.dtype)


def _mask(key: jax.Array, rate: Any, shape: tuple[int, ...]) -> jax.Array:
    """True with probability 1 - rate, to 2**-17: 16 random bits an element, at half the price of 32."""
    size = math.prod(shape)
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    bits = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
    threshold = jnp.clip(jnp.round(jnp.asarray(rate, jnp.float32) * 2**16), 0, 2**16 - 1).astype(jnp.uint16)
    return (bits >= threshold) & (rate < 1)


def _mask_shape(shape: tuple[int, ...], broadcast_axes: Sequence[int]) -> tuple[int, ...]:
    sizes = list(shape)
    for axis in broadcast_axes:
        if not -len(shape) <= _check.integer("broadcast_axes", axis) < len(shape):
            raise ValueError(f"broadcast_axes must be axes of x, of shape {shape}; got {axis}")
        sizes[axis] = 1
    return tuple(sizes)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(_check.compute_dtype(x.dtype))


def _scalar(name: str, value: Any, **bounds: Any) -> Any:
    """``value``, checked when it is concrete, then a Python float, so that it takes the type of what it multiplies."""
    if callable(value):
        raise TypeError(f"{name} must be a number; got {value!r}")
    _check.number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}")
    return value if _check.is_traced(value) else float(value)


__all__ = ["dropout"]
