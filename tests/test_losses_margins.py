"""Hinge losses: the two classes' labels, margins, ties, absent classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import losses
from loss_oracles import LABELLED, LABELS, SIGNS, P, oracle

inf, nan = np.inf, np.nan
TWO = pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
MANY = pytest.mark.parametrize("name", ["categorical_hinge", "multiclass_hinge"])


@TWO
def test_labels_of_0_and_1_are_an_error_or_converted_never_taken(name):
    function = getattr(losses, name)
    zeros = (SIGNS + 1) / 2
    message = r"targets must be -1 or 1; got 0; zero_one=True takes 0 and 1"
    with pytest.raises(ValueError, match=message):
        function(P, zeros)
    with pytest.raises(ValueError, match=message):
        function(P, zeros.astype(bool))
    with pytest.raises(ValueError, match=message):
        jax.grad(lambda p: function(p, zeros).sum())(P)  # the targets are still concrete
    assert np.isnan(jax.jit(function)(P, zeros)).tolist() == np.any(zeros == 0, axis=-1).tolist()
    for y in (zeros, zeros.astype(bool), zeros.astype(int)):
        np.testing.assert_allclose(function(P, y, zero_one=True), oracle(name, P, SIGNS), rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(functools.partial(function, zero_one=True))(P, zeros), oracle(name, P, SIGNS), rtol=1e-6
    )


@TWO
def test_other_targets(name):
    function = getattr(losses, name)
    with pytest.raises(ValueError, match=r"targets must be -1 or 1; got 0\.5$"):
        function(P, np.full_like(P, 0.5))
    with pytest.raises(ValueError, match=r"targets must be 0 or 1; got -1$"):
        function(P, SIGNS, zero_one=True)
    with pytest.raises(ValueError, match=r"targets must be -1 or 1; got nan$"):
        function(P, np.full_like(P, nan))
    assert np.isnan(jax.jit(functools.partial(function, zero_one=True))(P, SIGNS)).any()
    mask = SIGNS == 1
    want = (oracle(name, P, SIGNS, None) * mask).sum(-1)
    np.testing.assert_allclose(function(P, np.where(mask, SIGNS, 0), where=mask), want, rtol=1e-6)


def test_at_the_margin_and_at_extremes():
    """The derivative at the margin is 0, and so is the squared one's second."""
    p = np.float32([1, 0, 3e38, inf, -3e38, -inf, 1 - 2.0**-24, 1 + 2.0**-23])
    for y in (1, -1):
        for name, slope in (("hinge", -1), ("squared_hinge", None)):
            term = functools.partial(getattr(losses, name), axis=None)
            each = jax.jit(
                jax.vmap(lambda p, y, t=term: (t(p, y), jax.grad(t)(p, y), jax.grad(jax.grad(t))(p, y)), (0, None))
            )
            value, slopes, second = each(p * y, np.float32(y))
            lack = np.maximum(0, 1 - np.float64(p))
            with np.errstate(over="ignore"):
                np.testing.assert_allclose(value, np.float32(lack if slope else lack**2), rtol=1e-6)
                want = np.where(lack > 0, slope, 0) if slope else -2 * lack
                np.testing.assert_allclose(slopes, np.float32(y * want), rtol=1e-6)
            np.testing.assert_array_equal(second, np.where(lack > 0, 0 if slope else 2, 0))


@MANY
def test_one_hot_labels(name):
    function = getattr(losses, name)
    hot = np.eye(3)[LABELS]
    want = LABELLED[name](np.float64(P), hot)
    for labels in (hot, hot.astype(int), hot.astype(bool)):
        np.testing.assert_allclose(function(P, labels), want, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(function)(P, labels), want, rtol=1e-6)
    np.testing.assert_allclose(function(P.T, hot.T, axis=0), want, rtol=1e-6)
    for wrong in (0.9 * hot + 0.1 / 3, np.ones((4, 3)), np.zeros((4, 3))):
        with pytest.raises(ValueError, match="one-hot labels must hold a single 1 in every row, and 0 beside it"):
            function(P, wrong)
        assert np.isnan(jax.jit(function)(P, wrong)).all()
    with pytest.raises(ValueError, match=r"predictions and one-hot labels must have the same shape; got \(4, 3\) and"):
        function(P, np.eye(4)[LABELS])


def test_the_maximum_is_not_the_sum():
    """S4's svm loss may be either; they agree where one other class is too near."""
    scores = np.float32([[0.5, 1.2, -0.3], [0.5, 0.2, -3.0], [3.0, 0.0, 0.0]])
    best, every = losses.categorical_hinge(scores, [0, 0, 0]), losses.multiclass_hinge(scores, [0, 0, 0])
    np.testing.assert_allclose(best, [1.7, 0.7, 0], rtol=1e-6)
    np.testing.assert_allclose(every, [1.9, 0.7, 0], rtol=1e-6)
    # Keras's has a 0 of its own among the others: 0.5 here
    assert losses.categorical_hinge(np.float32([0.5, -3, -3]), 0) == 0


@MANY
def test_ties_margins_and_extremes(name):
    function = getattr(losses, name)
    both = jax.jit(jax.vmap(jax.value_and_grad(function)))
    best = name == "categorical_hinge"
    rows = [  # scores, loss, gradient; the label is 0
        ([0, 1, 1], 2 if best else 4, [-1, 0.5, 0.5] if best else [-2, 1, 1]),
        ([2, 1, 1], 0, [0, 0, 0]),  # at the margin
        ([inf, 5, 1], 0, [0, 0, 0]),
        ([0, inf, 1], inf, [-1, 1, 0] if best else [-2, 1, 1]),
        ([0, -inf, -inf], 0, [0, 0, 0]),
        ([-inf, 1, 0], inf, [-1, 1, 0] if best else [-2, 1, 1]),
        ([3e38, -3e38, 0], 0, [0, 0, 0]),
    ]
    scores = np.float32([r[0] for r in rows])
    value, slopes = both(scores, np.zeros(len(rows), int))
    np.testing.assert_allclose(value, [r[1] for r in rows])
    np.testing.assert_array_equal(slopes, np.float32([r[2] for r in rows]))
    curvature = jax.jit(jax.hessian(function))(scores[0], 0)
    np.testing.assert_array_equal(curvature, np.zeros((3, 3)))


@MANY
def test_absent_classes_do_not_compete(name):
    function = getattr(losses, name)
    mask = np.array([[True, False, True]] * 4)
    labels = np.array([2, 0, 0, 2])
    want = LABELLED[name](np.float64(P[:, [0, 2]]), np.eye(2)[labels // 2])
    np.testing.assert_allclose(function(P, labels, where=mask), want, rtol=1e-6)
    assert function(P[0], 1, where=mask[0]) == inf
    assert function(P[0, :1], 0) == 0  # no other class at all
    terms = losses.multiclass_hinge(P, LABELS, axis=None)
    np.testing.assert_array_equal(jnp.take_along_axis(terms, LABELS[:, None], 1), 0)
