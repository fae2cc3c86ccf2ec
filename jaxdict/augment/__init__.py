"""Augmentations: random changes of a batch of examples, ``(key, images, *, …) -> images`` of the same shape and dtype.

Conventions of the room. Images are ``(n, height, width, channels)``, floats or integers; ``gaussian_noise`` and
``mixup`` take any ``(n, …)``. One key serves the batch and every example draws for itself; ``probability`` is the share
of examples that are changed. Integers and narrow floats are computed in float32 and rounded once; integers are clipped
to their type. Where a range matters (``value_range``) floats are taken to lie in [0, 1], integers in all of their type.

Pixel (i, j) is in row i from the top and column j from the left, its centre at whole numbers. Angles are in degrees,
counter-clockwise as seen; sizes are in pixels, or fractions where that is said. ``fill`` says what lies outside of an
image, in the words of ``numpy.pad``: "constant" (``fill_value``, one number or one a channel), "wrap" (the image
again), "edge" (the nearest pixel), "reflect" (mirrored, the border once), "symmetric" (mirrored, the border twice).
``interpolation`` is "bilinear", which never leaves the range of the pixels it reads, or "nearest", halves going down
and right; with "nearest", and where pixels only move, every value is one of the image or the fill.

A partial goes into ``fit``, which draws anew at every step; several are composed by a function that splits the key::

    fit(…, augment=functools.partial(augment.rotate, max_degrees=15.0))

    def flipped_and_moved(key, images):
        flip_key, move_key = jax.random.split(key)
        return augment.translate(move_key, augment.flip(flip_key, images), max_shift=4)

``mixup`` and ``cutmix`` change the targets too, ``(key, images, labels) -> (images, labels)``: they belong where both
are at hand, in the batches that ``fit`` is given or in a loop of one's own, under a loss that takes dense targets.
"""

from jaxdict.augment._resample import affine_transform
from jaxdict.augment.geometry import crop_and_resize, flip, rotate, rotate_quarter, translate, zoom
from jaxdict.augment.mixing import cutmix, mixup
from jaxdict.augment.pixels import gaussian_noise, salt_and_pepper

__all__ = [
    "affine_transform", "crop_and_resize", "cutmix", "flip", "gaussian_noise", "mixup", "rotate", "rotate_quarter",
    "salt_and_pepper", "translate", "zoom",
]  # fmt: skip
