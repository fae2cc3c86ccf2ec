"""What every noise keeps: keys, modes, shared draws, traced amounts, types, messages; and what each is by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdict import activations, noise, optimizers

X = jnp.linspace(-3.0, 2.0, 24).reshape(4, 6)
ALL = {f.__name__: f for f in (noise.dropout, noise.alpha_dropout, noise.gaussian_noise, noise.gaussian_dropout)}
EACH = pytest.mark.parametrize("noisy", ALL.values(), ids=ALL)
EACH_RATE = pytest.mark.parametrize("noisy", [f for n, f in ALL.items() if n != "gaussian_noise"])


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


class TestAll:
    @EACH
    def test_draws_depend_on_the_key_alone(self, noisy):
        a = noisy(3, X, 0.5)
        np.testing.assert_array_equal(a, noisy(jax.random.key(3), X, 0.5))
        np.testing.assert_allclose(a, jax.jit(lambda k: noisy(k, X, 0.5))(jax.random.key(3)), atol=1e-6)
        assert np.any(np.asarray(a) != np.asarray(noisy(4, X, 0.5)))

    @EACH
    def test_nothing_happens_at_test_time_or_at_no_noise(self, noisy):
        np.testing.assert_array_equal(noisy(None, X, 0.3, mode="test"), X)
        np.testing.assert_array_equal(noisy(1, X, 0.0), X)
        np.testing.assert_array_equal(jax.jit(noisy)(jax.random.key(7), X, 0.0), X)

    @EACH
    @pytest.mark.parametrize("axes", [(0,), (-1,), (0, 1)])
    @pytest.mark.slow
    def test_broadcast_axes_share_the_draw(self, noisy, axes):
        y = np.asarray(noisy(3, jnp.ones((30, 40)), 0.5, broadcast_axes=axes))
        for axis in axes:
            assert np.all(y == np.take(y, [0], axis))
        if len(axes) == 1:
            assert len(np.unique(y)) > 1

    @EACH
    def test_amounts_are_lanes(self, noisy):
        traces = []

        def f(amount):
            traces.append(1)
            return noisy(9, X, amount)

        lanes = jax.jit(jax.vmap(f))(jnp.array([0.0, 0.25]))
        assert len(traces) == 1
        np.testing.assert_array_equal(lanes[0], X)
        np.testing.assert_allclose(lanes[1], noisy(9, X, 0.25), rtol=1e-5, atol=1e-6)

    @EACH
    def test_gradients_by_x_and_by_the_amount(self, noisy):
        weights = jnp.arange(24.0).reshape(4, 6)

        def total(x, amount):
            return jnp.sum(weights * noisy(5, x, amount))

        with jax.enable_x64(True):
            x, amount, step = jnp.asarray(X, jnp.float64), 0.3, 1e-6
            weights = weights.astype(jnp.float64)
            by_x, by_amount = jax.jit(jax.grad(total, (0, 1)))(x, jnp.float64(amount))
            # Linear in x; the mask is the same at amounts so near.
            np.testing.assert_allclose(
                total(x + weights, amount) - total(x, amount), jnp.sum(by_x * weights), rtol=1e-12
            )
            wanted = (total(x, amount + step) - total(x, amount - step)) / (2 * step)
            np.testing.assert_allclose(by_amount, wanted, rtol=1e-7)

    @EACH
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
    @pytest.mark.slow
    def test_types(self, noisy, dtype):
        y = noisy(0, X.astype(dtype), 0.3)
        assert y.dtype == dtype
        wide = noisy(0, X.astype(dtype).astype(jnp.float32), 0.3)
        np.testing.assert_array_equal(y, wide.astype(dtype))
        assert jax.jit(noisy)(jax.random.key(0), X.astype(dtype), jnp.bfloat16(0.25)).dtype == dtype

    @EACH
    @pytest.mark.slow
    def test_float64_and_integers(self, noisy):
        with jax.enable_x64(True):
            assert noisy(0, jnp.ones(5, jnp.float64), 0.3).dtype == jnp.float64
            assert jax.jit(noisy)(jax.random.key(0), jnp.ones(5, jnp.float64), jnp.float32(0.3)).dtype == jnp.float64
        assert noisy(0, np.arange(5), 0.3).dtype == jnp.float32

    @EACH
    @pytest.mark.parametrize("shape", [(), (1,), (3, 0), (5, 3)])
    @pytest.mark.slow
    def test_shapes(self, noisy, shape):
        assert noisy(0, jnp.ones(shape), 0.5).shape == shape

    @EACH
    def test_messages(self, noisy):
        name = "stddev" if noisy is noise.gaussian_noise else "rate"
        for arguments, options, error, message in (
            ((0, X, -0.1), {}, ValueError, rf"{name} must be >= 0 and < (1|inf); got -0\.1"),
            ((0, X, "half"), {}, TypeError, rf"{name} must be a number; got 'half'"),
            ((0, X, abs), {}, TypeError, rf"{name} must be a number, not a function; got <built-in"),
            ((0, X, jnp.full(6, 0.5)), {}, ValueError, rf"{name} must be a scalar; got shape \(6,\)"),
            ((None, X, 0.5), {}, TypeError, r"key must be a PRNG key .* got None"),
            ((0, X, 0.5), {"mode": "eval"}, ValueError, r"mode must be one of 'train', 'test'; got 'eval'"),
            ((0, X, 0.5), {"broadcast_axes": (2,)}, ValueError, r"broadcast_axes must be axes of x, of shape \(4, 6\)"),
            ((0, X, 0.5), {"broadcast_axes": (0.5,)}, TypeError, r"broadcast_axes must be a whole number"),
            ((0, np.asarray(X) + 1j, 0.5), {}, TypeError, r"x must be real; got complex"),
        ):
            with pytest.raises(error, match=message):
                noisy(*arguments, **options)

    @EACH_RATE
    def test_a_rate_is_below_one(self, noisy):
        with pytest.raises(ValueError, match=r"rate must be >= 0 and < 1; got 1\.0"):
            noisy(0, X, 1.0)


class TestDropout:
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
    def test_the_rate_is_the_probability_of_dropping(self, rate):
        n = 200_000
        y = np.asarray(noise.dropout(1, jnp.ones(n), rate))
        assert abs((y == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
        np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
        # Neighbours share a random word: they must be independent.
        kept = y.reshape(-1, 2) > 0
        assert abs(kept.all(1).mean() - (1 - rate) ** 2) < 4 * (1 - rate) / np.sqrt(n / 2)

    def test_two_scalings_have_the_same_mean_at_test_time(self):
        np.testing.assert_allclose(noise.dropout(None, X, 0.3, mode="test", scaling="weight"), 0.7 * X, rtol=1e-6)
        inverted, weight = (noise.dropout(5, X, 0.3, scaling=s) for s in ("inverted", "weight"))
        np.testing.assert_allclose(inverted, weight / 0.7, rtol=1e-6)
        keys = jax.random.split(jax.random.key(0), 4000)
        mean = jax.jit(jax.vmap(lambda k: noise.dropout(k, X, 0.3)))(keys).mean(0)
        np.testing.assert_allclose(mean, X, atol=4 * 3 * np.sqrt(0.3 / 0.7 / 4000))

    def test_weight_scaling_is_exact_for_softmax_regression(self):
        # The normalized geometric mean of the predictions over all masks is the prediction with scaled inputs.
        x, w = jnp.array([0.5, -1.0, 2.0]), jax.random.normal(jax.random.key(1), (3, 4))
        masks = jnp.array([[i >> b & 1 for b in range(3)] for i in range(8)], jnp.float32)
        mean = jax.nn.softmax(jax.nn.log_softmax((masks * x[None]) @ w).mean(0))
        np.testing.assert_allclose(
            mean, jax.nn.softmax(noise.dropout(None, x, 0.5, mode="test", scaling="weight") @ w), rtol=1e-5
        )

    @pytest.mark.slow
    def test_scaling_by_the_rate_of_dropping_is_wrong(self):
        # What S0 5.4 prints, the test outputs times P, is off unless P is 1/2.
        keys = jax.random.split(jax.random.key(2), 2000)
        mean = jax.jit(jax.vmap(lambda k: noise.dropout(k, X, 0.2, scaling="weight")))(keys).mean(0)
        np.testing.assert_allclose(mean, 0.8 * X, atol=4 * 3 * np.sqrt(0.16 / 2000))
        assert np.max(np.abs(mean - 0.2 * X)) > 1

    @pytest.mark.slow
    def test_dropped_inputs_need_their_scaling_too(self):
        # Inputs kept with 0.8, hidden units with 0.5, as S3 and S4 have it, before a linear output.
        x, w, v = jnp.array([1.0, -2.0, 0.5]), jnp.ones((3, 5)), jnp.ones(5)

        def network(key, mode):
            one, two = (None, None) if mode == "test" else jax.random.split(key)
            hidden = noise.dropout(one, x, 0.2, mode=mode, scaling="weight") @ w
            return noise.dropout(two, hidden, 0.5, mode=mode, scaling="weight") @ v

        mean = jax.jit(jax.vmap(lambda k: network(k, "train")))(jax.random.split(jax.random.key(5), 20_000)).mean()
        np.testing.assert_allclose(network(None, "test"), 0.4 * jnp.sum(x) * 5, rtol=1e-6)
        np.testing.assert_allclose(mean, network(None, "test"), atol=0.1)  # 0.5 alone would give -1.25, not -1

    def test_momentum_moves_units_that_are_dropped(self):
        # S3 says that they are not updated, which holds for plain gradient descent.
        for optimizer, moves in ((optimizers.gradient_descent(0.1), False), (optimizers.momentum(0.1), True)):
            state = optimizer.init(jnp.ones(2))
            _, state = optimizer.update(jnp.ones(2), state)
            updates, _ = optimizer.update(jnp.array([1.0, 0.0]), state)  # the second unit is dropped
            assert (updates[1] != 0) == moves

    @pytest.mark.parametrize("scaling", ["inverted", "weight"])
    def test_a_traced_rate_of_one_keeps_nothing(self, scaling):
        def total(x, rate):
            return noise.dropout(7, x, rate, scaling=scaling).sum()

        value, slopes = jax.jit(jax.value_and_grad(total, (0, 1)))(X.at[0].set(jnp.inf), 1.0)
        assert value == 0
        np.testing.assert_array_equal(slopes[0], np.zeros(X.shape))
        assert slopes[1] == 0
        assert not np.any(jax.jit(lambda rate: noise.dropout(0, jnp.ones(500_000), rate))(1.0))

    def test_dropped_elements_are_zero_whatever_they_held(self):
        x = jnp.full(1000, jnp.inf).at[500:].set(jnp.nan)
        assert 400 < (np.asarray(noise.dropout(1, x, 0.5)) == 0).sum() < 600

    def test_an_unknown_scaling(self):
        with pytest.raises(ValueError, match=r"scaling must be .* did you mean 'weight'"):
            noise.dropout(0, X, 0.5, scaling="wieght")


class TestAlphaDropout:
    @pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
    def test_mean_and_variance_stay(self, rate):
        n = 400_000
        x = activations.selu(jax.random.normal(jax.random.key(0), (n,)))  # mean 0, variance 1
        y = np.asarray(noise.alpha_dropout(1, x, rate), float)
        error = 4 * np.sqrt(stats.kurtosis(y, fisher=False) / n)
        assert abs(y.mean()) < 4 / np.sqrt(n)
        assert abs(y.var() - 1) < error
        plain = np.asarray(noise.dropout(1, x, rate), float)
        assert abs(plain.var() - 1) > error  # what dropout does not do

    def test_deep_self_normalizing_layers_stay_normal(self):
        def layer(x, key):
            w = jax.random.normal(key, (100, 100)) / 10
            return noise.alpha_dropout(key, activations.selu(x @ w), 0.1), None

        x = jax.random.normal(jax.random.key(0), (500, 100))
        x, _ = jax.lax.scan(layer, x, jax.random.split(jax.random.key(1), 8))
        assert abs(x.mean()) < 0.15
        assert 0.7 < x.var() < 1.3

    def test_as_in_torch(self):
        # torch 2.13.0, F.alpha_dropout(full((n,), x, float64), p, True): the two values at x = -0.6, 0, 2.5.
        for rate, rows in TORCH_ALPHA_DROPOUT.items():
            for x, dropped, kept in rows:
                with jax.enable_x64(True):
                    y = noise.alpha_dropout(2, jnp.full(200, x, jnp.float64), rate)
                np.testing.assert_allclose(np.unique(y), np.sort([dropped, kept]), rtol=1e-12)

    def test_near_a_rate_of_one(self):
        def total(x, rate):
            return noise.alpha_dropout(7, x, rate).sum()

        value, slopes = jax.jit(jax.value_and_grad(total, (0, 1)))(X.at[0].set(jnp.inf), 1.0)
        assert value == 0
        assert not np.any(slopes[0])
        assert np.isfinite(slopes[1])
        rate, floor = 1 - 2.0**-10, -1.7580993408473766
        a = 1 / np.sqrt((1 - rate) * (1 + rate * floor**2))
        dropped = np.min(noise.alpha_dropout(0, jnp.zeros(100), rate))
        np.testing.assert_allclose(dropped, a * (1 - rate) * floor, rtol=1e-6)

    def test_dropped_elements_take_the_floor_whatever_they_held(self):
        y = noise.alpha_dropout(1, jnp.full(1000, jnp.nan), 0.5)
        dropped = np.asarray(noise.alpha_dropout(1, jnp.zeros(1000), 0.5)) < 0
        assert np.all(np.isfinite(y) == dropped)


class TestGaussian:
    def test_noise_is_normal(self):
        y = np.asarray(noise.gaussian_noise(1, jnp.full(100_000, 5.0), 2.0), float)
        assert stats.kstest((y - 5) / 2, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(y[:-1], y[1:])[0, 1]) < 0.02

    @pytest.mark.parametrize("rate", [0.2, 0.75])
    def test_dropout_has_the_moments_of_dropout(self, rate):
        n, x = 200_000, 3.0
        y, other = (np.asarray(f(2, jnp.full(n, x), rate), float) for f in (noise.gaussian_dropout, noise.dropout))
        spread = x * np.sqrt(rate / (1 - rate))
        np.testing.assert_allclose(y.mean(), x, atol=4 * spread / np.sqrt(n))
        np.testing.assert_allclose(y.std(), spread, rtol=0.01)
        np.testing.assert_allclose(other.std(), spread, rtol=0.01)
        assert stats.kstest((y - x) / spread, "norm").pvalue > 1e-3

    def test_derivative_by_stddev_is_the_draw(self):
        draws = noise.gaussian_noise(4, jnp.zeros(9), 1.0)
        slopes = jax.jacfwd(lambda s: noise.gaussian_noise(4, jnp.ones(9), s))(0.0)
        np.testing.assert_allclose(slopes, draws, rtol=1e-6)

    def test_an_infinite_stddev(self):
        with pytest.raises(ValueError, match=r"stddev must be >= 0 and < inf; got inf"):
            noise.gaussian_noise(0, X, np.inf)


def test_a_prediction_averaged_over_masks_is_that_of_all_masks():
    # A unit that is not linear: weight scaling is an approximation there, the average over masks is not.
    x, w = np.float32([0.5, -1.0, 2.0]), np.float32([1.0, 2.0, 1.7])
    masks = np.array([[i >> b & 1 for b in range(3)] for i in range(8)])
    chance = np.prod(np.where(masks, 0.7, 0.3), axis=1)
    exact = np.sum(chance * np.tanh((masks * x / 0.7) @ w))
    keys = jax.random.split(jax.random.key(0), 20_000)
    averaged = jax.jit(jax.vmap(lambda k: jnp.tanh(noise.dropout(k, x, 0.3) @ w)))(keys).mean()
    np.testing.assert_allclose(averaged, exact, atol=4 / np.sqrt(20_000))
    assert abs(np.tanh(noise.dropout(None, x, 0.3, mode="test") @ w) - exact) > 0.1


# rate: rows of (x, value where dropped, value where kept)
TORCH_ALPHA_DROPOUT = {
    0.1: [
        (-0.6, -1.457738730518132, -0.39079973963225667), (0.0, -1.457738730518132, 0.16197097005757022),
        (2.5, -1.457738730518132, 2.465182260431849),
    ],
    0.5: [
        (-0.6, -0.7791939305180315, 0.24735099371847247), (0.0, -0.7791939305180315, 0.7791939305180315),
        (2.5, -0.7791939305180315, 2.995206167182861),
    ],
    0.8: [
        (-0.6, -0.42191295415012364, 0.9677045229280543), (0.0, -0.42191295415012364, 1.6876518166004955),
        (2.5, -0.42191295415012364, 4.687432206902334),
    ],
}  # fmt: skip
