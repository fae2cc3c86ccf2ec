"""Layers and models: the declared shape is the actual one, keys go by name, errors name the layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxdict as jd
from jaxdict import layers, models

LAYERS = {
    "dense": lambda: layers.dense(5),
    "dense without bias": lambda: layers.dense(3, bias=False, initializer="he_uniform"),
    "flatten": lambda: layers.flatten(),
    "activation": lambda: layers.activation("tanh"),
    "dropout": lambda: layers.dropout(0.3),
    "batch_norm": lambda: layers.batch_norm(),
    "batch_norm without scale": lambda: layers.batch_norm(scale=False, offset=False),
    "serial": lambda: models.serial(layers.flatten(), layers.dense(4), layers.batch_norm(), layers.activation("relu")),
}


def test_every_layer_and_model_of_the_dictionary_is_here():
    covered = {make().spec.constructor for make in LAYERS.values()} | {"mlp"}
    assert covered == {e.name for kind in ("layer", "model") for e in jd.entries(kind=kind)}


@pytest.mark.parametrize("name", LAYERS)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), batch=st.integers(1, 5))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_declared_shape_is_the_actual_one(name, shape, batch):
    model = LAYERS[name]()
    params, state, declared = model.init(jax.random.key(0), tuple(shape))
    x = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    for train in (False, True, "noise"):
        y, new = jax.eval_shape(
            lambda p, s, x, t=train: model.apply(p, s, x, key=jax.random.key(1), train=t), params, state, x
        )
        assert y.shape == (batch, *declared)
        assert y.dtype == jnp.float32
        assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("batch_norm", [None, "before", "after"])
@pytest.mark.parametrize("widths", [[3, 2], [4, 5, 1], [2, 3, 4, 5]])
@pytest.mark.slow
def test_mlp_shapes(widths, batch_norm):
    model = models.mlp(widths, batch_norm=batch_norm, dropout=0.1)
    params, state, declared = model.init(jax.random.key(0), (widths[0],))
    y, new = model.apply(params, state, jnp.ones((7, widths[0])), key=jax.random.key(1), train=True)
    assert y.shape == (7, *declared) == (7, widths[-1])
    assert jax.tree.structure(new) == jax.tree.structure(state)
    for i in range(1, len(widths)):
        assert ("bias" in params[f"dense_{i}"]) == (batch_norm != "before" or i == len(widths) - 1)


def test_mlp_computes_what_it_says():
    model = models.mlp([3, 4, 2], activation="tanh")
    params, state, _ = model.init(jax.random.key(5), (3,))
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    p = jax.tree.map(np.asarray, params)
    hidden = np.tanh(x @ p["dense_1"]["kernel"] + p["dense_1"]["bias"])
    wanted = hidden @ p["dense_2"]["kernel"] + p["dense_2"]["bias"]
    np.testing.assert_allclose(model.apply(params, state, x)[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 400), ("selu", 1 / 400), ("tanh", 2 / (400 + 300))])
def test_mlp_starts_as_its_activation_needs(activation, variance):
    params, _, _ = models.mlp([400, 300, 10], activation=activation).init(jax.random.key(0), (400,))
    assert np.var(params["dense_1"]["kernel"]) == pytest.approx(variance, rel=0.03)
    assert not np.any(params["dense_1"]["bias"])


def test_adding_a_layer_without_parameters_changes_no_others_start():
    plain = models.serial(layers.dense(4), layers.activation("relu"), layers.dense(2))
    more = models.serial(
        layers.dense(4), layers.dropout(0.5), layers.activation("relu"), layers.batch_norm(), layers.dense(2)
    )
    a, _, _ = plain.init(jax.random.key(0), (3,))
    b, _, _ = more.init(jax.random.key(0), (3,))
    for name in ("dense_1", "dense_2"):
        np.testing.assert_array_equal(a[name]["kernel"], b[name]["kernel"])
    assert not np.array_equal(a["dense_1"]["kernel"][:2, :2], a["dense_2"]["kernel"][:2, :2])


def test_a_named_layer_keeps_its_start_wherever_it_stands():
    a, _, _ = models.serial(layers.dense(3), layers.dense(3, name="head")).init(jax.random.key(0), (3,))
    b, _, _ = models.serial(layers.dense(3, name="head")).init(jax.random.key(0), (3,))
    np.testing.assert_array_equal(a["head"]["kernel"], b["head"]["kernel"])


def test_dropout_draws_in_training_only_and_per_layer():
    model = models.serial(layers.dropout(0.5), layers.dropout(0.5))
    x = jnp.ones((50, 20))
    np.testing.assert_array_equal(model.apply({}, {}, x)[0], x)
    once = model.apply({}, {}, x, key=jax.random.key(0), train=True)[0]
    again = model.apply({}, {}, x, key=jax.random.key(0), train="noise")[0]
    np.testing.assert_array_equal(once, again)
    assert np.mean(once != 0) == pytest.approx(0.25, abs=0.05)  # the two masks differ
    with pytest.raises(ValueError, match="dropout needs a key in training"):
        model.apply({}, {}, x, train=True)


def test_batch_norm_keeps_running_averages_in_training_only():
    model = layers.batch_norm(momentum=0.75, eps=1e-3)
    params, state, _ = model.init(jax.random.key(0), (3,))
    x = np.random.default_rng(0).normal(2, 3, (64, 3)).astype(np.float32)
    y, new = model.apply(params, state, x, train=True)
    np.testing.assert_allclose(new["mean"], 0.25 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(new["variance"], 0.75 + 0.25 * x.var(0), rtol=1e-5)
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), atol=1e-5)
    for train in (False, "noise"):
        z, same = model.apply(params, new, x, train=train)
        assert same is new
        mean, variance = np.asarray(new["mean"]), np.asarray(new["variance"])
        np.testing.assert_allclose(z, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)


def test_batch_norm_over_an_inner_axis():
    model = layers.batch_norm(axis=1)
    params, state, shape = model.init(jax.random.key(0), (3, 5))
    assert shape == (3, 5)
    assert params["scale"].shape == (3,)
    y, _ = model.apply(params, state, jax.random.normal(jax.random.key(1), (8, 3, 5)) * 4 + 1, train=True)
    np.testing.assert_allclose(np.mean(y, axis=(0, 2)), np.zeros(3), atol=1e-5)


def test_equal_constructors_give_the_same_object():
    assert models.mlp([4, 3, 2], dropout=0.1) is models.mlp((4, 3, 2), dropout=0.1)
    assert models.mlp([4, 3, 2]) is not models.mlp([4, 3, 1])
    assert layers.dense(3) is layers.dense(3)
    assert jd.optimizers.adam(1e-3) is jd.optimizers.adam(1e-3)


def test_a_model_is_a_layer():
    inner = models.mlp([4, 3], name="encoder")
    model = models.serial(layers.flatten(), inner, layers.dense(2))
    params, state, shape = model.init(jax.random.key(0), (2, 2))
    assert set(params) == {"encoder", "dense_1"}
    assert shape == (2,)
    assert model.apply(params, state, jnp.ones((3, 2, 2)))[0].shape == (3, 2)


def test_traced_dropout_rate_is_data():
    calls = []

    @jax.jit
    def output(rate):
        calls.append(1)
        model = models.mlp([4, 50, 1], dropout=rate)
        params, state, _ = model.init(jax.random.key(0), (4,))
        return model.apply(params, state, jnp.ones((1, 4)), key=jax.random.key(1), train=True)[0]

    assert output(0.0).item() != output(0.9).item()
    assert len(calls) == 1


def test_summary_lists_layers_and_parameters():
    text = models.summary(models.serial(layers.flatten(), layers.dense(10), layers.dense(3, name="head")), (4, 5))
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "output", "shape", "parameters"]
    assert any(line.split() == ["dense_1", "(10,)", "210"] for line in lines)
    assert lines[-1] == "243 parameters; input (4, 5), output (3,)"


def test_summary_counts_nested_and_foreign_models():
    inner = models.mlp([4, 3, 2], name="encoder")
    assert "29 parameters" in models.summary(models.serial(inner, layers.dense(2, name="head")), (4,))
    pair = (
        lambda key, shape: ({"w": jnp.zeros((3, 7))}, {}, (7,)),
        lambda p, s, x, key=None, train=False: (x @ p["w"], s),
    )
    assert "21 parameters" in models.summary(pair, (3,))


@pytest.mark.parametrize(
    "make", [*LAYERS.values(), lambda: models.mlp([4, 3, 2], activation=jd.activations.tanh, dropout=0.2)]
)
def test_a_spec_rebuilds_the_same_model(make):
    model = make()
    text = models.spec_to_json(model)
    assert models.spec_from_json(text) is model


def test_a_foreign_model_has_no_spec():
    assert models.spec_to_json(models.serial(layers.activation(lambda x: x))) is None
    with pytest.raises(ValueError, match=r"no model is made by 'mlpp'; did you mean 'mlp'"):
        models.spec_from_json('{"model": "mlpp", "args": [], "options": {}}')


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: layers.dense(0), ValueError, r"width must be >= 1; got 0"),
        (lambda: layers.dense(2.5), TypeError, r"width must be a whole number; got 2.5"),
        (
            lambda: layers.dense(2, initializer="he_norml"),
            KeyError,
            r"no initializer is called 'he_norml'; did you mean 'he_normal'",
        ),
        (lambda: layers.activation("rellu"), KeyError, r"no activation is called 'rellu'; did you mean 'relu'"),
        (lambda: layers.activation("leaky_relu", slope=2), TypeError, r"has no argument 'slope'"),
        (lambda: layers.dropout(1.0), ValueError, r"rate must be >= 0 and < 1; got 1.0"),
        (lambda: layers.batch_norm(momentum=1.5), ValueError, r"momentum must be >= 0 and <= 1; got 1.5"),
        (lambda: layers.batch_norm(eps=0), ValueError, r"eps must be > 0; got 0"),
        (lambda: layers.batch_norm(axis=0), ValueError, r"axis must be a feature axis"),
        (lambda: models.mlp([3]), ValueError, r"widths must hold the input and the output width"),
        (lambda: models.mlp([3, 0, 1]), ValueError, r"a width must be >= 1; got 0"),
        (
            lambda: models.mlp([3, 1], batch_norm="befor"),
            ValueError,
            r"batch_norm must be one of .* did you mean 'before'",
        ),
        (lambda: models.serial(), ValueError, r"serial needs at least one layer"),
        (
            lambda: models.serial("relu"),
            TypeError,
            r"a model must be a jaxdict Model or an \(init, apply\) pair; got str",
        ),
        (
            lambda: models.serial(layers.dense(2, name="a"), layers.dense(2, name="a")),
            ValueError,
            r"two layers are called 'a'",
        ),
    ],
)
def test_errors_when_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (models.mlp([3, 2]), (4,), r"mlp\(\[3, 2\]\) takes examples of shape \(3,\); got \(4,\)"),
        (models.mlp([4, 2]), (2, 2), r"got \(2, 2\); flatten the inputs first"),
        (
            models.serial(layers.flatten(), layers.batch_norm(axis=2)),
            (2, 2),
            r"layer 'batch_norm_1': batch_norm\(axis=2\) does not fit",
        ),
        (layers.dense(2), (), r"dense\(2\) needs at least one feature axis"),
    ],
)
def test_errors_at_init(model, shape, message):
    with pytest.raises(ValueError, match=message):
        model.init(jax.random.key(0), shape)


def test_dense_names_both_shapes():
    layer = layers.dense(2)
    params, state, _ = layer.init(jax.random.key(0), (3,))
    with pytest.raises(ValueError, match=r"dense\(2\) takes 3 features; got inputs of shape \(5, 4\)"):
        layer.apply(params, state, jnp.ones((5, 4)))
