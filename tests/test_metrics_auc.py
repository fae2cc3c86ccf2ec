"""The area under the ROC curve against scikit-learn: exact for arrays; over batches exact to its memory, then close."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxdict import metrics
from jaxdict.metrics import ranking
from streams import LABELS, LOGITS, SCORES, WEIGHTS, YES, K, N, compiled, in_batches, nan, softmax

sk = sklearn.metrics.roc_auc_score
AUC = jax.jit(metrics.auc)
EACH = jax.jit(functools.partial(metrics.auc, average=None))


def drawn(n, *, share=0.3, apart=1.2, seed=5):
    """Labels, and logits float32 that know something of them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int32)
    return (rng.normal(0, 2, n) + 2 * apart * labels - 3).astype(np.float32), labels


def test_shapes():
    want = sk(YES, LOGITS)
    for scores in (LOGITS, LOGITS[:, None], np.stack([0.3 - LOGITS, 0.3 + LOGITS], 1)):
        np.testing.assert_allclose(AUC(scores, YES), want, rtol=1e-6)
    for targets in (YES[:, None], YES > 0, 2.0 * YES - 1):
        np.testing.assert_allclose(AUC(LOGITS[:, None], targets), want, rtol=1e-6)
    weights = np.float32([1, 2, 0, 0.5])
    several = AUC(LOGITS[:20].reshape(4, 5, 1), YES[:20].reshape(4, 5), sample_weight=weights)
    np.testing.assert_allclose(several, sk(YES[:20], LOGITS[:20], sample_weight=np.repeat(weights, 5)), rtol=1e-6)


def test_probabilities_rank_as_logits():
    np.testing.assert_allclose(AUC(1 / (1 + np.exp(-LOGITS)), YES), AUC(LOGITS, YES), rtol=1e-6)
    np.testing.assert_allclose(AUC(-LOGITS, YES), 1 - AUC(LOGITS, YES), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_ties_count_half(weighted):
    scores = np.round(SCORES[:, 0] * 2) / 2
    weights = WEIGHTS if weighted else None
    assert len(np.unique(scores)) < 10
    np.testing.assert_allclose(
        AUC(scores, YES, sample_weight=weights), sk(YES, scores, sample_weight=weights), rtol=1e-6
    )
    assert AUC(np.zeros(N), YES) == 0.5
    zeros = np.float32([0.0, -0.0, 0.0, -0.0])
    assert AUC(zeros, np.array([0, 1, 1, 0])) == 0.5  # one zero, not two


def test_extreme_scores():
    big = np.finfo(np.float32).max
    scores = np.float32([-np.inf, -big, -1, 0, 1e-37, 2e-37, big, np.inf, np.inf])
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])
    want = np.mean([(a > b) + 0.5 * (a == b) for a in scores[labels == 1] for b in scores[labels == 0]])
    np.testing.assert_allclose(AUC(scores, labels), want, rtol=1e-6)
    sums, _, value = compiled(metrics.stream("auc"))
    np.testing.assert_allclose(value(sums(scores, labels, np.ones(9))), want, rtol=1e-6)


def test_narrow_scores_are_compared_as_they_are():
    for dtype in (jnp.bfloat16, jnp.float16):
        typed = jnp.asarray(SCORES[:, 0], dtype)
        np.testing.assert_allclose(AUC(typed, YES), sk(YES, np.asarray(typed, float)), rtol=1e-6)
    with jax.enable_x64(True):
        close = 1 + 1e-12 * np.arange(6)  # one number in float32
        assert metrics.auc(close, np.array([0, 0, 1, 0, 1, 1])) == np.float32(8 / 9)


def test_undefined():
    for targets in (np.zeros(N, int), np.ones(N, int)):
        assert np.isnan(AUC(LOGITS, targets))
    assert np.isnan(AUC(np.where(np.arange(N) == 3, nan, LOGITS), YES))
    assert np.isnan(AUC(LOGITS, YES, sample_weight=YES))  # no negative example has weight
    assert np.isnan(AUC(SCORES, np.where(LABELS == 2, 1, LABELS)))  # a class without examples
    each = EACH(SCORES, np.where(LABELS == 2, 1, LABELS))
    np.testing.assert_array_equal(np.isnan(each), [False, False, True, False])


@pytest.mark.parametrize("average", ["macro", "weighted", None])
@pytest.mark.slow
def test_more_classes(average):
    metric = functools.partial(metrics.auc, average=average)
    whole = jax.jit(metric)
    shares = softmax(SCORES)
    weights = np.where(WEIGHTS > 0, WEIGHTS, 0.1).astype(np.float32)
    for w in (np.ones(N, np.float32), weights):
        want = sk(LABELS, shares, multi_class="ovr", average=average, sample_weight=w)
        np.testing.assert_allclose(whole(SCORES, LABELS, sample_weight=w), want, rtol=2e-6)
        np.testing.assert_allclose(whole(SCORES, np.eye(K)[LABELS], sample_weight=w), want, rtol=2e-6)
        np.testing.assert_allclose(in_batches(metric, SCORES, LABELS, w, 6), want, rtol=2e-6)


def test_sure_predictions_are_still_told_apart():
    """Probabilities within 1e-8 of 1 are one float32; the log-odds of the same logits are not."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 40)
    z = np.float32(rng.normal(0, 1, (40, 3)) + 25 * np.eye(3)[np.where(rng.random(40) < 0.7, labels, 0)])
    odds = np.float64(z[:, :, None]) - z[:, None, :]
    exact = np.stack([-np.log(np.exp(-np.delete(odds[:, c], c, 1)).sum(1)) for c in range(3)], 1)
    want = np.mean([sk(labels == c, exact[:, c]) for c in range(3)])
    np.testing.assert_allclose(AUC(z, labels), want, rtol=1e-6)
    rounded = np.float32(softmax(z))
    assert abs(np.mean([sk(labels == c, rounded[:, c]) for c in range(3)]) - want) > 1e-3


def test_infinite_logits():
    z = np.float32([[np.inf, 0, 1], [0, -np.inf, 1], [2, 1, -np.inf], [0, 3, 1], [1, 0, 200]])
    assert np.all(np.isfinite(EACH(z, np.array([0, 2, 0, 1, 2]))))


@pytest.mark.parametrize("size", [64, 700])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_stream_is_exact_while_the_examples_fit(size, weighted):
    scores, labels = drawn(ranking._SLOTS - 20)
    weights = (
        np.random.default_rng(0).uniform(0.2, 3, len(scores)).astype(np.float32) if weighted else np.ones(len(scores))
    )
    got = in_batches("auc", scores, labels, np.float32(weights), size)
    np.testing.assert_allclose(got, sk(labels, scores, sample_weight=weights), rtol=1e-6)


def test_a_stream_is_exact_while_the_different_scores_fit():
    """Five times the slots, half as many numbers: in bfloat16, say."""
    scores, labels = drawn(5 * ranking._SLOTS)
    scores = np.asarray(jnp.asarray(scores, jnp.bfloat16), np.float32)
    assert 900 < len(np.unique(scores)) <= ranking._SLOTS // 2
    got = in_batches("auc", scores, labels, np.ones(len(scores), np.float32), 512)
    np.testing.assert_allclose(got, sk(labels, scores), rtol=1e-6)


@pytest.mark.parametrize(("squash", "error"), [(False, 1.5e-5), (True, 1.5e-5)])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_stream_is_close_beyond(squash, error, ordered):
    """200,000 different scores, logits or probabilities, shuffled or ascending from batch to batch."""
    scores, labels = drawn(200_000)
    if squash:
        scores = (1 / (1 + np.exp(-np.float64(scores)))).astype(np.float32)
    order = np.argsort(scores) if ordered else np.arange(len(scores))
    got = in_batches("auc", scores[order], labels[order], np.ones(len(scores), np.float32), 4000)
    want = sk(labels, scores)
    assert 0 < abs(float(got) - want) < error


def test_what_is_joined_agrees_in_its_leading_bits():
    """The value beyond the memory is the exact one of the scores without their low bits."""
    scores, labels = drawn(3 * ranking._SLOTS)
    sums, merge, value = compiled(metrics.stream("auc"))
    ones = np.ones(ranking._SLOTS, np.float32)
    parts = [sums(scores[i::3], labels[i::3], ones) for i in range(3)]
    tree = functools.reduce(merge, parts)
    dropped = int(tree.dropped[0])
    assert 5 < dropped < 23
    cut = (scores.view(np.uint32) >> dropped << dropped).view(np.float32)
    np.testing.assert_allclose(value(tree), sk(labels, cut), rtol=1e-6)
    assert int(np.sum(tree.positive)) == labels.sum()
    # the order of the batches does not matter, nor does one large batch
    np.testing.assert_allclose(value(functools.reduce(merge, parts[::-1])), value(tree), rtol=1e-6)
    one = jax.jit(metrics.stream("auc").sums)(scores, labels, np.ones(len(scores), np.float32))
    np.testing.assert_allclose(value(one), value(tree), rtol=1e-6)
    # what comes later, or came before, is cut as well, and stays so
    few, more = drawn(40, seed=9)
    later = sums(np.resize(few, len(ones)), np.resize(more, len(ones)), ones * (np.arange(len(ones)) < 40))
    many = sums(np.resize(few[:3], len(ones)), np.resize(more[:3], len(ones)), ones)
    for both in (merge(one, later), merge(later, one), merge(merge(one, many), later), merge(many, one)):
        assert int(both.dropped[0]) == dropped
        bits = np.asarray(both.scores).view(np.uint32)
        np.testing.assert_array_equal(bits, bits >> dropped << dropped)


def test_both_zeros_are_one_score_over_batches_too():
    labels = np.arange(3 * ranking._SLOTS) % 3 == 0
    scores = np.where(np.arange(len(labels)) % 2, 0.0, -0.0).astype(np.float32)
    tree = jax.jit(metrics.stream("auc").sums)(scores, labels, np.ones(len(scores), np.float32))
    assert np.sum(tree.positive) == labels.sum()
    assert np.sum(tree.positive + tree.negative != 0) == 1


def test_more_classes_beyond_the_memory():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 6000)
    z = (rng.normal(0, 1.5, (6000, 3)) + 1.5 * np.eye(3)[labels]).astype(np.float32)
    got = in_batches("auc", z, labels, np.ones(6000, np.float32), 600)
    np.testing.assert_allclose(got, sk(labels, softmax(z), multi_class="ovr"), atol=2e-5)


def test_a_million_scores_in_float32():
    scores, labels = drawn(1_000_000, share=0.02)
    np.testing.assert_allclose(AUC(scores, labels), sk(labels, scores), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.auc(SCORES, LABELS, average="micro"), ValueError, "average must be one of 'macro', 'we"),
        (lambda: metrics.stream(functools.partial(metrics.auc, average="mean")), ValueError, "average must be one of"),
        (lambda: metrics.auc(SCORES, LABELS * 1.0), TypeError, "must be integer labels; got float"),
        (lambda: metrics.auc(SCORES, LABELS[:4]), ValueError, r"for predictions \(23, 4\); got \(4,\)"),
        (lambda: metrics.auc(LOGITS, YES[:4]), ValueError, "targets must be integer labels"),
        (lambda: metrics.auc(jnp.ones(3, complex), jnp.ones(3)), TypeError, "predictions must be real"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
