"""compat.keras: parameters and optimizer states to and from Keras's lists of variables."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict.compat import keras
from jaxdict.compat.keras import callbacks, optimizers

FILE = Path(__file__).parent / "recorded" / "keras_optimizers.npz"


@functools.cache
def recorded():
    """The recorded Keras model, Dense, BatchNormalization, Dense, Dense, and the optimizers that were run on it."""
    with np.load(FILE) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("provenance")))


@functools.cache
def network():
    model = jd.models.serial(jd.layers.dense(4), jd.layers.batch_norm(), jd.layers.dense(3), jd.layers.dense(2))
    params, state, _ = model.init(jax.random.key(0), (3,))
    return model, params, state


def weights():
    return [(path, np.asarray(value)) for path, value in recorded()[1]["weights"]]


def variables(index):
    """Keras's optimizer variables at the end of a recorded run."""
    arrays, about = recorded()
    shapes = [(path, tuple(shape)) for path, shape in about["runs"][index]["variables"]]
    flat, pairs = arrays[f"run_{index}_variables"], []
    for path, shape in shapes:
        size = int(np.prod(shape))
        pairs.append((path, flat[:size].reshape(shape)))
        flat = flat[size:]
    return pairs


class Variable:
    """What of a Keras variable is looked at."""

    def __init__(self, path, value):
        self.path, self.value = path, value

    def numpy(self):
        return self.value


def test_parameters_of_a_keras_model():
    model, params, state = network()
    given = [(path, np.random.default_rng(i).normal(size=v.shape)) for i, (path, v) in enumerate(weights())]
    given = [(path, np.abs(v) if "variance" in path else v) for path, v in given]
    new, kept = keras.import_params([Variable(*pair) for pair in given], params, state)
    w = [v for _, v in given]
    hidden = np.array([[0.3, -1.2, 2.0], [1.0, 0.1, -0.7]]) @ w[0] + w[1]
    hidden = (hidden - w[4]) / np.sqrt(w[5] + 1e-5) * w[2] + w[3]
    expected = (hidden @ w[6] + w[7]) @ w[8] + w[9]
    outputs, _ = model.apply(new, kept, jnp.array([[0.3, -1.2, 2.0], [1.0, 0.1, -0.7]]))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4)
    back = keras.export_params(new, given, kept)
    for (_, value), array in zip(given, back, strict=True):
        np.testing.assert_allclose(array, value, rtol=1e-6)
        assert array.dtype == value.dtype


def test_other_trees_by_order():
    params = {"out": [jnp.zeros((2, 1)), jnp.zeros(1)], "in": [jnp.zeros((3, 2)), jnp.zeros(2)]}
    arrays = [np.full((3, 2), 1.0), np.full(2, 2.0), np.full((2, 1), 3.0), np.full(1, 4.0)]
    order = ("in/0", "in/1", "out/0", "out/1")
    new, state = keras.import_params(arrays, params, order=order)
    assert state == {}
    assert [float(leaf.ravel()[0]) for leaf in (*new["in"], *new["out"])] == [1, 2, 3, 4]
    back = keras.export_params(new, arrays, order=order)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True))


RUNS = [pytest.param(i, id=f"{r['optimizer']}-{i}") for i, r in enumerate(recorded()[1]["runs"])]


@pytest.mark.parametrize("index", RUNS)
def test_states_of_recorded_optimizers_there_and_back(index):
    run, given = recorded()[1]["runs"][index], variables(index)
    _, params, _ = network()
    options = {k: v for k, v in (run["fixed"] | run["values"]).items() if k != "learning_rate"}
    optimizer = getattr(optimizers, run["optimizer"])(run["values"]["learning_rate"], **options)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: p.astype(float), params)
        state = keras.import_optimizer_state([Variable(*pair) for pair in given], params, optimizer=optimizer)
        told = keras.import_optimizer_state(given, params)
        assert jax.tree.structure(told) == jax.tree.structure(state)
        assert int(state.count) == recorded()[1]["steps"][-1]
        paths = {name.rpartition("/")[2]: value for name, value in given}
        for slot in set(state._fields) - {"count", "learning_rate", "u_product"}:
            if getattr(state, slot) is not None:
                kernel, offset = (
                    getattr(state, slot)["dense_2"]["kernel"],
                    getattr(state, slot)["batch_norm_1"]["offset"],
                )
                np.testing.assert_array_equal(kernel, paths[f"sequential_dense_1_kernel_{slot}"])
                np.testing.assert_array_equal(offset, paths[f"sequential_batch_normalization_beta_{slot}"])
        for (_, value), array in zip(given, keras.export_optimizer_state(told, given), strict=True):
            np.testing.assert_array_equal(array, value)


def test_a_run_goes_on_from_an_imported_state():
    params = {"w": jnp.array([[1.0, -2.0]]), "b": jnp.array([0.5])}
    order, gradients = ("w", "b"), {"w": jnp.array([[0.3, -4.0]]), "b": jnp.array([2.0])}
    optimizer = optimizers.Nadam(0.1, clipnorm=0.5)

    def step(params, state):
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    half, state = step(params, optimizer.init(params))
    likes = [np.zeros((), np.int32), *(np.zeros(shape, np.float32) for shape in [(), (1, 2), (1, 2), (1,), (1,), ()])]
    bare = keras.export_optimizer_state(state, likes, order=order)
    again = keras.import_optimizer_state(bare, params, optimizer=optimizer, order=order)
    np.testing.assert_allclose(bare[-1], 0.9 * (1 - 0.5 * 0.96), rtol=1e-6)  # the product of coefficients comes last
    ended, alone = step(half, again)[0], step(half, state)[0]
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(ended), jax.tree.leaves(alone), strict=True))


def test_a_schedule_is_no_variable():
    _, params, _ = network()
    given = [pair for pair in variables(0) if not pair[0].endswith("learning_rate")]
    state = keras.import_optimizer_state(given, params)
    assert isinstance(state, optimizers.MomentumState)
    assert len(keras.export_optimizer_state(state, given)) == len(given)


def without(pairs, ending):
    return [pair for pair in pairs if not pair[0].endswith(ending)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, s: keras.import_params(weights(), p), ValueError, "'sequential/batch_normalization/moving_mean'"),
        (
            lambda p, s: keras.import_params(without(weights(), "dense_2/bias"), p, s),
            ValueError,
            "'dense_3/bias' belongs",
        ),
        (lambda p, s: keras.import_params([v for _, v in weights()], p, s), ValueError, "give order"),
        (
            lambda p, s: keras.import_params([(n, v.T) for n, v in weights()], p, s),
            ValueError,
            r"dense_1/kernel: shape \(4, 3\) was given where \(3, 4\) belongs",
        ),
        (
            lambda p, s: keras.import_params(weights(), {"a": p["dense_1"], "b": p["dense_2"]}),
            ValueError,
            "a, b do not say",
        ),
        (lambda p, s: keras.import_params(weights(), {"w": jnp.ones(2)}), ValueError, "leaf 'w' has no counterpart"),
        (lambda p, s: keras.import_params([np.ones(2)], {"w": jnp.ones(2)}, order=("v",)), ValueError, "no leaf 'v'"),
        (
            lambda p, s: keras.import_optimizer_state(variables(0)[:-1], p),
            ValueError,
            "no optimizer of jaxdict.compat.keras",
        ),
        (
            lambda p, s: keras.import_optimizer_state(variables(0), p, optimizer=optimizers.Adam()),
            ValueError,
            "AdamState of 8 parameters has 18 variables, one less with a schedule; got 10",
        ),
        (
            lambda p, s: keras.import_optimizer_state(variables(0), p, optimizer=optimizers.Adagrad()),
            ValueError,
            "'sgd.*_momentum' stands where one that ends with '_accumulator' belongs",
        ),
        (lambda p, s: keras.import_optimizer_state([np.ones(2)], p), ValueError, "bare arrays do not say"),
        (lambda p, s: keras.export_optimizer_state(optax.EmptyState(), []), TypeError, "got EmptyState"),
    ],
)
def test_errors_name_the_first_difference(call, error, message):
    _, params, state = network()
    with pytest.raises(error, match=message):
        call(params, state)


def test_reduce_on_plateau_as_keras():
    # keras.callbacks.ReduceLROnPlateau 3.15.1 with these arguments on these values of val_loss, its rate after each
    monitored = [1.0, 0.9995, 0.99, 0.995, 0.993, 0.9905, 0.98, 0.9795, 0.981, 0.99, 0.985, 0.99]
    expected = [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2]
    observer = callbacks.ReduceLROnPlateau(
        factor=0.5, patience=2, min_delta=1e-3, cooldown=2, min_lr=0.2, learning_rate=0.8
    )
    assert observer.monitor == "validation_loss"
    memory, rates = observer.init(None), []
    for value in monitored:
        memory, _ = observer.update(memory, Snapshot({"validation_loss": jnp.float32(value)}))
        rates.append(0.8 * float(memory.scale))
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert callbacks.ReduceLROnPlateau("val_accuracy") is callbacks.ReduceLROnPlateau("val_accuracy", mode="auto")


class Snapshot:
    """What the observer reads."""

    def __init__(self, row):
        self.row = row
