"""Metrics against scikit-learn and NumPy: whole, in partial batches, with weights, padding and undefined cases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxdict import _registry, losses, metrics

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


def sk(name, predictions, targets):
    score = getattr(sklearn.metrics, name)
    return lambda w: score(targets, predictions, sample_weight=w)


CLASSES = sk("accuracy_score", SCORES.argmax(1), LABELS)
ANSWERS = sk("accuracy_score", LOGITS > 0, YES)
CASES = {  # metric, predictions, targets, oracle of the weights
    "accuracy": (metrics.accuracy, SCORES, LABELS, CLASSES),
    "accuracy, one-hot": (metrics.accuracy, SCORES, HOT, CLASSES),
    "accuracy, binary": (metrics.accuracy, LOGITS, YES, ANSWERS),
    "binary_accuracy": (metrics.binary_accuracy, LOGITS, YES, ANSWERS),
    "mae": (metrics.mean_absolute_error, PREDICTIONS, TARGETS, sk("mean_absolute_error", PREDICTIONS, TARGETS)),
    "mse": (metrics.mean_squared_error, PREDICTIONS, TARGETS, sk("mean_squared_error", PREDICTIONS, TARGETS)),
    "r2": (metrics.r2, PREDICTIONS, TARGETS, sk("r2_score", PREDICTIONS, TARGETS)),
    "r2, one output": (metrics.r2, PREDICTIONS[:, 0], TARGETS[:, 0], sk("r2_score", PREDICTIONS[:, 0], TARGETS[:, 0])),
}


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


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
        p = np.concatenate([p, np.full((short, *p.shape[1:]), nan, p.dtype)])
        t = np.concatenate([t, np.full((short, *t.shape[1:]), filler, t.dtype)])
        batch = sums(p, t, np.concatenate([w, np.zeros(short, np.float32)]))
        tree = merge(jax.tree.map(np.zeros_like, batch) if tree is None else tree, batch)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(tree))
    return value(tree)


@pytest.mark.parametrize("case", list(CASES))
def test_against_scikit_learn_whole_and_in_batches(case):
    metric, predictions, targets, oracle = CASES[case]
    ones = np.ones(N, np.float32)
    whole = jax.jit(metric)
    got = whole(predictions, targets)
    assert got.dtype == jnp.float32
    assert got.shape == ()
    np.testing.assert_allclose(got, oracle(None), rtol=2e-6)
    np.testing.assert_allclose(whole(predictions, targets, sample_weight=WEIGHTS), oracle(WEIGHTS), rtol=2e-6)
    for size in (5, N + 3):
        np.testing.assert_allclose(in_batches(metric, predictions, targets, ones, size), oracle(None), rtol=2e-6)
        np.testing.assert_allclose(in_batches(metric, predictions, targets, WEIGHTS, size), oracle(WEIGHTS), rtol=2e-6)


@pytest.mark.parametrize("case", list(CASES))
def test_no_example_or_no_weight_is_nan(case):
    metric, predictions, targets, _ = CASES[case]
    assert np.isnan(jax.jit(metric)(predictions[:0], targets[:0]))
    assert np.isnan(jax.jit(metric)(predictions, targets, sample_weight=np.zeros(N, np.float32)))
    assert np.isnan(in_batches(metric, predictions, targets, np.zeros(N, np.float32), 5))


# an example that a NaN would get right: argmax gives 0 for it, and it is not above the threshold
ABSENT = np.flatnonzero((LABELS == 0) & (YES == 0))[0]


@pytest.mark.parametrize("case", list(CASES))
def test_an_absent_example_may_be_anything_and_a_present_nan_shows(case):
    metric, predictions, targets, _ = CASES[case]
    spoiled, weights, metric = predictions.copy(), np.ones(N, np.float32), jax.jit(metric)
    spoiled[ABSENT], weights[ABSENT] = nan, 0
    want = metric(np.delete(predictions, ABSENT, 0), np.delete(targets, ABSENT, 0))
    np.testing.assert_allclose(metric(spoiled, targets, sample_weight=weights), want, rtol=2e-6)
    shown = metric(spoiled, targets)
    if "accuracy" in case:  # a NaN score is wrong, whatever argmax makes of it
        np.testing.assert_allclose(shown, want * (N - 1) / N, rtol=2e-6)
    else:
        assert np.isnan(shown)


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
    weights = np.ones(N, np.float32)
    np.testing.assert_allclose(in_batches(chosen, scores, targets, weights, 7), got, rtol=1e-6)
    traced = jax.jit(lambda c: metrics.binary_accuracy(scores, targets, threshold=c))(0.25)
    np.testing.assert_allclose(traced, got, rtol=1e-6)
    # 0.3 in bfloat16 is above 0.3: compared in float32
    assert metrics.binary_accuracy(jnp.asarray([0.3], jnp.bfloat16), jnp.ones(1), threshold=0.3) == 1


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


def test_merging_does_not_depend_on_the_grouping():
    stream = metrics.stream("r2")
    sums, merge, value = compiled(stream)
    ones = np.ones(5, np.float32)
    parts = [sums(PREDICTIONS[i : i + 5], TARGETS[i : i + 5], ones) for i in (0, 5, 10, 15)]
    left = functools.reduce(merge, parts)
    right = merge(merge(parts[0], parts[1]), merge(parts[2], parts[3]))
    np.testing.assert_allclose(value(left), value(right), rtol=1e-6)
    zeros = jax.tree.map(np.zeros_like, left)
    for same in (merge(left, zeros), merge(zeros, left)):
        for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(left), strict=True):
            np.testing.assert_array_equal(a, b)


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


def test_streams_of_losses_and_functions():
    weights = WEIGHTS
    want = np.average(np.asarray(losses.sparse_softmax_cross_entropy(SCORES, LABELS)), weights=weights)
    for metric in ("sparse_softmax_cross_entropy", losses.sparse_softmax_cross_entropy):
        np.testing.assert_allclose(in_batches(metric, SCORES, LABELS, weights, 7), want, rtol=1e-6)
    largest = in_batches(lambda p, t: abs(p - t).max(-1), PREDICTIONS, TARGETS, weights, 7)
    np.testing.assert_allclose(largest, np.average(abs(PREDICTIONS - TARGETS).max(1), weights=weights), rtol=1e-6)
    share = in_batches(lambda p, t: p > t, PREDICTIONS, TARGETS, weights, 7)
    np.testing.assert_allclose(share, np.average((PREDICTIONS > TARGETS).mean(1), weights=weights), rtol=1e-6)
    wide = functools.partial(losses.huber, delta=20.0)
    np.testing.assert_allclose(
        in_batches(wide, PREDICTIONS, TARGETS, weights, 7),
        np.average(np.asarray(losses.huber(PREDICTIONS, TARGETS, delta=20.0)), weights=weights),
        rtol=1e-6,
    )


def test_equal_metrics_are_one_stream():
    assert metrics.stream("mae") is metrics.stream("Mean absolute error") is metrics.stream(metrics.mean_absolute_error)
    assert metrics.stream("huber") is metrics.stream(losses.huber)
    assert metrics.stream("mse") is not metrics.stream(losses.mean_squared_error)  # the metric comes before the loss
    one, other = (functools.partial(metrics.binary_accuracy, threshold=0.5) for _ in range(2))
    assert metrics.stream(one) is metrics.stream(other)
    own = metrics.Stream(lambda p, t, w: {"a": w.sum()}, lambda tree: tree["a"])
    assert metrics.stream(own) is own
    assert own.merge({"a": jnp.float32(1)}, {"a": jnp.float32(2)}) == {"a": 3}


def test_every_metric_of_the_room_has_a_stream():
    for entry in _registry.iterate("metric"):
        if entry.function.__module__ == metrics.__name__:
            assert any(known is entry.function for known, _ in metrics._STREAMS), entry.name


def test_names():
    assert metrics.name_of("mse") == "mean_squared_error"
    assert metrics.name_of("Huber loss") == "huber"
    assert metrics.name_of(metrics.r2) == "r2"
    assert metrics.name_of(functools.partial(metrics.binary_accuracy, threshold=0.5)) == "binary_accuracy"
    assert metrics.name_of(losses.l1) == "l1"

    class Judge:
        def __call__(self, predictions, targets):
            return predictions

    assert metrics.name_of(Judge()) == "Judge"


def test_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        for metric, predictions, targets, _ in CASES.values():
            jax.eval_shape(metric, jnp.asarray(predictions), jnp.asarray(targets))
        tree = jax.eval_shape(metrics.stream("r2").sums, jnp.asarray(PREDICTIONS), jnp.asarray(TARGETS), jnp.ones(N))
        jax.eval_shape(metrics.stream("r2").merge, tree, tree)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.stream("acuracy"), KeyError, "no metric or loss is called 'acuracy'; did you mean 'accuracy'"),
        (lambda: metrics.name_of("hubber"), KeyError, "no metric or loss is called 'hubber'; did you mean 'huber'"),
        (lambda: metrics.stream(3), TypeError, "a metric must be a name, a function or a Stream; got 3"),
        (lambda: metrics.name_of(3), TypeError, "3 has no name to be listed by"),
        (lambda: metrics.name_of(lambda p, t: p), TypeError, r"listed by; give it one as \{'name': metric\}"),
        (lambda: metrics.name_of(metrics.stream("r2")), TypeError, "has no name to be listed by"),
        (lambda: metrics.accuracy(SCORES, LABELS[:, None]), ValueError, r"labels \(23,\) or one-hot .* squeeze"),
        (lambda: metrics.accuracy(SCORES, LABELS[:5]), ValueError, r"for predictions \(23, 4\); got \(5,\)$"),
        (lambda: metrics.accuracy(SCORES, LABELS * 1.0), TypeError, r"\(23,\) must be integer labels; got float"),
        (lambda: metrics.accuracy(1.0, 1), ValueError, "a leading axis of examples; got a scalar"),
        (lambda: metrics.accuracy(jnp.ones(3, complex), jnp.ones(3)), TypeError, "predictions must be real"),
        (lambda: metrics.binary_accuracy(LOGITS, YES[:, None]), ValueError, r"same shape; got \(23,\)"),
        (lambda: metrics.binary_accuracy(LOGITS, YES, threshold=nan), ValueError, "threshold must be a number"),
        (lambda: metrics.binary_accuracy(LOGITS, YES, threshold="0"), TypeError, "threshold must be a number; got '0'"),
        (lambda: metrics.mean_absolute_error(LOGITS, YES[:, None]), ValueError, r"got \(23,\) and \(23, 1\)"),
        (lambda: metrics.mean_squared_error(LOGITS, YES[:, None]), ValueError, r"got \(23,\) and \(23, 1\)"),
        (lambda: metrics.r2(TARGETS[:, :1], TARGETS[:, 0]), ValueError, r"got \(23, 1\) and \(23,\); reshape targets"),
        (lambda: metrics.r2(LOGITS, YES, sample_weight=np.ones((N, 1))), ValueError, r"shape \(23,\); got \(23, 1\)"),
        (lambda: metrics.stream("r2").sums(LOGITS, YES, np.ones(5)), ValueError, r"as many examples; got \(23,\) and"),
        (lambda: metrics.stream("l1").sums(LOGITS, YES, np.ones(N)), ValueError, r"l1 must give one value an example"),
        (lambda: metrics.stream(lambda p, t: p * 1j).sums(LOGITS, YES, np.ones(N)), TypeError, "values of a metric"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
