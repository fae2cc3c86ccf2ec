"""What every metric keeps: scikit-learn's value, whole and in partial batches, absent examples, names, training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import _registry, losses, metrics
from jaxdict.metrics import _stream
from streams import (
    CASES,
    LABELS,
    LOGITS,
    ONES,
    PREDICTIONS,
    SCORES,
    TARGETS,
    WEIGHTS,
    YES,
    K,
    N,
    compiled,
    in_batches,
    nan,
)


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


def name_of_case(case):
    return case.partition(",")[0]


def test_every_metric_has_a_case_and_a_stream():
    entries = list(_registry.iterate("metric"))
    covered = {metrics.name_of(metric) for metric, *_ in CASES.values()}
    assert {entry.name for entry in entries} == covered
    for entry in entries:
        assert any(known is entry.function for known, _ in _stream._STREAMS), entry.name


@pytest.mark.parametrize("case", list(CASES))
def test_against_scikit_learn_whole_and_in_batches(case):
    metric, predictions, targets, oracle = CASES[case]
    whole = jax.jit(metric)
    got = whole(predictions, targets)
    assert got.dtype == jnp.float32
    assert got.shape == ((K, K) if case == "confusion_matrix" else ())
    np.testing.assert_allclose(got, oracle(None), rtol=2e-6)
    np.testing.assert_allclose(whole(predictions, targets, sample_weight=WEIGHTS), oracle(WEIGHTS), rtol=2e-6)
    for size in (5, N + 3):
        np.testing.assert_allclose(in_batches(metric, predictions, targets, ONES, size), oracle(None), rtol=2e-6)
        np.testing.assert_allclose(in_batches(metric, predictions, targets, WEIGHTS, size), oracle(WEIGHTS), rtol=2e-6)


@pytest.mark.parametrize("case", list(CASES))
def test_no_example_or_no_weight_is_nan(case):
    metric, predictions, targets, _ = CASES[case]
    none = 0 * ONES
    nothing = np.zeros((K, K)) if case == "confusion_matrix" else nan
    np.testing.assert_array_equal(jax.jit(metric)(predictions[:0], targets[:0]), nothing)
    np.testing.assert_array_equal(jax.jit(metric)(predictions, targets, sample_weight=none), nothing)
    np.testing.assert_array_equal(in_batches(metric, predictions, targets, none, 5), nothing)
    sums, merge, value = compiled(metrics.stream(metric))
    empty = sums(predictions[:0], targets[:0], none[:0])
    np.testing.assert_array_equal(value(merge(empty, empty)), nothing)


# an example that a NaN would get right: argmax gives 0 for it, and it is not above the threshold
ABSENT = np.flatnonzero((LABELS == 0) & (YES == 0))[0]


@pytest.mark.parametrize("case", list(CASES))
def test_an_absent_example_may_be_anything_and_a_present_nan_shows(case):
    metric, predictions, targets, _ = CASES[case]
    spoiled, weights, metric = predictions.copy(), ONES.copy(), jax.jit(metric)
    spoiled[ABSENT], weights[ABSENT] = nan, 0
    want = metric(np.delete(predictions, ABSENT, 0), np.delete(targets, ABSENT, 0))
    np.testing.assert_allclose(metric(spoiled, targets, sample_weight=weights), want, rtol=2e-6)
    shown = metric(spoiled, targets)
    if "accuracy" in case:  # a NaN score is wrong, whatever argmax makes of it
        np.testing.assert_allclose(shown, want * (N - 1) / N, rtol=2e-6)
    elif name_of_case(case) in ("confusion_matrix", "precision"):  # it is of no class
        np.testing.assert_allclose(shown, want, rtol=2e-6)
    elif name_of_case(case) in ("recall", "f1"):  # of no class, but one of its own to be found
        assert shown <= want
    else:
        assert np.isnan(shown)


@pytest.mark.parametrize("case", ["accuracy", "precision", "auc", "auc, classes"])
@pytest.mark.slow
def test_lanes(case):
    """Mapped over predictions and weights, each lane is the metric alone; the streaming form too."""
    metric, predictions, targets, oracle = CASES[case]
    stream = metrics.stream(metric)
    lanes, weights = np.stack([predictions, predictions[::-1]]), np.stack([WEIGHTS, ONES])

    @jax.jit
    @jax.vmap
    def both(p, w):
        parts = [stream.sums(p[at], targets[at], w[at]) for at in (slice(9), slice(9, None))]
        return metric(p, targets, sample_weight=w), stream.value(stream.merge(*parts))

    whole, streamed = both(lanes, weights)
    np.testing.assert_allclose(whole[0], oracle(WEIGHTS), rtol=2e-6)
    np.testing.assert_allclose(whole[1], jax.jit(metric)(lanes[1], targets), rtol=1e-6)
    np.testing.assert_allclose(streamed, whole, rtol=1e-6)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.slow
def test_types_of_predictions(case):
    """Narrow predictions give what their values give in float32; wide ones a float32 too."""
    metric, predictions, targets, _ = CASES[case]
    real = targets.dtype.kind == "f"
    typed = jnp.asarray(predictions, jnp.bfloat16)
    given = jnp.asarray(targets, jnp.bfloat16) if real else targets
    want = jax.jit(metric)(np.asarray(typed, np.float32), np.asarray(given, np.float32) if real else targets)
    got = jax.jit(metric)(typed, given)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-5)
    sums, _, value = compiled(metrics.stream(metric))
    np.testing.assert_allclose(value(sums(typed, given, ONES)), want, rtol=1e-5)
    with jax.enable_x64(True):
        wide = jax.ShapeDtypeStruct(predictions.shape, jnp.float64)
        labels = jax.ShapeDtypeStruct(targets.shape, jnp.float64 if real else jnp.int64)
        assert jax.eval_shape(metric, wide, labels).dtype == jnp.float32
        tree = jax.eval_shape(metrics.stream(metric).sums, wide, labels, jnp.ones(N))
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("case", ["r2", "auc", "f1", "confusion_matrix"])
def test_merging_does_not_depend_on_the_grouping(case):
    metric, predictions, targets, _ = CASES[case]
    sums, merge, value = compiled(metrics.stream(metric))
    parts = [sums(predictions[i : i + 5], targets[i : i + 5], ONES[:5]) for i in (0, 5, 10, 15)]
    left = functools.reduce(merge, parts)
    right = merge(merge(parts[0], parts[1]), merge(parts[2], parts[3]))
    np.testing.assert_allclose(value(left), value(right), rtol=1e-6)
    zeros = jax.tree.map(np.zeros_like, left)
    for same in (merge(left, zeros), merge(zeros, left)):
        for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(left), strict=True):
            np.testing.assert_array_equal(a, b)


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
            predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
            jax.eval_shape(metric, predictions, targets)
            stream = metrics.stream(metric)
            tree = jax.eval_shape(stream.sums, predictions, targets, jnp.ones(N))
            jax.eval_shape(stream.value, jax.eval_shape(stream.merge, tree, tree))


# ---------------------------------------------------------------------------------------------------- in training

X = np.random.default_rng(3).normal(size=(41, 3)).astype(np.float32)
CLASS = np.abs(X).argmax(1)
EACH = ["precision", "recall", "f1", "auc", functools.partial(metrics.top_k_accuracy, k=2)]


@pytest.fixture(scope="module")
def run():
    model = jd.models.mlp([3, 8, 3])
    return jd.fit(
        model, "sparse_softmax_cross_entropy", "adam", (X, CLASS), key=0, epochs=3, batch_size=16,
        validation=(X[:13], CLASS[:13]), metrics=EACH,
    )  # fmt: skip


@pytest.mark.slow
def test_in_fit_by_name(run):
    logits = run.predict(X[:13])
    for metric in EACH:
        name, function = metrics.name_of(metric), metric
        if isinstance(metric, str):
            function = getattr(metrics, metric)
        assert np.all(np.isfinite(run.history[name]))
        np.testing.assert_allclose(run.history[f"validation_{name}"][-1], function(logits, CLASS[:13]), rtol=1e-6)


@pytest.mark.slow
def test_a_matrix_in_evaluate(run):
    got = run.evaluate((X, CLASS), metrics=["confusion_matrix", "accuracy"])
    want = metrics.confusion_matrix(run.predict(X), CLASS)
    assert isinstance(got["confusion_matrix"], np.ndarray)
    np.testing.assert_array_equal(got["confusion_matrix"], want)
    assert isinstance(got["accuracy"], float)
    assert got["accuracy"] == pytest.approx(np.trace(want) / len(X))


def test_a_matrix_in_fit_is_an_error():
    message = r"metric 'confusion_matrix' gives an array \(3, 3\): a history holds numbers; leave it to Run.evaluate"
    with pytest.raises(ValueError, match=message):
        jd.fit(
            jd.models.mlp([3, 3]), "sparse_softmax_cross_entropy", "adam", (X, CLASS), key=0, epochs=1,
            metrics="confusion_matrix",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.stream("acuracy"), KeyError, "no metric or loss is called 'acuracy'; did you mean 'accuracy'"),
        (lambda: metrics.name_of("hubber"), KeyError, "no metric or loss is called 'hubber'; did you mean 'huber'"),
        (lambda: metrics.stream(3), TypeError, "a metric must be a name, a function or a Stream; got 3"),
        (lambda: metrics.name_of(3), TypeError, "3 has no name to be listed by"),
        (lambda: metrics.name_of(lambda p, t: p), TypeError, r"listed by; give it one as \{'name': metric\}"),
        (lambda: metrics.name_of(metrics.stream("r2")), TypeError, "has no name to be listed by"),
        (lambda: metrics.accuracy(1.0, 1), ValueError, "a leading axis of examples; got a scalar"),
        (lambda: metrics.auc(1.0, 1), ValueError, "a leading axis of examples; got a scalar"),
        (lambda: metrics.r2(LOGITS, YES, sample_weight=np.ones((N, 1))), ValueError, r"shape \(23,\); got \(23, 1\)"),
        (lambda: metrics.auc(LOGITS, YES, sample_weight=np.ones(5)), ValueError, r"shape \(23,\); got \(5,\)"),
        (lambda: metrics.stream("r2").sums(LOGITS, YES, np.ones(5)), ValueError, r"as many examples; got \(23,\) and"),
        (lambda: metrics.stream("f1").sums(LOGITS, YES, np.ones(5)), ValueError, r"as many examples; got \(23,\) and"),
        (lambda: metrics.stream("l1").sums(LOGITS, YES, ONES), ValueError, r"l1 must give one value an example"),
        (lambda: metrics.stream(lambda p, t: p * 1j).sums(LOGITS, YES, ONES), TypeError, "values of a metric"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
