"""Moves of pixels: flips and quarter turns, which are exact; rotations, zooms, crops and shifts, which read between.

An equation gives where output pixel (i, j) is read: f(y, x) is the image at row y and column x, (a, b) its centre, h
and w its height and width. What varies is drawn for each example.
"""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.augment._common import between, chosen, each, one_of_first, pictures, scalar, uniforms
from jaxdict.augment._resample import Fill, Interpolation, Taps, grid, resample, sample


@entry(
    "augmentation",
    equation="f(i, b*(w - 1 - j) + (1 - b)*j)",
    aliases=("random flip", "mirror", "horizontal flip", "vertical flip", "fliplr", "flipud"),
    sources=("S0 5.6",),
    conventions={
        "torch": "RandomHorizontalFlip(p=0.5), RandomVerticalFlip(p=0.5)",
        "keras": 'RandomFlip(mode="horizontal_and_vertical"): both directions unless told otherwise',
    },
    see_also=("rotate_quarter",),
)
def flip(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    direction: Literal["horizontal", "vertical", "both"] = "horizontal",
    probability: float | jax.Array = 0.5,
) -> jax.Array:
    """Flip left and right, or top and bottom, with a probability; b in the equation is 1 where it is done.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers.
      direction: "horizontal" swaps left and right, "vertical" top and bottom, "both" draws for each of them.
      probability: of an image's being flipped, in each direction.

    Returns:
      Same shape and dtype; every value is kept.

    Raises:
      ValueError: an unknown direction, a probability outside [0, 1], images of another rank.
      TypeError: images that are neither floats nor integers.
    """
    _check.one_of("direction", direction, ("horizontal", "vertical", "both"))
    images = pictures(images)
    for u, axis, name in zip(uniforms(key, len(images), 2), (2, 1), ("horizontal", "vertical"), strict=True):
        if direction in (name, "both"):
            images = jnp.where(each(chosen(u, probability), images), jnp.flip(images, axis), images)
    return images


@entry(
    "augmentation",
    equation=(
        "theta = k*pi/2; a = (h - 1)/2; b = (w - 1)/2; y = a + (i - a)*cos(theta) + (j - b)*sin(theta);"
        " x = b + (j - b)*cos(theta) - (i - a)*sin(theta); f(y, x)"
    ),
    aliases=("random rotation by 90 degrees", "rotate90", "rot90", "quarter turns"),
    sources=("S0 5.6",),
    errata=(
        "S0 5.6 says that 90 degrees leave the image effectively unchanged: every pixel value is kept, but what the"
        " picture means need not be (6 and 9).",
    ),
    conventions={"numpy": "rot90(image, k) of (height, width): the same direction, counter-clockwise"},
    see_also=("rotate", "flip"),
)
def rotate_quarter(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    turns: Sequence[int] = (0, 1, 2, 3),
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Rotate by k quarter turns counter-clockwise, k drawn from ``turns`` with equal chances; no value is changed.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers.
      turns: the numbers of quarter turns to draw from; images that are not square allow even ones only.
      probability: of an image's being turned by what was drawn.

    Returns:
      Same shape and dtype.

    Raises:
      ValueError: no turns, odd turns of images that are not square, a probability outside [0, 1], another rank.
      TypeError: a turn that is no whole number, images that are neither floats nor integers.
    """
    images = pictures(images)
    if not len(turns):
        raise ValueError("turns must hold a number of quarter turns; got none")
    numbers = [_check.integer("turns", turn) % 4 for turn in turns]
    _, height, width, _ = images.shape
    odd = any(number % 2 for number in numbers)
    if odd and height != width:
        raise ValueError(
            f"quarter turns of {height} x {width} images would change their shape; turns=(0, 2) keeps it; got {turns}"
        )
    u, choice = uniforms(key, len(images), 2)
    drawn = jnp.asarray(numbers, jnp.int32)[one_of_first(u, len(numbers)).astype(jnp.int32)]
    k = each(jnp.where(chosen(choice, probability), drawn, 0), images)
    images = jnp.where(k >= 2, images[:, ::-1, ::-1], images)
    return jnp.where(k % 2 == 1, jnp.rot90(images, axes=(1, 2)), images) if odd else images


@entry(
    "augmentation",
    equation=(
        "a = (h - 1)/2; b = (w - 1)/2; y = a + (i - a)*cos(theta) + (j - b)*sin(theta);"
        " x = b + (j - b)*cos(theta) - (i - a)*sin(theta); f(y, x)"
    ),
    aliases=("random rotation", "rotation"),
    sources=("S0 5.6",),
    conventions={
        "torch": 'RandomRotation(degrees): degrees, "nearest" and filled with 0 by default',
        "keras": 'RandomRotation(factor): in whole turns, counter-clockwise; its fill_mode "reflect", the default, is'
        ' "symmetric" here, its "nearest" is "edge"',
        "scipy": "ndimage.rotate(image, angle, reshape=False, order=1): the same direction and centre; its default"
        " order 3 is a spline",
    },
    see_also=("rotate_quarter", "zoom", "translate"),
)
def rotate(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    max_degrees: float | jax.Array,
    fill: Fill = "constant",
    fill_value: Any = 0,
    interpolation: Interpolation = "bilinear",
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Rotate counter-clockwise about the centre by an angle theta drawn from U(-max_degrees, max_degrees).

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers, finite.
      max_degrees: the largest angle, in degrees, >= 0; 180 gives every direction.
      fill: what lies outside, and fill_value that of "constant". interpolation: "bilinear" or "nearest". See the room.
      probability: of an image's being rotated.

    Returns:
      Same shape and dtype; corners that turn out of the image are lost.

    Raises:
      ValueError: a number out of range, an unknown fill or interpolation, images of another rank.
      TypeError: images that are neither floats nor integers.
    """
    images = pictures(images)
    most = scalar("max_degrees", max_degrees, low=0)
    i, j, a, b = grid(images)
    u, choice = uniforms(key, len(images), 2)
    theta = jnp.where(chosen(choice, probability), jnp.deg2rad(between(u, -most, most)), 0)
    theta = each(theta, i, i.dtype)
    cos, sin = jnp.cos(theta), jnp.sin(theta)
    y = a + (i - a) * cos + (j - b) * sin
    x = b + (j - b) * cos - (i - a) * sin
    return resample(images, y, x, fill, fill_value, interpolation)


@entry(
    "augmentation",
    equation="a = (h - 1)/2; b = (w - 1)/2; y = a + (i - a)/z; x = b + (j - b)/z; f(y, x)",
    aliases=("random zoom", "scale", "scaling", "zooming"),
    sources=("S0 5.6",),
    conventions={
        "torch": "RandomAffine(0, scale=(low, high)): the same factor, drawn evenly, not in its logarithm",
        "keras": "RandomZoom(height_factor): positive factors zoom out, by that share; drawn evenly, and for rows and"
        " columns apart when width_factor is given",
    },
    see_also=("crop_and_resize", "rotate", "translate"),
)
def zoom(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    max_factor: float | jax.Array,
    min_factor: float | jax.Array | None = None,
    fill: Fill = "constant",
    fill_value: Any = 0,
    interpolation: Interpolation = "bilinear",
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Zoom about the centre by a factor z, even in its logarithm between min_factor and max_factor; above 1 is closer.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers, finite.
      max_factor: the largest factor: 1.25 makes things a quarter larger.
      min_factor: the smallest, > 0; when None 1/max_factor, so that closer and farther are as likely.
      fill: what lies outside, and fill_value that of "constant". interpolation: "bilinear" or "nearest". See the room.
      probability: of an image's being zoomed.

    Returns:
      Same shape and dtype. Zooming far out skips pixels: nothing is averaged.

    Raises:
      ValueError: a number out of range, an unknown fill or interpolation, images of another rank.
      TypeError: images that are neither floats nor integers.
    """
    images = pictures(images)
    if min_factor is None:
        high = scalar("max_factor", max_factor, low=1)
        low = 1 / high
    else:
        low = scalar("min_factor", min_factor, above=0)
        high = scalar("max_factor", max_factor, low=None if _check.is_traced(min_factor) else float(min_factor))
    i, j, a, b = grid(images)
    u, choice = uniforms(key, len(images), 2)
    z = each(jnp.where(chosen(choice, probability), low * (high / low) ** u, 1), i, i.dtype)
    y, x = a + (i - a) / z, b + (j - b) / z
    return resample(images, y, x, fill, fill_value, interpolation)


@entry(
    "augmentation",
    equation="f(i - s, j - t)",
    aliases=("random translation", "translation", "shift", "random shift"),
    sources=("S0 5.6",),
    conventions={
        "torch": "RandomAffine(0, translate=(right, down)): fractions of the sides, in whole pixels",
        "keras": "RandomTranslation(height_factor, width_factor): fractions of the sides, not whole pixels; its default"
        ' fill_mode "reflect" is "symmetric" here',
    },
    see_also=("crop_and_resize", "zoom", "rotate"),
)
def translate(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    max_shift: float | jax.Array | tuple[Any, Any],
    subpixel: bool = False,
    fill: Fill = "constant",
    fill_value: Any = 0,
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Shift by s pixels down and t to the right, each drawn evenly from -max_shift to max_shift.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers.
      max_shift: pixels, >= 0, one number or (down, right); for a share of the side give max_shift=0.1 * height.
      subpixel: shift by any real number, bilinear; without it by whole pixels, 2.5 counting as 2, and exactly.
      fill: what lies outside, and fill_value that of "constant". See the room.
      probability: of an image's being shifted.

    Returns:
      Same shape and dtype.

    Raises:
      ValueError: a number out of range, a max_shift of more than two numbers, an unknown fill, another rank.
      TypeError: images that are neither floats nor integers.
    """
    images = pictures(images)
    pair = max_shift if isinstance(max_shift, (tuple, list)) else (max_shift, max_shift)
    if len(pair) != 2:
        raise ValueError(f"max_shift must be one number or (down, right); got {max_shift!r}")
    i, j, *_ = grid(images)
    *draws, choice = uniforms(key, len(images), 3)
    shifts = []
    for u, limit in zip(draws, pair, strict=True):
        most = scalar("max_shift", limit, low=0)
        whole = jnp.floor(most)
        shift = between(u, -most, most) if subpixel else one_of_first(u, 2 * whole + 1) - whole
        shifts.append(each(jnp.where(chosen(choice, probability), shift, 0), i, i.dtype))
    s, t = shifts
    return resample(images, i - s, j - t, fill, fill_value, "bilinear" if subpixel else "nearest")


@entry(
    "augmentation",
    equation=(
        "y = t + min(max((i + 0.5)*r/h - 0.5, 0), r - 1); x = l + min(max((j + 0.5)*s/w - 0.5, 0), s - 1); f(y, x)"
    ),
    aliases=("random crop", "random resized crop", "crop then resize", "crop", "cropping"),
    sources=("S0 5.6", "Szegedy et al. 2015, arXiv:1409.4842 section 6"),
    conventions={
        "torch": "RandomResizedCrop(size, scale=(0.08, 1), ratio=(3/4, 4/3)): min_area=0.08, max_aspect=4/3 for square"
        " images; its ratio is that of the crop, not to the image's, and ten failed draws give the centre",
        "keras": "RandomCrop(height, width): a crop of fixed size, not resized unless the image is too small",
    },
    see_also=("zoom", "translate"),
)
def crop_and_resize(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    *,
    min_area: float | jax.Array,
    max_aspect: float | jax.Array = 1.0,
    interpolation: Interpolation = "bilinear",
    probability: float | jax.Array = 1.0,
) -> jax.Array:
    """Cut out r x s pixels at row t and column l, and resize them to the whole image.

    The crop has a share of the area drawn from U(min_area, 1), sides in the image's ratio times one drawn evenly in its
    logarithm up to max_aspect, in whole pixels and no larger than the image, and any place as likely as any other.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers, finite.
      min_area: the smallest share of the area, > 0 and at most 1.
      max_aspect: how much wider, or taller, the crop may be than the image's shape has it, >= 1.
      interpolation: "bilinear" or "nearest"; pixels beside the crop are not read.
      probability: of an image's being cropped.

    Returns:
      Same shape and dtype: jax.image.resize of the crop.

    Raises:
      ValueError: a number out of range, an unknown interpolation, images of another rank.
      TypeError: images that are neither floats nor integers.
    """
    _check.one_of("interpolation", interpolation, ("bilinear", "nearest"))
    images = pictures(images)
    _, height, width, _ = images.shape
    smallest = scalar("min_area", min_area, above=0, high=1)
    most = jnp.log(scalar("max_aspect", max_aspect, low=1))
    size, shape, down, right, choice = uniforms(key, len(images), 5)
    area, stretch = between(size, smallest, 1), jnp.exp(between(shape, -most, most))
    cropped, dtype = chosen(choice, probability), _check.compute_dtype(images.dtype)
    tall, broad = (jnp.where(cropped, share, 1) for share in (jnp.sqrt(area / stretch), jnp.sqrt(area * stretch)))
    i, j = (jnp.arange(size, dtype=jnp.int32) for size in (height, width))
    rows = _crop(down, tall, i[None, :, None], interpolation, dtype)
    columns = _crop(right, broad, j[None, None, :], interpolation, dtype)
    return sample(images, rows, columns) if images.size else images


def _crop(u: jax.Array, share: jax.Array, i: jax.Array, interpolation: Interpolation, dtype: Any) -> Taps:
    """Taps of a crop of ``share`` of an axis with pixels ``i``, resized to all of it; exact, in whole numbers."""
    size = i.size
    length = jnp.clip(jnp.round(share * size), 1, size)
    start, length = (each(v, i, jnp.int32) for v in (one_of_first(u, size + 1 - length), length))
    near = (2 * i + 1) * length // (2 * size)
    if interpolation == "nearest":
        return Taps(start + near)
    # Of the coordinate (i + 1/2)*length/size - 1/2, what is beyond the nearest pixel, times 2*size.
    beyond = (2 * i + 1) * length - size - 2 * size * near
    far = jnp.clip(near + jnp.where(beyond < 0, -1, 1), 0, length - 1)
    return Taps(start + near, start + far, jnp.abs(beyond).astype(dtype) / (2 * size))
