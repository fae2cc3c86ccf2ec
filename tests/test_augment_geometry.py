"""Flips, turns, rotations, zooms, shifts and crops, against NumPy, SciPy and a bilinear resize written out."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from augmentations import angle, coordinates, factor, run, shift
from jaxdict import augment

RNG = np.random.default_rng(2)
IMAGES = RNG.normal(0, 1, (3, 7, 5, 2))
SQUARE = RNG.normal(0, 1, (40, 5, 5, 2)).astype(np.float32)
MODES = {  # what SciPy calls each fill
    "constant": "grid-constant", "wrap": "grid-wrap", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect",
}  # fmt: skip
ORDERS = {"bilinear": 1, "nearest": 0}
FILLED = list(itertools.product(MODES, ORDERS))


def by_channel(transform, images):
    return np.stack([np.stack([transform(n, image[..., c]) for c in range(image.shape[-1])], -1)
                     for n, image in enumerate(images)])  # fmt: skip


# --- the resampler ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fill", "interpolation"), FILLED)
def test_affine_transform_is_scipys(fill, interpolation):
    """Rotations, shears and shifts that read up to four images away."""
    matrices = np.eye(2) + RNG.normal(0, 0.8, (3, 2, 2))
    offsets = RNG.uniform(-12, 12, (3, 2))
    with jax.enable_x64(True):
        got = augment.affine_transform(
            IMAGES, matrices, offsets, fill=fill, fill_value=0.7, interpolation=interpolation
        )
    wanted = by_channel(
        lambda n, image: ndimage.affine_transform(
            image, matrices[n], offsets[n], order=ORDERS[interpolation], mode=MODES[fill], cval=0.7
        ),
        IMAGES,
    )
    np.testing.assert_allclose(got, wanted, atol=1e-12)


@pytest.mark.parametrize("fill", MODES)
def test_fills_are_numpys_pads(fill):
    options = {"constant_values": 3} if fill == "constant" else {}
    padded = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)), mode=fill, **options)
    for at in itertools.product((-4, -1, 3), (-4, 2, 4)):
        got = augment.affine_transform(IMAGES, np.eye(2), at, fill=fill, fill_value=3)
        wanted = padded[:, 4 + at[0] : 11 + at[0], 4 + at[1] : 9 + at[1]]
        np.testing.assert_array_equal(got, wanted.astype(np.float32))


def test_one_pixel_goes_on_for_ever():
    one = np.full((1, 1, 1, 1), 2.5, np.float32)
    for fill in MODES:
        got = augment.affine_transform(one, np.eye(2), (5.5, -3.25), fill=fill, fill_value=1)
        assert got[0, 0, 0, 0] == (1 if fill == "constant" else 2.5)


def test_quarter_turns_and_the_identity_are_exact():
    np.testing.assert_array_equal(augment.affine_transform(SQUARE, np.eye(2), (0, 0)), SQUARE)
    got = augment.affine_transform(SQUARE, [[0, 1], [-1, 0]], (0, 4))
    np.testing.assert_array_equal(got, np.rot90(SQUARE, axes=(1, 2)))


def test_a_fill_value_for_each_channel():
    got = augment.affine_transform(SQUARE, np.eye(2), (100, 0), fill_value=(0.25, -2))
    np.testing.assert_array_equal(got, np.broadcast_to(np.float32([0.25, -2]), SQUARE.shape))
    bytes_ = augment.affine_transform(np.zeros((1, 2, 2, 3), np.uint8), np.eye(2), (5, 5), fill_value=(1, 254.6, 255))
    assert bytes_[0, 0, 0].tolist() == [1, 255, 255]


def test_bytes_are_rounded_to_even():
    images = RNG.integers(0, 256, (3, 6, 6, 1)).astype(np.uint8)
    got = augment.affine_transform(images, np.eye(2), (0.5, 0.25), fill="edge")
    assert got.dtype == jnp.uint8
    wanted = by_channel(
        lambda n, image: ndimage.shift(image.astype(float), (-0.5, -0.25), order=1, mode="nearest"), images
    )
    np.testing.assert_array_equal(got, np.rint(wanted))


def test_nearest_goes_down_and_right_at_halves():
    row = np.arange(4.0).reshape(1, 1, 4, 1)
    got = augment.affine_transform(row, np.eye(2), (0, 0.5), fill="edge", interpolation="nearest")
    assert got.ravel().tolist() == [1, 2, 3, 3]


def test_interpolation_never_leaves_the_pixels_it_reads():
    """Not by a rounding either: ten thousand pairs of pixels, read between them."""
    a, b = RNG.normal(0, 1, (2, 10_000)).astype(np.float32)
    images = np.stack([a, b], 1).reshape(10_000, 1, 2, 1)
    at = np.stack([np.zeros(10_000), RNG.uniform(0, 1, 10_000)], 1).astype(np.float32)
    read = jax.jit(functools.partial(augment.affine_transform, fill="edge"))
    got = np.asarray(read(images, np.zeros((2, 2)), at))[:, 0, 0, 0]
    assert np.all((got >= np.minimum(a, b)) & (got <= np.maximum(a, b)))
    np.testing.assert_allclose(got, a + at[:, 1].astype(float) * (b.astype(float) - a), atol=1e-6)
    alike = np.asarray(read(images[:, :, :1].repeat(2, 2), np.zeros((2, 2)), at))
    np.testing.assert_array_equal(alike[:, 0, 0, 0], a)


# --- moves of whole pixels --------------------------------------------------------------------------------------------


def test_flips():
    for direction, flips in (("horizontal", [2]), ("vertical", [1]), ("both", [2, 1, (1, 2)])):
        got = run(augment.flip, 3, SQUARE, direction=direction)
        possible = [SQUARE, *(np.flip(SQUARE, axis) for axis in flips)]
        which = np.array([[np.array_equal(g, p[n]) for p in possible] for n, g in enumerate(got)])
        assert np.all(which.sum(1) == 1)
        assert np.all(which.any(0))
    np.testing.assert_array_equal(run(augment.flip, 3, SQUARE, probability=1), SQUARE[:, :, ::-1])
    np.testing.assert_array_equal(run(augment.flip, 3, IMAGES, direction="vertical", probability=1.0),
                                  IMAGES[:, ::-1].astype(np.float32))  # fmt: skip


def test_flips_are_independent():
    """Of the four results of "both" each has its share."""
    images = np.arange(4.0).reshape(1, 2, 2, 1).repeat(4000, 0)
    first = run(augment.flip, 1, images, direction="both", probability=0.3)[:, 0, 0, 0]
    counts = np.bincount(first.astype(int), minlength=4)  # as it is, left-right, top-bottom, both
    assert stats.chisquare(counts, 4000 * np.array([0.49, 0.21, 0.21, 0.09])).pvalue > 1e-3


def test_quarter_turns_are_numpys():
    got = run(augment.rotate_quarter, 3, SQUARE)
    which = np.array([[np.array_equal(g, np.rot90(x, k)) for k in range(4)] for g, x in zip(got, SQUARE, strict=True)])
    assert np.all(which.sum(1) == 1)
    assert np.all(which.any(0))
    for turn in (-1, 1, 6):
        np.testing.assert_array_equal(
            run(augment.rotate_quarter, 0, SQUARE, turns=[turn]), np.rot90(SQUARE, turn, (1, 2))
        )
    halves = run(augment.rotate_quarter, 1, IMAGES.astype(np.float32).repeat(4, 0), turns=(0, 2))
    assert halves.shape == (12, 7, 5, 2)


def test_a_quarter_turn_keeps_every_pixel_but_not_the_picture():
    six = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 1]], np.float32)[None, :, :, None]
    turned = run(augment.rotate_quarter, 0, six, turns=(2,))
    np.testing.assert_array_equal(np.sort(turned.ravel()), np.sort(six.ravel()))
    assert np.any(turned != six)


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.slow
def test_whole_shifts_are_exact(fill):
    images = RNG.integers(-(2**31), 2**31, (60, 6, 5, 1)).astype(np.int32)
    got = run(augment.translate, 5, images, max_shift=(2, 3), fill=fill, fill_value=9)
    read = coordinates(augment.translate, 5, (60, 6, 5), max_shift=(2, 3), fill="wrap")
    options = {"constant_values": 9} if fill == "constant" else {}
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode=fill, **options)
    shifts = set()
    for n, (g, r) in enumerate(zip(got, read, strict=True)):
        down, right = (int((-r[0, 0, 0] + 3) % 6 - 3), int((-r[0, 0, 1] + 2) % 5 - 2))
        candidates = [right, right - 5, right + 5]  # five columns apart a shift of 3 and one of -2 wrap alike
        wanted = [padded[n, 3 - down : 9 - down, 3 - t : 8 - t] for t in candidates if abs(t) <= 3]
        assert any(np.array_equal(g, one) for one in wanted)
        shifts.add(down)
    assert shifts == {-2, -1, 0, 1, 2}


def test_shifts_are_even_and_apart():
    read = coordinates(augment.translate, 5, (4000, 9, 9), max_shift=(1.9, 2), fill="edge")
    drawn = np.array([list(shift(r).values()) for r in read])
    for values, most in zip(drawn.T, (1, 2), strict=True):  # 1.9 counts as 1
        numbers, counts = np.unique(values, return_counts=True)
        assert numbers.tolist() == list(range(-most, most + 1))
        assert stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / np.sqrt(4000)


# --- moves between pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fill", "interpolation"), FILLED)
def test_rotate_is_scipys(fill, interpolation):
    options = {"max_degrees": 170.0, "fill": fill, "fill_value": 0.4, "interpolation": interpolation}
    images = RNG.normal(0, 1, (4, 9, 11, 1))
    with jax.enable_x64(True):
        got = run(augment.rotate, 3, images, **options)
    read = coordinates(augment.rotate, 3, (4, 9, 11), max_degrees=170.0, fill="edge")
    degrees = [np.rad2deg(angle(r)["theta"]) for r in read]
    wanted = by_channel(
        lambda n, image: ndimage.rotate(
            image, degrees[n], reshape=False, order=ORDERS[interpolation], mode=MODES[fill], cval=0.4
        ),
        images,
    )
    assert max(degrees) > 20
    assert min(degrees) < -20
    np.testing.assert_allclose(got, wanted, atol=1e-9)


@pytest.mark.parametrize("fill", MODES)
def test_subpixel_shifts_are_scipys(fill):
    options = {"max_shift": 4.0, "subpixel": True}
    with jax.enable_x64(True):
        got = run(augment.translate, 7, IMAGES, fill=fill, fill_value=0.4, **options)
    drawn = [tuple(shift(r).values()) for r in coordinates(augment.translate, 7, (3, 19, 19), fill="edge", **options)]
    wanted = by_channel(lambda n, image: ndimage.shift(image, drawn[n], order=1, mode=MODES[fill], cval=0.4), IMAGES)
    np.testing.assert_allclose(got, wanted, atol=1e-9)


@pytest.mark.parametrize(("fill", "interpolation"), FILLED)
def test_zoom_is_scipys(fill, interpolation):
    options = {"max_factor": 2.5, "fill": fill, "fill_value": 0.4, "interpolation": interpolation}
    with jax.enable_x64(True):
        got = run(augment.zoom, 4, IMAGES, **options)
    read = coordinates(augment.zoom, 4, (3, 19, 19), max_factor=2.5, fill="edge")
    scale = [1 / factor(r)["z"] for r in read]
    centre = np.array([3.0, 2.0])
    wanted = by_channel(
        lambda n, image: ndimage.affine_transform(
            image,
            np.eye(2) * scale[n],
            centre * (1 - scale[n]),
            order=ORDERS[interpolation],
            mode=MODES[fill],
            cval=0.4,
        ),
        IMAGES,
    )
    np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_a_larger_factor_is_closer():
    dot = np.zeros((1, 5, 5, 1), np.float32)
    dot[:, 2, 2] = 1
    assert run(augment.zoom, 0, dot, max_factor=2.0, min_factor=2.0).sum() == 4  # 1 + 4/2 + 4/4
    assert run(augment.zoom, 0, dot, max_factor=0.5, min_factor=0.5).sum() == 1


@pytest.mark.slow
def test_nothing_drawn_is_the_identity():
    for fill in ("constant", "reflect"):
        for got in (
            run(augment.rotate, 1, SQUARE, max_degrees=0, fill=fill),
            run(augment.zoom, 1, SQUARE, max_factor=1, fill=fill),
            run(augment.translate, 1, SQUARE, max_shift=0, fill=fill),
            run(augment.translate, 1, SQUARE, max_shift=0, subpixel=True, fill=fill),
            run(augment.crop_and_resize, 1, SQUARE, min_area=1),
        ):
            np.testing.assert_array_equal(got, SQUARE)


def test_positive_angles_turn_counter_clockwise():
    """A dot on the right goes up; the sign of what was drawn is seen in the equation's angle."""
    dot = np.zeros((200, 9, 9, 1), np.float32)
    dot[:, 4, 8] = 1
    got = run(augment.rotate, 2, dot, max_degrees=45.0)[..., 0]
    theta = [angle(r)["theta"] for r in coordinates(augment.rotate, 2, (200, 9, 9), max_degrees=45.0, fill="edge")]
    above, below = got[:, :4].sum((1, 2)), got[:, 5:].sum((1, 2))
    assert np.all((above > below) == (np.array(theta) > 0))


def test_what_is_drawn_is_even():
    theta = [angle(r)["theta"] for r in coordinates(augment.rotate, 3, (2000, 9, 9), max_degrees=40.0, fill="edge")]
    assert stats.kstest(np.rad2deg(theta), stats.uniform(-40, 80).cdf).pvalue > 1e-3
    read = coordinates(augment.zoom, 3, (2000, 9, 9), max_factor=1.6, min_factor=0.9, fill="edge")
    logs = np.log([factor(r)["z"] for r in read])
    low, high = np.log(0.9), np.log(1.6)
    assert stats.kstest(logs, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    read = coordinates(augment.zoom, 3, (2000, 9, 9), max_factor=1.6, fill="edge")
    assert abs(np.mean([factor(r)["z"] > 1 for r in read]) - 0.5) < 2 / np.sqrt(2000)


# --- crops ------------------------------------------------------------------------------------------------------------


def boxes(size, key=3, **options):
    """Top, left, rows and columns of the crops: nearest reads the first and the last pixel of each."""
    read = coordinates(augment.crop_and_resize, key, size, interpolation="nearest", **options)
    low, high = read.min((1, 2)).astype(int), read.max((1, 2)).astype(int)
    return [(*start, *sides) for start, sides in zip(low, high - low + 1, strict=True)]


def bilinear(image, height, width):
    """Resize by the definition, a pixel at a time: centres at halves, borders repeated."""
    rows, columns, channels = image.shape
    out = np.zeros((height, width, channels))
    for i, j in np.ndindex(height, width):
        y, x = (i + 0.5) * rows / height - 0.5, (j + 0.5) * columns / width - 0.5
        top, left = int(np.floor(y)), int(np.floor(x))
        for a, b in itertools.product((0, 1), (0, 1)):
            weight = (y - top if a else 1 - y + top) * (x - left if b else 1 - x + left)
            out[i, j] += weight * image[min(max(top + a, 0), rows - 1), min(max(left + b, 0), columns - 1)]
    return out


@pytest.mark.parametrize("interpolation", ORDERS)
@pytest.mark.slow
def test_crops_are_cut_then_resized(interpolation):
    options = {"min_area": 0.2, "max_aspect": 1.4}
    images = RNG.normal(0, 1, (6, 9, 7, 2))
    with jax.enable_x64(True):
        got = run(augment.crop_and_resize, 3, images, interpolation=interpolation, **options)
    found = boxes((6, 9, 7), **options)
    assert len(set(found)) > 4
    for image, out, (t, e, r, s) in zip(images, got, found, strict=True):
        crop = image[t : t + r, e : e + s]
        if interpolation == "bilinear":
            np.testing.assert_allclose(out, bilinear(crop, 9, 7), atol=1e-12)
        with jax.enable_x64(True):
            method = {"bilinear": "linear", "nearest": "nearest"}[interpolation]
            resized = jax.image.resize(jnp.asarray(crop), (9, 7, 2), method, antialias=False)
        np.testing.assert_allclose(out, resized, atol=1e-12)


def test_crops_have_the_areas_the_ratios_and_the_places():
    found = np.array(boxes((1500, 40, 60), min_area=0.3))
    t, e, r, s = found.T
    area = r * s / 2400
    assert 0.29 < area.min() < 0.32
    assert area.max() > 0.98
    assert stats.kstest(area + RNG.uniform(-0.015, 0.015, 1500), stats.uniform(0.3, 0.7).cdf).statistic < 0.05
    assert np.all(np.abs(s / r - 1.5) < 0.06)
    assert np.all((t >= 0) & (e >= 0) & (t + r <= 40) & (e + s <= 60))
    for start, room in ((t, 40 - r), (e, 60 - s)):
        assert abs(np.mean((start + 0.5) / (room + 1)) - 0.5) < 4 * np.sqrt(1 / 12 / 1500)
        assert abs(np.mean(start == 0) - np.mean(1 / (room + 1))) < 4 * np.sqrt(0.25 / 1500)
    wide = np.array(boxes((1500, 40, 40), min_area=0.3, max_aspect=1.5))
    ratio = wide[:, 3] / wide[:, 2]
    assert 1.4 < ratio.max() < 1.65
    assert 0.61 < ratio.min() < 0.72
    assert abs(np.mean(np.log(ratio))) < 4 * 0.3 / np.sqrt(1500)


def test_nothing_beside_the_crop_is_read():
    options = {"min_area": 0.3}
    ((t, e, r, s),) = boxes((1, 9, 9), **options)
    image = np.full((1, 9, 9, 1), np.nan, np.float32)
    image[0, t : t + r, e : e + s] = 1
    assert np.all(run(augment.crop_and_resize, 3, image, **options) == 1)


def test_programs_are_small():
    """No loop over images or pixels: the program of a hundred images is that of one."""

    def steps(n):
        images = jax.ShapeDtypeStruct((n, 16, 16, 3), jnp.float32)
        return len(jax.make_jaxpr(functools.partial(augment.rotate, 0, max_degrees=30.0))(images).eqns)

    assert steps(100) == steps(2) < 150
