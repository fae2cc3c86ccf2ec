"""Losses of real numbers and of directions: kinks, extremes, options, accuracy."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxdict import losses
from loss_oracles import P, Y, cosine, oracle, ulps

inf, nan = np.inf, np.nan


def derivatives(function):
    """Values, gradients and second derivatives of the terms at targets of 0."""
    term = functools.partial(function, axis=None)
    each = jax.vmap(lambda p, y: (term(p, y), jax.grad(term)(p, y), jax.grad(jax.grad(term))(p, y)))
    return jax.jit(lambda p: each(p, jnp.zeros_like(p)))


@pytest.mark.parametrize("name", ["l1", "mean_absolute_error"])
def test_absolute_derivative_at_the_kink_is_0(name):
    """S0 1.1 writes |d|/d, which is undefined there."""
    slopes = jax.jit(jax.grad(lambda p, y: getattr(losses, name)(p, y).sum(), (0, 1)))
    for got, sign in zip(slopes(np.float32([3, -inf, 7]), np.float32([2, 1, 7])), (1, -1), strict=True):
        np.testing.assert_array_equal(got * (1 if name == "l1" else 3), np.float32([sign, -sign, 0]))


def test_l2_is_half_a_sum():
    """S0 1.2 calls it a mean."""
    half = losses.l2(P, Y)
    np.testing.assert_allclose(half, 1.5 * losses.mean_squared_error(P, Y), rtol=1e-6)
    large = np.float32([2.5e19])  # its square is beyond float32, half of it is not
    np.testing.assert_allclose(losses.l2(large, 0 * large), 3.125e38, rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- huber

HUBER = jax.jit(lambda p, y, delta: losses.huber(p, y, delta=delta))
HUBER_BY_DELTA = jax.jit(jax.grad(lambda p, y, delta: losses.huber(p, y, delta=delta).sum(), 2))
HUBER_MIXED = jax.jit(jax.jacfwd(jax.grad(lambda p, y, delta: losses.huber(p, y, delta=delta)), 2))


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.25])
def test_huber_delta(delta):
    np.testing.assert_allclose(HUBER(P, Y, delta), oracle("huber", P, Y, delta=delta), rtol=3e-6)
    ends = [oracle("huber", P, Y, delta=delta + h).sum() for h in (1e-6, -1e-6)]
    np.testing.assert_allclose(HUBER_BY_DELTA(P, Y, delta), (ends[0] - ends[1]) / 2e-6, rtol=1e-5)
    mixed = HUBER_MIXED(delta * np.float32([-2.0, 0.5, 1.0, 4.0]), np.zeros(4, np.float32), delta)
    np.testing.assert_array_equal(mixed, [-1, 0, 0, 1])


def test_huber_at_delta_and_at_extremes():
    d = np.float32([1.0, -1.0, 3e38, -3e38, inf, -inf, 1e-30, 0.0])
    value, slopes, curvature = derivatives(losses.huber)(d)
    np.testing.assert_array_equal(value[:6], np.float32([0.5, 0.5, 3e38, 3e38, inf, inf]))
    np.testing.assert_array_equal(slopes, np.float32([1, -1, 1, -1, 1, -1, 1e-30, 0]))
    np.testing.assert_array_equal(curvature, [1, 1, 0, 0, 0, 0, 1, 1])
    lanes = jax.vmap(HUBER, (None, None, 0))(np.float32([3.0]), np.float32([0.0]), np.float32([0.5, 2.0]))
    np.testing.assert_allclose(lanes, [1.375, 4.0])


def test_errors_of_huber():
    with pytest.raises(ValueError, match="delta must be > 0; got 0"):
        losses.huber(P, Y, delta=0)
    with pytest.raises(TypeError, match="delta must be a number; got 'a'"):
        losses.huber(P, Y, delta="a")
    with pytest.raises(ValueError, match=r"delta must be a scalar; got shape \(3,\)"):
        losses.huber(P, Y, delta=np.ones(3))


# ---------------------------------------------------------------------------------------------------------- log-cosh


def test_log_cosh_to_the_last_place():
    d = np.concatenate([np.logspace(-15, 4, 150), np.linspace(0.5, 1, 60), [0.6, 0.8, 1e30, 3e38]]).astype(np.float32)
    d = np.concatenate([d, -d])
    value, slopes, curvature = derivatives(losses.log_cosh)(d)
    with mpmath.workdps(60):
        exact = [abs(v) + mpmath.log1p(mpmath.exp(-2 * abs(v))) - mpmath.ln2 for v in map(mpmath.mpf, d.tolist())]
        tanhs = [mpmath.tanh(mpmath.mpf(v)) for v in d.tolist()]
    assert ulps(value, exact).max() < 2
    assert ulps(slopes, tanhs).max() < 1.6
    assert np.isfinite(curvature).all()
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(curvature, 1 / np.cosh(np.float64(d)) ** 2, rtol=1e-6, atol=1e-37)


def test_log_cosh_limits_and_float64():
    value, slopes, curvature = derivatives(losses.log_cosh)(np.float32([inf, -inf, 0]))
    np.testing.assert_array_equal([value, slopes, curvature], [[inf, inf, 0], [1, -1, 0], [0, 0, 1]])
    with jax.enable_x64(True):
        d = np.array([1e-9, 1e-3, 0.3, 0.999, 1.001, 5.0, 800.0])
        value, slopes, curvature = derivatives(losses.log_cosh)(d)
        with mpmath.workdps(40):
            exact = [float(mpmath.log(mpmath.cosh(mpmath.mpf(v)))) for v in d.tolist()]
        np.testing.assert_allclose(value, exact, rtol=1e-15)
        np.testing.assert_allclose(slopes, np.tanh(d), rtol=1e-15)
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(curvature, 1 / np.cosh(d) ** 2, rtol=1e-13, atol=1e-300)


# ------------------------------------------------------------------------------------------------------- likelihoods


@pytest.mark.parametrize("shape", [(), (4, 3)])
def test_gaussian_likelihood(shape):
    variance = np.random.default_rng(0).uniform(0.2, 3, shape).astype(np.float32)
    density = scipy.stats.norm.logpdf(np.float64(Y), np.float64(P), np.sqrt(np.float64(variance)))
    full = jax.jit(lambda v: losses.gaussian_nll(P, Y, variance=v, full=True))
    np.testing.assert_allclose(full(variance), -density.sum(-1), rtol=2e-6)
    d2 = (np.float64(P) - Y) ** 2
    by_variance = jax.grad(lambda v: full(v).sum())(variance)
    want = (1 - d2 / variance) / (2 * np.float64(variance))
    np.testing.assert_allclose(by_variance, want if shape else want.sum(), rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(losses.gaussian_nll(P, Y), losses.l2(P, Y), rtol=1e-6)


def test_the_gaussian_likelihood_is_half_the_square_up_to_a_constant():
    """S3 writes 'proportional to': their difference, not their ratio, is the same everywhere."""
    difference = losses.gaussian_nll(P, Y, full=True) - losses.l2(P, Y)
    np.testing.assert_allclose(difference, 1.5 * np.log(2 * np.pi), rtol=1e-6)


def test_gaussian_extremes():
    both = jax.jit(jax.value_and_grad(lambda p, v: losses.gaussian_nll(p, 0 * p, variance=v).sum(), (0, 1)))
    value, (by_p, by_v) = both(np.float32([1e25]), np.float32(1e25))  # their square is beyond float32
    np.testing.assert_allclose([value, by_p[0], by_v], [5e24, 1, -0.5], rtol=1e-6)
    mask = np.array([True, False])
    spoilt = losses.gaussian_nll(P[0, :2], Y[0, :2], variance=np.float32([0.5, nan]), where=mask)
    np.testing.assert_allclose(spoilt, (P[0, 0] - Y[0, 0]) ** 2 + np.log(0.5) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("variance", "error", "message"),
    [(0, ValueError, "variance must be > 0; got 0"), ("a", TypeError, "variance must be a number; got 'a'"),
     (np.ones(3), ValueError, r"predictions and variance must have the same shape; got \(4, 3\) and \(3,\)")],
)  # fmt: skip
def test_errors_of_gaussian_nll(variance, error, message):
    with pytest.raises(error, match=message):
        losses.gaussian_nll(P, Y, variance=variance)


COUNTS = np.float32([[0, 1, 7], [3, 0, 2], [1, 1, 1], [12, 0, 5]])


def test_poisson_likelihood():
    with np.errstate(divide="ignore"):
        density = scipy.stats.poisson.logpmf(COUNTS, np.exp(np.float64(P)))
    np.testing.assert_allclose(losses.poisson_nll(P, COUNTS, full=True), -density.sum(-1), rtol=3e-6)
    rates = np.exp(P)
    np.testing.assert_allclose(
        losses.poisson_nll(rates, COUNTS, full=True, log_input=False), -density.sum(-1), rtol=3e-6
    )
    constant = scipy.special.gammaln(np.float64(COUNTS) + 1).sum(-1)
    np.testing.assert_allclose(losses.poisson_nll(P, COUNTS), -density.sum(-1) - constant, rtol=3e-6, atol=1e-6)
    rate = functools.partial(losses.poisson_nll, log_input=False)
    both = jax.jit(lambda r: (jax.grad(lambda r: rate(r, COUNTS).sum())(r), jax.vmap(jax.hessian(rate))(r, COUNTS)))
    slopes, hessian = both(rates)
    np.testing.assert_allclose(slopes, 1 - COUNTS / np.float64(rates), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.diagonal(hessian, axis1=1, axis2=2), COUNTS / np.float64(rates) ** 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("log_input", "p", "y", "loss", "slope"),
    [(True, -inf, 0, 0, 0), (True, -inf, 2, inf, -2), (True, inf, 0, inf, inf), (True, inf, 3, inf, inf),
     (True, 90.0, 1e38, -inf, inf), (True, 88.5, 1e36, np.exp(88.5) - 88.5e36, np.exp(88.5) - 1e36),
     (True, 0, 1, 1, 0), (False, 0, 0, 0, 1), (False, 0, 1, inf, -inf), (False, inf, 3, inf, 1),
     (False, 2, 2, 2 - 2 * np.log(2), 0)],
)  # fmt: skip
def test_poisson_limits(log_input, p, y, loss, slope):
    value, slopes, second = POISSON[log_input](np.float32([p]), np.float32([y]))
    np.testing.assert_allclose([value, slopes[0]], [loss, slope], rtol=1e-5)
    assert not np.isnan(second).any()


def _poisson(log_input):
    term = functools.partial(losses.poisson_nll, log_input=log_input)
    return jax.jit(lambda p, y: (term(p, y), jax.grad(term)(p, y), jax.hessian(term)(p, y)))


POISSON = {log_input: _poisson(log_input) for log_input in (True, False)}


# -------------------------------------------------------------------------------------------------------- directions

SIMILARITY = jax.jit(jax.vmap(jax.value_and_grad(losses.cosine_similarity)))
DISTANCE = jax.jit(jax.vmap(jax.value_and_grad(losses.cosine_distance)))


@pytest.mark.parametrize("scales", [(1, 1), (1e30, 1e-30), (1e19, 1e19), (1e-22, 1e-22), (1e37, 3e37)])
def test_the_cosine_at_every_length(scales):
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 20, 32)).astype(np.float32)
    b[:4], b[4:8] = 1.7 * a[:4], -a[4:8]
    a, b = (np.float32(v * np.float32(s)) for v, s in zip((a, b), scales, strict=True))
    exact = cosine(np.float64(a), np.float64(b))
    value, slopes = SIMILARITY(a, b)
    np.testing.assert_allclose(value, exact, atol=2.5e-7)
    np.testing.assert_allclose(jax.jit(losses.cosine_similarity)(a, b), exact, atol=2.5e-7)
    assert (np.abs(value) <= 1).all()
    u, v = (x / np.sqrt((x * x).sum(-1, keepdims=True)) for x in (np.float64(a), np.float64(b)))
    if scales[0] < 1e30:  # beyond, the gradients are below the smallest float
        length = np.sqrt((np.float64(a) ** 2).sum(-1, keepdims=True))
        np.testing.assert_allclose(np.float64(slopes) * length, v - exact[:, None] * u, atol=3e-7)
    distance, back = DISTANCE(a, b)
    np.testing.assert_allclose(distance, ((u - v) ** 2).sum(-1) / 2, rtol=6e-7, atol=1e-13)
    np.testing.assert_allclose(back, -slopes, atol=1e-30)


def test_a_vector_of_0_has_no_direction():
    a = np.float32([[0, 0, 0], [1, 2, -1], [0, 0, 0]])
    b = np.float32([[1, -2, 0.5], [0, 0, 0], [0, 0, 0]])
    for both, at_0 in ((SIMILARITY, 0), (DISTANCE, 1)):
        value, slopes = both(a, b)
        np.testing.assert_array_equal(value, [at_0] * 3)
        np.testing.assert_array_equal(slopes, np.zeros((3, 3)))
    second = jax.jit(jax.hessian(losses.cosine_similarity, (0, 1)))
    for one, other in zip(a, b, strict=True):
        assert all(np.isfinite(h).all() for h in jax.tree.leaves(second(one, other)))


def test_the_distance_of_nearly_parallel_vectors():
    """Half the squared difference of unit vectors; one minus the cosine would be 0 or noise."""
    rng = np.random.default_rng(4)
    a = rng.normal(size=(20, 32)).astype(np.float32)
    b = (a * (1 + 1e-5 * rng.normal(size=a.shape))).astype(np.float32)
    u, v = (x / np.sqrt((x * x).sum(-1, keepdims=True)) for x in (np.float64(a), np.float64(b)))
    np.testing.assert_allclose(jax.jit(losses.cosine_distance)(a, b), ((u - v) ** 2).sum(-1) / 2, rtol=0.02)


def test_the_cosine_needs_an_axis():
    for function in (losses.cosine_similarity, losses.cosine_distance):
        with pytest.raises(TypeError, match="axis must be a whole number; got None"):
            function(P, Y, axis=None)
    assert np.isnan(losses.cosine_similarity(jnp.array([inf, 1.0]), jnp.ones(2)))
