"""Dropout: its mask, its two scalings, its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import _expression, _registry, noise

X = jnp.linspace(-3.0, 2.0, 24).reshape(4, 6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_rate_is_the_probability_of_dropping(rate):
    n = 200_000
    y = np.asarray(noise.dropout(1, jnp.ones(n), rate))
    assert abs((y == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    # Neighbours share a random word: they must be independent.
    kept = y.reshape(-1, 2) > 0
    assert abs(kept.all(1).mean() - (1 - rate) ** 2) < 4 * (1 - rate) / np.sqrt(n / 2)


@pytest.mark.parametrize("rate", [0.25, 0.6])
def test_the_equation_is_what_runs(rate):
    y = np.asarray(noise.dropout(2, X, rate))
    mask = (np.asarray(noise.dropout(2, jnp.ones_like(X), rate)) > 0).astype(float)
    assert 0 < mask.sum() < mask.size
    entry = _registry.find("dropout", "noise")
    expected = _expression.evaluate(entry.expression, {"x": np.asarray(X, np.float64), "b": mask, "p": rate})
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_two_scalings_have_the_same_mean_at_test_time():
    np.testing.assert_array_equal(noise.dropout(None, X, 0.3, mode="test"), X)
    np.testing.assert_allclose(noise.dropout(None, X, 0.3, mode="test", scaling="weight"), 0.7 * X, rtol=1e-6)
    inverted, weight = (noise.dropout(5, X, 0.3, scaling=s) for s in ("inverted", "weight"))
    np.testing.assert_allclose(inverted, weight / 0.7, rtol=1e-6)
    keys = jax.random.split(jax.random.key(0), 4000)
    mean = jax.vmap(lambda k: noise.dropout(k, X, 0.3))(keys).mean(0)
    np.testing.assert_allclose(mean, X, atol=4 * 3 * np.sqrt(0.3 / 0.7 / 4000))


def test_weight_scaling_is_exact_for_softmax_regression():
    # The normalized geometric mean of the predictions over all masks is the prediction with scaled inputs.
    x, w = jnp.array([0.5, -1.0, 2.0]), jax.random.normal(jax.random.key(1), (3, 4))
    masks = jnp.array([[i >> b & 1 for b in range(3)] for i in range(8)], jnp.float32)
    mean = jax.nn.softmax(jax.nn.log_softmax((masks * x[None]) @ w).mean(0))
    np.testing.assert_allclose(
        mean, jax.nn.softmax(noise.dropout(None, x, 0.5, mode="test", scaling="weight") @ w), rtol=1e-5
    )


@pytest.mark.parametrize("axes", [(0,), (-1,), (0, 1)])
def test_broadcast_axes_share_the_mask(axes):
    kept = np.asarray(noise.dropout(3, jnp.ones((30, 40)), 0.5, broadcast_axes=axes)) > 0
    for axis in axes:
        assert np.all(kept == np.take(kept, [0], axis))
    if len(axes) == 1:
        other = kept.any(axes[0])
        assert 5 < other.sum() < other.size - 5


def test_masks_depend_on_the_key_alone():
    a = noise.dropout(3, X, 0.5)
    np.testing.assert_array_equal(a, noise.dropout(jax.random.key(3), X, 0.5))
    np.testing.assert_array_equal(a, jax.jit(lambda k: noise.dropout(k, X, 0.5))(jax.random.key(3)))
    assert np.any(np.asarray(a) != np.asarray(noise.dropout(4, X, 0.5)))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scaling", ["inverted", "weight"])
def test_traced_rates_and_their_edges(rate, scaling):
    def total(x, rate):
        return noise.dropout(7, x, rate, scaling=scaling).sum()

    value, (to_x, to_rate) = jax.jit(jax.value_and_grad(total, (0, 1)))(X, rate)
    assert np.isfinite(value)
    assert np.all(np.isfinite(to_x))
    assert np.isfinite(to_rate)
    if rate == 1.0:
        np.testing.assert_array_equal(to_x, np.zeros(X.shape))
    else:
        np.testing.assert_allclose(value, total(X, rate), rtol=1e-5)
        scale = 1 / (1 - rate) if scaling == "inverted" else 1.0
        assert set(np.unique(to_x)) <= {0.0, np.float32(scale)}
    if rate == 0.0:
        np.testing.assert_array_equal(jax.jit(noise.dropout)(jax.random.key(7), X, rate), X)


def test_a_rate_of_one_keeps_nothing():
    assert not np.any(jax.jit(lambda rate: noise.dropout(0, jnp.ones(500_000), rate))(1.0))


def test_rates_are_lanes():
    traces = []

    def f(rate):
        traces.append(1)
        return noise.dropout(9, X, rate)

    lanes = jax.jit(jax.vmap(f))(jnp.array([0.0, 0.25, 1.0]))
    assert len(traces) == 1
    np.testing.assert_array_equal(lanes[0], X)
    np.testing.assert_allclose(lanes[1], noise.dropout(9, X, 0.25), rtol=1e-6)
    np.testing.assert_array_equal(lanes[2], np.zeros(X.shape))


def test_dropped_elements_are_zero_whatever_they_held():
    x = jnp.full(1000, jnp.inf).at[500:].set(jnp.nan)
    y = np.asarray(noise.dropout(1, x, 0.5))
    assert 400 < (y == 0).sum() < 600


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_types(dtype):
    y = noise.dropout(0, X.astype(dtype), 0.3)
    assert y.dtype == dtype
    wide = noise.dropout(0, X.astype(dtype).astype(jnp.float32), 0.3)
    np.testing.assert_array_equal(y, wide.astype(dtype))
    assert noise.dropout(0, X.astype(dtype), 0.3, mode="test", scaling="weight").dtype == dtype


def test_float64_and_integers():
    with jax.enable_x64(True):
        assert noise.dropout(0, jnp.ones(5, jnp.float64), 0.3).dtype == jnp.float64
    assert noise.dropout(0, np.arange(5), 0.3).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (5, 3)])
def test_shapes(shape):
    assert noise.dropout(0, jnp.ones(shape), 0.5).shape == shape


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: noise.dropout(0, X, 1.0), ValueError, r"rate must be >= 0 and < 1; got 1\.0"),
        (lambda: noise.dropout(0, X, -0.1), ValueError, r"rate must be >= 0 and < 1; got -0\.1"),
        (lambda: noise.dropout(0, X, "half"), TypeError, r"rate must be a number; got 'half'"),
        (lambda: noise.dropout(0, X, abs), TypeError, r"rate must be a number; got <built-in"),
        (lambda: noise.dropout(0, X, jnp.full(6, 0.5)), ValueError, r"rate must be a scalar; got shape \(6,\)"),
        (lambda: noise.dropout(None, X, 0.5), TypeError, r"key must be a PRNG key .* got None"),
        (lambda: noise.dropout(0, X, 0.5, mode="eval"), ValueError, r"mode must be one of 'train', 'test'; got 'eval'"),
        (lambda: noise.dropout(0, X, 0.5, scaling="wieght"), ValueError, r"scaling must be .* did you mean 'weight'"),
        (lambda: noise.dropout(0, X, 0.5, broadcast_axes=(2,)), ValueError, r"broadcast_axes must be axes of x, of sh"),
        (lambda: noise.dropout(0, X, 0.5, broadcast_axes=(0.5,)), TypeError, r"broadcast_axes must be a whole number"),
        (lambda: noise.dropout(0, X + 1j, 0.5), TypeError, r"x must be real; got complex64"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
