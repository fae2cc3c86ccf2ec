"""Noise and mixtures: their distributions, their ranges, and what they leave alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdict import augment

# --- Gaussian noise ---------------------------------------------------------------------------------------------------


def test_noise_is_normal_and_apart_for_every_element():
    x = np.full((4, 30, 30, 3), 0.5, np.float32)
    noise = np.asarray(augment.gaussian_noise(1, x, stddev=0.05)) - 0.5
    assert stats.kstest(noise.ravel() / 0.05, "norm").pvalue > 1e-3
    for axis in range(4):
        a, b = np.take(noise, [0], axis).ravel(), np.take(noise, [1], axis).ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)


def test_noise_is_clipped_to_the_range():
    x = np.zeros((2, 50, 50, 1), np.float32)
    clipped = np.asarray(augment.gaussian_noise(1, x, stddev=0.3))
    free = np.asarray(augment.gaussian_noise(1, x, stddev=0.3, value_range=(-np.inf, np.inf)))
    np.testing.assert_array_equal(clipped, np.clip(free, 0, 1))
    assert abs((clipped == 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(5000)
    assert free.min() < -0.8


def test_noise_on_bytes_is_rounded_and_clipped():
    x = np.full((2, 60, 60, 1), 250, np.uint8)
    got = np.asarray(augment.gaussian_noise(1, x, stddev=20.0)).astype(int)
    wide = np.asarray(augment.gaussian_noise(1, x.astype(np.float32), stddev=20.0, value_range=(0, 255)))
    np.testing.assert_array_equal(got, np.rint(wide))
    assert got.max() == 255
    assert abs(np.mean(got == 255) - stats.norm.sf(4.5 / 20)) < 4 * 0.5 / np.sqrt(7200)
    assert abs(np.mean(got < 220) - stats.norm.cdf(-30.5 / 20)) < 4 * 0.25 / np.sqrt(7200)


def test_no_noise_is_the_identity_within_the_range():
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 12)
    np.testing.assert_array_equal(augment.gaussian_noise(1, x, stddev=0), x)


# --- salt and pepper --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "salt"), [(0.2, 0.5), (0.5, 0.1), (1.0, 0.75)])
def test_shares_of_white_and_black(amount, salt):
    x = np.full((3, 80, 80, 2), 0.5, np.float32)
    got = np.asarray(augment.salt_and_pepper(2, x, amount=amount, salt=salt))
    np.testing.assert_array_equal(got[..., 0], got[..., 1])  # all channels of a pixel together
    pixels = got[..., 0]
    for value, share in ((1.0, amount * salt), (0.0, amount * (1 - salt)), (0.5, 1 - amount)):
        assert abs((pixels == value).mean() - share) <= 4 * np.sqrt(share * (1 - share) / pixels.size)
    neighbours = np.corrcoef(pixels[:, :, 1:].ravel(), pixels[:, :, :-1].ravel())[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(pixels.size)


def test_pixels_are_replaced_not_added_to():
    """What was there leaves no trace, and what is not taken is kept."""
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 20, 20, 1)).astype(np.float32)
    got, other = (np.asarray(augment.salt_and_pepper(2, images, amount=0.4)) for images in (x, x / 2))
    taken = (got == 0) | (got == 1)
    np.testing.assert_array_equal(got[taken], other[taken])
    np.testing.assert_array_equal(got[~taken], x[~taken])
    assert 0.3 < taken.mean() < 0.5


@pytest.mark.parametrize(
    ("dtype", "ends"), [(np.uint8, (0, 255)), (np.int16, (-(2**15), 2**15 - 1)), (jnp.bfloat16, (0, 1))]
)
def test_white_and_black_are_the_ends_of_the_type(dtype, ends):
    got = augment.salt_and_pepper(2, jnp.full((2, 9, 9, 1), 5, dtype), amount=1)
    assert got.dtype == dtype
    assert set(np.unique(np.asarray(got, float))) == set(ends)
    own = augment.salt_and_pepper(2, jnp.full((2, 9, 9, 1), 5, dtype), amount=1, value_range=(2, 3))
    assert set(np.unique(np.asarray(own, float))) == {2, 3}


def test_no_amount_and_all_of_it():
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 9, 9, 1)).astype(np.float32)
    np.testing.assert_array_equal(augment.salt_and_pepper(2, x, amount=0), x)
    assert np.all(augment.salt_and_pepper(2, x, amount=1, salt=1) == 1)
    assert np.all(augment.salt_and_pepper(2, x, amount=1, salt=0) == 0)


# --- mixtures ---------------------------------------------------------------------------------------------------------


def kept(mixed):
    """The part that each example keeps, by its one-hot label, where it has a partner."""
    mixed = np.asarray(mixed, float)
    own = np.diag(mixed)
    return own[np.abs(own - 1) > 1e-7] if np.any(own < 1) else own


def mixtures(function, alpha, count=600, size=3, **options):
    x = jnp.arange(count, dtype=jnp.float32)[:, None, None, None] * jnp.ones((1, size, size, 1))
    return jax.jit(lambda a: function(4, x, jnp.eye(count), alpha=a, **options))(alpha)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_mixup_draws_from_a_beta(alpha):
    images, labels = mixtures(augment.mixup, alpha)
    assert stats.kstest(kept(labels), stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    expected = np.asarray(labels, float) @ np.arange(600)  # the images are constant: their numbers, mixed alike
    np.testing.assert_allclose(images[:, 1, 2, 0], expected, rtol=1e-5, atol=1e-3)


def test_mixtures_are_by_a_permutation():
    for function in (augment.mixup, augment.cutmix):
        _, labels = mixtures(function, 1.0)
        given = np.asarray(labels, float)
        np.fill_diagonal(given, 0)
        partners = np.argmax(given, 1)[given.any(1)]
        assert len(set(partners)) == len(partners)
        assert len(partners) > 500
        distances = np.abs(partners - np.flatnonzero(given.any(1)))
        assert len(set(distances)) > 100  # no roll


def test_mixup_rounds_bytes_and_keeps_types():
    x = np.array([[0], [255]], np.uint8)
    mix = jax.jit(functools.partial(augment.mixup, alpha=1.0))
    for key in range(20):
        images, labels = mix(key, x, jnp.eye(2, dtype=jnp.bfloat16))
        assert images.dtype == jnp.uint8
        assert labels.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(images, float)[:, 0], 255 * np.asarray(labels, float)[:, 1], atol=1.5)


@pytest.mark.slow
def test_regression_targets_are_mixed_too():
    y = np.array([1.0, 3.0, 7.0], np.float32)
    x = y[:, None]
    images, targets = augment.mixup(1, x, y, alpha=1.0)
    np.testing.assert_allclose(images[:, 0], targets, rtol=1e-6)
    assert np.any(np.asarray(targets) != y)


def test_a_tiny_alpha_mixes_nothing_visible_and_is_finite():
    for function in (augment.mixup, augment.cutmix):
        images, labels = mixtures(function, 1e-4)
        assert np.all(np.isfinite(images))
        assert np.min(labels) >= 0
        assert np.max(labels) <= 1
        if function is augment.mixup:
            parts = np.diag(labels)
            assert np.mean((parts < 1e-3) | (parts > 0.999)) > 0.98


def test_cutmix_cuts_boxes_and_weighs_by_their_area():
    images, labels = mixtures(augment.cutmix, 1.0, size=8)
    numbers = np.asarray(images)[..., 0]
    sides = []
    for n in range(600):
        mask = numbers[n] != n
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert len(set(numbers[n][mask])) <= 1
        if mask.any():
            assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            np.testing.assert_allclose(labels[n, int(numbers[n][mask][0])], mask.mean(), atol=1e-6)
            np.testing.assert_allclose(labels[n, n], 1 - mask.mean(), atol=1e-6)
            sides.append((len(rows), len(columns)))
    assert len(sides) > 450
    assert any(r != c for r, c in sides)  # cut off at a border


def test_boxes_have_the_drawn_area():
    """Where nothing sticks out the side is floor(size*sqrt(1 - lambda)), lambda uniform at alpha 1, centres even."""
    n, size = 3000, 40
    x = jnp.arange(n, dtype=jnp.float32)[:, None, None, None] * jnp.ones((1, size, size, 1))
    images, _ = jax.jit(functools.partial(augment.cutmix, alpha=1.0))(4, x, jnp.zeros((n, 1)))
    mask = np.asarray(images)[..., 0] != np.arange(n)[:, None, None]
    assert abs(mask[:, 20, 20].mean() - mask.mean((0, 1, 2))) < 0.25
    inner = [m for m in mask if m.any() and not (m[0].any() or m[-1].any() or m[:, 0].any() or m[:, -1].any())]
    rows, columns = (np.array([m.any(axis).sum() for m in inner]) for axis in (1, 0))
    np.testing.assert_array_equal(rows, columns)
    # The chance that a box of side a lies inside is about ((size - a)/size)^2, that of its side 2a/size^2.
    counts = np.bincount(rows, minlength=size)[1:31]
    a = np.arange(1, 31)
    chance = ((a + 1) ** 2 - a**2) / size**2 * np.maximum(size - 1 - a, 0) ** 2 / size**2
    assert (
        stats.chisquare(
            counts.reshape(10, 3).sum(1), (chance / chance.sum() * counts.sum()).reshape(10, 3).sum(1)
        ).pvalue
        > 1e-3
    )
