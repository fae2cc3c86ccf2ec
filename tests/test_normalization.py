"""Batch normalization and its statistics against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdict import _expression, _registry, normalization

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4)) * [1, 2, 0.1, 5] + [0, -3, 10, 0.5]
IMAGES = RNG.normal(size=(3, 4, 5, 2)) * [1, 3] + [2, -1]
GAMMA, BETA = np.array([0.5, -2.0, 1.0, 3.0]), np.array([1.0, 0.0, -4.0, 0.1])


def test_the_equation_is_what_runs():
    scope = {"x": X, "gamma": GAMMA, "beta": BETA, "epsilon": 1e-3}
    expression = _registry.find("Batch Norm", "normalization").expression
    expected = _expression.evaluate(expression, scope, _expression.numpy_vocabulary(axis=0))
    with jax.enable_x64(True):
        got = np.asarray(normalization.batch_norm(X, scale=GAMMA, offset=BETA, eps=1e-3))
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    got = normalization.batch_norm(jnp.asarray(X, jnp.float32), scale=GAMMA, offset=BETA, eps=1e-3)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


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


def test_kept_statistics():
    mean, variance = np.array([1.0, 0.0, 9.0, -1.0]), np.array([4.0, 1.0, 0.01, 2.0])
    y = normalization.batch_norm(jnp.asarray(X, jnp.float32), mean=mean, variance=variance, offset=BETA)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 1e-5) + BETA, rtol=1e-4, atol=1e-5)


def test_a_large_mean_costs_no_digits():
    x = RNG.normal([1e4, -3e5, 0], size=(500, 3)).astype(np.float32)
    mean, variance = normalization.batch_statistics(x)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(0), rtol=1e-5)


def test_one_example_gives_the_offset():
    np.testing.assert_array_equal(
        normalization.batch_norm(jnp.ones((1, 4)), scale=GAMMA, offset=BETA)[0], np.float32(BETA)
    )


@pytest.mark.parametrize("kind", ["constant", "one example"])
def test_gradients_at_variance_zero_are_finite(kind):
    x = jnp.full((5, 4) if kind == "constant" else (1, 4), 3.0)

    def f(x):
        return jnp.sum(normalization.batch_norm(x, scale=GAMMA) ** 3 + normalization.batch_norm(x))

    for derivative in jax.jit(lambda x: (jax.grad(f)(x), jax.jacfwd(f)(x), jax.hessian(f)(x)))(x):
        assert np.all(np.isfinite(derivative))


def test_gradients_go_through_the_statistics():
    with jax.enable_x64(True):
        f = jax.jit(lambda x, g, b: normalization.batch_norm(x, scale=g, offset=b))
        check_grads(f, (jnp.asarray(X), jnp.asarray(GAMMA), jnp.asarray(BETA)), order=1, atol=1e-5, rtol=1e-5)
        weights = jnp.array([1.0, 0, 1, 1, 0.5, 1, 0])
        check_grads(jax.jit(lambda x: normalization.batch_statistics(x, weights=weights)), (jnp.asarray(X),), 1)


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


class TestTypes:
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_narrow_inputs_are_computed_wide(self, dtype):
        x = jnp.asarray(X, dtype)
        mean, variance = normalization.batch_statistics(x)
        assert mean.dtype == variance.dtype == jnp.float32
        y = normalization.batch_norm(x, scale=GAMMA.astype(np.float32))
        assert y.dtype == dtype
        wide = normalization.batch_norm(x.astype(jnp.float32), scale=GAMMA.astype(np.float32))
        np.testing.assert_array_equal(y, wide.astype(dtype))

    def test_many_half_precision_examples(self):
        x = jnp.full((70_000, 1), 2.0, jnp.float16)  # their sum is beyond float16
        np.testing.assert_array_equal(normalization.batch_statistics(x), [[2.0], [0.0]])

    def test_integers(self):
        assert normalization.batch_norm(np.arange(6).reshape(3, 2)).dtype == jnp.float32

    def test_jit_and_vmap(self):
        x = jnp.asarray(np.stack([X, 2 * X + 1]), jnp.float32)
        lanes = jax.jit(jax.vmap(lambda x, e: normalization.batch_norm(x, eps=e)))(x, jnp.array([1e-5, 1e-2]))
        np.testing.assert_allclose(lanes[1], normalization.batch_norm(x[1], eps=1e-2), rtol=1e-4, atol=1e-6)


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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: normalization.batch_norm(X, mean=np.ones(4)), ValueError, r"mean and variance must be given together"),
        (lambda: normalization.batch_norm(X, eps=-1.0), ValueError, r"eps must be >= 0; got -1\.0"),
        (lambda: normalization.batch_norm(X, eps="a"), TypeError, r"eps must be a number; got 'a'"),
        (lambda: normalization.batch_norm(X, eps=np.ones(4)), ValueError, r"eps must be a scalar"),
        (lambda: normalization.batch_norm(X, scale=2.0), ValueError, r"scale must have shape \(4,\).* got \(\)"),
        (lambda: normalization.batch_norm(X, offset=np.ones((1, 4))), ValueError, r"offset must have shape \(4,\)"),
        (lambda: normalization.batch_norm(X, mean=np.ones(7), variance=np.ones(7)), ValueError, r"variance must have"),
        (lambda: normalization.batch_norm(X[0]), ValueError, r"x must have a batch axis and a feature axis; got sh"),
        (
            lambda: normalization.batch_norm(X, axis=2),
            ValueError,
            r"axis must be an axis of x, of shape \(7, 4\); got 2",
        ),
        (lambda: normalization.batch_norm(X, axis=(0, 1)), TypeError, r"axis must be a whole number"),
        (lambda: normalization.batch_norm(X + 1j), TypeError, r"x must be real"),
        (lambda: normalization.batch_norm(X[:0]), ValueError, r"x of shape \(0, 4\) has no examples"),
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
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
