"""Pretraining: the autoencoder computes what it says, and its encoder starts a classifier."""

import jax
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import layers, models, transfer
from jaxdict.models import autoencoder

ENCODER = models.mlp([6, 5, 3], activation="tanh", output="tanh", name="encoder")


def spread(like):
    """Numbers in the shapes of a model's parameters, biases too."""
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda leaf: rng.normal(0.1, 0.5, leaf.shape).astype(np.float32), like)


def shapes(model, input_shape=(6,)):
    return jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape)[0])


@pytest.mark.parametrize("tied", [False, True])
def test_it_reconstructs_by_its_formula(tied):
    model = autoencoder([6, 5, 3], activation="tanh", output="sigmoid", tied=tied)
    params = spread(shapes(model))
    assert params.keys() == {"encoder", "decoder"}
    x = np.random.default_rng(0).normal(0.3, 1, (4, 6)).astype(np.float32)
    encoder, decoder = params["encoder"], params["decoder"]
    down = [(encoder[f"dense_{i}"]["kernel"], encoder[f"dense_{i}"]["bias"]) for i in (1, 2)]
    if tied:
        up = [(down[1][0].T, decoder["bias_1"]), (down[0][0].T, decoder["bias_2"])]
    else:
        up = [(decoder[f"dense_{i}"]["kernel"], decoder[f"dense_{i}"]["bias"]) for i in (1, 2)]
    wanted = np.float64(x)
    for kernel, bias in [*down, up[0]]:
        wanted = np.tanh(wanted @ kernel + bias)
    wanted = 1 / (1 + np.exp(-(wanted @ up[1][0] + up[1][1])))
    np.testing.assert_allclose(jax.jit(model.apply)(params, {}, x)[0], wanted, rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_noise_masks_the_inputs_in_training_only(tied):
    model = autoencoder([40, 40], activation="linear", noise=0.25, tied=tied)
    eye = {"kernel": np.eye(40, dtype=np.float32), "bias": np.zeros(40, np.float32)}
    params = {"encoder": {"dense_1": eye}, "decoder": {"bias_1": eye["bias"]} if tied else {"dense_1": eye}}
    x = np.ones((50, 40), np.float32)

    @jax.jit
    def outputs(x):
        return model.apply(params, {}, x, key=jax.random.key(0), train=True)[0], model.apply(params, {}, x)[0]

    noisy, clean = map(np.asarray, outputs(x))
    assert set(np.unique(noisy)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert np.mean(noisy == 0) == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(clean, x)


@pytest.mark.parametrize("tied", [False, True])
def test_it_is_rebuilt_from_its_spec(tied):
    model = autoencoder([6, 5, 3], activation=jd.activations.tanh, noise=0.1, tied=tied)
    assert models.spec_from_json(models.spec_to_json(model)) is model
    inner = models.serial(layers.flatten(), autoencoder([6, 3], tied=tied, name="inner"))
    with jax.enable_x64(True):
        held = shapes(inner, (2, 3))
    assert held.keys() == {"inner"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(held)} == {"float32"}


def test_its_encoder_starts_a_classifier():
    auto = autoencoder([6, 5, 3], activation="tanh")
    assert dict(auto.parts)["encoder"] is ENCODER
    x = np.random.default_rng(1).normal(size=(32, 6)).astype(np.float32)
    trained = jd.fit(auto, "mean_squared_error", "adam", (x, x), key=0, epochs=30, batch_size=8)
    assert trained.history["loss"][-1] < 0.9 * trained.history["loss"][0]
    classifier = models.serial(ENCODER, layers.dense(2))
    fresh = spread(shapes(classifier))
    params = transfer.reuse(fresh, trained.params, "encoder/*")
    features = jax.jit(ENCODER.apply)(trained.params["encoder"], {}, x)[0]
    wanted = np.asarray(features) @ fresh["dense_1"]["kernel"] + fresh["dense_1"]["bias"]
    np.testing.assert_allclose(jax.jit(classifier.apply)(params, {}, x)[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: autoencoder([6]), ValueError, r"widths must hold the input and the output width"),
        (lambda: autoencoder([6, 0]), ValueError, r"a width must be >= 1; got 0"),
        (lambda: autoencoder([6, 3], noise=1.0), ValueError, r"noise must be >= 0 and < 1; got 1.0"),
        (lambda: autoencoder([6, 3], tied="yes"), ValueError, r"tied must be one of True, False; got 'yes'"),
        (lambda: autoencoder([6, 3], activation="rellu"), KeyError, r"did you mean 'relu'"),
        (
            lambda: autoencoder([6, 3]).init(jax.random.key(0), (5,)), ValueError,
            r"layer 'encoder': mlp\(\[6, 3\]\) takes examples of shape \(6,\); got \(5,\)",
        ),
    ],
)  # fmt: skip
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()
