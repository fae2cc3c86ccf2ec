"""Piecewise activations: values, derivatives, kinks, limits, parameters, against float64 NumPy."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import activations

INF, NAN = np.inf, np.nan
array = functools.partial(np.array, dtype=np.float32)
loose: Any = activations  # for arguments that a type checker rejects
LARGEST = float(np.finfo(np.float32).max)
SMALL = 2.0**-119  # what is less is at the edge of what the processor flushes to 0


class Case(NamedTuple):
    function: Any
    value: Any  # of float64 NumPy
    slope: Any
    units: tuple[float, float]  # errors of value and slope allowed in float32, in units of the last place
    kinks: dict[float, tuple[float, float, float]]  # point -> value, slope, second derivative
    limits: tuple[float, float, float, float]  # value and slope at -inf, and at inf
    places: tuple[float, ...] = ()  # where the formula changes otherwise


def sloped(slope):
    return lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1, slope)


def saturating(alpha):
    def below(x):
        return np.minimum(x, 0) / alpha

    return lambda x: np.where(x > 0, x, alpha * np.expm1(below(x))), lambda x: np.where(x > 0, 1, np.exp(below(x)))


def ramp(low, high, edge):
    def value(x):
        z = np.clip(x, -edge, edge)
        return (high + low) / 2 + (high - low) / 2 * (z / edge)

    return value, lambda x: np.where(np.abs(x) <= edge, (high - low) / (2 * edge), 0)


def parabola(x):
    z = np.clip(x, -3, 3)
    return np.where(x > 3, x, z * (z + 3) / 6)


def parabola_slope(x):
    return np.where(np.abs(x) <= 3, (2 * np.clip(x, -3, 3) + 3) / 6, x > 3)


def shrunk(x):
    return np.where(np.abs(x) <= 0.5, 0, x - 0.5 * np.sign(x))


def far(x):
    return (np.abs(x) > 0.5) * 1.0


CASES = {
    "step": Case(activations.step, lambda x: (x >= 0) * 1.0, np.zeros_like, (0, 0), {0: (1, 0, 0)}, (0, 0, 1, 0)),
    "absolute": Case(activations.absolute, np.abs, np.sign, (0, 0), {0: (0, 0, 0)}, (INF, -1, INF, 1)),
    "prelu": Case(
        lambda x: activations.prelu(x, 0.25), *sloped(0.25), (0, 0), {0: (0, 0.25, 0)}, (-INF, 0.25, INF, 1)
    ),
    "prelu_0": Case(lambda x: activations.prelu(x, 0.0), *sloped(0), (0, 0), {0: (0, 0, 0)}, (0, 0, INF, 1)),
    "rrelu": Case(
        activations.rrelu, *sloped(11 / 48), (0.9, 0.4), {0: (0, 11 / 48, 0)}, (-INF, 11 / 48, INF, 1)
    ),
    "celu": Case(activations.celu, *saturating(1), (0.9, 1.0), {0: (0, 1, 1)}, (-1, 0, INF, 1), (-0.7,)),
    "celu_0.75": Case(
        lambda x: activations.celu(x, 0.75), *saturating(0.75), (1.5, 1.5), {0: (0, 1, 4 / 3)}, (-0.75, 0, INF, 1),
        (-0.525,),
    ),
    "hard_bounded": Case(
        lambda x: activations.hard_bounded(x, minimum=-0.75, maximum=2.5, alpha=1.5),
        *ramp(-0.75, 2.5, 1.5), (1.6, 0.5),
        {-1.5: (-0.75, 13 / 12, 0), 1.5: (2.5, 13 / 12, 0)}, (-0.75, 0, 2.5, 0), (-0.75, 0.75),
    ),
    "hard_tanh": Case(
        activations.hard_tanh, *ramp(-1, 1, 1), (0, 0), {-1: (-1, 1, 0), 1: (1, 1, 0)}, (-1, 0, 1, 0)
    ),
    "hard_sigmoid": Case(
        activations.hard_sigmoid, *ramp(0, 1, 2), (0.5, 0), {-2: (0, 0.25, 0), 2: (1, 0.25, 0)}, (0, 0, 1, 0), (-1, 1)
    ),
    "hard_sigmoid_3": Case(
        lambda x: activations.hard_sigmoid(x, 3.0), *ramp(0, 1, 3), (1.4, 0.4),
        {-3: (0, 1 / 6, 0), 3: (1, 1 / 6, 0)}, (0, 0, 1, 0), (-1.5, 1.5),
    ),
    "hard_swish": Case(
        activations.hard_swish, parabola, parabola_slope, (2.4, 1.6), {-3: (0, -0.5, 1 / 3), 3: (3, 1.5, 1 / 3)},
        (0, 0, INF, 1), (-1.5, 1.5),
    ),
    "relu6": Case(
        activations.relu6, lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)) * 1.0, (0, 0),
        {0: (0, 0, 0), 6: (6, 0, 0)}, (0, 0, 6, 0),
    ),
    "softshrink": Case(
        activations.softshrink, shrunk, far, (0.5, 0), {-0.5: (0, 0, 0), 0.5: (0, 0, 0)}, (-INF, 1, INF, 1)
    ),
    "hardshrink": Case(
        activations.hardshrink, lambda x: np.where(np.abs(x) <= 0.5, 0, x), far, (0, 0),
        {-0.5: (0, 0, 0), 0.5: (0, 0, 0)}, (-INF, 1, INF, 1),
    ),
}  # fmt: skip
each = pytest.mark.parametrize("name", CASES)


@functools.cache
def with_slope(name) -> Any:
    """x -> (value, slope), from one reverse pass."""

    def run(x):
        value, pull = jax.vjp(CASES[name].function, x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(run)


def around(point, count=200):
    """The float32 numbers next to ``point``, on both sides."""
    if point == 0:
        steps = array(SMALL * 1.1 ** np.arange(count))
        return np.concatenate([-steps, steps])
    bits = np.array(point, np.float32).view(np.int32) + np.arange(-count, count + 1, dtype=np.int32)
    return bits.view(np.float32)


@functools.cache
def points(name):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 4000, np.uint32).view(np.float32)
    bits = bits[np.isfinite(bits) & (np.abs(bits) >= SMALL)]
    case = CASES[name]
    near = [around(p) for p in (*case.kinks, *case.places)]
    return np.concatenate([bits, rng.uniform(-7, 7, 4000), rng.uniform(-100, 9, 2000), *near]).astype(np.float32)


def units(got, exact):
    place = np.spacing(np.abs(exact).astype(np.float32)).astype(float)
    return np.where(np.abs(exact) < SMALL, np.abs(got) >= 2 * SMALL, np.abs(got - exact) / place)


@each
def test_float32(name):
    x = points(name)
    case = CASES[name]
    value, slope = with_slope(name)(x)
    exact = case.value(x.astype(float)), case.slope(x.astype(float))
    if name == "hard_bounded":  # at its root, which is nowhere special, the error is that of its size
        value, exact = np.where(np.abs(exact[0]) < 0.25, 1 + np.asarray(value, float), value), (
            np.where(np.abs(exact[0]) < 0.25, 1 + exact[0], exact[0]), exact[1],
        )  # fmt: skip
    for got, wanted, bound in ((value, exact[0], case.units[0]), (slope, exact[1], case.units[1])):
        error = units(np.asarray(got, float), wanted)
        worst = int(np.argmax(error))
        assert error[worst] <= bound, (x[worst], error[worst])


@each
def test_float64(name):
    case = CASES[name]
    x = np.concatenate([points(name)[::31].astype(float), *[[k, np.nextafter(k, -INF)] for k in case.kinks if k]])
    with jax.enable_x64(True):
        value, slope = with_slope(name)(jnp.asarray(x, float))
        assert value.dtype == slope.dtype == np.float64
    exact = case.value(x), case.slope(x)
    np.testing.assert_allclose(value, exact[0], rtol=1e-15 if "celu" not in name else 1e-14, atol=1e-15)
    np.testing.assert_allclose(slope, exact[1], rtol=2e-15 if "celu" not in name else 2e-13, atol=1e-300)


RECORDED_AT = (-4, -2.7, -1.1, -0.3, 0.2, 0.9, 2.4, 7)
RECORDED = {  # PyTorch 2.13.0 on the CPU in float64: values and gradients of torch.nn.functional
    "prelu": ((-1.0, -0.675, -0.275, -0.075, 0.2, 0.9, 2.4, 7.0), (0.25, 0.25, 0.25, 0.25, 1.0, 1.0, 1.0, 1.0)),
    "rrelu": (
        (-0.916666666666667, -0.61875, -0.252083333333333, -0.06875, 0.2, 0.9, 2.4, 7.0),
        (0.229166666666667, 0.229166666666667, 0.229166666666667, 0.229166666666667, 1.0, 1.0, 1.0, 1.0),
    ),
    "celu_0.75": (
        (-0.746379037504626, -0.729507208164531, -0.576980113308778, -0.247259965473271, 0.2, 0.9, 2.4, 7.0),
        (0.00482794999383144, 0.0273237224472926, 0.230693182254963, 0.670320046035639, 1.0, 1.0, 1.0, 1.0),
    ),
    "hard_tanh": ((-1.0, -1.0, -1.0, -0.3, 0.2, 0.9, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0)),
    "hard_sigmoid_3": (
        (0.0, 0.05, 0.316666666666667, 0.45, 0.533333333333333, 0.65, 0.9, 1.0),
        (0.0, *[0.16666667163372] * 6, 0.0),  # 1/6 as a float32
    ),
    "hard_swish": (
        (-0.0, -0.135, -0.348333333333333, -0.135, 0.106666666666667, 0.585, 2.16, 7.0),
        (0.0, -0.4, 0.133333333333333, 0.4, 0.566666666666667, 0.8, 1.3, 1.0),
    ),
    "relu6": ((0.0, 0.0, 0.0, 0.0, 0.2, 0.9, 2.4, 6.0), (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0)),
    "softshrink": ((-3.5, -2.2, -0.6, 0.0, 0.0, 0.4, 1.9, 6.5), (1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0)),
    "hardshrink": ((-4.0, -2.7, -1.1, 0.0, 0.0, 0.9, 2.4, 7.0), (1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("name", RECORDED)
def test_another_framework_gives_the_same(name):
    for got, wanted in zip(with_slope(name)(array(RECORDED_AT)), RECORDED[name], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@each
def test_every_16_bit_number_is_rounded_correctly(name, dtype):
    case = CASES[name]
    x = np.arange(65536, dtype=np.uint16).view(dtype)
    x = x[np.isfinite(x.astype(np.float32))]
    smallest = float(ml_dtypes.finfo(dtype).smallest_normal)
    if dtype is ml_dtypes.bfloat16:
        x = x[np.abs(x.astype(float)) >= smallest]  # less is counted as 0 by the compiler
    for got, exact in zip(with_slope(name)(x), (case.value(x.astype(float)), case.slope(x.astype(float))), strict=True):
        assert got.dtype == dtype
        with np.errstate(over="ignore", under="ignore"):
            wanted = np.asarray(exact, float).astype(dtype)
        normal = (np.abs(exact) >= smallest) | (exact == 0)
        right = np.asarray(got)[normal] == wanted[normal]
        assert right.mean() >= 0.995, (name, x[normal][~right])
        np.testing.assert_allclose(np.asarray(got, float), wanted.astype(float), rtol=0.01, atol=1e-6)
    ends = np.resize(np.array([-INF, INF, NAN]), x.shape).astype(dtype)
    check_limits(name, with_slope(name)(ends), dtype)


# ------------------------------------------------------------------------------------------- limits, kinks, NaN


def check_limits(name, value_and_slope, dtype):
    """The first three are at -inf, inf and NaN."""
    value, slope = (np.asarray(a, float)[:3] for a in value_and_slope)
    below, slope_below, above, slope_above = (float(np.array(v).astype(dtype)) for v in CASES[name].limits)
    np.testing.assert_array_equal(value, [below, above, NAN])
    np.testing.assert_array_equal(slope, [slope_below, slope_above, NAN])


EXTREME = array([-INF, INF, NAN, -LARGEST, LARGEST, -1e30, 1e30, -1e-30, -0.0, 0.0, 1e-30, -1.3, 0.37, 2.2, 5.0])


@functools.cache
def orders(name):
    """x -> value, slope, four ways to the second derivative, the third."""
    f = CASES[name].function
    first = jax.grad(f)

    def run(x):
        inside = jax.grad(lambda v: jax.jvp(f, (v,), (jnp.ones_like(v),))[0])(x)
        seconds = jax.hessian(f)(x), jax.grad(first)(x), jax.jacfwd(jax.jacfwd(f))(x), jax.jacrev(jax.jacfwd(f))(x)
        return f(x), first(x), inside, seconds, jax.grad(jax.grad(first))(x)

    return jax.jit(jax.vmap(run))


@each
@pytest.mark.slow
def test_extremes(name):
    case = CASES[name]
    value, slope, inside, seconds, third = jax.tree.map(np.asarray, orders(name)(EXTREME))
    check_limits(name, (value, slope), np.float32)
    finite = np.isfinite(EXTREME)
    np.testing.assert_allclose(value[finite], case.value(EXTREME[finite].astype(float)), rtol=3e-7)
    np.testing.assert_allclose(slope[finite], case.slope(EXTREME[finite].astype(float)), rtol=3e-7)
    np.testing.assert_array_equal(inside, slope)  # a value from inside a derivative differentiates by the rule again
    for order in (*seconds, third):
        assert np.isfinite(np.delete(order, 2)).all()
        np.testing.assert_array_equal(order[:2], 0)


@each
@pytest.mark.slow
def test_kinks(name):
    """At each, and at the floats next to it: the branch changes there and not one float early."""
    case = CASES[name]
    at = array([*case.kinks, *([-0.0] if 0 in case.kinks else [])])
    value, slope, _, seconds, _ = orders(name)(at)
    wanted = array([case.kinks[float(k)] for k in at])
    np.testing.assert_array_equal(value, wanted[:, 0])
    np.testing.assert_allclose(slope, wanted[:, 1], rtol=1e-7)
    for second in seconds:
        np.testing.assert_allclose(second, wanted[:, 2], rtol=3e-7)
    beside = np.concatenate([around(k, 3) for k in case.kinks])
    np.testing.assert_allclose(with_slope(name)(beside)[1], case.slope(beside.astype(float)), rtol=2e-7)


def test_the_dictionary_states_the_same_kinks():
    for name, case in CASES.items():
        entry = jd.lookup(name.partition("_0")[0].partition("_3")[0], kind="activation")
        if entry.function is case.function:
            smooth = name == "celu"  # its second derivative jumps, not its first
            stated = {} if smooth else {k: v[:2] for k, v in case.kinks.items()}
            assert entry.kinks.keys() == stated.keys()
            for at in stated:
                np.testing.assert_allclose(entry.kinks[at], stated[at], rtol=1e-7)
    assert not jd.lookup("prelu").kinks  # it has no default arguments to state them at


@pytest.mark.parametrize("edge", [2.0, 2.5, 3.0, 0.7, 1 / 3])
def test_the_ramp_meets_its_ends_exactly_and_rises(edge):
    x = np.concatenate([around(-edge, 2000), around(edge, 2000), np.linspace(-1.1 * edge, 1.1 * edge, 3001)])
    x = np.sort(x.astype(np.float32))
    y = np.asarray(activations.hard_sigmoid(x, edge))
    edge = np.float32(edge)
    assert (y[x <= -edge] == 0).all()
    assert (y[x >= edge] == 1).all()
    assert (y[x > -edge] > 0).all()
    exact = np.clip((x.astype(float) + float(edge)) / (2 * float(edge)), 0, 1)
    assert units(y.astype(float), exact)[exact > 0].max() <= 1.8
    assert (np.diff(y) >= -1.2e-7).all()
    np.testing.assert_allclose(jnp.float32(1) - y[-2 - np.argmax(y[::-1] < 1)], 0, atol=1)


def test_the_family_and_its_members():
    x = array(np.linspace(-4, 4, 161))
    ramp = functools.partial(activations.hard_bounded, x)
    np.testing.assert_array_equal(activations.hard_tanh(x), ramp(minimum=-1, maximum=1, alpha=1))
    for edge in (2.0, 3.0, 0.4):
        family = ramp(minimum=0, maximum=1, alpha=edge)
        np.testing.assert_allclose(activations.hard_sigmoid(x, edge), family, rtol=0, atol=6e-8)
    np.testing.assert_allclose(activations.hard_swish(x), x * np.asarray(activations.hard_sigmoid(x, 3)), rtol=2e-7)
    np.testing.assert_array_equal(activations.absolute(x), activations.prelu(x, -1))
    np.testing.assert_array_equal(activations.celu(x), activations.elu(x))
    np.testing.assert_array_equal(activations.leaky_relu(x, 0.3), activations.prelu(x, 0.3))
    np.testing.assert_array_equal(activations.relu(x), activations.prelu(x, 0))
    # Bounds whose difference is more than the largest float.
    wide = activations.hard_bounded(x, minimum=-3e38, maximum=3e38, alpha=2)
    np.testing.assert_allclose(wide, 3e38 * np.clip(x.astype(float) / 2, -1, 1), rtol=3e-7)


# --------------------------------------------------------------------------------------------------- parameters

DERIVATIVES = [  # function of (x, parameter), parameter, the partial in float64
    ("prelu", activations.prelu, 0.0, lambda x, p: np.where(x > 0, 0, x)),
    ("prelu", activations.prelu, -1.7, lambda x, p: np.where(x > 0, 0, x)),
    ("celu", activations.celu, 0.3, lambda x, p: (1 - np.minimum(x, 0) / p) * np.exp(np.minimum(x, 0) / p) - 1),
    ("celu", activations.celu, 2.3, lambda x, p: (1 - np.minimum(x, 0) / p) * np.exp(np.minimum(x, 0) / p) - 1),
    ("hard_sigmoid", activations.hard_sigmoid, 1.2, lambda x, p: np.where(np.abs(x) <= p, -x / (2 * p * p), 0)),
    (
        "softshrink", lambda x, p: activations.softshrink(x, threshold=p), 1.2,
        lambda x, p: np.where(np.abs(x) <= p, 0, -np.sign(x)),
    ),
    ("hardshrink", lambda x, p: activations.hardshrink(x, threshold=p), 1.2, lambda x, p: 0 * x),
    (
        "minimum", lambda x, p: activations.hard_bounded(x, minimum=p, maximum=2.5, alpha=1.5), -0.75,
        lambda x, p: (1 - np.clip(x / 1.5, -1, 1)) / 2,
    ),
    (
        "maximum", lambda x, p: activations.hard_bounded(x, minimum=-0.75, maximum=p, alpha=1.5), 2.5,
        lambda x, p: (1 + np.clip(x / 1.5, -1, 1)) / 2,
    ),
    (
        "alpha", lambda x, p: activations.hard_bounded(x, minimum=-0.75, maximum=2.5, alpha=p), 1.5,
        lambda x, p: np.where(np.abs(x) <= p, -1.625 / p * x / p, 0),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "f", "parameter", "partial"), DERIVATIVES)
def test_gradients_by_parameters(name, f, parameter, partial):
    x = array([-9, -1.2, -0.9, -1e-3, 0, 0.2, 0.9, 1.2, 1.7, 6])

    @jax.jit
    def derivatives(x, p):
        by_parameter = jax.jacrev(f, argnums=1)(x, p)
        forward = jax.jvp(lambda q: f(x, q), (p,), (jnp.ones_like(p),))[1]
        mixed = jax.vmap(jax.grad(jax.grad(f), argnums=1), (0, None))(x, p)
        return by_parameter, forward, mixed, jax.vmap(f, (None, 0))(x, p[None])[0], f(x, p)

    by_parameter, forward, mixed, swept, value = derivatives(x, np.float32(parameter))
    p = float(np.float32(parameter))
    np.testing.assert_allclose(by_parameter, partial(x.astype(float), p), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(by_parameter, forward)
    np.testing.assert_allclose(swept, value, rtol=2e-7, atol=1e-7)
    # The slope's derivative by the parameter, from the partial's by x, away from kinks.
    inner = np.array([0, 3, 5, 9])
    wide = x[inner].astype(float)
    wanted = (partial(wide + 1e-6, p) - partial(wide - 1e-6, p)) / 2e-6
    np.testing.assert_allclose(np.asarray(mixed)[inner], wanted, rtol=1e-5, atol=1e-5)


def test_gradients_by_parameters_at_infinity():
    x = array([-INF, -LARGEST, LARGEST, INF])

    def family(low, high, edge):
        return activations.hard_bounded(x, minimum=low, maximum=high, alpha=edge)

    def run(at):
        by_alpha = [jax.jacrev(f, argnums=1)(x, at[2]) for f in (activations.celu, activations.hard_sigmoid)]
        return by_alpha, jax.jacrev(family, argnums=(0, 1, 2))(*at), jax.hessian(family, argnums=(0, 1, 2))(*at)

    by_alpha, by_all, seconds = jax.jit(run)((-0.75, 2.5, 1.5))
    np.testing.assert_array_equal(by_alpha, [[-1, -1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(by_all, [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(np.array(seconds), np.zeros((3, 3, 4)))


def test_celu_by_alpha_keeps_its_digits_near_0():
    x = -np.logspace(-15, 1.5, 100).astype(np.float32)
    z = x.astype(np.longdouble) / np.longdouble(np.float32(0.7))
    exact = np.where(z > -1e-4, -z * z / 2 - z**3 / 3, np.expm1(z) - z * np.exp(z)).astype(float)
    got = np.diag(jax.jacrev(lambda a: activations.celu(x, a))(jnp.full(x.shape, 0.7, jnp.float32)))
    np.testing.assert_allclose(got, exact, rtol=1e-6)


def test_celu_is_smooth_for_every_alpha():
    first = jax.value_and_grad(activations.celu)
    run = jax.jit(jax.vmap(lambda x, alpha: (*first(x, alpha), jax.grad(lambda v: first(v, alpha)[1])(x)), (0, None)))
    for alpha in (0.2, 1.0, 5.0):
        value, slope, second = run(array([-INF, -1e-6, 0.0, 1e-6]), alpha)
        np.testing.assert_allclose(value, array([-alpha, -1e-6, 0, 1e-6]), rtol=1e-5)
        np.testing.assert_allclose(slope, [0, 1, 1, 1], rtol=1e-5)
        np.testing.assert_allclose(second, [0, 1 / alpha, 1 / alpha, 0], rtol=1e-5)


# -------------------------------------------------------------------------------------------------------- prelu


def test_prelu_per_channel():
    rng = np.random.default_rng(2)
    x = rng.normal(0.2, 1, (3, 5, 4)).astype(np.float32)
    x[0, 0] = [0.0, -0.0, -0.6, LARGEST]
    alpha, weight = array([0.25, 0.0, -1.3, 2.0]), rng.normal(size=x.shape).astype(np.float32)

    @jax.jit
    def run(x, alpha):
        value, pull = jax.vjp(activations.prelu, x, alpha)
        return value, *pull(weight), jax.jacfwd(activations.prelu, argnums=1)(x, alpha)

    value, by_x, by_alpha, jacobian = run(x, alpha)
    for c in range(4):
        np.testing.assert_array_equal(value[..., c], activations.prelu(x[..., c], alpha[c]))
    np.testing.assert_array_equal(by_x, weight * np.where(x > 0, 1, alpha).astype(np.float32))
    assert by_alpha.shape == (4,)
    partial = np.where(x > 0, 0, x)
    np.testing.assert_array_equal(jacobian, partial[..., None] * np.eye(4, dtype=np.float32))
    np.testing.assert_allclose(by_alpha, np.sum(weight.astype(float) * partial, (0, 1)), rtol=1e-5)
    one_slope = jax.grad(lambda a: jnp.sum(weight * activations.prelu(x, a)))(0.0)
    np.testing.assert_allclose(one_slope, np.sum(weight.astype(float) * partial), rtol=1e-5)
    np.testing.assert_array_equal(activations.prelu(jnp.full((2, 4), -INF), alpha), [[-INF, 0, INF, -INF]] * 2)


def test_prelu_learns_from_a_start_at_zero():
    # S0 4.4 asks for a start other than 0. The derivative by alpha does not depend on alpha.
    x = array([-2.0, -0.5, 0.0, 3.0])
    by_alpha = jax.grad(lambda a: activations.prelu(x, a).sum())
    assert float(by_alpha(0.0)) == float(by_alpha(0.7)) == -2.5
    assert float(jax.grad(activations.prelu)(0.0, 0.4)) == np.float32(0.4)  # no dead unit at 0 either


def test_prelu_types():
    alpha = jnp.full(4, 0.3, jnp.float32)
    x = jnp.asarray(np.random.default_rng(3).normal(-1, 1, (4096, 4)), jnp.bfloat16)
    value, pull = jax.vjp(activations.prelu, x, alpha)
    by_x, by_alpha = pull(jnp.ones_like(value))
    assert value.dtype == by_x.dtype == jnp.bfloat16
    assert by_alpha.dtype == jnp.float32
    exact = np.sum(np.minimum(np.asarray(x, float), 0), 0)
    np.testing.assert_allclose(by_alpha, exact, rtol=1e-5)  # added up in float32: in bfloat16 it would end near -512
    assert loose.prelu([1, -2], 0).dtype == jnp.float32
    assert activations.prelu(jnp.zeros((0, 4)), alpha).shape == (0, 4)
    assert activations.prelu(-2.0, 0.5).shape == ()
    swept = jax.vmap(activations.prelu, (None, 0))(jnp.ones((2, 4)), jnp.ones((3, 4)))
    assert swept.shape == (3, 2, 4)


# -------------------------------------------------------------------------------------------------------- rrelu


def slopes(**options):
    return -np.asarray(activations.rrelu(-jnp.ones(100_000), **options), float)


def test_rrelu_draws_a_slope_for_every_element():
    a = np.sort(slopes(key=3))
    assert 1 / 8 <= a[0] < 0.1251
    assert 0.3332 < a[-1] <= np.float32(1 / 3)
    quantiles = np.array([0.1, 0.35, 0.5, 0.8])
    np.testing.assert_allclose(np.quantile(a, quantiles), 1 / 8 + (1 / 3 - 1 / 8) * quantiles, atol=2e-3)
    np.testing.assert_array_equal(slopes(), np.float32(11 / 48))
    other = slopes(key=3, lower=0.4, upper=0.9)
    assert 0.4 <= other.min() < 0.401
    assert 0.899 < other.max() <= 0.9
    np.testing.assert_allclose(slopes(lower=0.4, upper=0.9), 0.65, rtol=1e-6)


def test_rrelu_of_the_paper_divides():
    # S2 11.1.2 has no numbers; Xu et al. divide by U(3, 8), by the mean divisor 5.5 at test time.
    a = np.sort(1 / slopes(key=4, draw="divisor"))
    assert 3 - 1e-6 <= a[0] < 3.001
    assert 7.999 < a[-1] <= 8 + 1e-6
    np.testing.assert_allclose(np.quantile(a, [0.2, 0.5, 0.7]), [4, 5.5, 6.5], atol=0.04)
    np.testing.assert_allclose(slopes(draw="divisor"), 2 / 11, rtol=1e-7)
    assert slopes(key=3).mean() > slopes(key=4, draw="divisor").mean() + 0.02  # they are two distributions


def test_rrelu_keys():
    x = array([[-1, 2, -3], [0, -5, -6]])
    f = activations.rrelu
    np.testing.assert_array_equal(f(x, key=7), f(x, key=jax.random.key(7)))
    np.testing.assert_array_equal(f(x, key=7), jax.jit(lambda k: f(x, key=k))(jax.random.key(7)))
    assert (np.asarray(f(x, key=7)) != np.asarray(f(x, key=8))).sum() == 4
    np.testing.assert_array_equal(np.asarray(f(x, key=7))[[0, 1], [1, 0]], [2, 0])
    many = jax.vmap(lambda k: f(x, key=k))(jax.random.split(jax.random.key(1), 4))
    assert len(np.unique(np.asarray(many)[:, 0, 0])) == 4
    drawn = np.asarray(f(x, key=7)) / np.where(x < 0, x, 1)
    slope = jax.grad(lambda v: f(v, key=7).sum())(x)
    np.testing.assert_allclose(np.asarray(slope)[x < 0], drawn[x < 0], rtol=1e-6)
    for dtype in ("bfloat16", "float16"):
        assert f(jnp.asarray(x, dtype), key=7).dtype == dtype
    np.testing.assert_array_equal(f(array([-INF, INF, NAN]), key=7), [-INF, INF, NAN])


@pytest.mark.parametrize("draw", ["slope", "divisor"])
def test_rrelu_bounds_have_gradients(draw):
    x = array([-2.0, 3.0, -1.0])

    def total(bounds, key):
        return activations.rrelu(x, key=key, lower=bounds[0], upper=bounds[1], draw=draw).sum()

    for key in (None, 5):
        at = array([0.2, 0.5])
        got = jax.jit(jax.grad(functools.partial(total, key=key)))(at)
        step = array([1e-2, 0]), array([0, 1e-2])
        wanted = [(total(at + s, key) - total(at - s, key)) / 2e-2 for s in step]
        np.testing.assert_allclose(got, wanted, rtol=5e-3)


# --------------------------------------------------------------------------------------- what the names promise


def test_softshrink_minimizes_distance_plus_l1():
    grid = np.linspace(-4, 4, 80_001)
    for x in (-2.3, -0.4, 0.2, 0.9, 3.1):
        best = grid[np.argmin((grid - x) ** 2 / 2 + 0.8 * np.abs(grid))]
        np.testing.assert_allclose(activations.softshrink(x, threshold=0.8), best, atol=2e-4)
        assert float(activations.hardshrink(x, threshold=0.8)) == (np.float32(x) if abs(x) > 0.8 else 0)
    np.testing.assert_array_equal(activations.softshrink(array([-1, 0, 2]), threshold=0), [-1, 0, 2])


def test_what_the_sources_print_of_the_ramp_does_not_hold():
    # S0 4.9: the derivative above alpha is printed 1, and a >= b is said to work.
    slope = jax.grad(lambda x: activations.hard_bounded(x, minimum=-0.75, maximum=2.5, alpha=1.5))
    assert float(slope(1.6)) == 0
    np.testing.assert_allclose(slope(0.3), 3.25 / 3, rtol=1e-6)
    a, b, alpha, x = 1.0, -2.0, 1.5, np.linspace(-3, 3, 13)
    line = (b - a) / (2 * alpha) * x + (b + a) / 2
    as_max_min = np.maximum(a, np.minimum(line, b))
    as_cases = np.where(x < -alpha, a, np.where(x > alpha, b, line))
    assert (as_max_min == a).all()
    assert (as_cases[x > alpha] == b).all()


def test_a_threshold_unit_gives_0_or_1():
    # S2 10.1.3 calls its output a real number.
    x = np.random.default_rng(5).normal(size=1000).astype(np.float32)
    assert set(np.asarray(activations.step(x)).tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(activations.step(array([-1e-30, -0.0, 0.0, 1e-30])), [0, 1, 1, 1])


def test_hard_sigmoid_is_the_tangent_at_0_for_alpha_2():
    np.testing.assert_allclose(jax.grad(activations.hard_sigmoid)(0.1), jax.grad(jax.nn.sigmoid)(0.0), rtol=1e-7)
    x = array([-2.0, -0.6, 0.3, 1.1])
    np.testing.assert_allclose(activations.hard_sigmoid(x, 2.5), 0.2 * x + 0.5, rtol=1e-6, atol=1e-7)  # Keras 2
    np.testing.assert_allclose(activations.hard_sigmoid(x, 3), (x + 3) / 6, rtol=1e-6)  # PyTorch, JAX, Keras 3


def test_most_activations_of_the_source_are_unbounded():
    # S0 4 says that they limit the range.
    names = ("linear", "relu", "leaky_relu", "elu", "softplus")
    assert all(float(getattr(activations, n)(1e30)) >= 0.9e30 for n in names)
    assert float(activations.prelu(1e30, 0.25)) >= 0.9e30


# -------------------------------------------------------------------------------------------- transforms, errors


@each
@pytest.mark.slow
def test_transformations_agree(name):
    f = CASES[name].function
    x = array(np.random.default_rng(6).normal(0.3, 2, (3, 4)))
    value, slope = with_slope(name)(x)

    @jax.jit
    def ways(x):
        vmapped = jax.vmap(jax.vmap(jax.value_and_grad(f)))(x)
        return vmapped, jax.jvp(f, (x,), (jnp.ones_like(x),)), jax.grad(lambda v: jax.checkpoint(f)(v).sum())(x)

    vmapped, forward, checkpointed = ways(x)
    for got in (f(x), vmapped[0], forward[0]):
        np.testing.assert_allclose(got, value, rtol=5e-7)
    for got in (vmapped[1], forward[1], checkpointed):
        np.testing.assert_allclose(got, slope, rtol=5e-7)
    kept = [leaf for leaf in jax.tree.leaves(jax.vjp(f, x)[1]) if np.size(leaf) == x.size]
    assert len(kept) <= 1


@each
@pytest.mark.slow
def test_types(name):
    f = CASES[name].function
    with jax.numpy_dtype_promotion("strict"):
        for given in ([1, -2, 3], np.array([1, -2, 3], np.int8), np.array([True, False])):
            y = f(jnp.asarray(given))
            assert y.dtype == jnp.float32
            np.testing.assert_array_equal(y, f(jnp.asarray(given, jnp.float32)))
        for dtype in ("bfloat16", "float16", "float32"):
            assert f(jnp.ones(3, dtype)).dtype == dtype
        for shape in ((), (0,), (2, 0, 3)):
            assert f(jnp.zeros(shape)).shape == shape
        with pytest.raises(TypeError, match="x must be real; got complex64"):
            f(jnp.ones(3, jnp.complex64))


def test_parameters_do_not_promote():
    x = jnp.ones(3, jnp.bfloat16)
    for p in (np.float64(0.3), jnp.float32(0.3), 2, np.float32(0.3)):
        for f in (activations.prelu, activations.celu, activations.hard_sigmoid):
            assert f(x, p).dtype == jnp.bfloat16
        assert activations.softshrink(x, threshold=p).dtype == activations.hardshrink(x, threshold=p).dtype == x.dtype
        assert activations.rrelu(x, lower=p, upper=p, key=1).dtype == x.dtype


def test_wrong_arguments_say_what_is_right():
    x = jnp.ones((2, 3))
    for f in (loose.celu, loose.hard_sigmoid, functools.partial(_family, minimum=0, maximum=1)):
        for wrong in (0.0, -1.0, NAN):
            with pytest.raises(ValueError, match=rf"alpha must be > 0; got {wrong}"):
                f(x, alpha=wrong)
        with pytest.raises(TypeError, match="alpha must be a number; got 'big'"):
            f(x, alpha="big")
        with pytest.raises(ValueError, match=r"alpha must be a scalar; got shape \(3,\) for x of shape \(2, 3\)"):
            f(x, alpha=np.ones(3))
    for f in (loose.softshrink, loose.hardshrink):
        with pytest.raises(ValueError, match=r"threshold must be >= 0; got -0\.1"):
            f(x, threshold=-0.1)
    for low, high in ((1.0, 1.0), (2.0, -1.0)):
        with pytest.raises(ValueError, match=rf"minimum must be < maximum; got {low} and {high}"):
            _family(x, minimum=low, maximum=high, alpha=1)
    with pytest.raises(TypeError, match="maximum must be a number; got None"):
        _family(x, minimum=0, maximum=None, alpha=1)
    with pytest.raises(ValueError, match=r"alpha must have shape \(\) or \(3,\), the channels of x; got \(2,\)"):
        loose.prelu(x, np.ones(2))
    with pytest.raises(ValueError, match=r"alpha must have shape \(\), as x is a scalar; got \(2,\)"):
        loose.prelu(1.0, np.ones(2))
    with pytest.raises(TypeError, match="alpha must be real; got complex64"):
        loose.prelu(x, jnp.ones(3, jnp.complex64))
    with pytest.raises(ValueError, match=r"lower must be <= upper; got 0\.5 and 0\.2"):
        loose.rrelu(x, lower=0.5, upper=0.2)
    with pytest.raises(ValueError, match=r"lower must be > 0; got 0\.0"):
        loose.rrelu(x, lower=0.0, draw="divisor")
    with pytest.raises(ValueError, match=r"upper must be a scalar; got shape \(3,\)"):
        loose.rrelu(x, upper=np.ones(3))
    with pytest.raises(ValueError, match="draw must be one of 'slope', 'divisor'; got 'slop'; did you mean 'slope'"):
        loose.rrelu(x, draw="slop")
    with pytest.raises(TypeError, match="key must be a PRNG key"):
        loose.rrelu(x, key="seed")
    with pytest.raises(ValueError, match=r"negative_slope must be a scalar; got shape \(3,\) for x of shape \(2, 3\)"):
        loose.leaky_relu(x, np.ones(3))
    np.testing.assert_array_equal(activations.leaky_relu(-x, jnp.full((1, 3), 0.5)), -0.5 * x)


def _family(x, **options):
    return loose.hard_bounded(x, **options)


def test_traced_parameters_pass_unchecked():
    x = array([-2.0, 0.5])
    swept = jax.jit(jax.vmap(lambda a: activations.hard_bounded(x, minimum=-a, maximum=a, alpha=a)))(array([1.0, 0.6]))
    np.testing.assert_allclose(swept, [[-1, 0.5], [-0.6, 0.5]], rtol=1e-6)
    swept = jax.jit(jax.vmap(lambda t: activations.softshrink(x, threshold=t)))(array([0.2, 1.0]))
    np.testing.assert_allclose(swept, [[-1.8, 0.3], [-1, 0]], rtol=1e-6)


def test_leaky_relu_of_slope_0_at_minus_infinity():
    assert float(activations.leaky_relu(-INF, 0.0)) == 0
    assert float(activations.leaky_relu(-INF, 0.01)) == -INF
    assert np.isnan(activations.leaky_relu(NAN, 0.0))
