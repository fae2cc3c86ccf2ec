"""Activations: values, derivatives, limits, types, against mpmath, NumPy and SciPy."""

import functools
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import special

from jaxdict import _registry, activations

INF, NAN = np.inf, np.nan
NAMES = ["linear", "relu", "leaky_relu", "elu", "selu", "softplus", "sigmoid", "tanh", "swish", "gelu", "gelu_tanh"]
FUNCTIONS = {n: getattr(activations, n) for n in NAMES[:-1]}
FUNCTIONS["gelu_tanh"] = functools.partial(activations.gelu, approximate=True)


@functools.cache
def compiled(name):
    return jax.jit(FUNCTIONS[name])


@functools.cache
def with_slope(name):
    """x -> (value, slope, value inside reverse mode)."""

    def run(x):
        value, pull = jax.vjp(FUNCTIONS[name], x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(run)


# -------------------------------------------------------------------------------------------------- the oracles

SLOPE = mp.mpf(float(np.float32(0.01)))
LAMBDA, ALPHA = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")


def sigma(x):
    return 1 / (1 + mp.exp(-x)) if x >= 0 else mp.exp(x) / (1 + mp.exp(x))


def sigma_slope(x):
    return mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2


def normal_cdf(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 60 else mp.mpf(x > 0)


def normal_pdf(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) if abs(x) < 60 else mp.mpf(0)


def cubic(x):
    return mp.sqrt(8 / mp.pi) * x * (1 + mp.mpf("0.044715") * x * x)


def cubic_slope(x):
    return mp.sqrt(8 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x * x)


EXACT = {  # value, derivative
    "linear": (lambda x: x, lambda x: mp.mpf(1)),
    "relu": (lambda x: max(x, mp.mpf(0)), lambda x: mp.mpf(x > 0)),
    "leaky_relu": (lambda x: x if x > 0 else SLOPE * x, lambda x: mp.mpf(1) if x > 0 else SLOPE),
    "elu": (lambda x: x if x > 0 else mp.expm1(x), lambda x: mp.mpf(1) if x > 0 else mp.exp(x)),
    "selu": (
        lambda x: LAMBDA * (x if x > 0 else ALPHA * mp.expm1(x)),
        lambda x: LAMBDA * (1 if x > 0 else ALPHA * mp.exp(x)),
    ),
    "softplus": (lambda x: max(x, mp.mpf(0)) + mp.log1p(mp.exp(-abs(x))), sigma),
    "sigmoid": (sigma, sigma_slope),
    "tanh": (mp.tanh, lambda x: 4 * sigma_slope(2 * x)),
    "swish": (lambda x: x * sigma(x), lambda x: sigma(x) + x * sigma_slope(x)),
    "gelu": (lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_pdf(x)),
    "gelu_tanh": (
        lambda x: x * sigma(cubic(x)),
        lambda x: sigma(cubic(x)) + x * cubic_slope(x) * sigma_slope(cubic(x)),
    ),
}

# Units in the last place of float32: value, derivative.
BOUNDS = {
    "linear": (0, 0), "relu": (0, 0), "leaky_relu": (0.5, 0.0), "elu": (0.94, 1.0), "selu": (2.0, 1.8),
    "softplus": (2.0, 2.3), "sigmoid": (2.5, 2.8), "tanh": (2.5, 2.7), "swish": (2.8, 4.2), "gelu": (4.9, 4.4),
    "gelu_tanh": (5.0, 6.4),
}  # fmt: skip
PLACES = (-1.2784645, -0.7517915, -0.75246143, -0.7, -1.0, 1.0, -1.6, 1.6, -0.55, 0.55, -12.0, -14.5, -16.65, 5.13)


@functools.cache
def points():
    """float32 of both signs: log-spaced, uniform, and the neighbours of roots and of places where the formula changes."""
    rng = np.random.default_rng(1)
    size = np.logspace(-30, 38.4, 350)
    near = [np.float32(c) + np.arange(-12, 13) * np.spacing(np.float32(c)) for c in PLACES]
    parts = [size, -size, rng.uniform(-20, 20, 500), rng.uniform(-3, 3, 900), rng.uniform(-110, 110, 300), *near]
    return np.unique(np.concatenate(parts).astype(np.float32))


def units(got, exact):
    """Error in units of the last place; 0 where the exact result is next to the smallest numbers, which are flushed."""
    rounded = np.array([float(v) for v in exact])
    place = np.spacing(np.abs(rounded).astype(np.float32)).astype(float)
    error = np.array([float(abs(mp.mpf(float(g)) - v)) for g, v in zip(got, exact, strict=True)])
    return np.where(np.abs(rounded) < 2.0**-119, 0.0, error / place)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    x = points()
    if name == "gelu_tanh":
        x = x[x > -1.5]
    with mp.workdps(30):
        value, slope = ([f(mp.mpf(float(v))) for v in x] for f in EXACT[name])
        again, slope_got = with_slope(name)(x)
        for got, exact, bound in ((compiled(name)(x), value, 0), (again, value, 0), (slope_got, slope, 1)):
            error = units(np.asarray(got), exact)
            worst = int(np.argmax(error))
            assert error[worst] <= BOUNDS[name][bound], (bound, x[worst], error[worst])


def test_gelu_tanh_tail_is_close_and_finite():
    x = np.concatenate([np.linspace(-9.9, -1.5, 500), -np.logspace(1, 38, 60)]).astype(np.float32)
    exact = np.array([[float(f(mp.mpf(float(v)))) for f in EXACT["gelu_tanh"]] for v in x]).T
    got = np.array(with_slope("gelu_tanh")(x))
    np.testing.assert_allclose(got[:, :500], exact[:, :500], rtol=2e-5)
    np.testing.assert_allclose(got[:, 500:], exact[:, 500:], rtol=0, atol=1e-20)


@pytest.mark.parametrize("name", NAMES)
def test_float64(name):
    x = np.concatenate([points()[::17].astype(float), [-1.27846454, -0.7517915, 1e-200, -1e-200, 700.0, -650.0]])
    x = x[np.abs(x) < 30] if name.startswith("gelu") else x
    slope32 = {"leaky_relu": mp.mpf(0.01)}
    with jax.enable_x64(True), mp.workdps(30):
        got = [np.asarray(a) for a in with_slope.__wrapped__(name)(jnp.asarray(x))]
        assert got[0].dtype == np.float64
        for a, f in zip(got, EXACT[name], strict=True):
            exact = np.array([float(f(mp.mpf(float(v)))) for v in x])
            if name in slope32:
                exact = np.where(x > 0, exact, exact / float(SLOPE) * 0.01)
            np.testing.assert_allclose(a, exact, rtol=2e-13, atol=1e-16)


NUMPY = {  # float64, vectorized
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, float(SLOPE) * x), lambda x: np.where(x > 0, 1, float(SLOPE))),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0))),
    "selu": (
        lambda x: float(LAMBDA) * np.where(x > 0, x, float(ALPHA) * np.expm1(np.minimum(x, 0))),
        lambda x: float(LAMBDA) * np.where(x > 0, 1, float(ALPHA) * np.exp(np.minimum(x, 0))),
    ),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), special.expit),
    "sigmoid": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "tanh": (np.tanh, lambda x: 4 * special.expit(2 * x) * special.expit(-2 * x)),
    "swish": (
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1 + np.clip(x, -800, 800) * special.expit(-x)),
    ),
    "gelu": (
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + np.clip(x, -60, 60) * np.exp(-(np.clip(x, -60, 60) ** 2) / 2) / np.sqrt(2 * np.pi),
    ),
}


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("name", NUMPY)
def test_every_16_bit_number_is_rounded_correctly(name, dtype):
    x = np.arange(65536, dtype=np.uint16).view(dtype)
    x = x[np.isfinite(x)]
    if dtype is ml_dtypes.bfloat16:
        x = x[np.abs(x.astype(float)) >= float(ml_dtypes.finfo(dtype).smallest_normal)]  # XLA counts less as 0
    for got, f in zip(with_slope(name)(x), NUMPY[name], strict=True):
        assert got.dtype == dtype
        with np.errstate(over="ignore", under="ignore"):
            exact = f(x.astype(float))
            wanted = exact.astype(dtype)
        normal = np.abs(exact) >= float(ml_dtypes.finfo(dtype).smallest_normal)
        right = np.asarray(got)[normal] == wanted[normal]
        assert right.mean() >= 0.995, (name, x[normal][~right])
        np.testing.assert_allclose(np.asarray(got, float), wanted.astype(float), rtol=0.01, atol=1e-6)


# ------------------------------------------------------------------------------------------- limits, kinks, NaN

LIMITS = {  # at -inf and inf: value, derivative
    "linear": (-INF, 1, INF, 1), "relu": (0, 0, INF, 1), "leaky_relu": (-INF, 0.01, INF, 1), "elu": (-1, 0, INF, 1),
    "selu": (-1.7580993408473766, 0, INF, 1.0507009873554805), "softplus": (0, 0, INF, 1), "sigmoid": (0, 0, 1, 0),
    "tanh": (-1, 0, 1, 0), "swish": (0, 0, INF, 1), "gelu": (0, 0, INF, 1), "gelu_tanh": (0, 0, INF, 1),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_limits_and_nan(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray([-INF, INF, NAN], dtype)
        value, slope = (np.asarray(a, float) for a in with_slope.__wrapped__(name)(x))
        below, slope_below, above, slope_above = (float(jnp.asarray(v, dtype)) for v in LIMITS[name])
        np.testing.assert_allclose(value, [below, above, NAN], rtol=1e-7)
        np.testing.assert_allclose(slope, [slope_below, slope_above, 1 if name == "linear" else NAN], rtol=1e-7)
        second = jax.vmap(jax.hessian(FUNCTIONS[name]))(x)
        np.testing.assert_array_equal(np.asarray(second[:2], float), 0)


@pytest.mark.parametrize("name", NAMES)
def test_extremes_are_finite_to_second_order(name):
    largest = np.finfo(np.float32).max
    x = np.float32([-largest, -1e20, -1e10, -200, -90, -1e-30, -0.0, 0.0, 1e-30, 90, 200, 1e10, 1e20, largest])
    f = FUNCTIONS[name]
    value, slope = with_slope(name)(x)
    second = jax.vmap(jax.hessian(f))(x)
    third = jax.vmap(jax.grad(jax.grad(jax.grad(f))))(x)
    limit = {"selu": 1.0507009873554805}.get(name, 1.0)
    bounded = name in ("sigmoid", "tanh")
    np.testing.assert_allclose(value[-4:], np.ones(4) if bounded else limit * x[-4:], rtol=1e-6)
    np.testing.assert_allclose(slope[-4:], 0 if bounded else limit, rtol=1e-6)
    assert np.isfinite(second).all()
    assert np.isfinite(third).all()


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_kinks_are_of_the_left_branch(zero):
    for entry in _registry.iterate("activation"):
        for at, (value, slope) in entry.kinks.items():
            x = jnp.float32(at if at else zero)
            assert float(entry.function(x)) == value
            np.testing.assert_allclose(entry.derivative(x), slope, rtol=1e-7)
            np.testing.assert_allclose(jax.grad(entry.function)(x), slope, rtol=1e-7)
            np.testing.assert_allclose(jax.jacfwd(entry.function)(x), slope, rtol=1e-7)
    assert float(jax.grad(activations.elu)(zero, 0.3)) == np.float32(0.3)
    assert float(jax.grad(activations.leaky_relu)(zero, -0.2)) == np.float32(-0.2)


def test_second_derivative_at_a_kink_is_of_the_left_branch():
    second = {n: float(jax.hessian(f)(0.0)) for n, f in FUNCTIONS.items()}
    assert second["relu"] == second["leaky_relu"] == 0
    assert second["elu"] == 1
    np.testing.assert_allclose(second["selu"], 1.7580993408473766, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative(name):
    x = np.float32([-30, -6, -2.5, -1.3, -0.752, -0.4, -0.01, 0.01, 0.3, 0.77, 1.25, 3, 9])
    with mp.workdps(40):
        exact = [float(mp.diff(EXACT[name][1], mp.mpf(float(v)))) for v in x]
    for order in (jax.hessian, lambda f: jax.grad(jax.grad(f)), lambda f: jax.jacfwd(jax.jacfwd(f))):
        np.testing.assert_allclose(jax.jit(jax.vmap(order(FUNCTIONS[name])))(x), exact, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_value_inside_a_gradient_differentiates_by_the_rule(name):
    # A penalty on the slope uses value and slope of one pass: the value's derivative must again be the closed form.
    f = FUNCTIONS[name]

    def value_of_pass(x):
        return jax.jvp(f, (x,), (jnp.ones_like(x),))[0]

    x = np.float32([-INF, -1e20, -3, -0.7, 0, 0.4, 1.3, 1e20, INF])
    np.testing.assert_array_equal(jax.vmap(jax.grad(value_of_pass))(x), jax.vmap(jax.grad(f))(x))


# --------------------------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("name", NAMES)
def test_transformations_agree(name):
    f, g = FUNCTIONS[name], jax.grad(FUNCTIONS[name])
    x = jnp.asarray(np.random.default_rng(4).normal(0.3, 2, (3, 4)), jnp.float32)
    value, slope = with_slope(name)(x)
    same = functools.partial(np.testing.assert_array_max_ulp, maxulp=2)
    same(np.asarray(f(x)), np.asarray(compiled(name)(x)))
    same(np.asarray(jax.vmap(jax.vmap(f))(x)), np.array([[f(v) for v in row] for row in x]))
    same(np.asarray(jax.vmap(jax.vmap(g))(x)), np.array([[g(v) for v in row] for row in x]))
    same(np.asarray(jax.vmap(jax.vmap(g))(x)), np.asarray(slope))
    same(np.asarray(jax.jvp(f, (x,), (jnp.ones_like(x),))[1]), np.asarray(slope))
    same(np.asarray(jax.grad(lambda v: jax.checkpoint(f)(v).sum())(x)), np.asarray(slope))
    np.testing.assert_allclose(f(x), value, rtol=1e-6)
    assert value.shape == x.shape


@pytest.mark.parametrize("name", [*NAMES, "softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reverse_mode_keeps_at_most_one_array(name, dtype):
    x = jnp.ones((7, 11), dtype)
    f = FUNCTIONS.get(name) or getattr(activations, name)
    for run in (f, jax.jit(f)):
        kept = [leaf for leaf in jax.tree.leaves(jax.vjp(run, x)[1]) if np.size(leaf) == x.size]
        assert len(kept) <= 1


def test_parameters_may_be_traced_and_swept():
    x = jnp.float32([-2.0, -0.5, 0.0, 1.5])
    for f in (activations.leaky_relu, activations.elu, activations.swish):
        swept = jax.jit(jax.vmap(f, in_axes=(None, 0)))(x, jnp.float32([0.2, 1.0, 3.0]))
        np.testing.assert_allclose(swept, [f(x, v) for v in (0.2, 1.0, 3.0)], rtol=1e-6)
    swept = jax.jit(jax.vmap(lambda t: activations.softmax(x, temperature=t)))(jnp.float32([0.5, 2.0]))
    np.testing.assert_allclose(swept, [special.softmax(x / 0.5), special.softmax(x / 2)], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "partial"),
    [
        ("leaky_relu", lambda x, p: np.where(x > 0, 0, x)),
        ("elu", lambda x, p: np.expm1(np.minimum(x, 0))),
        ("swish", lambda x, p: x * x * special.expit(p * x) * special.expit(-p * x)),
    ],
)
@pytest.mark.parametrize("parameter", [0.3, 1.0, -1.7, 0.0])
def test_parameters_have_gradients(name, partial, parameter):
    f = getattr(activations, name)
    x = np.float32([-9, -1.2, -0.3, 0, 0.2, 1.7, 6])
    np.testing.assert_allclose(jax.jacrev(f, argnums=1)(x, parameter), partial(x.astype(float), parameter), rtol=2e-6)
    # Both at once, in forward mode, and mixed second order against central differences of the slope.
    moved = jax.jvp(f, (x, parameter), (np.ones_like(x), 1.0))[1]
    alone = jax.vmap(jax.grad(f), (0, None))(x, parameter) + partial(x.astype(float), parameter)
    np.testing.assert_allclose(moved, alone, rtol=2e-6, atol=1e-6)
    mixed = jax.vmap(jax.grad(jax.grad(f), argnums=1), (0, None))
    with jax.enable_x64(True):
        wide = jnp.asarray(x, float)
        slope = jax.vmap(jax.grad(f), (0, None))
        wanted = (slope(wide, parameter + 1e-5) - slope(wide, parameter - 1e-5)) / 2e-5
    np.testing.assert_allclose(mixed(x, parameter), wanted, rtol=1e-4, atol=1e-5)


def test_swish_with_other_betas():
    x = np.float32([-INF, -300, -4, -0.6, 0, 0.6, 4, 300, INF])
    for beta in (0.25, 1.6, 40.0):
        with np.errstate(invalid="ignore"):
            wanted = np.where(x == -INF, 0, x * special.expit(np.float64(beta) * x))
        np.testing.assert_allclose(activations.swish(x, beta), wanted, rtol=5e-6, atol=1e-37)
        slope = jax.vmap(jax.grad(activations.swish), (0, None))(x, beta)
        np.testing.assert_allclose(slope[[0, -1]], [0, 1])
        assert np.isfinite(jax.jacrev(activations.swish, argnums=1)(x, beta)).all()
    np.testing.assert_allclose(activations.swish(x, 0.0), x / 2)
    # The gate opens to the left for negative beta: swish(x, -b) = -swish(-x, b).
    np.testing.assert_allclose(activations.swish(x, -1.6), -activations.swish(-x, 1.6), rtol=1e-6)


# -------------------------------------------------------------------------------------------- types and errors


@pytest.mark.parametrize("name", [*NAMES, "softmax", "log_softmax"])
def test_types(name):
    f = FUNCTIONS.get(name) or getattr(activations, name)
    for given in ([1, -2, 3], np.int8([1, -2, 3]), np.array([True, False])):
        assert f(jnp.asarray(given)).dtype == jnp.float32
        np.testing.assert_array_equal(f(jnp.asarray(given)), f(jnp.asarray(given, jnp.float32)))
    for dtype in ("bfloat16", "float16", "float32"):
        assert f(jnp.ones(3, dtype)).dtype == dtype
        assert jax.grad(lambda v: f(v).sum().astype(jnp.float32))(jnp.ones(3, dtype)).dtype == dtype
    with pytest.raises(TypeError, match="x must be real; got complex64"):
        f(jnp.ones(3, jnp.complex64))


def test_parameters_do_not_promote():
    x = jnp.ones(3, jnp.bfloat16)
    for f in (activations.leaky_relu, activations.elu, activations.swish):
        assert f(x, np.float64(0.3)).dtype == f(x, jnp.float32(0.3)).dtype == jnp.bfloat16
    assert activations.softmax(x, temperature=np.float64(2)).dtype == jnp.bfloat16
    for name in NAMES:  # a Python number is weakly typed: the default float comes out
        assert FUNCTIONS[name](0.5).dtype == FUNCTIONS[name](2).dtype == jnp.float32
        assert FUNCTIONS[name](0.5).shape == ()


def test_wrong_arguments_say_what_is_right():
    with pytest.raises(TypeError, match=r"leaky_relu\(\) has no argument 'slope'; .*negative_slope"):
        activations.leaky_relu(1.0, slope=0.2)
    with pytest.raises(TypeError, match=r"elu\(\) has no argument 'alfa'; did you mean 'alpha'\?"):
        activations.elu(1.0, alfa=0.2)
    with pytest.raises(TypeError, match=r"relu\(\) has no argument 'alpha'; it takes none"):
        activations.relu(1.0, alpha=0.2)
    with pytest.raises(TypeError, match="approximat"):
        activations.gelu(1.0, approximat=True)
    with pytest.raises(ValueError, match="approximate must be one of False, True; got 'tanh'"):
        activations.gelu(1.0, approximate="tanh")
    for f in (activations.softmax, activations.log_softmax):
        for wrong in (0.0, -1.0, NAN):
            with pytest.raises(ValueError, match=rf"temperature must be > 0; got {wrong}"):
                f(jnp.ones(3), temperature=wrong)
        with pytest.raises(TypeError, match="temperature must be a number; got 'hot'"):
            f(jnp.ones(3), temperature="hot")
        for shape in ((3,), (4, 2, 3), (2,)):
            with pytest.raises(ValueError, match=r"where must broadcast to the shape of x; got .* and \(4, 2\)"):
                f(jnp.ones((4, 2)), where=np.ones(shape, bool)) if shape != (2,) else f(
                    jnp.ones((4, 2)), where=np.ones((2, 2), bool)
                )
        with pytest.raises(ValueError, match="out of bounds"):
            f(jnp.ones(3), axis=1)


# ----------------------------------------------------------------------------------------------------- softmax


def softmax_exact(x, axis=-1):
    """softmax and its logarithm in long double; the logarithm without hiding what the small ones add."""
    x = np.asarray(x, np.longdouble)
    u = x - x.max(axis, keepdims=True)
    e = np.exp(u)
    first = np.zeros(e.shape, bool)
    np.put_along_axis(first, np.argmax(u, axis, keepdims=True), True, axis)
    others = np.where(first, 0, e).sum(axis, keepdims=True)
    return e / (1 + others), u - np.log1p(others)


@pytest.mark.parametrize("offset", [0, 100, -1e4, 1e6])
@pytest.mark.parametrize("shape", [(40, 10), (3, 1000), (50, 2)])
def test_softmax_at_any_offset(shape, offset):
    x = (np.random.default_rng(6).normal(0, 1, shape) + offset).astype(np.float32)
    a, y = softmax_exact(x)
    np.testing.assert_allclose(activations.softmax(x), a.astype(float), rtol=1.2e-6)
    np.testing.assert_allclose(activations.log_softmax(x), y.astype(float), rtol=1.2e-6)
    np.testing.assert_allclose(np.asarray(activations.softmax(x), float).sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("gap", [3.0, 8.0, 20.0, 60.0])
def test_log_softmax_keeps_the_digits_of_a_dominant_entry(gap):
    x = np.float32([[gap, 0, 0.3, -0.4], [-1, gap, 0.1, 0.2], [gap, gap, 0, 1], [0, 0, 0, 0]])
    wanted = softmax_exact(x)[1].astype(float)
    np.testing.assert_allclose(activations.log_softmax(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(activations.log_softmax)(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None, [1, 2]])
def test_softmax_axis_and_temperature(axis):
    x = np.random.default_rng(7).normal(0.5, 2, (3, 4, 5)).astype(np.float32)
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    a = activations.softmax(x, axis=axis, temperature=1.7)
    np.testing.assert_allclose(a, special.softmax(x / 1.7, numpy_axis), rtol=2e-6)
    y = activations.log_softmax(x, axis=axis, temperature=1.7)
    np.testing.assert_allclose(y, special.log_softmax(x / 1.7, numpy_axis), rtol=2e-6)
    weights = np.random.default_rng(8).normal(size=x.shape)
    for f, g in ((activations.softmax, special.softmax), (activations.log_softmax, special.log_softmax)):

        def loss(v, t, f=f):
            return jnp.sum(weights.astype(np.float32) * f(v, axis=axis, temperature=t))

        def exact(v, t, g=g):
            return np.sum(weights * g(v / t, numpy_axis))

        dx, dt = jax.jit(jax.grad(loss, argnums=(0, 1)))(x, 1.7)
        wide = x.astype(float)
        np.testing.assert_allclose(dt, (exact(wide, 1.7001) - exact(wide, 1.6999)) / 2e-4, rtol=1e-4, atol=1e-5)
        step = 1e-5 * np.eye(x.size)[[0, 17, 42]].reshape(3, *x.shape)
        differences = [(exact(wide + s, 1.7) - exact(wide - s, 1.7)) / 2e-5 for s in step]
        np.testing.assert_allclose(np.ravel(dx)[[0, 17, 42]], differences, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_softmax_jacobian(dtype):
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray([0.3, -1.2, 2.1, 0.3], dtype)
        a = softmax_exact(np.asarray(x, np.float64))[0].astype(float)
        tolerance = {"float64": 1e-14, "float32": 1e-6, "bfloat16": 5e-3, "float16": 1e-3}[dtype]
        for jacobian in (jax.jacfwd, jax.jacrev, lambda f: jax.jit(jax.jacrev(jax.checkpoint(f)))):
            got = np.asarray(jacobian(activations.softmax)(x), float)
            np.testing.assert_allclose(got, np.diag(a) - np.outer(a, a), atol=tolerance)
            assert (got[~np.eye(4, dtype=bool)] < 0).all()  # off the diagonal it is not 0
            got = np.asarray(jacobian(activations.log_softmax)(x), float)
            np.testing.assert_allclose(got, np.eye(4) - a, atol=tolerance)
        second = np.asarray(jax.hessian(lambda v: activations.log_softmax(v)[1])(x), float)
        np.testing.assert_allclose(second, np.outer(a, a) - np.diag(a), atol=tolerance)


MASK = np.array([[True, False, True, True], [False, True, False, False], [False, False, False, False]])


@pytest.mark.parametrize("masked", [0.0, 50.0, INF, -INF, NAN])
def test_what_the_mask_leaves_out_does_not_exist(masked):
    x = np.random.default_rng(9).normal(size=MASK.shape).astype(np.float32)
    wanted = np.zeros(MASK.shape)
    for row, mask, out in zip(x, MASK, wanted, strict=True):
        out[mask] = special.softmax(row[mask].astype(float))
    x = np.where(MASK, x, np.float32(masked))
    a = activations.softmax(x, where=MASK)
    y = activations.log_softmax(x, where=MASK)
    np.testing.assert_allclose(a, wanted, rtol=1e-6)
    assert (np.asarray(y)[~MASK] == -INF).all()
    np.testing.assert_allclose(np.asarray(y)[MASK], np.log(wanted[MASK]), rtol=1e-6, atol=1e-7)
    for f in (activations.softmax, activations.log_softmax):
        for weight in (1.3, NAN):  # even NaN that arrives for a masked entry goes no further
            pull = jax.vjp(lambda v, t, f=f: f(v, where=MASK, temperature=t), x, 1.5)[1]
            cotangent = np.where(MASK, np.float32([1, 2, -3, 4]), np.float32(weight))
            dx, dt = pull(cotangent)
            assert np.isfinite(dx).all()
            assert np.isfinite(dt)
            assert (np.asarray(dx)[~MASK] == 0).all()
            assert np.abs(np.asarray(dx)[0, [0, 2, 3]]).min() > 1e-3
        hessian = jax.hessian(lambda v, f=f: jnp.sum(jnp.where(MASK, f(v, where=MASK), 0) * x**0))(x)
        assert np.isfinite(hessian).all()
    columns = activations.softmax(x[:1], where=[[True, False, True, True]])
    np.testing.assert_array_equal(columns, a[:1])
    one_for_all = activations.softmax(jnp.ones((2, 4)), where=[[True, False, True, True]])
    np.testing.assert_allclose(one_for_all, np.tile([1 / 3, 0, 1 / 3, 1 / 3], (2, 1)), rtol=1e-6)


def test_softmax_at_infinity():
    largest = np.finfo(np.float32).max
    x = np.float32([[INF, 1, 2], [-INF, 0, 0], [largest, -largest, 0], [1, -INF, -INF], [NAN, 0, 1]])
    a = [[1, 0, 0], [0, 0.5, 0.5], [1, 0, 0], [1, 0, 0], [NAN] * 3]
    np.testing.assert_array_equal(activations.softmax(x), np.float32(a))
    y = np.asarray(activations.log_softmax(x))
    assert (y[[0, 2, 3], 0] == 0).all()
    assert (y[[0, 0, 2, 2], [1, 2, 1, 2]] <= -largest).all()
    np.testing.assert_allclose(y[1], [-INF, -np.log(2), -np.log(2)], rtol=1e-6)
    for f in (activations.softmax, activations.log_softmax):
        assert np.isfinite(jax.vmap(jax.jacrev(f))(x[:4])).all()
        assert np.isfinite(jax.vmap(jax.jacfwd(f))(x[:4])).all()
        assert np.isfinite(jax.vmap(jax.jacrev(lambda t, v, f=f: f(v, temperature=t)), (None, 0))(2.0, x[:4])).all()
        # Nothing to normalize: no distribution, and no silent one either.
        assert np.isnan(f(np.float32([-INF, -INF]))).all()
        assert f(jnp.zeros((3, 0))).shape == (3, 0)


# ------------------------------------------------------------------------- what the sources say, and what holds


def test_elu_is_continuous_for_every_alpha():
    # S0 4.5 says: for alpha = 1 only. That is where the slope is continuous.
    step = np.float32([-1e-6, 1e-6])
    for alpha in (0.2, 1.0, 3.0):
        assert np.ptp(np.asarray(activations.elu(step, alpha))) < 1e-5
        jump = np.ptp(np.asarray(jax.vmap(jax.grad(activations.elu), (0, None))(step, alpha)))
        np.testing.assert_allclose(jump, abs(1 - alpha), atol=1e-5)


def test_tanh_is_a_rescaled_sigmoid():
    # S2 10.1.4 with its lost minus. S3: tanh has the larger slope, for |x| < 1.663 only.
    x = np.linspace(-4, 4, 41).astype(np.float32)
    np.testing.assert_allclose(activations.tanh(x), 2 * activations.sigmoid(2 * x) - 1, atol=2e-7)
    slope = {n: np.asarray(with_slope(n)(np.float32([1.66, 1.67]))[1]) for n in ("tanh", "sigmoid")}
    np.testing.assert_array_equal(slope["tanh"] > slope["sigmoid"], [True, False])


@pytest.mark.parametrize(("name", "root"), [("swish", -1.2784645), ("gelu", -0.7517915), ("gelu_tanh", -0.75246143)])
def test_gates_have_slope_zero_at_one_negative_point(name, root):
    # S3 says that the gradient is not 0 for x < 0.
    left, at, right = with_slope(name)(np.float32([root - 1e-3, root, root + 1e-3]))[1]
    assert left < 0 < right
    assert abs(at) < 1e-7


def test_selu_normalizes_itself():
    rng = np.random.default_rng(10)
    x = jnp.asarray(rng.normal(0.4, 1.5, (400, 300)), jnp.float32)
    for _ in range(20):
        x = activations.selu(x @ jnp.asarray(rng.normal(0, 300**-0.5, (300, 300)), jnp.float32))
    assert abs(float(x.mean())) < 0.1
    assert abs(float(x.var()) - 1) < 0.15


def test_polynomials_are_those_that_their_derivation_gives(capsys):
    path = Path(__file__).parents[1] / "benchmarks" / "derive_polynomials.py"
    spec = importlib.util.spec_from_file_location("derive_polynomials", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mp.workdps(40):
        spec.loader.exec_module(module)
        assert module.main() == 0, capsys.readouterr().out
    assert "NOT AS HELD" not in capsys.readouterr().out
