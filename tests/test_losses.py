"""Losses against float64 NumPy and mpmath: values, derivatives by every argument, extremes, types, errors, weights."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxdict import losses

inf, nan = np.inf, np.nan


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


def log_softmax(z):
    top = z.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def huber_terms(p, y, delta=1.0):
    d = np.abs(p - y)
    return np.where(d <= delta, d * d / 2, delta * d - delta * delta / 2)


# name -> the terms in float64 NumPy; means are marked
TERMS = {
    "l1": lambda p, y: np.abs(p - y),
    "l2": lambda p, y: (p - y) ** 2 / 2,
    "mean_squared_error": lambda p, y: (p - y) ** 2,
    "mean_absolute_error": lambda p, y: np.abs(p - y),
    "huber": huber_terms,
    "sigmoid_cross_entropy": lambda z, y: y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z)),
    "softmax_cross_entropy": lambda z, y: -y * log_softmax(z),
}
MEANS = {"mean_squared_error", "mean_absolute_error"}
ELEMENTWISE = [name for name in TERMS if name != "softmax_cross_entropy"]
DENSE = pytest.mark.parametrize("name", list(TERMS))


def oracle(name, p, y, axis=-1, **options):
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    if name == "softmax_cross_entropy" and axis is not None:
        p, y, axis = np.moveaxis(p, axis, -1), np.moveaxis(y, axis, -1), -1
    terms = TERMS[name](p, y, **options)
    return terms if axis is None else terms.mean(axis) if name in MEANS else terms.sum(axis)


def slope(name, p, y, argument=0, h=1e-6, **options):
    """Central differences of the oracle's total by every element of one argument."""
    arrays = [np.asarray(p, np.float64), np.asarray(y, np.float64)]
    result = np.zeros_like(arrays[argument])
    for index in np.ndindex(result.shape):
        ends = []
        for step in (h, -h):
            moved = [a.copy() for a in arrays]
            moved[argument][index] += step
            ends.append(oracle(name, *moved, **options).sum())
        result[index] = (ends[0] - ends[1]) / (2 * h)
    return result


RNG = np.random.default_rng(7)
P = RNG.normal(0.3, 2.0, (4, 3)).astype(np.float32)
Y = RNG.dirichlet([0.7, 1.1, 2.0], 4).astype(np.float32)  # not symmetric, sums to 1, off the predictions


def total(name, **options):
    return lambda p, y: getattr(losses, name)(p, y, **options).sum()


# compiled once for the whole file
ROWS = {name: jax.jit(getattr(losses, name)) for name in TERMS}
SLOPES = {name: jax.jit(jax.grad(total(name), (0, 1))) for name in TERMS}
HESSIANS = {name: jax.jit(jax.hessian(total(name), (0, 1))) for name in TERMS}


@DENSE
@pytest.mark.parametrize("axis", [-1, 0, 1, None])
def test_value_over_each_axis(name, axis):
    got = jax.jit(functools.partial(getattr(losses, name), axis=axis))(P, Y)
    want = oracle(name, P, Y, axis)
    assert got.shape == want.shape
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=1e-7)


@DENSE
def test_first_and_second_derivatives_by_both_arguments(name):
    for argument, got in enumerate(SLOPES[name](P, Y)):
        np.testing.assert_allclose(got, slope(name, P, Y, argument), rtol=1e-5, atol=3e-6)
    with jax.enable_x64(True):
        p, y = np.float64(P[0]), np.float64(Y[0])
        hessian = HESSIANS[name](p, y)
        for column in (0, 1):
            for k in range(3):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [p.copy(), y.copy()]
                    moved[column][k] += step
                    ends.append(SLOPES[name](*moved))
                for row in (0, 1):
                    numeric = (ends[0][row] - ends[1][row]) / 2e-6
                    np.testing.assert_allclose(hessian[row][column][:, k], numeric, atol=1e-8)


@DENSE
def test_transformations_agree(name):
    function = getattr(losses, name)

    @jax.jit
    def everything(p, y):
        forward = jax.jvp(total(name), (p, y), (jnp.ones_like(p), 2 * jnp.ones_like(y)))[1]
        return jax.vmap(function)(p, y), forward, jax.grad(jax.checkpoint(total(name)), (0, 1))(p, y)

    lanes, forward, reverse = everything(P, Y)
    want = oracle(name, P, Y)
    np.testing.assert_allclose(function(P, Y), want, rtol=3e-6)  # not compiled
    np.testing.assert_allclose(lanes, want, rtol=3e-6)
    np.testing.assert_allclose(forward, reverse[0].sum() + 2 * reverse[1].sum(), rtol=1e-5, atol=1e-5)


@DENSE
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_types(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        p, y = jnp.asarray(P, dtype), jnp.asarray(Y, dtype)
        got, slopes = jax.jit(lambda p, y: (getattr(losses, name)(p, y), jax.grad(total(name), (0, 1))(p, y)))(p, y)
        assert got.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
        # the inputs are rounded, the arithmetic is not
        np.testing.assert_allclose(got, oracle(name, p, y), rtol=1e-13 if dtype == "float64" else 3e-6)
        assert [s.dtype for s in slopes] == [p.dtype, y.dtype]
        assert all(np.isfinite(np.float64(s)).all() for s in slopes)


@DENSE
def test_integer_targets_and_types_of_the_targets_follow_the_predictions(name):
    y = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    got = ROWS[name](P, y)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, oracle(name, P, y), rtol=3e-6)
    with jax.enable_x64(True):
        assert jax.eval_shape(getattr(losses, name), P, y.astype(np.float64)).dtype == jnp.float32


@DENSE
def test_nan_stays_nan(name):
    for p, y in (([0.5, nan, 1.0], [0.2, 0.3, 0.5]), ([0.5, 2.0, 1.0], [0.2, nan, 0.5])):
        assert np.isnan(ROWS[name](np.float32(p), np.float32(y)))


@DENSE
def test_strict_promotion(name):
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(jax.hessian(total(name), (0, 1)), jnp.asarray(P), jnp.asarray(Y))


@pytest.mark.parametrize("name", ["l1", "mean_absolute_error"])
def test_absolute_derivative_at_the_kink_is_0(name):
    got = SLOPES[name](np.float32([3, -inf, 7]), np.float32([2, 1, 7]))
    for slopes, sign in zip(got, (1, -1), strict=True):
        np.testing.assert_array_equal(slopes * (1 if name == "l1" else 3), np.float32([sign, -sign, 0]))
    assert jax.jit(total(name))(np.ones(3), np.ones(3)) == 0


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.25])
def test_huber_delta(delta):
    np.testing.assert_allclose(HUBER(P, Y, delta), oracle("huber", P, Y, delta=delta), rtol=3e-6)
    by_delta = HUBER_BY_DELTA(P, Y, delta)
    ends = [oracle("huber", P, Y, delta=delta + h).sum() for h in (1e-6, -1e-6)]
    np.testing.assert_allclose(by_delta, (ends[0] - ends[1]) / 2e-6, rtol=1e-5)
    mixed = HUBER_MIXED(delta * np.float32([-2.0, 0.5, 1.0, 4.0]), np.zeros(4, np.float32), delta)
    np.testing.assert_array_equal(mixed, [-1, 0, 0, 1])


HUBER = jax.jit(lambda p, y, delta: losses.huber(p, y, delta=delta))
HUBER_BY_DELTA = jax.jit(jax.grad(lambda p, y, delta: losses.huber(p, y, delta=delta).sum(), 2))
HUBER_MIXED = jax.jit(jax.jacfwd(jax.grad(lambda p, y, delta: losses.huber(p, y, delta=delta)), 2))


def test_huber_at_delta_and_at_extremes():
    d, zero = np.float32([1.0, -1.0, 3e38, -3e38, inf, -inf, 1e-30, 0.0]), np.zeros(8, np.float32)
    np.testing.assert_array_equal(SLOPES["huber"](d, zero)[0], np.float32([1, -1, 1, -1, 1, -1, 1e-30, 0]))
    terms = jax.jit(lambda p, y: losses.huber(p, y, axis=None))(d, zero)
    np.testing.assert_array_equal(terms[:6], np.float32([0.5, 0.5, 3e38, 3e38, inf, inf]))
    curvature = np.diag(HESSIANS["huber"](d, zero)[0][0])
    np.testing.assert_array_equal(curvature, [1, 1, 0, 0, 0, 0, 1, 1])
    lanes = jax.vmap(HUBER, (None, None, 0))(np.float32([3.0]), np.float32([0.0]), np.float32([0.5, 2.0]))
    np.testing.assert_allclose(lanes, [1.375, 4.0])


# --------------------------------------------------------------------------------------------------- cross entropies


def ulps(got, exact):
    """Errors in units of the last place of the correctly rounded float32 result."""
    rounded = np.array([np.float32(float(e)) for e in exact])
    unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(np.float32).tiny)).astype(np.float64)
    return np.array(
        [abs(float(mpmath.mpf(float(g)) - e)) / u for g, e, u in zip(np.ravel(got), exact, unit, strict=True)]
    )


def exact_softmax(row, label):
    """Loss and gradient of one row, 60 digits."""
    with mpmath.workdps(60):
        z = [mpmath.mpf(float(v)) for v in row]
        top = max(z)
        weights = [mpmath.exp(v - top) for v in z]
        total = mpmath.fsum(weights)
        others = mpmath.fsum(w for j, w in enumerate(weights) if j != label)
        loss = mpmath.log1p(others / weights[label])
        return loss, [-others / total if j == label else w / total for j, w in enumerate(weights)]


SPARSE = jax.jit(jax.vmap(jax.value_and_grad(losses.sparse_softmax_cross_entropy)))
ONE_HOT = jax.jit(jax.vmap(jax.value_and_grad(lambda z, y: losses.softmax_cross_entropy(z, y))))


@pytest.mark.parametrize("integer", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize(
    ("case", "limits"),
    [("plain", (6, 9)), ("+100", (6, 9)), ("+1e4", (6, 9)), ("+1e6", (6, 9)), ("ties", (3, 3)), ("all 3e38", (3, 3)),
     # the rounding of x - max, half a unit of 20 or so, is an error of that many units of exp
     ("label +5", (9, 9)), ("label +20", (18, 18)), ("scale 10", (40, 40))],
)  # fmt: skip
def test_softmax_cross_entropy_to_the_last_place(case, limits, integer):
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1, (24, 10)).astype(np.float32)
    labels = rng.integers(0, 10, 24)
    match case.split():
        case ["scale", _]:
            z *= 10
        case ["label", more]:
            z[np.arange(24), labels] = z.max(1) + np.float32(more)
        case ["ties"]:
            z = np.round(z)
        case ["all", value]:
            z[:] = np.float32(value)
        case [more] if more != "plain":
            z = (z + np.float32(more)).astype(np.float32)
    targets = labels.astype(np.int32) if integer else np.eye(10, dtype=np.float32)[labels]
    value, gradient = (SPARSE if integer else ONE_HOT)(z, targets)
    exact = [exact_softmax(row, label) for row, label in zip(z, labels, strict=True)]
    assert ulps(value, [e[0] for e in exact]).max() < limits[0]
    assert ulps(gradient, [g for e in exact for g in e[1]]).max() < limits[1]


def test_sigmoid_cross_entropy_to_the_last_place():
    z = np.concatenate([np.linspace(-30, 30, 121), [-80, -16.65, -1e-6, 0, 1e-6, 17, 80, 86]]).astype(np.float32)
    both = jax.jit(jax.vmap(jax.value_and_grad(losses._bernoulli), (0, None)))
    for y in (0.0, 1.0):
        value, gradient = both(z, y)
        with mpmath.workdps(60):
            signed = [mpmath.mpf(float(v)) * (1 if y == 0 else -1) for v in z]
            values = [mpmath.log1p(mpmath.exp(s)) for s in signed]
            slopes = [(1 if y == 0 else -1) / (1 + mpmath.exp(-s)) for s in signed]
        assert ulps(value, values).max() < 3
        assert ulps(gradient, slopes).max() < 3.5


SHARES = np.array([[0.2, 0.5, 0.3], [0, 1, 0], [0, 0.5, 0.5]], np.float32)


def test_softmax_derivatives_with_any_targets():
    """Targets that do not sum to 1, by both arguments, in float64 against the textbook's form."""
    with jax.enable_x64(True):
        z = np.array([[0.3, -2.0, 1.7], [4.0, 4.0, -1.0], [0.0, 9.0, 1.0]])
        y = np.float64(SHARES) * np.array([[1.0], [0.4], [3.0]])
        dz, dy = SLOPES["softmax_cross_entropy"](z, y)
        p = np.exp(log_softmax(z))
        np.testing.assert_allclose(dz, p * y.sum(1, keepdims=True) - y, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(dy, -log_softmax(z), rtol=1e-12)


LIMITS = [  # logits, label, loss, gradient by the logits
    ([-inf, 0, 1], 2, np.log1p(np.exp(-1)), [0, 0.26894142, -0.26894142]),
    ([-inf, 0, -inf], 1, 0, [0, 0, 0]),
    ([-inf, 0, 0], 0, inf, [-1, 0.5, 0.5]),
    ([inf, 0, 1], 0, 0, [0, 0, 0]),
    ([inf, 0, -inf], 1, inf, [1, -1, 0]),
    ([inf, inf, 0], 0, nan, [nan, nan, nan]),
    ([-inf, -inf, -inf], 0, nan, [nan, nan, nan]),
    ([3e38, -3e38, 0], 0, 0, [0, 0, 0]),
    ([0, nan, 1], 0, nan, [nan, nan, nan]),
]


@jax.jit
def _at_a_limit(z, label, y):
    dense, sparse = losses.softmax_cross_entropy, losses.sparse_softmax_cross_entropy
    terms = functools.partial(dense, axis=None)
    both = [(*jax.value_and_grad(f)(z, t), jax.hessian(f)(z, t)) for f, t in ((sparse, label), (dense, y))]
    # forward mode meets 0 · inf between the two arguments
    slopes = [mode(f, (0, 1))(z, y) for mode in (jax.jacfwd, jax.jacrev) for f in (dense, terms)]
    return both, slopes, terms(z, y).sum()


@pytest.mark.parametrize(("logits", "label", "loss", "gradient"), LIMITS)
def test_softmax_limits(logits, label, loss, gradient):
    both, slopes, summed = _at_a_limit(np.float32(logits), label, np.eye(3, dtype=np.float32)[label])
    for value, got, hessian in both:
        np.testing.assert_allclose(value, loss, rtol=1e-6)
        np.testing.assert_allclose(got, gradient, rtol=1e-6)
        assert np.isfinite(hessian).all() or not np.isfinite(loss)
    np.testing.assert_allclose(summed, loss, rtol=1e-6)
    if np.isfinite(loss):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("z", "y", "loss", "gradient"),
    [(inf, 1, 0, 0), (-inf, 0, 0, 0), (inf, 0, inf, 1), (-inf, 1, inf, -1), (inf, 0.25, inf, 0.75),
     (100, 1, 3.783506e-44, 0), (-100, 0.25, 25, -0.25), (3e38, 0, 3e38, 1), (0, 0.25, np.log(2), 0.25)],
)  # fmt: skip
def test_sigmoid_limits(z, y, loss, gradient):
    z, y = np.float32([z]), np.float32([y])
    name = "sigmoid_cross_entropy"
    np.testing.assert_allclose(ROWS[name](z, y), loss, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(SLOPES[name](z, y)[0], [gradient], rtol=1e-6, atol=1e-37)
    hessian = HESSIANS[name](z, y)
    np.testing.assert_allclose(hessian[0][0][0], np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2, rtol=1e-6, atol=1e-37)
    assert hessian[0][1] == hessian[1][0] == -1 or np.isinf(z)
    if np.isfinite(loss):
        assert all(np.isfinite(s).all() for s in SIGMOID_FORWARD(z, y))


SIGMOID_FORWARD = jax.jit(jax.jacfwd(losses.sigmoid_cross_entropy, (0, 1)))

LABELS = np.array([2, 0, 1, 1])


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int8"])
def test_sparse_is_dense_with_one_hot_targets(dtype):
    labels, hot = LABELS.astype(dtype), np.eye(3)[LABELS]
    want = oracle("softmax_cross_entropy", P, hot)
    sparse = losses.sparse_softmax_cross_entropy

    @jax.jit
    def everything(z, y):
        forms = [sparse(z, y), sparse(z, y, axis=None), sparse(z.T, y, axis=0), jax.vmap(sparse)(z, y)]
        return forms, jax.grad(lambda z: jax.checkpoint(sparse)(z, y).sum())(z)

    forms, gradient = everything(P, labels)
    for got in forms:
        np.testing.assert_allclose(got, want, rtol=3e-6)
    np.testing.assert_allclose(gradient, np.exp(log_softmax(P.astype(np.float64))) - hot, rtol=1e-5, atol=1e-6)


def test_sparse_second_and_third_derivatives():
    with jax.enable_x64(True):
        z, step = np.array([0.3, -1.0, 2.0, 2.0]), 1e-5 * np.eye(4)[1]
        p = np.exp(log_softmax(z))
        for function, target in (
            (losses.sparse_softmax_cross_entropy, 2),
            (losses.softmax_cross_entropy, np.eye(4)[2]),
        ):
            hessian = jax.jit(jax.hessian(function))
            np.testing.assert_allclose(hessian(z, target), np.diag(p) - np.outer(p, p), atol=1e-15)
            third = jax.jit(jax.jacfwd(hessian))(z, target)[..., 1]
            ends = [hessian(z + h, target) for h in (step, -step)]
            np.testing.assert_allclose(third, (ends[0] - ends[1]) / 2e-5, atol=1e-9)


@pytest.mark.parametrize("label", [-1, 3, 1000])
def test_a_label_out_of_range_gives_nan(label):
    value, slopes = SPARSE(P[:2], np.int32([0, label]))
    assert list(np.isnan(value)) == [False, True]
    assert np.isnan(slopes).tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_sparse_types(dtype):
    with jax.enable_x64(dtype == "float64"):
        z = jnp.asarray(P, dtype)
        got, slopes = SPARSE(z, LABELS)
        assert got.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
        np.testing.assert_allclose(got, oracle("softmax_cross_entropy", z, np.eye(3)[LABELS]), rtol=2e-6)
        assert slopes.dtype == z.dtype
    with jax.numpy_dtype_promotion("strict"):
        hessian = jax.hessian(losses.sparse_softmax_cross_entropy)
        jax.eval_shape(hessian, jnp.asarray(P[0]), jnp.asarray(2, jnp.uint8))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax_cross_entropy", "sparse_softmax_cross_entropy"])
def test_reverse_mode_keeps_one_array_of_the_predictions_size(name):
    target = LABELS if name.startswith("sparse") else Y
    _, backward = jax.vjp(jax.jit(lambda p: getattr(losses, name)(p, target).sum()), jnp.asarray(P))
    kept = [leaf for leaf in jax.tree.leaves(backward) if jnp.ndim(leaf)]
    assert sum(leaf.size for leaf in kept) <= P.size


# ------------------------------------------------------------------------------------------------------------ errors


@DENSE
def test_shapes_are_never_broadcast(name):
    first = "logits" if "cross" in name else "predictions"
    message = rf"{first} and targets must have the same shape; got \(3,\) and \(3, 1\); reshape {first} to \(3, 1\)"
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(jnp.ones(3), jnp.ones((3, 1)))
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(3,\)"):
        getattr(losses, name)(jnp.ones((2, 3)), jnp.ones(3))
    with pytest.raises(ValueError, match=rf"axis must be an axis of {first}, whose shape is \(3,\), or None; got 1"):
        getattr(losses, name)(jnp.ones(3), jnp.ones(3), axis=1)
    with pytest.raises(TypeError, match=r"axis must be a whole number; got 0\.5"):
        getattr(losses, name)(jnp.ones(3), jnp.ones(3), axis=0.5)
    with pytest.raises(TypeError, match=rf"{first} must be real; got complex64"):
        getattr(losses, name)(jnp.ones(3, complex), jnp.ones(3))
    with pytest.raises(TypeError, match="targets must be real; got complex64"):
        getattr(losses, name)(jnp.ones(3), jnp.ones(3, complex))


def test_errors_of_huber_and_sparse():
    with pytest.raises(ValueError, match="delta must be > 0; got 0"):
        losses.huber(P, Y, delta=0)
    with pytest.raises(TypeError, match="delta must be a number; got 'a'"):
        losses.huber(P, Y, delta="a")
    with pytest.raises(ValueError, match=r"delta must be a scalar; got shape \(3,\)"):
        losses.huber(P, Y, delta=np.ones(3))
    sparse = losses.sparse_softmax_cross_entropy
    with pytest.raises(TypeError, match=r"labels must be integers; got float32 of shape \(4, 3\); one-hot targets are"):
        sparse(P, Y)
    message = r"labels must have the shape of logits without axis -1, \(4,\); got \(4, 1\); squeeze its last axis"
    with pytest.raises(ValueError, match=message):
        sparse(P, LABELS[:, None])
    with pytest.raises(ValueError, match=r"without axis 0, \(3,\); got \(4,\)$"):
        sparse(P, LABELS, axis=0)
    with pytest.raises(ValueError, match=r"axis must be an axis of logits, whose shape is \(\), or None; got -1"):
        sparse(1.0, 0)
    with pytest.raises(TypeError, match="logits must be real; got complex64"):
        sparse(jnp.ones((4, 3), complex), LABELS)


# ----------------------------------------------------------------------------------------------------- mean, weights

VALUES = np.array([0.5, -1.25, 3.0, 8.0], np.float32)
W = np.array([1.0, 0.0, 2.5, 0.25], np.float32)


def test_mean_over_a_batch():
    np.testing.assert_allclose(losses.mean(VALUES), VALUES.mean())
    np.testing.assert_allclose(losses.mean(VALUES.reshape(2, 2)), VALUES.mean())
    np.testing.assert_allclose(losses.mean(VALUES, sample_weight=W), (W * VALUES).sum() / 4)
    got = losses.mean(VALUES.reshape(2, 2), sample_weight=W.reshape(2, 2), normalize="weights")
    np.testing.assert_allclose(got, (W * VALUES).sum() / W.sum())
    np.testing.assert_allclose(losses.mean(VALUES, sample_weight=W > 0, normalize="weights"), 11.5 / 3, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda v: losses.mean(v, sample_weight=W))(VALUES), W / 4)


@pytest.mark.parametrize("class_weight", [{2: 3.0, 0: 0.5}, np.array([0.5, 1.0, 3.0]), [0.5, 1, 3]], ids=str)
def test_class_weights(class_weight):
    want = W * np.array([3.0, 0.5, 1.0, 1.0])
    reduce = functools.partial(losses.mean, VALUES, sample_weight=W, class_weight=class_weight)
    np.testing.assert_allclose(reduce(labels=LABELS), (want * VALUES).sum() / 4)
    np.testing.assert_allclose(jax.jit(lambda y: reduce(labels=y))(LABELS), (want * VALUES).sum() / 4)
    np.testing.assert_allclose(reduce(labels=LABELS, normalize="weights"), (want * VALUES).sum() / want.sum())
    np.testing.assert_allclose(losses.weights_of(W, class_weight, LABELS, 4), want)


def test_class_weights_may_be_traced_and_a_label_beyond_them_is_nan():
    got = jax.jit(lambda w: losses.mean(VALUES, class_weight={1: w}, labels=LABELS))(2.0)
    np.testing.assert_allclose(got, (0.5 - 1.25 + 6 + 16) / 4)
    table = jnp.array([0.5, 1.0, 3.0])
    assert np.isnan(losses.mean(VALUES, class_weight=table, labels=jnp.array([0, 1, 2, 3])))
    assert np.isnan(losses.mean(VALUES, class_weight=table, labels=jnp.array([0, 1, 2, -1])))


def test_mean_without_weight_and_types():
    for normalize in ("count", "weights"):
        assert losses.mean(VALUES, sample_weight=np.zeros(4), normalize=normalize) == 0
        assert losses.mean(np.zeros(0), sample_weight=np.zeros(0), normalize=normalize) == 0
        slopes = jax.grad(lambda v: losses.mean(v, sample_weight=np.zeros(4), normalize=normalize))(VALUES)  # noqa: B023
        np.testing.assert_array_equal(slopes, 0)
        masked = losses.mean(np.array([1.0, nan, inf, 2.0]), sample_weight=np.array([1, 0, 0, 1]), normalize=normalize)
        assert masked == (0.75 if normalize == "count" else 1.5)
    many = jnp.full(4096, 1.0, jnp.bfloat16)
    assert losses.mean(many).dtype == jnp.float32
    assert losses.mean(many, sample_weight=many, normalize="weights") == 1  # bfloat16 sums stop at 256
    with jax.enable_x64(True):
        assert losses.mean(jnp.ones(3), sample_weight=np.ones(3, np.float32)).dtype == jnp.float64
    with jax.numpy_dtype_promotion("strict"):
        losses.mean(jnp.asarray(VALUES), sample_weight=jnp.asarray(W), class_weight={1: 2}, labels=jnp.asarray(LABELS))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"normalize": "sum"}, ValueError, "normalize must be one of 'count', 'weights'; got 'sum'"),
        (
            {"sample_weight": W[:3]},
            ValueError,
            r"values and sample_weight must have the same shape; got \(4,\) and \(3,\)",
        ),
        ({"class_weight": {0: 1.0}}, ValueError, "class_weight needs labels=…"),
        ({"class_weight": {0: 1.0}, "labels": [0, 1]}, ValueError, r"values and labels must have the same shape"),
        ({"class_weight": {0: 1.0}, "labels": W}, TypeError, "labels must be integers; got float32"),
        (
            {"class_weight": {0: -1.0}, "labels": LABELS},
            ValueError,
            r"class_weight\[0\] must be >= 0 and < inf; got -1.0",
        ),
        (
            {"class_weight": {"a": 1.0}, "labels": LABELS},
            TypeError,
            "class_weight must be keyed by integer labels; got 'a'",
        ),
        (
            {"class_weight": {-1: 1.0}, "labels": LABELS},
            ValueError,
            "class_weight names class -1; the classes are 0, 1, …",
        ),
        ({"class_weight": [1, nan, 1], "labels": LABELS}, ValueError, "class_weight must be >= 0"),
        (
            {"class_weight": "balanced", "labels": LABELS},
            TypeError,
            r"must be an array \(K,\) or a dict .* got 'balanced'",
        ),
        ({"class_weight": 2.0, "labels": LABELS}, TypeError, r"class_weight must be an array \(K,\) or a dict"),
    ],
)
def test_errors_of_mean(options, error, message):
    with pytest.raises(error, match=message):
        losses.mean(VALUES, **options)


def test_complex_values_have_no_mean():
    with pytest.raises(TypeError, match="values must be real; got complex64"):
        losses.mean(jnp.ones(3, complex))


def test_weights_of_a_data_set():
    np.testing.assert_array_equal(losses.weights_of(None, None, None, 3), np.ones(3, np.float32))
    got = losses.weights_of([1, 2.5, 0, 1], {1: 4}, LABELS, 4, classes=5)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, [1, 2.5, 0, 4])
    assert losses.weights_of(None, {0: 2.0}, np.zeros(0, int), 0, classes=3).shape == (0,)


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((W[:3], None, None, 4), {}, ValueError, r"one weight an example, shape \(4,\); got \(3,\)"),
        (
            ([1, 2, nan, 1], None, None, 4),
            {},
            ValueError,
            "sample_weight must be >= 0 and finite; got nan at example 2",
        ),
        (
            ([1, -2, 0, 1], None, None, 4),
            {},
            ValueError,
            r"sample_weight must be >= 0 and finite; got -2.0 at example 1",
        ),
        (([1, inf, 0, 1], None, None, 4), {}, ValueError, "got inf at example 1"),
        ((None, {7: 1.0}, LABELS, 4), {}, ValueError, "class_weight names class 7; the classes are 0 to 2"),
        ((None, {4: 1.0}, LABELS, 4), {"classes": 4}, ValueError, "class_weight names class 4; the classes are 0 to 3"),
        ((None, {True: 1.0}, LABELS, 4), {}, TypeError, "keyed by integer labels; got True"),
        ((None, {1: nan}, LABELS, 4), {}, ValueError, r"class_weight\[1\] must be >= 0 and < inf; got nan"),
        ((None, {1: "a"}, LABELS, 4), {}, TypeError, r"class_weight\[1\] must be a number; got 'a'"),
        ((None, [1.0, 2.0], LABELS, 4), {}, ValueError, "labels must be classes, 0 to 1; got 2"),
        ((None, [1.0, 2.0, 1.0], LABELS, 4), {"classes": 4}, ValueError, "must have one weight a class, 4; got 3"),
        ((None, {0: 1.0}, LABELS, 4), {"classes": 2}, ValueError, "labels must be classes, 0 to 1; got 2"),
        ((None, {0: 1.0}, [0, -1, 1, 2], 4), {}, ValueError, "labels must be classes, 0 to 2; got -1"),
        ((None, {0: 1.0}, LABELS[:2], 4), {}, ValueError, r"one label an example, shape \(4,\); got \(2,\)"),
        ((None, {0: 1.0}, np.eye(3)[LABELS], 4), {}, TypeError, "labels must be integers; .* argmax of one-hot"),
        ((None, {0: 1.0}, None, 4), {}, ValueError, "class_weight needs labels"),
    ],
)
def test_errors_of_weights_of(args, options, error, message):
    with pytest.raises(error, match=message):
        losses.weights_of(*args, **options)
