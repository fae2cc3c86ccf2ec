"""Inspection: statistics against NumPy and jax.grad, flags by their rule, what is printed and drawn, symmetry."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import inspection, layers, models, plots
from jaxdict.inspection import measuring

RNG = np.random.default_rng(2)
X, LABELS = RNG.normal(size=(20, 4)).astype(np.float32), RNG.integers(0, 3, 20)


def example():
    """A nested model of every kind of layer, its first ReLU unit dead and one tanh saturated."""
    inner = models.serial(layers.dense(6), layers.activation("relu"), layers.dropout(0.5), name="encoder")
    model = models.serial(inner, layers.dense(5), layers.activation("tanh"), layers.dense(3, name="head"))
    shapes = jax.eval_shape(lambda key: model.init(key, (4,))[0], jax.random.key(0))
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda s: rng.normal(0, 0.5, s.shape).astype(np.float32), shapes)
    params["encoder"]["dense_1"]["bias"][0] = -100
    params["dense_1"]["bias"][1] = 50
    return model, params


@pytest.fixture(scope="module")
def found():
    model, params = example()
    return inspection.statistics(model, params, {}, X, loss="sparse_softmax_cross_entropy", targets=LABELS, limit=2.0)


def by_hand():
    """Outputs by layer, and the gradient of the loss by each and by every parameter, in float64 NumPy."""
    _, params = example()
    p = jax.tree.map(lambda a: a.astype(float), params)
    first, second, head = p["encoder"]["dense_1"], p["dense_1"], p["head"]
    z1 = X @ first["kernel"] + first["bias"]
    u1 = np.maximum(z1, 0)
    z2 = u1 @ second["kernel"] + second["bias"]
    u2 = np.tanh(z2)
    z3 = u2 @ head["kernel"] + head["bias"]
    exp = np.exp(z3 - z3.max(-1, keepdims=True))
    d3 = (exp / exp.sum(-1, keepdims=True) - np.eye(3)[LABELS]) / 20
    by_u2 = d3 @ head["kernel"].T
    d2 = by_u2 * (1 - u2**2)
    by_u1 = d2 @ second["kernel"].T
    d1 = by_u1 * (z1 > 0)
    outputs = {
        "encoder/dense_1": (z1, d1, X), "encoder/activation_1": (u1, by_u1, None),
        "encoder/dropout_1": (u1, by_u1, None), "dense_1": (z2, d2, u1), "activation_1": (u2, by_u2, None),
        "head": (z3, d3, u2),
    }  # fmt: skip
    return outputs, p


def test_statistics_are_those_of_numpy(found):
    outputs, p = by_hand()
    weights = {"encoder/dense_1": p["encoder"]["dense_1"], "dense_1": p["dense_1"], "head": p["head"]}
    assert [layer.name for layer in found] == list(outputs)
    top = np.linalg.norm(outputs["head"][1])
    near = {"rtol": 1e-4}
    for name, (u, error, before) in outputs.items():
        got = found[name]
        assert got.shape == u.shape[1:]
        np.testing.assert_allclose([got.mean, got.std], [u.mean(), u.std()], **near)
        np.testing.assert_allclose(got.error_norm, np.linalg.norm(error), **near)
        np.testing.assert_allclose(got.error_rms, np.sqrt((error**2).mean()), **near)
        np.testing.assert_allclose(got.ratio, np.linalg.norm(error) / top, **near)
        wanted = "vanishing" if got.ratio < 0.5 else "exploding" if got.ratio > 2 else ""
        assert got.flag == wanted
        if before is None:
            assert np.isnan([got.weight_rms, got.gradient_norm, got.gradient_rms]).all()
            continue
        gradient = np.r_[(before.T @ error).ravel(), error.sum(0)]
        np.testing.assert_allclose(got.gradient_norm, np.linalg.norm(gradient), **near)
        np.testing.assert_allclose(got.gradient_rms, np.sqrt((gradient**2).mean()), **near)
        flat = np.r_[weights[name]["kernel"].ravel(), weights[name]["bias"]]
        np.testing.assert_allclose(got.weight_rms, np.sqrt((flat**2).mean()), **near)
    first = np.linalg.norm(outputs["encoder/dense_1"][1])
    np.testing.assert_allclose(found.factor, np.sqrt(first / top), **near)
    assert {layer.flag for layer in found} >= {"", "vanishing"}


def test_dead_and_saturated_units(found):
    outputs, _ = by_hand()
    relu, tanh = outputs["encoder/activation_1"][0], outputs["activation_1"][0]
    dead = (relu == 0).all(0).mean()
    assert dead >= 1 / 6
    assert found["encoder/activation_1"].dead == pytest.approx(dead)
    share = (np.abs(tanh) > 0.95).mean()
    assert 0.2 <= share < 1
    assert found["activation_1"].saturated == pytest.approx(share)
    assert [layer.kind for layer in found] == ["dense", "relu", "dropout", "dense", "tanh", "dense"]
    for name in ("encoder/dense_1", "head", "encoder/dropout_1"):
        assert np.isnan([found[name].dead, found[name].saturated]).all()


def test_the_table(found):
    lines = str(found).splitlines()
    columns = "layer kind outputs mean std dead saturated weight rms gradient norm error norm ratio"
    assert lines[0].split() == columns.split()
    assert lines[2].split()[:3] == ["encoder/dense_1", "dense", "6"]
    assert f"{100 * found['activation_1'].saturated:.1f} %" in lines[6]
    assert lines[-1] == (
        f"loss {found.loss:.4g}; a layer multiplies the gradient on its way back by {found.factor:.3g}"
    )
    with pytest.raises(KeyError, match="no layer is called 'dense1'; did you mean 'dense_1'"):
        found["dense1"]


def test_outputs_alone_in_training_of_a_model_with_batch_statistics():
    """Without a loss: no gradients. In training: batch statistics and the masks that the model itself would draw."""
    model = models.serial(layers.dropout(0.5), layers.batch_norm(), layers.activation("sigmoid"))
    state = {"batch_norm_1": {"mean": jnp.zeros(4), "variance": jnp.ones(4)}}
    params = {"batch_norm_1": {"scale": jnp.ones(4), "offset": jnp.zeros(4)}}
    seen = inspection.statistics(model, params, state, X, key=5, train=True, margin=0.1)
    masked = np.asarray(jax.jit(lambda x: layers_of(model, x))(X))
    assert seen["dropout_1"].std == pytest.approx(masked.std(), rel=1e-5)
    normed = (masked - masked.mean(0)) / np.sqrt(masked.var(0) + 1e-5)
    assert seen["batch_norm_1"].std == pytest.approx(normed.std(), rel=1e-4)
    u = 1 / (1 + np.exp(-normed))
    assert seen["activation_1"].saturated == pytest.approx(((u < 0.1) | (u > 0.9)).mean())
    assert np.isnan(seen.loss)
    assert np.isnan(seen.factor)
    assert "error norm" not in str(seen)
    assert np.isnan([layer.error_norm for layer in seen]).all()


def layers_of(model, x):
    """What the dropout layer of ``model`` gives under its own key."""
    ((name, dropout), *_) = model.parts
    return dropout.apply({}, {}, x, key=layers.child(jax.random.key(5), name), train=True)[0]


def test_small_gradients_do_not_underflow():
    """A square of 1e-30 is 0 in float32; the norm is not."""
    numbers = jax.jit(lambda g: measuring._sizes("g", [g]))(np.array([3e-30, 4e-30], np.float32))
    assert float(numbers["g_norm"]) == pytest.approx(5e-30, rel=1e-5)


def test_a_single_layer_and_a_foreign_model_are_one_row():
    seen = inspection.statistics(layers.activation("relu"), {}, {}, X)
    assert [(layer.name, layer.kind) for layer in seen] == [("activation", "relu")]
    assert seen["activation"].dead == 0
    foreign = (lambda key, shape: ({}, {}, shape), lambda p, s, x, **options: (x, s))
    assert [layer.kind for layer in inspection.statistics(foreign, {}, {}, X)] == ["model"]
    assert str(inspection.Statistics(seen.layers, 0.5, 100.0, 0.025)).splitlines()[-1] == "loss 0.5"  # no layer before


def test_a_graph_with_a_shared_layer_and_a_residual_block():
    """Two towers through the same weights: each use is a row, the gradient of the weights that of both."""
    model = models.graph(
        inputs=["a", "b"],
        nodes={
            "tower": (layers.dense(4), "a"),
            "twin": ("tower", "b"),
            "both": (layers.add(), ("tower", "twin")),
            "block": (models.residual(layers.activation("tanh")), "both"),
            "head": (layers.dense(3), "block"),
        },
        outputs="head",
    )
    shapes = jax.eval_shape(lambda key: model.init(key, {"a": (4,), "b": (4,)})[0], jax.random.key(0))
    params = jax.tree.map(lambda s: np.random.default_rng(4).normal(0, 0.5, s.shape).astype(np.float32), shapes)
    inputs = {"a": X, "b": X[::-1].copy()}

    seen = inspection.statistics(model, params, {}, inputs, loss="sparse_softmax_cross_entropy", targets=LABELS)
    assert [layer.name for layer in seen] == ["tower", "twin", "both", "block/activation_1", "block/sum", "head"]
    tower, head = params["tower"], params["head"]
    both = (inputs["a"] + inputs["b"]) @ tower["kernel"] + 2 * tower["bias"]
    logits = (both + np.tanh(both)) @ head["kernel"] + head["bias"]
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert seen.loss == pytest.approx(-np.log(chances[np.arange(20), LABELS]).mean(), rel=1e-5)
    by_sum = (chances - np.eye(3)[LABELS]) / 20 @ head["kernel"].T
    by_both = by_sum * (2 - np.tanh(both) ** 2)
    np.testing.assert_allclose(
        [layer.error_norm for layer in seen][:5],
        [*3 * [np.linalg.norm(by_both)], *2 * [np.linalg.norm(by_sum)]],
        rtol=1e-4,
    )
    weights = np.r_[((inputs["a"] + inputs["b"]).T @ by_both).ravel(), 2 * by_both.sum(0)]
    assert seen["tower"].gradient_norm == pytest.approx(np.linalg.norm(weights), rel=1e-4)
    assert seen["twin"].gradient_norm == seen["tower"].gradient_norm


def root(z):
    return jnp.sqrt(jnp.abs(z))


def test_a_gradient_that_is_not_finite_is_flagged_and_drawn():
    """Where all outputs are finite, too; whole numbers have no gradient."""
    model = models.serial(
        layers.flatten(), layers.embedding(5, 2), layers.flatten(), layers.activation(root), layers.dense(1)
    )
    params = {"embedding_1": {"kernel": np.zeros((5, 2), np.float32)}}
    params["dense_1"] = {"kernel": np.ones((4, 1), np.float32), "bias": np.ones(1, np.float32)}
    x, targets = np.ones((3, 1, 2), np.int32), np.zeros((3, 1), np.float32)
    seen = inspection.statistics(model, params, {}, x, loss="l2", targets=targets)
    assert np.isnan(seen["flatten_1"].error_norm)
    assert seen["activation_1"].error_norm == pytest.approx(np.sqrt(12) / 3)
    assert [layer.flag for layer in seen] == ["", "not finite", "not finite", "", ""]
    drawn = plots.statistics(seen)
    assert [t.get_text() for t in drawn.axes[-1].get_xticklabels()][1:4:2] == [
        "embedding_1: not finite", "activation_1",
    ]  # fmt: skip
    nothing = dict.fromkeys(("mean", "std", "gradient_norm", "error_norm"), float("nan"))
    lost = inspection.Statistics(tuple(layer._replace(**nothing) for layer in seen), float("nan"), 100.0, 0.025)
    assert len(plots.statistics(lost).axes) == 1


def test_bad_arguments():
    model, params = example()
    with pytest.raises(ValueError, match="gradients need both: loss=… and targets=…"):
        inspection.statistics(model, params, {}, X, loss="l2")
    with pytest.raises(ValueError, match="limit must be > 1; got 1"):
        inspection.statistics(model, params, {}, X, limit=1)
    with pytest.raises(ValueError, match=r"margin must be > 0 and < 0\.5; got 0\.5"):
        inspection.statistics(model, params, {}, X, margin=0.5)
    with pytest.raises(KeyError, match="no loss is called 'l22'"):
        inspection.statistics(model, params, {}, X, loss="l22", targets=LABELS)


def test_the_picture(found, tmp_path):
    drawn = plots.statistics(found, tmp_path / "inside.png", title="a model")
    assert [axis.get_title(loc="left") for axis in drawn.axes] == [
        "outputs: mean ± standard deviation", "idle units", "norm of the loss's gradient",
    ]  # fmt: skip
    (errors, parameters, *flagged) = drawn.axes[2].lines
    np.testing.assert_allclose(errors.get_ydata(), [layer.error_norm for layer in found])
    assert len(parameters.get_ydata()) == 3
    assert [line.get_label() for line in flagged] == [" or ".join(sorted({each.flag for each in found} - {""}))]
    assert [t.get_text() for t in drawn.axes[2].get_xticklabels()] == [layer.name for layer in found]
    assert (tmp_path / "inside.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


# ---------------------------------------------------------------------------------------------------- the stories


def test_equal_weights_stay_equal():
    """Symmetry breaking, S2 10.1.4 and S3: units that begin alike are alike after every step; random ones are not."""
    model = models.mlp([4, 5, 3], activation="tanh")
    optimizer = optax.adam(0.05)

    @jax.jit
    def trained(params):
        def loss(params):
            return jnp.mean(jd.losses.sparse_softmax_cross_entropy(model.apply(params, {}, X)[0], LABELS))

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), length=30)[0][0]

    def spread(params):
        """How far the hidden units are apart, weights in and out."""
        kernels = np.r_[np.asarray(params["dense_1"]["kernel"]), np.asarray(params["dense_2"]["kernel"]).T]
        return np.ptp(kernels, axis=1).max()

    random = jax.tree.map(lambda s: RNG.normal(0, 0.5, s.shape).astype(np.float32), shapes_of(model))
    alike = jax.tree.map(lambda s: np.full(s.shape, 0.3, np.float32), shapes_of(model))
    alike["dense_2"]["kernel"][:] = [0.3, -0.1, 0.2]  # outputs may differ: hidden units are still alike
    after = trained(alike)
    assert np.abs(np.asarray(after["dense_1"]["kernel"]) - 0.3).max() > 0.1  # they did learn
    assert spread(after) < 1e-5
    assert spread(trained(random)) > 0.5


def shapes_of(model):
    return jax.eval_shape(lambda key: model.init(key, (4,))[0], jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "wanted"), [(10, 0.49), (100, 0.96), (300, 1.26)])
def test_whether_sigmoid_gradients_vanish_depends_on_the_width(width, wanted):
    """S2 11.1 says they do under weights from N(0, 1); the factor a layer grows with the width."""
    model = models.mlp([width] * 11, activation="sigmoid", initializer=jd.initializers.random("normal"))
    factors = []
    for seed in range(6):
        params, state, _ = model.init(jax.random.key(seed), (width,))
        x = np.random.default_rng(seed).uniform(0, 1, (8, width)).astype(np.float32)
        targets = np.random.default_rng(seed).normal(size=(8, width)).astype(np.float32)
        factors.append(inspection.statistics(model, params, state, x, loss="l2", targets=targets).factor)
    assert np.exp(np.mean(np.log(factors))) == pytest.approx(wanted, rel=0.12)
