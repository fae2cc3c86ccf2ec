"""Orthogonal kernels, the identity and sparse ones, in matrices and convolutions, against jax.nn and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdict import initializers

JAX = jax.nn.initializers


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


def assert_orthonormal(matrix, scale=1.0, atol=5e-6):
    """The columns, or where there are fewer the rows."""
    matrix = np.asarray(matrix, float) / scale
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=atol)


def same_convolution(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


class TestOrthogonal:
    @pytest.mark.parametrize("shape", [(12, 7), (7, 12), (9, 9), (3, 3, 4, 50)])
    def test_columns_or_rows(self, shape):
        weights = initializers.orthogonal(1.3)(2, shape)
        assert weights.shape == shape
        assert_orthonormal(weights.reshape(-1, shape[-1]), 1.3)

    def test_axes(self):
        weights = initializers.orthogonal(out_axis=0)(2, (12, 3, 2, 2))  # torch's layout
        assert_orthonormal(weights.reshape(12, 12))
        weights = initializers.orthogonal(batch_axis=1)(3, (6, 4, 5))
        for kernel in range(4):
            assert_orthonormal(weights[:, kernel])
        assert not np.allclose(weights[:, 0], weights[:, 1])
        weights = initializers.orthogonal(out_axis=(0, 2))(3, (2, 6, 3))
        assert_orthonormal(np.moveaxis(weights, 1, 0).reshape(6, 6))

    @pytest.mark.parametrize(("dtype", "atol"), [(jnp.float16, 2e-3), (jnp.bfloat16, 2e-2)])
    def test_narrow_types(self, dtype, atol):
        """jax's and torch's have no such QR; ours is the float32 one rounded once."""
        weights = initializers.orthogonal()(0, (30, 20), dtype)
        assert weights.dtype == dtype
        assert_orthonormal(weights, atol=atol)
        np.testing.assert_array_equal(weights, initializers.orthogonal()(0, (30, 20)).astype(dtype))
        with pytest.raises(NotImplementedError, match="nsupported dtype"):
            JAX.orthogonal()(jax.random.key(0), (30, 20), dtype)

    def test_float64(self):
        with jax.enable_x64(True):
            assert_orthonormal(initializers.orthogonal()(0, (30, 20), jnp.float64), atol=1e-14)

    @pytest.mark.parametrize(("shape", "axis"), [((12, 7), -1), ((7, 12), 0), ((3, 3, 4, 20), -1), ((5, 3, 4), 1)])
    @pytest.mark.slow
    def test_same_draws_as_jax(self, shape, axis):
        key = jax.random.key(5)
        np.testing.assert_allclose(
            initializers.orthogonal(1.5, out_axis=axis)(key, shape),
            JAX.orthogonal(1.5, column_axis=axis)(key, shape, jnp.float32),
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip

    def test_uniformly_distributed(self):
        """Over the rotations and reflections: entries of mean 0 and variance 1/n, half the determinants negative."""
        weights = np.asarray(initializers.orthogonal(batch_axis=0)(1, (4000, 3, 3)), float)
        determinants = np.linalg.det(weights)
        np.testing.assert_allclose(np.abs(determinants), 1, atol=1e-5)
        assert abs(np.mean(determinants)) < 4 / np.sqrt(4000)
        assert np.all(np.abs(weights.mean(0)) < 5 * np.sqrt(1 / 3 / 4000))
        spread = (weights**2).std(0) / np.sqrt(4000)
        assert np.all(np.abs((weights**2).mean(0) - 1 / 3) < 5 * spread)
        traces = np.trace(weights, axis1=1, axis2=2)  # E tr² = 1 under the Haar measure, not so without the signs of R
        assert abs(np.mean(traces**2) - 1) < 5 * np.std(traces**2) / np.sqrt(4000)

    @pytest.mark.slow
    def test_linear_depth(self):
        """A hundred orthogonal layers keep every length, a hundred of LeCun's do not."""
        x = jax.random.normal(jax.random.key(0), (20, 30))

        def lengths(init):
            layers = init(1, (100, 30, 30))
            y = lax.scan(lambda h, w: (h @ w, None), x, layers)[0]
            return np.linalg.norm(y, axis=1) / np.linalg.norm(x, axis=1)

        np.testing.assert_allclose(lengths(initializers.orthogonal(batch_axis=0)), 1, rtol=1e-4)
        assert lengths(initializers.lecun_normal(batch_axis=0)).max() < 0.9

    def test_empty_and_traced(self):
        assert initializers.orthogonal()(0, (0, 5)).shape == (0, 5)
        weights = initializers.orthogonal(2.0)(0, (12, 7))
        value, slope = jax.jit(lambda s: jax.jvp(lambda s: initializers.orthogonal(s)(0, (12, 7)), (s,), (s,)))(2.0)
        np.testing.assert_allclose(value, weights, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(slope, weights, rtol=1e-5, atol=1e-7)


class TestDeltaOrthogonal:
    @pytest.mark.parametrize("field", [(), (4, 3), (3, 2, 3)])
    def test_only_the_centre(self, field):
        weights = np.array(initializers.delta_orthogonal(1.3)(2, (*field, 5, 8)))
        centre = tuple((size - 1) // 2 for size in field)
        assert_orthonormal(weights[centre], 1.3)
        weights[centre] = 0
        assert not weights.any()

    @pytest.mark.parametrize("field", [(3, 3), (4, 2)])
    def test_a_convolution_keeps_the_norm(self, field):
        x = jax.random.normal(jax.random.key(1), (2, 6, 7, 5))
        y = same_convolution(x, initializers.delta_orthogonal()(3, (*field, 5, 8)))
        np.testing.assert_allclose(jnp.sum(y**2, -1), jnp.sum(x**2, -1), rtol=1e-5)

    @pytest.mark.slow
    def test_axes_and_types(self):
        ours = initializers.delta_orthogonal(in_axis=1, out_axis=0)(2, (8, 5, 3, 3), jnp.bfloat16)  # torch's layout
        want = initializers.delta_orthogonal()(2, (3, 3, 5, 8), jnp.bfloat16).transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(ours, want)
        batch = initializers.delta_orthogonal(batch_axis=0)(2, (4, 3, 5, 8))
        for kernel in batch:
            assert_orthonormal(kernel[1])
        assert initializers.delta_orthogonal()(0, (0, 5, 8)).shape == (0, 5, 8)

    @pytest.mark.parametrize("shape", [(3, 5, 8), (2, 3, 3, 5, 6)])
    def test_same_draws_as_jax(self, shape):
        key = jax.random.key(5)
        np.testing.assert_allclose(
            initializers.delta_orthogonal(1.5)(key, shape), JAX.delta_orthogonal(1.5)(key, shape, jnp.float32),
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip


class TestIdentity:
    @pytest.mark.parametrize("shape", [(3, 6), (6, 3)])
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
    def test_matrices(self, shape, dtype):
        weights = initializers.identity(2.5)(None, shape, dtype)
        assert weights.dtype == dtype
        np.testing.assert_array_equal(weights, 2.5 * np.eye(*shape))

    @pytest.mark.parametrize("field", [(3, 3), (4, 1)])
    def test_convolutions(self, field):
        x = jax.random.normal(jax.random.key(1), (2, 6, 7, 4))
        np.testing.assert_array_equal(same_convolution(x, initializers.identity()(0, (*field, 4, 4))), x)
        y = same_convolution(x, initializers.identity()(0, (*field, 4, 6)))
        np.testing.assert_array_equal(y[..., :4], x)
        np.testing.assert_array_equal(y[..., 4:], 0)

    def test_groups_and_axes(self):
        """As torch's ``dirac_(w, groups=3)`` of (6, 4, 5), recorded from torch 2.13: ones at these places."""
        weights = np.asarray(initializers.identity(in_axis=1, out_axis=0, groups=3)(0, (6, 4, 5)))
        assert set(zip(*np.nonzero(weights), strict=True)) == {(2 * g + d, d, 2) for g in range(3) for d in range(2)}
        x = jax.random.normal(jax.random.key(1), (2, 6, 7, 8))
        depthwise = initializers.identity(groups=8)(0, (3, 3, 1, 8))
        y = lax.conv_general_dilated(
            x, depthwise, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=8
        )
        np.testing.assert_array_equal(y, x)
        batch = initializers.identity(batch_axis=0)(0, (4, 2, 3))
        np.testing.assert_array_equal(batch, np.broadcast_to(np.eye(2, 3), (4, 2, 3)))

    def test_traced(self):
        slope = jax.jacfwd(lambda s: initializers.identity(s)(0, (2, 3)))(jnp.float32(2.0))
        np.testing.assert_array_equal(slope, np.eye(2, 3))


class TestSparse:
    def test_every_output_has_its_number_of_inputs(self):
        weights = np.asarray(initializers.sparse()(1, (200, 300), jnp.bfloat16), float)
        assert np.all(np.sum(weights != 0, axis=0) == 15)
        chosen = weights[weights != 0]
        assert abs(chosen.mean()) < 4 / np.sqrt(chosen.size)
        assert abs(np.mean(chosen**2) - 1) < 4 * np.std(chosen**2) / np.sqrt(chosen.size)

    def test_places_are_uniform_and_independent(self):
        chosen = np.asarray(initializers.sparse(connections=3)(4, (10, 20_000))) != 0
        error = np.sqrt(0.3 * 0.7 / 20_000)
        assert np.all(np.abs(chosen.mean(1) - 0.3) < 5 * error)
        pairs = (chosen[:, None] & chosen[None]).mean(2)[np.triu_indices(10, 1)]
        p = 3 * 2 / (10 * 9)
        assert np.all(np.abs(pairs - p) < 5 * np.sqrt(p * (1 - p) / 20_000))

    @pytest.mark.slow
    def test_axes(self):
        torch = np.asarray(initializers.sparse(connections=4, in_axis=1, out_axis=0)(0, (8, 5, 3)))  # and a field of 3
        assert np.all(np.sum(torch != 0, axis=(1, 2)) == 4)
        batch = np.asarray(initializers.sparse(connections=2, batch_axis=0)(0, (6, 5, 8)))
        assert np.all(np.sum(batch != 0, axis=1) == 2)
        few = np.asarray(initializers.sparse(batch_axis=0)(0, (6, 5, 8)))
        assert np.all(few != 0)
        assert initializers.sparse()(0, (0, 4)).shape == (0, 4)

    @pytest.mark.parametrize(("sparsity", "zeros"), [(0.1, 10), (0.07, 7), (0.101, 11), (0.0, 0), (1.0, 100)])
    def test_sparsity(self, sparsity, zeros):
        """The share of zeros, rounded up; 0.07·100 is a little more than 7 in floating point."""
        given = initializers.sparse(sparsity=sparsity, stddev=0.01)(3, (100, 4))
        assert np.all(np.sum(np.asarray(given) == 0, axis=0) == zeros)
        traced = jax.jit(lambda s: initializers.sparse(sparsity=s, stddev=0.01)(3, (100, 4)))(sparsity)
        np.testing.assert_allclose(traced, given, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.orthogonal("a"), TypeError, r"scale must be a number; got 'a'"),
        (lambda: initializers.orthogonal()(0, (3,)), ValueError, r"has an axis beside those of outputs .*; got shape"),
        (lambda: initializers.orthogonal()(0, (3, 4), int), TypeError, r"dtype must be real floating; got int32"),
        (lambda: initializers.orthogonal()("k", (3, 4)), TypeError, r"key must be a PRNG key"),
        (
            lambda: initializers.delta_orthogonal()(0, (3, 5, 4)),
            ValueError,
            r"at least as many outputs .* 5 inputs and",
        ),
        (lambda: initializers.delta_orthogonal()(0, (3,)), ValueError, r"shape \(3,\) has no axis -2"),
        (lambda: initializers.identity(None), TypeError, r"scale must be a number; got None"),
        (lambda: initializers.identity(groups=2)(0, (3, 5)), ValueError, r"groups must divide .* outputs, 5; got 2"),
        (lambda: initializers.identity(groups=0), ValueError, r"groups must be >= 1; got 0"),
        (lambda: initializers.sparse(connections=0), ValueError, r"connections must be >= 1; got 0"),
        (lambda: initializers.sparse(connections=1.5), TypeError, r"connections must be a whole number; got 1\.5"),
        (lambda: initializers.sparse(sparsity=1.5), ValueError, r"sparsity must be >= 0 and <= 1; got 1\.5"),
        (lambda: initializers.sparse(stddev=-1), ValueError, r"stddev must be >= 0; got -1"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
