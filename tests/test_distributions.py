"""Distributions against SciPy: density, moments, tails, supports, types, derivatives by parameters, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxdict import _expression, _registry, distributions

CASES = {
    "uniform": ({"scale": 0.7}, scipy.stats.uniform(-0.7, 1.4)),
    "normal": ({"mean": 1.5, "stddev": 0.4}, scipy.stats.norm(1.5, 0.4)),
    "truncated_normal": ({"mean": 1.5, "stddev": 0.4}, scipy.stats.truncnorm(-2, 2, 1.5, 0.4)),
}
EACH = pytest.mark.parametrize("name", CASES)
NARROW = (jnp.float16, jnp.bfloat16)


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


@functools.cache
def draws(name, dtype, count=40_000, key=7):
    """Of the case called ``name``."""
    with jax.enable_x64(dtype == jnp.float64):
        return getattr(distributions, name)(key, (count // 100, 100), dtype, **CASES[name][0])


@EACH
def test_the_equation_is_the_density(name):
    options, oracle = CASES[name]
    entry = _registry.find(name, "distribution")
    x = np.array([-3.0, -0.7, -0.3, 0.0, 0.69, 0.71, 1.5, 2.2, 2.31, 9.0])
    scope = {entry.symbols[k]: v for k, v in options.items()} | {"x": x}
    np.testing.assert_allclose(_expression.evaluate(entry.expression, scope), oracle.pdf(x), rtol=1e-12)


class TestDraws:
    @EACH
    def test_they_follow_the_density(self, name):
        values = draws(name, jnp.float32)
        assert values.shape == (400, 100)
        assert values.dtype == jnp.float32
        assert scipy.stats.kstest(np.asarray(values, float).ravel(), CASES[name][1].cdf).pvalue > 1e-3

    @EACH
    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
    def test_moments(self, name, dtype):
        """The first four, within five standard errors and what rounding may do."""
        options, oracle = CASES[name]
        values = draws(name, dtype)
        assert values.dtype == dtype
        location, scale = options.get("mean", 0.0), oracle.std()
        base = {"uniform": scipy.stats.uniform(-1, 2), "normal": scipy.stats.norm()}.get(
            name, scipy.stats.truncnorm(-2, 2)
        )
        z = (np.asarray(values, float).ravel() - location) / scale * base.std()
        for order in range(1, 5):
            spread = np.sqrt((base.moment(2 * order) - base.moment(order) ** 2) / z.size)
            rounding = float(jnp.finfo(dtype).eps) ** 2 * 30  # unbiased to first order; the location is 4σ away
            assert abs(np.mean(z**order) - base.moment(order)) < 5 * spread + rounding

    @EACH
    def test_narrow_draws_are_wide_ones_rounded(self, name):
        for dtype in NARROW:
            want = np.asarray(draws(name, jnp.float32).astype(dtype))
            if name == "uniform":  # but for those that round to the open end
                end = jnp.asarray(0.7, jnp.float32).astype(dtype)
                assert 0 < np.sum(want == end) < 500
                want = np.where(want == end, jnp.nextafter(end, jnp.zeros_like(end)), want)
            np.testing.assert_array_equal(draws(name, dtype), want)

    @EACH
    def test_float64_has_more_bits(self, name):
        values = np.asarray(draws(name, jnp.float64))
        assert np.mean(values != values.astype(np.float32)) > 0.99

    @EACH
    def test_the_same_with_parameters_as_data(self, name):
        draw = getattr(distributions, name)
        option = "scale" if name == "uniform" else "stddev"
        lanes = jax.jit(jax.vmap(lambda s: draw(5, (20,), **{option: s})))(jnp.array([0.5, 2.0]))
        np.testing.assert_allclose(lanes[1], draw(5, (20,), **{option: 2.0}), rtol=1e-6)
        np.testing.assert_allclose(4 * lanes[0], lanes[1], rtol=1e-6)

    @EACH
    def test_a_batch_of_keys(self, name):
        keys = jax.random.split(jax.random.key(4), 3)
        draw = functools.partial(getattr(distributions, name), shape=(5,))
        lanes = jax.vmap(draw)(keys)
        for key, lane in zip(keys, lanes, strict=True):
            np.testing.assert_allclose(draw(key), lane, rtol=1e-6)
        assert np.unique(np.asarray(lanes)).size == lanes.size

    def test_keys(self):
        same = [distributions.normal(k, (3,)) for k in (9, jax.random.key(9), jax.random.PRNGKey(9), np.int32(9))]
        for values in same:
            np.testing.assert_array_equal(values, same[0])

    @EACH
    @pytest.mark.parametrize("shape", [(), (0,), [2, 0, 3]])
    def test_scalars_and_nothing(self, name, shape):
        assert getattr(distributions, name)(0, shape).shape == tuple(shape)


class TestTails:
    """How far the normal reaches, and how well: the float32 inverse error function and what it is given."""

    def test_the_largest_draws_are_the_quantiles(self):
        """n·P(beyond the k-th largest) is Gamma(k) distributed, mean k, deviation √k; to 5σ, on both sides."""
        count = 2**22
        values = np.asarray(distributions.normal(11, (count,)), float)
        k = np.arange(1, 1001)
        for side in (values, -values):
            largest = np.sort(np.partition(side, count - k.size)[count - k.size :])[::-1]
            beyond = count * scipy.special.ndtr(-largest)
            assert np.all(np.abs(beyond - k) < 5 * np.sqrt(k) + 1)  # + 1: cells of the random bits
            assert largest[0] > 4.7

    @pytest.mark.parametrize(("dtype", "count", "error"), [(jnp.float32, 2**19, 1e-5), (jnp.float64, 2**16, 1e-12)])
    def test_draws_are_exact_quantiles(self, dtype, count, error):
        """Of the uniform numbers they are made of; relative, over the whole range of float32's random bits."""
        with jax.enable_x64(dtype == jnp.float64):
            lowest = np.nextafter(np.array(-1, dtype), np.array(0, dtype))
            u = np.asarray(jax.random.uniform(jax.random.key(2), (count,), dtype, lowest, 1.0), float)
            got = np.asarray(distributions.normal(2, (count,), dtype), float)
            bound = scipy.special.erf(np.sqrt(2))
            v = np.asarray(jax.random.uniform(jax.random.key(2), (count,), dtype, -bound, bound), float)
            cut = np.asarray(distributions.truncated_normal(2, (count,), dtype), float)
        for x, p in ((got, u), (cut, v)):
            # Half the tail, of the side where it is exact.
            want = np.sign(p) * -scipy.special.ndtri((1 - np.abs(p)) / 2)
            np.testing.assert_allclose(x, want, rtol=error, atol=float(jnp.finfo(dtype).eps))

    def test_how_far_float32_reaches(self):
        """The random bits are the multiples of 2**-22 between these ends; all quantiles of the outer part."""
        u = np.append(1 - 2.0**-22 * np.arange(1, 2**16), 1 - 2.0**-24).astype(np.float32)
        reach = np.sqrt(2) * np.asarray(jax.lax.erf_inv(jnp.asarray(u)), float)
        np.testing.assert_allclose(reach, -scipy.special.ndtri((1 - u.astype(float)) / 2), rtol=1e-5)
        np.testing.assert_allclose(reach[[0, -1]], [5.1665, 5.4195], rtol=1e-4)

    @pytest.mark.parametrize("dtype", NARROW)
    def test_narrow_types_keep_the_tails(self, dtype):
        count = 200_000
        values = np.asarray(distributions.normal(3, (count,), dtype), float)
        for sigmas in (2, 3, 4):
            step = float(jnp.finfo(dtype).eps) * 2 ** np.floor(np.log2(sigmas))
            p = 2 * scipy.special.ndtr(-(sigmas + step / 2))  # what rounds to more than the line
            assert abs(np.sum(np.abs(values) > sigmas) - count * p) < 5 * np.sqrt(count * p)
        assert np.unique(values).size > 1000
        plain = np.asarray(jax.random.normal(jax.random.key(3), (count,), jnp.bfloat16), float)
        assert np.unique(plain).size == 128  # what drawing in the type itself would give
        assert np.abs(plain).max() < 2.9


class TestSupport:
    @EACH
    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
    def test_bounds(self, name, dtype):
        """The uniform is half open; the truncated normal ends at two deviations."""
        values = np.asarray(draws(name, dtype), float)
        eps = float(jnp.finfo(dtype).eps)
        if name == "uniform":
            end = float(jnp.asarray(0.7, jnp.float32).astype(dtype) if dtype != jnp.float64 else 0.7)
            assert -end <= values.min() < -0.69
            assert 0.69 < values.max() < end
        elif name == "truncated_normal":
            assert 0.7 * (1 - eps) <= values.min() < 0.71
            assert 2.29 < values.max() <= 2.3 * (1 + eps)
        else:
            assert np.abs(values - 1.5).max() > 3.5 * 0.4

    @pytest.mark.parametrize("dtype", [*NARROW, jnp.float32])
    def test_the_uniform_variance_is_a_third_of_r_squared(self, dtype):
        """S0 calls r the range; the support is 2r long."""
        values = np.asarray(distributions.uniform(0, (100_000,), dtype, scale=3.0), float)
        assert values.min() >= -3
        assert values.max() < 3
        assert abs(np.mean(values**2) - 3) < 5 * np.std(values**2) / np.sqrt(values.size)
        np.testing.assert_array_equal(distributions.uniform(0, (4,), dtype, scale=0.0), np.zeros(4))

    @pytest.mark.parametrize("dtype", [*NARROW, jnp.float32])
    def test_the_largest_scale(self, dtype):
        """2r is not finite, the draws are."""
        largest = float(jnp.finfo(dtype).max)
        values = np.asarray(distributions.uniform(1, (1000,), dtype, scale=largest), float)
        assert np.all(np.isfinite(values))
        assert np.abs(values).max() > 0.99 * largest

    def test_no_deviation_gives_the_mean(self):
        for draw in (distributions.normal, distributions.truncated_normal):
            np.testing.assert_array_equal(draw(0, (3,), mean=-1e30, stddev=0.0), np.full(3, -1e30, np.float32))

    def test_truncation_and_its_correction(self):
        """0.7737 of the variance, 0.077 after ten layers, unless it is divided out."""
        oracle = scipy.stats.truncnorm(-2, 2)
        std = distributions.TRUNCATED_STDDEV
        np.testing.assert_allclose(std, oracle.std(), rtol=1e-14)
        np.testing.assert_allclose([std**2, std**20], [0.7737, 0.077], rtol=1e-2)
        plain, corrected = (
            np.asarray(distributions.truncated_normal(3, (50_000,), mean=1.0, stddev=0.5, corrected=c), float) - 1
            for c in (False, True)
        )
        np.testing.assert_allclose(corrected, plain / std, rtol=2e-5, atol=1e-7)
        for values, variance in ((plain, 0.25 * std**2), (corrected, 0.25)):
            assert abs(np.mean(values**2) - variance) < 5 * np.std(values**2) / np.sqrt(values.size)
        assert 0.99 < np.abs(plain).max() <= 1.0
        assert np.abs(corrected).max() <= 1 / std + 1e-6


class TestDerivatives:
    @pytest.mark.parametrize(
        ("name", "option", "dtype"),
        [
            ("uniform", "scale", jnp.bfloat16),
            ("uniform", "scale", jnp.float32),
            ("normal", "mean", jnp.float32),
            ("normal", "stddev", jnp.float32),
            ("truncated_normal", "stddev", jnp.float16),
        ],
    )
    @pytest.mark.slow
    def test_by_parameters(self, name, option, dtype):
        """Draws are mean + stddev·z: the derivatives are 1 and z, at 0 too, and where the open end is near."""

        def draw(value):
            return getattr(distributions, name)(8, (500,), dtype, **{option: value}).astype(jnp.float32)

        rtol = 1e-6 if dtype == jnp.float32 else 4 * float(jnp.finfo(dtype).eps)
        want = np.ones(500) if option == "mean" else np.asarray(draw(jnp.float32(1)))
        slopes = jax.jit(jax.jacfwd(draw))
        for at in (0.7, 0.0):
            np.testing.assert_allclose(slopes(at), want, rtol=rtol)
        np.testing.assert_allclose(jax.grad(lambda v: jnp.sum(draw(v)))(0.7), slopes(0.7).sum(), atol=500**0.5 * rtol)


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 4), (2, 3, 4, 5)])
def test_draws_of_any_shape_are_those_of_jax(shape):
    key = jax.random.key(5)
    np.testing.assert_array_equal(distributions.normal(key, shape), jax.random.normal(key, shape))
    np.testing.assert_array_equal(distributions.uniform(key, shape), jax.random.uniform(key, shape, minval=-1))
    plain = jax.random.truncated_normal(key, -2, 2, shape)
    np.testing.assert_array_equal(distributions.truncated_normal(key, shape, corrected=False), plain)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: distributions.uniform("a", (3,)), TypeError, r"key must be a PRNG key .* or an int seed; got 'a'"),
        (lambda: distributions.uniform(0, (3,), int), TypeError, r"dtype must be real floating; got int32"),
        (lambda: distributions.normal(0, (3,), jnp.complex64), TypeError, r"dtype must be real floating; got complex"),
        (lambda: distributions.uniform(0, 3), TypeError, r"shape must be a sequence of whole numbers; got 3"),
        (lambda: distributions.uniform(0, "ab"), TypeError, r"shape must be a sequence of whole numbers; got 'ab'"),
        (lambda: distributions.normal(0, (2.0,)), TypeError, r"a size in shape must be a whole number; got 2\.0"),
        (lambda: distributions.normal(0, (2, -1)), ValueError, r"a size in shape must be >= 0; got -1"),
        (lambda: distributions.uniform(0, (3,), scale=-1), ValueError, r"scale must be >= 0; got -1"),
        (lambda: distributions.normal(0, (3,), stddev=-1), ValueError, r"stddev must be >= 0; got -1"),
        (lambda: distributions.normal(0, (3,), mean=np.nan), ValueError, r"mean must be a number, not NaN; got nan"),
        (lambda: distributions.normal(0, (2,), mean=jnp.ones(2)), ValueError, r"mean must be a scalar; got shape \(2,"),
        (lambda: distributions.normal(0, (2,), mean=abs), TypeError, r"mean must be a number, not a function; got"),
        (lambda: distributions.truncated_normal(0, (2,), stddev="x"), TypeError, r"stddev must be a number; got 'x'"),
        (lambda: distributions.truncated_normal(0, (2,), corrected=2), ValueError, r"corrected must be one of True"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
