"""Metrics of regression: merging without cancellation, undefined cases, wide numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxdict import metrics
from streams import LOGITS, TARGETS, YES, in_batches


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_r2_merges_without_cancellation(offset):
    """Batches whose targets have a mean a million times their spread."""
    rng = np.random.default_rng(2)
    targets = (offset + rng.normal(0, 1, 400)).astype(np.float32)
    predictions = (targets + rng.normal(0, 0.5, 400)).astype(np.float32)
    want = sklearn.metrics.r2_score(np.float64(targets), np.float64(predictions))
    order = np.argsort(targets)  # every batch has another mean
    for index in (np.arange(400), order):
        got = in_batches(metrics.r2, predictions[index], targets[index], np.ones(400, np.float32), 32)
        np.testing.assert_allclose(got, want, rtol=1e-5)


R2 = jax.jit(metrics.r2)


def test_r2_of_constant_targets():
    targets = np.full((6, 2), 0.1, np.float32)
    targets[:, 1] = np.arange(6)
    predictions = targets.copy()
    weights = np.float32([1, 0.3, 2.1, 1, 0.7, 1])
    assert R2(predictions, targets) == in_batches(metrics.r2, predictions, targets, weights, 4) == 1
    predictions[2, 0] += 1
    want = sklearn.metrics.r2_score(targets, predictions)
    assert R2(predictions, targets) == in_batches(metrics.r2, predictions, targets, weights, 4) == want == 0.5
    assert R2(np.float32([3.0]), np.float32([3.0])) == 1
    assert R2(np.float32([2.0]), np.float32([3.0])) == 0
    assert R2(np.arange(4), np.arange(4)) == 1  # integers too


def test_float64_input_gives_float32_of_the_exact_difference():
    with jax.enable_x64(True):
        targets = 1e9 + np.arange(4.0)
        assert metrics.mean_absolute_error(targets + 0.125, targets) == 0.125
        got = R2(targets + 0.125, targets)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, 1 - 4 * 0.125**2 / 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mean_absolute_error(LOGITS, YES[:, None]), r"got \(23,\) and \(23, 1\)"),
        (lambda: metrics.mean_squared_error(LOGITS, YES[:, None]), r"got \(23,\) and \(23, 1\)"),
        (lambda: metrics.r2(TARGETS[:, :1], TARGETS[:, 0]), r"got \(23, 1\) and \(23,\); reshape targets"),
    ],
)
def test_nothing_is_broadcast(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("metric", [metrics.mean_absolute_error, metrics.mean_squared_error, metrics.r2])
def test_complex_numbers_are_refused(metric):
    with pytest.raises(TypeError, match="predictions must be real; got complex64"):
        metric(jnp.ones(3, complex), jnp.ones(3))
