"""From losses of examples to one number: means, weights, totals over several outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import losses
from loss_oracles import LABELS, P, Y, oracle

inf, nan = np.inf, np.nan

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


# ------------------------------------------------------------------------------------------- totals over outputs

HEADS = {"box": np.float32(P), "class": np.float32(Y)}
TRUTH = {"box": np.float32(Y), "class": LABELS}
EACH = {"box": oracle("huber", P, Y), "class": -np.log(np.float64(Y))[np.arange(4), LABELS]}


def test_a_total_over_outputs():
    """Names and functions, in any tree; each loss's example with its weight (S2 10.2.2)."""
    both = {"box": "huber", "class": losses.sparse_cross_entropy}
    np.testing.assert_allclose(losses.total(both, HEADS, TRUTH), EACH["box"] + EACH["class"], rtol=1e-6)
    weighted = losses.total(both, HEADS, TRUTH, loss_weights={"box": 0.25, "class": 3})
    np.testing.assert_allclose(weighted, 0.25 * EACH["box"] + 3 * EACH["class"], rtol=1e-6)
    listed = losses.total(
        ["huber", functools.partial(losses.huber, delta=2.0)], [P, P], [Y, Y], loss_weights=[1.0, 0.5]
    )
    np.testing.assert_allclose(listed, EACH["box"] + 0.5 * oracle("huber", P, Y, delta=2.0), rtol=1e-6)
    np.testing.assert_allclose(losses.total("huber", P, Y), EACH["box"], rtol=1e-6)
    nested = losses.total({"a": {"b": "huber"}}, {"a": {"b": P}}, {"a": {"b": Y}}, loss_weights={"a": {"b": 2.0}})
    np.testing.assert_allclose(nested, 2 * EACH["box"], rtol=1e-6)


def test_a_loss_may_take_a_tree_itself():
    pair = losses.total({"x": lambda p, y: losses.l1(p["m"], y) * p["s"][:, 0]}, {"x": {"m": P, "s": Y}}, {"x": Y})
    np.testing.assert_allclose(pair, oracle("l1", P, Y) * Y[:, 0], rtol=1e-6)


def test_loss_weights_are_data():
    total = jax.jit(lambda w: losses.total(["huber", "l1"], [P, P], [Y, Y], loss_weights=w))
    np.testing.assert_allclose(total([2.0, 0.5]), 2 * EACH["box"] + 0.5 * oracle("l1", P, Y), rtol=1e-6)
    slopes = jax.grad(lambda w: total(w).sum())([2.0, 0.5])
    np.testing.assert_allclose(slopes, [EACH["box"].sum(), oracle("l1", P, Y).sum()], rtol=1e-6)
    np.testing.assert_allclose(
        losses.total(["huber", "l1"], [P, P * nan], [Y, Y], loss_weights=[1, 0]), EACH["box"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("args", "weights", "error", "message"),
    [
        (({}, {}, {}), None, ValueError, r"losses must hold at least one loss; got \{\}"),
        (({"a": "l1"}, {"b": P}, {"a": Y}), None, ValueError, "predictions must have one entry for each loss: "),
        (({"a": "l1"}, {"a": P}, Y), None, ValueError, "targets must have one entry for each loss: "),
        ((["l1", "l2"], [P, P], [Y, Y]), [1.0], ValueError, "loss_weights must have one entry for each loss: "),
        ((["l1", "l2"], [P, P], [Y, Y]), [1.0, "a"], TypeError, r"loss_weights\[1\] must be a number; got 'a'"),
        ((["l1", "l2"], [P, P], [Y, Y]), [1.0, nan], ValueError,
         r"loss_weights\[1\] must be a number, not NaN; got nan"),
        ((["l1", "huberr"], [P, P], [Y, Y]), None, KeyError, "no loss is called 'huberr'; did you mean 'huber'"),
        ((["l1", "l2"], [P, P[:3]], [Y, Y[:3]]), None, ValueError,
         r"losses must give the same shape; got \(4,\) and, from loss \[1\], \(3,\)"),
    ],
)  # fmt: skip
def test_errors_of_total(args, weights, error, message):
    with pytest.raises(error, match=message):
        losses.total(*args, loss_weights=weights)
