"""Noise: random changes of activations while training, ``(key, x, …) -> x`` of the same shape and dtype.

Conventions of the room. A rate is the probability of dropping, never of keeping, met to 2**-17. The key comes first
and may be an int seed; it is not looked at where nothing is drawn, as at test time, when ``x`` comes back.
``broadcast_axes`` share one draw: axis 0 makes it one for the whole batch, the axes of space one for each channel.
Narrow floats are computed in float32 and rounded once; integers become the default float. In equations b is 1 where an
element is kept and 0 where it is dropped, n is standard normal.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._draws import in_a_row
from jaxdict._entry import entry

Mode: TypeAlias = Literal["train", "test"]


@entry(
    "noise",
    equation="x*b/(1 - p)",
    aliases=("inverted dropout", "bernoulli dropout", "weight scaling inference rule"),
    sources=("S0 5.4", "S3", "S4", "Srivastava et al. 2014, JMLR 15:1929"),
    errata=(
        "S0 5.4: P is the probability of dropping, yet the test weights are multiplied by P: it must be 1 - P.",
        "S3 gives no scaling at test time. That dropped units are not updated holds for plain gradient descent only:"
        " momentum moves them on.",
        "S4: p is called the probability of dropping, but rand < p keeps with p. Masked inputs need their scaling at"
        " test time too. Its code for test time uses W1 and b1 twice.",
    ),
    conventions={
        "torch": "Dropout(p=0.5): drop probability, inverted scaling; Dropout2d shares a mask over the axes of space",
        "keras": "Dropout(rate): drop probability, inverted scaling; noise_shape has 1 where broadcast_axes are",
        "flax": "Dropout(rate): drop probability, inverted scaling; broadcast_dims are broadcast_axes",
        "stax": "Dropout(rate): the rate is the keep probability",
        "S3": "one mask per minibatch: broadcast_axes=(0,); S4 and libraries draw one per example. Keeps 0.8 of the"
        " inputs and 0.5 of the hidden units: rates 0.2 and 0.5",
        "S4": "p is the keep probability, 0.8 for inputs, 0.5 for hidden units; scaling='weight' and, later, inverted",
    },
    see_also=("alpha_dropout", "gaussian_dropout"),
    symbols={"rate": "p"},
)
def dropout(
    key: jax.Array | int | None,
    x: jax.typing.ArrayLike,
    rate: float | jax.Array,
    *,
    mode: Mode = "train",
    broadcast_axes: Sequence[int] = (),
    scaling: Literal["inverted", "weight"] = "inverted",
) -> jax.Array:
    """Dropout: each element is 0 with probability ``rate``.

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
    x, rate, shape = _arguments(x, "rate", rate, mode, broadcast_axes, low=0, below=1)
    _check.one_of("scaling", scaling, ("inverted", "weight"))
    if mode == "test":
        return x if scaling == "inverted" else (_wide(x) * (1 - rate)).astype(x.dtype)
    held = jnp.where(_kept(key, rate, shape), _wide(x), 0)
    return (held if scaling == "weight" else held / _share(rate)).astype(x.dtype)


_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717  # the limit of SELU at -inf


@entry(
    "noise",
    equation="A = -1.7580993408473766; a = 1/sqrt((1 - p)*(1 + p*A**2)); a*(b*x + (1 - b)*A - p*A)",
    aliases=("selu dropout", "self normalizing dropout"),
    sources=("S2 11.1.2", "Klambauer et al. 2017, arXiv:1706.02515"),
    conventions={
        "torch": "AlphaDropout(p=0.5): drop probability, the same; FeatureAlphaDropout shares a mask over space",
        "keras": "AlphaDropout(rate): drop probability, the same; noise_shape has 1 where broadcast_axes are",
    },
    see_also=("dropout", "selu", "lecun_normal"),
    symbols={"rate": "p"},
)
def alpha_dropout(
    key: jax.Array | int | None,
    x: jax.typing.ArrayLike,
    rate: float | jax.Array,
    *,
    mode: Mode = "train",
    broadcast_axes: Sequence[int] = (),
) -> jax.Array:
    """Alpha dropout: dropped elements take SELU's limit at -inf, and mean 0 and variance 1 stay, at any rate.

    Args:
      key: a PRNG key or an int seed; may be None at test time.
      x: any shape, any real dtype; integers become the default float. Outputs of ``selu``.
      rate: p, 0 ≤ p < 1, the probability of dropping. Traced values may be 1, which gives zeros.
      mode: "train" draws a mask, "test" none.
      broadcast_axes: axes that share one mask.

    Returns:
      Same shape and dtype. Where x has mean 0 and variance 1 it has them too.

    Raises:
      ValueError: a rate outside [0, 1) or not a scalar, an unknown mode, an axis that x does not have.
      TypeError: complex x, a rate that is not a number, or no key in training.
    """
    x, rate, shape = _arguments(x, "rate", rate, mode, broadcast_axes, low=0, below=1)
    if mode == "test":
        return x
    kept, keep = _kept(key, rate, shape), _share(rate)
    a = ((1 + rate * _SELU_FLOOR**2) * keep) ** -0.5
    # What is dropped becomes a·keep·floor: written a·(floor - p·floor) it would lose its digits as p nears 1.
    floor = jnp.where(rate < 1, a * keep * _SELU_FLOOR, 0).astype(_wide(x).dtype)
    return jnp.where(kept, a * (jnp.where(kept, _wide(x), 0) - rate * _SELU_FLOOR), floor).astype(x.dtype)


@entry(
    "noise",
    equation="x + sigma_*n",
    aliases=("additive gaussian noise", "input noise", "noise injection"),
    sources=("S0 5.6", "Bishop 1995, doi:10.1162/neco.1995.7.1.108"),
    conventions={
        "keras": "GaussianNoise(stddev): the same, in training only",
        "torch": "has none: x + std*torch.randn_like(x)",
    },
    see_also=("gaussian_dropout", "dropout"),
    symbols={"stddev": "sigma_"},
)
def gaussian_noise(
    key: jax.Array | int | None,
    x: jax.typing.ArrayLike,
    stddev: float | jax.Array,
    *,
    mode: Mode = "train",
    broadcast_axes: Sequence[int] = (),
) -> jax.Array:
    """Additive Gaussian noise: every element plus an independent normal draw of mean 0.

    Args:
      key: a PRNG key or an int seed; may be None at test time.
      x: any shape, any real dtype; integers become the default float.
      stddev: σ ≥ 0, in the units of x; may be traced.
      mode: "train" draws noise, "test" none.
      broadcast_axes: axes that share one draw.

    Returns:
      Same shape and dtype; its mean over keys is x.

    Raises:
      ValueError: a negative stddev or one that is not a scalar, an unknown mode, an axis that x does not have.
      TypeError: complex x, a stddev that is not a number, or no key in training.
    """
    x, stddev, shape = _arguments(x, "stddev", stddev, mode, broadcast_axes, low=0, below=math.inf)
    if mode == "test":
        return x
    return (_wide(x) + stddev * _normal(key, x, shape)).astype(x.dtype)


@entry(
    "noise",
    equation="x*(1 + sqrt(p/(1 - p))*n)",
    aliases=("multiplicative gaussian noise",),
    sources=("Srivastava et al. 2014, JMLR 15:1929, section 10",),
    conventions={
        "keras": "GaussianDropout(rate): the same",
        "torch": "has none",
        "Srivastava et al.": "p is the keep probability there: the variance is (1 - p)/p",
    },
    see_also=("dropout", "gaussian_noise"),
    symbols={"rate": "p"},
)
def gaussian_dropout(
    key: jax.Array | int | None,
    x: jax.typing.ArrayLike,
    rate: float | jax.Array,
    *,
    mode: Mode = "train",
    broadcast_axes: Sequence[int] = (),
) -> jax.Array:
    """Gaussian dropout: every element times a normal draw with the mean and variance of inverted dropout's factor.

    Args:
      key: a PRNG key or an int seed; may be None at test time.
      x: any shape, any real dtype; integers become the default float.
      rate: p, 0 ≤ p < 1, of the dropout with the same variance p/(1 - p); may be traced. The derivative by it is
        infinite at 0, and at a traced 1 the noise itself is.
      mode: "train" draws noise, "test" none.
      broadcast_axes: axes that share one draw.

    Returns:
      Same shape and dtype; its mean over keys is x.

    Raises:
      ValueError: a rate outside [0, 1) or not a scalar, an unknown mode, an axis that x does not have.
      TypeError: complex x, a rate that is not a number, or no key in training.
    """
    x, rate, shape = _arguments(x, "rate", rate, mode, broadcast_axes, low=0, below=1)
    if mode == "test":
        return x
    spread = (rate / (1 - rate)) ** 0.5
    return (_wide(x) * (1 + spread * _normal(key, x, shape))).astype(x.dtype)


# ---------------------------------------------------------------------------------------------------- the draws


def _kept(key: Any, rate: Any, shape: tuple[int, ...]) -> jax.Array:
    """True with probability 1 - rate, to 2**-17: 16 random bits an element, at half the price of 32."""
    size = math.prod(shape)
    words = jax.random.bits(_check.prng_key(key), ((size + 1) // 2,), jnp.uint32)
    bits = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
    threshold = jnp.clip(jnp.round(jnp.asarray(rate, jnp.float32) * 2**16), 0, 2**16 - 1).astype(jnp.uint16)
    return (bits >= threshold) & (rate < 1)


def _share(rate: Any) -> Any:
    """1 - rate; 1 at a traced rate of 1, where nothing is kept and neither value nor gradient may divide by 0."""
    return 1 - rate if isinstance(rate, float) else jnp.where(rate < 1, 1 - rate, 1)


def _normal(key: Any, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    key, dtype = _check.prng_key(key), _check.compute_dtype(x.dtype)
    return in_a_row(lambda n: jax.random.normal(key, n, dtype), shape)


# -------------------------------------------------------------------------------------------------- the arguments


def _arguments(
    x: Any, name: str, value: Any, mode: str, broadcast_axes: Sequence[int], **bounds: Any
) -> tuple[jax.Array, Any, tuple[int, ...]]:
    """x, the number that says how much noise, and the shape of what is drawn: all checked."""
    value = _check.scalar(name, value, **bounds)
    _check.one_of("mode", mode, ("train", "test"))
    x = _check.floating(x)
    if _check.is_traced(value):
        value = jnp.asarray(value, _check.compute_dtype(x.dtype))
    return x, value, _drawn_shape(x.shape, broadcast_axes)


def _drawn_shape(shape: tuple[int, ...], broadcast_axes: Sequence[int]) -> tuple[int, ...]:
    sizes = list(shape)
    for axis in broadcast_axes:
        if not -len(shape) <= _check.integer("broadcast_axes", axis) < len(shape):
            raise ValueError(f"broadcast_axes must be axes of x, of shape {shape}; got {axis}")
        sizes[axis] = 1
    return tuple(sizes)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(_check.compute_dtype(x.dtype))


__all__ = ["alpha_dropout", "dropout", "gaussian_dropout", "gaussian_noise"]
