"""What every normalization keeps, against NumPy in float64: values, gradients, extremes, constants, types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import normalization

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4)) * [1, 2, 0.1, 5] + [0, -3, 10, 0.5]
SCALE, OFFSET = np.array([0.5, -2.0, 1.0, 3.0]), np.array([1.0, 0.0, -4.0, 0.1])
KEPT_MEAN, KEPT_VARIANCE = np.array([0.2, -2.0, 9.0, 3.0]), np.array([2.0, 1.0, 0.5, 9.0])


def about_mean(x, axis, eps):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def grouped(x, eps):
    return about_mean(x.reshape(len(x), 2, 2), 2, eps).reshape(x.shape)


def renormed(x, eps):
    root, kept = np.sqrt(x.var(0) + eps), np.sqrt(KEPT_VARIANCE + eps)
    r, d = np.clip(root / kept, 1 / 1.5, 1.5), np.clip((x.mean(0) - KEPT_MEAN) / kept, -0.3, 0.3)
    return (x - x.mean(0)) / root * r + d


def group_norm(x, **options):
    return normalization.group_norm(x, 2, **options)


def batch_renorm(x, **options):
    return normalization.batch_renorm(x, mean=KEPT_MEAN, variance=KEPT_VARIANCE, r_max=1.5, d_max=0.3, **options)


# (function, its float64 twin over (7, 4), the axis of what is normalized together)
NORMS = {
    "batch_norm": (normalization.batch_norm, lambda x, eps: about_mean(x, 0, eps), 0),
    "batch_renorm": (batch_renorm, renormed, 0),
    "layer_norm": (normalization.layer_norm, lambda x, eps: about_mean(x, 1, eps), 1),
    "group_norm": (group_norm, grouped, 1),
    "rms_norm": (normalization.rms_norm, lambda x, eps: x / np.sqrt((x**2).mean(1, keepdims=True) + eps), 1),
}


def over(*names):
    chosen = names or tuple(NORMS)
    return pytest.mark.parametrize(("norm", "twin", "axis"), [NORMS[name] for name in chosen], ids=chosen)


EACH = over()
CENTERED = over("batch_norm", "layer_norm", "group_norm")
UNIT_FREE = over("batch_norm", "layer_norm", "group_norm", "rms_norm")  # batch_renorm keeps statistics in units of x


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


class TestValues:
    @EACH
    @pytest.mark.parametrize("eps", [1e-3, 0.5])
    def test_against_float64(self, norm, twin, axis, eps):
        with jax.enable_x64(True):
            y = norm(jnp.asarray(X), scale=SCALE, offset=OFFSET, eps=eps)
            np.testing.assert_allclose(y, twin(X, eps) * SCALE + OFFSET, rtol=1e-12, atol=1e-13)
        y = norm(jnp.asarray(X, jnp.float32), eps=eps)
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y, twin(X.astype(np.float32).astype(float), eps), rtol=2e-6, atol=5e-7)

    @CENTERED
    @pytest.mark.parametrize("mean", [1e4, -3e6])
    def test_a_large_mean_costs_no_digits(self, norm, twin, axis, mean):
        x = (RNG.normal(size=(7, 4)) + mean).astype(np.float32)
        x[0] = 0.0  # an outlier stands first
        np.testing.assert_allclose(norm(x), twin(x.astype(float), 1e-5), atol=1e-6)
        y = np.asarray(norm(x[1:]))
        np.testing.assert_allclose(y, twin(x[1:].astype(float), 1e-5), atol=2e-6)

    @UNIT_FREE
    @pytest.mark.parametrize("power", [126, 100, 60, -30, -60])
    def test_squares_leave_no_range(self, norm, twin, axis, power):
        x = (RNG.uniform(0.25, 1.0, (7, 4)) * RNG.choice([-1, 1], (7, 4))).astype(np.float32)

        @jax.jit
        def value_and_slope(x, unit):
            y, pull = jax.vjp(lambda x: norm(x, eps=0.0), x)
            return y, pull(jnp.cos(y) * unit)[0]

        value, slope = value_and_slope(x, 1.0)
        np.testing.assert_allclose(value, twin(x.astype(float), 0.0), atol=1e-6)
        far, far_slope = value_and_slope(np.ldexp(x, power), 2.0 ** min(power, 60))
        np.testing.assert_allclose(far, value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(far_slope * 2.0 ** (power - min(power, 60)), slope, rtol=1e-3, atol=1e-5)

    @UNIT_FREE
    @pytest.mark.slow
    def test_the_largest_numbers(self, norm, twin, axis):
        top = float(np.finfo(np.float32).max)
        x = np.array([[top, -top, top, 1], [-top, 0, top, 2], [top, top, 0, 3]], np.float32)
        np.testing.assert_allclose(norm(x), twin(x.astype(float), 1e-5), atol=1e-6)
        assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(norm(x) ** 2))(x)))

    @EACH
    def test_nan_and_infinity_stay_with_what_they_are_normalized_with(self, norm, twin, axis):
        for bad in (np.nan, np.inf):
            x = X.astype(np.float32)
            x[1, 1] = bad
            y = np.asarray(norm(x))
            hit = np.zeros(X.shape, bool)
            hit[(slice(None), 1) if axis == 0 else (1, slice(0, 2 if norm is group_norm else 4))] = True
            if norm is normalization.rms_norm and np.isinf(bad):
                np.testing.assert_array_equal(y[1], [0, np.nan, 0, 0])  # beside infinity the others vanish
                hit = np.isnan(y)
            np.testing.assert_array_equal(np.isnan(y), hit)
            hit[1] = True
            np.testing.assert_array_equal(y[~hit], np.asarray(norm(X.astype(np.float32)))[~hit])


class TestConstants:
    @CENTERED
    @pytest.mark.parametrize("value", [0.0, 0.1, -1e4, 3e38])
    def test_what_is_constant_becomes_the_offset(self, norm, twin, axis, value):
        y = norm(jnp.full((7, 4), value), scale=SCALE.astype(np.float32), offset=OFFSET.astype(np.float32))
        np.testing.assert_array_equal(y, np.broadcast_to(OFFSET.astype(np.float32), (7, 4)))

    def test_zeros_become_the_offset_of_rms_norm(self):
        np.testing.assert_array_equal(normalization.rms_norm(jnp.zeros((2, 4)), offset=OFFSET)[0], np.float32(OFFSET))

    @EACH
    @pytest.mark.parametrize("kind", ["constant", "one"])
    @pytest.mark.slow
    def test_gradients_are_finite_and_right(self, norm, twin, axis, kind):
        shape = (7, 4) if kind == "constant" else (1, 4) if axis == 0 else (7, 4)
        x = jnp.full(shape, 3.0)

        def f(x):
            return jnp.sum(norm(x, scale=SCALE.astype(np.float32)) ** 3 + jnp.sin(norm(x)))

        along = jnp.arange(1.0, 1 + x.size).reshape(shape)
        first, second = jax.jit(lambda x: jax.jvp(jax.grad(f), (x,), (along,)))(x)
        forward = jax.jvp(f, (x,), (along,))[1]
        assert np.all(np.isfinite(second))
        np.testing.assert_allclose(forward, jnp.sum(first * along), rtol=1e-3, atol=1e-1)

    @UNIT_FREE
    @pytest.mark.slow
    def test_without_eps_too(self, norm, twin, axis):
        value = 0.0 if norm is normalization.rms_norm else 3.0
        value, slope = jax.value_and_grad(lambda x: jnp.sum(norm(x, eps=0.0)))(jnp.full((7, 4), value))
        assert value == 0
        assert np.all(np.isfinite(slope))

    @pytest.mark.parametrize("shape", [(0, 4), (7, 0), (0, 0)])
    def test_nothing_to_normalize(self, shape):
        x = jnp.zeros(shape)
        for norm in (normalization.layer_norm, normalization.rms_norm, group_norm):
            assert norm(x).shape == shape
            assert jax.grad(lambda x: jnp.sum(norm(x)))(x).shape == shape  # noqa: B023  (called at once)
        kept = jnp.ones(shape[1])
        assert normalization.batch_norm(x, mean=kept, variance=kept).shape == shape
        if shape[0] == 0:
            with pytest.raises(ValueError, match=r"x of shape \(0, \d\) has no examples"):
                normalization.batch_norm(x)
        else:
            assert normalization.batch_norm(x).shape == shape
            assert normalization.batch_statistics(x)[1].shape == (0,)
            assert normalization.batch_statistics(x, weights=jnp.ones(7))[1].shape == (0,)


class TestGradients:
    @UNIT_FREE
    def test_by_all_arguments_to_second_order(self, norm, twin, axis):
        with jax.enable_x64(True):
            weights = jnp.asarray(RNG.normal(size=(7, 4)))

            def f(x, scale, offset, eps):
                return weights * norm(x, scale=scale, offset=offset, eps=eps)

            arguments = (jnp.asarray(X), jnp.asarray(SCALE), jnp.asarray(OFFSET), jnp.float64(0.3))
            along = tuple(jnp.asarray(RNG.normal(size=a.shape)) for a in arguments)

            def total(arguments):
                return jnp.sum(jnp.sin(f(*arguments)))

            @jax.jit
            def orders(arguments):
                forward = jax.jvp(total, (arguments,), (along,))[1]
                slopes, bends = jax.jvp(jax.grad(total), (arguments,), (along,))
                return total(arguments), forward, slopes, bends

            ahead, back = (orders(jax.tree.map(lambda a, d: a + s * 1e-5 * d, arguments, along)) for s in (1, -1))  # noqa: B023
            _, forward, slopes, bends = orders(arguments)
            np.testing.assert_allclose((ahead[0] - back[0]) / 2e-5, forward, rtol=1e-6)
            np.testing.assert_allclose(sum(map(jnp.vdot, slopes, along)), forward, rtol=1e-9)
            for a, b, bend in zip(ahead[2], back[2], bends, strict=True):
                np.testing.assert_allclose((a - b) / 2e-5, bend, rtol=1e-5, atol=1e-6)

    @UNIT_FREE
    def test_float32_against_float64(self, norm, twin, axis):
        weights = RNG.normal(size=(7, 4))

        def slopes(dtype):
            f = jax.jit(jax.grad(lambda x: jnp.sum(jnp.asarray(weights, dtype) * norm(x))))
            return np.asarray(f(jnp.asarray(X.astype(np.float32), dtype)))

        with jax.enable_x64(True):
            wanted = slopes(jnp.float64)
        np.testing.assert_allclose(slopes(jnp.float32), wanted, rtol=1e-4, atol=1e-5)

    @EACH
    def test_under_checkpoint_jit_and_vmap(self, norm, twin, axis):
        x = jnp.asarray(np.stack([X, 2 * X + 1]), jnp.float32)

        def total(x, eps):
            return jnp.sum(jnp.sin(norm(x, eps=eps)))

        kept = jax.jit(jax.vmap(jax.grad(jax.checkpoint(total))))(x, jnp.array([1e-5, 1e-2]))
        np.testing.assert_allclose(kept[1], jax.grad(total)(x[1], 1e-2), rtol=1e-4, atol=1e-5)

    @over("batch_norm", "layer_norm", "rms_norm")
    def test_reverse_mode_keeps_one_array(self, norm, twin, axis):
        x = jnp.ones((256, 32))
        _, pull = jax.vjp(jax.jit(norm), x)
        kept = sum(leaf.nbytes for leaf in jax.tree.leaves(pull) if hasattr(leaf, "nbytes"))
        assert kept < 1.3 * x.nbytes


class TestTypes:
    @EACH
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_narrow_inputs_are_computed_wide_and_rounded_once(self, norm, twin, axis, dtype):
        x = jnp.asarray(X, dtype)
        y = norm(x, scale=jnp.asarray(SCALE, dtype), offset=OFFSET.astype(np.float32))
        assert y.dtype == dtype
        wide = norm(x.astype(jnp.float32), scale=jnp.asarray(SCALE, dtype), offset=OFFSET.astype(np.float32))
        assert wide.dtype == jnp.float32
        np.testing.assert_array_equal(y, wide.astype(dtype))

    @EACH
    def test_integers_and_complex(self, norm, twin, axis):
        assert norm(np.arange(28).reshape(7, 4)).dtype == jnp.float32
        with pytest.raises(TypeError, match="x must be real; got complex"):
            norm(X + 1j)
        with pytest.raises(TypeError, match="scale must be real; got complex"):
            norm(X, scale=SCALE + 1j)

    def test_many_half_precision_examples(self):
        x = jnp.full((70_000, 1), 2.0, jnp.float16)  # their sum is beyond float16
        np.testing.assert_array_equal(normalization.batch_statistics(x), [[2.0], [0.0]])
        assert not np.any(normalization.layer_norm(x.T))


@EACH
def test_messages(norm, twin, axis):
    for options, error, message in (
        ({"eps": -1.0}, ValueError, r"eps must be >= 0; got -1\.0"),
        ({"eps": "a"}, TypeError, r"eps must be a number; got 'a'"),
        ({"eps": abs}, TypeError, r"eps must be a number, not a function; got <built-in"),
        ({"eps": np.ones(4)}, ValueError, r"eps must be a scalar; got shape \(4,\)"),
        ({"scale": 2.0}, ValueError, r"scale must have shape \(4,\), the features of x; got \(\)"),
        ({"offset": np.ones((1, 4))}, ValueError, r"offset must have shape \(4,\), the features of x; got \(1, 4\)"),
        ({"axis": 2}, ValueError, r"axis must be an axis of x, of shape \(7, 4\); got 2"),
        ({"axis": 0.5}, TypeError, r"axis must be a whole number; got 0\.5"),
    ):
        with pytest.raises(error, match=message):
            norm(X.astype(np.float32), **options)
