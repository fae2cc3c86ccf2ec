"""``compat.keras`` beside recorded runs of Keras on its JAX backend, in float32: formulas, draws, layers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recorded_formulas
from jaxdict.compat.keras import activations, initializers, layers, losses, regularizers

RECORDED = recorded_formulas.load("keras")
CALLS = recorded_formulas.by_name(RECORDED["calls"])
ALIASES = {"swish", "hard_swish", "Loss"}


def test_every_function_is_recorded():
    assert {*activations.__all__, *losses.__all__} - ALIASES == set(CALLS)
    assert activations.swish is activations.silu
    assert activations.hard_swish is activations.hard_silu


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients(name):
    function = getattr(activations if hasattr(activations, name) else losses, name)
    for call in CALLS[name]:
        recorded_formulas.check(function, call, jnp.float32, 1e-6)


@pytest.mark.parametrize("record", RECORDED["initializers"], ids=lambda r: f"{r['name']}{r['options']}{r['shape']}")
@pytest.mark.slow
def test_draws(record):
    factory = getattr(initializers, record["name"])(**record["options"])
    recorded_formulas.check_draws(factory, record, RECORDED["quantiles"])


@pytest.mark.parametrize("record", RECORDED["batch norms"], ids=lambda r: str(r["options"]))
def test_batch_norm(record):
    batches = [jnp.asarray(b, jnp.float32) for b in record["batches"]]
    layer = layers.BatchNormalization(**record["options"])
    for ours, theirs in zip(recorded_formulas.train_norm(layer, batches), record["arrays"], strict=True):
        recorded_formulas.close(ours, theirs, 2e-6)


def test_hinge_converts_labels_in_compiled_code():
    scores = jnp.array([[0.3, -0.6], [1.5, 0.2]])
    hinge = jax.jit(losses.hinge)
    signs, mixed = jnp.array([[1.0, -1.0], [-1.0, 1.0]]), jnp.array([[1.0, 0.0], [-1.0, 1.0]])
    np.testing.assert_allclose(hinge((signs + 1) / 2, scores), hinge(signs, scores), rtol=1e-7)
    np.testing.assert_allclose(hinge(mixed, scores), [(0.7 + 1) / 2, (2.5 + 0.8) / 2], rtol=1e-6)


def test_losses_of_examples_turn_round_for_fit():
    targets, predictions = jnp.array([[1.0, 0.0]]), jnp.array([[0.8, 0.2]])
    loss = losses.CategoricalCrossentropy()
    assert loss is losses.CategoricalCrossentropy()
    np.testing.assert_allclose(loss.of_examples(predictions, targets), [-math.log(0.8)], rtol=1e-6)
    np.testing.assert_allclose(loss(targets, predictions), -math.log(0.8), rtol=1e-6)


def test_an_ignored_row_of_zeros_has_no_nan_in_its_gradient():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    gradient = jax.grad(lambda p: loss(jnp.array([-1, 1]), p))(jnp.array([[0.0, 0.0], [0.5, 0.5]]))
    np.testing.assert_allclose(gradient, [[0, 0], [1, -1]], atol=1e-6)


def test_signatures_are_those_of_keras():
    args = (True, -1, "sum", 1)  # from_logits, ignore_class, reduction, axis
    loss = losses.SparseCategoricalCrossentropy(*args)
    assert (loss.reduction, loss.ignored) == ("sum", -1)
    with pytest.raises(TypeError, match="from_logit"):
        losses.BinaryCrossentropy(from_logit=True)
    with pytest.raises(ValueError, match="reduction must be one of"):
        losses.Hinge(reduction="average")


def test_weights_must_fit():
    with pytest.raises(ValueError, match=r"sample_weight must fit the losses' shape \(2,\); got \(3,\)"):
        losses.MeanSquaredError()(jnp.ones((2, 4)), jnp.zeros((2, 4)), jnp.ones(3))
    with pytest.raises(ValueError, match="same shape"):
        losses.MeanSquaredError()(jnp.ones((2, 4)), jnp.zeros((2, 3)))


def test_regularizers():
    w = np.array([[0.5, -2.0, 0.25], [1.5, 0.0, -1.0]], np.float32)
    assert float(regularizers.L1()(w)) == pytest.approx(0.01 * 5.25, rel=1e-6)
    assert float(regularizers.L2()(w)) == pytest.approx(0.01 * 7.5625, rel=1e-6)
    assert float(regularizers.L1L2(0.1, 0.2)(w)) == pytest.approx(0.525 + 1.5125, rel=1e-6)
    assert float(regularizers.L1L2()(w)) == 0
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    assert float(regularizers.OrthogonalRegularizer()(w)) == pytest.approx(0.01 * abs(unit[0] @ unit[1]), rel=1e-5)
    unit = w / np.linalg.norm(w, axis=0)
    pairs = [abs(unit[:, i] @ unit[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    columns = regularizers.OrthogonalRegularizer(0.5, "columns")
    assert float(columns(w)) == pytest.approx(0.5 * np.mean(pairs), rel=1e-5)
    np.testing.assert_allclose(jax.grad(regularizers.l2(0.1))({"k": jnp.asarray(w)})["k"], 0.2 * w, rtol=1e-6)
    assert regularizers.get("l2") is regularizers.L2()
    assert regularizers.get(None) is None
    with pytest.raises(ValueError, match="takes a matrix"):
        columns(w[0])
    with pytest.raises(ValueError, match="l1 must be >= 0"):
        regularizers.L1(-1.0)


def test_dense_starts_as_keras_does_and_names_are_its_own():
    layer = layers.Dense(500, "leaky_relu")
    params, state, shape = layer.init(jax.random.key(1), (40,))
    bound = math.sqrt(6 / 540)
    assert 0.99 * bound < float(jnp.abs(params["kernel"]).max()) <= bound
    assert not params["bias"].any()
    x = np.linspace(-1, 1, 80).reshape(2, 40).astype("float32")
    linear = x @ np.asarray(params["kernel"])
    np.testing.assert_allclose(
        layer.apply(params, state, jnp.asarray(x))[0], np.where(linear > 0, linear, 0.2 * linear), atol=1e-6
    )
    assert shape == (500,)
    # The name means Keras's 0.05, not the dictionary's 1.
    narrow = layers.Dense(500, kernel_initializer="random_normal", use_bias=False).init(jax.random.key(1), (40,))[0]
    assert float(narrow["kernel"].std()) == pytest.approx(0.05, rel=0.03)
    with pytest.raises(ValueError, match="'he_normal'"):
        layers.Dense(3, kernel_initializer="henormal")
    with pytest.raises(ValueError, match="'leaky_relu'"):
        layers.Dense(3, "leakyrelu")


def test_constants_and_matrices():
    np.testing.assert_array_equal(initializers.Identity(2.0)(0, (2, 3)), 2 * np.eye(2, 3))
    np.testing.assert_array_equal(initializers.Constant(0.25)(0, (2,)), 0.25)
    np.testing.assert_array_equal(initializers.Zeros()(0, (2,)), 0)
    np.testing.assert_array_equal(initializers.get("ones")(0, (2,)), 1)
    tall = np.asarray(initializers.Orthogonal(3.0)(0, (2, 3, 4))).reshape(6, 4)  # columns: the outputs
    np.testing.assert_allclose(tall.T @ tall, 9 * np.eye(4), atol=1e-5)
    assert initializers.get(initializers.Zeros()) is initializers.get("Zeros")
    with pytest.raises(ValueError, match="two axes"):
        initializers.Identity()(0, (2, 3, 4))
    with pytest.raises(ValueError, match="scale must be > 0"):
        initializers.VarianceScaling(0.0)
    with pytest.raises(ValueError, match="mode must be one of"):
        initializers.VarianceScaling(1.0, "fan_average")
