"""Initializers: the protocol, constants, random draws, variance scaling and its families, against jax.nn and NumPy."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import _expression, _registry, distributions, initializers

JAX = jax.nn.initializers
DENSE, CONV = (300, 100), (3, 3, 24, 40)
N_IN = {DENSE: 300, CONV: 216}
N_OUT = {DENSE: 100, CONV: 360}
FAMILIES = ("lecun", "he", "xavier")
ENTRIES = list(_registry.iterate("initializer"))


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


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


class TestStatistics:
    @pytest.mark.parametrize("shape", [DENSE, CONV])
    @pytest.mark.parametrize(
        "name", [f + form for f in FAMILIES for form in ("", "_normal", "_uniform")] + ["fan_in_uniform",
                                                                                      "he_average_uniform"]
    )  # fmt: skip
    def test_variance_is_the_equations(self, name, shape):
        weights = getattr(initializers, name)()(4, shape, jnp.float32)
        std = expected_std(name, shape)
        assert_variance(weights, std**2)
        bound = np.sqrt(3) * std if name.endswith("_uniform") else 2 * std / distributions.TRUNCATED_STDDEV
        assert 0.99 * bound < jnp.abs(weights).max() <= bound * (1 + 1e-6)

    @pytest.mark.parametrize("mode", ["in", "out", "average"])
    @pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
    def test_variance_scaling(self, mode, distribution):
        weights = initializers.variance_scaling(1.7, mode=mode, distribution=distribution)(5, CONV, jnp.float32)
        assert_variance(weights, 1.7 / {"in": 216, "out": 360, "average": 288}[mode])
        reach = np.abs(weights).max() / np.std(weights)
        assert {"truncated_normal": 2.2 < reach < 2.3, "normal": reach > 3.3, "uniform": reach < 1.75}[distribution]

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
    def test_narrow_types(self, dtype):
        for make in (initializers.he_normal(), initializers.fan_in_uniform()):
            weights = make(6, DENSE, dtype)
            assert weights.dtype == dtype
            want = make(6, DENSE, jnp.float32).astype(dtype)
            np.testing.assert_array_equal(weights, jnp.minimum(want, weights.max()))  # the open end is not reached

    def test_float64(self):
        with jax.enable_x64(True):
            weights = np.asarray(initializers.he_uniform()(6, DENSE, jnp.float64))
        assert weights.dtype == np.float64
        assert_variance(weights, 2 / 300)

    def test_uncorrected_truncation_leaves_less_variance(self):
        """S0's form: 0.7737 of the variance it aims at."""
        assert_variance(initializers.he_normal(corrected=False)(6, DENSE, jnp.float32), 0.77374 * 2 / 300)
        uniform = initializers.he_uniform()(6, DENSE, jnp.float32)
        assert_variance(uniform, 2 / 300)  # so its two forms differ

    def test_s3s_normal_he_is_far_too_wide(self):
        """Under the variance 2/√n, as printed, the mean square grows by √n a layer; under 2/n it stays."""
        x = jax.random.normal(jax.random.key(0), (64, 100))
        for variance, growth in ((2 / np.sqrt(100), 10), (2 / 100, 1)):
            weights = initializers.random("normal", stddev=variance**0.5)(1, (100, 100), jnp.float32)
            ratio = jnp.mean(jax.nn.relu(x @ weights) ** 2)
            assert 0.8 * growth < ratio < 1.25 * growth

    def test_sixth_of_he(self):
        """The draws of PyTorch's default are He's uniform ones by √6, so relu signals shrink by 6 a layer."""
        np.testing.assert_allclose(
            initializers.he_uniform()(3, DENSE), np.sqrt(6) * initializers.fan_in_uniform()(3, DENSE), rtol=1e-6
        )
        for name in ("lecun", "he", "xavier", "fan_in_uniform", "he_average_uniform"):
            assert getattr(initializers, name)()(0, (0, 5)).shape == (0, 5)

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (initializers.he_normal, JAX.he_normal),
            (initializers.he_uniform, JAX.he_uniform),
            (initializers.lecun_normal, JAX.lecun_normal),
            (initializers.lecun_uniform, JAX.lecun_uniform),
            (initializers.xavier_normal, JAX.glorot_normal),
            (initializers.xavier_uniform, JAX.glorot_uniform),
            (
                initializers.he_average_uniform,
                lambda **axes: JAX.variance_scaling(2.0, "fan_avg", "uniform", **axes),
            ),
            (
                initializers.fan_in_uniform,
                lambda **axes: JAX.variance_scaling(1 / 3, "fan_in", "uniform", **axes),
            ),
        ],
    )
    @pytest.mark.slow
    def test_same_draws_as_jax(self, ours, theirs):
        key = jax.random.key(3)
        axes = {"in_axis": -1, "out_axis": (0, 2), "batch_axis": 1}
        for options, shape in (({}, DENSE), ({}, CONV), (axes, (4, 5, 6, 7))):
            np.testing.assert_allclose(
                ours(**options)(key, shape, jnp.float32), theirs(**options)(key, shape, jnp.float32), rtol=1e-6
            )


class TestConstants:
    def test_values(self):
        np.testing.assert_array_equal(initializers.constant(0.1)(0, (2, 3)), np.full((2, 3), 0.1, np.float32))
        np.testing.assert_array_equal(initializers.zeros()(None, (2,)), np.zeros(2))
        np.testing.assert_array_equal(initializers.ones()(None, (2,), jnp.int32), np.ones(2, np.int32))

    def test_the_small_positive_bias_makes_relu_units_active(self):
        """S3's 0.1; where the inputs are small, all units start active."""
        assert _registry.find("small positive bias").function is initializers.constant
        x = 0.03 * jax.random.normal(jax.random.key(1), (50, 20))
        z = x @ initializers.he()(0, (20, 40))
        shares = [
            float(jnp.mean(z + b(0, ())[None, None] > 0)) for b in (initializers.zeros(), initializers.constant(0.1))
        ]
        assert 0.4 < shares[0] < 0.6
        assert shares[1] > 0.95

    def test_equal_weights_stay_equal(self):
        """Why weights are random: equal units have equal gradients."""
        x = jax.random.normal(jax.random.key(2), (9, 4))
        for start, different in ((initializers.constant(0.3), False), (initializers.he(), True)):
            w, v = start(0, (4, 5)), start(1, (5, 1))
            slopes = np.asarray(jax.grad(lambda w, v=v: jnp.mean((jnp.tanh(x @ w) @ v) ** 2))(w))
            assert np.any(np.abs(slopes - slopes[:, :1]) > 1e-6) == different


class TestRandom:
    @pytest.mark.parametrize(
        ("name", "options"),
        [("normal", {"stddev": 0.02}), ("Gaussian", {"mean": 2.0}), ("uniform", {"scale": 0.05}),
         ("truncated normal", {"stddev": 0.02, "corrected": True}), ("G_t", {})],
    )  # fmt: skip
    def test_draws_are_the_distributions(self, name, options):
        function = _registry.find(name, "distribution").function
        for given in (name, function):
            np.testing.assert_array_equal(
                initializers.random(given, **options)(5, (3, 4), jnp.float16),
                function(5, (3, 4), jnp.float16, **options),
            )

    def test_any_function(self):
        cauchy = initializers.random(jax.random.cauchy)
        np.testing.assert_array_equal(cauchy(jax.random.key(0), (5,)), jax.random.cauchy(jax.random.key(0), (5,)))
        flat = initializers.random(jax.random.uniform, minval=1.0, maxval=3.0)(jax.random.key(0), (500,), jnp.float32)
        assert 1 <= flat.min() < 1.1
        assert 2.9 < flat.max() < 3

    def test_options_are_data(self):
        draw = jax.jit(lambda s: initializers.random("normal", stddev=s)(1, (50,)))
        np.testing.assert_allclose(draw(0.5), initializers.random("normal", stddev=0.5)(1, (50,)), rtol=1e-6)
        assert initializers.random("normal", stddev=0.5) is initializers.random("normal", stddev=0.5)


class TestProtocol:
    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
    def test_type_and_default(self, dtype):
        for make in (initializers.he, initializers.xavier_uniform, initializers.zeros):
            assert make()(0, (4, 5), dtype).dtype == dtype
            assert make()(0, (4, 5)).dtype == jnp.float32

    @pytest.mark.slow
    def test_every_entry_under_jit_and_vmap(self):
        """One program of all, over two keys, in float64: what each gives alone."""
        required = {"value": 0.3, "scale": 1.7, "distribution": "normal", "branches": 9}

        def all_of_them(key):
            given = {}
            for entry in ENTRIES:
                parameters = inspect.signature(entry.function).parameters.values()
                options = {p.name: required[p.name] for p in parameters if p.default is p.empty and p.name in required}
                given[entry.name] = entry.function(**options)(key, (6, 8), jnp.float64)
            return given

        with jax.enable_x64(True):
            lanes = jax.jit(jax.vmap(all_of_them))(jax.random.split(jax.random.key(0), 2))
            alone = all_of_them(jax.random.split(jax.random.key(0), 2)[1])
        for name, weights in lanes.items():
            assert weights.dtype == alone[name].dtype == np.float64
            np.testing.assert_allclose(weights[1], alone[name], rtol=1e-14, atol=1e-14, err_msg=name)

    def test_flax_takes_them(self):
        nn = pytest.importorskip("flax.linen")
        params = nn.Dense(7, kernel_init=initializers.he_normal(), bias_init=initializers.constant(0.1)).init(
            jax.random.key(0), jnp.ones((2, 5))
        )["params"]
        assert params["kernel"].shape == (5, 7)
        np.testing.assert_array_equal(params["bias"], np.full(7, 0.1, np.float32))

    @pytest.mark.slow
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
        slope = jax.jacfwd(lambda s: initializers.variance_scaling(s)(0, (3, 3)))(jnp.float32(4.0))
        np.testing.assert_allclose(slope, initializers.variance_scaling(4.0)(0, (3, 3)) / 8, rtol=1e-5)  # of √s

    def test_equal_arguments_give_the_same_object(self):
        for name in ("zeros", "ones", *FAMILIES, "he_normal", "he_uniform", "orthogonal", "sparse", "identity"):
            assert getattr(initializers, name)() is getattr(initializers, name)()
        assert initializers.constant(0.1) is not initializers.constant(0.2)
        assert initializers.variance_scaling(2.0, in_axis=[0, 1]) is initializers.variance_scaling(2.0, in_axis=(0, 1))

    def test_families_and_their_other_names(self):
        for alias, name in (("Kaiming", "he"), ("glorot", "xavier"), ("LeCun", "lecun")):
            entry = _registry.find(alias)
            assert (entry.kind, entry.name) == ("initializer", name)
            assert entry.function is getattr(initializers, name)
            assert {f"{name}_normal", f"{name}_uniform"} <= set(entry.see_also)
        names = {"Kaiming normal": "he_normal", "glorot-uniform": "xavier_uniform", "he average": "he_average_uniform"}
        for alias, name in names.items():
            assert _registry.find(alias).name == name
        np.testing.assert_array_equal(
            initializers.he(distribution="uniform")(0, (4, 5)), initializers.he_uniform()(0, (4, 5))
        )

    @pytest.mark.parametrize("entry", ENTRIES, ids=[e.name for e in ENTRIES])
    def test_help_names_every_argument(self, entry):
        said = inspect.getdoc(entry.function)
        for name, parameter in inspect.signature(entry.function).parameters.items():
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
            assert f"\n  {stars}{name}: " in said
        assert said.index("Returns:\n") < said.index("Raises:\n")
        assert len(said.splitlines()) <= 25


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.constant("a"), TypeError, r"value must be a number; got 'a'"),
        (lambda: initializers.constant([1.0, 2.0]), ValueError, r"value must be a scalar; got shape \(2,\)"),
        (lambda: initializers.zeros()(0, 3), TypeError, r"shape must be a sequence of whole numbers; got 3"),
        (lambda: initializers.variance_scaling(abs), TypeError, r"scale must be a number, not a function; got"),
        (lambda: initializers.variance_scaling(-1.0), ValueError, r"scale must be >= 0; got -1\.0"),
        (lambda: initializers.variance_scaling(1.0, mode="fan_in"), ValueError, r"mode must be one of .*'fan_in'"),
        (lambda: initializers.variance_scaling(1.0, groups=0), ValueError, r"groups must be >= 1; got 0"),
        (lambda: initializers.he(distribution="norml"), ValueError, r"distribution must be .* did you mean 'normal'"),
        (lambda: initializers.he(corrected="x"), ValueError, r"corrected must be one of True, False; got 'x'"),
        (lambda: initializers.he()(0, (3,)), ValueError, r"kernel of shape \(3,\) has no axis -2; name its axes"),
        (lambda: initializers.he(in_axis=-1)(0, (3, 4)), ValueError, r"in_axis -1, out_axis -1 .* name an axis twice"),
        (lambda: initializers.he(in_axis=0.5)(0, (3, 4)), TypeError, r"axis must be a whole number; got 0\.5"),
        (lambda: initializers.he(in_axis=(0.5,))(0, (3, 4)), TypeError, r"axis must be a whole number; got 0\.5"),
        (lambda: initializers.he()("k", (3, 4)), TypeError, r"key must be a PRNG key"),
        (lambda: initializers.he()(0, (3, 4), jnp.int32), TypeError, r"dtype must be real floating; got int32"),
        (lambda: initializers.xavier(groups=3)(0, (3, 4)), ValueError, r"groups must divide .* outputs, 4; got 3"),
        (lambda: initializers.random("norml"), KeyError, r"no distribution is called 'norml'; did you mean 'normal'"),
        (lambda: initializers.random(3), TypeError, r"distribution must be a name or a function .*; got 3"),
        (lambda: initializers.random("normal", std=1.0), TypeError, r"normal has no option 'std'; did you .*'stddev'"),
        (lambda: initializers.random("normal", stddev=-1.0), ValueError, r"stddev must be >= 0; got -1\.0"),
        (lambda: initializers.random(lambda k, s, d: 0, a=1), TypeError, r"<lambda> has no option 'a'; it takes none"),
        (lambda: initializers.fixup(0), ValueError, r"branches must be >= 1; got 0"),
        (lambda: initializers.fixup(2.5), TypeError, r"branches must be a whole number; got 2\.5"),
        (lambda: initializers.fixup(9, layers=3, layer=4), ValueError, r"layer must be 1 to 3, the layers .*; got 4"),
        (lambda: initializers.fixup(9, layers=0), ValueError, r"layers must be >= 1; got 0"),
        (lambda: initializers.fixup(9, mode="fan_in"), ValueError, r"mode must be one of"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
