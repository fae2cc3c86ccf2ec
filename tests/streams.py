"""Metrics in batches: the data that the tests of metrics share, and the streaming form run as a trainer runs it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import sklearn.metrics

from jaxdict import metrics

nan = np.nan
RNG = np.random.default_rng(11)
N, K = 23, 4
SCORES = RNG.normal(0, 1, (N, K)).astype(np.float32)
LABELS = RNG.integers(0, K, N)
HOT = np.eye(K, dtype=np.float32)[LABELS]
LOGITS = RNG.normal(0.2, 1, N).astype(np.float32)
YES = (RNG.random(N) < 0.3).astype(np.int32)
TARGETS = RNG.normal([5, -2, 0.1], [1, 30, 0.01], (N, 3)).astype(np.float32)
PREDICTIONS = (TARGETS + RNG.normal(0, [0.5, 10, 0.02], (N, 3))).astype(np.float32)
WEIGHTS = np.where(RNG.random(N) < 0.2, 0, RNG.random(N) * 3).astype(np.float32)
ONES = np.ones(N, np.float32)


def softmax(z):
    e = np.exp(np.float64(z) - np.max(z, -1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sk(name, predictions, targets, **options):
    """scikit-learn's metric as a function of the sample weights; those of weight 0 are left out, as they are here."""
    score = getattr(sklearn.metrics, name)

    def oracle(weights):
        there = np.ones(len(targets), bool) if weights is None else weights > 0
        weights = None if weights is None else weights[there]
        return score(targets[there], predictions[there], sample_weight=weights, **options)

    return oracle


CLASSES = SCORES.argmax(1)
CASES = {  # metric, predictions, targets, oracle of the weights
    "accuracy": (metrics.accuracy, SCORES, LABELS, sk("accuracy_score", CLASSES, LABELS)),
    "accuracy, one-hot": (metrics.accuracy, SCORES, HOT, sk("accuracy_score", CLASSES, LABELS)),
    "accuracy, binary": (metrics.accuracy, LOGITS, YES, sk("accuracy_score", LOGITS > 0, YES)),
    "binary_accuracy": (metrics.binary_accuracy, LOGITS, YES, sk("accuracy_score", LOGITS > 0, YES)),
    "top_k_accuracy": (
        functools.partial(metrics.top_k_accuracy, k=2), SCORES, LABELS,
        sk("top_k_accuracy_score", SCORES, LABELS, k=2, labels=range(K)),
    ),
    "confusion_matrix": (
        metrics.confusion_matrix, SCORES, LABELS, sk("confusion_matrix", CLASSES, LABELS, labels=range(K)),
    ),
    "precision": (
        metrics.precision, SCORES, LABELS, sk("precision_score", CLASSES, LABELS, average="macro", zero_division=0),
    ),
    "recall, binary": (metrics.recall, LOGITS, YES, sk("recall_score", LOGITS > 0, YES)),
    "f1": (metrics.f1, SCORES, HOT, sk("f1_score", CLASSES, LABELS, average="macro")),
    "auc": (metrics.auc, LOGITS, YES, sk("roc_auc_score", LOGITS, YES)),
    "auc, classes": (
        functools.partial(metrics.auc, average="weighted"), SCORES, LABELS,
        sk("roc_auc_score", softmax(SCORES), LABELS, multi_class="ovr", average="weighted"),
    ),
    "mae": (metrics.mean_absolute_error, PREDICTIONS, TARGETS, sk("mean_absolute_error", PREDICTIONS, TARGETS)),
    "mse": (metrics.mean_squared_error, PREDICTIONS, TARGETS, sk("mean_squared_error", PREDICTIONS, TARGETS)),
    "r2": (metrics.r2, PREDICTIONS, TARGETS, sk("r2_score", PREDICTIONS, TARGETS)),
    "r2, one output": (metrics.r2, PREDICTIONS[:, 0], TARGETS[:, 0], sk("r2_score", PREDICTIONS[:, 0], TARGETS[:, 0])),
}  # fmt: skip


@functools.cache
def compiled(stream):
    return jax.jit(stream.sums), jax.jit(stream.merge), jax.jit(stream.value)


def in_batches(metric, predictions, targets, weights, size):
    """The metric over batches of one compiled size, the tail padded with NaN of weight 0, begun from zeros."""
    stream = metrics.stream(metric)
    sums, merge, value = compiled(stream)
    tree = None
    for start in range(0, len(predictions), size):
        p, t, w = (np.asarray(a[start : start + size]) for a in (predictions, targets, weights))
        short = size - len(p)
        filler = nan if t.dtype.kind == "f" else -7
        p = np.concatenate([p, np.full((short, *p.shape[1:]), nan if p.dtype.kind == "f" else -7, p.dtype)])
        t = np.concatenate([t, np.full((short, *t.shape[1:]), filler, t.dtype)])
        batch = sums(p, t, np.concatenate([w, np.zeros(short, np.float32)]))
        tree = merge(jax.tree.map(np.zeros_like, batch) if tree is None else tree, batch)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(tree))
    return value(tree)
