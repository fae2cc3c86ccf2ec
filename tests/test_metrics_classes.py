"""Metrics of classes against scikit-learn: shapes, averages, undefined cases, predicted classes, thresholds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxdict import metrics
from streams import CLASSES, LABELS, LOGITS, ONES, SCORES, WEIGHTS, YES, K, N, in_batches, nan

RATIOS = {
    "precision": (metrics.precision, sklearn.metrics.precision_score),
    "recall": (metrics.recall, sklearn.metrics.recall_score),
    "f1": (metrics.f1, sklearn.metrics.f1_score),
}


def test_shapes_of_accuracy():
    want = float(np.mean((LOGITS > 0) == YES))
    column = LOGITS[:, None]
    for scores, targets in ((column, YES), (column, YES[:, None]), (LOGITS, YES > 0), (LOGITS, 2.0 * YES - 1)):
        np.testing.assert_allclose(metrics.accuracy(scores, targets), want, rtol=1e-6)
    # positions of a sequence: the mean over them, then over examples
    scores, labels = SCORES[:20].reshape(5, 4, K), LABELS[:20].reshape(5, 4)
    want = np.mean((scores.argmax(-1) == labels).mean(1) * [1, 0, 2, 1, 1])
    np.testing.assert_allclose(
        metrics.accuracy(scores, labels, sample_weight=np.array([1, 0, 2, 1, 1])), want, rtol=1e-6
    )
    assert metrics.accuracy(np.float32([[1, 1, 0]]), np.array([0])) == 1  # the first of equals
    assert metrics.accuracy(SCORES, LABELS + K) == 0
    assert metrics.accuracy(SCORES.astype(jnp.bfloat16), SCORES.argmax(1)).dtype == jnp.float32


def test_binary_accuracy_of_several_answers_and_other_thresholds():
    scores, targets = SCORES, (SCORES[:, ::-1] > 0.3).astype(np.float32)
    got = metrics.binary_accuracy(scores, targets, threshold=0.25)
    np.testing.assert_allclose(got, np.mean((scores > 0.25) == targets), rtol=1e-6)
    chosen = functools.partial(metrics.binary_accuracy, threshold=0.25)
    weights = ONES
    np.testing.assert_allclose(in_batches(chosen, scores, targets, weights, 7), got, rtol=1e-6)
    traced = jax.jit(lambda c: metrics.binary_accuracy(scores, targets, threshold=c))(0.25)
    np.testing.assert_allclose(traced, got, rtol=1e-6)
    # 0.3 in bfloat16 is above 0.3: compared in float32
    assert metrics.binary_accuracy(jnp.asarray([0.3], jnp.bfloat16), jnp.ones(1), threshold=0.3) == 1


def test_predicted_classes():
    """Integers (n,) are classes, as in scikit-learn, not logits."""
    predicted = CLASSES.astype(np.int32)
    assert metrics.accuracy(np.array([2, 1, 0, 2]), np.array([1, 2, 0, 2])) == 0.5
    np.testing.assert_allclose(metrics.accuracy(predicted, LABELS), np.mean(CLASSES == LABELS), rtol=1e-6)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(predicted, LABELS, num_classes=K), metrics.confusion_matrix(SCORES, LABELS)
    )
    np.testing.assert_allclose(metrics.f1(predicted, LABELS, num_classes=K), metrics.f1(SCORES, LABELS), rtol=1e-6)
    np.testing.assert_allclose(metrics.recall(LOGITS > 0, YES), metrics.recall(LOGITS, YES), rtol=1e-6)
    # a class that scores cannot give is as good as another here
    assert metrics.accuracy(np.array([-1, 2]), np.array([-1, 2])) == 1


TOP = jax.jit(metrics.top_k_accuracy, static_argnames="k")


def test_top_k():
    for k in range(1, K + 1):
        want = sklearn.metrics.top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(K)) if k < K else 1
        np.testing.assert_allclose(TOP(SCORES, LABELS, k=k), want, rtol=1e-6)
    np.testing.assert_allclose(TOP(SCORES, LABELS, k=1), metrics.accuracy(SCORES, LABELS))
    hot = np.eye(K)[LABELS]
    np.testing.assert_array_equal(TOP(SCORES, hot, k=2), TOP(SCORES, LABELS, k=2))
    tied = np.float32([[3, 1, 1, 1, 0]] * 5)  # of equals the first comes first
    for k in (1, 2, 3, 4):
        hits = [float(TOP(tied[:1], np.array([label]), k=k)) for label in range(5)]
        assert hits == [1] * k + [0] * (5 - k)
    positions = TOP(SCORES[:20].reshape(5, 4, K), LABELS[:20].reshape(5, 4), k=2)
    np.testing.assert_allclose(positions, TOP(SCORES[:20], LABELS[:20], k=2), rtol=1e-6)
    assert TOP(SCORES, LABELS - K, k=K) == TOP(SCORES, LABELS + K, k=K) == 0
    extreme = np.float32([[np.inf, -np.inf, 0], [-np.inf, -np.inf, -np.inf]])
    assert TOP(extreme, np.array([2, 1]), k=2) == 1


@pytest.mark.parametrize("name", list(RATIOS))
@pytest.mark.parametrize("average", ["binary", "macro", "micro", "weighted", None])
@pytest.mark.parametrize("zero_division", [0, 1, nan])
def test_averages_and_undefined_classes_as_scikit_learn(name, average, zero_division):
    """Of six classes one is never predicted, one never there, one neither: with and without weights, in batches."""
    ours, theirs = RATIOS[name]
    rng = np.random.default_rng(7)
    labels = rng.choice([0, 1, 2, 4], 29)
    predicted = np.where(rng.random(29) < 0.4, labels, rng.choice([0, 1, 3, 4], 29))
    predicted = np.where(predicted == 2, 0, predicted)
    scores = np.eye(6, dtype=np.float32)[predicted] * 2 - 1
    weights = rng.uniform(0.5, 2, 29).astype(np.float32)
    metric = functools.partial(ours, average=average, zero_division=zero_division)
    options = {"average": average, "zero_division": zero_division}
    for positive in (2, 3, 5) if average == "binary" else (1,):
        asked = functools.partial(metric, positive=positive)
        for w in (None, weights):
            if average == "binary":  # one class against the others
                want = theirs(labels == positive, predicted == positive, sample_weight=w, **options)
            else:
                classes = range(6) if average is None else None
                want = theirs(labels, predicted, labels=classes, sample_weight=w, **options)
            got = asked(scores, labels, sample_weight=w)
            np.testing.assert_allclose(got, want, rtol=1e-6)
            if zero_division != zero_division and w is not None:
                np.testing.assert_allclose(in_batches(asked, scores, labels, w, 8), want, rtol=1e-6)


def test_weights_that_are_all_zero_are_left_out():
    """Only class 1 has a precision, and no example of it is there to weigh it: the plain mean, as in scikit-learn."""
    options = {"average": "weighted", "zero_division": nan}
    got = metrics.precision(np.ones(4, bool), np.zeros(4, bool), **options)
    assert got == sklearn.metrics.precision_score(np.zeros(4), np.ones(4), **options) == 0


@pytest.mark.parametrize("name", list(RATIOS))
def test_two_classes(name):
    ours, theirs = RATIOS[name]
    want = theirs(YES, LOGITS > 0)
    columns = np.stack([-LOGITS, LOGITS], 1)
    for predictions in (LOGITS, LOGITS[:, None], columns, LOGITS > 0):
        np.testing.assert_allclose(ours(predictions, YES), want, rtol=1e-6)
    np.testing.assert_allclose(ours(LOGITS, YES, positive=0), theirs(YES, LOGITS > 0, pos_label=0), rtol=1e-6)
    np.testing.assert_allclose(ours(LOGITS, YES, average="macro"), theirs(YES, LOGITS > 0, average="macro"), rtol=1e-6)
    share = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(ours(share, YES, threshold=0.6), theirs(YES, share > 0.6), rtol=1e-6)
    traced = jax.jit(lambda c: ours(share, YES, threshold=c))(0.6)
    np.testing.assert_allclose(traced, theirs(YES, share > 0.6), rtol=1e-6)
    assert ours(LOGITS, np.zeros(N, int), threshold=100.0) == 0  # nothing there, nothing predicted
    assert ours(LOGITS, np.zeros(N, int), threshold=100.0, zero_division=1) == 1


def test_labels_out_of_range_and_nan_scores():
    """A label that no score stands for spoils the precision of what it was taken for; NaN the recall of its class."""
    labels = np.array([0, 1, 9, -1, 1, 2])
    scores = np.eye(3, dtype=np.float32)[[0, 1, 1, 1, 1, 2]]
    scores[4] = nan
    np.testing.assert_allclose(metrics.precision(scores, labels, average=None), [1, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(metrics.recall(scores, labels, average=None), [1, 0.5, 1], rtol=1e-6)
    np.testing.assert_array_equal(metrics.confusion_matrix(scores, labels), np.eye(3))
    np.testing.assert_allclose(metrics.accuracy(scores, labels), 0.5)


@pytest.mark.parametrize("normalize", ["true", "pred", "all", None])
def test_confusion_matrix(normalize):
    labels = np.where(LABELS == 2, 3, LABELS)  # a class without examples
    metric = functools.partial(metrics.confusion_matrix, normalize=normalize)
    for w in (ONES, WEIGHTS):
        want = sklearn.metrics.confusion_matrix(labels, CLASSES, labels=range(K), normalize=normalize, sample_weight=w)
        np.testing.assert_allclose(metric(SCORES, labels, sample_weight=w), want, rtol=1e-6)
        np.testing.assert_allclose(in_batches(metric, SCORES, labels, w, 6), want, rtol=1e-6)
    two = sklearn.metrics.confusion_matrix(YES, LOGITS > 0.5, normalize=normalize)
    np.testing.assert_allclose(metric(LOGITS, YES, threshold=0.5), two, rtol=1e-6)
    # positions of a sequence count one by one, each with its example's weight
    got = metric(SCORES[:20].reshape(5, 4, K), LABELS[:20].reshape(5, 4), sample_weight=np.float32([1, 2, 0, 3, 0.5]))
    want = metric(SCORES[:20], LABELS[:20], sample_weight=np.repeat(np.float32([1, 2, 0, 3, 0.5]), 4))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_micro_and_weighted_recall_are_the_accuracy():
    for average in ("micro", "weighted"):
        np.testing.assert_allclose(
            metrics.recall(SCORES, LABELS, average=average), metrics.accuracy(SCORES, LABELS), rtol=1e-6
        )


def test_macro_f1_is_not_the_f1_of_the_means():
    p, r = metrics.precision(SCORES, LABELS), metrics.recall(SCORES, LABELS)
    assert abs(metrics.f1(SCORES, LABELS) - 2 * p * r / (p + r)) > 1e-3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.accuracy(SCORES, LABELS[:, None]), ValueError, r"labels \(23,\) or one-hot .* squeeze"),
        (lambda: metrics.accuracy(SCORES, LABELS[:5]), ValueError, r"for predictions \(23, 4\); got \(5,\)$"),
        (lambda: metrics.accuracy(SCORES, LABELS * 1.0), TypeError, r"\(23,\) must be integer labels; got float"),
        (lambda: metrics.accuracy(jnp.ones(3, complex), jnp.ones(3)), TypeError, "predictions must be real"),
        (lambda: metrics.accuracy(YES, YES * 1.0), TypeError, "must be integer labels, as the predictions are; g"),
        (lambda: metrics.binary_accuracy(LOGITS, YES[:, None]), ValueError, r"same shape; got \(23,\)"),
        (lambda: metrics.binary_accuracy(LOGITS, YES, threshold=nan), ValueError, "threshold must be a number"),
        (lambda: metrics.binary_accuracy(LOGITS, YES, threshold="0"), TypeError, "threshold must be a number; got '0'"),
        (lambda: metrics.top_k_accuracy(SCORES, LABELS), ValueError, "k must be at most the number of classes, 4; got"),
        (lambda: metrics.top_k_accuracy(SCORES, LABELS, k=0), ValueError, "k must be >= 1; got 0"),
        (lambda: metrics.top_k_accuracy(SCORES, LABELS, k=2.0), TypeError, "k must be a whole number; got 2.0"),
        (lambda: metrics.top_k_accuracy(LOGITS, YES, k=1), ValueError, r"of two classes or more; got \(23,\)"),
        (lambda: metrics.top_k_accuracy(SCORES, LABELS[:5], k=1), ValueError, r"for predictions \(23, 4\); got \(5,\)"),
        (lambda: metrics.f1(SCORES, LABELS, average="makro"), ValueError, "'makro'; did you mean 'macro'"),
        (lambda: metrics.f1(SCORES, LABELS, zero_division=0.5), ValueError, "must be 0, 1 or NaN; got 0.5"),
        (lambda: metrics.f1(SCORES, LABELS, positive=4), ValueError, "one of the 4 classes, from 0; got 4"),
        (lambda: metrics.f1(SCORES, LABELS, positive=-1), ValueError, "positive must be >= 0; got -1"),
        (lambda: metrics.f1(SCORES, LABELS, num_classes=5), ValueError, "num_classes must be 4, what the .*; got 5"),
        (lambda: metrics.f1(SCORES, LABELS, num_classes=1), ValueError, "num_classes must be >= 2; got 1"),
        (lambda: metrics.recall(LABELS, LABELS), ValueError, "num_classes is needed where predictions are classes"),
        (lambda: metrics.precision(LOGITS, YES, threshold=nan), ValueError, "threshold must be a number"),
        (lambda: metrics.precision(SCORES, LABELS * 1.0), TypeError, "must be integer labels; got float"),
        (lambda: metrics.confusion_matrix(SCORES, LABELS, normalize="rows"), ValueError, "normalize must be one of"),
        (lambda: metrics.confusion_matrix(LABELS, LABELS), ValueError, "num_classes is needed"),
        (lambda: metrics.confusion_matrix(SCORES, LABELS, num_classes=0), ValueError, "num_classes must be >= 2"),
        (lambda: metrics.confusion_matrix(LOGITS, YES, threshold="a"), TypeError, "threshold must be a number"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
