"""Penalties against NumPy: trees, masks, derivatives by parameters and strengths, types, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import penalties

PARAMS = {
    "dense": [{"kernel": np.float32([[1, -2, 0.5], [0, 3, -4]]), "bias": np.float32([0.25, -0.5, 6])}],
    "head": {"kernel": np.float32([-7.0, 0.125]), "scale": np.float32(-1.5)},
    "step": np.int32(11),
    "nothing": None,
}
KERNELS = np.concatenate([PARAMS["dense"][0]["kernel"].ravel(), PARAMS["head"]["kernel"]])
ALL = np.concatenate([KERNELS, PARAMS["dense"][0]["bias"], [-1.5]])
FORMULAS = {
    "l1": (penalties.l1, (0.3,), lambda t: 0.3 * np.abs(t).sum(), lambda t: 0.3 * np.sign(t)),
    "l2": (penalties.l2, (0.3,), lambda t: 0.3 * (t**2).sum(), lambda t: 0.6 * t),
    "elastic_net": (
        penalties.elastic_net, (0.3, 0.2),
        lambda t: 0.3 * (0.8 * (t**2).sum() + 0.2 * np.abs(t).sum()), lambda t: 0.3 * (1.6 * t + 0.2 * np.sign(t)),
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize(("function", "numbers", "value", "derivative"), FORMULAS.values(), ids=FORMULAS)


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@EACH
def test_value_and_derivative(function, numbers, value, derivative):
    got = function(PARAMS, *numbers)
    assert got.dtype == jnp.float32
    assert got.shape == ()
    np.testing.assert_allclose(got, value(ALL), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(function)(PARAMS, *numbers), value(ALL), rtol=1e-6)
    slopes = jax.jit(jax.grad(lambda flat: function({"flat": flat}, *numbers)))(ALL)
    np.testing.assert_allclose(slopes, derivative(ALL), rtol=1e-6)  # 0 at the 0 among them
    hessian = jax.jit(jax.hessian(lambda flat: function({"flat": flat}, *numbers)))(ALL)
    assert np.isfinite(hessian).all()
    assert jax.jit(function)({"step": 3}, *numbers) == 0  # no floating leaf
    assert functools.partial(function, strength=0.0)(PARAMS, **({"alpha": 0.5} if len(numbers) == 2 else {})) == 0


@pytest.mark.parametrize(("name", "position"), [("l1", 0), ("l2", 0), ("elastic_net", 0), ("elastic_net", 1)])
def test_derivatives_by_traced_strengths(name, position):
    function, numbers, *_ = FORMULAS[name]

    @jax.jit
    def at(x):
        return function(PARAMS, *numbers[:position], x, *numbers[position + 1 :])

    want = (at(numbers[position] + 0.1) - at(numbers[position] - 0.1)) / 0.2  # linear in both
    np.testing.assert_allclose(jax.jit(jax.grad(at))(numbers[position]), want, rtol=2e-5)
    lanes = jax.vmap(at)(jnp.array([0.1, 0.5]))
    np.testing.assert_allclose(lanes, [at(0.1), at(0.5)], rtol=1e-6)


def test_elastic_net_at_its_ends():
    np.testing.assert_allclose(penalties.elastic_net(PARAMS, 0.3, 0), penalties.l2(PARAMS, 0.3), rtol=1e-6)
    np.testing.assert_allclose(penalties.elastic_net(PARAMS, 0.3, 1), penalties.l1(PARAMS, 0.3), rtol=1e-6)


def has_two_axes(params):
    return jax.tree.map(lambda leaf: np.ndim(leaf) == 2, params)


@EACH
@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        ("*kernel", KERNELS),
        ("head/*", np.float32([-7, 0.125, -1.5])),
        ("dense/0/bias", np.float32([0.25, -0.5, 6])),
        ({"dense": False, "head": True, "step": True, "nothing": None}, np.float32([-7, 0.125, -1.5])),
        ({"dense": [{"kernel": np.True_, "bias": False}], "head": False, "step": True, "nothing": None}, KERNELS[:6]),
        (has_two_axes, KERNELS[:6]),
        (True, ALL),
        (False, np.zeros(0)),
    ],
    ids=["kernels", "head", "one", "prefix", "tree", "function", "true", "false"],
)
def test_masks(function, numbers, value, derivative, mask, kept):
    np.testing.assert_allclose(function(PARAMS, *numbers, mask=mask), value(kept), rtol=1e-6)


@EACH
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_types(function, numbers, value, derivative, dtype):
    with jax.enable_x64(dtype == "float64"), jax.numpy_dtype_promotion("standard"):
        many = jnp.full(3000, 0.5, dtype)  # sums in bfloat16 would stop at 256, squares in float16 overflow
        compiled = jax.jit(jax.value_and_grad(lambda t: function({"a": t, "b": jnp.float32(1.0)}, *numbers)))
        got, slopes = compiled(many)
        assert got.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
        flat = np.append(np.full(3000, 0.5), 1.0)
        np.testing.assert_allclose(got, value(flat), rtol=1e-12 if dtype == "float64" else 1e-5)
        assert slopes.dtype == many.dtype
        large = jax.jit(function)(jnp.full(2, 300.0, dtype), *numbers)
        np.testing.assert_allclose(large, value(np.full(2, 300.0)), rtol=1e-5)


@EACH
def test_errors(function, numbers, value, derivative):
    rest = numbers[1:]
    for bad, error, message in (
        (-0.1, ValueError, r"strength must be >= 0; got -0\.1"),
        (float("nan"), ValueError, "strength must be >= 0; got nan"),
        ("much", TypeError, "strength must be a number; got 'much'"),
        (None, TypeError, "strength must be a number; got None"),
        (np.ones(2), ValueError, r"strength must be a scalar; got shape \(2,\)"),
    ):
        with pytest.raises(error, match=message):
            function(PARAMS, bad, *rest)
    for mask, error, message in (
        ("*kernels", ValueError, r"mask '\*kernels' matches no leaf; .*'head/kernel'"),
        ({"dense": True}, ValueError, "mask must be a tree of bools that begins as params does"),
        (
            {"dense": 1, "head": True, "step": True, "nothing": None},
            TypeError,
            "or False; got 1 at 'dense/0/bias'",
        ),
        (lambda params: 0.5, TypeError, "mask must hold True or False; got 0.5"),
    ):
        with pytest.raises(error, match=message):
            function(PARAMS, *numbers, mask=mask)
    with pytest.raises(TypeError, match="params must be real; got complex64 at 'a/b'"):
        function({"a": {"b": jnp.ones(2, complex)}}, *numbers)


@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        (1.5, ValueError, r"alpha must be >= 0 and <= 1; got 1\.5"),
        (-0.5, ValueError, "alpha must be >= 0 and <= 1; got -0.5"),
        (np.ones(2), ValueError, r"alpha must be a scalar; got shape \(2,\)"),
        ("half", TypeError, "alpha must be a number; got 'half'"),
    ],
)
def test_errors_of_alpha(alpha, error, message):
    with pytest.raises(error, match=message):
        penalties.elastic_net(PARAMS, 0.1, alpha)


def test_the_gradient_of_l2_is_decoupled_decay_only_in_plain_gradient_descent():
    # S3 says so of both without a condition. One rate, one strength, five steps; w = 2·strength is the decay.
    rate, strength = 0.1, 0.2
    theta = jnp.float32([1.0, -2.0, 0.5])

    def after(optimizer, decay):
        params, state = theta, optimizer.init(theta)
        for _ in range(5):
            slopes = 3 * params + 1 + (0 if decay else jax.grad(penalties.l2)(params, strength))
            updates, state = optimizer.update(slopes, state, params)
            params = optax.apply_updates(params, jax.tree.map(lambda u, p: u - decay * rate * p, updates, params))
        return params

    with jax.numpy_dtype_promotion("standard"):  # optax needs it
        plain, momentum, adam = optax.sgd(rate), optax.sgd(rate, momentum=0.9), optax.adam(rate)
        np.testing.assert_allclose(after(plain, 0.0), after(plain, 2 * strength), rtol=1e-5)
        for optimizer in (momentum, adam):
            assert np.max(np.abs(after(optimizer, 0.0) - after(optimizer, 2 * strength))) > 0.02


@pytest.mark.parametrize("name", ["Ridge", "Lasso", "ElasticNet"])
def test_strengths_as_in_sklearn(name):
    """Where scikit-learn stops, mean squared error plus the penalty of the stated strength is stationary."""
    from sklearn import linear_model

    rng = np.random.default_rng(0)
    n, a, r = 40, 0.3, 0.25
    x = rng.normal(size=(n, 4))
    y = x @ [2.0, -1.0, 0.7, 3.0] + rng.normal(size=n)
    options = {"fit_intercept": False, "tol": 1e-10} | ({"l1_ratio": r} if name == "ElasticNet" else {})
    w = getattr(linear_model, name)(alpha=a, **options).fit(x, y).coef_
    share = 2 * a * r / (2 * a * r + a * (1 - r))
    penalty = {
        "Ridge": lambda w: penalties.l2(w, a / n),
        "Lasso": lambda w: penalties.l1(w, 2 * a),
        "ElasticNet": lambda w: penalties.elastic_net(w, 2 * a * r + a * (1 - r), share),
    }[name]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        slope = jax.grad(lambda w: jnp.mean((x @ w - y) ** 2) + penalty(w))(jnp.asarray(w))
    assert np.all(w != 0)
    np.testing.assert_allclose(slope, 0, atol=1e-7)
