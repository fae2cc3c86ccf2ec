"""Backpropagation by the recursion: the lecture's example by hand, jax.grad on random networks, what is printed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import backprop, layers, models

ELEMENTWISE = [e for e in jd.entries(kind="activation") if not e.vectors and e.derivative is not None]
OPTIONS = {"prelu": {"alpha": 0.2}, "hard_bounded": {"minimum": -1.0, "maximum": 2.0, "alpha": 1.5}}
QUICK = {"xla_backend_optimization_level": 0}  # to compile
LOSSES = ("l2", "huber", "log_cosh", "mean_squared_error", "sigmoid_cross_entropy", "softmax_cross_entropy",
          "sparse_softmax_cross_entropy")  # fmt: skip

# ---------------------------------------------------------------------------------------- the example of S3


@pytest.fixture(scope="module")
def example():
    """x = (1, 2), y = 0; W1 = [[1, −1], [−1, 1]], rows the inputs; all later weights 1; ReLU, a sigmoid at the end."""
    hidden = [part for _ in range(2) for part in (layers.dense(2, bias=False), layers.activation("relu"))]
    model = models.serial(*hidden, layers.dense(1, bias=False))
    kernels = ([[1.0, -1.0], [-1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[1.0], [1.0]])
    params = {f"dense_{i}": {"kernel": np.array(k, np.float32)} for i, k in enumerate(kernels, 1)}
    passes = jax.jit(functools.partial(backprop.value_and_gradients, model, loss="sigmoid_cross_entropy"))
    return model, params, *passes(params, jnp.array([[1.0, 2.0]]), jnp.zeros((1, 1)))


def test_the_lectures_example_forward(example):
    _, _, value, trace, _ = example
    z = {name: np.asarray(array).tolist() for name, array in trace.z.items()}
    u = {name: np.asarray(array).tolist() for name, array in trace.u.items()}
    assert z == {"dense_1": [[-1, 1]], "dense_2": [[1, 1]], "dense_3": [[2]]}
    assert u == {"dense_1": [[0, 1]], "dense_2": [[1, 1]], "dense_3": [[2]]}
    assert float(trace.outputs[0, 0]) == 2
    assert float(value) == pytest.approx(-np.log(1 - 1 / (1 + np.exp(-2.0))), rel=1e-6)  # −ln P(y = 0)


def test_the_lectures_example_backward(example):
    """S3 prints 0.88 and 1.76; it writes the two weight gradients at each other's layer."""
    error = 1 / (1 + np.exp(-2.0)) - 0  # σ(2) − y
    assert error == pytest.approx(0.8808, abs=5e-5)
    _, _, _, _, gradients = example
    wanted = {"dense_3": [[error]], "dense_2": [[error, error]], "dense_1": [[0, 2 * error]]}
    for name, delta in wanted.items():
        np.testing.assert_allclose(gradients.delta[name], delta, rtol=1e-6)
    first, second, third = (np.asarray(gradients.params[f"dense_{i}"]["kernel"]) for i in (1, 2, 3))
    np.testing.assert_allclose(first, [[0, 2 * error], [0, 4 * error]], rtol=1e-6)  # 2 × 1.76 from x₂ to u₁₂
    np.testing.assert_allclose(second, [[0, 0], [error, error]], rtol=1e-6)  # 1 × 0.88 from u₁₂ to u₂₁
    np.testing.assert_allclose(third, [[error], [error]], rtol=1e-6)
    assert first[1, 1] == pytest.approx(3.5232, abs=5e-5)
    np.testing.assert_allclose(gradients.inputs, [[-2 * error, 2 * error]], rtol=1e-6)  # W1 δ1


def test_the_table_is_what_a_teacher_writes(example):
    model, params, _, trace, gradients = example
    text = backprop.table(model, params, trace, gradients=gradients)
    assert text.splitlines() == [
        "forward",
        "  x1 = 1   x2 = 2",
        "dense_1 · relu",
        "  z1 = 1·1 − 1·2 = −1   u1 = 0",
        "  z2 = −1·1 + 1·2 = 1   u2 = 1",
        "dense_2 · relu",
        "  z1 = 1·0 + 1·1 = 1   u1 = 1",
        "  z2 = 1·0 + 1·1 = 1   u2 = 1",
        "dense_3",
        "  z1 = 1·1 + 1·1 = 2   u1 = 2",
        "",
        "backward",
        "dense_3",
        "  δ1 = ∂L/∂z1 = 0.8808   ∂L/∂W(u1→1) = 0.8808   ∂L/∂W(u2→1) = 0.8808",
        "dense_2",
        "  δ1 = 1·(1·0.8808) = 0.8808   ∂L/∂W(u1→1) = 0   ∂L/∂W(u2→1) = 0.8808",
        "  δ2 = 1·(1·0.8808) = 0.8808   ∂L/∂W(u1→2) = 0   ∂L/∂W(u2→2) = 0.8808",
        "dense_1",
        "  δ1 = 0·(1·0.8808 + 1·0.8808) = 0       ∂L/∂W(x1→1) = 0   ∂L/∂W(x2→1) = 0",
        "  δ2 = 1·(1·0.8808 + 1·0.8808) = 1.762   ∂L/∂W(x1→2) = 1.762   ∂L/∂W(x2→2) = 3.523",
    ]
    alone = backprop.table(model, params, trace)
    assert text.startswith(alone)
    assert "backward" not in alone
    short = backprop.table(model, params, trace, gradients=gradients, units=1)
    assert short.splitlines()[1:5] == [
        "  x1 = 1   … 1 more", "dense_1 · relu", "  z1 = a sum of 2 terms = −1   u1 = 0", "  … 1 more units",
    ]  # fmt: skip
    assert "  δ1 = 0·(a sum of 2 terms) = 0   ∂L/∂W(x1→1) = 0   … 1 more" in short


# ------------------------------------------------------------------------------------- beside jax.grad


def network(rng):
    """A random network, its parameters, a batch and a loss: everything but the seed is drawn."""
    depth = int(rng.integers(1, 5))
    widths = [int(w) for w in rng.integers(1, 6, depth + 1)]
    parts = []
    for i, w in enumerate(widths[1:]):
        parts.append(layers.dense(w, bias=bool(rng.integers(2))))
        entry = ELEMENTWISE[int(rng.integers(len(ELEMENTWISE)))]
        if i < depth - 1 or rng.integers(2):
            parts.append(layers.activation(entry.name, **OPTIONS.get(entry.name, {})))
    model = models.serial(*parts)
    params = {
        f"dense_{i}": {"kernel": rng.normal(0, 0.8, (n, m))}
        | ({"bias": rng.normal(0, 0.5, m)} if dict(parts[j].spec.options)["bias"] else {})
        for i, (n, m, j) in enumerate(
            zip(widths, widths[1:], [k for k, p in enumerate(parts) if p.spec.constructor == "dense"], strict=False), 1
        )
    }
    loss = LOSSES[int(rng.integers(len(LOSSES)))]
    targets = rng.uniform(0, 1, (3, widths[-1]))
    if loss == "softmax_cross_entropy":
        targets /= targets.sum(-1, keepdims=True)
    if loss.startswith("sparse"):
        targets = rng.integers(0, widths[-1], 3)
    return model, params, rng.normal(0, 1.2, (3, widths[0])), targets, loss


def both(model, params, x, targets, loss):
    """What jax.grad finds, and what the recursion does."""
    function = jd.lookup(loss, kind="loss").function

    def objective(params, x):
        return jnp.mean(function(model.apply(params, {}, x)[0], targets))

    wanted = jax.value_and_grad(objective, (0, 1))(params, x)
    return wanted, backprop.value_and_gradients(model, params, x, targets, loss=loss)


def agree(networks):
    """Value, errors, gradients by parameters and by inputs, all in float64; all networks are one program."""
    with jax.enable_x64(True):
        data = [(params, x, targets) for _, params, x, targets, _ in networks]
        program = jax.jit(
            lambda data: [both(n[0], *d, n[-1]) for n, d in zip(networks, data, strict=True)],
            compiler_options=QUICK,
        )
        found = program(data)
    for (wanted, (by_params, by_inputs)), (value, trace, gradients) in found:
        scale = max(1.0, *(float(np.abs(g).max()) for g in jax.tree.leaves(by_params)))
        near = {"rtol": 1e-11, "atol": 1e-13 * scale}
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, wanted, **near)
        np.testing.assert_allclose(gradients.inputs, by_inputs, **near)
        assert jax.tree.structure(gradients.params) == jax.tree.structure(by_params)
        jax.tree.map(lambda a, b, near=near: np.testing.assert_allclose(a, b, **near), gradients.params, by_params)
        assert set(gradients.delta) == set(trace.z) == set(trace.u) == set(by_params)


def test_random_networks_agree_with_jax_grad():
    agree([network(np.random.default_rng(seed)) for seed in range(6)])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_two_hundred_random_networks_agree_with_jax_grad(first):
    agree([network(np.random.default_rng(1000 + seed)) for seed in range(first, first + 20)])


@pytest.mark.slow
def test_every_elementwise_activation():
    rng = np.random.default_rng(4)
    networks = []
    for entry in ELEMENTWISE:
        activation = layers.activation(entry.name, **OPTIONS.get(entry.name, {}))
        model = models.serial(layers.dense(3), activation, layers.dense(3))
        params = {f"dense_{i}": {"kernel": rng.normal(size=(3, 3)), "bias": rng.normal(size=3)} for i in (1, 2)}
        networks.append((model, params, rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), "l2"))
    agree(networks)


def test_nested_models_flatten_dropout_and_several_activations():
    """Two activations after one layer: the slope is their product. Dropout does nothing outside training."""
    tail = models.serial(layers.activation("tanh"), layers.activation("sigmoid"), name="tail")
    inner = models.mlp([3, 3, 3], dropout=0.5, activation="tanh", name="encoder")
    model = models.serial(layers.flatten(), inner, tail, layers.dense(3))
    params, state, _ = model.init(jax.random.key(0), (3, 1))
    x = jax.random.normal(jax.random.key(1), (3, 3, 1))

    def both(params, x):
        outputs, pull = jax.vjp(lambda p: model.apply(p, state, x)[0], params)
        trace = backprop.forward(model, params, x)
        return outputs, pull(outputs)[0], trace, backprop.backward(model, params, trace, outputs).params

    outputs, wanted, trace, found = jax.jit(both, compiler_options=QUICK)(params, x)
    assert set(trace.z) == {"encoder/dense_1", "encoder/dense_2", "dense_1"}
    assert trace.inputs.shape == (3, 3)
    np.testing.assert_allclose(trace.outputs, outputs, rtol=1e-6)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), found, wanted)


def test_a_layer_computes_in_its_own_type():
    model, x = layers.dense(3, dtype="bfloat16"), np.full((2, 3), 1 / 3, np.float32)
    params = {"kernel": np.full((3, 3), 0.3, np.float32), "bias": np.zeros(3, np.float32)}

    def both(params, x):
        trace = backprop.forward(model, params, x)
        return trace.outputs, model.apply(params, {}, x)[0], backprop.backward(model, params, trace, trace.outputs)

    outputs, wanted, found = jax.jit(both, compiler_options=QUICK)(params, x)
    np.testing.assert_array_equal(outputs, wanted)
    assert outputs.dtype == jnp.bfloat16
    assert jax.tree.map(lambda g: g.dtype, found.params) == jax.tree.map(lambda p: p.dtype, params)


def test_an_autoencoder_is_a_chain():
    model = models.autoencoder([3, 2], noise=0.5)
    trace = jax.eval_shape(
        lambda key: backprop.forward(model, model.init(key, (3,))[0], jnp.ones((2, 3))), jax.random.key(0)
    )
    assert trace.z.keys() == {"encoder/dense_1", "decoder/dense_1"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.serial(layers.dense(2), layers.batch_norm()), r"layer 'batch_norm_1' is batch_norm"),
        (models.serial(layers.activation("relu"), layers.dense(2)), r"'activation_1' is activation before the first"),
        (models.serial(layers.dense(2), layers.activation("softmax")), r"an elementwise activation; got 'softmax'"),
        (models.serial(layers.dense(2), layers.activation(lambda z: z)), r"an activation of the dictionary"),
        (models.serial(layers.flatten()), r"at least one dense layer"),
        ((lambda key, shape: None, lambda p, s, x, **o: None), r"layer 'model' is a foreign layer"),
    ],
)
def test_what_it_does_not_go_through(model, message):
    with pytest.raises(TypeError, match=message):
        backprop.forward(model, {}, np.ones((1, 2)))


def test_shapes_are_checked(example):
    model, params, _, trace, gradients = example
    with pytest.raises(ValueError, match=r"layer 'dense_1' takes 2 features; got shape \(4, 3\)"):
        backprop.forward(model, params, np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"inputs must be examples, \(batch, n_in\); got shape \(2,\)"):
        backprop.forward(model, params, np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"d_output and the outputs must have the same shape; got \(1,\) and \(1, 1\)"):
        backprop.backward(model, params, trace, np.ones(1, np.float32))
    with pytest.raises(ValueError, match="example must be one of the batch, 0 to 0; got 1"):
        backprop.table(model, params, trace, gradients=gradients, example=1)
    with pytest.raises(KeyError, match="no loss is called 'l22'; did you mean 'l2'"):
        backprop.value_and_gradients(model, params, np.ones((1, 2)), np.ones((1, 1)), loss="l22")
