"""Noise on images: what changes their values, pixel by pixel."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._draws import in_a_row
from jaxdict._entry import entry
from jaxdict.augment._common import batch, chosen, each, limits, narrow, pictures, scalar, uniforms, wide


@entry(
    "augmentation",
    equation="min(max(x + sigma*epsilon, l), u)",
    aliases=("additive gaussian noise", "random noise"),
    sources=("S0 5.6",),
    conventions={
        "torch": "torchvision's v2.GaussianNoise(mean=0.0, sigma=0.1, clip=True): floats, clipped to [0, 1]",
        "keras": "layers.GaussianNoise(stddev): not clipped; value_range=(-inf, inf) here",
    },
    symbols={"stddev": "sigma"},
    see_also=("salt_and_pepper",),
)
def gaussian_noise(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    stddev: float | jax.Array,
    value_range: tuple[Any, Any] | None = None,
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Add normal noise, epsilon ~ N(0, 1) for each element, and clip to the range [l, u].

    Args:
      key: a PRNG key or an int seed.
      images: (n, …), floats or integers.
      stddev: sigma, >= 0, in the images' units: 0.1 where they lie in [0, 1] is 25.5 for uint8.
      value_range: (l, u); [0, 1] for floats and the whole type for integers when None. (-inf, inf) clips nothing.
      probability: of an example's being changed; one that is not stays as it is, clipped neither.

    Returns:
      Same shape and dtype.

    Raises:
      ValueError: a number out of range, a value_range that is no pair (low, high), images without an axis.
      TypeError: images that are neither floats nor integers.
    """
    images = batch(images)
    x = wide(images)
    sigma = scalar("stddev", stddev, low=0).astype(x.dtype)
    low, high = (jnp.asarray(bound, x.dtype) for bound in limits(images.dtype, value_range))
    draw, choice = jax.random.split(_check.prng_key(key))
    epsilon = in_a_row(lambda n: jax.random.normal(draw, n, jnp.float32), x.shape).astype(x.dtype)
    noisy = narrow(jnp.clip(x + sigma * epsilon, low, high), images.dtype)
    (u,) = uniforms(choice, len(images), 1)
    return jnp.where(each(chosen(u, probability), images), noisy, images)


@entry(
    "augmentation",
    equation="cases((b, v < p*s), (a, v < p), (x, True))",
    aliases=("salt and pepper noise", "impulse noise", "salt & pepper"),
    sources=("S0 5.6",),
    errata=("S0 5.6 calls it an addition of white and black pixels: they replace what was there.",),
    conventions={"scikit-image": 'random_noise(mode="s&p", amount=0.05, salt_vs_pepper=0.5): each channel apart'},
    symbols={"amount": "p", "salt": "s"},
    see_also=("gaussian_noise",),
)
def salt_and_pepper(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    amount: float | jax.Array,
    salt: float | jax.Array = 0.5,
    value_range: tuple[Any, Any] | None = None,
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Make each pixel white or black with probability ``amount``: b and a in the equation, v ~ U(0, 1) for each pixel.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers.
      amount: p, the share of pixels that are replaced, all their channels together.
      salt: s, the share of white among them.
      value_range: (black, white), finite; (0, 1) for floats and the ends of the type for integers when None.
      probability: of an image's being changed.

    Returns:
      Same shape and dtype.

    Raises:
      ValueError: a number out of range, a value_range that is no pair (low, high), images of another rank.
      TypeError: images that are neither floats nor integers.
    """
    images = pictures(images)
    p = scalar("amount", amount, low=0, high=1)
    white = p * scalar("salt", salt, low=0, high=1)
    dark, bright = limits(images.dtype, value_range)
    if value_range is not None:
        dark, bright = (
            narrow(jnp.asarray(v, _check.compute_dtype(images.dtype)), images.dtype) for v in (dark, bright)
        )
    dark, bright = jnp.asarray(dark, images.dtype), jnp.asarray(bright, images.dtype)
    draw, choice = jax.random.split(_check.prng_key(key))
    v = in_a_row(lambda n: jax.random.uniform(draw, n, jnp.float32), (*images.shape[:3], 1))
    (u,) = uniforms(choice, len(images), 1)
    v = jnp.where(each(chosen(u, probability), images), v, 1)
    return jnp.where(v < white, bright, jnp.where(v < p, dark, images))
