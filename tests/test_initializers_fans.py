"""Fans of every kind of kernel, by name and by what they are for: the sums that real products and convolutions make."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdict import initializers


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((5, 7), {}, (5, 7)),
        ((3, 3, 8, 16), {}, (72, 144)),
        ((16, 8, 3, 3), {"in_axis": 1, "out_axis": 0}, (72, 144)),  # torch's layout
        ((3, 3, 2, 16), {}, (18, 144)),  # 4 groups, 8 -> 16, as torch and Keras count
        ((3, 3, 2, 16), {"groups": 4}, (18, 36)),  # an input reaches the outputs of its group
        ((3, 3, 1, 16), {"groups": 8}, (9, 18)),  # depthwise, two outputs a channel
        ((3, 3, 8, 2), {"in_axis": (), "batch_axis": -2}, (9, 18)),  # the same in Keras's layout
        ((3, 3, 16, 8), {"in_axis": -1, "out_axis": -2}, (72, 144)),  # transposed, Keras's layout
        ((8, 16, 3, 3), {"in_axis": 0, "out_axis": 1}, (72, 144)),  # transposed, torch's layout
        ((4, 6, 8, 10), {"in_axis": (0, 1), "out_axis": (2, 3)}, (24, 80)),
        ((9, 5, 7), {"batch_axis": 0}, (5, 7)),
        ((7,), {"in_axis": (), "out_axis": 0}, (1, 7)),
        ((0, 7), {}, (0, 7)),
    ],
)
def test_fans(shape, axes, expected):
    assert initializers.fans(shape, **axes) == expected


def convolve(x, w, layout="HWIO", groups=1):
    return lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", layout, "NHWC"), feature_group_count=groups
    )


def transposed(x, w, transpose_kernel=False):
    return lax.conv_transpose(x, w, (1, 1), "VALID", transpose_kernel=transpose_kernel)


def depthwise(x, w):
    """Keras's layout: (h, w, channels, multiplier)."""
    return convolve(x, w.reshape(*w.shape[:2], 1, -1), groups=w.shape[2])


IMAGES = (2, 8, 8, 8)
KINDS = {
    "dense": ((24, 40), {}, jnp.matmul, (90, 24)),
    "heads": ((4, 6, 5, 8), {"in_axis": (0, 1), "out_axis": (2, 3)},
              functools.partial(jnp.einsum, "bhd,hdij->bij"), (90, 4, 6)),
    "experts": ((5, 24, 40), {"batch_axis": 0}, functools.partial(jnp.einsum, "ebi,eio->ebo"), (5, 18, 24)),
    "convolution": ((3, 3, 8, 16), {}, convolve, IMAGES),
    "convolution, torch's layout": ((16, 8, 3, 3), {"in_axis": 1, "out_axis": 0},
                                    functools.partial(convolve, layout="OIHW"), IMAGES),
    "grouped": ((3, 3, 2, 16), {"groups": 4}, functools.partial(convolve, groups=4), IMAGES),
    "depthwise": ((3, 3, 1, 16), {"groups": 8}, functools.partial(convolve, groups=8), IMAGES),
    "depthwise, Keras's layout": ((3, 3, 8, 2), {"in_axis": (), "batch_axis": -2}, depthwise, IMAGES),
    "transposed": ((3, 3, 8, 16), {}, transposed, IMAGES),
    "transposed, Keras's layout": ((3, 3, 16, 8), {"in_axis": -1, "out_axis": -2},
                                   functools.partial(transposed, transpose_kernel=True), IMAGES),
}  # fmt: skip


def interior(images):
    """Without the border where a convolution has fewer terms."""
    return images[:, 2:-2, 2:-2] if images.ndim == 4 else images


@pytest.mark.parametrize("kind", KINDS)
def test_a_fan_is_what_keeps_the_variance(kind):
    """Mode "in" keeps the mean square forward, "out" backward: within five standard errors over 60 kernels."""
    shape, axes, product, input_shape = KINDS[kind]
    forward, backward = (initializers.variance_scaling(1.7, mode=mode, **axes) for mode in ("in", "out"))
    rng = np.random.default_rng(0)
    output_shape = jax.eval_shape(product, jnp.zeros(input_shape), jnp.zeros(shape)).shape

    @jax.jit
    def both_ways(x, w, g, v):
        return product(x, w), jax.vjp(lambda x: product(x, v), x)[1](g)[0]

    def mean_squares(key):
        x, g = (rng.normal(size=size).astype(np.float32) for size in (input_shape, output_shape))
        y, back = map(np.asarray, both_ways(x, forward(key, shape), g, backward(key, shape)))
        if kind.startswith("transposed"):  # here it is the outputs that have a border
            return np.mean(interior(y) ** 2), np.mean(back**2)
        return np.mean(y**2), np.mean(interior(back) ** 2)

    for values in np.array([mean_squares(key) for key in range(60)], float).T:
        error = values.std(ddof=1) / np.sqrt(values.size)
        assert error < 0.05 * 1.7, "too few draws to tell fans apart"
        assert abs(values.mean() - 1.7) < 5 * error


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.fans((3, 4), in_axis=2), ValueError, r"shape \(3, 4\) has no axis 2; name its axes with"),
        (lambda: initializers.fans((3, 4), batch_axis=1), ValueError, r"batch_axis 1 name an axis twice"),
        (lambda: initializers.fans((3, 4), groups=3), ValueError, r"groups must divide .* outputs, 4; got 3"),
        (lambda: initializers.fans((3, 4), groups=True), TypeError, r"groups must be a whole number; got True"),
        (lambda: initializers.fans((3, -4)), ValueError, r"a size in shape must be >= 0; got -4"),
        (lambda: initializers.fans(5), TypeError, r"shape must be a sequence of whole numbers; got 5"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
