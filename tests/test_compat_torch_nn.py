"""``compat.torch.nn`` beside recorded runs of PyTorch: values and gradients in float64, draws by their quantiles."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recorded_formulas
from jaxdict.compat.torch import nn

F, init = nn.functional, nn.init
RECORDED = recorded_formulas.load("torch")
CALLS = recorded_formulas.by_name(RECORDED["calls"])
# Torch keeps a constant of these gradients in float32: 1/alpha, 1/6, 1e-12.
COARSE = {"celu": 3e-8, "hardsigmoid": 3e-8, "binary_cross_entropy": 1e-8}
DRAWN = {"alpha_dropout", "dropout"}


def test_every_function_is_recorded():
    assert set(F.__all__) - DRAWN == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients(name):
    with jax.enable_x64(True):
        for call in CALLS[name]:
            recorded_formulas.check(getattr(F, name), call, jnp.float64, COARSE.get(name, 2e-13))


@pytest.mark.parametrize("record", RECORDED["initializers"], ids=lambda r: f"{r['name']}{r['options']}{r['shape']}")
@pytest.mark.slow
def test_draws(record):
    recorded_formulas.check_draws(getattr(init, record["name"])(**record["options"]), record, RECORDED["quantiles"])


@pytest.mark.parametrize("record", RECORDED["batch norms"], ids=lambda r: str(r["options"]))
def test_batch_norm(record):
    batches = [jnp.asarray(b, jnp.float32) for b in record["batches"]]
    for ours, theirs in zip(
        recorded_formulas.train_norm(nn.BatchNorm1d(3, **record["options"]), batches), record["arrays"], strict=True
    ):
        recorded_formulas.close(ours, theirs, 2e-6)


def test_batch_norm_refuses_one_value_and_other_features():
    layer = nn.BatchNorm1d(3)
    params, state, _ = layer.init(jax.random.key(0), (3,))
    with pytest.raises(ValueError, match="more than one value a channel"):
        layer.apply(params, state, jnp.ones((1, 3)), train=True)
    with pytest.raises(ValueError, match=r"takes \(3,\) or \(3, L\); got \(4,\)"):
        layer.init(jax.random.key(0), (4,))


def test_linear_starts_as_torch_does():
    layer = nn.Linear(40, 500)
    params, _, shape = layer.init(jax.random.key(1), (40,))
    bound = 1 / math.sqrt(40)
    for leaf in (params["kernel"], params["bias"]):
        assert 0.98 * bound < float(jnp.abs(leaf).max()) <= bound
        np.testing.assert_allclose(float(leaf.std()), bound / math.sqrt(3), rtol=0.07)
    assert shape == (500,)
    assert params["kernel"].shape == (40, 500)
    assert layer is nn.Linear(40, 500)
    assert set(nn.Linear(2, 3, bias=False).init(jax.random.key(0), (2,))[0]) == {"kernel"}
    with pytest.raises(ValueError, match="Linear takes 40 features"):
        layer.init(jax.random.key(1), (39,))


def test_gains():
    gains = {"linear": 1, "conv_transpose2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == pytest.approx(gain, rel=1e-15)
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 5**0.5) == pytest.approx(math.sqrt(1 / 3), rel=1e-15)
    with pytest.raises(ValueError, match="'leaky_relu'"):
        init.calculate_gain("leakyrelu")


def test_matrices_of_torch():
    np.testing.assert_array_equal(init.eye_()(0, (2, 3)), np.eye(2, 3))
    wide = np.asarray(init.orthogonal_(2.0)(0, (4, 3, 2))).reshape(4, 6)  # rows: the outputs
    np.testing.assert_allclose(wide @ wide.T, 4 * np.eye(4), atol=1e-5)
    kernel = np.zeros((4, 2, 4, 3))
    for output, channel in ((0, 0), (1, 1), (2, 0), (3, 1)):
        kernel[output, channel, 2, 1] = 1
    np.testing.assert_array_equal(init.dirac_(2)(0, kernel.shape), kernel)
    zeros = np.sum(np.asarray(init.sparse_(0.07)(0, (100, 5))) == 0, axis=0)
    np.testing.assert_array_equal(zeros, 8)  # 0.07 * 100 is a little more than 7 in floating point
    np.testing.assert_array_equal(init.constant_(0.25)(0, (3,)), 0.25)
    np.testing.assert_array_equal(init.ones_()(0, (3,)), 1)
    np.testing.assert_array_equal(init.zeros_()(0, (3,)), 0)
    for factory in (init.eye_(), init.sparse_(0.5), init.dirac_()):
        with pytest.raises(ValueError, match=r"got shape \(3,\)"):
            factory(0, (3,))
    with pytest.raises(ValueError, match="axis 1"):
        init.kaiming_uniform_()(0, (3,))


def test_a_default_truncation_leaves_no_outlier_at_its_bounds():
    w = np.asarray(init.trunc_normal_(std=0.02)(5, (2_000_000,)))
    assert 4.5 < np.abs(w).max() / 0.02 < 5.5


def test_dropout():
    x = jnp.full((50_000,), 3.0)
    dropped = np.asarray(F.dropout(x, 0.2, key=1))
    assert set(np.unique(dropped)) == {0.0, np.float32(3.75)}
    assert np.mean(dropped == 0) == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(F.dropout(x, 0.2, training=False), x)
    np.testing.assert_array_equal(F.dropout(x, 1.0), 0)
    noise = np.asarray(F.alpha_dropout(jax.random.normal(jax.random.key(0), (50_000,)), 0.3, True, key=2))
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(F.alpha_dropout(x), x)
    with pytest.raises(ValueError, match="p must be"):
        F.dropout(x, 1.5, key=0)


def test_rrelu_draws_slopes_in_training():
    slopes = -np.asarray(F.rrelu(-jnp.ones(20_000), training=True, key=4))
    assert slopes.min() == pytest.approx(1 / 8, abs=1e-3)
    assert slopes.max() == pytest.approx(1 / 3, abs=1e-3)
    assert slopes.mean() == pytest.approx(11 / 48, abs=3e-3)
    with pytest.raises(ValueError, match="needs a key"):
        F.rrelu(jnp.ones(3), training=True)


def test_narrow_types_and_traced_labels():
    x = jnp.array([[0.5, -1.25, 2.0]], jnp.bfloat16)
    assert F.hardtanh(x).dtype == F.softplus(x).dtype == F.threshold(x, 0.1, 2.0).dtype == jnp.bfloat16
    assert F.cross_entropy(x, jnp.array([0])).dtype == jnp.float32
    assert F.softmax(x, 1, dtype=jnp.float32).dtype == jnp.float32
    loss = jax.jit(F.cross_entropy)
    assert jnp.isnan(loss(x, jnp.array([3])))
    surprise = math.log(math.exp(0.5) + math.exp(-1.25) + math.exp(2)) - 2
    assert float(loss(x, jnp.array([2]))) == pytest.approx(surprise, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.mse_loss(x, x[0]), r"same shape; got \(2, 3\) and \(3,\)"),
        (lambda x: F.mse_loss(x, x, reduction="average"), "reduction must be one of"),
        (lambda x: F.mse_loss(x, x, weight=x[0]), "weight and input"),
        (lambda x: F.cross_entropy(x, jnp.array([0, 3])), r"labels must be in \[0, 3\); got 3"),
        (lambda x: F.cross_entropy(x, jnp.array([0, 1]), weight=jnp.ones(2)), "one number for each class"),
        (lambda x: F.cross_entropy(x[0, 0], jnp.array(1)), "axis of classes"),
        (lambda x: F.binary_cross_entropy(x, x, weight=jnp.ones(2)), r"weight must broadcast .* \(2, 3\); got \(2,\)"),
        (lambda x: F.prelu(x, jnp.ones(2)), "each of the 3 channels on axis 1"),
        (lambda x: F.gaussian_nll_loss(x, x, jnp.ones((1, 1))), r"var must be a number, or have the shape \(2, 3\)"),
        (lambda x: F.gaussian_nll_loss(x, x, -1.0), "var must be >= 0"),
        (lambda x: F.multi_margin_loss(x, jnp.array([0, 1]), p=3), "p must be one of 1, 2"),
        (lambda x: F.multi_margin_loss(x[None], jnp.array([[0, 1]])), r"\(C,\) or \(N, C\)"),
        (lambda x: F.cosine_embedding_loss(x, x, jnp.ones((2, 1))), "without its last axis"),
        (lambda x: F.cosine_embedding_loss(x[None], x[None], jnp.ones((1, 2))), r"\(N, D\) or \(D,\)"),
        (lambda x: F.hardtanh(x, 1.0, -1.0), "min_val must be <= max_val"),
        (lambda x: F.gelu(x, "exact"), "approximate must be one of"),
        (lambda x: init.uniform_(1.0, 0.0), "a must be <= b"),
        (lambda x: init.kaiming_normal_(mode="fan_avg"), "mode must be one of 'fan_in', 'fan_out'"),
    ],
)
def test_errors_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.full((2, 3), 0.5))


def test_labels_are_integers_and_probabilities_floats():
    x = jnp.full((2, 3), 0.5)
    with pytest.raises(TypeError, match="labels must be integers"):
        F.cross_entropy(x, jnp.array([0.0, 1.0]))
    with pytest.raises(TypeError, match="complex"):
        F.prelu(x.astype(complex), jnp.ones(1))


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'Conv9d'"):
        _ = nn.Conv9d
