"""The perceptron: gates by truth table, the bound on its errors, what it cannot learn, and two layers that can."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import layers, models, units

GATES = {
    "and": all,
    "or": any,
    "nand": lambda bits: not all(bits),
    "nor": lambda bits: not any(bits),
    "majority": lambda bits: sum(bits) > len(bits) / 2,
}


def said(params, inputs):
    """Threshold units in NumPy."""
    p = jax.tree.map(np.asarray, params)
    return (inputs @ p["kernel"] + p["bias"] >= 0).astype(int)


def table(n):
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)), np.float32)


# ----------------------------------------------------------------------------------------------------- gates


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_gates_over_all_truth_tables(gate, n):
    wanted = [int(GATES[gate](list(map(bool, row)))) for row in table(n)]
    assert said(units.threshold_gate(gate, inputs=n), table(n))[:, 0].tolist() == wanted


def test_not_and_at_least_k():
    assert said(units.threshold_gate("not", inputs=1), table(1))[:, 0].tolist() == [1, 0]
    for k in range(5):
        wanted = (table(4).sum(1) >= k).astype(int).tolist()
        assert said(units.threshold_gate(k, inputs=4), table(4))[:, 0].tolist() == wanted


def test_a_gate_leaves_room_on_both_sides():
    """Noise below a half in the sum changes nothing."""
    noisy = table(3) + np.random.default_rng(0).uniform(-0.16, 0.16, (8, 3))
    for gate in GATES:
        params = units.threshold_gate(gate, inputs=3)
        np.testing.assert_array_equal(said(params, noisy), said(params, table(3)))


# ----------------------------------------------------------------------------------------------- the layer itself


def test_the_layer_is_a_dense_layer_and_a_step():
    rng = np.random.default_rng(1)
    model = layers.perceptron(3)
    params, state, shape = model.init(jax.random.key(0), (2,))
    assert shape == (3,)
    assert jax.tree.map(lambda a: (a.shape, a.dtype.name), params) == {
        "kernel": ((2, 3), "float32"), "bias": ((3,), "float32"),
    }  # fmt: skip
    assert not np.any(params["kernel"])
    params = {"kernel": rng.normal(size=(2, 3)).astype(np.float32), "bias": np.array([0.3, -0.2, 0.0], np.float32)}
    x = rng.normal(size=(6, 2)).astype(np.float32)
    x[0] = 0  # the third unit's sum is 0: it says 1
    outputs = np.asarray(model.apply(params, state, x)[0])
    np.testing.assert_array_equal(outputs, said(params, x))
    assert outputs[0].tolist() == [1, 0, 1]
    assert outputs.dtype == np.float32


def test_it_is_remembered_and_rebuilt():
    model = models.serial(layers.perceptron(2), layers.perceptron(1, bias=False, name="top"))
    assert models.spec_from_json(models.spec_to_json(model)) is model
    assert layers.perceptron(2) is layers.perceptron(2)
    params = jax.eval_shape(lambda k: model.init(k, (4,))[0], jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == {
        "perceptron_1": {"kernel": (4, 2), "bias": (2,)}, "top": {"kernel": (2, 1)},
    }  # fmt: skip


def test_no_gradient_passes_a_threshold():
    model = layers.perceptron(1)
    params = {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(model.apply(p, {}, np.ones((3, 2), np.float32))[0])))(params)
    assert not any(np.any(g) for g in jax.tree.leaves(gradient))


# -------------------------------------------------------------------------------------------------- learning


def separable(seed, n=40, margin=0.15):
    """Examples on both sides of two planes with a margin, and the planes (with the bias last)."""
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(4, 2))
    planes[3] *= 0.2  # both answers occur
    planes /= np.linalg.norm(planes, axis=0)
    x = rng.normal(size=(4 * n, 3))
    z = np.c_[x, np.ones(len(x))] @ planes
    keep = np.flatnonzero((np.abs(z) > margin).all(1))[:n]
    return x[keep].astype(np.float32), (z[keep] > 0).astype(np.float32), planes


def zeros(n_in, n_out):
    return {"kernel": jnp.zeros((n_in, n_out)), "bias": jnp.zeros(n_out)}


def test_errors_are_bounded_by_novikoff_and_end():
    """Each unit errs at most (R/γ)² times in all, whatever the rate; the separator found is not the one that was."""
    for seed, rate in [(0, 1.0), (1, 1.0), (2, 0.01), (3, 30.0)]:
        x, y, planes = separable(seed)
        params, errors = units.learn_perceptron(zeros(3, 2), x, y, epochs=80, learning_rate=rate)
        extended = np.c_[x, np.ones(len(x))]
        radius = np.linalg.norm(extended, axis=1).max()
        gamma = np.abs(extended @ planes).min(0) / np.linalg.norm(planes, axis=0)
        total = np.asarray(errors).sum(0)
        assert (total > 0).all()
        assert (total <= (radius / gamma) ** 2).all()
        assert np.asarray(errors)[-1].tolist() == [0, 0]
        np.testing.assert_array_equal(said(params, x), y)


def test_each_unit_learns_alone():
    """Errors and weights of two units are those of each by itself, with the rule written out in NumPy."""
    x, y, _ = separable(5)
    params, errors = units.learn_perceptron(zeros(3, 2), x, y, epochs=80)
    for unit in range(2):
        w, b, counted = np.zeros(3), 0.0, []
        for _ in range(80):
            wrong = 0
            for xi, yi in zip(x.astype(float), y[:, unit], strict=True):
                error = yi - (xi @ w + b >= 0)
                w, b, wrong = w + error * xi, b + error, wrong + (error != 0)
            counted.append(wrong)
        assert np.asarray(errors)[:, unit].tolist() == counted
        np.testing.assert_allclose(params["kernel"][:, unit], w, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(params["bias"][unit], b)


XOR = np.array([[0], [1], [1], [0]], np.float32)


def test_xor_is_never_learned():
    """The weights go round in a circle: the same after some epochs, with errors in every one."""
    params, errors = units.learn_perceptron(zeros(2, 1), table(2), XOR, epochs=60)
    assert np.asarray(errors).min() > 0
    again, _ = units.learn_perceptron(params, table(2), XOR, epochs=60)
    np.testing.assert_array_equal(again["kernel"], params["kernel"])
    np.testing.assert_array_equal(again["bias"], params["bias"])


def test_no_single_unit_computes_xor():
    """Every line through a grid of weights: at most three of the four corners are right."""
    grid = np.linspace(-3, 3, 25)
    w1, w2, b = (g.ravel() for g in np.meshgrid(grid, grid, grid))
    outputs = table(2) @ np.stack([w1, w2]) + b >= 0
    assert (outputs == (XOR > 0)).sum(0).max() == 3


def test_two_layers_compute_xor():
    """x or y, and not both; then and."""
    gate = units.threshold_gate
    model = models.serial(layers.perceptron(2), layers.perceptron(1))
    hidden = jax.tree.map(lambda *w: np.concatenate(w, -1), gate("or"), gate("nand"))
    params = {"perceptron_1": hidden, "perceptron_2": gate("and")}
    np.testing.assert_array_equal(model.apply(params, {}, table(2))[0], XOR)


def test_two_layers_compute_the_parity_of_many():
    """A unit for 'at least k' each, then every odd one adds and every even one takes away."""
    n = 5
    gates = [units.threshold_gate(k, inputs=n) for k in range(1, n + 1)]
    hidden = jax.tree.map(lambda *w: np.concatenate(w, -1), *gates)
    top = {"kernel": np.array([[1.0 if k % 2 else -1.0] for k in range(1, n + 1)]), "bias": np.array([-0.5])}
    np.testing.assert_array_equal(said(top, said(hidden, table(n)))[:, 0], table(n).sum(1) % 2)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: units.threshold_gate("xro"), ValueError, r"gate must be one of .* got 'xro'; known: and"),
        (
            lambda: units.threshold_gate("not"),
            ValueError,
            r"not has one input: threshold_gate\('not', inputs=1\); got 2",
        ),
        (lambda: units.threshold_gate("and", inputs=0), ValueError, r"inputs must be >= 1; got 0"),
        (lambda: units.threshold_gate(1.5), TypeError, r"gate must be a whole number; got 1.5"),
        (lambda: layers.perceptron(0), ValueError, r"width must be >= 1; got 0"),
        (
            lambda: units.learn_perceptron({}, [1.0], [1], epochs=1),
            ValueError,
            r"\(examples, n_in\) and \(examples, n_",
        ),
        (
            lambda: units.learn_perceptron(zeros(3, 1), np.ones((4, 2)), np.ones((4, 1)), epochs=1),
            ValueError,
            r"got \(2,\), \(1,\) and \(3, 1\)",
        ),
        (lambda: units.learn_perceptron({}, [[1.0]], [[1]], epochs=1), ValueError, r"params must hold kernel"),
        (lambda: units.learn_perceptron({}, [[1.0]], [[2]], epochs=1), ValueError, r"targets must be 0 or 1"),
        (lambda: units.learn_perceptron({}, [[1.0]], [[1]], epochs=0), ValueError, r"epochs must be >= 1; got 0"),
        (
            lambda: units.learn_perceptron({}, [[1.0]], [[1]], epochs=1, learning_rate=0),
            ValueError,
            r"learning_rate must be > 0; got 0",
        ),
        (
            lambda: layers.perceptron(2).apply({"kernel": np.ones((3, 2))}, {}, np.ones((1, 4))),
            ValueError,
            r"perceptron\(2\) takes 3 features; got inputs of shape \(1, 4\)",
        ),
    ],
)
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_dense_layer_may_be_taught_and_then_thresholded():
    """The parameters are those of dense, so a trained dense layer is a perceptron's, and the other way round."""
    params = jax.eval_shape(lambda key: layers.dense(2).init(key, (3,))[0], jax.random.key(0))
    assert params == jax.eval_shape(lambda key: layers.perceptron(2).init(key, (3,))[0], jax.random.key(0))
