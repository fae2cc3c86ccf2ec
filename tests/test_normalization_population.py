"""Exact statistics of a data set however it is cut, and batch norms merged into kernels of any layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import normalization

RNG = np.random.default_rng(3)


class TestPopulation:
    DATA = (RNG.normal(size=(60, 3)) * [1, 0.01, 100] + [1e4, -3, 0]).astype(np.float32)

    @pytest.mark.parametrize("unbiased", [False, True])
    @pytest.mark.parametrize("cuts", [[], [30], [1, 2, 3], [59], list(range(7, 60, 7)), [0, 20, 20, 60]])
    def test_any_batching_gives_the_same(self, cuts, unbiased):
        mean, variance = normalization.population_statistics(iter(np.split(self.DATA, cuts)), unbiased=unbiased)
        assert mean.dtype == variance.dtype == jnp.float32
        wide = self.DATA.astype(np.float64)
        assert np.all(np.abs(mean - wide.mean(0)) <= 1.2e-7 * (np.abs(wide.mean(0)) + wide.std(0)))
        np.testing.assert_allclose(variance, wide.var(0, ddof=int(unbiased)), rtol=1e-6)

    def test_many_small_batches(self):
        data = RNG.normal(1e4, 1, (6000, 2)).astype(np.float32)
        mean, variance = normalization.population_statistics(np.split(data, 1500))
        np.testing.assert_allclose(mean, data.astype(float).mean(0), rtol=1e-7)
        np.testing.assert_allclose(variance, data.astype(float).var(0), rtol=1e-6)

    def test_outliers_cost_no_digits_wherever_they_stand(self):
        data = RNG.normal(0, 1, (3000, 5)).astype(np.float32)
        data[[0, 1500, 2999]] = 3000.0
        _, variance = normalization.population_statistics(data)
        np.testing.assert_allclose(variance, data.astype(float).var(0), rtol=5e-7)

    def test_an_array_is_one_batch(self):
        for given in (self.DATA, jnp.asarray(self.DATA)):
            alone, listed = normalization.population_statistics(given), normalization.population_statistics([given])
            for a, b in zip(alone, listed, strict=True):
                np.testing.assert_array_equal(a, b)

    def test_traced_batches(self):
        parts = np.split(self.DATA, [7, 40])
        mean, variance = jax.jit(lambda parts: normalization.population_statistics(parts))(parts)
        np.testing.assert_allclose(mean, self.DATA.astype(float).mean(0), rtol=2e-7, atol=1e-5)
        np.testing.assert_allclose(variance, self.DATA.astype(float).var(0), rtol=1e-6)

    def test_images_and_types(self):
        images = RNG.normal(2, 3, (6, 2, 4, 5))
        parts = [images[:2], images[2:]]
        mean, _ = normalization.population_statistics([jnp.asarray(p, jnp.bfloat16) for p in parts], axis=1)
        assert mean.dtype == jnp.float32
        with jax.enable_x64(True):
            mean, variance = normalization.population_statistics(map(jnp.asarray, parts), axis=1)
        assert mean.dtype == jnp.float64
        np.testing.assert_allclose(mean, images.mean((0, 2, 3)), rtol=1e-14)
        np.testing.assert_allclose(variance, images.var((0, 2, 3)), rtol=1e-13)

    def test_batch_norm_by_them_gives_mean_0_and_variance_1(self):
        mean, variance = normalization.population_statistics(np.split(self.DATA[:, 1:], 4))
        whole = normalization.batch_norm(self.DATA[:, 1:], mean=mean, variance=variance, eps=0.0)
        np.testing.assert_allclose(whole.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(whole.std(0), 1, rtol=1e-5)

    def test_running_averages_only_come_near(self):
        running = jnp.zeros(2), jnp.ones(2)
        parts = np.split(self.DATA[:, 1:], 12)
        for part in parts:
            new = normalization.batch_statistics(part)
            running = tuple(map(normalization.update_running, running, new))
        exact = normalization.population_statistics(parts)
        assert abs(running[1][0] / exact[1][0] - 1) > 0.1
        assert abs(running[0][0] / exact[0][0] - 1) > 0.1

    @pytest.mark.parametrize(
        ("data", "options", "error", "message"),
        [
            ([], {}, ValueError, "data must have an example at least; got 0"),
            (np.ones((0, 3)), {}, ValueError, "data must have an example at least; got 0"),
            (np.ones((1, 3)), {"unbiased": True}, ValueError, "data must have two examples at least; got 1"),
            ([np.ones((2, 3)), np.ones((2, 4))], {}, ValueError, "the same features in every batch; got 3 and 4"),
            ([np.ones(3)], {}, ValueError, r"x must have a batch axis and a feature axis; got shape \(3,\)"),
            (np.ones((2, 3)), {"axis": 2}, ValueError, r"axis must be an axis of x, of shape \(2, 3\); got 2"),
            (np.ones((2, 3)), {"unbiased": "yes"}, ValueError, "unbiased must be one of True, False; got 'yes'"),
            (3, {}, TypeError, "data must be an array or an iterable of arrays; got 3"),
            (np.ones((2, 3)) + 1j, {}, TypeError, "x must be real; got complex"),
        ],
    )
    def test_messages(self, data, options, error, message):
        with pytest.raises(error, match=message):
            normalization.population_statistics(data, **options)


class TestFold:
    MEAN, VARIANCE = np.float32([0.3, -2, 5, 0]), np.float32([1.0, 0.04, 30, 2])
    SCALE, OFFSET, BIAS = np.float32([1.5, -1, 0.2, 3]), np.float32([0, 4, -1, 0.5]), np.float32([1, -2, 0.25, 7])
    KEPT = {"mean": MEAN, "variance": VARIANCE}  # noqa: RUF012  (read only)
    ALL = {**KEPT, "scale": SCALE, "offset": OFFSET, "eps": 1e-3}  # noqa: RUF012

    def test_dense(self):
        x, w = RNG.normal(size=(6, 5)).astype(np.float32), RNG.normal(size=(5, 4)).astype(np.float32)
        for bias, options in ((self.BIAS, self.ALL), (None, self.KEPT), (None, self.ALL), (self.BIAS, self.KEPT)):
            kernel, new = normalization.fold_batch_norm(w, bias, **options)
            wanted = normalization.batch_norm(x @ w + (0 if bias is None else bias), **options)
            np.testing.assert_allclose(x @ kernel + new[None], wanted, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("layout", "out_axis", "groups"), [(("NHWC", "HWIO", "NHWC"), -1, 1), (("NCHW", "OIHW", "NCHW"), 0, 1),
                                           (("NHWC", "HWOI", "NHWC"), 2, 1), (("NHWC", "HWIO", "NHWC"), 3, 2)],
    )  # fmt: skip
    def test_convolution(self, layout, out_axis, groups):
        lhs, rhs, _ = layout
        sizes = {"N": 2, "H": 5, "W": 6, "C": 4, "I": 4 // groups, "O": 4}
        x = RNG.normal(size=[sizes[a] for a in lhs]).astype(np.float32)
        w = RNG.normal(size=[{**sizes, "H": 3, "W": 2}[a] for a in rhs]).astype(np.float32)
        channels = lhs.index("C")

        def convolved(kernel, bias):
            y = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups
            )
            return y + jnp.asarray(bias).reshape([4 if i == channels else 1 for i in range(4)])

        wanted = normalization.batch_norm(convolved(w, self.BIAS), axis=channels, **self.ALL)
        kernel, bias = normalization.fold_batch_norm(w, self.BIAS, out_axis=out_axis, **self.ALL)
        assert kernel.shape == w.shape
        np.testing.assert_allclose(convolved(kernel, bias), wanted, rtol=1e-5, atol=2e-5)
        if groups == 1:
            wrong, _ = normalization.fold_batch_norm(w, self.BIAS, out_axis=rhs.index("I"), **self.ALL)
            assert np.max(np.abs(convolved(wrong, bias) - wanted)) > 0.1

    def test_a_trained_model_layer(self):
        # The statistics of a data set kept by the layer itself, then merged.
        x = RNG.normal(2, 3, (50, 5)).astype(np.float32)
        w = RNG.normal(size=(5, 4)).astype(np.float32)
        mean, variance = normalization.population_statistics(x @ w)
        kernel, bias = normalization.fold_batch_norm(w, None, mean=mean, variance=variance)
        np.testing.assert_allclose(x @ kernel + bias[None], normalization.batch_norm(x @ w), rtol=1e-4, atol=1e-4)

    def test_types(self):
        with jax.enable_x64(True):
            kernel, bias = normalization.fold_batch_norm(np.ones((3, 4)), None, **self.ALL)
            assert kernel.dtype == bias.dtype == jnp.float64
            np.testing.assert_allclose(kernel[0], self.SCALE / np.sqrt(self.VARIANCE.astype(float) + 1e-3), rtol=1e-14)
        narrow = jnp.ones((3, 4), jnp.bfloat16)
        kernel, bias = normalization.fold_batch_norm(narrow, self.BIAS, **self.ALL)
        assert kernel.dtype == bias.dtype == jnp.bfloat16
        wide, wide_bias = normalization.fold_batch_norm(narrow.astype(jnp.float32), self.BIAS, **self.ALL)
        np.testing.assert_array_equal(kernel, wide.astype(jnp.bfloat16))
        np.testing.assert_array_equal(bias, wide_bias.astype(jnp.bfloat16))
        lanes = jax.jit(jax.vmap(lambda e: normalization.fold_batch_norm(narrow, None, **{**self.ALL, "eps": e})))(
            jnp.array([1e-3, 1.0])
        )
        np.testing.assert_array_equal(lanes[0][0], kernel)

    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            (
                (np.ones((4, 3)), None),
                {},
                ValueError,
                r"variance must have shape \(3,\), one for each output; got \(4,\)",
            ),
            ((np.ones((3, 4)), np.ones(3)), {}, ValueError, r"bias must have shape \(4,\), one for each output; got"),
            ((np.ones((3, 4)), None), {"scale": 1.0}, ValueError, r"scale must have shape \(4,\), one for each"),
            ((np.ones((3, 4)), None), {"out_axis": 2}, ValueError, r"out_axis must be an axis of the kernel, of shape"),
            ((np.float32(1), None), {}, ValueError, r"out_axis must be an axis of the kernel, of shape \(\); got -1"),
            ((np.ones((3, 4)), None), {"eps": -1}, ValueError, "eps must be >= 0; got -1"),
            ((np.ones((3, 4)) + 1j, None), {}, TypeError, "kernel must be real; got complex"),
            ((np.ones((3, 4)), np.ones(4) + 1j), {}, TypeError, "bias must be real; got complex"),
        ],
    )
    def test_messages(self, arguments, options, error, message):
        with pytest.raises(error, match=message):
            normalization.fold_batch_norm(*arguments, **{**self.KEPT, **options})
