"""Batch normalization: its statistics, running averages, renormalization, and the sources' errors about them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdict import normalization

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4)) * [1, 2, 0.1, 5] + [0, -3, 10, 0.5]
IMAGES = RNG.normal(size=(3, 4, 5, 2)) * [1, 3] + [2, -1]
GAMMA, BETA = np.array([0.5, -2.0, 1.0, 3.0]), np.array([1.0, 0.0, -4.0, 0.1])


def test_known_numbers():
    # Rows of 1, 2, 4, 9 with the defaults of two frameworks, eps 1e-5 and 1e-3.
    x = jnp.array([[1.0], [2.0], [4.0], [9.0]])
    np.testing.assert_allclose(normalization.batch_statistics(x), [[4.0], [9.5]])
    np.testing.assert_allclose(normalization.batch_norm(x)[0], -0.973328, atol=1e-6)
    np.testing.assert_allclose(normalization.batch_norm(x, eps=1e-3)[0], -0.973277, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, 3, 1, 0, -3])
def test_any_feature_axis(axis):
    others = tuple(i for i in range(4) if i != axis % 4)
    x = jnp.asarray(IMAGES, jnp.float32)
    mean, variance = normalization.batch_statistics(x, axis=axis)
    np.testing.assert_allclose(mean, IMAGES.mean(others), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, IMAGES.var(others), rtol=1e-5)
    y = np.asarray(normalization.batch_norm(x, axis=axis))
    np.testing.assert_allclose(y.mean(others), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(others), 1, rtol=1e-4)
    kept = normalization.batch_norm(x, mean=mean, variance=variance, axis=axis)
    np.testing.assert_allclose(kept, y, rtol=1e-4, atol=1e-5)


def test_as_in_torch():
    # torch 2.13.0, float64: F.batch_norm(x, zeros, ones, scale, offset, True, 0.1, 1e-5) and the gradient of
    # sum(y*cos(i)), elements 0, 7, 20 and 47 of (2, 6, 4); its running averages after one batch.
    i = np.arange(48.0).reshape(2, 6, 4)
    x = np.sin(1 + i * 0.7) * (1 + i / 10) + 3
    with jax.enable_x64(True):
        y, pull = jax.vjp(
            lambda x: normalization.batch_norm(
                x, scale=np.linspace(0.5, 2, 6), offset=np.linspace(-1, 1, 6), axis=1
            ),
            jnp.asarray(x),
        )  # fmt: skip
        slope = pull(jnp.cos(i))[0]
        mean, variance = normalization.batch_statistics(x, axis=1)
        running = normalization.update_running(jnp.zeros(6), mean, 0.9)
        spread = normalization.update_running(jnp.ones(6), variance * 8 / 7, 0.9)  # torch's is unbiased
    places = [0, 7, 20, 47]
    np.testing.assert_allclose(
        y.ravel()[np.array(places)],
        [-0.8669156911621491, -0.810092045392896, 1.262662955264691, 2.308571542218788], rtol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(
        slope.ravel()[np.array(places)],
        [0.23610045327926524, 0.20286735076571794, 0.3904843622378159, -0.6529700001094548], rtol=1e-10,
    )  # fmt: skip
    np.testing.assert_allclose(running[:2], [0.338699503692018, 0.2893553608870295], rtol=1e-12)
    np.testing.assert_allclose(spread[:2], [1.2331950703133185, 1.3639800258127588], rtol=1e-12)


def test_kept_statistics():
    mean, variance = np.array([1.0, 0.0, 9.0, -1.0]), np.array([4.0, 1.0, 0.01, 2.0])
    y = normalization.batch_norm(jnp.asarray(X, jnp.float32), mean=mean, variance=variance, scale=GAMMA, offset=BETA)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 1e-5) * GAMMA + BETA, rtol=1e-4, atol=1e-5)


class TestStatistics:
    @pytest.mark.parametrize("first", [0.0, 1e4])
    def test_a_large_mean_costs_no_digits(self, first):
        x = RNG.normal([1e4, -3e5, 0], size=(500, 3)).astype(np.float32)
        x[0] = first
        mean, variance = normalization.batch_statistics(x)
        np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(variance, x.astype(np.float64).var(0), rtol=2e-6)

    def test_as_float64(self):
        # Mean 1e4 and deviation 1: E[x²] - E[x]² in float32 is off by more than the variance itself.
        x = RNG.normal(1e4, 1, (4096, 8)).astype(np.float32)
        wanted = x.astype(np.float64).var(0)
        np.testing.assert_allclose(normalization.batch_statistics(x)[1], wanted, rtol=3e-6)
        naive = np.asarray(jnp.mean(x**2, 0) - jnp.mean(x, 0) ** 2)
        assert np.max(np.abs(naive / wanted - 1)) > 1

    def test_many_examples(self):
        x = RNG.exponential(1, (400_000, 2)).astype(np.float32)
        mean, variance = normalization.batch_statistics(x)
        np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), rtol=1e-6)
        np.testing.assert_allclose(variance, x.astype(np.float64).var(0), rtol=2e-5)

    def test_the_largest_numbers(self):
        top = np.finfo(np.float32).max
        mean, variance = normalization.batch_statistics(np.array([[top, 1e18], [top, -1e18], [top, 3e18]], np.float32))
        np.testing.assert_allclose(mean, [top, 1e18], rtol=1e-6)
        np.testing.assert_allclose(variance, [0, 8e36 / 3], rtol=1e-6)

    def test_gradients(self):
        with jax.enable_x64(True):
            weights = jnp.array([1.0, 0, 1, 1, 0.5, 1, 0])
            check_grads(jax.jit(normalization.batch_statistics), (jnp.asarray(X),), 1)
            check_grads(
                jax.jit(lambda x, w: normalization.batch_statistics(x, weights=w + 0.1)), (jnp.asarray(X), weights), 1
            )
        bends = jax.jit(jax.hessian(lambda x: normalization.batch_statistics(x)[1][0]))(jnp.ones((3, 1)))
        np.testing.assert_allclose(bends[:, 0, :, 0], 2 / 3 * (np.eye(3) - 1 / 3), atol=1e-6)  # at variance 0

    def test_given_or_found_the_gradient_is_the_same(self):
        def by_hand(x):
            mean, variance = normalization.batch_statistics(x)
            return jnp.sum(jnp.sin(normalization.batch_norm(x, mean=mean, variance=variance)))

        x = jnp.asarray(X, jnp.float32)
        wanted = jax.grad(lambda x: jnp.sum(jnp.sin(normalization.batch_norm(x))))(x)
        np.testing.assert_allclose(jax.grad(by_hand)(x), wanted, rtol=1e-3, atol=1e-4)


class TestWeights:
    def test_weighted_average(self):
        weights = np.array([0.0, 1, 0.5, 2, 0, 1, 3])
        mean, variance = normalization.batch_statistics(jnp.asarray(X, jnp.float32), weights=weights)
        np.testing.assert_allclose(mean, np.average(X, 0, weights), rtol=1e-5)
        np.testing.assert_allclose(variance, np.average((X - np.average(X, 0, weights)) ** 2, 0, weights), rtol=1e-5)

    @pytest.mark.parametrize("junk", [0.0, 1e30, np.nan, np.inf])
    @pytest.mark.parametrize("masked", [0, 2])
    def test_masked_examples_do_not_count(self, junk, masked):
        x, weights = IMAGES.astype(np.float32), np.ones(3)
        x[masked], weights[masked] = junk, 0
        rest = np.delete(IMAGES, masked, 0)
        mean, variance = jax.jit(lambda x, w: normalization.batch_statistics(x, weights=w))(x, weights)
        np.testing.assert_allclose(mean, rest.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(variance, rest.var((0, 1, 2)), rtol=1e-5)
        slope = jax.grad(lambda x: sum(map(jnp.sum, normalization.batch_statistics(x, weights=weights))))(
            jnp.asarray(x)
        )
        np.testing.assert_array_equal(slope[masked], 0)
        assert np.all(np.isfinite(slope))

    def test_ones_are_no_weights(self):
        x = jnp.asarray(IMAGES, jnp.float32)
        for a, b in zip(
            normalization.batch_statistics(x, axis=1, weights=jnp.ones(3)),
            normalization.batch_statistics(x, axis=1), strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_no_example_counts(self):
        mean, variance = normalization.batch_statistics(jnp.asarray(X), weights=np.zeros(7))
        assert np.all(np.isfinite(mean))
        np.testing.assert_array_equal(variance, np.zeros(4))


class TestRunning:
    def test_the_momentum_is_the_weight_of_the_old_value(self):
        got = normalization.update_running(jnp.array([1.0, -2.0]), jnp.array([3.0, 4.0]), 0.75)
        np.testing.assert_allclose(got, [1.5, -0.5])
        np.testing.assert_allclose(normalization.update_running(jnp.zeros(2), jnp.ones(2)), 0.1, rtol=1e-6)

    def test_type_of_the_old(self):
        old = jnp.zeros(2, jnp.bfloat16)
        assert normalization.update_running(old, jnp.ones(2)).dtype == jnp.bfloat16
        lanes = jax.vmap(lambda m: normalization.update_running(jnp.ones(2), jnp.zeros(2), m))(jnp.array([0.0, 1.0]))
        np.testing.assert_array_equal(lanes, [[0, 0], [1, 1]])


class TestRenorm:
    MEAN, VARIANCE = np.array([0.2, -2.0, 9.0, 3.0]), np.array([2.0, 1.0, 0.5, 9.0])

    def renorm(self, x=None, **options):
        x = jnp.asarray(X, jnp.float32) if x is None else x
        return normalization.batch_renorm(x, **{"mean": self.MEAN, "variance": self.VARIANCE, **options})

    def test_closed_limits_are_batch_norm(self):
        y = self.renorm(r_max=1.0, d_max=0.0, scale=GAMMA, offset=BETA)
        x = jnp.asarray(X, jnp.float32)
        np.testing.assert_array_equal(y, normalization.batch_norm(x, scale=GAMMA, offset=BETA))

    def test_without_limits_it_is_the_test_time_formula(self):
        y = self.renorm(r_max=np.inf, d_max=np.inf, scale=GAMMA, offset=BETA)
        kept = normalization.batch_norm(
            jnp.asarray(X, jnp.float32), mean=self.MEAN, variance=self.VARIANCE, scale=GAMMA, offset=BETA
        )
        np.testing.assert_allclose(y, kept, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(y, (X - self.MEAN) / np.sqrt(self.VARIANCE + 1e-5) * GAMMA + BETA, rtol=1e-4)

    def test_a_large_mean_costs_no_digits(self):
        x = (RNG.normal(size=(9, 30)) + 1e4).astype(np.float32)
        y = normalization.batch_renorm(x, mean=jnp.full(30, 1e4 + 0.5), variance=jnp.ones(30))
        np.testing.assert_allclose(y, (x.astype(float) - 1e4 - 0.5) / np.sqrt(1 + 1e-5), atol=2e-6)

    @pytest.mark.slow
    def test_no_gradient_through_r_and_d(self):
        root, kept = np.sqrt(X.var(0) + 1e-5), np.sqrt(self.VARIANCE + 1e-5)
        r, d = np.clip(root / kept, 1 / 1.4, 1.4), np.clip((X.mean(0) - self.MEAN) / kept, -0.8, 0.8)
        assert 0 < np.sum(np.abs(d) == 0.8) < 4
        assert 0 < np.sum((r == 1 / 1.4) | (r == 1.4)) < 4
        with jax.enable_x64(True):

            def total(x, mean, variance):
                y = normalization.batch_renorm(x, mean=mean, variance=variance, r_max=1.4, d_max=0.8)
                return jnp.sum(jnp.sin(y) * jnp.arange(28.0).reshape(7, 4))

            def with_constants(x):
                y = normalization.batch_norm(x) * r[None] + d[None]
                return jnp.sum(jnp.sin(y) * jnp.arange(28.0).reshape(7, 4))

            x = jnp.asarray(X)
            by_x, *others = jax.grad(total, (0, 1, 2))(x, jnp.asarray(self.MEAN), jnp.asarray(self.VARIANCE))
            np.testing.assert_allclose(by_x, jax.grad(with_constants)(x), rtol=1e-9, atol=1e-12)
        for other in others:
            np.testing.assert_array_equal(other, 0)

    def test_limits_are_data(self):
        lanes = jax.jit(jax.vmap(lambda r, d: self.renorm(r_max=r, d_max=d)))(
            jnp.array([1.0, 3.0]), jnp.array([0.0, 5.0])
        )
        np.testing.assert_allclose(lanes[0], normalization.batch_norm(jnp.asarray(X, jnp.float32)), atol=1e-6)
        np.testing.assert_allclose(lanes[1], self.renorm(), atol=1e-6)

    def test_the_limits_open_as_in_the_paper(self):
        for step, r_max, d_max in ((0, 1, 0), (5_000, 1, 0), (15_000, 1 + 2 * 2 / 7, 2.5), (25_000, 1 + 8 / 7, 5),
                                   (40_000, 3, 5), (2_000_000_000, 3, 5)):  # fmt: skip
            np.testing.assert_allclose(normalization.renorm_limits(step), [r_max, d_max], rtol=1e-6)
        traced = jax.jit(normalization.renorm_limits)(jnp.int32(15_000))
        np.testing.assert_allclose(traced, normalization.renorm_limits(15_000))
        other = normalization.renorm_limits(5, start=0, r_end=10, d_end=20, r_max=1.5, d_max=4)
        np.testing.assert_allclose(other, [1.25, 1.0])


class TestSources:
    """What the sources get wrong, shown."""

    def test_population_variance_of_the_paper(self):
        # m/(m - 1) times the mean of the batches' variances, over all batches of m drawn from a population.
        population, m = np.array([1.0, 2, 4, 9]), 2
        variances = [
            float(normalization.batch_statistics(np.array(batch)[:, None])[1][0])
            for batch in itertools.product(population, repeat=m)
        ]
        np.testing.assert_allclose(np.mean(variances) * m / (m - 1), population.var(), rtol=1e-6)
        assert np.mean(variances) < 0.6 * population.var()  # S0 5.5 has no m/(m - 1)

    def test_the_scale_multiplies_what_is_normalized(self):
        y = normalization.batch_norm(jnp.asarray(X, jnp.float32), scale=GAMMA, offset=BETA)
        np.testing.assert_allclose(y.mean(0), BETA, atol=1e-5)
        np.testing.assert_allclose(y.std(0), np.abs(GAMMA), rtol=1e-3)
        assert np.max(np.abs(y - (GAMMA * X + BETA))) > 1  # S2 11.1.3, step 4

    def test_averages_of_deviations_are_not_those_of_variances(self):
        variances = jnp.array([1.0, 9.0])
        of_variance = normalization.update_running(variances[0], variances[1], 0.5)
        of_deviation = normalization.update_running(jnp.sqrt(variances[0]), jnp.sqrt(variances[1]), 0.5)
        np.testing.assert_allclose([jnp.sqrt(of_variance), of_deviation], [np.sqrt(5), 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: normalization.batch_norm(X, mean=np.ones(4)), ValueError, r"mean and variance must be given together"),
        (
            lambda: normalization.batch_norm(X, mean=np.ones(7), variance=np.ones(4)),
            ValueError,
            r"mean must have shape",
        ),
        (lambda: normalization.batch_norm(X, mean=np.ones(7), variance=np.ones(7)), ValueError, r"variance must have"),
        (lambda: normalization.batch_norm(X[0]), ValueError, r"x must have a batch axis and a feature axis; got sh"),
        (lambda: normalization.batch_norm(X, axis=(0, 1)), TypeError, r"axis must be a whole number"),
        (lambda: normalization.batch_norm(X[:0]), ValueError, r"x of shape \(0, 4\) has no examples"),
        (lambda: normalization.batch_statistics(X[:0]), ValueError, r"x of shape \(0, 4\) has no examples"),
        (lambda: normalization.batch_statistics(X, weights=np.ones(4)), ValueError, r"weights must have shape \(7,\)"),
        (lambda: normalization.batch_statistics(X, axis=0, weights=np.ones(7)), ValueError, r"got \(7,\), axis 0"),
        (lambda: normalization.update_running(np.ones(2), np.ones(3)), ValueError, r"old and new must have the same"),
        (
            lambda: normalization.update_running(np.ones(2), np.ones(2), 1.5),
            ValueError,
            r"momentum must be >= 0 and <=",
        ),
        (lambda: normalization.update_running(np.ones(2), np.ones(2), None), TypeError, r"momentum must be a number"),
        (
            lambda: normalization.update_running(np.ones(2), np.ones(2), np.ones(2)),
            ValueError,
            r"momentum must be a sc",
        ),
        (lambda: TestRenorm().renorm(r_max=0.5), ValueError, r"r_max must be >= 1; got 0\.5"),
        (lambda: TestRenorm().renorm(d_max=-1), ValueError, r"d_max must be >= 0; got -1"),
        (lambda: TestRenorm().renorm(r_max=np.ones(4)), ValueError, r"r_max must be a scalar; got shape \(4,\)"),
        (lambda: TestRenorm().renorm(mean=np.ones(7)), ValueError, r"mean must have shape \(4,\)"),
        (lambda: TestRenorm().renorm(X[:0]), ValueError, r"x of shape \(0, 4\) has no examples"),
        (lambda: normalization.renorm_limits(0, r_end=10), ValueError, r"r_end must be > start, 5000; got 10"),
        (lambda: normalization.renorm_limits(0, start=0.5), TypeError, r"start must be a whole number; got 0\.5"),
        (lambda: normalization.renorm_limits(0, r_max=0), ValueError, r"r_max must be >= 1; got 0"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
