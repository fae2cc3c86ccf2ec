"""What augmentations share: checks at the edge, draws of one number an example, the way back to the images' type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check


def batch(images: Any, name: str = "images") -> jax.Array:
    """``images`` as an array ``(n, …)`` of floats or integers; a TypeError or ValueError otherwise."""
    images = jnp.asarray(images)
    if not (jnp.issubdtype(images.dtype, jnp.floating) or jnp.issubdtype(images.dtype, jnp.integer)):
        hint = "; cast a mask to uint8" if images.dtype == jnp.bool_ else ""
        raise TypeError(f"{name} must be floats or integers; got {images.dtype}{hint}")
    if not images.ndim:
        raise ValueError(f"{name} must have an axis of examples; got a scalar")
    return images


def pictures(images: Any) -> jax.Array:
    """``images`` as an array ``(n, height, width, channels)``."""
    images = batch(images)
    if images.ndim != 4:
        hint = "; images[..., None] gives grey images their channel, images[None] makes a batch of one"
        raise ValueError(
            f"images must be (n, height, width, channels); got shape {images.shape}{hint if images.ndim == 3 else ''}"
        )
    return images


def scalar(name: str, value: Any, **bounds: Any) -> jax.Array:
    """``value``, checked when it is concrete, as a float32 scalar."""
    return jnp.asarray(_check.scalar(name, value, **bounds), jnp.float32)


def uniforms(key: Any, count: int, kinds: int) -> jax.Array:
    """``kinds`` rows of ``count`` numbers in [0, 1), one of each kind an example, from one call.

    They are float32 whatever the images are, so that a key means one change for every type.
    """
    return jax.random.uniform(_check.prng_key(key), (kinds, count), jnp.float32)


def between(u: jax.Array, low: Any, high: Any) -> jax.Array:
    """Uniform numbers in [low, high) from those in [0, 1)."""
    return low + (high - low) * u


def one_of_first(u: jax.Array, places: Any) -> jax.Array:
    """Whole numbers from 0 up to ``places`` - 1, equally likely, from uniform numbers in [0, 1)."""
    return jnp.minimum(jnp.floor(u * places), places - 1)


def chosen(u: jax.Array, probability: Any) -> jax.Array:
    """Which examples are changed."""
    return u < scalar("probability", probability, low=0, high=1)


def each(values: jax.Array, like: jax.Array, dtype: Any = None) -> jax.Array:
    """One value an example, with the axes that ``like`` has after the first."""
    return values.reshape(values.shape + (1,) * (like.ndim - 1)).astype(dtype or values.dtype)


def wide(x: jax.Array) -> jax.Array:
    """``x`` in the type that is computed in."""
    return x.astype(_check.compute_dtype(x.dtype))


def narrow(x: jax.Array, dtype: Any) -> jax.Array:
    """``x`` back in the images' type: integers are rounded, halves to even, and clipped."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return x.astype(dtype)
    bounds = jnp.iinfo(dtype)
    high = np.asarray(bounds.max, x.dtype)
    if int(high) > bounds.max:  # float32 has no 2**31 - 1
        high = np.nextafter(high, np.zeros_like(high))
    return jnp.clip(jnp.round(x), bounds.min, high).astype(dtype)


def limits(dtype: Any, value_range: Any) -> tuple[Any, Any]:
    """The darkest and the brightest value: as given, or those of the type."""
    if value_range is None:
        bounds = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else None
        return (0.0, 1.0) if bounds is None else (int(bounds.min), int(bounds.max))
    try:
        low, high = value_range
    except (TypeError, ValueError) as error:
        raise ValueError(f"value_range must be a pair (low, high); got {value_range!r}") from error
    _check.number("value_range", low)
    _check.number("value_range", high)
    if not (_check.is_traced(low) or _check.is_traced(high) or float(low) < float(high)):
        raise ValueError(f"value_range must be (low, high) with low < high; got {value_range!r}")
    return low, high
