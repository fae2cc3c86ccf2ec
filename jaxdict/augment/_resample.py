"""Reading images between their pixels and outside of their borders; every geometric augmentation ends here."""

import functools
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict.augment._common import each, narrow, pictures, wide

Fill = Literal["constant", "wrap", "edge", "reflect", "symmetric"]
Interpolation = Literal["bilinear", "nearest"]


class Taps(NamedTuple):
    """Where coordinates on an axis read: the nearest pixel, and for bilinear the one beyond, and how far towards it.

    The way is at most a half, so that rounding can lead out of neither. Indices are inside of the image; all have
    shapes that broadcast to (n, height, width).
    """

    near: jax.Array
    far: jax.Array | None = None
    way: jax.Array | None = None


def taps(coordinate: jax.Array, size: int, fill: Fill, interpolation: Interpolation) -> Taps:
    """Taps of real coordinates on an axis of ``size`` pixels; "constant" reads an image with a border of one pixel."""
    nearest = jnp.floor(coordinate + 0.5)
    near = nearest.astype(jnp.int32)
    if interpolation == "nearest":
        return Taps(_inside(near, size, fill))
    beyond = coordinate - nearest
    far = jnp.where(beyond < 0, near - 1, near + 1)
    return Taps(_inside(near, size, fill), _inside(far, size, fill), jnp.where(beyond < 0, -beyond, beyond))


def _inside(index: jax.Array, size: int, fill: Fill) -> jax.Array:
    """The pixel that stands for ``index`` on an axis that goes on for ever."""
    match fill:
        case "constant":  # everything outside is the border
            return jnp.clip(index, -1, size) + 1
        case "edge":
            return jnp.clip(index, 0, size - 1)
        case "wrap":
            return index % size
        case "reflect":
            index = index % max(2 * size - 2, 1)
            return jnp.minimum(index, 2 * size - 2 - index)
        case "symmetric":
            index = index % (2 * size)
            return jnp.minimum(index, 2 * size - 1 - index)


# Compiled where it is called alone, so that an eager call is one program and not one an operation.
@functools.partial(jax.jit, inline=True)
def sample(images: jax.Array, rows: Taps, columns: Taps) -> jax.Array:
    """The images at ``rows`` and ``columns``, in their own type."""
    if rows.far is None or rows.way is None or columns.far is None or columns.way is None:
        return _read(images, rows.near, columns.near)
    across, along, beyond = columns.way[..., None], rows.way[..., None], columns.far

    def row(index: jax.Array) -> jax.Array:
        near, far = wide(_read(images, index, columns.near)), wide(_read(images, index, beyond))
        return near + across * (far - near)

    near, far = row(rows.near), row(rows.far)
    return narrow(near + along * (far - near), images.dtype)


def _read(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Whole pixels, at indices that are inside."""
    n, height, width, channels = images.shape
    flat = images.reshape(n, height * width, channels)
    where = rows * width + columns
    where = jnp.broadcast_to(where, (n, *where.shape[1:]))
    return jax.vmap(lambda pixels, at: pixels.at[at].get(mode="promise_in_bounds"))(flat, where)


def resample(
    images: jax.Array, rows: jax.Array, columns: jax.Array, fill: Fill, fill_value: Any, interpolation: Interpolation
) -> jax.Array:
    """The images at real coordinates that broadcast to (n, height, width)."""
    fill = _check.one_of("fill", fill, get_args(Fill))
    interpolation = _check.one_of("interpolation", interpolation, get_args(Interpolation))
    border = _border(fill_value, images.shape[-1], images.dtype)
    return _resampled(images, rows, columns, border, fill=fill, interpolation=interpolation) if images.size else images


@functools.partial(jax.jit, inline=True, static_argnames=("fill", "interpolation"))
def _resampled(images, rows, columns, border, *, fill, interpolation):
    n, height, width, channels = images.shape
    if fill == "constant":
        framed = jnp.broadcast_to(border, (n, height + 2, width + 2, channels))
        images = jax.lax.dynamic_update_slice(framed, images, (0, 1, 1, 0))
    return sample(images, taps(rows, height, fill, interpolation), taps(columns, width, fill, interpolation))


def _border(fill_value: Any, channels: int, dtype: Any) -> jax.Array:
    """``fill_value`` in the images' type, one number or one a channel."""
    bounds = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else None
    _check.number("fill_value", fill_value, **({} if bounds is None else {"low": bounds.min, "high": bounds.max}))
    if np.shape(fill_value) not in ((), (channels,)):
        raise ValueError(
            f"fill_value must be one number or one a channel, of shape ({channels},); got shape {np.shape(fill_value)}"
        )
    value = jnp.asarray(fill_value)
    return narrow(wide(value), dtype) if bounds is not None and value.dtype != dtype else value.astype(dtype)


def grid(images: jax.Array) -> tuple[jax.Array, jax.Array, float, float]:
    """Row numbers (1, height, 1), column numbers (1, 1, width), and the row and column of the centre."""
    _, height, width, _ = images.shape
    dtype = _check.compute_dtype(images.dtype)
    rows, columns = jnp.arange(height, dtype=dtype)[None, :, None], jnp.arange(width, dtype=dtype)[None, None, :]
    return rows, columns, (height - 1) / 2, (width - 1) / 2


def affine_transform(
    images: jax.typing.ArrayLike,
    matrix: jax.typing.ArrayLike,
    offset: jax.typing.ArrayLike,
    *,
    fill: Fill = "constant",
    fill_value: Any = 0,
    interpolation: Interpolation = "bilinear",
) -> jax.Array:
    """Read the images at ``matrix @ (i, j) + offset`` for every pixel (i, j): nothing random, in SciPy's convention.

    Bilinear is scipy.ndimage.affine_transform of order 1 at the mode "grid-constant" for "constant", "grid-wrap" for
    "wrap", "nearest" for "edge", "mirror" for "reflect", "reflect" for "symmetric"; nearest is order 0.

    Args:
      images: (n, height, width, channels), floats or integers, finite.
      matrix: (2, 2) for all, or (n, 2, 2): from the output's rows and columns to the input's.
      offset: (2,) for all, or (n, 2), in pixels.
      fill: what lies outside. fill_value: that of "constant", in the images' units. interpolation: see the room.

    Returns:
      Same shape and dtype. Gradients go to images, matrix and offset.

    Raises:
      ValueError: a shape that does not fit, an unknown fill or interpolation, a fill_value outside the type.
      TypeError: images that are neither floats nor integers.
    """
    images = pictures(images)
    i, j, *_ = grid(images)
    arrays = {}
    for name, value, shape in (("matrix", matrix, (2, 2)), ("offset", offset, (2,))):
        value = jnp.asarray(value, i.dtype)
        if value.shape not in (shape, (len(images), *shape)):
            raise ValueError(f"{name} must have shape {shape} or {(len(images), *shape)}; got {value.shape}")
        arrays[name] = value.reshape(-1, *shape)
    m, at = arrays["matrix"], arrays["offset"]
    # Written out: a matrix product may be computed in fewer digits.
    rows = each(m[:, 0, 0], i) * i + each(m[:, 0, 1], j) * j + each(at[:, 0], i)
    columns = each(m[:, 1, 0], i) * i + each(m[:, 1, 1], j) * j + each(at[:, 1], j)
    return resample(images, rows, columns, fill, fill_value, interpolation)
