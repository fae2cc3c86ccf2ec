"""Losses of probabilities: exact at 0 and 1 and next to them, nothing clipped."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxdict import losses
from loss_oracles import LABELS, Q, Y, oracle, ulps

inf = np.inf
TINY = 1.1754944e-38  # the smallest normal float32


def derivatives(function):
    total = functools.partial(function, axis=None)
    return jax.jit(lambda p, y: (total(p, y), jax.grad(total, (0, 1))(p, y), jax.hessian(total)(p, y)))


CROSS, BINARY, RELATIVE = map(derivatives, (losses.cross_entropy, losses.binary_cross_entropy, losses.kl_divergence))


@pytest.mark.parametrize(
    ("both", "p", "y", "loss", "by_p", "by_y", "curvature"),
    [
        (CROSS, 0, 0, 0, 0, 0, 0), (CROSS, 0, 1, inf, -inf, inf, inf), (CROSS, 1, 1, 0, -1, 0, 1),
        (CROSS, 1, 0, 0, 0, 0, 0), (CROSS, 0.5, 0, 0, 0, np.log(2), 0),
        (BINARY, 0, 0, 0, 1, 0, 1), (BINARY, 1, 1, 0, -1, 0, 1), (BINARY, 0, 1, inf, -inf, inf, inf),
        (BINARY, 1, 0, inf, inf, -inf, inf), (BINARY, 0, 0.5, inf, -inf, inf, inf),
        (BINARY, 0.5, 0.5, np.log(2), 0, 0, 4),
        (RELATIVE, 0, 0, 0, 0, 0, 0), (RELATIVE, 0.5, 0, 0, 0, 0, 0), (RELATIVE, 0, 0.5, inf, -inf, inf, inf),
        (RELATIVE, 0.3, 0.3, 0, -1, 1, 1 / 0.3), (RELATIVE, 1, 1, 0, -1, 1, 1),
    ],
)  # fmt: skip
def test_at_0_and_1(both, p, y, loss, by_p, by_y, curvature):
    value, slopes, second = both(np.float32(p), np.float32(y))
    np.testing.assert_allclose([value, *slopes, second], [loss, by_p, by_y, curvature], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types_at_0_and_1(dtype):
    """Clipping at 1 - 1e-7 would round to 1, and give NaN."""
    p = jnp.array([0, 1, 1, 0], dtype)
    for y in (p, 1 - p):
        value, slopes = jax.value_and_grad(lambda p, y=y: losses.binary_cross_entropy(p, y).sum())(p)
        assert value == (0 if y is p else inf)
        assert not np.isnan(np.float32(slopes)).any()


def test_to_the_last_place():
    """From the smallest number, which XLA on the CPU reads as 0, to 1."""
    small = np.array([1, 3, 1 << 21, (1 << 22) + 5, (1 << 23) - 1], np.int32).view(np.float32)
    below_1 = np.float32(1) - np.float32(2) ** np.arange(-24, -1, dtype=np.float32)
    p = np.concatenate([small, np.logspace(-37, -0.01, 60).astype(np.float32), below_1, np.linspace(0.05, 0.95, 50)])
    p = np.float32(p)
    for function, y, exact in (
        (losses.cross_entropy, 1, lambda p: (-mpmath.log(p), -1 / p)),
        (losses.binary_cross_entropy, 1, lambda p: (-mpmath.log(p), -1 / p)),
        (losses.binary_cross_entropy, 0, lambda p: (-mpmath.log1p(-p), 1 / (1 - p))),
        (losses.kl_divergence, 1, lambda p: (-mpmath.log(p), -1 / p)),
    ):
        both = jax.jit(jax.vmap(jax.value_and_grad(functools.partial(function, axis=None)), (0, None)))
        value, slopes = map(np.asarray, both(p, np.float32(y)))
        with mpmath.workdps(60):
            wanted = [exact(mpmath.mpf(float(v))) for v in p]
        limit = 3 if function is losses.kl_divergence else 1.3
        normal = np.array([abs(float(w[0])) >= TINY for w in wanted])
        assert ulps(value[normal], [w[0] for w, n in zip(wanted, normal, strict=True) if n]).max() < limit
        finite = np.array([abs(float(w[1])) < 3.4028235e38 for w in wanted])
        assert np.isinf(slopes[~finite]).all()
        assert ulps(slopes[finite], [w[1] for w, f in zip(wanted, finite, strict=True) if f]).max() < 1.6


def test_binary_gradient_keeps_its_digits_at_its_root():
    p = np.nextafter(np.float32(0.3), np.float32(1))
    slope = jax.grad(losses.binary_cross_entropy)(p[None], np.float32([0.3]))
    exact = (float(p) - float(np.float32(0.3))) / (float(p) * (1 - float(p)))
    np.testing.assert_allclose(slope, [exact], rtol=3e-7)


def test_outside_0_and_1_is_nan():
    for p, y in ((1.5, 1), (1.5, 0), (-0.25, 0), (-0.25, 1), (-0.25, 0.5)):
        assert np.isnan(losses.binary_cross_entropy(np.float32([p]), np.float32([y])))
    for function in (losses.cross_entropy, losses.kl_divergence):
        assert np.isnan(function(np.float32([-0.25]), np.float32([0])))
        assert np.isnan(function(np.float32([-0.25]), np.float32([0.5])))


def test_nothing_is_clipped_or_divided_by_its_sum():
    tiny = np.float32([[1e-30, 0.2]])
    np.testing.assert_allclose(losses.cross_entropy(tiny, np.float32([[1, 0]])), [-np.log(1e-30)], rtol=1e-6)
    np.testing.assert_allclose(losses.cross_entropy(tiny, np.float32([[0, 1]])), [-np.log(0.2)], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(losses.cross_entropy)(tiny[0], np.float32([1, 0])), [-1e30, 0], rtol=1e-6)


# -------------------------------------------------------------------------------------------------- relative entropy


@pytest.mark.parametrize("spread", [0.3, 1e-2, 1e-4, 0])
def test_divergence_of_nearly_equal_distributions(spread):
    """Right to a few units of the largest term, where a logarithm of the ratio loses all digits; 0 where equal."""
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(12), 20).astype(np.float32)
    q = (p * (1 + spread * rng.uniform(-1, 1, p.shape))).astype(np.float32)
    got = np.asarray(jax.jit(losses.kl_divergence)(q, p))
    with mpmath.workdps(40):
        terms = [[mpmath.mpf(float(a)) * mpmath.log(mpmath.mpf(float(a)) / mpmath.mpf(float(b))) for a, b in
                  zip(*rows, strict=True)] for rows in zip(p, q, strict=True)]  # fmt: skip
        exact = np.array([float(mpmath.fsum(row)) for row in terms])
    largest = np.array([max(abs(float(t)) for t in row) for row in terms])
    assert (np.abs(got - exact) <= 12 * np.spacing(largest.astype(np.float32))).all() if spread else (got == 0).all()


def test_divergence_from_hard_targets_is_the_cross_entropy():
    """S0 1.5 gives targets of 0 or 1, with which nothing is left of y ln y."""
    hot = np.eye(3, dtype=np.float32)[LABELS]
    np.testing.assert_allclose(losses.kl_divergence(Q, hot), losses.cross_entropy(Q, hot), rtol=1e-6)
    smooth = losses.cross_entropy(Q, Y) - losses.cross_entropy(Y, Y)
    np.testing.assert_allclose(losses.kl_divergence(Q, Y), smooth, rtol=1e-5, atol=1e-6)


def test_divergence_through_a_softmax():
    """softmax(z) Σy - y, not -y/ŷ."""
    z = np.float32([0.3, -1.0, 2.0])
    y = np.float32([0.2, 0.0, 1.1])
    slopes = jax.jit(jax.grad(lambda z: losses.kl_divergence(jax.nn.softmax(z), y)))(z)
    p = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(slopes, p * y.sum() - y, rtol=1e-5, atol=1e-6)


def test_a_teacher_that_gives_exact_zeros_has_gradients():
    """Through a softmax that underflows, by both arguments."""
    student, teacher = np.float32([0.5, -1.0, 1.0]), np.float32([0.0, -200.0, 1.0])

    def distilled(s, t):
        return losses.kl_divergence(jax.nn.softmax(s), jax.nn.softmax(t))

    by_student, by_teacher = jax.jit(jax.grad(distilled, (0, 1)))(student, teacher)
    assert np.isfinite(by_student).all()
    assert np.isfinite(by_teacher).all()
    assert by_teacher[1] == 0


# ---------------------------------------------------------------------------------------- label smoothing and labels


@pytest.mark.parametrize("amount", [0.0, 0.2])
@pytest.mark.parametrize("traced", [False, True])
def test_label_smoothing(amount, traced):
    a = jnp.float32(amount) if traced else amount
    hot = np.eye(3)[LABELS]
    smooth = (1 - amount) * hot + amount / 3
    call = jax.jit if traced else lambda f: f
    dense = call(lambda a: losses.cross_entropy(Q, hot, label_smoothing=a))(a)
    sparse = call(lambda a: losses.sparse_cross_entropy(Q, LABELS, label_smoothing=a))(a)
    np.testing.assert_allclose(dense, oracle("cross_entropy", Q, smooth), rtol=4e-6)
    np.testing.assert_allclose(sparse, oracle("cross_entropy", Q, smooth), rtol=4e-6)
    terms = losses.cross_entropy(Q.T, hot.T, label_smoothing=amount, axis=0)
    np.testing.assert_allclose(terms, oracle("cross_entropy", Q, smooth), rtol=4e-6)
    binary = call(lambda a: losses.binary_cross_entropy(Q, Y, label_smoothing=a))(a)
    want = oracle("binary_cross_entropy", Q, (1 - amount) * np.float64(Y) + amount / 2)
    np.testing.assert_allclose(binary, want, rtol=4e-6)


def test_an_impossible_label():
    p = np.float32([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    value, slopes = jax.vmap(jax.value_and_grad(losses.sparse_cross_entropy))(p, np.array([0, 0]))
    np.testing.assert_array_equal(value, [inf, 0])
    np.testing.assert_array_equal(slopes, [[-inf, 0, 0], [-1, 0, 0]])
    assert losses.sparse_cross_entropy(Q[0], 1, where=np.array([True, False, True])) == inf
    at_0 = jax.jit(lambda a: losses.sparse_cross_entropy(p[1], 0, label_smoothing=a))
    assert at_0(0.0) == 0
    assert at_0(0.1) == inf
