"""Softmax and its losses over rows of all lengths, and in arrays that XLA's CPU library takes the reductions of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import activations, losses
from jaxdict.activations import _rows

# XLA's CPU library is called from 4096 elements on, for what there is one of a row from as many rows on.
LARGE = [(4096, 10), (4096, 17), (6, 1000)]


def exact_log_softmax(x):
    """In float64, without hiding what the small ones add."""
    x = np.asarray(x, np.float64)
    u = x - x.max(-1, keepdims=True)
    first = np.arange(x.shape[-1]) == u.argmax(-1)[:, None]
    return u - np.log1p(np.where(first, 0, np.exp(u)).sum(-1, keepdims=True))


@pytest.mark.parametrize("length", [0, 1, 16, 17, 43])
def test_sums_of_slices(length):
    x = np.random.default_rng(length).normal(2, 1, (3, length, 2)).astype(np.float32)
    y = np.arange(x.size, dtype=np.float32).reshape(x.shape)
    sums = jax.jit(lambda axis: _rows.summed(lambda a, b: (a * b, b - a), axis, x, y), static_argnums=0)
    for axis in (1, -2, (0, 1), (1, -1), None):
        for got, want in zip(sums(axis), (x * y, y - x), strict=True):
            np.testing.assert_allclose(got, np.sum(want, axis, keepdims=True), rtol=1e-5)


def softmax_change(x, along):
    """``a (v - sum(a v))`` in float64, from the largest on, which ``1 - a`` would lose."""
    x, along = np.asarray(x, np.float64), np.asarray(along, np.float64)
    a = np.exp(exact_log_softmax(x))
    along = along - np.take_along_axis(along, a.argmax(-1)[..., None], -1)
    return a * (along - (a * along).sum(-1, keepdims=True))


def everything(x, labels):
    """Name -> value and gradient of a sum with uneven weights."""
    hot = jax.nn.one_hot(labels, x.shape[1])
    weights = jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) % 7
    functions = {
        "softmax": activations.softmax,
        "log_softmax": activations.log_softmax,
        "sparsemax": activations.sparsemax,
        "sparse": lambda v: losses.sparse_softmax_cross_entropy(v, labels),
        "dense": lambda v: losses.softmax_cross_entropy(v, hot),
    }
    results = {}
    for name, f in functions.items():
        value, pull = jax.vjp(f, x)
        results[name] = value, pull(weights if value.ndim == 2 else weights[:, 0] + 1)[0]
    return results


EVERYTHING = jax.jit(everything)


@pytest.mark.parametrize("shape", [LARGE[0], *(pytest.param(s, marks=pytest.mark.slow) for s in LARGE[1:])])
def test_nan_is_not_lost(shape):
    """One NaN makes its row NaN and no other, where the library's minimum and maximum would drop it."""
    x = np.random.default_rng(4).normal(0, 3, shape).astype(np.float32)
    x[1, 3] = np.nan
    for name, (value, gradient) in EVERYTHING(x, np.zeros(shape[0], np.int32)).items():
        others = np.arange(shape[0]) != 1
        if name == "sparsemax":  # a projection: the others may do without it
            assert np.isnan(value[1]).any()
        else:
            assert np.isnan(value[1]).all(), name
            assert np.isnan(gradient[1]).any(), name
        assert np.isfinite(np.asarray(value)[others]).all(), name
        assert np.isfinite(np.asarray(gradient)[others]).all(), name


@pytest.mark.parametrize("shape", LARGE)
def test_infinite_logits_in_large_arrays(shape):
    x = np.random.default_rng(5).normal(0, 3, shape).astype(np.float32)
    x[0, 4], x[1, 4], x[2], x[3, [2, 5]] = np.inf, -np.inf, -np.inf, np.inf
    labels = np.full(shape[0], 4, np.int32)
    labels[1] = 3
    results = {name: np.asarray(value, float) for name, (value, _) in EVERYTHING(x, labels).items()}
    hot = np.eye(shape[1])
    np.testing.assert_array_equal(results["softmax"][0], hot[4])
    np.testing.assert_array_equal(results["softmax"][3], (hot[2] + hot[5]) / 2)
    np.testing.assert_allclose(results["softmax"][1], np.exp(exact_log_softmax(x[1:2])[0]), rtol=2e-6)
    assert results["softmax"][1, 4] == 0
    assert (results["log_softmax"][0, 4], results["log_softmax"][1, 4]) == (0, -np.inf)
    np.testing.assert_allclose(results["log_softmax"][3, [2, 5]], -np.log(2), rtol=1e-6)
    for name in ("sparse", "dense"):
        assert results[name][0] == 0
        np.testing.assert_allclose(results[name][1], -exact_log_softmax(x[1:2])[0, 3], rtol=1e-6)
        assert np.isnan(results[name][2:4]).all()
    assert all(np.isnan(results[name][2]).all() for name in ("softmax", "log_softmax"))


@pytest.mark.parametrize("classes", [2, 17, 103, 1000])
def test_rows_of_all_lengths(classes):
    """Where one class dominates, in ties, and at either end of a row that the slices do not divide."""
    rng = np.random.default_rng(classes)
    x = rng.normal(0, 1, (6, classes)).astype(np.float32)
    labels = np.array([0, classes - 1, classes // 2, classes - 1, 0, 1])
    x[np.arange(3), labels[:3]] += np.float32(20)
    x[3, -2:] = 5
    x[4] = 0.3
    want = exact_log_softmax(x)
    results = EVERYTHING(x, labels)
    np.testing.assert_allclose(results["log_softmax"][0], want, rtol=3e-6)
    np.testing.assert_allclose(results["softmax"][0], np.exp(want), rtol=3e-6)
    weights = np.arange(x.size).reshape(x.shape) % 7
    p, hot = np.exp(want), np.eye(classes)[labels]
    off = np.where(hot == 1, -np.where(hot == 1, 0, p).sum(-1, keepdims=True), p)
    for name in ("sparse", "dense"):
        value, gradient = results[name]
        np.testing.assert_allclose(value, -want[np.arange(6), labels], rtol=3e-6)
        np.testing.assert_allclose(gradient, (weights[:, :1] + 1) * off, rtol=1e-5)
    np.testing.assert_allclose(results["softmax"][1], softmax_change(x, weights), rtol=1e-4, atol=1e-37)
    np.testing.assert_allclose(
        results["log_softmax"][1], weights - p * weights.sum(-1, keepdims=True), rtol=1e-5, atol=2e-5 * classes
    )


@pytest.mark.parametrize("classes", [10, 1000])
def test_far_apart_logits_keep_their_digits(classes):
    """Where ``x - max(x)`` is rounded, by 2e-6 of its exponential near -30: 0 is taken off instead."""
    x = np.random.default_rng(classes).normal(0, 10, (64, classes)).astype(np.float32)
    x[:, 0] = np.maximum(x[:, 0], np.float32(0.1))
    labels = np.arange(64) % classes
    want, hot = exact_log_softmax(x), np.eye(classes)[labels]
    results = EVERYTHING(x, labels)
    low = want > -80  # below, float32 has subnormals, which XLA makes 0
    np.testing.assert_allclose(results["softmax"][0][low], np.exp(want[low]), rtol=1e-6)
    np.testing.assert_allclose(results["log_softmax"][0], want, rtol=2e-6)
    if classes == 1000:
        slopes = np.where(hot == 1, np.expm1(want), np.exp(want)) * (np.arange(64)[:, None] * classes % 7 + 1)
        for name in ("sparse", "dense"):
            np.testing.assert_allclose(results[name][1][low], slopes[low], rtol=2e-6)


def log_softmax_backward(x, g):
    """``g - a sum(g)`` in float64, with what ``a`` lacks to 1."""
    g = np.asarray(g, np.float64)
    value = exact_log_softmax(np.asarray(x, np.float64))
    return -g * np.expm1(value) - np.exp(value) * (g.sum(-1, keepdims=True) - g)


@jax.jit
def changes(x, along):
    """Name -> the changes of softmax and its logarithm: forward, in reverse, both by vmap, over the first axis."""
    results = {}
    for name, f in (("softmax", activations.softmax), ("log_softmax", activations.log_softmax)):

        def forward(x, v, f=f):
            return jax.jvp(f, (x,), (v,))[1]

        def reverse(x, v, f=f):
            return jax.vjp(f, x)[1](v)[0]

        results[name] = {
            "forward": [forward(x, along), jax.vmap(forward)(x, along)],
            "reverse": [
                reverse(x, along),
                jax.vmap(reverse)(x, along),
                jax.vjp(lambda x, f=f: f(x, axis=0), x.T)[1](along.T)[0].T,
            ],
            "jacobian": jax.vmap(jax.jacrev(f))(x),  # of which only the cotangents are a batch
        }
    return results


@pytest.mark.parametrize("classes", [2, 10, 40, 300])
@pytest.mark.parametrize("gap", [3, 20, 60])
def test_changes_where_one_dominates(classes, gap):
    """Nothing is left of ``v - sum(a v)`` and of ``1 - a`` there, if they are taken as they are written."""
    rng = np.random.default_rng(gap)
    x, along = rng.normal(0, 1, (2, 5, classes)).astype(np.float32)
    x[:, 0] = gap
    along[0] = np.eye(classes)[0]
    got = changes(x, along)
    want = softmax_change(x, along)
    for change in got["softmax"]["forward"] + got["softmax"]["reverse"]:
        np.testing.assert_allclose(change, want, rtol=1e-4)
    by_jacobian = np.einsum("bij,bj->bi", got["softmax"]["jacobian"], along)
    np.testing.assert_allclose(by_jacobian, want, rtol=1e-2, atol=1e-6)
    a = np.exp(exact_log_softmax(x.astype(np.float64)))
    away = along - along[:, :1].astype(np.float64)
    for change in got["log_softmax"]["forward"]:
        np.testing.assert_allclose(change, away - (a * away).sum(-1, keepdims=True), rtol=1e-4)
    want = log_softmax_backward(x, along)
    for change in got["log_softmax"]["reverse"]:
        np.testing.assert_allclose(change[0], want[0], rtol=3e-6)
        np.testing.assert_allclose(change, want, rtol=1e-4, atol=1e-6)
    each = np.stack([log_softmax_backward(x, np.eye(classes)[[k] * 5]) for k in range(classes)], axis=1)
    np.testing.assert_allclose(got["log_softmax"]["jacobian"], each, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_changes_change(name):
    """The second derivative, in all four orders, against the formula's."""
    rng = np.random.default_rng(0)
    x, u, v = rng.normal(0, 1, (3, 7)).astype(np.float32)
    a = np.exp(exact_log_softmax(x[None])[0])
    da = softmax_change(x[None], v[None])[0]
    by_weights = da * (u - (a * u).sum()) - a * (da * u).sum()
    want = by_weights if name == "softmax" else -da * u.sum()
    f = getattr(activations, name)

    def formula(x):
        return jnp.vdot(f(x), u)

    def along(f):
        return lambda x: jax.jvp(f, (x,), (v,))[1]

    def gradient_along(f):
        return lambda x: jnp.vdot(jax.grad(f)(x), v)

    seconds = (
        along(jax.grad(formula)),
        jax.grad(along(formula)),
        jax.grad(gradient_along(formula)),
        along(jax.grad(jax.checkpoint(formula))),
    )
    *got, twice = jax.jit(lambda x: [second(x) for second in (*seconds, along(along(formula)))])(x)
    for second in got:
        np.testing.assert_allclose(second, want, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(twice, want @ v, rtol=1e-4)


@pytest.mark.parametrize("classes", [10, 300])
def test_weights_that_vanish_beside_the_largest(classes):
    """One class has all to the last bit, the largest logit as it is: its weight is 1, in every derivative."""
    x = jnp.full((1, classes), -60.0).at[0, 1].set(45.0)
    for f, weight in ((activations.softmax, 1), (activations.log_softmax, 0)):
        value, pull = jax.vjp(lambda v, f=f: f(v)[0, 1], x)
        change = jax.jvp(lambda v, f=f: f(v)[0, 1], (x,), (jnp.ones_like(x),))[1]
        assert value == weight
        np.testing.assert_array_equal(pull(1.0)[0], np.zeros((1, classes)))
        assert change == 0


def test_large_common_offsets():
    """Differences are exact there, and the results those of the small logits."""
    x = np.float32(8) * np.arange(6, dtype=np.float32)
    for offset in (2.0**26, 2.0**27, 2.0**28, 2.0**29):
        np.testing.assert_allclose(
            activations.softmax(x + np.float32(offset)),
            np.exp(exact_log_softmax((x + np.float32(offset))[None]))[0],
            rtol=1e-6,
        )


@pytest.mark.parametrize("classes", [3, 300])
def test_masked_rows_have_nothing_undefined(classes):
    mask = jnp.ones((2, classes), bool).at[1].set(False)
    with jax.debug_nans(True):
        g = jax.grad(lambda v: jnp.vdot(activations.softmax(v, where=mask), v))(jnp.ones((2, classes)))
    np.testing.assert_allclose(g[1], 0)
