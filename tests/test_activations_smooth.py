"""The smooth activations beyond the first ones, glu and sparsemax; chains of layers keep no more than jax.nn's."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import special

from jaxdict import activations
from jaxdict.activations import _kernels

INF, NAN = np.inf, np.nan
array = functools.partial(np.array, dtype=np.float32)
loose: Any = activations  # for arguments that a type checker rejects
NAMES = ["log_sigmoid", "softsign", "squareplus", "tanhshrink", "mish"]
FUNCTIONS = {n: getattr(activations, n) for n in NAMES}


@functools.cache
def with_slope(name) -> Any:
    """x -> (value, slope), from one reverse pass."""

    def run(x):
        value, pull = jax.vjp(FUNCTIONS[name], x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(run)


# -------------------------------------------------------------------------------------------------- the oracles


def sigma(x):
    return 1 / (1 + mp.exp(-x)) if x >= 0 else mp.exp(x) / (1 + mp.exp(x))


def softplus(x):
    return max(x, mp.mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def root(x):
    return mp.sqrt(x * x + 4)


def mish_slope(x):
    t = mp.tanh(softplus(x))
    return t + x * sigma(x) * (1 - t * t)


EXACT = {  # value, derivative; mpmath with enough digits for the differences
    "log_sigmoid": (lambda x: -softplus(-x), lambda x: sigma(-x)),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "squareplus": (lambda x: (x + root(x)) / 2, lambda x: (1 + x / root(x)) / 2),
    "tanhshrink": (lambda x: x - mp.tanh(x), lambda x: mp.tanh(x) ** 2),
    "mish": (lambda x: x * mp.tanh(softplus(x)), mish_slope),
}
BOUNDS = {  # units in the last place of float32: value, derivative
    "log_sigmoid": (2.1, 2.35), "softsign": (1.5, 3.5), "squareplus": (2.8, 2.5), "tanhshrink": (3.0, 2.9),
    "mish": (4.4, 6.4),
}  # fmt: skip
LIMITS = {  # at -inf and inf: value, derivative
    "log_sigmoid": (-INF, 1, 0, 0), "softsign": (-1, 0, 1, 0), "squareplus": (0, 0, INF, 1),
    "tanhshrink": (-INF, 1, INF, 1), "mish": (0, 0, INF, 1),
}  # fmt: skip
LARGEST = float(np.finfo(np.float32).max)


@functools.cache
def points(name):
    """float32 of both signs: log-spaced, uniform, next to the root of mish's slope and to where a formula changes."""
    rng = np.random.default_rng(2)
    # exp(x) of a large x would take mpmath forever; softsign and squareplus are algebra.
    size = np.logspace(-30, 38.4 if name in ("softsign", "squareplus") else 2, 300)
    near = [np.float32(c) + np.arange(-12, 13) * np.spacing(np.float32(c)) for c in (-1.1924312, 1, -1, 0.9, -1.5)]
    parts = [size, -size, rng.uniform(-20, 20, 400), rng.uniform(-3, 3, 900), rng.uniform(-80, 80, 200), *near]
    return np.unique(np.concatenate(parts).astype(np.float32))


def units(got, exact):
    """Error in units of the last place; 0 where the exact result is next to the smallest numbers, which are flushed."""
    rounded = np.array([float(v) for v in exact])
    place = np.spacing(np.abs(rounded).astype(np.float32)).astype(float)
    error = np.array([float(abs(mp.mpf(float(g)) - v)) for g, v in zip(got, exact, strict=True)])
    return np.where(np.abs(rounded) < 2.0**-119, 0.0, error / place)


def exactly(name, x):
    with mp.workdps(130 if name in ("squareplus", "tanhshrink") else 40):
        return [[f(mp.mpf(float(v))) for v in x] for f in EXACT[name]]


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    x = points(name)
    value, slope = exactly(name, x)
    again, slope_got = with_slope(name)(x)
    for got, exact, bound in ((jax.jit(FUNCTIONS[name])(x), value, 0), (again, value, 0), (slope_got, slope, 1)):
        error = units(np.asarray(got), exact)
        worst = int(np.argmax(error))
        assert error[worst] <= BOUNDS[name][bound], (bound, x[worst], error[worst])


@pytest.mark.parametrize("name", NAMES)
def test_float64(name):
    x = np.concatenate([points(name)[::23].astype(float), [1e-200, -1e-200, 1e-5, -0.99, 1.01, -600.0]])
    exact = exactly(name, x)
    with jax.enable_x64(True):
        got = [np.asarray(a) for a in with_slope(name)(jnp.asarray([*x, -INF, INF, NAN], float))]
    assert got[0].dtype == np.float64
    np.testing.assert_array_equal(got[0][-3:], [LIMITS[name][0], LIMITS[name][2], NAN])
    np.testing.assert_array_equal(got[1][-3:], [LIMITS[name][1], LIMITS[name][3], NAN])
    for a, e in zip(got, exact, strict=True):
        np.testing.assert_allclose(a[:-3], np.array([float(v) for v in e]), rtol=1e-14, atol=1e-17)


def tanh_gap(x):
    """x - tanh(x) in float64, by its continued fraction where the difference would cancel."""
    z, t = np.minimum(x * x, 9), 0.0
    for k in range(41, 1, -2):
        t = z / (k + t)
    return np.where(np.abs(x) < 2, x * t / (1 + t), x - np.tanh(x))


def quiet(f):
    """``f`` without warnings of overflow on its way to the limit."""

    def run(x):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return f(x)

    return run


def mish_slope_numpy(x):
    t = np.tanh(np.logaddexp(0, x))
    return np.where(x < -60, np.exp(x) * (1 + x), t + np.clip(x, -800, 800) * special.expit(x) * (1 - t * t))


NUMPY = {  # float64, vectorized
    "log_sigmoid": (special.log_expit, lambda x: special.expit(-x)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "squareplus": (
        lambda x: np.maximum(x, 0) + 2 / (np.sqrt(x * x + 4) + np.abs(x)),
        lambda x: (x > 0) - np.sign(x) * 2 / (x * x + 4 + np.abs(x) * np.sqrt(x * x + 4)) + (x == 0) / 2,
    ),
    "tanhshrink": (tanh_gap, lambda x: np.tanh(x) ** 2),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), mish_slope_numpy),
}


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("name", NAMES)
def test_every_16_bit_number_is_rounded_correctly(name, dtype):
    bits = np.arange(65536, dtype=np.uint16)
    x = bits[(bits & 0x7FFF) < int(np.array(INF, dtype).view(np.uint16))].view(dtype)
    smallest = float(ml_dtypes.finfo(dtype).smallest_normal)
    if dtype is ml_dtypes.bfloat16:
        x = x[np.abs(x.astype(float)) >= smallest]  # XLA counts less as 0
    for got, f in zip(with_slope(name)(x), NUMPY[name], strict=True):
        assert got.dtype == dtype
        exact = quiet(f)(x.astype(float))
        wanted = quiet(lambda v: v.astype(dtype))(exact)
        normal = np.abs(exact) >= smallest
        right = np.asarray(got)[normal] == wanted[normal]
        assert right.mean() >= 0.997, (name, x[normal][~right])
        np.testing.assert_allclose(np.asarray(got, float), wanted.astype(float), rtol=0.01, atol=1e-6)


# ------------------------------------------------------------------------------------------- limits, kinks, NaN

FAR = (90, 200, 1e10, 1e19, 3e19, LARGEST)
INNER = (-30, -6, -2.5, -1.3, -0.752, -0.4, -0.01, 0.01, 0.3, 0.77, 1.25, 3, 9)
SPECIAL = array([-INF, INF, NAN, *FAR, *(-x for x in FAR), -1e-30, -0.0, 0.0, 1e-30, *INNER])


@functools.cache
def orders(name):
    """value, first, second (three ways), third derivative, and the derivative of a value inside a gradient."""
    f = FUNCTIONS[name]
    first = jax.grad(f)

    def run(x):
        inside = jax.grad(lambda v: jax.jvp(f, (v,), (jnp.ones_like(v),))[0])
        ways = (jax.hessian(f)(x), jax.grad(first)(x), jax.jacfwd(jax.jacfwd(f))(x))
        return f(x), first(x), inside(x), ways, jax.grad(jax.grad(first))(x)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(SPECIAL))


@pytest.mark.parametrize("name", NAMES)
def test_limits_extremes_and_nan_to_third_order(name):
    value, slope, inside, second, third = orders(name)
    below, slope_below, above, slope_above = LIMITS[name]
    np.testing.assert_array_equal(value[:3], array([below, above, NAN]))
    np.testing.assert_array_equal(slope[:3], array([slope_below, slope_above, NAN]))
    np.testing.assert_array_equal(inside, slope)
    tails = NUMPY[name]
    for got, f in zip((value, slope), tails, strict=True):
        np.testing.assert_allclose(got[3:], quiet(f)(SPECIAL[3:].astype(float)), rtol=1e-6, atol=1e-37)
    for order in (*second, third):
        np.testing.assert_array_equal(order[:2], 0)
        assert np.isfinite(np.delete(order, 2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative(name):
    inner = SPECIAL[-len(INNER) :]
    with mp.workdps(40):
        exact = [float(mp.diff(EXACT[name][1], mp.mpf(float(v)))) for v in inner]
    for way in orders(name)[3]:
        np.testing.assert_allclose(way[-len(INNER) :], exact, rtol=1e-5, atol=3e-6)
    at_zero = {"log_sigmoid": -0.25, "softsign": 2, "squareplus": 0.25, "tanhshrink": 0, "mish": 0.64}[name]
    for way in orders(name)[3]:  # softsign's jumps there: the branch x <= 0
        np.testing.assert_allclose(way[SPECIAL == 0], at_zero, rtol=1e-6)


def test_tanhshrink_keeps_its_digits_near_0():
    x = array([1e-12, 3e-6, -2e-4, 0.01, -0.2])
    value, slope = with_slope("tanhshrink")(x)
    wide = x.astype(float)
    z = wide * wide
    np.testing.assert_allclose(value, wide * z / 3 * (1 - 0.4 * z + 17 / 105 * z**2 - 62 / 945 * z**3), rtol=3e-7)
    np.testing.assert_allclose(slope, z * (1 - 2 / 3 * z + 17 / 45 * z**2 - 62 / 315 * z**3), rtol=4e-7, atol=1e-37)


def test_softsign_beyond_where_others_lose_its_slope():
    x = array([6e4, 1e7, -1e12, 1e18])
    np.testing.assert_allclose(with_slope("softsign")(x)[1], 1 / (1 + np.abs(x.astype(float))) ** 2, rtol=3e-7)


def test_mish_has_slope_zero_at_one_negative_point():
    # S3 says that the gradient is not 0 for x < 0.
    left, at, right = with_slope("mish")(array([-1.1924 - 1e-3, -1.1924312, -1.1924 + 1e-3]))[1]
    assert left < 0 < right
    assert abs(at) < 1e-8


def test_squareplus_parameter():
    x = array([-1e25, -1.8e19, -1.2e19, -1e5, -3, -0.2, 0, 0.4, 7, 1.4e19])
    wide = x.astype(np.longdouble)
    slope = jax.jit(jax.vmap(jax.grad(lambda v, b: activations.squareplus(v, b=b), (0, 1)), (0, None)))
    for b in np.float32([0.25, 3.7, 50.0, 1e29]):
        root = np.sqrt(wide * wide + b)
        tail = b / 2 / (root + np.abs(wide))
        np.testing.assert_allclose(activations.squareplus(x, b=b), np.maximum(wide, 0) + tail, rtol=4e-7)
        by_x, by_b = slope(x, b)
        np.testing.assert_allclose(by_b, 1 / (4 * root), rtol=4e-7)
        np.testing.assert_allclose(by_x, np.where(wide < 0, tail, wide + tail) / root, rtol=5e-7, atol=1e-37)

    # Second order in every mode and order of arguments, with a bend as small or as large as the range allows.
    def f(v, b):
        return activations.squareplus(v, b=b)

    modes = (jax.grad, jax.jacfwd)
    seconds = jax.jit(
        jax.vmap(lambda v, b: [o(i(f, k), m)(v, b) for o in modes for i in modes for k in (0, 1) for m in (0, 1)])
    )
    at = array([0, 1e-7, 1e-5, -0.3, 40, 1e15, -1.4e19, INF, -INF])
    for b in np.float32([2.0**-100, 1e-24, 4, 1e26, 2.0**100]):
        root = np.sqrt(at.astype(np.longdouble) ** 2 + b)
        u = np.divide(at, root, out=np.sign(at).astype(np.longdouble), where=np.isfinite(at))
        by_x, mixed, by_b = (b / root / root / root / 2, -u / root / root / 4, -1 / root / root / root / 8)
        expected = [by_x, mixed, mixed, by_b] * 4
        for got, want in zip(seconds(at, np.full_like(at, b)), expected, strict=True):
            fits = np.abs(want) < 3e38  # the curvature by b does not, for the smallest b
            np.testing.assert_allclose(np.asarray(got)[fits], want[fits].astype(float), rtol=2e-6, atol=2e-37)
    swept = jax.jit(jax.vmap(lambda b: activations.squareplus(x, b=b)))(array([1, 4]))
    np.testing.assert_allclose(swept, [activations.squareplus(x, b=1), activations.squareplus(x)], rtol=1e-6)
    for wrong in (0.0, -1.0, NAN, 1e31):
        with pytest.raises(ValueError, match=re.escape(f"b must be >= 7.88861e-31 and <= 1.26765e+30; got {wrong}")):
            activations.squareplus(x, b=wrong)
    with pytest.raises(TypeError, match="b must be a number; got 'soft'"):
        loose.squareplus(x, b="soft")


# ---------------------------------------------------------------------------------------- transforms and memory


@pytest.mark.parametrize("name", NAMES)
def test_transformations_agree(name):
    f = FUNCTIONS[name]
    x = jnp.asarray(np.random.default_rng(4).normal(0.6, 2, (3, 4)), jnp.float32)
    value, slope = with_slope(name)(x)

    @jax.jit
    def ways(x):
        vmapped = jax.vmap(jax.vmap(jax.value_and_grad(f)))(x)
        return vmapped, jax.jvp(f, (x,), (jnp.ones_like(x),)), jax.grad(lambda v: jax.checkpoint(f)(v).sum())(x)

    vmapped, forward, checkpointed = ways(x)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    for got in (f(x), vmapped[0], forward[0]):
        same(got, value)
    for got in (vmapped[1], forward[1], checkpointed):
        same(got, slope)
    assert f(x[:0]).shape == (0, 4)


PEERS = {
    "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softplus": jax.nn.softplus, "log_sigmoid": jax.nn.log_sigmoid,
    "softsign": jax.nn.soft_sign, "squareplus": jax.nn.squareplus, "mish": jax.nn.mish, "swish": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False), "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
}  # fmt: skip


def bytes_kept(f):
    """Of the gradient through six layers; the products keep XLA from making one loop of them all."""

    def loss(x, w):
        for _ in range(6):
            x = f(x @ w)
        return x.sum()

    given = (jax.ShapeDtypeStruct((50, 200), jnp.float32), jax.ShapeDtypeStruct((200, 200), jnp.float32))
    memory = jax.jit(jax.grad(loss)).lower(*given).compile().memory_analysis()
    assert memory is not None
    return memory.temp_size_in_bytes


@pytest.mark.parametrize("name", PEERS)
def test_a_chain_keeps_no_more_memory_than_jax_nn(name):
    rows = 50 * 4 * 6  # a number a row, a layer
    assert bytes_kept(getattr(activations, name)) <= bytes_kept(PEERS[name]) + rows


@pytest.mark.parametrize("name", [*NAMES, "glu", "sparsemax"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reverse_mode_keeps_at_most_one_array(name, dtype):
    x = jnp.ones((7, 12), dtype)
    kept = jax.tree.leaves(jax.vjp(getattr(activations, name), x)[1])
    assert sum(leaf.size for leaf in kept) <= x.size + 7


@pytest.mark.parametrize("name", [*NAMES, "glu", "sparsemax"])
@pytest.mark.slow
def test_types(name):
    f = getattr(activations, name)
    for given in ([1, -2, 3, 4], np.array([1, -2, 3, 4], np.int8), np.array([True, False])):
        assert f(jnp.asarray(given)).dtype == jnp.float32
        np.testing.assert_array_equal(f(jnp.asarray(given)), f(jnp.asarray(given, jnp.float32)))
    with jax.numpy_dtype_promotion("strict"):
        for dtype in ("bfloat16", "float16", "float32"):
            assert f(jnp.ones(4, dtype)).dtype == dtype
            assert jax.grad(lambda v: f(v).sum().astype(jnp.float32))(jnp.ones(4, dtype)).dtype == dtype
    with pytest.raises(TypeError, match="x must be real; got complex64"):
        f(jnp.ones(4, jnp.complex64))


# --------------------------------------------------------------------------------------------------- glu


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_glu(axis):
    x = np.random.default_rng(5).normal(0.3, 2, (4, 6, 8)).astype(np.float32)
    u, v = np.split(x.astype(float), 2, axis)
    np.testing.assert_allclose(activations.glu(x, axis=axis), u * special.expit(v), rtol=5e-7)
    weights = np.random.default_rng(6).normal(size=u.shape)
    got = jax.jit(jax.grad(lambda x: jnp.sum(weights.astype(np.float32) * activations.glu(x, axis=axis))))(x)
    wanted = weights * np.stack([special.expit(v), u * special.expit(v) * special.expit(-v)])
    np.testing.assert_allclose(got, np.concatenate(wanted, axis), rtol=2e-6, atol=1e-7)


@pytest.mark.slow
def test_glu_jacobian():
    # The Jacobian is two diagonals side by side: the open share, and the value times the gate's slope.
    with jax.enable_x64(True):
        u, v = np.array([1.3, -0.4, 2.0]), np.array([0.2, -1.5, 3.0])
        x = jnp.asarray(np.concatenate([u, v]))
        wanted = np.hstack([np.diag(special.expit(v)), np.diag(u * special.expit(v) * special.expit(-v))])
        np.testing.assert_allclose(jax.jacrev(activations.glu)(x), wanted, rtol=1e-14)
        np.testing.assert_allclose(jax.jacfwd(activations.glu)(x), wanted, rtol=1e-14)
        second = jax.hessian(lambda x: activations.glu(x)[1])(x)
        slope = special.expit(v[1]) * special.expit(-v[1])
        np.testing.assert_allclose(second[1, 4], slope, rtol=1e-14)
        np.testing.assert_allclose(second[4, 4], u[1] * slope * (1 - 2 * special.expit(v[1])), rtol=1e-13)


def test_glu_at_infinity():
    x = array([[INF, 3, INF, -INF, INF, LARGEST], [2, -INF, -200, -200, INF, INF]]).reshape(-1)
    np.testing.assert_array_equal(activations.glu(x), array([INF, 0, 0, 0, INF, LARGEST]))
    assert np.isfinite(jax.grad(lambda x: jnp.where(jnp.isinf(y := activations.glu(x)), 0, y).sum())(x)).all()
    assert np.isnan(activations.glu(array([NAN, 0]))).all()
    assert np.isnan(activations.glu(array([0, NAN]))).all()


def test_glu_says_what_it_can_halve():
    with pytest.raises(ValueError, match=r"x must have an even size along axis -1, to be halved; got shape \(2, 5\)"):
        activations.glu(jnp.ones((2, 5)))
    for axis in (2, -3):
        with pytest.raises(ValueError, match=rf"axis must be an axis of x, whose shape is \(2, 4\); got {axis}"):
            activations.glu(jnp.ones((2, 4)), axis=axis)
    with pytest.raises(ValueError, match=r"axis must be an axis of x, whose shape is \(\); got -1"):
        activations.glu(1.0)
    with pytest.raises(TypeError, match="axis must be a whole number; got None"):
        loose.glu(jnp.ones(4), axis=None)
    assert activations.glu(jnp.ones((3, 0))).shape == (3, 0)


# --------------------------------------------------------------------------------------------------- sparsemax


def simplex_projection(x, axis=-1):
    """Martins & Astudillo, algorithm 1, by sorting, in float64."""
    x = np.moveaxis(np.asarray(x, float), axis, -1)
    z = -np.sort(-x, -1)
    k = np.arange(1, x.shape[-1] + 1)
    total = np.cumsum(z, -1)
    last = (1 + k * z > total).sum(-1, keepdims=True)
    threshold = (np.take_along_axis(total, last - 1, -1) - 1) / last
    return np.moveaxis(np.maximum(x - threshold, 0), -1, axis)


@pytest.mark.parametrize("shape", [(40, 2), (30, 10), (3, 1000)])
@pytest.mark.parametrize("scale", [3.0, 0.3, 1e-3])
@pytest.mark.parametrize("offset", [0, -1e3])
def test_sparsemax(shape, scale, offset):
    x = (np.random.default_rng(7).normal(offset, scale, shape)).astype(np.float32)
    p = np.asarray(activations.sparsemax(x), float)
    wanted = simplex_projection(x)
    np.testing.assert_allclose(p, wanted, atol=1.5e-7)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)
    # The same support, but for what the threshold has within rounding.
    assert (np.abs(wanted[(p > 0) != (wanted > 0)]) < 1e-7).all()


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_sparsemax_axis(axis):
    x = np.random.default_rng(8).normal(0, 0.6, (3, 4, 5)).astype(np.float32)
    moved = {(0, 2): (1, 0, 2), None: (0, 1, 2)}.get(axis)
    if moved is None:
        wanted = simplex_projection(x, axis)
    else:
        rows = x.transpose(moved).reshape(4 if axis else 1, -1)
        wanted = simplex_projection(rows).reshape([x.shape[i] for i in moved]).transpose(np.argsort(moved))
    np.testing.assert_allclose(loose.sparsemax(x, axis=axis), wanted, atol=1e-6)


def test_sparsemax_example_of_two():
    # Keras 3.15.1 (JAX backend) gives [0.5, 0.4] for the first: its threshold adds up the partial sums.
    np.testing.assert_allclose(activations.sparsemax(array([0.1, 0])), [0.55, 0.45], rtol=1e-6)
    np.testing.assert_allclose(activations.sparsemax(array([3, 1, 2.5])), [0.75, 0, 0.25], rtol=1e-6)
    np.testing.assert_array_equal(activations.sparsemax(array([1, 5, 3])), [0, 1, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.slow
def test_sparsemax_jacobian(dtype):
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray([0.3, -2.0, 0.7, 0.45], dtype)
        s = np.array([1.0, 0, 1, 1])
        for jacobian in (jax.jacrev, jax.jacfwd):
            got = jax.jit(jacobian(activations.sparsemax))(x)
            np.testing.assert_allclose(
                np.asarray(got, float), np.diag(s) - np.outer(s, s) / 3, atol=4e-3 if "b" in dtype else 1e-6
            )
        np.testing.assert_array_equal(jax.hessian(lambda x: activations.sparsemax(x)[0])(x), 0)


def test_sparsemax_mask_and_infinity():
    x = array([[0.2, 9, 0.1, NAN], [1, INF, 2, 3], [0, 0, 0, 0], [INF, 1, INF, -INF], [-INF, 1, -INF, 0.5]])
    mask = np.array([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    run = jax.jit(lambda x, g: jax.vjp(lambda x: activations.sparsemax(x, where=mask), x)[1](g)[0])
    wanted = [[0.55, 0, 0.45, 0], [0, 1, 0, 0], [0] * 4, [0.5, 0, 0.5, 0], [0, 0.75, 0, 0.25]]
    np.testing.assert_allclose(activations.sparsemax(x, where=mask), wanted, rtol=1e-6)
    gradient = np.asarray(run(x, np.where(mask, array([1, 2, 4, 8]), NAN)))
    np.testing.assert_allclose(gradient[0], [-1.5, 0, 1.5, 0])
    assert np.isfinite(gradient).all()
    assert (gradient[~mask] == 0).all()
    assert np.isnan(activations.sparsemax(array([[-INF] * 3, [NAN, 0, 1]]))).all()
    for wrong in ((3,), (5, 2)):
        with pytest.raises(ValueError, match=r"where must broadcast to the shape of x; got .* and \(5, 4\)"):
            activations.sparsemax(x, where=np.ones(wrong, bool))
    with pytest.raises(ValueError, match="axis must be of x"):
        activations.sparsemax(jnp.ones(3), axis=1)
    assert activations.sparsemax(jnp.zeros((3, 0))).shape == (3, 0)
    np.testing.assert_allclose(jax.vmap(activations.sparsemax)(x[2:3]), [[0.25] * 4])


# --------------------------------------------------------------------------------- log_softmax, kernels


@pytest.mark.parametrize("size", [5, 300])  # short and long rows count the largest in different ways
def test_log_softmax_with_ties_and_near_ties(size):
    x = np.full((5, size), -3.0, np.float32)
    x[0, 1] = 20  # one dominates: ln(1 - p) needs what the others add
    x[1, [0, 3]] = 20
    x[2] = 0
    x[3] = np.linspace(0, 4e-9, size)  # differences that exp does not see
    x[4, :3] = INF
    got = np.asarray(jax.jit(activations.log_softmax)(x), float)
    wide = x[:4].astype(np.longdouble)
    u = wide - wide.max(-1, keepdims=True)
    first = np.arange(size) == u.argmax(-1)[:, None]
    wanted = u - np.log1p(np.where(first, 0, np.exp(u)).sum(-1, keepdims=True))
    np.testing.assert_allclose(got[:4], wanted.astype(float), rtol=1e-6)
    np.testing.assert_allclose(got[4, :3], -np.log(3), rtol=1e-6)
    assert (got[4, 3:] <= -LARGEST).all()


def test_exponentials_of_our_own():
    rng = np.random.default_rng(9)
    u = np.concatenate([-np.logspace(-30, 1.94, 2000), rng.uniform(-87, 0, 20000)]).astype(np.float32)
    low = (-rng.uniform(0, 0.09, u.size)).astype(np.float32)
    for got, power in (
        (jax.jit(_kernels.exp_below)(u), u.astype(np.longdouble)),
        (jax.jit(_kernels.exp_of_sum)(u, low), u.astype(np.longdouble) + low),
    ):
        exact = np.exp(power)
        assert (np.abs(np.asarray(got) - exact) / np.spacing(exact.astype(np.float32))).max() < 1.1
    ends = _kernels.exp_below(array([-0.0, 0, -88, -1e30, -INF, NAN]))
    np.testing.assert_array_equal(ends, [1, 1, 0, 0, 0, NAN])
    slope = jax.vmap(jax.grad(_kernels.exp_of_sum, (0, 1)))(u[:50], low[:50])
    np.testing.assert_array_equal(slope[0], _kernels.exp_of_sum(u[:50], low[:50]))
    np.testing.assert_array_equal(slope[0], slope[1])


def test_the_tail_of_the_logistic_function():
    a = np.concatenate([[0], np.logspace(-30, 1.94, 20000)]).astype(np.float32)
    exact = 1 / (1 + np.exp(a.astype(np.longdouble)))
    tail, twice, signed = (
        jax.jit(_kernels.tail),
        jax.jit(lambda a: _kernels.tail(a, 2.0)),
        jax.jit(_kernels.signed_tail),
    )
    for got in (tail(a), twice(a) / 2, signed(a), -signed(-a)[1:]):
        x = exact[-len(got) :]
        assert (np.abs(np.asarray(got) - x) / np.spacing(x.astype(np.float32))).max() < 2.5
    assert (np.abs(signed(array([88.2, 88.5, 88.71, 1e30, INF, -88.5, -INF]))) < 2e-38).all()
    np.testing.assert_array_equal(twice(array([88.8, 1e30, INF, NAN])), [0, 0, 0, NAN])
    ends = signed(array([88.8, INF, -88.8, -1e30, -INF, NAN]))
    np.testing.assert_array_equal(ends, [0, 0, 0, 0, 0, NAN])
    np.testing.assert_array_equal(np.signbit(ends)[:5], [False, False, True, True, True])
    for f, x, factor in (
        (lambda a: _kernels.tail(a, 2.0), a, -2),
        (_kernels.signed_tail, a, -1),
        (_kernels.signed_tail, -a, -1),
    ):
        np.testing.assert_allclose(jax.vmap(jax.grad(f))(x), factor * exact * (1 - exact), rtol=5e-7)
