"""Layers and models: the declared shape is the actual one, keys go by name, errors name the layer."""

import functools

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
    "perceptron": lambda: layers.perceptron(2),
    "residual": lambda: models.residual(layers.dense(4), layers.activation("tanh"), projection="dense"),
    "graph": lambda: models.graph(
        inputs="x",
        nodes={"flat": (layers.flatten(), "x"), "a": (layers.dense(4), "flat"), "b": (layers.add(), ["a", "a"])},
        outputs="b",
    ),
    "prelu": lambda: layers.prelu(),
    "swish, shared": lambda: layers.swish(shared=True, beta=1.5),
    "alpha_dropout": lambda: layers.alpha_dropout(0.1),
    "gaussian_dropout": lambda: layers.gaussian_dropout(0.1),
    "gaussian_noise": lambda: layers.gaussian_noise(0.1),
    "batch_renorm": lambda: layers.batch_renorm(opening=(2, 5, 9)),
    "layer_norm": lambda: layers.layer_norm(offset=False),
    "rms_norm": lambda: layers.rms_norm(),
    "group_norm": lambda: layers.group_norm(1),
    "reshape": lambda: layers.reshape((-1, 1)),
    "add": lambda: layers.add(),
    "concatenate": lambda: layers.concatenate(),
}
IMAGES = {  # of three axes, channels last
    "conv": lambda: layers.conv(4, (3, 2)),
    "conv, strided": lambda: layers.conv(4, (2, 2), strides=(1, 2), padding=[1, (0, 2)], dilation=(2, 1)),
    "conv, one axis": lambda: models.serial(layers.reshape((-1, 2)), layers.conv(4, 3, padding="causal", groups=2)),
    "depthwise_conv": lambda: layers.depthwise_conv((3, 3), multiplier=2, strides=2),
    "conv_transpose": lambda: layers.conv_transpose(4, (3, 2), strides=(2, 3)),
    "conv_transpose, valid": lambda: layers.conv_transpose(2, (3, 2), strides=3, padding="valid", groups=2),
    "conv_transpose, pairs": lambda: layers.conv_transpose(2, (3, 2), strides=(3, 2), padding=[(1, 0), (1, -1)]),
    "max_pool": lambda: layers.max_pool((2, 2)),
    "max_pool, same": lambda: layers.max_pool((3, 2), strides=2, padding="same"),
    "average_pool": lambda: layers.average_pool((2, 2), strides=1, padding=1),
    "average_pool, large": lambda: layers.average_pool((9, 9), strides=2, padding="same"),
    "max_pool, large": lambda: layers.max_pool((9, 9), strides=2, padding="same"),
    "global_max_pool": lambda: layers.global_max_pool(),
    "global_average_pool": lambda: layers.global_average_pool(),
}
ALL = {**LAYERS, **IMAGES, "embedding": lambda: layers.embedding(7, 3)}


def test_every_layer_of_the_dictionary_is_here():
    assert {make().spec.constructor for make in ALL.values()} >= {e.name for e in jd.entries(kind="layer")}


def started(model, shape):
    """Shapes of parameters and state, and the declared output's; nothing is allocated."""
    told = {}

    def init(key):
        params, state, told["shape"] = model.init(key, shape)
        return params, state

    return *jax.eval_shape(init, jax.random.key(0)), told["shape"]


def is_shape(value):
    return isinstance(value, tuple) and all(isinstance(n, int) for n in value)


def arrays(shapes, batch, dtype=jnp.float32):
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct((*batch, *s), dtype), shapes, is_leaf=is_shape)


def check_shapes(name, shape, batch, dtype=jnp.float32):
    model = ALL[name]()
    params, state, declared = started(model, shape)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves((params, state)))
    for train in (False, True, "noise"):
        y, new = jax.eval_shape(
            lambda p, s, x, t=train: model.apply(p, s, x, key=jax.random.key(1), train=t),
            params, state, arrays(shape, (batch,), dtype),
        )  # fmt: skip
        assert y.shape == (batch, *declared)
        assert y.dtype == jnp.float32
        assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("name", LAYERS)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), batch=st.integers(1, 5))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_the_declared_shape_is_the_actual_one(name, shape, batch):
    shape = tuple(shape)
    check_shapes(name, {"a": shape, "b": shape} if name in ("add", "concatenate") else shape, batch)


@pytest.mark.parametrize("name", IMAGES)
@given(lengths=st.tuples(st.integers(3, 9), st.integers(3, 9)), batch=st.integers(0, 3))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_the_declared_shape_of_images_is_the_actual_one(name, lengths, batch):
    check_shapes(name, (*lengths, 4), batch)


def test_embeddings_take_integers_of_any_shape():
    for shape in ((), (3,), (2, 4)):
        check_shapes("embedding", shape, 5, jnp.int32)


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
    assert lines[0].split() == ["layer", "output", "shape", "parameters", "bytes", "FLOPs"]
    assert any(line.split() == ["dense_1", "(10,)", "210", "840", "410"] for line in lines)
    assert any(line.split() == ["head", "(dense)", "(3,)", "33", "132", "63"] for line in lines)
    assert lines[-1] == "243 parameters, 972 bytes, 473 FLOPs an example; input (4, 5), output (3,)"


def test_summary_counts_nested_and_foreign_models():
    inner = models.mlp([4, 3, 2], name="encoder")
    assert "29 parameters" in models.summary(models.serial(inner, layers.dense(2, name="head")), (4,))
    pair = (
        lambda key, shape: ({"w": jnp.zeros((3, 7))}, {}, (7,)),
        lambda p, s, x, key=None, train=False: (x @ p["w"], s),
    )
    assert "21 parameters" in models.summary(pair, (3,))


@pytest.mark.parametrize(
    "make", [*ALL.values(), lambda: models.mlp([4, 3, 2], activation=jd.activations.tanh, dropout=0.2)]
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
        (lambda: layers.batch_norm(axis=(1, 2)), TypeError, r"axis must be a whole number; got \(1, 2\)"),
        (lambda: layers.layer_norm(axis="last"), TypeError, r"axis must be a whole number; got 'l'"),
        (lambda: layers.layer_norm(axis=()), ValueError, r"axis must name one axis or more; got none"),
        (lambda: layers.activation("softmax", temperature=0), ValueError, r"temperature must be > 0"),
        (lambda: layers.batch_renorm(r_max=0.5), ValueError, r"r_max must be >= 1; got 0.5"),
        (lambda: layers.batch_renorm(opening=(5, 4, 9)), ValueError, r"r_end must be > start, 5; got 4"),
        (lambda: layers.batch_renorm(opening=(5, 9)), ValueError, r"opening must be three steps, .* got \(5, 9\)"),
        (lambda: layers.layer_norm(axis=[0, 1]), ValueError, r"axis must be a feature axis"),
        (lambda: layers.conv(0, (3, 3)), ValueError, r"features must be >= 1; got 0"),
        (lambda: layers.conv(4, ()), ValueError, r"kernel_size must have a size for each axis of space"),
        (lambda: layers.conv(4, (3, 3), strides=(1, 2, 1)), ValueError, r"strides must be a number or 2 of them"),
        (lambda: layers.conv(4, (3, 3), padding="smae"), ValueError, r"padding must be one of .* did you mean 'same'"),
        (lambda: layers.conv(4, (3, 3), padding="causal"), ValueError, r"'causal' is for one axis of space"),
        (lambda: layers.conv(4, (3, 3), padding=[(1, 2, 3), 1]), ValueError, r"padding must have pairs \(low, high\)"),
        (lambda: layers.conv(4, (3, 3), padding=-1), ValueError, r"padding must be >= 0; got -1"),
        (lambda: layers.conv(4, (3, 3), groups=3), ValueError, r"groups must divide the features, 4; got 3"),
        (lambda: layers.conv(4, (3, 3), initializer="he_norml"), KeyError, r"did you mean 'he_normal'"),
        (lambda: layers.conv_transpose(4, 3, padding="causal"), ValueError, r"padding must be one of 'same', 'valid'"),
        (lambda: layers.max_pool((2, 2), padding=2), ValueError, r"padding must be smaller than the window"),
        (lambda: layers.embedding(0, 3), ValueError, r"vocabulary must be >= 1; got 0"),
        (lambda: layers.reshape((-1, -1)), ValueError, r"shape may leave one length open by -1; got \(-1, -1\)"),
        (lambda: layers.concatenate(axis=0), ValueError, r"axis must be an axis of the examples; 0 is the batch"),
        (lambda: layers.gaussian_noise(-1.0), ValueError, r"stddev must be >= 0; got -1.0"),
        (lambda: layers.dense(2, dtype="bfloat61"), ValueError, r"dtype must be one of .* did you mean 'bfloat16'"),
        (lambda: layers.dense(2, param_dtype=jnp.int32), ValueError, r"param_dtype must be one of .*; got 'int32'"),
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
        (
            layers.conv(8, (3, 3)),
            (8, 8),
            r"conv\(8, \(3, 3\)\) takes \(height, width, channels\); got .* \(8, 8\); add a",
        ),
        (layers.conv(8, (5, 3), padding="valid"), (4, 4, 1), r"conv\(8, \(5, 3\)\) needs \(5, 3\) places or more"),
        (layers.conv(4, 3, groups=2), (9, 3), r"conv\(4, \(3,\)\) has 2 groups, which must divide .* got \(9, 3\)"),
        (layers.conv_transpose(4, 3, padding=4), (3, 1), r"conv_transpose\(4, \(3,\)\) cuts all of it off"),
        (layers.max_pool(2), (4, 4, 1), r"max_pool\(\(2,\)\) takes \(length, channels\); got .* \(4, 4, 1\)"),
        (layers.global_max_pool(), (4,), r"global_max_pool takes \(\*space, channels\); got the input shape \(4,\)"),
        (layers.reshape((3, -1)), (4, 2), r"reshape\(\(3, -1\)\) does not fit inputs of shape \(4, 2\)"),
        (layers.group_norm(4), (6,), r"group_norm\(4\) must divide the channels; got the input shape \(6,\)"),
        (layers.layer_norm(axis=3), (2, 2), r"layer_norm\(axis=3\) does not fit an input of shape \(batch"),
        (layers.layer_norm(axis=(1, -2)), (2, 2), r"layer_norm\(axis=\(1, -2\)\) does not fit an input of shape"),
        (layers.activation("softmax", axis=2), (3,), r"axis must be of x, whose shape is \(1, 3\); got 2"),
        (layers.add(), ((3,), (4,)), r"add takes inputs of one shape; got \(3,\), \(4,\)"),
        (layers.concatenate(), ((3, 2), (4, 2)), r"differ in that axis alone; got \[\(3, 2\), \(4, 2\)\]"),
        (layers.concatenate(axis=3), ((3,), (4,)), r"concatenate\(axis=3\) does not fit inputs of shape"),
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


@pytest.mark.parametrize(
    ("layer", "shape", "given", "error", "message"),
    [
        (
            layers.conv(2, (3, 3)),
            (4, 4, 3),
            (5, 4, 4),
            ValueError,
            r"takes batches of \(height, width, channels\); got ",
        ),
        (
            layers.conv(2, (3, 3)),
            (4, 4, 3),
            (5, 4, 4, 2),
            ValueError,
            r"kernel of shape \(3, 3, 3, 2\); it does not fit ",
        ),
        (layers.conv(2, 3, padding="valid"), (4, 3), (5, 2, 3), ValueError, r"conv\(2, \(3,\)\) needs \(3,\) places"),
        (layers.conv_transpose(2, 3, padding=2), (4, 3), (5, 2, 3), ValueError, r"cuts all of it off at an input"),
        (layers.average_pool(3), (4, 3), (5, 2, 3), ValueError, r"average_pool\(\(3,\)\) needs \(3,\) places or more"),
        (layers.max_pool((2, 2)), (4, 4, 3), (4, 4, 3), ValueError, r"max_pool\(\(2, 2\)\) takes batches of \(height"),
        (layers.prelu(), (3,), (5, 4), ValueError, r"prelu has 3 channels; got inputs of shape \(5, 4\)"),
        (layers.embedding(5, 2), (3,), (4, 3), TypeError, r"embedding\(5, 2\) takes integers; got float32, \(4, 3\)"),
        (
            layers.add(),
            ((3,), (3,)),
            ((2, 3), (2, 1)),
            ValueError,
            r"add takes inputs of one shape; got \(3,\), \(1,\)",
        ),
    ],
)
def test_errors_name_the_layer_and_both_shapes(layer, shape, given, error, message):
    params, state, _ = started(layer, shape)
    with pytest.raises(error, match=message):
        jax.eval_shape(layer.apply, params, state, arrays(given, ()))


def test_embedding_gives_rows_and_nan_out_of_range():
    layer = layers.embedding(3, 2)
    params = {"kernel": np.arange(6, dtype=np.float32).reshape(3, 2)}

    def total(params, x):
        y, _ = layer.apply(params, {}, x)
        return jnp.nansum(y), y

    slope, y = jax.jit(jax.grad(total, has_aux=True))(params, np.array([2, 0, 3, -1, 2]))
    np.testing.assert_array_equal(y, [[4, 5], [0, 1], [np.nan] * 2, [np.nan] * 2, [4, 5]])
    np.testing.assert_array_equal(slope["kernel"], [[1, 1], [0, 0], [2, 2]])


def test_embedding_by_integers_narrower_than_its_vocabulary():
    kernel = np.arange(300, dtype=np.float32)[:, None]
    run = jax.jit(lambda x: layers.embedding(300, 1).apply({"kernel": kernel}, {}, x)[0])
    y = run(np.array([127, -1, 5], np.int8))
    np.testing.assert_array_equal(y.ravel(), [127, np.nan, 5])


def test_an_activation_may_have_an_axis_and_change_the_shape():
    for options, shape in (({}, (4, 3)), ({"axis": 1}, (2, 6))):
        model = layers.activation("glu", **options)
        assert model.init(jax.random.key(0), (4, 6))[2] == shape
        assert jax.eval_shape(model.apply, {}, {}, arrays((4, 6), (5,)))[0].shape == (5, *shape)


def test_types_are_those_of_the_inputs_unless_told_otherwise():
    shape = (8, 8, 4)
    for layer in jd.entries(kind="layer"):
        name = next(n for n, make in ALL.items() if make().spec.constructor == layer.name)
        model, shapes = ALL[name](), (shape, shape) if name in ("add", "concatenate") else shape
        params, state, _ = started(model, shapes)
        given = jnp.int32 if name == "embedding" else jnp.bfloat16
        run = functools.partial(model.apply, key=jax.random.key(0), train=True)
        y, _ = jax.eval_shape(run, params, state, arrays(shapes, (2,), given))
        assert y.dtype == (jnp.float32 if name == "embedding" else jnp.bfloat16), name
    for made in (
        layers.dense(2, dtype="bfloat16", param_dtype="float16"),
        layers.conv(2, (3, 3), dtype=jnp.bfloat16, param_dtype=jnp.float16),
        layers.layer_norm(dtype="bfloat16", param_dtype="float16"),
        layers.prelu(dtype="bfloat16", param_dtype="float16"),
        layers.embedding(4, 2, dtype="bfloat16", param_dtype="float16"),
    ):
        params, state, _ = started(made, shape)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float16")}
        x = arrays(shape, (2,), jnp.int32 if made.name == "embedding" else jnp.float32)
        assert jax.eval_shape(made.apply, params, state, x)[0].dtype == jnp.bfloat16
        assert models.spec_from_json(models.spec_to_json(made)) is made
    params, state, _ = started(layers.dense(2), (3,))
    assert jax.eval_shape(layers.dense(2).apply, params, state, arrays((3,), (2,), jnp.int32))[0].dtype == jnp.float32


def test_batch_renorm_begins_as_batch_norm_and_counts_its_steps():
    x = np.random.default_rng(0).normal(2, 3, (16, 3)).astype(np.float32)
    renorm, norm = layers.batch_renorm(opening=(1, 3, 3), momentum=0.9), layers.batch_norm()
    params, state, _ = renorm.init(jax.random.key(0), (3,))

    @jax.jit
    def run(state):
        outputs = [norm.apply(params, {n: state[n] for n in ("mean", "variance")}, x, train=True)]
        for _ in range(3):
            y, state = renorm.apply(params, state, x, train=True)
            outputs.append((y, state))
        return outputs

    (plain, kept), (first, after), (second, _), (third, last) = run(state)
    np.testing.assert_allclose(first, plain, atol=1e-5)
    np.testing.assert_allclose(after["mean"], kept["mean"], rtol=1e-6)
    np.testing.assert_allclose(second, plain, atol=1e-5)  # after one update the limits are still shut
    assert int(last["steps"]) == 3
    assert np.abs(third - plain).max() > 0.1
