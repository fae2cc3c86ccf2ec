"""Activations: values, derivatives, limits, types, against mpmath, NumPy and SciPy."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import special

from jaxdict import _registry, activations

INF, NAN = np.inf, np.nan
array = functools.partial(np.array, dtype=np.float32)
loose: Any = activations  # for arguments that a type checker rejects
NAMES = ["linear", "relu", "leaky_relu", "elu", "selu", "softplus", "sigmoid", "tanh", "swish", "gelu", "gelu_tanh"]
FUNCTIONS = {n: getattr(activations, n) for n in NAMES[:-1]}
FUNCTIONS["gelu_tanh"] = functools.partial(activations.gelu, approximate=True)


@functools.cache
def compiled(name):
    return jax.jit(FUNCTIONS[name])


@functools.cache
def with_slope(name) -> Any:
    """x -> (value, slope), from one reverse pass."""

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
PLACES = (
    -1.2784645, -0.7517915, -0.75246143, -0.7, -1.0, 1.0, -1.6, 1.6, -0.49, -0.55, 0.55,
    -1.02, -12.0, -14.5, -16.65, 5.13,
)  # fmt: skip


@functools.cache
def points():
    """float32 of both signs: log-spaced, uniform, next to roots and to where the formula changes."""
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
        got = [np.asarray(a) for a in with_slope(name)(jnp.asarray([*x, -INF, INF, NAN], float))]
        assert got[0].dtype == np.float64
        check_limits(name, [a[-3:] for a in got], np.float64)
        got = [a[:-3] for a in got]
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
    bits = np.arange(65536, dtype=np.uint16)
    infinite = int(np.array(INF, dtype).view(np.uint16))
    x = bits[(bits & 0x7FFF) < infinite].view(dtype)
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
    ends = np.resize(np.array([-INF, INF, NAN]), x.shape).astype(dtype)
    check_limits(name, with_slope(name)(ends), dtype)


# ------------------------------------------------------------------------------------------- limits, kinks, NaN

LARGEST = float(np.finfo(np.float32).max)
FAR = (90, 200, 1e10, 1e20, LARGEST)
INNER = (-30, -6, -2.5, -1.3, -0.752, -0.4, -0.01, 0.01, 0.3, 0.77, 1.25, 3, 9)
TINY = (-1e-30, -0.0, 0.0, 1e-30)
SPECIAL = array([-INF, INF, NAN, *FAR, *(-x for x in FAR), *TINY, *INNER])


@functools.cache
def orders(name):
    """value, first, second, third derivative and what the value inside a forward pass differentiates to, at SPECIAL."""
    f = FUNCTIONS[name]
    first = jax.grad(f)

    def run(x):
        inside = jax.grad(lambda v: jax.jvp(f, (v,), (jnp.ones_like(v),))[0])
        ways = (jax.hessian(f)(x), jax.grad(first)(x), jax.jacfwd(jax.jacfwd(f))(x))
        return f(x), first(x), inside(x), ways, jax.grad(jax.grad(first))(x)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(SPECIAL))


LIMITS = {  # at -inf and inf: value, derivative
    "linear": (-INF, 1, INF, 1), "relu": (0, 0, INF, 1), "leaky_relu": (-INF, 0.01, INF, 1), "elu": (-1, 0, INF, 1),
    "selu": (-1.7580993408473766, 0, INF, 1.0507009873554805), "softplus": (0, 0, INF, 1), "sigmoid": (0, 0, 1, 0),
    "tanh": (-1, 0, 1, 0), "swish": (0, 0, INF, 1), "gelu": (0, 0, INF, 1), "gelu_tanh": (0, 0, INF, 1),
}  # fmt: skip


def check_limits(name, value_and_slope, dtype):
    """The first three are at -inf, inf and NaN."""
    value, slope = (a[:3] for a in value_and_slope)
    below, slope_below, above, slope_above = (float(np.array(v).astype(dtype)) for v in LIMITS[name])
    np.testing.assert_allclose(np.asarray(value, float), [below, above, NAN], rtol=1e-7)
    wanted = [slope_below, slope_above, 1 if name == "linear" else NAN]
    np.testing.assert_allclose(np.asarray(slope, float), wanted, rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_limits_and_nan(name):
    value, slope, _, second, _ = orders(name)
    check_limits(name, (value, slope), np.float32)
    for way in second:
        np.testing.assert_array_equal(way[:2], 0)


@pytest.mark.parametrize("name", NAMES)
def test_extremes_are_right_and_finite_to_third_order(name):
    value, slope, _, second, third = orders(name)
    scale = {"selu": 1.0507009873554805}.get(name, 1.0)
    bounded = name in ("sigmoid", "tanh")
    np.testing.assert_allclose(value[3:7], np.ones(4) if bounded else scale * SPECIAL[3:7], rtol=1e-6)
    np.testing.assert_allclose(slope[3:8], 0 if bounded else scale, rtol=1e-6, atol=1e-35)
    below, slope_below, *_ = LIMITS[name]
    np.testing.assert_allclose(slope[8:13], slope_below, rtol=1e-6, atol=1e-35)
    if np.isfinite(below):
        np.testing.assert_allclose(value[8:13], below, rtol=1e-6, atol=1e-35)
    for order in (*second, third):
        assert np.isfinite(np.delete(order, 2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative(name):
    inner = SPECIAL[-len(INNER) :]
    with mp.workdps(40):
        exact = [float(mp.diff(EXACT[name][1], mp.mpf(float(v)))) for v in inner]
    for way in orders(name)[3]:
        np.testing.assert_allclose(way[-len(INNER) :], exact, rtol=1e-5, atol=3e-6)


def test_second_derivative_at_a_kink_is_of_the_left_branch():
    zeros = SPECIAL == 0
    for name, wanted in {"relu": 0, "leaky_relu": 0, "elu": 1, "selu": 1.7580993408473766, "softplus": 0.25}.items():
        for way in orders(name)[3]:
            np.testing.assert_allclose(way[zeros], wanted, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_value_inside_a_gradient_differentiates_by_the_rule(name):
    # A penalty on the slope takes value and slope from one pass: the value's derivative must again be the closed form.
    _, slope, inside, *_ = orders(name)
    np.testing.assert_array_equal(inside, slope)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_kinks_are_of_the_left_branch(zero):
    for entry in _registry.iterate("activation"):
        if entry.name not in FUNCTIONS:
            continue
        for at, (value, slope) in entry.kinks.items():
            x = jnp.float32(at if at else zero)
            assert float(entry.function(x)) == value
            assert entry.derivative is not None
            np.testing.assert_allclose(entry.derivative(x), slope, rtol=1e-7)
            np.testing.assert_allclose(jax.grad(entry.function)(x), slope, rtol=1e-7)
    assert float(jax.grad(activations.elu)(zero, 0.3)) == np.float32(0.3)
    assert float(jax.grad(activations.leaky_relu)(zero, -0.2)) == np.float32(-0.2)


# --------------------------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_transformations_agree(name):
    f, g = FUNCTIONS[name], jax.grad(FUNCTIONS[name])
    x = jnp.asarray(np.random.default_rng(4).normal(0.6, 2, (3, 4)), jnp.float32)
    value, slope = with_slope(name)(x)

    @jax.jit
    def ways(x):
        vmapped = jax.vmap(jax.vmap(jax.value_and_grad(f)))(x)
        return vmapped, jax.jvp(f, (x,), (jnp.ones_like(x),)), jax.grad(lambda v: jax.checkpoint(f)(v).sum())(x)

    vmapped, forward, checkpointed = ways(x)
    alone = np.array([[f(v) for v in row] for row in x])
    slopes_alone = np.array([[g(v) for v in row] for row in x])
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6)  # 8 units: fusion contracts multiply-adds
    for got in (f(x), compiled(name)(x), vmapped[0], forward[0], alone):
        same(got, value)
    for got in (vmapped[1], forward[1], checkpointed, slopes_alone):
        same(got, slope)
    assert value.shape == slope.shape == x.shape


@pytest.mark.parametrize("name", [*NAMES, "softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.slow
def test_reverse_mode_keeps_at_most_one_array(name, dtype):
    x = jnp.ones((7, 11), dtype)
    f = FUNCTIONS.get(name) or getattr(activations, name)
    for run in (f, jax.jit(f)):
        kept = [leaf for leaf in jax.tree.leaves(jax.vjp(run, x)[1]) if np.size(leaf) == x.size]
        assert len(kept) <= 1


def test_parameters_may_be_traced_and_swept():
    x = array([-2.0, -0.5, 0.0, 1.5])
    for f in (activations.leaky_relu, activations.elu, activations.swish):
        swept = jax.jit(jax.vmap(f, in_axes=(None, 0)))(x, array([0.2, 1.0, 3.0]))
        np.testing.assert_allclose(swept, [f(x, v) for v in (0.2, 1.0, 3.0)], rtol=1e-6)
    swept = jax.jit(jax.vmap(lambda t: activations.softmax(x, temperature=t)))(array([0.5, 2.0]))
    np.testing.assert_allclose(swept, [special.softmax(x / 0.5), special.softmax(x / 2)], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "partial"),
    [
        ("leaky_relu", lambda x, p: np.where(x > 0, 0, x)),
        ("elu", lambda x, p: np.expm1(np.minimum(x, 0))),
        ("swish", lambda x, p: x * x * special.expit(p * x) * special.expit(-p * x)),
    ],
)
def test_parameters_have_gradients(name, partial):
    f = getattr(activations, name)
    x = array([-9, -1.2, -0.3, 0, 0.2, 1.7, 6])

    @jax.jit
    def derivatives(x, p):
        slope = jax.vmap(jax.grad(f), (0, None))
        by_parameter = jax.jacrev(f, argnums=1)(x, p)
        both = jax.jvp(f, (x, p), (jnp.ones_like(x), jnp.ones_like(p)))[1]
        return by_parameter, slope(x, p), both, jax.vmap(jax.grad(jax.grad(f), argnums=1), (0, None))(x, p)

    for parameter in (0.3, 1.0, -1.7, 0.0):
        wanted = partial(x.astype(float), parameter)
        by_parameter, slope, both, mixed = derivatives(x, np.float32(parameter))
        np.testing.assert_allclose(by_parameter, wanted, rtol=2e-6)
        np.testing.assert_allclose(both, slope + by_parameter, rtol=2e-6, atol=1e-6)
        # The mixed derivative is that of the partial; leaky_relu's and elu's at 0 from the left.
        left = np.where(x == 0, -1e-12, x).astype(float)
        wanted = (partial(left + 1e-6, parameter) - partial(left - 1e-6, parameter)) / 2e-6
        smooth = x != 0 if name != "swish" else x == x
        np.testing.assert_allclose(mixed[smooth], wanted[smooth], rtol=1e-4, atol=1e-5)
        assert np.asarray(mixed)[3] == (0 if name == "swish" else 1)


def test_swish_with_other_betas():
    x = array([-INF, -300, -4, -0.6, 0, 0.6, 4, 300, INF])
    gradients = jax.jit(jax.vmap(jax.grad(activations.swish, argnums=(0, 1)), (0, None)))
    for beta in (0.25, 1.6, 40.0):
        with np.errstate(invalid="ignore"):
            wanted = np.where(x == -INF, 0, x * special.expit(np.float64(beta) * x))
        np.testing.assert_allclose(activations.swish(x, beta), wanted, rtol=5e-6, atol=1e-37)
        slope, by_beta = gradients(x, np.float32(beta))
        np.testing.assert_allclose(np.asarray(slope)[[0, -1]], [0, 1])
        assert np.isfinite(by_beta).all()
    np.testing.assert_allclose(activations.swish(x, 0.0), x / 2)
    # The gate opens to the left for negative beta: swish(x, -b) = -swish(-x, b).
    np.testing.assert_allclose(activations.swish(x, -1.6), -activations.swish(-x, 1.6), rtol=1e-6)


# -------------------------------------------------------------------------------------------- types and errors


@pytest.mark.parametrize("name", [*NAMES, "softmax", "log_softmax"])
@pytest.mark.slow
def test_types(name):
    f = FUNCTIONS.get(name) or getattr(activations, name)
    for given in ([1, -2, 3], np.array([1, -2, 3], np.int8), np.array([True, False])):
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
        loose.leaky_relu(1.0, slope=0.2)
    with pytest.raises(TypeError, match=r"elu\(\) has no argument 'alfa'; did you mean 'alpha'\?"):
        loose.elu(1.0, alfa=0.2)
    with pytest.raises(TypeError, match=r"relu\(\) has no argument 'alpha'; it takes none"):
        loose.relu(1.0, alpha=0.2)
    with pytest.raises(TypeError, match="approximat"):
        loose.gelu(1.0, approximat=True)
    with pytest.raises(ValueError, match="approximate must be one of False, True; got 'tanh'"):
        loose.gelu(1.0, approximate="tanh")
    for f in (loose.softmax, loose.log_softmax):
        for wrong in (0.0, -1.0, NAN):
            with pytest.raises(ValueError, match=rf"temperature must be > 0; got {wrong}"):
                f(jnp.ones(3), temperature=wrong)
        with pytest.raises(TypeError, match="temperature must be a number; got 'hot'"):
            f(jnp.ones(3), temperature="hot")
        for shape in ((3,), (4, 2, 3), (2, 2)):
            with pytest.raises(ValueError, match=r"where must broadcast to the shape of x; got .* and \(4, 2\)"):
                f(jnp.ones((4, 2)), where=np.ones(shape, bool))
        with pytest.raises(ValueError, match="axis must be of x"):
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
    x = array([[gap, 0, 0.3, -0.4], [-1, gap, 0.1, 0.2], [gap, gap, 0, 1], [0, 0, 0, 0]])
    wanted = softmax_exact(x)[1].astype(float)
    np.testing.assert_allclose(activations.log_softmax(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(activations.log_softmax)(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None, [1, 2]])
def test_softmax_axis_and_temperature(axis):
    x = np.random.default_rng(7).normal(0.5, 2, (3, 4, 5)).astype(np.float32)
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    a = loose.softmax(x, axis=axis, temperature=1.7)
    np.testing.assert_allclose(a, special.softmax(x / 1.7, numpy_axis), rtol=2e-6)
    y = loose.log_softmax(x, axis=axis, temperature=1.7)
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
    def ways(x):
        s, y = activations.softmax, activations.log_softmax
        jacobians = [(jac(s)(x), jac(y)(x)) for jac in (jax.jacfwd, jax.jacrev)]
        return [*jacobians, jax.jacrev(jax.checkpoint(lambda v: (s(v), y(v))))(x)], jax.hessian(lambda v: y(v)[1])(x)

    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray([0.3, -1.2, 2.1, 0.3], dtype)
        a = softmax_exact(np.asarray(x, np.float64))[0].astype(float)
        jacobians, second = jax.tree.map(lambda v: np.asarray(v, float), jax.jit(ways)(x))
    tolerance = {"float64": 1e-14, "float32": 1e-6, "bfloat16": 5e-3, "float16": 1e-3}[dtype]
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=tolerance)
    for softmax, log_softmax in jacobians:
        close(softmax, np.diag(a) - np.outer(a, a))
        close(log_softmax, np.eye(4) - a)
        # S0 4.11 has the diagonal only; off it stands no 0.
        assert (softmax[~np.eye(4, dtype=bool)] < 0).all()
    close(second, np.outer(a, a) - np.diag(a))


MASK = np.array([[True, False, True, True], [False, True, False, False], [False, False, False, False]])


@functools.cache
def masked_parts(name):
    """(x, cotangent) -> value, gradients by x and temperature, Hessian of what is present."""
    f = functools.partial(getattr(activations, name), where=MASK)

    def run(x, cotangent):
        dx, dt = jax.vjp(lambda v, t: f(v, temperature=t), x, 1.5)[1](cotangent)
        return f(x), dx, dt, jax.hessian(lambda v: jnp.sum(jnp.where(MASK, f(v), 0)))(x)

    return jax.jit(run)


@pytest.mark.parametrize("masked", [0.0, 50.0, INF, -INF, NAN])
def test_what_the_mask_leaves_out_does_not_exist(masked):
    x = np.random.default_rng(9).normal(size=MASK.shape).astype(np.float32)
    wanted = np.zeros(MASK.shape)
    for row, mask, out in zip(x, MASK, wanted, strict=True):
        out[mask] = special.softmax(row[mask].astype(float)) if mask.any() else 0
    x = np.where(MASK, x, np.float32(masked))
    for name in ("softmax", "log_softmax"):
        for weight in (1.3, NAN):  # even NaN that arrives for a masked entry goes no further
            value, *gradients = masked_parts(name)(x, np.where(MASK, array([1, 2, -3, 4]), np.float32(weight)))
            assert all(np.isfinite(g).all() for g in gradients)
            dx = np.asarray(gradients[0])
            assert (dx[~MASK] == 0).all()
            assert np.abs(dx[0, [0, 2, 3]]).min() > 1e-3
        if name == "softmax":
            np.testing.assert_allclose(value, wanted, rtol=1e-6)
        else:
            assert (np.asarray(value)[~MASK] == -INF).all()
            np.testing.assert_allclose(np.asarray(value)[MASK], np.log(wanted[MASK]), rtol=1e-6, atol=1e-7)


def test_masks_broadcast():
    one_for_all = loose.softmax(jnp.ones((2, 4)), where=[[True, False, True, True]])
    np.testing.assert_allclose(one_for_all, np.tile([1 / 3, 0, 1 / 3, 1 / 3], (2, 1)), rtol=1e-6)
    vector = loose.log_softmax(jnp.ones((2, 4)), where=[1, 0, 0, 1])
    np.testing.assert_allclose(vector, np.tile([-np.log(2), -INF, -INF, -np.log(2)], (2, 1)), rtol=1e-6)


def test_softmax_at_infinity():
    largest = np.finfo(np.float32).max
    x = array([[INF, 1, 2], [-INF, 0, 0], [largest, -largest, 0], [1, -INF, -INF], [NAN, 0, 1], [-INF] * 3])

    @jax.jit
    def run(x):
        f, g = activations.softmax, activations.log_softmax
        rows = [jax.vmap(jac(h))(x[:4]) for h in (f, g) for jac in (jax.jacrev, jax.jacfwd)]
        by_temperature = [
            jax.vmap(lambda v, h=h: jax.jacfwd(lambda t: h(v, temperature=t))(2.0))(x[:4]) for h in (f, g)
        ]
        return f(x), g(x), rows + by_temperature

    a, y, gradients = jax.tree.map(np.asarray, run(x))
    # The last row holds nothing to normalize: no distribution, and no silent one either.
    np.testing.assert_array_equal(a, array([[1, 0, 0], [0, 0.5, 0.5], [1, 0, 0], [1, 0, 0], [NAN] * 3, [NAN] * 3]))
    assert (y[[0, 2, 3], 0] == 0).all()
    assert (y[[0, 0, 2, 2], [1, 2, 1, 2]] <= -largest).all()
    np.testing.assert_allclose(y[1], [-INF, -np.log(2), -np.log(2)], rtol=1e-6)
    assert np.isnan(y[4:]).all()
    assert all(np.isfinite(g).all() for g in gradients)


def test_softmax_of_nothing_is_nothing():
    assert activations.softmax(jnp.zeros((3, 0))).shape == activations.log_softmax(jnp.zeros((3, 0))).shape == (3, 0)


# ------------------------------------------------------------------------- what the sources say, and what holds


def test_elu_is_continuous_for_every_alpha():
    # S0 4.5 says: for alpha = 1 only. That is where the slope is continuous.
    step = array([-1e-6, 1e-6])
    for alpha in (0.2, 1.0, 3.0):
        assert np.ptp(np.asarray(activations.elu(step, alpha))) < 1e-5
        jump = np.ptp(np.asarray(jax.vmap(jax.grad(activations.elu), (0, None))(step, alpha)))
        np.testing.assert_allclose(jump, abs(1 - alpha), atol=1e-5)


def test_tanh_is_a_rescaled_sigmoid():
    # S2 10.1.4 with its lost minus. S3: tanh has the larger slope, for |x| < 1.663 only.
    x = np.linspace(-4, 4, 41).astype(np.float32)
    np.testing.assert_allclose(activations.tanh(x), 2 * activations.sigmoid(2 * x) - 1, atol=2e-7)
    slope = {n: np.asarray(with_slope(n)(array([1.66, 1.67]))[1]) for n in ("tanh", "sigmoid")}
    np.testing.assert_array_equal(slope["tanh"] > slope["sigmoid"], [True, False])


@pytest.mark.parametrize(("name", "root"), [("swish", -1.2784645), ("gelu", -0.7517915), ("gelu_tanh", -0.75246143)])
def test_gates_have_slope_zero_at_one_negative_point(name, root):
    # S3 says that the gradient is not 0 for x < 0.
    left, at, right = with_slope(name)(array([root - 1e-3, root, root + 1e-3]))[1]
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
