"""Cross entropies on logits: to the last place, at infinite logits, label smoothing, focal loss."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxdict import losses
from loss_oracles import LABELS, TERMS, P, Y, bernoulli_terms, focal_terms, log_softmax, ulps

inf, nan = np.inf, np.nan


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


SPARSE = jax.jit(losses.sparse_softmax_cross_entropy)
SPARSE_BOTH = jax.jit(jax.vmap(jax.value_and_grad(losses.sparse_softmax_cross_entropy)))
ONE_HOT = jax.jit(losses.softmax_cross_entropy)
ONE_HOT_BOTH = jax.jit(jax.vmap(jax.value_and_grad(losses.softmax_cross_entropy)))


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
    value, gradient = (SPARSE_BOTH if integer else ONE_HOT_BOTH)(z, targets)
    alone = (SPARSE if integer else ONE_HOT)(z, targets)
    exact = [exact_softmax(row, label) for row, label in zip(z, labels, strict=True)]
    assert ulps(value, [e[0] for e in exact]).max() < limits[0]
    assert ulps(alone, [e[0] for e in exact]).max() < limits[0]
    assert ulps(gradient, [g for e in exact for g in e[1]]).max() < limits[1]


def test_sigmoid_cross_entropy_to_the_last_place():
    z = np.concatenate([np.linspace(-30, 30, 121), [-80, -16.65, -1e-6, 0, 1e-6, 17, 80, 86]]).astype(np.float32)
    term = functools.partial(losses.sigmoid_cross_entropy, axis=None)
    both = jax.jit(jax.vmap(jax.value_and_grad(term), (0, None)))
    for y in (0.0, 1.0):
        value, gradient = both(z, y)
        with mpmath.workdps(60):
            signed = [mpmath.mpf(float(v)) * (1 if y == 0 else -1) for v in z]
            values = [mpmath.log1p(mpmath.exp(s)) for s in signed]
            slopes = [(1 if y == 0 else -1) / (1 + mpmath.exp(-s)) for s in signed]
        assert ulps(value, values).max() < 3
        assert ulps(gradient, slopes).max() < 3.5


def test_softmax_gives_every_class_a_gradient():
    """softmax(z) Σy - y, whatever the targets sum to: not the label alone, as S0 1.4 has it."""
    with jax.enable_x64(True):
        z = np.array([[0.3, -2.0, 1.7], [4.0, 4.0, -1.0], [0.0, 9.0, 1.0]])
        y = np.array([[0.2, 0.5, 0.3], [0, 0.4, 0], [0, 1.5, 1.5]])
        dz, dy = jax.jit(jax.grad(lambda z, y: losses.softmax_cross_entropy(z, y).sum(), (0, 1)))(z, y)
        p = np.exp(log_softmax(z))
        np.testing.assert_allclose(dz, p * y.sum(1, keepdims=True) - y, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(dy, -log_softmax(z), rtol=1e-12)
        assert (np.abs(dz) > 1e-4).all()


LIMITS = [  # logits, label, loss, gradient by the logits
    ([-inf, 0, 1], 2, np.log1p(np.exp(-1)), [0, 0.26894142, -0.26894142]),
    ([-inf, 0, -inf], 1, 0, [0, 0, 0]),
    ([-inf, 0, 0], 0, inf, [-1, 0.5, 0.5]),
    ([inf, 0, 1], 0, 0, [0, 0, 0]),
    ([inf, 0, -inf], 1, inf, [1, -1, 0]),
    ([inf, inf, 0], 0, nan, [nan, nan, nan]),
    ([inf, 0, inf], 1, nan, [nan, nan, nan]),
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
    return both, slopes, (terms(z, y).sum(), sparse(z, label))


@pytest.mark.parametrize(("logits", "label", "loss", "gradient"), LIMITS)
def test_softmax_limits(logits, label, loss, gradient):
    both, slopes, values = _at_a_limit(np.float32(logits), label, np.eye(3, dtype=np.float32)[label])
    for value, got, hessian in both:
        np.testing.assert_allclose(value, loss, rtol=1e-6)
        np.testing.assert_allclose(got, gradient, rtol=1e-6)
        assert np.isfinite(hessian).all() or not np.isfinite(loss)
    np.testing.assert_allclose(values, [loss, loss], rtol=1e-6)
    if np.isfinite(loss):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


SIGMOID = jax.jit(lambda z, y: _derivatives(losses.sigmoid_cross_entropy, z, y))


def _derivatives(function, *arguments):
    by = tuple(range(len(arguments)))
    return function(*arguments), jax.grad(function, by)(*arguments), jax.hessian(function, by)(*arguments)


@pytest.mark.parametrize(
    ("z", "y", "loss", "gradient"),
    [(inf, 1, 0, 0), (-inf, 0, 0, 0), (inf, 0, inf, 1), (-inf, 1, inf, -1), (inf, 0.25, inf, 0.75),
     (100, 1, 3.783506e-44, 0), (-100, 0.25, 25, -0.25), (3e38, 0, 3e38, 1), (0, 0.25, np.log(2), 0.25)],
)  # fmt: skip
def test_sigmoid_limits(z, y, loss, gradient):
    z, y = np.float32([z]), np.float32([y])
    value, slopes, hessian = SIGMOID(z, y)
    np.testing.assert_allclose(value, loss, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(slopes[0], [gradient], rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(hessian[0][0][0], np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2, rtol=1e-6, atol=1e-37)
    assert hessian[0][1] == hessian[1][0] == -1 or np.isinf(z)
    if np.isfinite(loss):
        assert all(np.isfinite(s).all() for s in slopes)


def test_second_and_third_derivatives():
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


def test_many_classes():
    """Sums over a long axis, and a label at either end of it."""
    rng = np.random.default_rng(1)
    z = rng.normal(0, 3, (3, 1000)).astype(np.float32)
    labels = np.array([0, 999, 512])
    want = -log_softmax(np.float64(z))[np.arange(3), labels]
    np.testing.assert_allclose(SPARSE(z, labels), want, rtol=3e-7)
    np.testing.assert_allclose(ONE_HOT(z, np.eye(1000, dtype=np.float32)[labels]), want, rtol=3e-7)


def test_a_label_that_is_no_class_has_no_gradient():
    value, slopes = SPARSE_BOTH(P[:2], np.int32([0, 3]))
    assert list(np.isnan(value)) == [False, True]
    assert np.isnan(slopes).tolist() == [[False] * 3, [True] * 3]


def test_a_label_that_is_absent_is_impossible():
    mask = np.array([True, False, True])
    assert losses.sparse_softmax_cross_entropy(P[0], 1, where=mask) == inf
    assert losses.softmax_cross_entropy(P[0], np.array([0.5, 0, 0.5]), where=mask) < inf


# -------------------------------------------------------------------------------------------------- label smoothing


@pytest.mark.parametrize("amount", [0.0, 0.1, 1.0])
def test_label_smoothing(amount):
    """(1 - a) y + a/K, the same with integer labels, as data too; torch.nn.functional and keras agree on it."""
    hot = np.eye(3)[LABELS]
    smooth = (1 - amount) * hot + amount / 3
    want = (smooth * -log_softmax(np.float64(P))).sum(-1)
    for amount_of in (lambda a: a, jnp.float32):
        for call, second in (
            (losses.softmax_cross_entropy, hot.astype(np.float32)),
            (losses.sparse_softmax_cross_entropy, LABELS),
        ):
            np.testing.assert_allclose(call(P, second, label_smoothing=amount_of(amount)), want, rtol=4e-6)
    both = (1 - amount) * np.float64(Y) + amount / 2
    want = bernoulli_terms(np.float64(P), both).sum(-1)
    np.testing.assert_allclose(losses.sigmoid_cross_entropy(P, Y, label_smoothing=amount), want, rtol=4e-6)
    transposed = losses.softmax_cross_entropy(P.T, hot.T.astype(np.float32), label_smoothing=amount, axis=0)
    np.testing.assert_allclose(transposed, (smooth * -log_softmax(np.float64(P))).sum(-1), rtol=4e-6)


def test_label_smoothing_as_data():
    """Traced it has a gradient, and at a traced 0 an impossible class still costs nothing."""
    sparse = jax.jit(lambda z, a: losses.sparse_softmax_cross_entropy(z, LABELS, label_smoothing=a).sum())
    for function in (sparse, lambda z, a: losses.softmax_cross_entropy(z, np.eye(3)[LABELS], label_smoothing=a).sum()):
        surprise = -log_softmax(np.float64(P))
        want = (surprise.mean(-1) - surprise[np.arange(4), LABELS]).sum()
        np.testing.assert_allclose(jax.grad(function, 1)(P, 0.2), want, rtol=1e-5)
    z = np.where(np.eye(3)[[0, 1, 0, 2]] > 0, -inf, P).astype(np.float32)
    value, slopes = jax.value_and_grad(sparse)(z, 0.0)
    np.testing.assert_allclose(value, sparse(np.where(np.isinf(z), -1e9, z), 0.0), rtol=1e-6)
    assert np.isfinite(slopes).all()
    assert sparse(z, 0.1) == inf
    lanes = jax.vmap(sparse, (None, 0))(P, np.float32([0.0, 0.3]))
    np.testing.assert_allclose(lanes, [sparse(P, 0.0), sparse(P, 0.3)], rtol=1e-6)


def test_label_smoothing_with_a_mask_is_over_the_classes_that_are_there():
    mask = np.array([[True, True, False]] * 4)
    hot = np.eye(2)[[1, 0, 1, 1]]
    want = ((0.8 * hot + 0.1) * -log_softmax(np.float64(P[:, :2]))).sum(-1)
    got = losses.sparse_softmax_cross_entropy(P, [1, 0, 1, 1], label_smoothing=0.2, where=mask)
    np.testing.assert_allclose(got, want, rtol=4e-6)
    dense = losses.softmax_cross_entropy(P, np.eye(3)[[1, 0, 1, 1]], label_smoothing=0.2, where=mask)
    np.testing.assert_allclose(dense, want, rtol=4e-6)


@pytest.mark.parametrize(
    ("amount", "error", "message"),
    [(1.5, ValueError, "label_smoothing must be >= 0 and <= 1; got 1.5"),
     (-0.1, ValueError, "label_smoothing must be >= 0 and <= 1; got -0.1"),
     ("a", TypeError, "label_smoothing must be a number; got 'a'"),
     (np.full(3, 0.1), ValueError, r"label_smoothing must be a scalar; got shape \(3,\)")],
)  # fmt: skip
def test_errors_of_label_smoothing(amount, error, message):
    for call, second in (
        (losses.softmax_cross_entropy, Y), (losses.sparse_softmax_cross_entropy, LABELS),
        (losses.sigmoid_cross_entropy, Y), (losses.cross_entropy, Y), (losses.binary_cross_entropy, Y),
        (losses.sparse_cross_entropy, LABELS),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call(Y, second, label_smoothing=amount)


# ------------------------------------------------------------------------------------------------------------ focal

FOCAL = jax.jit(
    lambda z, y, gamma: _derivatives(lambda z, y, gamma: losses.focal(z, y, gamma=gamma).sum(), z, y, gamma)
)


def numeric(function, arguments, h=1e-6):
    for k, at in enumerate(arguments):
        ends = [function(*(a + (h * s if i == k else 0) for i, a in enumerate(arguments))) for s in (1, -1)]
        yield (ends[0] - ends[1]) / (2 * h) + 0 * at


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.7])
def test_focal_loss_and_its_derivatives(gamma):
    with jax.enable_x64(True):
        for z in (-3.0, 0.2, 1.7):
            for y in (0.0, 0.3, 1.0):
                gamma_in = max(gamma, 1e-3)  # central differences look at both sides
                at = np.array([z]), np.array([y]), gamma_in
                value, slopes, hessian = FOCAL(*at)
                np.testing.assert_allclose(value, focal_terms(z, y, gamma_in), rtol=1e-12)
                for got, want in zip(slopes, numeric(focal_terms, (z, y, gamma_in)), strict=True):
                    np.testing.assert_allclose(np.ravel(got), want, rtol=1e-7, atol=1e-9)
                for row in range(3):
                    wants = numeric(
                        lambda *a, row=row: float(np.ravel(FOCAL(*_arrays(*a))[1][row])[0]), (z, y, gamma_in)
                    )
                    for got, want in zip(hessian[row], wants, strict=True):
                        np.testing.assert_allclose(np.ravel(got), want, rtol=1e-6, atol=1e-8)


def _arrays(z, y, gamma):
    return np.array([z]), np.array([y]), gamma


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_limits(gamma):
    """What is met costs nothing and pulls at nothing, what is missed is the cross entropy's."""
    for z, y, loss, gradient in (
        (inf, 1, 0, 0), (-inf, 0, 0, 0), (inf, 0, inf, 1), (-inf, 1, inf, -1), (3e38, 0, 3e38, 1), (100, 1, 0, 0),
        (-3e38, 1, 3e38, -1), (80, 0, 80, 1),
    ):  # fmt: skip
        value, slopes, hessian = FOCAL(np.float32([z]), np.float32([y]), np.float32(gamma))
        np.testing.assert_allclose(value, loss, rtol=1e-6, atol=1e-20)
        np.testing.assert_allclose(slopes[0], [gradient], rtol=1e-6, atol=1e-20)
        np.testing.assert_allclose(np.ravel(hessian[0][0]), [0], atol=1e-10)
        assert np.isfinite(slopes[2])
        assert np.isfinite(slopes[1]).all() or np.isinf(loss)


def test_focal_keeps_its_digits_where_the_target_is_nearly_met():
    z = np.linspace(-20, 20, 81).astype(np.float32)
    both = jax.jit(jax.vmap(jax.value_and_grad(functools.partial(losses.focal, axis=None)), (0, None)))
    for y in (0, 1):
        value, gradient = both(z, np.float32(y))
        with mpmath.workdps(60):
            signed = [mpmath.mpf(float(v)) * (1 if y == 0 else -1) for v in z]
            miss = [1 / (1 + mpmath.exp(-s)) for s in signed]
            bce = [mpmath.log1p(mpmath.exp(s)) for s in signed]
            values = [w**2 * c for w, c in zip(miss, bce, strict=True)]
            slopes = [(1 if y == 0 else -1) * w**2 * (2 * (1 - w) * c + w) for w, c in zip(miss, bce, strict=True)]
        assert ulps(value, values).max() < 9
        assert ulps(gradient, slopes).max() < 11


def test_focal_balance_and_special_cases():
    np.testing.assert_allclose(losses.focal(P, Y, gamma=0), losses.sigmoid_cross_entropy(P, Y), rtol=1e-6)
    hot = np.eye(3, dtype=np.float32)[LABELS]
    want = np.where(hot == 1, 0.25, 0.75) * TERMS["focal"](np.float64(P), hot)
    np.testing.assert_allclose(losses.focal(P, hot, alpha=0.25), want.sum(-1), rtol=4e-6)
    by_alpha = jax.grad(lambda a: losses.focal(P, hot, alpha=a).sum())(0.25)
    np.testing.assert_allclose(
        by_alpha, (np.where(hot == 1, 1, -1) * TERMS["focal"](np.float64(P), hot)).sum(), rtol=4e-6
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [({"gamma": -1}, ValueError, "gamma must be >= 0; got -1"), ({"gamma": "a"}, TypeError, "gamma must be a number"),
     ({"gamma": np.ones(3)}, ValueError, r"gamma must be a scalar; got shape \(3,\)"),
     ({"alpha": 1.5}, ValueError, "alpha must be >= 0 and <= 1; got 1.5")],
)  # fmt: skip
def test_errors_of_focal(options, error, message):
    with pytest.raises(error, match=message):
        losses.focal(P, Y, **options)
