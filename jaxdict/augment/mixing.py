"""Two examples in one: images and their targets, mixed in the same proportion.

An equation mixes an example, x1 with targets y1, with its partner x2, y2: another example of the batch, by a random
permutation, that may leave some as they are. Proportions are drawn for each example.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdict._entry import entry
from jaxdict.augment._common import batch, chosen, each, narrow, one_of_first, pictures, scalar, uniforms, wide


@entry(
    "augmentation",
    equation="x = lambda_*x1 + (1 - lambda_)*x2; y = lambda_*y1 + (1 - lambda_)*y2",
    aliases=("mix up",),
    sources=("Zhang, Cisse, Dauphin, Lopez-Paz 2018, arXiv:1710.09412",),
    conventions={
        "paper": "its formulas draw lambda for each pair, its code one a batch; alpha from 0.1 to 0.4 on ImageNet",
        "torch": "torchvision's v2.MixUp(alpha=1.0): one lambda for the batch, partners by a roll of one",
        "keras": "MixUp(alpha=0.2): the same",
    },
    see_also=("cutmix", "softmax_cross_entropy"),
)
def mixup(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    labels: jax.typing.ArrayLike,
    *,
    alpha: float | jax.Array = 0.2,
    probability: float | jax.Array = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Mix every example with another one, lambda ~ Beta(alpha, alpha) of the first.

    Args:
      key: a PRNG key or an int seed.
      images: (n, …), floats or integers, finite.
      labels: (n, …), floats: one-hot rows or any dense targets; jax.nn.one_hot(labels, classes) makes them of integers.
      alpha: > 0; small ones mix little, 1 evenly.
      probability: of an example's being mixed.

    Returns:
      (images, labels), mixed, each of its own shape and dtype.

    Raises:
      ValueError: a number out of range, images and labels of different lengths.
      TypeError: images that are neither floats nor integers, labels that are not floats.
    """
    images = batch(images)
    labels = _targets(labels, images)
    partner, part = _pairs(uniforms(key, len(images), 5), alpha, probability)
    return _mix(images, partner, part), _mix(labels, partner, part)


@entry(
    "augmentation",
    equation="x = (1 - m)*x1 + m*x2; lambda_ = 1 - mean(m); y = lambda_*y1 + (1 - lambda_)*y2",
    aliases=("cut mix",),
    sources=("Yun et al. 2019, arXiv:1905.04899",),
    conventions={
        "paper": "its code draws one box and lambda for the batch, and its boxes have even sides",
        "torch": "torchvision's v2.CutMix(alpha=1.0): one box for the batch, partners by a roll of one",
        "keras": "CutMix(factor=1.0): alpha is drawn from U(0, factor); boxes lie inside, in fractions of a pixel",
    },
    see_also=("mixup", "softmax_cross_entropy"),
)
def cutmix(
    key: jax.Array | int,
    images: jax.typing.ArrayLike,
    labels: jax.typing.ArrayLike,
    *,
    alpha: float | jax.Array = 1.0,
    probability: float | jax.Array = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Replace a box (m is 1 in it) by the same box of another image, and mix the labels by the areas.

    The box has the image's shape and the share 1 - lambda of its area, lambda ~ Beta(alpha, alpha), in whole pixels,
    and its centre anywhere; what sticks out is cut off, and the labels go by what is left.

    Args:
      key: a PRNG key or an int seed.
      images: (n, height, width, channels), floats or integers.
      labels: (n, …), floats: one-hot rows or any dense targets; jax.nn.one_hot(labels, classes) makes them of integers.
      alpha: > 0; 1 makes every area as likely.
      probability: of an image's being changed.

    Returns:
      (images, labels), mixed, each of its own shape and dtype.

    Raises:
      ValueError: a number out of range, images of another rank, images and labels of different lengths.
      TypeError: images that are neither floats nor integers, labels that are not floats.
    """
    images = pictures(images)
    labels = _targets(labels, images)
    n, height, width, _ = images.shape
    *draws, down, right = uniforms(key, n, 7)
    partner, part = _pairs(draws, alpha, probability)
    rows, columns = _span(down, height, part), _span(right, width, part)
    box = rows[:, :, None, None] & columns[:, None, :, None]
    area = jnp.sum(rows, 1) * jnp.sum(columns, 1)
    share = jnp.minimum(area / max(height * width, 1), 1)  # the quotient may be rounded up
    return jnp.where(box, images[partner], images), _mix(labels, partner, 1 - share)


def _targets(labels: Any, images: jax.Array) -> jax.Array:
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        raise TypeError(f"labels must be floats, such as jax.nn.one_hot(labels, classes); got {labels.dtype}")
    if not labels.ndim or len(labels) != len(images):
        raise ValueError(f"labels must have one row an image, {len(images)}; got shape {labels.shape}")
    return labels


def _pairs(draws: Any, alpha: Any, probability: Any) -> tuple[jax.Array, jax.Array]:
    """A partner for each example, by a random permutation, and the part that the example keeps."""
    order, choice, u, v, w = draws
    part = _symmetric_beta(u, v, w, scalar("alpha", alpha, above=0))
    return jnp.argsort(order), jnp.where(chosen(choice, probability), part, 1)


def _symmetric_beta(u: jax.Array, v: jax.Array, w: jax.Array, alpha: jax.Array) -> jax.Array:
    """Beta(alpha, alpha) for every alpha > 0 from three uniform numbers, without rejection.

    Beta(alpha + 1, alpha + 1) is (1 + r)/2 with r the cosine of a point on a sphere (Ulrich 1984, doi:10.2307/2347441);
    as Gamma(alpha) is Gamma(alpha + 1) times a power of a uniform number, one Laplace number over alpha goes from
    its logit to that of Beta(alpha, alpha).
    """
    radius = jnp.sqrt(-jnp.expm1(2 * jnp.log1p(-u) / (2 * alpha + 1)))
    w = jnp.maximum(w, 2.0**-24)
    laplace = jnp.where(w < 0.5, jnp.log(2 * w), -jnp.log(2 - 2 * w))
    return jax.nn.sigmoid(2 * jnp.arctanh(radius * jnp.cos(2 * jnp.pi * v)) + laplace / alpha)


def _mix(values: jax.Array, partner: jax.Array, part: jax.Array) -> jax.Array:
    """``part`` of the values and the rest of their partners', added to the larger: rounding leads out of neither."""
    own = wide(values)
    other, part = own[partner], each(part, values, own.dtype)
    mixed = jnp.where(part < 0.5, other, own) + jnp.where(part < 0.5, part, part - 1) * (own - other)
    return narrow(mixed, values.dtype)


def _span(u: jax.Array, size: int, part: jax.Array) -> jax.Array:
    """Which pixels of an axis a box covers that takes 1 - part of the area, about a pixel drawn evenly: (n, size)."""
    length, centre = jnp.floor(size * jnp.sqrt(1 - part)), one_of_first(u, size)
    start = (centre - length // 2)[:, None]
    pixel = jnp.arange(size, dtype=start.dtype)[None, :]
    return (pixel >= start) & (pixel < start + length[:, None])
