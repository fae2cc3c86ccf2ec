"""Initializers and the distributions they draw from: statistics, densities, fans, against SciPy and jax.nn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxdict import _expression, _registry, distributions, initializers

JAX = jax.nn.initializers
DENSE, CONV = (300, 100), (3, 3, 24, 40)
N_IN = {DENSE: 300, CONV: 216}
N_OUT = {DENSE: 100, CONV: 360}
FAMILIES = ("lecun", "he", "xavier")


def expected_std(name, shape):
    """Of an entry by its equation."""
    scope = {"n_in": N_IN[shape], "n_out": N_OUT[shape]}
    ((symbol, value),) = _expression.evaluate(_registry.find(name, "initializer").expression, scope).items()
    return float({"std": value, "r": value / np.sqrt(3)}[symbol])


def assert_variance(weights, variance):
    """Mean 0 and the variance, within four standard errors."""
    weights = np.asarray(weights, np.float64).ravel()
    squares = weights**2
    assert abs(weights.mean()) < 4 * weights.std() / np.sqrt(weights.size)
    assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(weights.size)


class TestDistributions:
    CASES = {  # noqa: RUF012  (not changed)
        "uniform": ({"scale": 0.7}, lambda: scipy.stats.uniform(-0.7, 1.4)),
        "normal": ({"mean": 1.5, "stddev": 0.4}, lambda: scipy.stats.norm(1.5, 0.4)),
        "truncated_normal": ({"mean": 1.5, "stddev": 0.4}, lambda: scipy.stats.truncnorm(-2, 2, 1.5, 0.4)),
    }

    @pytest.mark.parametrize("name", CASES)
    def test_the_equation_is_the_density(self, name):
        options, oracle = self.CASES[name]
        entry = _registry.find(name, "distribution")
        x = np.array([-3.0, -0.7, -0.3, 0.0, 0.69, 0.71, 1.5, 2.2, 2.31, 9.0])
        scope = {entry.symbols[k]: v for k, v in options.items()} | {"x": x}
        np.testing.assert_allclose(_expression.evaluate(entry.expression, scope), oracle().pdf(x), rtol=1e-12)

    @pytest.mark.parametrize("name", CASES)
    def test_draws_follow_the_density(self, name):
        options, oracle = self.CASES[name]
        draws = getattr(distributions, name)(7, (200, 100), **options)
        assert draws.shape == (200, 100)
        assert draws.dtype == jnp.float32
        assert scipy.stats.kstest(np.asarray(draws, np.float64).ravel(), oracle().cdf).pvalue > 1e-3

    def test_truncation_and_its_correction(self):
        plain = distributions.truncated_normal(3, (50_000,), mean=1.0, stddev=0.5)
        assert jnp.abs(plain - 1).max() <= 1.0
        assert jnp.abs(plain - 1).max() > 0.99
        assert_variance(plain - 1, 0.7737 * 0.25)
        corrected = distributions.truncated_normal(3, (50_000,), mean=1.0, stddev=0.5, corrected=True)
        assert_variance(corrected - 1, 0.25)
        assert jnp.abs(corrected - 1).max() <= 2.2738 * 0.5

    def test_the_uniform_support_is_half_open(self):
        for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
            draws = distributions.uniform(0, (100_000,), dtype, scale=3.0)
            assert draws.dtype == dtype
            assert draws.min() >= -3
            assert draws.max() < 3
        np.testing.assert_array_equal(distributions.uniform(0, (4,), jnp.bfloat16, scale=0.0), np.zeros(4))

    @pytest.mark.parametrize("name", CASES)
    def test_narrow_draws_are_wide_ones_rounded(self, name):
        draw = getattr(distributions, name)
        np.testing.assert_array_equal(draw(1, (500,), jnp.bfloat16), draw(1, (500,)).astype(jnp.bfloat16))

    @pytest.mark.parametrize("name", CASES)
    def test_float64(self, name):
        with jax.enable_x64(True):
            draws = getattr(distributions, name)(1, (500,), jnp.float64)
            assert draws.dtype == jnp.float64
            assert jnp.any(draws != draws.astype(jnp.float32).astype(jnp.float64))

    @pytest.mark.parametrize("name", CASES)
    def test_parameters_are_data(self, name):
        draw = getattr(distributions, name)
        option = "scale" if name == "uniform" else "stddev"
        lanes = jax.jit(jax.vmap(lambda s: draw(5, (20,), **{option: s})))(jnp.array([0.5, 2.0]))
        np.testing.assert_allclose(lanes[1], draw(5, (20,), **{option: 2.0}), rtol=1e-6)
        np.testing.assert_allclose(4 * lanes[0], lanes[1], rtol=1e-6)

    def test_keys(self):
        same = [distributions.normal(k, (3,)) for k in (9, jax.random.key(9), jax.random.PRNGKey(9), np.int32(9))]
        for draws in same:
            np.testing.assert_array_equal(draws, same[0])

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: distributions.uniform("a", (3,)), TypeError, r"key must be a PRNG key .* or an int seed; got 'a'"),
            (lambda: distributions.uniform(0, (3,), int), TypeError, r"dtype must be real floating; got int32"),
            (lambda: distributions.normal(0, (3,), jnp.complex64), TypeError, r"dtype must be real floating; got comp"),
            (lambda: distributions.uniform(0, (3,), scale=-1), ValueError, r"scale must be >= 0; got -1"),
            (lambda: distributions.normal(0, (3,), stddev=-1), ValueError, r"stddev must be >= 0; got -1"),
            (lambda: distributions.normal(0, (2,), mean=jnp.ones(2)), ValueError, r"mean must be a scalar; got shape"),
            (lambda: distributions.normal(0, (2,), mean=abs), TypeError, r"mean must be a number; got <built-in"),
            (lambda: distributions.truncated_normal(0, (2,), stddev="x"), TypeError, r"stddev must be a number"),
            (
                lambda: distributions.truncated_normal(0, (2,), corrected=2),
                ValueError,
                r"corrected must be one of True",
            ),
        ],
    )
    def test_messages(self, make, error, message):
        with pytest.raises(error, match=message):
            make()


class TestStatistics:
    @pytest.mark.parametrize("shape", [DENSE, CONV])
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("form", ["", "_normal", "_uniform"])
    def test_variance_is_the_equations(self, family, form, shape):
        weights = getattr(initializers, family + form)()(4, shape, jnp.float32)
        std = expected_std(family + form, shape)
        assert_variance(weights, std**2)
        bound = np.sqrt(3) * std if form == "_uniform" else 2 * std / distributions.TRUNCATED_STDDEV
        assert 0.99 * bound < jnp.abs(weights).max() <= bound * (1 + 1e-6)

    @pytest.mark.parametrize("mode", ["in", "out", "average"])
    @pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
    def test_variance_scaling(self, mode, distribution):
        weights = initializers.variance_scaling(1.7, mode=mode, distribution=distribution)(5, CONV, jnp.float32)
        assert_variance(weights, 1.7 / {"in": 216, "out": 360, "average": 288}[mode])

    def test_its_equation(self):
        expression = _registry.find("variance_scaling").expression
        weights = initializers.variance_scaling(1.7)(5, DENSE, jnp.float32)
        assert_variance(weights, _expression.evaluate(expression, {"f": 1.7, "n_in": 300})["std"] ** 2)

    def test_uncorrected_truncation_leaves_less_variance(self):
        # S0's form: 0.7737 of the variance it aims at, 0.077 after ten layers.
        weights = initializers.he_normal(corrected=False)(6, DENSE, jnp.float32)
        assert_variance(weights, 0.7737 * 2 / 300)
        std = distributions.TRUNCATED_STDDEV
        np.testing.assert_allclose([std**2, std**20], [0.7737, 0.077], rtol=1e-2)
        np.testing.assert_allclose(std, scipy.stats.truncnorm(-2, 2).std(), rtol=1e-14)

    def test_he_keeps_the_variance_through_relu(self):
        x = jax.random.normal(jax.random.key(0), (64, 200))
        for layer in range(8):
            x = jax.nn.relu(x @ initializers.he()(layer, (200, 200), jnp.float32))
        assert 0.3 < float(jnp.mean(x**2)) < 3

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (initializers.he_normal, JAX.he_normal),
            (initializers.he_uniform, JAX.he_uniform),
            (initializers.lecun_normal, JAX.lecun_normal),
            (initializers.lecun_uniform, JAX.lecun_uniform),
            (initializers.xavier_normal, JAX.glorot_normal),
            (initializers.xavier_uniform, JAX.glorot_uniform),
        ],
    )
    def test_same_draws_as_jax(self, ours, theirs):
        key = jax.random.key(3)
        axes = {"in_axis": -1, "out_axis": (0, 2), "batch_axis": 1}
        for options, shape in (({}, DENSE), ({}, CONV), (axes, (4, 5, 6, 7))):
            np.testing.assert_allclose(
                ours(**options)(key, shape, jnp.float32), theirs(**options)(key, shape, jnp.float32), rtol=1e-6
            )


class TestProtocol:
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
    def test_type_and_default(self, dtype):
        for make in (initializers.he, initializers.xavier_uniform, initializers.zeros):
            assert make()(0, (4, 5), dtype).dtype == dtype
            assert make()(0, (4, 5)).dtype == jnp.float32

    def test_constants(self):
        np.testing.assert_array_equal(initializers.constant(0.1)(0, (2, 3)), np.full((2, 3), 0.1, np.float32))
        np.testing.assert_array_equal(initializers.zeros()(None, (2,)), np.zeros(2))
        np.testing.assert_array_equal(initializers.ones()(None, (2,), jnp.int32), np.ones(2, np.int32))

    def test_flax_takes_them(self):
        nn = pytest.importorskip("flax.linen")
        params = nn.Dense(7, kernel_init=initializers.he_normal(), bias_init=initializers.constant(0.1)).init(
            jax.random.key(0), jnp.ones((2, 5))
        )["params"]
        assert params["kernel"].shape == (5, 7)
        np.testing.assert_array_equal(params["bias"], np.full(7, 0.1, np.float32))

    def test_the_scale_is_data(self):
        traces = []

        @jax.jit
        def draw(scale):
            traces.append(1)
            return initializers.variance_scaling(scale)(0, (20, 30)), initializers.constant(scale)(0, (2,))

        for scale in (1.0, 4.0):
            weights, filled = draw(scale)
            np.testing.assert_allclose(weights, initializers.variance_scaling(scale)(0, (20, 30)), rtol=1e-6)
            np.testing.assert_array_equal(filled, [scale, scale])
        assert len(traces) == 1
        lanes = jax.vmap(lambda s: initializers.variance_scaling(s)(0, (20, 30)))(jnp.array([1.0, 4.0]))
        np.testing.assert_allclose(2 * lanes[0], lanes[1], rtol=1e-6)

    def test_empty_kernels(self):
        assert initializers.he()(0, (0, 5)).shape == (0, 5)

    def test_equal_arguments_give_the_same_object(self):
        for name in ("zeros", "ones", *FAMILIES, "he_normal", "he_uniform"):
            assert getattr(initializers, name)() is getattr(initializers, name)()
        assert initializers.constant(0.1) is not initializers.constant(0.2)
        assert initializers.variance_scaling(2.0, in_axis=[0, 1]) is initializers.variance_scaling(2.0, in_axis=(0, 1))

    def test_families_and_their_other_names(self):
        for alias, name in (("Kaiming", "he"), ("glorot", "xavier"), ("LeCun", "lecun")):
            entry = _registry.find(alias)
            assert (entry.kind, entry.name) == ("initializer", name)
            assert entry.function is getattr(initializers, name)
            assert {f"{name}_normal", f"{name}_uniform"} <= set(entry.see_also)
        assert _registry.find("Kaiming normal").name == "he_normal"
        assert _registry.find("glorot-uniform").name == "xavier_uniform"
        np.testing.assert_array_equal(
            initializers.he(distribution="uniform")(0, (4, 5)), initializers.he_uniform()(0, (4, 5))
        )


class TestFans:
    @pytest.mark.parametrize(
        ("shape", "axes", "expected"),
        [
            ((5, 7), {}, (5, 7)),
            ((3, 3, 8, 16), {}, (72, 144)),
            ((16, 8, 3, 3), {"in_axis": 1, "out_axis": 0}, (72, 144)),  # torch's layout
            ((3, 3, 2, 16), {}, (18, 144)),  # 4 groups, 8 -> 16
            ((4, 6, 8, 10), {"in_axis": (0, 1), "out_axis": (2, 3)}, (24, 80)),
            ((9, 5, 7), {"batch_axis": 0}, (5, 7)),
            ((7,), {"in_axis": (), "out_axis": 0}, (1, 7)),
        ],
    )
    def test_fans(self, shape, axes, expected):
        assert initializers.fans(shape, **axes) == expected


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.constant("a"), TypeError, r"value must be a number; got 'a'"),
        (lambda: initializers.constant([1.0, 2.0]), ValueError, r"value must be a scalar; got shape \(2,\)"),
        (lambda: initializers.variance_scaling(abs), TypeError, r"scale must be a number; got <built-in"),
        (lambda: initializers.variance_scaling(-1.0), ValueError, r"scale must be >= 0; got -1\.0"),
        (lambda: initializers.variance_scaling(1.0, mode="fan_in"), ValueError, r"mode must be one of .*'fan_in'"),
        (lambda: initializers.he(distribution="norml"), ValueError, r"distribution must be .* did you mean 'normal'"),
        (lambda: initializers.he(corrected="x"), ValueError, r"corrected must be one of True, False; got 'x'"),
        (lambda: initializers.he()(0, (3,)), ValueError, r"kernel of shape \(3,\) has no axis -2; name its axes"),
        (lambda: initializers.he(in_axis=-1)(0, (3, 4)), ValueError, r"in_axis -1, out_axis -1 .* name an axis twice"),
        (lambda: initializers.he(in_axis=0.5)(0, (3, 4)), TypeError, r"axis must be a whole number; got 0\.5"),
        (lambda: initializers.he()("k", (3, 4)), TypeError, r"key must be a PRNG key"),
        (lambda: initializers.he()(0, (3, 4), jnp.int32), TypeError, r"dtype must be real floating; got int32"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
