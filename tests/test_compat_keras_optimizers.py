"""compat.keras.optimizers against recorded runs of Keras, and against the rules written in NumPy."""

import functools
import inspect
import json
import operator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict.compat import keras
from jaxdict.compat.keras import callbacks, optimizers
from jaxdict.compat.keras.optimizers import schedules

FILE = Path(__file__).parent / "recorded" / "keras_optimizers.npz"


@functools.cache
def recorded():
    """The arrays of the recorded runs and what they are: eager Keras in float64, see "what" and "versions" in it."""
    with np.load(FILE) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("provenance")))


def built(run, about):
    """The optimizer of a recorded run."""
    values = dict(run["values"])
    rate = values.pop("learning_rate")
    if run["schedule"]:
        options = dict(about["schedules_of_runs"][run["schedule"]])
        if run["schedule"] == "PiecewiseConstantDecay":
            rate = schedules.PiecewiseConstantDecay(options["boundaries"], [f * rate for f in about["factors"]])
        else:
            rate = getattr(schedules, run["schedule"])(rate, **options)
    return getattr(optimizers, run["optimizer"])(rate, **values, **run["fixed"])


def split(flat, about):
    """A list of arrays of the recorded shapes, of the last axis of ``flat``."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in about["shapes"]])
    parts = np.split(flat, ends[:-1], axis=-1)
    return [part.reshape(*flat.shape[:-1], *shape) for part, shape in zip(parts, about["shapes"], strict=True)]


def descend(optimizer, params, gradients):
    """Parameters after every step, and the last state; step by step, which is cheaper here than to compile."""
    seen, state = [], optimizer.init(params)
    for t in range(len(jax.tree.leaves(gradients)[0])):
        updates, state = optimizer.update(jax.tree.map(operator.itemgetter(t), gradients), state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *seen), state


RUNS = [pytest.param(i, id=f"{r['optimizer']}-{i}") for i, r in enumerate(recorded()[1]["runs"])]


@pytest.mark.parametrize("index", RUNS)
def test_recorded_runs_of_keras(index):
    arrays, about = recorded()
    run = about["runs"][index]
    with jax.enable_x64(True):
        params, gradients = (split(arrays[name], about) for name in ("start", "gradients"))
        seen, state = descend(built(run, about), params, gradients)
        variables = keras.export_optimizer_state(
            state,
            [(path, np.zeros(shape)) for path, shape in run["variables"]],
            order=[str(i) for i in range(len(params))],
        )
    for row, step in enumerate(about["steps"]):
        for own, theirs in zip(seen, split(arrays[f"run_{index}"][row], about), strict=True):
            np.testing.assert_allclose(own[step - 1], theirs, rtol=0, atol=1e-13 * np.abs(theirs).max())
    flat = np.concatenate([v.ravel() for v in variables])
    theirs = arrays[f"run_{index}_variables"]
    np.testing.assert_allclose(flat, theirs, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("index", range(len(recorded()[1]["schedules"])))
def test_recorded_schedules_of_keras(index):
    arrays, about = recorded()
    case, theirs = about["schedules"][index], arrays[f"schedule_{index}"]
    schedule = getattr(schedules, case["schedule"])(*case["args"], **case["options"])
    with jax.enable_x64(True):
        steps = np.arange(theirs.size, dtype=np.int32)
        np.testing.assert_allclose(schedule(steps), theirs, rtol=0, atol=1e-14 * theirs.max())
        np.testing.assert_allclose(schedule(int(steps[-2])), theirs[-2], rtol=0, atol=1e-14 * theirs.max())
    assert schedule(3).dtype == jnp.float32


def test_schedules_at_their_corners():
    piecewise = schedules.PiecewiseConstantDecay([3, 6], [1.0, 0.5, 0.25])
    assert piecewise(np.arange(9)).tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    warm = schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=5)
    np.testing.assert_allclose(warm(np.array([0, 4, 5, 10, 15, 99])), [0, 0.8, 1, 0.5, 0, 0], atol=1e-7)
    cycle = schedules.PolynomialDecay(1.0, 4, end_learning_rate=0.2, cycle=True)
    np.testing.assert_allclose(cycle(np.array([0, 4, 5, 8])), [1, 0.2, 0.2 + 0.8 * 3 / 8, 0.2], rtol=1e-6)
    # XLA's 49/49 of an array is below 1: a step at the end of a stair belongs to the next.
    stairs = np.arange(1, 400)
    for length in (49, 107):
        decayed = schedules.ExponentialDecay(1.0, length, 0.5, staircase=True)(stairs)
        np.testing.assert_array_equal(decayed, 0.5 ** (stairs // length))
        restarts = schedules.CosineDecayRestarts(1.0, length, t_mul=1.0, m_mul=0.5)(length * np.arange(1, 5))
        np.testing.assert_allclose(restarts, 0.5 ** np.arange(1, 5), rtol=1e-6)


def test_clipping_comes_before_decay_and_the_rule():
    params = [jnp.array([3.0, 0.0]), jnp.array([[0.5], [-2.0]])]
    gradients = [jnp.array([3.0, 0.0]), jnp.array([[0.0], [4.0]])]
    clipped = {
        "clipnorm": [np.array([1.0, 0.0]), np.array([[0.0], [1.0]])],
        "global_clipnorm": [np.array([0.6, 0.0]), np.array([[0.0], [0.8]])],
        "clipvalue": [np.array([1.0, 0.0]), np.array([[0.0], [1.0]])],
    }
    for name, expected in clipped.items():
        optimizer = optimizers.SGD(0.1, weight_decay=0.2, **{name: 1.0})
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        for p, g, u in zip(params, expected, updates, strict=True):
            np.testing.assert_allclose(u, -0.1 * g - 0.1 * 0.2 * p, rtol=1e-6)
    infinite = [jnp.array([jnp.inf, 1.0]), gradients[1]]
    optimizer = optimizers.SGD(0.1, global_clipnorm=1.0)
    assert np.isnan(np.concatenate([u.ravel() for u in optimizer.update(infinite, optimizer.init(params))[0]])).all()


@pytest.mark.parametrize(
    ("excluded", "decays"),
    [
        (None, (True, True)),
        (("bias",), (True, False)),
        ({"a": {"kernel": True, "bias": False}}, (False, True)),
        ({"a": True}, (False, False)),
        (lambda params: jax.tree.map(lambda p: p.ndim < 2, params), (True, False)),
    ],
)
def test_what_does_not_decay(excluded, decays):
    params = {"a": {"kernel": np.full((2, 3), 2.0), "bias": np.full(3, -1.0)}}
    zeros = jax.tree.map(np.zeros_like, params)
    optimizer = optimizers.AdamW(0.5, 0.1, exclude_from_weight_decay=excluded)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    for leaf, decayed in zip(("kernel", "bias"), decays, strict=True):
        np.testing.assert_allclose(updates["a"][leaf], -0.05 * params["a"][leaf] * decayed, rtol=1e-6)


def test_average_of_the_parameters():
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=3)
    seen, state = descend(optimizer, np.array([4.0]), np.array([[1.0], [2.0], [-1.0], [1.0]]))
    # 3, 1, 2; averages 3, 2.5, 2.375, which replaces the third; then 1.375
    np.testing.assert_allclose(seen[:, 0], [3, 1, 2.375, 1.375], rtol=1e-6)
    np.testing.assert_allclose(state.average, [0.75 * 2.375 + 0.25 * 1.375], rtol=1e-6)


def test_loss_scale_and_leaves_without_gradient():
    params = {"a": np.array([1.0, -2.0]), "b": np.array([3.0])}
    optimizer = optimizers.Adam(0.1, loss_scale_factor=1024.0, weight_decay=0.1)
    plain = optimizers.Adam(0.1, weight_decay=0.1)
    scaled, _ = optimizer.update({"a": np.array([1024.0, 512.0]), "b": None}, optimizer.init(params), params)
    expected, _ = plain.update({"a": np.array([1.0, 0.5]), "b": None}, plain.init(params), params)
    assert scaled["b"] is None
    np.testing.assert_allclose(scaled["a"], expected["a"], rtol=1e-6)


def test_states_and_types():
    params = {"w": jnp.ones((2, 2), jnp.bfloat16)}
    optimizer = optimizers.RMSprop(lambda step: 0.5 / (1 + step), momentum=0.5)
    state = optimizer.init(params)
    assert state.average_gradient is None
    assert state.velocity["w"].dtype == jnp.float32
    updates, state = optimizer.update(params, state, params)
    updates, state = optimizer.update(params, state, params)
    assert updates["w"].dtype == jnp.bfloat16
    assert (int(state.count), float(state.learning_rate)) == (2, 0.25)
    assert optimizers.Nadam().init(params)._fields == optimizers.NadamState._fields
    assert optimizers.Adam(0.1) is optimizers.Adam(0.1)
    assert optimizers.Adam(0.1) is not optimizers.Adam(0.1, weight_decay=0.0)


def test_numbers_may_be_traced():
    def first(rate, momentum, decay, clip):
        optimizer = optimizers.SGD(rate, momentum, weight_decay=decay, clipnorm=clip)
        return optimizer.update(np.array([3.0, 4.0]), optimizer.init(np.ones(2)), np.ones(2))[0]

    np.testing.assert_allclose(jax.jit(first)(0.1, 0.5, 0.2, 1.0), [-0.06 - 0.02, -0.08 - 0.02], rtol=1e-6)
    slope = jax.jacfwd(lambda rate: schedules.CosineDecay(rate, 10)(5))(0.3)
    np.testing.assert_allclose(slope, 0.5, rtol=1e-6)


KERAS_ORDER = {  # Keras 3.15.1's own arguments in its order, with its defaults; the shared ones follow
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    "Adagrad": {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "Adadelta": {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
    "Adam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "AdamW": {
        "learning_rate": 0.001, "weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
        "amsgrad": False,
    },
    "Adamax": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "Nadam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "Lion": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99},
    "Lamb": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS_ORDER)
def test_arguments_are_those_of_keras(name):
    shared = {
        "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False,
        "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
        "gradient_accumulation_steps": None, "name": None, "exclude_from_weight_decay": None,
    }  # fmt: skip
    expected = {**KERAS_ORDER[name], **{k: v for k, v in shared.items() if k not in KERAS_ORDER[name]}}
    parameters = inspect.signature(getattr(optimizers, name)).parameters
    assert [(p.name, p.default) for p in parameters.values()] == list(expected.items())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: optimizers.Adam(clip_norm=1.0), TypeError, "unknown argument 'clip_norm'; did you mean 'clipnorm'"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=2.0), ValueError, "only one of .* got clipnorm and clipvalue"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=4), ValueError, r"use optax.MultiSteps\(optimizer, 4\)"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "momentum must be >= 0 and <= 1; got 1.5"),
        (lambda: optimizers.Adam(clipnorm=0.0), ValueError, "clipnorm must be > 0; got 0.0"),
        (lambda: optimizers.AdamW(weight_decay=None), TypeError, "weight_decay must be a number; got None"),
        (lambda: optimizers.Adam(beta_2=1.0), ValueError, "beta_2 must be >= 0 and < 1; got 1.0"),
        (lambda: optimizers.AdamW().update(1.0, optimizers.AdamW().init(1.0)), ValueError, "needs the parameters"),
        (lambda: schedules.PiecewiseConstantDecay([3], [1.0]), ValueError, "one more value than boundaries"),
        (lambda: schedules.PiecewiseConstantDecay([3, 3], [1.0, 2.0, 3.0]), ValueError, "boundaries must ascend"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps must be > 0; got 0"),
        (lambda: keras.optimisers, AttributeError, "no attribute 'optimisers'"),
        (lambda: callbacks.ReduceLROnPlateau("val_novelty"), ValueError, "mode must be 'min' or 'max'"),
        (lambda: callbacks.ReduceLROnPlateau(min_lr=0.1), ValueError, "min_lr needs the learning_rate"),
    ],
)
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()
